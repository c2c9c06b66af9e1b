//! Works out what would change: a pure comparison of what git declares, what is live, and what was last applied.
//!
//! Nothing here does input or output, so a plan can be made and tested from plain data. `apply` carries out a [`Plan`]
//! as it stands; what is not in it does not happen.

mod change;
mod check;
mod destroy;
mod diff;
mod image;
mod left;
mod offline;
mod orphans;
mod owned;
mod part;
mod parts;
mod stale;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::model::{
    Applied, AppliedDeployment, DeploymentId, Desired, Diagnostic, Dialect, Digest, Field, Fields,
    ImageState, Live, LiveDeployment, Reach, Registration, ReleaseRef, RepoPath, Since,
    fingerprint,
};

pub use destroy::destroy;
pub use diff::{Cause, FieldChange};
pub use image::{ImageAction, ImagePlan};
pub use left::Begin;
pub use offline::compare;
use orphans::{is_readable, orphans};
pub use part::{Part, parts};
pub use stale::{Snapshot, SnapshotEntry, moved, moved_since_begun};

/// What would be done, in the order of reports: projects by path, their deployments by id.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The environment's name.
    pub environment: String,
    /// The images that they need, by the first project that needs them.
    pub images: Vec<ImagePlan>,
    /// The projects in scope.
    pub projects: Vec<ProjectPlan>,
    /// What is registered as ours and declared nowhere any more; in a narrowed plan, of what it is narrowed to.
    pub orphans: Vec<Orphan>,
    /// Whether it is about the end of the environment: `orphans` are all that is registered, whatever is declared.
    pub destroys: bool,
    /// Whether `orphans` are removed; otherwise they are only shown.
    pub prune: bool,
    /// Faults that only the comparison shows, such as a work pool that does not exist.
    pub diagnostics: Vec<Diagnostic>,
    /// What the run is narrowed by; `None` where it is not narrowed to what changed.
    pub since: Option<Since>,
}

/// One project's part of the plan.
#[derive(Clone, Debug)]
pub struct ProjectPlan {
    /// The project's id.
    pub path: RepoPath,
    /// The release that its deployments will run.
    pub release: ReleaseRef,
    /// Whether the release must be uploaded first.
    pub upload: Upload,
    /// What happens to each of its deployments.
    pub changes: Vec<Change>,
    /// How a change reaches it, in a run that is narrowed to what changed.
    pub reach: Option<Reach>,
}

/// Whether a release has to be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// It is complete in the store, or nothing would use it.
    Nothing,
    /// Its manifest is not in the store.
    Needed {
        /// How many files it has.
        files: usize,
        /// Their length in bytes, together.
        bytes: u64,
    },
}

/// What happens to a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is not registered yet.
    Create,
    /// It is registered, and differs.
    Update,
    /// It is registered just so.
    Keep,
}

/// One deployment's part of the plan.
#[derive(Clone, Debug)]
pub struct Change {
    /// `flow/name`.
    pub id: DeploymentId,
    /// Create, update or keep.
    pub action: Action,
    /// Every difference, in the order of [`Field`]; empty for [`Action::Keep`].
    pub fields: Vec<FieldChange>,
    /// The fields that differ as a whole; what the orchestrator needs to send.
    pub changed: BTreeSet<Field>,
    /// What it will be; `None` for [`Action::Keep`]: it is that already.
    pub registration: Option<Registration>,
    /// What it is; `None` where it is not registered.
    pub live: Option<Arc<LiveDeployment>>,
    /// The digest of what git declares of it, apart from what only a deploy knows.
    pub declared: Digest,
    /// What we remember of it from now on; `None` where we do already. It may be there although nothing differs: when
    /// state was lost, or a run was killed between the registration and the state.
    pub remember: Option<AppliedDeployment>,
    /// What is written down before it is registered; `None` for [`Action::Keep`].
    pub begin: Option<Begin>,
    /// What was decided about it that no file says; see [`Deployment::notes`](crate::model::Deployment::notes).
    pub notes: Vec<String>,
    /// The fields that have the output of a step in them, whether it is known already or only at deploy.
    pub later: BTreeSet<Field>,
}

/// A registered deployment of ours that no file declares.
#[derive(Clone, Debug)]
pub struct Orphan {
    /// `flow/name`.
    pub id: DeploymentId,
    /// The project that declared it.
    pub project: RepoPath,
    /// What it is.
    pub live: Arc<LiveDeployment>,
}

/// What a comparison needs to know beside its three sides.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The mark of this repository.
    pub repository: String,
    /// The environment's name.
    pub environment: String,
    /// Another environment of this repository, whose deployments become this one's where they are declared.
    pub takes_over: Option<String>,
    /// The root, as a path in the git repository.
    pub root: RepoPath,
    /// Whether orphans are to be removed.
    pub prune: bool,
    /// Whether another run may find projects that this one cannot; nothing is an orphan then.
    pub hides: bool,
    /// What is known of the images that are needed, by their keys; empty where nobody was asked.
    pub images: BTreeMap<String, ImageState>,
    /// The release of the server, which decides what a field is that is let go of.
    pub dialect: Dialect,
    /// The only deployments that can be orphans; `None` where all can.
    pub removals: Option<BTreeSet<DeploymentId>>,
}

/// How many of what a plan holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deployments to create.
    pub create: usize,
    /// Deployments to update.
    pub update: usize,
    /// Deployments that stay as they are.
    pub keep: usize,
    /// Deployments to remove; 0 without pruning.
    pub remove: usize,
    /// Orphans that stay because pruning is off.
    pub orphaned: usize,
    /// Field differences that someone made on the server.
    pub drifted: usize,
    /// Releases to upload.
    pub uploads: usize,
    /// Files of these releases.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Images to make.
    pub builds: usize,
}

impl Plan {
    /// The same for people: every text of a difference as `show` gives it.
    #[must_use]
    pub fn shown(&self, show: &dyn Fn(&str) -> String) -> Self {
        let mut shown = self.clone();
        let changes = shown.projects.iter_mut().flat_map(|one| &mut one.changes);
        for field in changes.flat_map(|change| &mut change.fields) {
            for value in [&mut field.old, &mut field.new].into_iter().flatten() {
                show_texts(value, show);
            }
        }
        shown
    }

    /// Counts what the plan holds.
    pub fn counts(&self) -> Counts {
        let builds = |image: &&ImagePlan| matches!(image.action, ImageAction::Build { .. });
        let mut counts = Counts {
            builds: self.images.iter().filter(builds).count(),
            ..Counts::default()
        };
        for project in &self.projects {
            if let Upload::Needed { files, bytes } = project.upload {
                counts.uploads += 1;
                counts.files += files;
                counts.bytes += bytes;
            }
            for change in &project.changes {
                match change.action {
                    Action::Create => counts.create += 1,
                    Action::Update => counts.update += 1,
                    Action::Keep => counts.keep += 1,
                }
                counts.drifted += change
                    .fields
                    .iter()
                    .filter(|field| field.cause == Cause::Drift)
                    .count();
            }
        }
        if self.prune {
            counts.remove = self.orphans.len();
        } else {
            counts.orphaned = self.orphans.len();
        }
        counts
    }

    /// Whether there is nothing to do. State that is out of date does not count: it is not a change to anybody's
    /// deployment.
    pub fn is_empty(&self) -> bool {
        let counts = self.counts();
        counts.create + counts.update + counts.remove + counts.uploads + counts.builds == 0
    }

    /// Whether applying writes anything at all, also to our own state.
    pub fn writes_nothing(&self) -> bool {
        self.is_empty() && self.changes().all(|change| change.remember.is_none())
    }

    /// What we remember while the deployments that `will` be registered are: whatever of them is there in the end, the
    /// next comparison tells whose it is.
    pub fn next_begun(&self, applied: &Applied, will: impl Fn(&DeploymentId) -> bool) -> Applied {
        let mut next = applied.clone();
        for change in self.changes().filter(|change| will(&change.id)) {
            if let Some(begin) = &change.begin {
                begin.write_down(&change.id, &mut next);
            }
        }
        next
    }

    /// What we remember after `done` deployments were registered or removed.
    pub fn next_applied(&self, applied: &Applied, done: impl Fn(&DeploymentId) -> bool) -> Applied {
        let mut next = applied.clone();
        for change in self.changes().filter(|change| done(&change.id)) {
            next.begun.remove(&change.id);
            if let Some(remember) = &change.remember {
                next.deployments.insert(change.id.clone(), remember.clone());
            }
        }
        if self.prune {
            for orphan in self.orphans.iter().filter(|orphan| done(&orphan.id)) {
                next.deployments.remove(&orphan.id);
                next.begun.remove(&orphan.id);
            }
        }
        next
    }

    fn changes(&self) -> impl Iterator<Item = &Change> {
        self.projects.iter().flat_map(|project| &project.changes)
    }
}

/// Compares the three sides.
///
/// A declared field that differs is a change; where the live value is not what we last applied either, it is drift. A
/// field that was declared at the last deploy and is no more goes back to its default, unless someone has set it on the
/// server since. A field that was never declared is left alone. `complete` are the releases whose manifests are in the
/// store. Nothing is removed where not everything was looked at.
pub fn diff(
    desired: &Desired,
    live: &Live,
    applied: &Applied,
    complete: &BTreeSet<ReleaseRef>,
    options: &Options,
) -> Plan {
    let (mut plan, withheld) = diff_withholding(desired, live, applied, complete, options);
    plan.diagnostics.extend(withheld);
    plan.diagnostics.sort();
    plan
}

/// The same, with what is left alone apart.
fn diff_withholding(
    desired: &Desired,
    live: &Live,
    applied: &Applied,
    complete: &BTreeSet<ReleaseRef>,
    options: &Options,
) -> (Plan, Vec<Diagnostic>) {
    let mut diagnostics: Vec<Diagnostic> = desired
        .projects
        .iter()
        .flat_map(|project| &project.deployments)
        .flat_map(|deployment| check::against_live(deployment, live, options))
        .collect();
    let projects = desired.projects.par_iter().map(|project| {
        let deployments = &project.deployments;
        let change = |deployment| change::of(project, deployment, live, applied, options);
        let used = deployments
            .iter()
            .any(|one| change::uses(&project.release, one));
        let upload = if !used || complete.contains(&project.release) {
            Upload::Nothing
        } else {
            Upload::Needed {
                files: project.code.files().len(),
                bytes: project.code.length(),
            }
        };
        ProjectPlan {
            path: project.path.clone(),
            release: project.release.clone(),
            upload,
            changes: deployments.iter().map(change).collect(),
            reach: project.reach.clone(),
        }
    });
    let projects: Vec<ProjectPlan> = projects.collect();
    let images = image::plans(desired, &projects, applied, options);
    let (orphans, withheld) = orphans(desired, live, options);
    diagnostics.sort();
    let plan = Plan {
        environment: options.environment.clone(),
        images,
        projects,
        orphans,
        destroys: false,
        prune: options.prune
            && is_readable(desired)
            && desired.left_out.is_none()
            && !options.hides,
        diagnostics,
        since: desired.since.clone(),
    };
    (plan, withheld)
}

/// One digest for a whole set of fields.
fn print_of(fields: &Fields) -> Digest {
    let object: Map<String, Value> = fields
        .iter()
        .map(|(field, value)| (field.name().to_owned(), value.clone()))
        .collect();
    fingerprint(&Value::Object(object))
}

fn show_texts(value: &mut Value, show: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = show(text),
        Value::Array(items) => items.iter_mut().for_each(|item| show_texts(item, show)),
        Value::Object(entries) => entries.values_mut().for_each(|one| show_texts(one, show)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
