//! A saved plan, or one part of it, that a deploy carries out.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::Run;
use crate::cli;
use crate::config;
use crate::error::Failure;
use crate::model::{DeploymentId, Desired, Shard};
use crate::plan::{self, Part, Plan, Snapshot};
use crate::report::json::{self, SavedPlan};
use crate::state::Share;

/// What was saved.
pub(super) struct Saved {
    /// The whole plan.
    pub(super) plan: SavedPlan,
    /// The part that is carried out; `None` for all of it.
    part: Option<(Shard, Part)>,
    /// What it is about, in digests.
    snapshot: Snapshot,
}

impl Saved {
    /// Reads a plan file, and finds the part that is meant. An error says why it cannot be carried out.
    pub(super) fn load(run: &Run, path: &Path, shard: Option<Shard>) -> Result<Self, Failure> {
        let plan = load(run, path)?.1;
        let Some(shard) = shard else {
            let snapshot = plan.snapshot.clone();
            return Ok(Self {
                plan,
                part: None,
                snapshot,
            });
        };
        let of = plan.parts.len();
        if of == 0 {
            let error = anyhow!(
                "the plan {} has no shards: there is nothing to do, or it was made without --shards",
                path.display()
            );
            return Err(Failure::Usage(error));
        }
        let part = plan.parts.get(usize::from(shard.part) - 1);
        let part = part.filter(|_| usize::from(shard.of) == of);
        let Some(part) = part.cloned() else {
            let error = anyhow!(
                "the plan {} has {of} shards: --shard goes from 1/{of} to {of}/{of}, and {shard} is none of them",
                path.display()
            );
            return Err(Failure::Usage(error));
        };
        let snapshot = plan.snapshot.of_part(&part);
        Ok(Self {
            plan,
            part: Some((shard, part)),
            snapshot,
        })
    }

    /// What of the repository has to be read: what the plan was narrowed to, or the projects of the part. What is removed
    /// can only be told from all of it.
    pub(super) fn narrow(&self) -> cli::Narrow {
        match &self.part {
            None => cli::Narrow {
                projects: self.plan.options.projects.clone(),
                since: self.plan.options.since.clone(),
            },
            Some((_, part)) if part.removals.is_empty() => cli::Narrow {
                projects: part
                    .projects
                    .iter()
                    .map(|path| globset::escape(&path.to_string()))
                    .collect(),
                since: None,
            },
            Some(_) => cli::Narrow::default(),
        }
    }

    /// Takes out of `desired` what is of other parts.
    pub(super) fn restrict(&self, desired: &mut Desired) {
        if let Some((_, part)) = &self.part {
            let own: BTreeSet<_> = part.projects.iter().collect();
            desired.projects.retain(|one| own.contains(&one.path));
        }
    }

    /// Says what of a comparison counts; `declared` is all that was read.
    pub(super) fn limit(&self, options: &mut plan::Options, declared: &Desired) {
        let Some((_, part)) = &self.part else {
            return;
        };
        let projects = declared.projects.iter();
        let declared: BTreeSet<&DeploymentId> = projects
            .flat_map(|one| &one.deployments)
            .map(|one| &one.id)
            .collect();
        let removals = part.removals.iter().filter(|id| !declared.contains(id));
        options.prune = !part.removals.is_empty();
        options.removals = Some(removals.cloned().collect());
    }

    /// As what it takes the lease; `None` where it is nobody's part.
    pub(super) fn share(&self) -> Option<Share> {
        let (shard, _) = self.part.as_ref()?;
        Some(Share {
            plan: self.plan.digest,
            part: shard.part,
        })
    }

    /// Refuses to carry out what is not what would be done now. Where the same part has `begun` before, what it has done is
    /// no reason.
    pub(super) fn refuse_stale(&self, now: &Plan, begun: bool) -> Result<(), Failure> {
        let now = Snapshot::of(now);
        let moved = match begun {
            true => plan::moved_since_begun(&self.snapshot, &now),
            false => plan::moved(&self.snapshot, &now),
        };
        if moved.is_empty() {
            return Ok(());
        }
        Err(Failure::Stale { moved })
    }
}

/// Reads a plan file: its text, and what it says. It has to be for the environment of the run.
pub(super) fn load(run: &Run, path: &Path) -> Result<(String, SavedPlan), Failure> {
    let reading = || format!("read the plan {}", path.display());
    let text = std::fs::read_to_string(path).with_context(reading)?;
    let saved = json::load_plan(&text).with_context(reading)?;
    let environment = &saved.options.environment;
    if *environment != run.config.environment {
        // Its name is no environment's where the configuration declares some.
        let hint = if environment == config::DEFAULT_ENVIRONMENT {
            "leave --env and FLOWYARD_ENV out".to_owned()
        } else {
            format!("add --env {environment}")
        };
        let error = anyhow!("the plan is for the environment `{environment}`; {hint}");
        return Err(Failure::Usage(error));
    }
    Ok((text, saved))
}
