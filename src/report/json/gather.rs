//! Reads back what a plan and the machines that carried out its parts have written down.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::saved;
use crate::apply::{Item, Outcome, Status};
use crate::model::{DeploymentId, Digest, Place, ReleaseRef, RepoPath, Shard};
use crate::plan::{Action, Change, ImageAction, ImagePlan, Orphan, Plan, ProjectPlan, Upload};

/// What one deploy wrote down with `--out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedOutcomes {
    /// The digest of the plan's file; `None` where it was no saved plan.
    pub plan: Option<Digest>,
    /// Which part; `None` where it was all of it.
    pub shard: Option<Shard>,
    /// What came of its items.
    pub outcomes: Vec<Outcome>,
    /// Why it ended before it did anything.
    pub failure: Option<String>,
}

/// The plan in a plan file, as far as reports of its outcomes need it: without the values of fields, and with nothing that
/// could be carried out.
pub fn planned(text: &str) -> anyhow::Result<Plan> {
    let document = saved::read(text, "plan")?;
    let file: PlanFile = serde_json::from_value(document).context("read the plan")?;
    let orphans = file.orphans.into_iter().map(|one| Orphan {
        id: one.id,
        project: RepoPath::new(one.project),
        live: std::sync::Arc::default(),
    });
    Ok(Plan {
        environment: file.environment,
        images: file.images.into_iter().map(ImageFile::plan).collect(),
        projects: file.projects.into_iter().map(ProjectFile::plan).collect(),
        orphans: orphans.collect(),
        prune: file.prune,
        ..Plan::default()
    })
}

/// Reads the text of an outcome file. The error says what the text is instead.
pub fn load_outcomes(text: &str) -> anyhow::Result<SavedOutcomes> {
    let document = saved::read(text, "outcome")?;
    let file: OutcomesFile = serde_json::from_value(document).context("read the outcome")?;
    let outcomes = file.outcomes.into_iter().map(OutcomeFile::outcome);
    Ok(SavedOutcomes {
        plan: file.plan,
        shard: file.shard,
        outcomes: outcomes.collect::<anyhow::Result<_>>()?,
        failure: file.failure,
    })
}

#[derive(Deserialize)]
struct PlanFile {
    environment: String,
    images: Vec<ImageFile>,
    projects: Vec<ProjectFile>,
    orphans: Vec<OrphanFile>,
    prune: bool,
}

#[derive(Deserialize)]
struct ImageFile {
    repository: String,
    tag: Option<Digest>,
    digest: Option<String>,
    action: String,
    reason: Option<String>,
    deployments: Vec<DeploymentId>,
    project: Option<String>,
}

#[derive(Deserialize)]
struct ProjectFile {
    path: String,
    release: Digest,
    upload: Option<UploadFile>,
    deployments: Vec<ChangeFile>,
}

#[derive(Deserialize)]
struct UploadFile {
    files: usize,
    bytes: u64,
}

#[derive(Deserialize)]
struct ChangeFile {
    id: DeploymentId,
    action: String,
}

#[derive(Deserialize)]
struct OrphanFile {
    id: DeploymentId,
    project: String,
}

#[derive(Deserialize)]
struct OutcomesFile {
    plan: Option<Digest>,
    shard: Option<Shard>,
    failure: Option<String>,
    outcomes: Vec<OutcomeFile>,
}

#[derive(Deserialize)]
struct OutcomeFile {
    project: String,
    action: String,
    image: Option<String>,
    id: Option<DeploymentId>,
    release: Option<Digest>,
    status: String,
    message: Option<String>,
    hint: Option<String>,
    link: Option<String>,
}

impl ImageFile {
    fn plan(self) -> ImagePlan {
        let digest = self.digest.as_deref();
        let digest = digest.and_then(|text| text.strip_prefix("sha256:")?.parse().ok());
        ImagePlan {
            keys: Vec::new(),
            repository: self.repository,
            tag: self.tag,
            digest,
            builder: None,
            action: match self.action.as_str() {
                "build" => ImageAction::Build {
                    reason: self.reason.unwrap_or_default(),
                },
                "reuse" => ImageAction::Reuse,
                _ => ImageAction::Keep,
            },
            deployments: self.deployments,
            project: RepoPath::new(self.project.unwrap_or_default()),
            place: Place::file(RepoPath::root()),
        }
    }
}

impl ProjectFile {
    fn plan(self) -> ProjectPlan {
        let path = RepoPath::new(self.path);
        ProjectPlan {
            release: ReleaseRef {
                project: path.clone(),
                digest: self.release,
            },
            path,
            upload: match self.upload {
                Some(UploadFile { files, bytes }) => Upload::Needed { files, bytes },
                None => Upload::Nothing,
            },
            changes: self.deployments.into_iter().map(ChangeFile::plan).collect(),
            reach: None,
        }
    }
}

impl ChangeFile {
    fn plan(self) -> Change {
        Change {
            id: self.id,
            action: match self.action.as_str() {
                "create" => Action::Create,
                "update" => Action::Update,
                _ => Action::Keep,
            },
            fields: Vec::new(),
            changed: BTreeSet::new(),
            registration: None,
            live: None,
            declared: Digest::of(&[]),
            remember: None,
            begin: None,
            notes: Vec::new(),
            later: BTreeSet::new(),
        }
    }
}

impl OutcomeFile {
    fn outcome(self) -> anyhow::Result<Outcome> {
        let project = RepoPath::new(self.project);
        let release = self.release.map(|digest| ReleaseRef {
            project: project.clone(),
            digest,
        });
        let item = match (self.action.as_str(), self.id, release, self.image) {
            ("build", _, _, Some(image)) => Item::Image(image),
            ("upload", _, Some(release), _) => Item::Release(release),
            ("create" | "update", Some(id), ..) => Item::Registration(id),
            ("remove", Some(id), ..) => Item::Removal(id),
            (action, ..) => bail!(
                "the outcome holds an item that is nothing: `{}`",
                action.escape_default()
            ),
        };
        let status = match self.status.as_str() {
            "done" => Status::Done,
            "failed" => Status::Failed {
                message: self.message.unwrap_or_default(),
                hint: self.hint,
            },
            "skipped" => Status::Skipped {
                reason: self.message.unwrap_or_default(),
            },
            other => bail!(
                "the outcome holds a status that is none: `{}`",
                other.escape_default()
            ),
        };
        Ok(Outcome {
            project,
            item,
            status,
            link: self.link,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Desired;
    use crate::plan::parts;
    use crate::report::{json, markdown, sample};

    #[test]
    fn a_plan_and_its_outcomes_come_back_as_far_as_reports_need_them() {
        for failing in [true, false] {
            let plan = sample::plan(true);
            let outcomes = sample::outcomes(&plan, failing);
            let text = json::save_plan(
                &plan,
                &sample::desired(),
                &json::SavedOptions::default(),
                &parts(&plan, 3),
            );
            let back = planned(&text).expect("it was just written");
            let of = json::OutcomesOf {
                plan: Some(Digest::of(text.as_bytes())),
                shard: Some("2/3".parse().expect("a part")),
                failure: None,
            };
            let saved = load_outcomes(&json::save_outcomes(&plan, &outcomes, &of))
                .expect("it was just written");
            assert_eq!((saved.plan, saved.shard), (of.plan, of.shard));
            assert_eq!(saved.outcomes, outcomes);
            let options = markdown::Options::default();
            let nothing = Desired::default();
            assert_eq!(
                markdown::outcomes(&back, &nothing, &saved.outcomes, &options),
                markdown::outcomes(&plan, &nothing, &outcomes, &options)
            );
            assert_eq!(back.counts().keep, plan.counts().keep);
        }
    }
}
