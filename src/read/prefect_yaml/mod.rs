//! `prefect.yaml`: the file of `prefect deploy`, with many deployments and the steps around them.
//!
//! The keys of a deployment are those of a deployment file, so each item becomes a [`Draft`] and goes the way of all
//! others. What is particular is the steps, at the file's top or in an item, where the item's win:
//!
//! | step | in `build`, `push` | in `pull` |
//! |---|---|---|
//! | `run_shell_script` | never run; what it prints is known where it is `git rev-parse` of `HEAD` or an `echo` | kept |
//! | `build_docker_image`, `push_docker_image` | their outputs name the image; it is not built | a fault |
//! | `push_to_azure_blob_storage`, `push_to_s3`, `push_to_gcs` | the release takes their place | a fault |
//! | `pull_from_azure_blob_storage`, `pull_from_s3`, `pull_from_gcs` | a fault | the release takes its place where a step pushes, else kept |
//! | `git_clone`, `set_working_directory`, `pip_install_requirements` | without effect on what is registered | kept |
//! | any other | a fault | kept: the worker knows it |
//!
//! Without pull steps the release is what a run gets. The format is described at
//! <https://docs.prefect.io/v3/how-to-guides/deployments/prefect-yaml>.

mod step;

use super::document::{Content, Entry, Node};
use super::draft::Draft;
use super::faults::Faults;
use step::{Outputs, Steps};

/// The keys of the file.
const KEYS: &[&str] = &[
    "name",
    "prefect-version",
    "description",
    "build",
    "push",
    "pull",
    "definitions",
    "deployments",
];

/// Keys of an item that name steps.
const STEPS: [&str; 3] = ["build", "push", "pull"];

/// The deployments of a file, in its order.
pub(super) fn drafts(file: &Node, faults: &mut Faults<'_>) -> Vec<Draft> {
    if file.is_null() {
        faults
            .error(file.at, "the file is empty")
            .hint("it needs a list of `deployments`");
        return Vec::new();
    }
    let Some(entries) = file.entries() else {
        let message = format!("the file is a mapping, not {}", file.kind());
        faults.error(file.at, message);
        return Vec::new();
    };
    faults.unknown_keys(entries, KEYS, "`prefect.yaml`");
    let Some(list) = file.get("deployments").filter(|list| !list.is_null()) else {
        return Vec::new();
    };
    let Content::List(items) = &list.content else {
        let message = format!("`deployments` is a list, not {}", list.kind());
        faults.error(list.at, message);
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| draft(file, item, faults))
        .collect()
}

fn draft(file: &Node, item: &Node, faults: &mut Faults<'_>) -> Option<Draft> {
    let Some(entries) = item.entries() else {
        // The reader of deployments says what is wrong with it.
        return Some(Draft {
            node: item.clone(),
            default_name: None,
            notes: Vec::new(),
        });
    };
    if is_blank(item) {
        return None;
    }
    // `push: null` in an item means none, whatever the file says.
    let steps_of = |key| item.get(key).or_else(|| file.get(key));
    let mut steps = Steps::default();
    for key in ["build", "push"] {
        if let Some(list) = steps_of(key) {
            steps.before(list, key, faults);
        }
    }
    let mut kept: Vec<Entry> = entries
        .iter()
        .filter(|entry| !STEPS.contains(&entry.key.as_str()) && !is_empty(entry))
        .cloned()
        .collect();
    for entry in &mut kept {
        fill(&mut entry.value, &steps.outputs, faults);
    }
    if let Some(list) = steps_of("pull")
        && let Some(mut pull) = steps.pull(list, faults)
    {
        fill(&mut pull, &steps.outputs, faults);
        kept.push(Entry {
            key: "pull".to_owned(),
            at: pull.at,
            value: pull,
        });
    }
    Some(Draft {
        node: Node {
            at: item.at,
            content: Content::Map(kept),
            hidden: None,
        },
        default_name: None,
        notes: steps.notes,
    })
}

/// Whether an item is the one that `prefect init` writes, to be filled in: it says neither what nor where.
fn is_blank(item: &Node) -> bool {
    ["name", "entrypoint", "flow_name"]
        .iter()
        .all(|key| item.get(key).is_none_or(Node::is_null))
}

/// Keys that people leave empty although they are no text: `schedule: {}` is no schedule.
fn is_empty(entry: &Entry) -> bool {
    let nothing = match &entry.value.content {
        Content::Map(entries) => entries.is_empty(),
        _ => entry.value.is_null(),
    };
    nothing && matches!(entry.key.as_str(), "schedule" | "concurrency_limit")
}

/// Puts the outputs of steps into every text of a value.
fn fill(node: &mut Node, outputs: &Outputs, faults: &mut Faults<'_>) {
    node.for_each_scalar(&mut |scalar| {
        let at = scalar.at;
        let Some(filled) = scalar
            .as_str()
            .and_then(|text| outputs.fill(text, at, faults))
        else {
            return;
        };
        scalar.content = Content::Scalar(filled.into());
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::RepoPath;
    use crate::read::document::{self, Syntax};

    /// The drafts as values, their notes, and the faults as `line:column message`.
    fn read(text: &str) -> (Vec<Value>, Vec<String>, Vec<String>) {
        let (node, _) = document::parse(text, Syntax::Yaml).expect("valid YAML");
        let path = RepoPath::new("prefect.yaml");
        let mut faults = Faults::of(&path);
        let drafts = drafts(&node, &mut faults);
        let notes = drafts.iter().flat_map(|draft| draft.notes.clone());
        let (found, _) = faults.into_parts();
        let found = found
            .iter()
            .map(|one| format!("{}:{} {}", one.place.line, one.place.column, one.message));
        (
            drafts.iter().map(|draft| draft.node.to_value()).collect(),
            notes.collect(),
            found.collect(),
        )
    }

    #[test]
    fn items_are_drafts_with_anchors_and_without_steps() {
        let (drafts, notes, faults) = read(
            "name: x
definitions:
  pool: &pool {name: aks, job_variables: &vars {cpu: 1}}
pull: null
deployments:
  - name: a
    schedule: {}
    version: null
    work_pool:
      <<: *pool
      job_variables: {<<: *vars, memory: 2}
  - {name: null, entrypoint: null, work_pool: {name: null}}
",
        );
        assert_eq!(
            drafts,
            [json!({"name": "a", "version": null,
                "work_pool": {"name": "aks", "job_variables": {"cpu": 1, "memory": 2}}})]
        );
        assert_eq!((notes, faults), (vec![], vec![]));
    }

    #[test]
    fn outputs_of_known_steps_are_put_in() {
        let (drafts, notes, faults) = read("build:
  - prefect.deployments.steps.run_shell_script: {id: commit, script: git rev-parse --short HEAD}
  - prefect_docker.deployments.steps.build_docker_image:
      id: image
      image_name: acme.azurecr.io/flows
      tag: '{{ commit.stdout }}'
push:
  - prefect_azure.deployments.steps.push_to_azure_blob_storage: {id: code, container: c, folder: f}
pull:
  - prefect_azure.deployments.steps.pull_from_azure_blob_storage: {container: '{{ code.container }}', folder: '{{ code.folder }}'}
deployments:
  - name: a
    tags: ['{{ commit.stdout }}', '{{ $ENV }}']
    job_variables: {image: '{{ image.image }}', name: '{{ image_name }}'}
  - name: b
    push: null
    pull:
      - prefect.projects.steps.git_clone_project: {id: clone, repository: r}
      - prefect.deployments.steps.set_working_directory: {directory: '{{ clone.directory }}/x'}
");
        assert_eq!(faults, [""; 0]);
        assert_eq!(
            drafts[0],
            json!({"name": "a", "tags": ["{{ flowyard.git.short_sha }}", "{{ $ENV }}"], "job_variables": {
                "image": "acme.azurecr.io/flows:{{ flowyard.git.short_sha }}", "name": "acme.azurecr.io/flows"}})
        );
        assert_eq!(drafts[1]["pull"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            drafts[1]["pull"][1]["prefect.deployments.steps.set_working_directory"]["directory"],
            "{{ clone.directory }}/x"
        );
        insta::assert_snapshot!(notes.join("\n"), @"
        the image acme.azurecr.io/flows:{{ flowyard.git.short_sha }} is not built by flowyard yet: build and push it before
        the code goes to flowyard's storage, not to where the push step says
        its pull step is replaced by the one of the release
        the image acme.azurecr.io/flows:{{ flowyard.git.short_sha }} is not built by flowyard yet: build and push it before
        ");
    }

    #[test]
    fn what_only_a_step_could_tell_is_a_fault_where_it_is_used() {
        let (_, _, faults) = read(
            "build:
  - prefect.deployments.steps.run_shell_script: {id: v, script: ./version.sh}
  - my.own.step: {id: own}
deployments:
  - name: a
    version: '{{ v.stdout }}'
    tags: [x, '{{ own.thing }}']
  - name: b
    build: null
    pull: x
",
        );
        insta::assert_snapshot!(faults.join("\n"), @"
        3:5 flowyard does not know the step `my.own.step`
        6:14 `v.stdout` is known only when the script `./version.sh` runs
        10:11 `pull` is a list of steps, not text
        ");
    }
}
