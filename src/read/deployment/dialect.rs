//! What a file says that the release it is registered with has no place for: told, never lost.

use crate::model::Dialect;
use crate::read::document::{Content, Node};
use crate::read::faults::{Faults, present};

/// How the tags begin by which flowyard knows its own in Prefect 2.
const MARKS: [&str; 2] = ["flowyard:", "flowyard.project:"];

/// Keys without a counterpart in Prefect 2, each with what to do.
const NOT_IN_TWO: &[(&str, &str)] = &[
    (
        "concurrency_limit",
        "limit the work queue instead, with `prefect work-queue set-concurrency-limit`, and remove the key",
    ),
    (
        "triggers",
        "an open source server of Prefect 2 has no automations; remove the key",
    ),
    ("sla", "only Prefect Cloud keeps them; remove the key"),
];

/// Checks the keys of a deployment, and takes out those that are no key of this release: they are told once.
pub(super) fn check(node: &mut Node, dialect: Dialect, faults: &mut Faults<'_>) {
    if dialect != Dialect::Prefect2 {
        return;
    }
    if let Content::Map(entries) = &mut node.content {
        entries.retain(|entry| {
            let Some((key, hint)) = NOT_IN_TWO.iter().find(|(key, _)| entry.key == *key) else {
                return true;
            };
            if !entry.value.is_null() {
                let message = format!("Prefect 2 has no `{key}` of a deployment");
                faults.error(entry.at, message).hint(*hint);
            }
            false
        });
    }
    let node = &*node;
    for key in ["schedule", "schedules"] {
        match present(node, key) {
            Some(Node {
                content: Content::List(items),
                ..
            }) => items.iter().for_each(|item| check_schedule(item, faults)),
            Some(node) => check_schedule(node, faults),
            None => {}
        }
    }
    if let Some(Node {
        content: Content::List(tags),
        ..
    }) = present(node, "tags")
    {
        for tag in tags {
            let text = tag.as_str().unwrap_or_default();
            if MARKS.iter().any(|mark| text.starts_with(mark)) {
                faults
                    .error(tag.at, format!("the tag `{text}` is flowyard's own"))
                    .hint("in Prefect 2 flowyard marks its deployments by such tags; name yours otherwise");
            }
        }
    }
}

fn check_schedule(node: &Node, faults: &mut Faults<'_>) {
    let entries = node.entries().unwrap_or_default().iter();
    for entry in entries.filter(|entry| entry.key == "parameters") {
        if entry.value.entries().is_none_or(<[_]>::is_empty) {
            continue;
        }
        faults
            .error(entry.at, "Prefect 2 has no `parameters` of a schedule")
            .hint("write a second deployment of the flow with these parameters and this schedule");
    }
}
