//! `gather`: the outcomes of all parts of a plan as those of one deploy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use super::github::{Page, Wishes};
use super::{Run, deploy, github, saved, show};
use crate::apply::{self, Item, Outcome, Status};
use crate::cli;
use crate::error::Failure;
use crate::model::{Desired, Digest, RepoPath, Shard};
use crate::plan::{self, Part, Plan};
use crate::report::json::{self, SavedOutcomes};

/// Reports what the machines that carried out the parts of a plan have written down.
pub(super) async fn gather(
    run: &Run,
    options: &cli::Gather,
    wishes: Wishes,
) -> Result<(), Failure> {
    Page::during(run, wishes, async |page| sum_up(run, options, page).await).await
}

async fn sum_up(run: &Run, options: &cli::Gather, page: &Page<'_>) -> Result<(), Failure> {
    let (text, saved) = saved::load(run, &options.plan)?;
    let reading = || format!("read the plan {}", options.plan.display());
    let plan = json::planned(&text).with_context(reading)?;
    // Without parts one machine does all of it.
    let parts = match saved.parts.as_slice() {
        [] => plan::parts(&plan, 1),
        parts => parts.to_vec(),
    };
    let mut found = read(&options.outcomes, saved.digest, parts.len())?;
    let mut outcomes = BTreeMap::new();
    let mut missing = 0;
    for (at, part) in parts.iter().enumerate() {
        let shard = Shard {
            part: u16::try_from(at + 1).unwrap_or(u16::MAX),
            of: u16::try_from(parts.len()).unwrap_or(u16::MAX),
        };
        let one = found.remove(&shard.part);
        if let Some(why) = undone(shard, one.as_ref()) {
            tracing::warn!("{why}");
            missing += 1;
        }
        for outcome in of_part(&plan, part, shard, one) {
            outcomes.insert((outcome.project.clone(), outcome.item.clone()), outcome);
        }
    }
    let outcomes = in_order(&plan, &parts, outcomes);
    if !outcomes.is_empty() {
        page.deploying().await;
    }
    let nothing = Desired::default();
    show::outcomes(&plan, &nothing, &outcomes, run)?;
    github::deployed(run, &plan, &nothing, &outcomes);
    page.deployed(&plan, &nothing, &outcomes).await;
    match deploy::incomplete(&nothing, &outcomes) {
        Err(Failure::Incomplete { failed, skipped }) => Err(Failure::Gathered {
            failed,
            skipped,
            missing,
        }),
        Ok(()) if missing > 0 => Err(Failure::Gathered {
            failed: 0,
            skipped: 0,
            missing,
        }),
        result => result,
    }
}

/// The outcome files by their parts. One that does not exist, or is of another plan, is as missing as one that nobody names.
fn read(
    paths: &[PathBuf],
    plan: Digest,
    parts: usize,
) -> anyhow::Result<BTreeMap<u16, SavedOutcomes>> {
    let mut found: BTreeMap<u16, (SavedOutcomes, &PathBuf)> = BTreeMap::new();
    for path in paths {
        let reading = || format!("read the outcome {}", path.display());
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::warn!("the outcome {} does not exist", path.display());
                continue;
            }
            text => text.with_context(reading)?,
        };
        let one = json::load_outcomes(&text).with_context(reading)?;
        if one.plan != Some(plan) {
            // An earlier attempt may have left it.
            tracing::warn!(
                "the outcome {} is of another plan; it is left out",
                path.display()
            );
            continue;
        }
        let part = match one.shard {
            Some(shard) if usize::from(shard.of) == parts => shard.part,
            None if parts == 1 => 1,
            Some(shard) => {
                let error = anyhow!("it is of shard {shard}, and the plan has {parts}");
                return Err(error).with_context(reading);
            }
            None => {
                let error = anyhow!("it is of no shard, and the plan has {parts}");
                return Err(error).with_context(reading);
            }
        };
        if let Some((_, other)) = found.insert(part, (one, path)) {
            let error = anyhow!("it is of the same shard as {}", other.display());
            return Err(error).with_context(reading);
        }
    }
    Ok(found
        .into_iter()
        .map(|(part, (one, _))| (part, one))
        .collect())
}

/// Why nothing is known of the items of a part; `None` where it was carried out.
fn undone(shard: Shard, found: Option<&SavedOutcomes>) -> Option<String> {
    match found {
        None => Some(format!("shard {shard} has left no outcome")),
        Some(one) => {
            let why = one.failure.as_ref()?.lines().next().unwrap_or_default();
            Some(format!("shard {shard} ended early: {why}"))
        }
    }
}

/// What came of a part.
fn of_part(plan: &Plan, part: &Part, shard: Shard, found: Option<SavedOutcomes>) -> Vec<Outcome> {
    let reason = undone(shard, found.as_ref());
    let mut told: BTreeMap<(RepoPath, Item), Outcome> = found
        .into_iter()
        .flat_map(|one| one.outcomes)
        .map(|one| ((one.project.clone(), one.item.clone()), one))
        .collect();
    let mut outcomes = Vec::new();
    for (project, item) in apply::items(plan, part) {
        let outcome = told.remove(&(project.clone(), item.clone()));
        outcomes.push(outcome.unwrap_or_else(|| Outcome {
            project,
            item,
            status: match &reason {
                Some(reason) => Status::Skipped {
                    reason: reason.clone(),
                },
                // The part was looked at, and this was there already: an earlier attempt had come that far.
                None => Status::Done,
            },
            link: None,
        }));
    }
    // What only a deploy could know to be changed.
    outcomes.extend(told.into_values());
    outcomes
}

/// As one deploy would tell them.
fn in_order(
    plan: &Plan,
    parts: &[Part],
    mut outcomes: BTreeMap<(RepoPath, Item), Outcome>,
) -> Vec<Outcome> {
    let mut all = Part::default();
    for part in parts {
        all.projects.extend(part.projects.iter().cloned());
        all.deployments.extend(part.deployments.iter().cloned());
        all.removals.extend(part.removals.iter().cloned());
    }
    let ordered = apply::items(plan, &all).into_iter();
    let mut ordered: Vec<Outcome> = ordered.filter_map(|key| outcomes.remove(&key)).collect();
    ordered.extend(outcomes.into_values());
    ordered
}
