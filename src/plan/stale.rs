//! Whether a saved plan still says what would be done now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Action, Part, Plan, print_of};
use crate::model::{Digest, RepoPath};

/// What a saved plan remembers of both sides, in digests: enough to see that something moved, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By `flow/name`.
    pub deployments: BTreeMap<String, SnapshotEntry>,
    /// The releases by project.
    pub releases: BTreeMap<RepoPath, Digest>,
}

/// One deployment of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEntry {
    /// `create`, `update`, `keep`, `remove` or `orphan`.
    pub action: String,
    /// The digest of what it will be; `None` for a removal.
    pub desired: Option<Digest>,
    /// The digest of what it is; `None` where it is not registered.
    pub live: Option<Digest>,
    /// The digest of what git declares of it; `None` for a removal, and in plans of an earlier flowyard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Digest>,
}

impl Snapshot {
    /// The snapshot of a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut snapshot = Self::default();
        for project in &plan.projects {
            snapshot
                .releases
                .insert(project.path.clone(), project.release.digest);
            for change in &project.changes {
                let action = match change.action {
                    Action::Create => "create",
                    Action::Update => "update",
                    Action::Keep => "keep",
                };
                // What a step gives may make the same of it, or not: only a deploy can tell.
                let action = match change.action {
                    Action::Keep if !change.later.is_empty() => "update",
                    _ => action,
                };
                let live = change.live.as_ref().map(|live| print_of(&live.fields));
                let fields = match (&change.registration, &change.live) {
                    (Some(registration), _) => Some(&registration.fields),
                    (None, Some(live)) => Some(&live.fields),
                    (None, None) => None,
                };
                let desired = fields.map(|fields| match change.later.is_empty() {
                    true => print_of(fields),
                    false => {
                        let known = fields.iter().filter(|(one, _)| !change.later.contains(one));
                        print_of(&known.map(|(one, value)| (*one, value.clone())).collect())
                    }
                });
                let entry = SnapshotEntry {
                    action: action.to_owned(),
                    desired,
                    live,
                    declared: Some(change.declared),
                };
                snapshot.deployments.insert(change.id.to_string(), entry);
            }
        }
        for orphan in &plan.orphans {
            let entry = SnapshotEntry {
                action: if plan.prune { "remove" } else { "orphan" }.to_owned(),
                desired: None,
                live: Some(print_of(&orphan.live.fields)),
                declared: None,
            };
            snapshot.deployments.insert(orphan.id.to_string(), entry);
        }
        snapshot
    }

    /// What of it a part is about.
    #[must_use]
    pub fn of_part(&self, part: &Part) -> Self {
        let ids = part.deployments.iter().chain(&part.removals);
        let entry = |id: String| Some((id.clone(), self.deployments.get(&id)?.clone()));
        let release = |path: &RepoPath| Some((path.clone(), *self.releases.get(path)?));
        Self {
            deployments: ids.map(ToString::to_string).filter_map(entry).collect(),
            releases: part.projects.iter().filter_map(release).collect(),
        }
    }
}

/// What differs where the same work has begun before: what is registered may have moved by that, what the files declare may
/// not.
pub fn moved_since_begun(saved: &Snapshot, now: &Snapshot) -> Vec<String> {
    let mut moved = moved_releases(saved, now);
    for (id, now) in &now.deployments {
        match saved.deployments.get(id) {
            None => moved.push(format!("{id} is not in the plan")),
            Some(old) if old.declared != now.declared => {
                moved.push(format!("{id} is declared otherwise than in the plan"));
            }
            Some(_) => {}
        }
    }
    moved
}

/// What differs in the code.
fn moved_releases(saved: &Snapshot, now: &Snapshot) -> Vec<String> {
    let mut moved = Vec::new();
    for (project, digest) in &now.releases {
        match saved.releases.get(project) {
            None => moved.push(format!("project {project} is not in the plan")),
            Some(old) if old != digest => moved.push(format!(
                "the code of {project} is {} now, the plan has {}",
                digest.short(),
                old.short()
            )),
            Some(_) => {}
        }
    }
    for project in saved
        .releases
        .keys()
        .filter(|one| !now.releases.contains_key(one))
    {
        moved.push(format!("project {project} is gone"));
    }
    moved
}

/// What differs between a saved plan and the plan of now, one sentence each; empty where the saved plan still holds.
pub fn moved(saved: &Snapshot, now: &Snapshot) -> Vec<String> {
    let mut moved = moved_releases(saved, now);
    for (id, now) in &now.deployments {
        let Some(old) = saved.deployments.get(id) else {
            moved.push(format!(
                "{id} is not in the plan; it would be a `{}` now",
                now.action
            ));
            continue;
        };
        match (old.live, now.live) {
            (Some(_), None) => moved.push(format!("{id} has been removed from the server")),
            (None, Some(_)) => moved.push(format!("{id} has been registered by someone meanwhile")),
            (old, now) if old != now => moved.push(format!("{id} has changed on the server")),
            _ if old.desired != now.desired => {
                moved.push(format!("{id} is declared otherwise than in the plan"));
            }
            _ if old.action != now.action => {
                moved.push(format!(
                    "{id} was a `{}`, and would be a `{}` now",
                    old.action, now.action
                ));
            }
            _ => {}
        }
    }
    for id in saved
        .deployments
        .keys()
        .filter(|id| !now.deployments.contains_key(*id))
    {
        moved.push(format!("{id} is neither declared nor registered any more"));
    }
    moved
}
