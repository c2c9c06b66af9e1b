//! `plan`, `deploy` and `status`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use super::comparison::{Comparison, TreeFiles};
use super::github::{Page, Wishes};
use super::narrow::Narrow;
use super::out::Out;
use super::revision::{self, Auto};
use super::saved::Saved;
use super::{Run, against, configured, github, interrupt, read_of, show, steps};
use crate::apply::{self, Outcome, Status, Work};
use crate::backend::{self, Files as _, Question};
use crate::cli;
use crate::connect::{self, Backends, LOCAL};
use crate::discover::Tree;
use crate::error::Failure;
use crate::model::{DeploymentId, Desired, Diagnostic, RepoPath, Revision, Shard};
use crate::plan::{self, Plan};
use crate::report::{self, progress::Progress};
use crate::state::{self, Lease};

/// Shows what a deploy would change.
pub(super) async fn plan(run: &Run, options: &cli::Plan) -> Result<(), Failure> {
    let page = Page::open(
        run,
        Wishes {
            command: "plan",
            comment: options.tell.comment,
            status: options.tell.commit_status,
            issue: options.drift_issue,
            ..Wishes::default()
        },
    )?;
    let result = show_plan(run, options, &page).await;
    page.end(&result).await;
    result
}

async fn show_plan(run: &Run, options: &cli::Plan, page: &Page<'_>) -> Result<(), Failure> {
    let against = against::revision(run, options)?;
    let out = options.out.as_deref().filter(|_| against.is_none());
    let (narrow, (plan, desired, faults)) = match &against {
        Some(revision) => {
            let narrow = Narrow::of(&options.narrow, run, Auto::Event)?;
            let planned = plan_against(run, options, &narrow, revision).await?;
            (narrow, planned)
        }
        None => {
            let backends = run.connect().await;
            let auto = Auto::of(&options.narrow, run, backends.as_ref(), true).await?;
            let narrow = Narrow::of(&options.narrow, run, auto)?;
            let planned = plan_live(run, options, &narrow, backends).await?;
            (narrow, planned)
        }
    };
    show::plan(&plan, &desired, run)?;
    let saved = out.filter(|_| faults == 0);
    let parts = match (options.shards, saved) {
        (Some(at_most), Some(_)) => plan::parts(&plan, usize::from(at_most)),
        _ => Vec::new(),
    };
    let count = options.shards.and(u16::try_from(parts.len()).ok());
    github::planned(run, &plan, &desired, saved, count);
    page.planned(&plan, &desired, faults).await;
    if faults > 0 {
        return Err(Failure::Faulty {
            errors: faults,
            left_out: false,
        });
    }
    if let Some(path) = out {
        let saved = report::json::SavedOptions {
            environment: plan.environment.clone(),
            projects: narrow.projects.clone(),
            since: narrow.revision(),
            prune: options.prune,
        };
        let text = report::json::save_plan(&plan, &desired, &saved, &parts);
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    let changes = options.check && !plan.is_empty();
    // The process ends here, and would only be longer about it if it took thousands of deployments apart first.
    std::mem::forget((plan, desired));
    if changes {
        return Err(Failure::Changes);
    }
    Ok(())
}

/// The plan from what is live, what was read for it, and how many faults forbid to deploy it. A plan of what can be
/// read is worth showing; whether all of it can be decides the exit code.
async fn plan_live(
    run: &Run,
    options: &cli::Plan,
    narrow: &Narrow,
    backends: Result<Backends, Failure>,
) -> Result<(Plan, Desired, usize), Failure> {
    let tree = run.tree_without(&[options.out.as_deref()])?;
    let desired = read(run, &tree, narrow, false, options.keep_going).await?;
    let plan_options = run.plan_options(options.prune && !options.keep_going, narrow.narrows());
    let prune = plan_options.clone();
    let Comparison {
        desired,
        observed,
        plan,
        ..
    } = Comparison::of(run, &backends?, &tree, desired, plan_options).await?;
    std::mem::forget(observed);
    tell_unpruned(&plan, &prune);
    let faults =
        errors(&desired.diagnostics, options.keep_going) + errors(&plan.diagnostics, false);
    Ok((plan, desired, faults))
}

/// The plan from what a revision declares, with the revision's own configuration; what the work tree declares, and how
/// many faults that has.
async fn plan_against(
    run: &Run,
    options: &cli::Plan,
    narrow: &Narrow,
    revision: &str,
) -> Result<(Plan, Desired, usize), Failure> {
    let mut after = read(run, &run.tree()?, narrow, true, options.keep_going).await?;
    let tree = Tree::revision(run.path(), revision, &crate::model::RepoPath::root())?;
    let mut process = run.process.clone();
    let (config, _) = configured(&run.global, &mut process, &|name| read_of(&tree, name))
        .with_context(|| format!("read the configuration at `{revision}`"))?;
    let mut before = run.read(&tree, &config, true)?;
    if narrow.narrows() {
        // The same projects on both sides; one that is gone is not part of a narrowed plan.
        before
            .projects
            .retain(|one| after.projects.iter().any(|other| other.path == one.path));
    }
    before.name_images();
    after.name_images();
    let plan = plan::compare(&before, &after, &run.plan_options(true, narrow.narrows()));
    let faults = errors(&after.diagnostics, options.keep_going);
    Ok((plan, after, faults))
}

/// Makes everything as the files declare.
pub(super) async fn deploy(run: &Run, options: &cli::Deploy) -> Result<(), Failure> {
    let page = Page::open(
        run,
        Wishes {
            command: "deploy",
            comment: options.tell.comment,
            status: options.tell.commit_status,
            deployment: options.github_deployment,
            ..Wishes::default()
        },
    )?;
    let result = make_so(run, options, &page).await;
    page.end(&result).await;
    result
}

/// Reads what is to be carried out, and writes down what came of it.
async fn make_so(run: &Run, options: &cli::Deploy, page: &Page<'_>) -> Result<(), Failure> {
    let shard = match options.shard.as_deref().map(str::parse::<Shard>) {
        None => None,
        Some(Ok(shard)) => Some(shard),
        Some(Err(why)) => {
            let shard = options.shard.as_deref().unwrap_or_default();
            let error = anyhow::anyhow!("`{shard}` is no shard: {why}");
            return Err(Failure::Usage(error));
        }
    };
    let saved = match &options.plan {
        None => None,
        Some(path) => Some(Saved::load(run, path, shard)?),
    };
    let out = Out::new(run, options.out.as_deref(), shard);
    let result = carry_out(run, options, page, saved.as_ref(), &out).await;
    if let Err(failure) = &result {
        out.end(failure, saved.as_ref());
    }
    result
}

async fn carry_out(
    run: &Run,
    options: &cli::Deploy,
    page: &Page<'_>,
    saved: Option<&Saved>,
    out: &Out<'_>,
) -> Result<(), Failure> {
    let narrow = saved.map_or_else(|| options.narrow.clone(), Saved::narrow);
    let backends = run.connect().await;
    let auto = Auto::of(&narrow, run, backends.as_ref(), false).await?;
    let narrow = Narrow::of(&narrow, run, auto)?;
    let prune = options.prune || saved.is_some_and(|saved| saved.plan.options.prune);

    let tree = run.tree_without(&[options.plan.as_deref(), options.out.as_deref()])?;
    let mut desired = read(run, &tree, &narrow, false, options.keep_going).await?;
    let faults = super::faulty(run, &desired.diagnostics);
    if !options.keep_going {
        if faults.is_err() {
            github::faulty(run, &desired, &desired.diagnostics);
            page.faulty(&desired, &desired.diagnostics).await;
        }
        faults?;
    }
    let backends = backends?;
    let mut plan_options = run.plan_options(prune && !options.keep_going, narrow.narrows());
    if let Some(saved) = saved {
        saved.limit(&mut plan_options, &desired);
        saved.restrict(&mut desired);
    }
    let outputs = steps::run(run, &desired).await?;
    if !outputs.is_empty() && run.outputs.set(outputs).is_ok() {
        desired = read(run, &tree, &narrow, false, options.keep_going).await?;
        if !options.keep_going {
            super::faulty(run, &desired.diagnostics)?;
        }
        if let Some(saved) = saved {
            saved.restrict(&mut desired);
        }
    }
    steps::refuse_unknown(run, &desired)?;
    let mut now = Comparison::of(run, &backends, &tree, desired, plan_options.clone()).await?;
    tell_unpruned(&now.plan, &plan_options);
    super::faulty(run, &now.plan.diagnostics)?;
    let environment = &run.config.environment;
    let share = saved.and_then(Saved::share);
    let begun = match share {
        None => false,
        Some(share) => state::has_begun(&*backends.store, environment, share)
            .await
            .map_err(Failure::Unreachable)?,
    };
    let refuse_stale = |now: &Plan| saved.map_or(Ok(()), |saved| saved.refuse_stale(now, begun));
    refuse_stale(&now.plan)?;
    if now.plan.writes_nothing() {
        out.write(&now.plan, &[], saved)?;
        show::outcomes(&now.plan, &[], run)?;
        github::deployed(run, &now.plan, &[]);
        page.deployed(&now.plan, &[]).await;
        return incomplete(&now.desired, &[]);
    }

    if run.global.local {
        backend::folder::prepare(&run.path().join(LOCAL))
            .map_err(|error| Failure::Unreachable(error.into()))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let interrupted = interrupt::watch(stop.clone()).context("wait for Ctrl-C")?;
    let lease = Lease::acquire(
        backends.store.clone(),
        environment,
        &holder(run, out.shard),
        share,
        stop.clone(),
    )
    .await
    .map_err(Failure::Unreachable)?;
    // Another deploy may have ended between our look and our lease.
    let (_, tag) = state::load(&*backends.store, environment)
        .await
        .map_err(Failure::Unreachable)?;
    if tag != now.observed.tag {
        now.again(run, &backends, &tree).await?;
        if let Err(stale) = refuse_stale(&now.plan) {
            lease.release(begun).await.map_err(Failure::Unreachable)?;
            return Err(stale);
        }
    }
    // A shard is no whole run, and what it was narrowed to is its part.
    let leaves = match share {
        Some(_) => None,
        None => revision::left_by(run, &tree, &narrow, &now, &*backends.orchestrator),
    };
    let forgotten = state::forget_revision(&*backends.store, environment).await;
    if let Err(error) = forgotten {
        lease.release(begun).await.map_err(Failure::Unreachable)?;
        return Err(Failure::Unreachable(error));
    }
    page.deploying().await;
    let progress = Arc::new(Progress::new(&now.plan, run.global.verbose > 0));
    let jobs = usize::from(options.jobs);
    let quiet = github::quiet(run);
    let built = now
        .make_images(
            run,
            &backends,
            &tree,
            builds_at_once(jobs),
            &progress,
            &stop,
        )
        .await;
    drop(quiet);
    let Comparison {
        desired,
        observed,
        plan,
        ..
    } = &now;
    let files = TreeFiles(&tree);
    let content = |path: &RepoPath| files.content(path);
    let work = Work {
        code: desired
            .projects
            .iter()
            .map(|project| (&project.path, &project.code))
            .collect(),
        applied: &observed.applied,
        content: &content,
        store: &*backends.store,
        orchestrator: &*backends.orchestrator,
        jobs,
        blocked: &built.blocked,
        stop: &stop,
    };
    let mut outcomes = built.outcomes;
    outcomes.extend(apply::execute(plan, &work, &*progress).await);
    interrupted.abort();
    let whole = incomplete(desired, &outcomes).is_ok() && !stop.load(Ordering::Relaxed);
    let leaves = leaves.filter(|_| whole);
    let kept = remember(plan, &outcomes, &backends, environment, leaves).await;
    let released = lease.release(true).await;
    out.write(plan, &outcomes, saved)?;
    show::outcomes(plan, &outcomes, run)?;
    github::deployed(run, plan, &outcomes);
    page.deployed(plan, &outcomes).await;
    for result in [kept, released] {
        if let Err(error) = result {
            tracing::warn!("{error:#}; the next deploy mends it");
        }
    }
    incomplete(desired, &outcomes)
}

/// Shows what is registered for this repository and environment.
pub(super) async fn status(run: &Run) -> Result<(), Failure> {
    let backends = connect::backends(&run.config, run.path(), &github::hiding(run))?;
    let live = backends
        .orchestrator
        .read(&Question::default())
        .await
        .context("read what is registered")
        .map_err(Failure::Unreachable)?;
    let repository = run.repository();
    let ours: Vec<DeploymentId> = live
        .deployments
        .iter()
        .filter(|(_, one)| {
            one.owner.as_ref().is_some_and(|owner| {
                owner.repository == repository && owner.environment == run.config.environment
            })
        })
        .map(|(id, _)| id.clone())
        .collect();
    show::status(&live, &ours, run)?;
    Ok(())
}

/// Reads and narrows; with `keep_going` without the deployments of faulty projects.
async fn read(
    run: &Run,
    tree: &Tree,
    narrow: &Narrow,
    offline: bool,
    keep_going: bool,
) -> Result<Desired, Failure> {
    let mut desired = run.read_narrowed(tree, narrow, offline).await?;
    if keep_going {
        for project in desired.projects.iter_mut().filter(|project| project.faulty) {
            project.deployments.clear();
        }
    }
    Ok(desired)
}

/// Says why nothing is removed although that was asked for.
fn tell_unpruned(plan: &Plan, options: &plan::Options) {
    if !options.prune || plan.prune {
        return;
    }
    if options.narrowed {
        tracing::warn!("--prune removes nothing together with --project or --since");
    } else {
        tracing::warn!("--prune removes nothing as long as a deployment file cannot be read");
    }
}

fn errors(diagnostics: &[Diagnostic], forgiven: bool) -> usize {
    if forgiven {
        0
    } else {
        diagnostics.iter().filter(|one| one.is_error()).count()
    }
}

/// Builds at the same time: each of them uses what the machine has.
fn builds_at_once(jobs: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    jobs.min(processors.max(2))
}

/// Who deploys, for those who are kept waiting.
fn holder(run: &Run, shard: Option<Shard>) -> String {
    let holder = &run.config.holder;
    shard.map_or_else(
        || holder.clone(),
        |shard| format!("{holder}, shard {shard}"),
    )
}

/// Writes down what was applied, also where a part of it failed, and the revision that all of it is now.
pub(super) async fn remember(
    plan: &Plan,
    outcomes: &[Outcome],
    backends: &Backends,
    environment: &str,
    revision: Option<Revision>,
) -> anyhow::Result<()> {
    let undone: std::collections::BTreeSet<&DeploymentId> = outcomes
        .iter()
        .filter(|outcome| outcome.status != Status::Done)
        .filter_map(|outcome| match &outcome.item {
            apply::Item::Registration(id) | apply::Item::Removal(id) => Some(id),
            apply::Item::Image(_) | apply::Item::Release(_) => None,
        })
        .collect();
    let next = |before: &crate::model::Applied| {
        let mut next = plan.next_applied(before, |id| !undone.contains(id));
        next.revision.clone_from(&revision);
        next
    };
    state::save(&*backends.store, environment, next).await
}

pub(super) fn incomplete(desired: &Desired, outcomes: &[Outcome]) -> Result<(), Failure> {
    let count = |test: fn(&Status) -> bool| outcomes.iter().filter(|one| test(&one.status)).count();
    let failed = count(|status| matches!(status, Status::Failed { .. }));
    let skipped = count(|status| matches!(status, Status::Skipped { .. }));
    if failed + skipped > 0 {
        return Err(Failure::Incomplete { failed, skipped });
    }
    // With --keep-going the faulty projects were left out: the run is not clean.
    match errors(&desired.diagnostics, false) {
        0 => Ok(()),
        errors => Err(Failure::Faulty {
            errors,
            left_out: true,
        }),
    }
}
