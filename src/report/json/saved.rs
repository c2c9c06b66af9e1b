//! The file of `plan --out`: the plan's document, and what `deploy --plan` needs to do the same or to refuse.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::{PlanDocument, with};
use super::{VERSION, document};
use crate::model::{Desired, Digest};
use crate::plan::{Part, Plan, Snapshot};
use crate::report::value;

/// With which options a plan was made; a deploy of it uses the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedOptions {
    /// The environment's name.
    pub environment: String,
    /// The globs that narrowed it to some projects; empty for all.
    pub projects: Vec<String>,
    /// The revision since which projects had to have changed, as written; `None` for all.
    pub since: Option<String>,
    /// Whether orphans are removed.
    pub prune: bool,
}

/// What is read of a saved plan. The rest of the file is for people and programs, and is worked out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedPlan {
    /// The digest of the file.
    pub digest: Digest,
    /// Both sides in digests, to see whether anything moved since.
    pub snapshot: Snapshot,
    /// With which options it was made.
    pub options: SavedOptions,
    /// Its parts, for several machines; empty where it has none, as before there were any.
    pub parts: Vec<Part>,
}

#[derive(Serialize)]
struct SavedDocument<'a> {
    #[serde(flatten)]
    plan: PlanDocument<'a>,
    snapshot: &'a Snapshot,
    options: &'a SavedOptions,
    #[serde(skip_serializing_if = "<[Part]>::is_empty")]
    shards: &'a [Part],
}

/// The text of a plan file, with the parts for several machines; none for one that is carried out at once.
pub fn save_plan(plan: &Plan, desired: &Desired, options: &SavedOptions, parts: &[Part]) -> String {
    let snapshot = Snapshot::of(plan);
    with(plan, desired, |plan| {
        let content = SavedDocument {
            plan,
            snapshot: &snapshot,
            options,
            shards: parts,
        };
        document("plan", content)
    })
}

/// Reads the text of a plan file. The error says what the text is instead.
pub fn load_plan(text: &str) -> anyhow::Result<SavedPlan> {
    let mut document = read(text, "plan")?;
    let parts = document.get_mut("shards").map(Value::take);
    let mut take = |key| match document.get_mut(key) {
        Some(value) => Ok(value.take()),
        None => bail!(
            "the plan has no `{key}`: only a file written by `plan --out` can be deployed, the output of `plan \
             --format json` cannot"
        ),
    };
    let (snapshot, options) = (take("snapshot")?, take("options")?);
    Ok(SavedPlan {
        digest: Digest::of(text.as_bytes()),
        parts: match parts {
            Some(parts) => serde_json::from_value(parts).context("read `shards` of the plan")?,
            None => Vec::new(),
        },
        snapshot: serde_json::from_value(snapshot).context("read `snapshot` of the plan")?,
        options: serde_json::from_value(options).context("read `options` of the plan")?,
    })
}

/// The document that a text is, if it is of this kind. The error says what the text is instead.
pub(super) fn read(text: &str, wanted: &str) -> anyhow::Result<Value> {
    let document: Value = serde_json::from_str(text)
        .with_context(|| format!("the {wanted} file is not JSON, or not all of it"))?;
    let article = if wanted.starts_with('o') { "an" } else { "a" };
    let Some(kind) = document.get("kind").and_then(Value::as_str) else {
        bail!("this is not {article} {wanted} of flowyard: it has no `kind`");
    };
    if kind != wanted {
        let kind = value::cut(&value::text(kind), value::WIDTH);
        bail!("this is a document of kind `{kind}`, not {article} {wanted}");
    }
    match document.get("version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => Ok(document),
        Some(version) => bail!(
            "the {wanted} has version {version}, and this flowyard reads version {VERSION}: make the {wanted} again"
        ),
        None => bail!("the {wanted} has no `version`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_saved_plan_comes_back() {
        let options = SavedOptions {
            environment: "prod".into(),
            projects: vec!["projects/news/*".into()],
            since: None,
            prune: true,
        };
        let plan = sample::plan(true);
        let parts = crate::plan::parts(&plan, 2);
        let text = save_plan(&plan, &sample::desired(), &options, &parts);
        let saved = load_plan(&text).expect("it was just written");
        assert_eq!((&saved.options, &saved.parts), (&options, &parts));
        assert_eq!(parts.len(), 2);
        assert_eq!(
            crate::plan::moved(&saved.snapshot, &Snapshot::of(&plan)),
            [""; 0]
        );
        assert!(!text.contains("-secret"), "{text}");
    }

    #[test]
    fn what_is_not_a_plan_is_named() {
        let plan = sample::plan(false);
        let printed = super::super::plan(&plan, &sample::desired());
        let texts = [
            "",
            "[]",
            "{}",
            r#"{"version": 1, "kind": "list"}"#,
            r#"{"version": 2, "kind": "plan"}"#,
            r#"{"kind": "plan"}"#,
            &printed,
            r#"{"version": 1, "kind": "plan", "snapshot": 1, "options": {}}"#,
        ];
        let errors: Vec<String> = texts
            .iter()
            .map(|text| format!("{:#}", load_plan(text).expect_err("it is no plan file")))
            .collect();
        insta::assert_snapshot!(errors.join("\n"), @"
        the plan file is not JSON, or not all of it: EOF while parsing a value at line 1 column 0
        this is not a plan of flowyard: it has no `kind`
        this is not a plan of flowyard: it has no `kind`
        this is a document of kind `list`, not a plan
        the plan has version 2, and this flowyard reads version 1: make the plan again
        the plan has no `version`
        the plan has no `snapshot`: only a file written by `plan --out` can be deployed, the output of `plan --format json` cannot
        read `snapshot` of the plan: invalid type: integer `1`, expected struct Snapshot
        ");
    }
}
