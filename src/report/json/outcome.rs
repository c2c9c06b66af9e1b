//! `"kind": "outcome"`.

use serde::Serialize;

use super::{document, path};
use crate::apply::{Item, Outcome, Status};
use crate::model::{Desired, Digest, Shard};
use crate::plan::Plan;
use crate::report::done::Done;

/// Whose outcomes a file of `deploy --out` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomesOf {
    /// The digest of the saved plan's file; `None` where there was none.
    pub plan: Option<Digest>,
    /// Which part of it; `None` where it was all.
    pub shard: Option<Shard>,
    /// Why the deploy ended before it did anything.
    pub failure: Option<String>,
}

#[derive(Serialize)]
struct OutcomesDocument<'a> {
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    outcomes: Vec<OutcomeDocument<'a>>,
    summary: SummaryDocument,
}

#[derive(Serialize)]
struct OutcomeDocument<'a> {
    project: &'a str,
    /// `build`, `upload`, `create`, `update` or `remove`.
    action: &'a str,
    /// The image that was made: its repository and the first digits of its tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    /// The deployment; `null` for an image and an upload.
    id: Option<String>,
    /// The digest of the release that was uploaded; `null` for a deployment.
    release: Option<String>,
    /// `done`, `failed` or `skipped`.
    status: &'a str,
    /// Why it failed or was skipped.
    message: Option<&'a str>,
    hint: Option<&'a str>,
    link: Option<&'a str>,
}

#[derive(Serialize)]
struct SummaryDocument {
    created: usize,
    updated: usize,
    unchanged: usize,
    removed: usize,
    uploaded: usize,
    built: usize,
    failed: usize,
    skipped: usize,
}

/// What came of a plan.
pub fn outcomes(plan: &Plan, outcomes: &[Outcome]) -> String {
    save_outcomes(plan, outcomes, &OutcomesOf::default())
}

/// What came of a plan or a part of it, as a file that [`load_outcomes`](super::load_outcomes) reads.
pub fn save_outcomes(plan: &Plan, outcomes: &[Outcome], of: &OutcomesOf) -> String {
    let done = Done::of(plan, &Desired::default(), outcomes);
    let all = outcomes.iter().map(|outcome| {
        let (id, release) = match &outcome.item {
            Item::Image(_) => (None, None),
            Item::Release(release) => (None, Some(release.digest.to_string())),
            Item::Registration(id) | Item::Removal(id) => (Some(id.to_string()), None),
        };
        let (status, message, hint) = match &outcome.status {
            Status::Done => ("done", None, None),
            Status::Failed { message, hint } => ("failed", Some(message.as_str()), hint.as_deref()),
            Status::Skipped { reason } => ("skipped", Some(reason.as_str()), None),
        };
        OutcomeDocument {
            project: path(&outcome.project),
            action: done.action(&outcome.item),
            image: match &outcome.item {
                Item::Image(name) => Some(name),
                _ => None,
            },
            id,
            release,
            status,
            message,
            hint,
            link: outcome.link.as_deref(),
        }
    });
    let content = OutcomesDocument {
        environment: &plan.environment,
        plan: of.plan,
        shard: of.shard,
        failure: of.failure.as_deref(),
        outcomes: all.collect(),
        summary: SummaryDocument {
            created: done.created,
            updated: done.updated,
            unchanged: done.kept,
            removed: done.removed,
            uploaded: done.uploaded,
            built: done.built,
            failed: done.failed,
            skipped: done.skipped,
        },
    };
    document("outcome", content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_document_holds_the_outcomes() {
        let plan = sample::plan(true);
        insta::assert_snapshot!(outcomes(&plan, &sample::outcomes(&plan, true)[..3]), @r#"
        {
          "version": 1,
          "kind": "outcome",
          "environment": "prod",
          "outcomes": [
            {
              "project": "projects/news/load_dn",
              "action": "upload",
              "id": null,
              "release": "329214b59301a2ef1f2d855f1fc13f6d2ba0df5bf1a31a947e10bfdd617ed62a",
              "status": "done",
              "message": null,
              "hint": null,
              "link": null
            },
            {
              "project": "projects/news/load_dn",
              "action": "create",
              "id": "load-dn/backfill",
              "release": null,
              "status": "done",
              "message": null,
              "hint": null,
              "link": "http://127.0.0.1:4200/deployments/8"
            },
            {
              "project": "projects/news/load_dn",
              "action": "update",
              "id": "load-dn/hourly",
              "release": null,
              "status": "failed",
              "message": "Prefect at http://127.0.0.1:4200/api: register load-dn/hourly: 422 job_variables violate the pool's schema",
              "hint": null,
              "link": null
            }
          ],
          "summary": {
            "created": 1,
            "updated": 0,
            "unchanged": 2,
            "removed": 0,
            "uploaded": 1,
            "built": 0,
            "failed": 1,
            "skipped": 0
          }
        }
        "#);
    }
}
