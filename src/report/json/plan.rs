//! `"kind": "plan"`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Fault, Place, document, path};
use crate::model::{Builder, DeploymentId, Desired, Digest};
use crate::plan::{Action, Cause, ImageAction, ImagePlan, Plan, Upload};
use crate::report::{all_diagnostics, shown};

/// A plan, with `desired` for the places of its deployments and the faults of its files.
pub fn plan(plan: &Plan, desired: &Desired) -> String {
    with(plan, desired, |content| document("plan", content))
}

/// Hands the wire form of a plan on, as it borrows from what is made here.
pub(super) fn with<T>(
    plan: &Plan,
    desired: &Desired,
    then: impl FnOnce(PlanDocument<'_>) -> T,
) -> T {
    let diagnostics = all_diagnostics(desired, plan);
    let places: BTreeMap<&DeploymentId, &crate::model::Place> = desired
        .projects
        .iter()
        .flat_map(|project| &project.deployments)
        .map(|deployment| (&deployment.id, &deployment.place))
        .collect();
    let projects = plan
        .projects
        .iter()
        .map(|project| ProjectDocument {
            path: path(&project.path),
            release: project.release.digest,
            reach: project.reach.as_ref().map(|reach| {
                let links = reach.links.iter();
                let links = links.map(|link| LinkDocument {
                    path: path(&link.path),
                    by: link.by.name(),
                });
                links.collect()
            }),
            upload: match project.upload {
                Upload::Nothing => None,
                Upload::Needed { files, bytes } => Some(UploadDocument { files, bytes }),
            },
            deployments: project
                .changes
                .iter()
                .map(|change| ChangeDocument {
                    id: change.id.to_string(),
                    action: match change.action {
                        Action::Create => "create",
                        Action::Update => "update",
                        Action::Keep => "keep",
                    },
                    place: places.get(&change.id).map(|place| Place::of(place)),
                    fields: shown::fields(change)
                        .into_iter()
                        .map(|field| FieldDocument {
                            path: field.path,
                            old: field.old,
                            new: field.new,
                            cause: match field.cause {
                                Cause::Git => "git",
                                Cause::Drift => "drift",
                            },
                        })
                        .collect(),
                    later: change.later.iter().map(|field| field.name()).collect(),
                    notes: &change.notes,
                })
                .collect(),
        })
        .collect();
    let images = plan.images.iter().map(ImageDocument::of).collect();
    let counts = plan.counts();
    then(PlanDocument {
        environment: &plan.environment,
        since: plan.since.as_ref().map(|since| SinceDocument {
            revision: since.revision.as_deref(),
            why: since.why.as_deref(),
        }),
        images,
        projects,
        orphans: plan
            .orphans
            .iter()
            .map(|orphan| OrphanDocument {
                id: orphan.id.to_string(),
                project: path(&orphan.project),
            })
            .collect(),
        prune: plan.prune,
        diagnostics: Fault::all(&diagnostics),
        summary: SummaryDocument {
            create: counts.create,
            update: counts.update,
            keep: counts.keep,
            remove: counts.remove,
            orphaned: counts.orphaned,
            drifted: counts.drifted,
            uploads: counts.uploads,
            files: counts.files,
            bytes: counts.bytes,
            builds: counts.builds,
        },
    })
}

/// A plan.
#[derive(Serialize)]
pub(super) struct PlanDocument<'a> {
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<SinceDocument<'a>>,
    images: Vec<ImageDocument<'a>>,
    projects: Vec<ProjectDocument<'a>>,
    orphans: Vec<OrphanDocument<'a>>,
    prune: bool,
    diagnostics: Vec<Fault<'a>>,
    summary: SummaryDocument,
}

#[derive(Serialize)]
struct ImageDocument<'a> {
    repository: &'a str,
    /// The digest of its inputs; null for one that is only named.
    tag: Option<Digest>,
    /// The digest of its manifest; null where it has to be made.
    digest: Option<String>,
    builder: Option<&'static str>,
    action: &'static str,
    reason: Option<&'a str>,
    deployments: Vec<String>,
    /// The first project that needs it.
    project: &'a str,
    place: Place<'a>,
}

impl<'a> ImageDocument<'a> {
    fn of(image: &'a ImagePlan) -> Self {
        let (action, reason) = match &image.action {
            ImageAction::Build { reason } => ("build", Some(reason.as_str())),
            ImageAction::Reuse => ("reuse", None),
            ImageAction::Keep => ("keep", None),
        };
        Self {
            repository: &image.repository,
            tag: image.tag,
            digest: image.digest.map(|digest| format!("sha256:{digest}")),
            builder: image.builder.map(Builder::name),
            action,
            reason,
            deployments: image.deployments.iter().map(ToString::to_string).collect(),
            project: path(&image.project),
            place: Place::of(&image.place),
        }
    }
}

#[derive(Serialize)]
struct ProjectDocument<'a> {
    path: &'a str,
    release: Digest,
    /// How a change reaches it, in a run that is narrowed to what changed; the last link is what changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reach: Option<Vec<LinkDocument<'a>>>,
    upload: Option<UploadDocument>,
    deployments: Vec<ChangeDocument<'a>>,
}

#[derive(Serialize)]
struct LinkDocument<'a> {
    path: &'a str,
    by: &'static str,
}

/// What a run is narrowed by.
#[derive(Serialize)]
struct SinceDocument<'a> {
    /// Null where everything counts as changed.
    revision: Option<&'a str>,
    /// Why it is this one; null where someone named it.
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct UploadDocument {
    files: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct ChangeDocument<'a> {
    id: String,
    action: &'a str,
    place: Option<Place<'a>>,
    fields: Vec<FieldDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    later: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

#[derive(Serialize)]
struct FieldDocument<'a> {
    path: String,
    old: Option<Value>,
    new: Option<Value>,
    cause: &'a str,
}

#[derive(Serialize)]
struct OrphanDocument<'a> {
    id: String,
    project: &'a str,
}

#[derive(Serialize)]
struct SummaryDocument {
    create: usize,
    update: usize,
    keep: usize,
    remove: usize,
    orphaned: usize,
    drifted: usize,
    uploads: usize,
    files: usize,
    bytes: u64,
    builds: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::sample;

    #[test]
    fn the_document_holds_the_plan() {
        let text = plan(&sample::plan(true), &sample::desired());
        assert!(text.ends_with("}\n"));
        assert_eq!(text, plan(&sample::plan(true), &sample::desired()));
        let document: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(document["version"], 1);
        assert_eq!(document["kind"], "plan");
        assert_eq!(
            document["summary"],
            json!({"create": 2, "update": 2, "keep": 2, "remove": 1, "orphaned": 0, "drifted": 2,
                   "uploads": 2, "files": 9, "bytes": 13_000, "builds": 0})
        );
        let weekly = &document["projects"][0]["deployments"][2];
        insta::assert_snapshot!(serde_json::to_string_pretty(weekly).expect("it is JSON"), @r#"
        {
          "action": "update",
          "fields": [
            {
              "cause": "git",
              "new": "projects/news/load_dn@329214b59301a2ef1f2d855f1fc13f6d2ba0df5bf1a31a947e10bfdd617ed62a",
              "old": "projects/news/load_dn@a0ad7d2f04fb6a8ecc909cbe190060b869725674380a03193ee24cfce1fbabb4",
              "path": "code"
            },
            {
              "cause": "git",
              "new": "329214b59301",
              "old": "a0ad7d2f04fb",
              "path": "version"
            }
          ],
          "id": "load-dn/weekly",
          "place": {
            "column": 1,
            "line": 1,
            "path": "projects/news/load_dn/weekly.deployment.yaml"
          }
        }
        "#);
    }

    #[test]
    fn a_narrowed_plan_tells_how_changes_reach_its_projects() {
        let text = plan(&sample::narrowed_plan(), &Desired::default());
        let document: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(
            document["since"],
            json!({"revision": "0123456789abcdef0123456789abcdef01234567", "why": "main before this push"})
        );
        assert_eq!(
            document["projects"][0]["reach"],
            json!([{"path": "lib/rss.py", "by": "import"}, {"path": "lib/http.py", "by": "import"}])
        );
    }

    #[test]
    fn no_secret_is_in_it() {
        let text = plan(&sample::plan(true), &sample::desired());
        assert!(
            text.contains("{{ $DN_TOKEN }}") && !text.contains("-secret"),
            "{text}"
        );
    }
}
