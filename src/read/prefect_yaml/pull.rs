//! The steps of `pull`: left to the worker, unless they would bring what a push step was to put there.

use super::outputs::Outputs;
use crate::read::document::{Content, Entry, Node, Position};
use crate::read::faults::Faults;

/// The pull steps to be registered; `None` where the release's own step takes their place. `pushed` are the kinds of
/// storage that the file pushes its code to.
pub(super) fn read(
    steps: Option<(Vec<Entry>, Position)>,
    pushed: &[String],
    outputs: &Outputs,
    notes: &mut Vec<String>,
    faults: &mut Faults<'_>,
) -> Option<Node> {
    let (mut steps, at) = steps?;
    for step in &mut steps {
        step.value
            .for_each_scalar(&mut |scalar| outputs.put_known(scalar));
    }
    let alone = steps.len() == 1;
    for step in &mut steps {
        let name = step.key.rsplit('.').next().unwrap_or_default().to_owned();
        let Some(kind) = name.strip_prefix("pull_from_") else {
            continue;
        };
        if !pushed.iter().any(|one| one == kind) {
            continue;
        }
        if alone {
            notes.push(format!(
                "`{name}` is replaced by the release's own pull step"
            ));
            return None;
        }
        let place = ["container", "bucket"]
            .iter()
            .find_map(|key| step.value.get(key)?.as_str().map(str::to_owned));
        notes.push(format!(
            "`{name}` gets the folder of the release; `{}` has to be where `[storage] url` points",
            place.unwrap_or_default()
        ));
        if let Content::Map(entries) = &mut step.value.content {
            let folder = Node::scalar(step.at, "{{ flowyard.code.path }}".into());
            match entries.iter_mut().find(|entry| entry.key == "folder") {
                Some(entry) => entry.value = folder,
                None => entries.push(Entry {
                    key: "folder".to_owned(),
                    at: step.at,
                    value: folder,
                }),
            }
        } else {
            faults.error(step.at, format!("`{name}` has no inputs"));
        }
    }
    let items = steps
        .into_iter()
        .map(|step| Node {
            at: step.at,
            content: Content::Map(vec![step]),
            hidden: None,
            written: None,
        })
        .collect();
    Some(Node {
        at,
        content: Content::List(items),
        hidden: None,
        written: None,
    })
}
