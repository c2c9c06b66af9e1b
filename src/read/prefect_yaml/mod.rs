//! `prefect.yaml`: each of its deployments as the draft that every format is brought to.
//!
//! Its folder is the one that `prefect deploy` would be run in. What its steps do is read, never done:
//!
//! | step | in `build` and `push` | in `pull` |
//! |---|---|---|
//! | `run_shell_script` | known at deploy, where it is run; a script that only asks git, or `echo`es words, is answered | kept |
//! | `build_docker_image`, `push_docker_image` | the image's name and tag; nothing is built | kept |
//! | `push_to_azure_blob_storage`, `push_to_s3`, `push_to_gcs` | the release, in our own storage | |
//! | `pull_from_*` of the kind that the file pushes to | | alone: the release; beside others: kept, with the release's folder |
//! | `pull_from_*` otherwise, `git_clone`, `set_working_directory`, `pip_install_requirements` | | kept |
//! | any other | `--run-steps`: known at deploy; otherwise a fault | kept |
//!
//! The names that these steps had below `*.projects.steps` are taken as those of now. Of the three lists a deployment's
//! own wins, as in Prefect: `build: null` is no step at all, while an empty `push` and `pull: null` fall back to the file's.
//!
//! | `pull`, as it counts | a run gets its code from |
//! |---|---|
//! | absent or null | the release (Prefect's command would register the folder that it is run in) |
//! | `[]` | its image: no step is registered |
//! | only a `pull_from_*` that matches a push | the release |
//! | anything else | its own steps, and the entrypoint is registered as it is written |
//!
//! `{{ id.key }}` and `{{ key }}` are the outputs of the steps before it, the later winning; one that no step has is a
//! fault, where Prefect leaves the whole key out. `{{ $NAME }}`, blocks and variables are left to [`template`].
//!
//! [`template`]: super::template

mod outputs;
mod pull;
mod steps;

use std::cell::Cell;

use serde_json::Value;

use super::document::{Content, Entry, MAX_NODES, Node, Position};
use super::draft::Draft;
use super::faults::{Faults, present};
use super::template::TEMPLATE;
use crate::model::{Diagnostic, RepoPath, nearest};
use outputs::Outputs;
use steps::Steps;

/// The keys that Prefect gives a meaning, and `definitions`, its documentation's place for anchors.
const TOP: &[&str] = &[
    "prefect-version",
    "name",
    "build",
    "push",
    "pull",
    "deployments",
    "definitions",
];

/// Keys of a deployment that are read here, and not by the reader of all formats.
const OWN: &[&str] = &[
    "build",
    "push",
    "pull",
    "version_type",
    "is_schedule_active",
];

/// The drafts of a file. Steps that are not known are let through with `run_steps`.
pub(super) fn drafts(
    node: &Node,
    file: &RepoPath,
    run_steps: bool,
    faults: &mut Faults<'_>,
) -> Vec<Draft> {
    if node.is_null() {
        return Vec::new();
    }
    let Some(entries) = node.entries() else {
        faults.error(
            node.at,
            format!("a prefect.yaml is a mapping, not {}", node.kind()),
        );
        return Vec::new();
    };
    for entry in entries {
        check_top(entry, faults);
    }
    let Some(list) = present(node, "deployments") else {
        return Vec::new();
    };
    let Content::List(items) = &list.content else {
        faults.error(
            list.at,
            format!("`deployments` is a list, not {}", list.kind()),
        );
        return Vec::new();
    };
    let reading = Reading {
        top: node,
        file,
        run_steps,
        left: Cell::new(MAX_NODES),
    };
    items
        .iter()
        .filter(|item| !item.is_null())
        .filter_map(|item| reading.deployment(item, faults))
        .collect()
}

/// People put anchors under keys of their own, which Prefect passes over; one that is nearly a known key is none of them.
fn check_top(entry: &Entry, faults: &mut Faults<'_>) {
    let key = entry.key.as_str();
    if TOP.contains(&key) || key.starts_with(['.', '_']) || key.starts_with("x-") {
        return;
    }
    if let Some(near) = nearest(key, TOP.iter().copied()) {
        faults
            .error(entry.at, format!("unknown key `{key}` in `prefect.yaml`"))
            .hint(format!("did you mean `{near}`?"));
    }
}

struct Reading<'a> {
    top: &'a Node,
    file: &'a RepoPath,
    run_steps: bool,
    /// How many values the steps of further deployments may hold: the file's steps count for each of its deployments.
    left: Cell<usize>,
}

impl Reading<'_> {
    /// One deployment; `None` where Prefect passes it over, too.
    fn deployment(&self, item: &Node, faults: &mut Faults<'_>) -> Option<Draft> {
        let Some(entries) = item.entries() else {
            // The reader of all formats says what is wrong with it.
            return Some(Draft::of(item.clone(), None));
        };
        if present(item, "name").is_none() {
            // `prefect init` leaves such an item behind, all of it null.
            if present(item, "entrypoint").is_some() {
                let place = faults.place(entries.first().map_or(item.at, |entry| entry.at));
                let fault =
                    Diagnostic::warning(place, "a deployment without a `name`: passed over");
                faults.push(fault.hint("Prefect passes it over, too; give it a name"));
            }
            return None;
        }
        let mut outputs = Outputs::default();
        let mut notes = Vec::new();
        let mut steps = Steps::new(self.file, self.run_steps);
        let build = self.list(item, "build", faults);
        let push = self.list(item, "push", faults);
        for step in build.iter().chain(&push) {
            steps.take(step, &mut outputs, &mut notes, faults);
        }

        let mut kept: Vec<Entry> = entries
            .iter()
            .filter(|entry| !OWN.contains(&entry.key.as_str()))
            .filter(|entry| !passed_over(entry, faults))
            .filter_map(tidied)
            .collect();
        paused(item, &mut kept, faults);
        if present(item, "version_type").is_some() {
            notes.push("`version_type` is left out: flowyard sends none".to_owned());
        }
        for entry in &mut kept {
            let events = entry.key == "triggers";
            entry.value.for_each_scalar(&mut |scalar| {
                if !events {
                    outputs.put(scalar, faults);
                }
            });
            only_at_deploy(entry, faults);
            if events {
                triggers(&mut entry.value, &outputs, faults);
            }
        }
        let pulled = pull::read(
            self.pull(item, faults),
            &steps.pushed,
            &outputs,
            &mut notes,
            faults,
        );
        if let Some(value) = pulled {
            let at = value.at;
            kept.push(Entry {
                key: "pull".to_owned(),
                at,
                value,
            });
        }
        Some(Draft {
            node: Node {
                content: Content::Map(kept),
                ..item.clone()
            },
            default_name: None,
            notes,
            images: steps.images,
            steps: steps.pending,
        })
    }

    /// The steps of a list, the deployment's own or the file's.
    fn list(&self, item: &Node, key: &str, faults: &mut Faults<'_>) -> Vec<Entry> {
        let own = item.get(key);
        let node = match own {
            // An empty `push` falls back to the file's, an empty `build` does not.
            Some(own) if key == "build" || !is_empty(own) => own,
            _ => match self.top.get(key) {
                Some(node) => node,
                None => return Vec::new(),
            },
        };
        self.each(node, key, faults)
    }

    /// The steps of a list, as far as there is room for them.
    fn each(&self, node: &Node, key: &str, faults: &mut Faults<'_>) -> Vec<Entry> {
        let left = self.left.get();
        let count = if left == 0 { 1 } else { node.count() };
        self.left.set(left.saturating_sub(count));
        if count > left {
            let message =
                format!("the steps of all deployments together hold more than {MAX_NODES} values");
            faults.error(node.at, message);
            return Vec::new();
        }
        each(node, key, faults)
    }

    /// The pull steps as they count; `None` where the file leaves them to the command.
    fn pull(&self, item: &Node, faults: &mut Faults<'_>) -> Option<(Vec<Entry>, Position)> {
        let explicit_none = |node: &Node| node.content == Content::List(Vec::new());
        for node in [item.get("pull"), self.top.get("pull")]
            .into_iter()
            .flatten()
        {
            if explicit_none(node) {
                return Some((Vec::new(), node.at));
            }
            if !is_empty(node) {
                return Some((self.each(node, "pull", faults), node.at));
            }
        }
        None
    }
}

/// Null, `{}` or `[]`.
fn is_empty(node: &Node) -> bool {
    match &node.content {
        Content::Scalar(value) => value.is_null(),
        Content::List(items) => items.is_empty(),
        Content::Map(entries) => entries.is_empty(),
    }
}

/// The steps of a list or of one mapping, each with its inputs; empty ones do nothing.
fn each(node: &Node, key: &str, faults: &mut Faults<'_>) -> Vec<Entry> {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        Content::Map(_) => std::slice::from_ref(node),
        Content::Scalar(Value::Null) => &[],
        Content::Scalar(_) => {
            faults.error(
                node.at,
                format!("`{key}` is a list of steps, not {}", node.kind()),
            );
            &[]
        }
    };
    let mut steps = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| !is_empty(item)) {
        match item.entries() {
            Some([only]) if only.value.entries().is_some() || only.value.is_null() => {
                let mut step = only.clone();
                step.key = steps::current(&step.key);
                if step.value.is_null() {
                    step.value.content = Content::Map(Vec::new());
                }
                steps.push(step);
            }
            _ => {
                faults
                    .error(item.at, "a step is a mapping of one function to its inputs")
                    .hint("- prefect.deployments.steps.run_shell_script: {script: make}");
            }
        }
    }
    steps
}

/// Whether a key is one that deployment files have and `prefect.yaml` has not, in no release of Prefect.
fn passed_over(entry: &Entry, faults: &mut Faults<'_>) -> bool {
    let hint = match entry.key.as_str() {
        "storage" | "infrastructure" => "name a work pool: `work_pool: {name: …}`",
        "infra_overrides" => "write them as `job_variables` inside of `work_pool`",
        "work_queue_name" => "write it inside of `work_pool`",
        _ => return false,
    };
    if !entry.value.is_null() {
        faults
            .error(
                entry.at,
                format!("Prefect passes `{}` over in a prefect.yaml", entry.key),
            )
            .hint(hint);
    }
    true
}

/// A key as the reader of all formats takes it: what Prefect's templates leave empty is not said at all.
fn tidied(entry: &Entry) -> Option<Entry> {
    let mut entry = entry.clone();
    match entry.key.as_str() {
        // The flow names itself: Prefect's command writes its name over this one.
        "flow_name" => return None,
        "schedule" | "work_pool" if is_empty(&entry.value) => return None,
        // Prefect takes the flow's own in the place of an empty text.
        "description" | "version" if entry.value.as_str() == Some("") => return None,
        "schedules" => {
            if let Content::List(items) = &mut entry.value.content {
                items.retain(|item| !is_empty(item));
            }
        }
        _ => {}
    }
    Some(entry)
}

/// Prefect's command looks variables and blocks up before it registers; flowyard leaves them to the worker, which does so
/// in job variables. Where nobody does, a name or a schedule that is a template could never work; a tag is only odd.
fn only_at_deploy(entry: &mut Entry, faults: &mut Faults<'_>) {
    let pool = entry.key == "work_pool";
    let nodes: Vec<&mut Node> = match (&mut entry.value.content, entry.key.as_str()) {
        (Content::Map(entries), "work_pool") => entries
            .iter_mut()
            .filter(|one| one.key != "job_variables")
            .map(|one| &mut one.value)
            .collect(),
        (_, "name" | "schedule" | "schedules" | "entrypoint") => {
            vec![&mut entry.value]
        }
        _ => return,
    };
    let of = if pool { "work_pool" } else { &entry.key };
    for node in nodes {
        node.for_each_scalar(&mut |scalar| {
            if scalar.as_str().is_some_and(|text| {
                TEMPLATE
                    .captures_iter(text)
                    .any(|found| found[1].starts_with("prefect."))
            }) {
                faults
                    .error(
                        scalar.at,
                        format!("nobody looks a block or variable of Prefect up in `{of}`"),
                    )
                    .hint("flowyard resolves none: write {{ $NAME }} or {{ flowyard.vars.NAME }}");
            }
        });
    }
}

/// `is_schedule_active` is what `paused` was called in Prefect 2.
fn paused(item: &Node, kept: &mut Vec<Entry>, faults: &mut Faults<'_>) {
    let Some(active) = faults.boolean(item, "is_schedule_active") else {
        return;
    };
    if present(item, "paused").is_some() {
        return;
    }
    kept.retain(|entry| entry.key != "paused");
    let at = item
        .get("is_schedule_active")
        .map_or(item.at, |node| node.at);
    kept.push(Entry {
        key: "paused".to_owned(),
        at,
        value: Node::scalar(at, Value::Bool(!active)),
    });
}

/// The `parameters` of a trigger hold templates of the event, which the server fills in.
fn triggers(list: &mut Node, outputs: &Outputs, faults: &mut Faults<'_>) {
    let Content::List(items) = &mut list.content else {
        return;
    };
    for item in items {
        let Content::Map(entries) = &mut item.content else {
            continue;
        };
        for entry in entries.iter_mut().filter(|entry| entry.key != "parameters") {
            entry
                .value
                .for_each_scalar(&mut |scalar| outputs.put(scalar, faults));
        }
    }
}
