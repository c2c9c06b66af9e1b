//! What came of a plan, counted and in words.

use std::collections::BTreeMap;

use super::value;
use crate::apply::{Item, Outcome, Status};
use crate::model::{DeploymentId, Desired, RepoPath};
use crate::plan::{Action, Plan, Upload};

/// The outcomes of a plan, counted.
pub(super) struct Done<'a> {
    actions: BTreeMap<&'a DeploymentId, Action>,
    uploads: BTreeMap<&'a RepoPath, (usize, u64)>,
    /// Deployments that stayed as they were.
    pub(super) kept: usize,
    /// Deployments that were registered for the first time.
    pub(super) created: usize,
    /// Deployments that were registered anew.
    pub(super) updated: usize,
    /// Deployments that were removed.
    pub(super) removed: usize,
    /// Images that were made.
    pub(super) built: usize,
    /// Releases that became complete.
    pub(super) uploaded: usize,
    /// Items that failed.
    pub(super) failed: usize,
    /// Items that were not tried.
    pub(super) skipped: usize,
    /// Faults of files whose projects were left out.
    pub(super) faults: usize,
    destroys: bool,
}

impl<'a> Done<'a> {
    /// Counts what came of a plan that was made from `desired`.
    pub(super) fn of(plan: &'a Plan, desired: &Desired, outcomes: &[Outcome]) -> Self {
        let actions = plan
            .projects
            .iter()
            .flat_map(|project| &project.changes)
            .map(|change| (&change.id, change.action))
            .collect();
        let uploads = plan
            .projects
            .iter()
            .filter_map(|project| match project.upload {
                Upload::Needed { files, bytes } => Some((&project.path, (files, bytes))),
                Upload::Nothing => None,
            })
            .collect();
        let mut done = Self {
            actions,
            uploads,
            kept: plan.counts().keep,
            created: 0,
            updated: 0,
            removed: 0,
            built: 0,
            uploaded: 0,
            failed: 0,
            skipped: 0,
            faults: desired
                .diagnostics
                .iter()
                .filter(|one| one.is_error())
                .count(),
            destroys: plan.destroys,
        };
        for outcome in outcomes {
            match (&outcome.status, &outcome.item) {
                (Status::Failed { .. }, _) => done.failed += 1,
                (Status::Skipped { .. }, _) => done.skipped += 1,
                (Status::Done, Item::Image(_)) => done.built += 1,
                (Status::Done, Item::Release(_)) => done.uploaded += 1,
                (Status::Done, Item::Removal(_)) => done.removed += 1,
                (Status::Done, Item::Registration(id)) if done.is_create(id) => done.created += 1,
                (Status::Done, Item::Registration(_)) => done.updated += 1,
            }
        }
        done
    }

    /// Whether a deployment was to be registered for the first time.
    pub(super) fn is_create(&self, id: &DeploymentId) -> bool {
        self.actions.get(id) == Some(&Action::Create)
    }

    /// What an item does, for programs: `upload`, `create`, `update` or `remove`.
    pub(super) fn action(&self, item: &Item) -> &'static str {
        match item {
            Item::Image(_) => "build",
            Item::Release(_) => "upload",
            Item::Registration(id) if self.is_create(id) => "create",
            Item::Registration(_) => "update",
            Item::Removal(_) => "remove",
        }
    }

    /// ` (7 files, 24.1 KB)`; empty where nothing was to be uploaded.
    pub(super) fn amount(&self, project: &RepoPath) -> String {
        match self.uploads.get(project) {
            Some((files, bytes)) => {
                format!(
                    " ({}, {})",
                    value::count(*files, "file"),
                    value::size(*bytes)
                )
            }
            None => String::new(),
        }
    }

    /// How much was not done: what failed, what was skipped, and the faults of what was left out.
    pub(super) fn left(&self) -> usize {
        self.failed + self.skipped + self.faults
    }

    /// `Deployed`, or how much less than that.
    pub(super) fn heading(&self) -> &'static str {
        let done = self.created + self.updated + self.removed + self.uploaded + self.built;
        match (self.left(), done, self.destroys) {
            (0, _, false) => "Deployed",
            (_, 0, false) => "Nothing was deployed",
            (_, _, false) => "Deployed only in part",
            (0, _, true) => "Destroyed",
            (_, 0, true) => "Nothing was destroyed",
            (_, _, true) => "Destroyed only in part",
        }
    }

    /// `2 created, 1 updated, 14 unchanged, 0 removed; 1 image built; 3 releases uploaded; 1 failed, 2 skipped`.
    pub(super) fn sum(&self) -> String {
        let mut text = match self.destroys {
            true => format!("{} removed", value::count(self.removed, "deployment")),
            false => format!(
                "{} created, {} updated, {} unchanged, {} removed",
                self.created, self.updated, self.kept, self.removed
            ),
        };
        if self.built > 0 {
            text += &format!("; {} built", value::count(self.built, "image"));
        }
        if self.uploaded > 0 {
            text += &format!("; {} uploaded", value::count(self.uploaded, "release"));
        }
        if self.failed + self.skipped > 0 {
            text += &format!("; {} failed, {} skipped", self.failed, self.skipped);
        }
        if self.faults > 0 {
            text += &format!("; {}", super::faults_of_files(self.faults));
        }
        text
    }
}

/// What an item is about: a deployment, or the release of a project.
pub(super) fn subject(item: &Item) -> String {
    match item {
        Item::Image(name) => name.clone(),
        Item::Release(release) => release.to_string(),
        Item::Registration(id) | Item::Removal(id) => id.to_string(),
    }
}
