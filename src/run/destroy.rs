//! `destroy`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, anyhow};

use super::github::{Page, Wishes};
use super::writing::Writing;
use super::{Run, deploy, github, show};
use crate::apply::{self, Outcome, Status, Work};
use crate::backend::Question;
use crate::cli;
use crate::config;
use crate::connect::{self, Backends};
use crate::error::Failure;
use crate::model::{Applied, DeploymentId, Desired, RepoPath};
use crate::plan::{self, Plan};
use crate::report::progress::{self, Progress};
use crate::state;

/// Removes all that carries our mark for the environment, and what we remember of it; what another repository has in the
/// environment stays, and so does the memory of it. Releases and images stay: they are
/// named by their content, and other environments may run them.
pub(super) async fn destroy(
    run: &Run,
    options: &cli::Destroy,
    wishes: Wishes,
) -> Result<(), Failure> {
    Page::during(run, wishes, async |page| remove(run, options, page).await).await
}

async fn remove(run: &Run, options: &cli::Destroy, page: &Page<'_>) -> Result<(), Failure> {
    let backends = connect::backends(&run.config, run.path(), &github::hiding(run))?;
    let plan = look(run, &backends).await?.plan;
    if options.dry_run {
        let nothing = Desired::default();
        show::plan(&plan, &nothing, run)?;
        github::planned(run, &plan, &nothing, None, None);
        page.planned(&plan, &nothing, 0, false).await;
        return Ok(());
    }
    allow(run, options, &plan)?;
    // Also where nothing is there: a deploy that has just begun would leave it behind.
    let writing = Writing::begin(run, &backends, None, None, None, false).await?;
    let done = carry_out(run, options, &backends, &writing.stop).await;
    writing.end(true).await;
    let (plan, outcomes) = done?;
    tell(run, &plan, &outcomes, page).await
}

/// Looks again, as another deploy may have ended meanwhile, and removes what is there now.
async fn carry_out(
    run: &Run,
    options: &cli::Destroy,
    backends: &Backends,
    stop: &AtomicBool,
) -> Result<(Plan, Vec<Outcome>), Failure> {
    let environment = &run.config.environment;
    let Found { plan, others } = look(run, backends).await?;
    allow(run, options, &plan)?;
    deploy::begin(run, backends, &plan, |_| false)
        .await
        .map_err(Failure::Unreachable)?;
    let progress = Arc::new(Progress::new(&plan, run.global.verbose > 0));
    let content = |path: &RepoPath| Err(anyhow!("{path} is no part of it"));
    let work = Work {
        code: BTreeMap::new(),
        applied: &Applied::default(),
        content: &content,
        store: &*backends.store,
        orchestrator: &*backends.orchestrator,
        jobs: 1,
        blocked: &BTreeMap::new(),
        stop,
    };
    let outcomes = apply::execute(&plan, &work, &*progress).await;
    // Last of all: as long as it is there, a run that was killed is known not to have ended.
    let kept = if outcomes.iter().all(|one| one.status == Status::Done) {
        // What is not registered needs no memory either.
        state::forget(&*backends.store, environment, |id| others.contains(id)).await
    } else {
        deploy::remember(run, backends, &plan, &outcomes, None).await
    };
    if let Err(error) = kept {
        tracing::warn!("{error:#}; the same command again mends it");
    }
    Ok((plan, outcomes))
}

/// Refuses to remove what is no preview unless that is said, and shows what it would be.
fn allow(run: &Run, options: &cli::Destroy, plan: &Plan) -> Result<(), Failure> {
    if run.config.preview || options.yes || plan.is_empty() {
        return Ok(());
    }
    show::plan(plan, &Desired::default(), run)?;
    let environment = &run.config.environment;
    let hint = match environment.as_str() {
        config::DEFAULT_ENVIRONMENT => "add --yes, or name another one with --env",
        _ => "add --yes to remove all of this",
    };
    let error = anyhow!(
        "`{environment}` is not declared as a preview in {}; {hint}",
        config::FILE
    );
    Err(Failure::Usage(error))
}

/// What is registered.
struct Found {
    /// What is there to be removed.
    plan: Plan,
    /// What stays.
    others: BTreeSet<DeploymentId>,
}

async fn look(run: &Run, backends: &Backends) -> Result<Found, Failure> {
    let waiting = progress::spinner(&format!("reading {}", backends.orchestrator.subject()));
    let live = backends.orchestrator.read(&Question::default()).await;
    drop(waiting);
    let live = live
        .context("read what is registered")
        .map_err(Failure::Unreachable)?;
    let plan = plan::destroy(&live, &run.plan_options(true, false));
    let mut others: BTreeSet<DeploymentId> = live.deployments.into_keys().collect();
    for orphan in &plan.orphans {
        others.remove(&orphan.id);
    }
    Ok(Found { plan, others })
}

async fn tell(
    run: &Run,
    plan: &Plan,
    outcomes: &[Outcome],
    page: &Page<'_>,
) -> Result<(), Failure> {
    let nothing = Desired::default();
    show::outcomes(plan, &nothing, outcomes, run)?;
    github::deployed(run, plan, &nothing, outcomes);
    page.deployed(plan, &nothing, outcomes).await;
    deploy::incomplete(&nothing, outcomes)
}
