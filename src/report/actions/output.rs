//! The step's outputs.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use anyhow::bail;
use serde::Serialize;

use crate::apply::{Outcome, Status};
use crate::model::{DeploymentId, Desired, Shard};
use crate::plan::{ImagePlan, Plan, ProjectPlan};
use crate::report::done::Done;
use crate::report::{as_declared, faults_of_files, json, to_do};

/// How many bytes of releases are told: all outputs of a job together may be 1 MB.
const LONGEST: usize = 400_000;

/// The outputs of a step by their names.
///
/// | name | value |
/// |---|---|
/// | `changed` | how many deployments would be, or were, created, updated or removed |
/// | `has-changes` | `true` where anything would be, or was, changed, an upload alone included; else `false` |
/// | `plan-file` | the file of `plan --out`; empty without |
/// | `summary` | what the report sums up to, one line |
/// | `deployed` | how many items were carried out; 0 for a plan |
/// | `failed` | how many items failed or were skipped, and how many faults there are in what was left out; 0 for a plan |
/// | `matrix` | the parts of `plan --shards` for a job's `strategy.matrix`, `{"shard":["1/2","2/2"]}`; empty without |
/// | `releases` | JSON list: every project in scope, its release's digest and the images that it runs in |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs(pub BTreeMap<&'static str, String>);

/// What runs after a deploy, or would run: one for each project.
#[derive(Serialize)]
struct Release<'a> {
    project: &'a str,
    release: String,
    images: Vec<String>,
}

/// The outputs of a plan; with the number of its parts, where parts were asked for.
pub fn planned(plan: &Plan, file: Option<&str>, parts: Option<u16>) -> Outputs {
    let counts = plan.counts();
    let summary = if plan.is_empty() {
        format!("no changes: {}", as_declared(plan))
    } else {
        to_do(plan)
    };
    let mut outputs = of(plan, counts.create + counts.update + counts.remove, summary);
    let file = file.unwrap_or_default().to_owned();
    outputs.0.insert("plan-file", file);
    if let Some(of) = parts {
        let shards: Vec<String> = (1..=of)
            .map(|part| Shard { part, of }.to_string())
            .collect();
        let matrix = serde_json::json!({"shard": shards});
        outputs.0.insert("matrix", matrix.to_string());
    }
    outputs
}

/// The outputs of a deploy of what `desired` declares without its faulty projects.
pub fn deployed(plan: &Plan, desired: &Desired, outcomes: &[Outcome]) -> Outputs {
    let done = Done::of(plan, desired, outcomes);
    let summary = if outcomes.is_empty() {
        let faults = match done.faults {
            0 => String::new(),
            faults => format!("{}; ", faults_of_files(faults)),
        };
        format!("{faults}nothing to do: {}", as_declared(plan))
    } else {
        done.sum()
    };
    let mut outputs = of(plan, done.created + done.updated + done.removed, summary);
    let carried_out = outcomes.iter().filter(|one| one.status == Status::Done);
    let carried_out = carried_out.count();
    outputs.0.insert("deployed", carried_out.to_string());
    outputs.0.insert("failed", done.left().to_string());
    outputs
        .0
        .insert("has-changes", (carried_out > 0).to_string());
    outputs
}

fn of(plan: &Plan, changed: usize, summary: String) -> Outputs {
    let releases: Vec<Release<'_>> = plan
        .projects
        .iter()
        .map(|project| Release {
            project: json::path(&project.path),
            release: project.release.digest.to_string(),
            images: images(plan, project),
        })
        .collect();
    let mut releases = serde_json::to_string(&releases).unwrap_or_default();
    if releases.len() > LONGEST {
        tracing::warn!(
            "the output `releases` is left empty: it would have {} bytes; `flowyard plan --format json` has all of it",
            releases.len()
        );
        releases = String::new();
    }
    Outputs(BTreeMap::from([
        ("changed", changed.to_string()),
        ("has-changes", (!plan.is_empty()).to_string()),
        ("plan-file", String::new()),
        ("summary", summary),
        ("deployed", "0".to_owned()),
        ("matrix", String::new()),
        ("failed", "0".to_owned()),
        ("releases", releases),
    ]))
}

/// The images that a project's deployments run in, as far as the plan knows them: `repository:tag@digest`.
fn images(plan: &Plan, project: &ProjectPlan) -> Vec<String> {
    let needs = |image: &&ImagePlan| {
        let of_project = |id: &DeploymentId| project.changes.iter().any(|change| change.id == *id);
        image.project == project.path || image.deployments.iter().any(of_project)
    };
    plan.images
        .iter()
        .filter(needs)
        .map(|image| {
            let mut text = image.repository.clone();
            if let Some(tag) = &image.tag {
                text += &format!(":{}", tag.short());
            }
            if let Some(digest) = &image.digest {
                text += &format!("@sha256:{digest}");
            }
            text
        })
        .collect()
}

/// A delimiter that nobody can guess.
pub fn delimiter() -> String {
    // The standard library's hasher is keyed with the system's randomness, which needs no crate.
    let part = || RandomState::new().build_hasher().finish();
    format!("flowyard-{:016x}{:016x}", part(), part())
}

impl Outputs {
    /// As lines of the file that GITHUB_OUTPUT names: each value between two lines of `delimiter`
    /// (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#multiline-strings>). A value
    /// that holds the delimiter is refused: whoever wrote it could set any output.
    pub fn text(&self, delimiter: &str) -> anyhow::Result<String> {
        let mut text = String::new();
        for (name, value) in &self.0 {
            if value.contains(delimiter) {
                bail!("the output `{name}` holds the delimiter of outputs");
            }
            text += &format!("{name}<<{delimiter}\n{value}\n{delimiter}\n");
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn shown(outputs: &Outputs) -> String {
        let lines = outputs
            .0
            .iter()
            .map(|(name, value)| format!("{name} = {value}").trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_plan_and_its_outcomes() {
        let plan = sample::plan(true);
        insta::assert_snapshot!(shown(&planned(&plan, Some("plan.json"), Some(2))), @r#"
        changed = 5
        deployed = 0
        failed = 0
        has-changes = true
        matrix = {"shard":["1/2","2/2"]}
        plan-file = plan.json
        releases = [{"project":"projects/news/load_dn","release":"329214b59301a2ef1f2d855f1fc13f6d2ba0df5bf1a31a947e10bfdd617ed62a","images":[]},{"project":"projects/warehouse/dbt","release":"06621a129c19bdeb046b0ebd45503e8a37d9c733d76321f62b95dd944dce2174","images":[]},{"project":"projects/x`</details>|@all\u001b[31m","release":"44498e83cc74ba0dfd9bb643c947473feebf138ca09b624dbdb530a8ce8a1509","images":[]}]
        summary = 2 to create, 2 to update, 2 unchanged, 1 to remove; 2 releases to upload (9 files, 13.0 KB)
        "#);
        let outcomes = sample::outcomes(&plan, true);
        insta::assert_snapshot!(shown(&deployed(&plan, &Desired::default(), &outcomes)), @r#"
        changed = 2
        deployed = 3
        failed = 4
        has-changes = true
        matrix =
        plan-file =
        releases = [{"project":"projects/news/load_dn","release":"329214b59301a2ef1f2d855f1fc13f6d2ba0df5bf1a31a947e10bfdd617ed62a","images":[]},{"project":"projects/warehouse/dbt","release":"06621a129c19bdeb046b0ebd45503e8a37d9c733d76321f62b95dd944dce2174","images":[]},{"project":"projects/x`</details>|@all\u001b[31m","release":"44498e83cc74ba0dfd9bb643c947473feebf138ca09b624dbdb530a8ce8a1509","images":[]}]
        summary = 1 created, 1 updated, 2 unchanged, 0 removed; 1 release uploaded; 2 failed, 2 skipped
        "#);
        let nothing = planned(&sample::empty_plan(), None, Some(0));
        assert_eq!(nothing.0["has-changes"], "false");
        assert_eq!(nothing.0["matrix"], r#"{"shard":[]}"#);
        let mut faulty = sample::desired();
        faulty.diagnostics = sample::diagnostics();
        let left_out = deployed(&sample::empty_plan(), &faulty, &[]);
        assert_eq!(left_out.0["has-changes"], "false");
        assert_eq!(left_out.0["failed"], "2");
        assert_eq!(
            left_out.0["summary"],
            "2 faults in the deployment files; nothing to do: 5 deployments in 3 projects are as the files declare."
        );
    }

    #[test]
    fn a_value_with_the_delimiter_is_refused() {
        let mark = delimiter();
        assert_ne!(mark, delimiter());
        let good = Outputs(BTreeMap::from([("summary", "a\nb<<EOF\nc".to_owned())]));
        assert_eq!(
            good.text("D").expect("it can be written"),
            "summary<<D\na\nb<<EOF\nc\nD\n"
        );
        let bad = Outputs(BTreeMap::from([(
            "summary",
            format!("a\n{mark}\nother<<x"),
        )]));
        assert!(bad.text(&mark).is_err());
    }
}
