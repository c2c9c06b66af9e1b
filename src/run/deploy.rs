//! `deploy`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::comparison::{Comparison, TreeFiles, errors, read, tell_unpruned};
use super::github::{Page, Wishes};
use super::narrow::Narrow;
use super::out::Out;
use super::revision::{self, Auto};
use super::saved::Saved;
use super::writing::Writing;
use super::{Run, github, show, steps};
use crate::apply::{self, Outcome, Status, Work};
use crate::backend::Files as _;
use crate::cli;
use crate::connect::Backends;
use crate::discover::Tree;
use crate::error::Failure;
use crate::model::{Applied, DeploymentId, Desired, RepoPath, Revision, Shard};
use crate::plan::Plan;
use crate::report::progress::Progress;
use crate::state;

/// Makes everything as the files declare.
pub(super) async fn deploy(
    run: &Run,
    options: &cli::Deploy,
    wishes: Wishes,
) -> Result<(), Failure> {
    Page::during(run, wishes, async |page| make_so(run, options, page).await).await
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
    if errors(&desired.diagnostics, options.keep_going) == 0 {
        // What is left out decides how the deploy ends.
        let _ = super::faulty(run, &desired.diagnostics);
    } else {
        page.refuse(&desired, &desired.diagnostics).await?;
    }
    let backends = backends?;
    let mut plan_options = run.plan_options(prune && !options.keep_going, run.hides());
    if let Some(saved) = saved {
        saved.limit(&mut plan_options, &desired);
        saved.restrict(&mut desired);
    }
    let outputs = steps::run(run, page, &desired).await?;
    if !outputs.is_empty() && run.outputs.set(outputs).is_ok() {
        desired = read(run, &tree, &narrow, false, options.keep_going).await?;
        if !options.keep_going {
            page.refuse(&desired, &desired.diagnostics).await?;
        }
        if let Some(saved) = saved {
            saved.restrict(&mut desired);
        }
    }
    steps::refuse_unknown(page, &desired).await?;
    let (limits, keep_going) = (plan_options.clone(), options.keep_going);
    let mut now = Comparison::of(run, &backends, &tree, desired, limits, keep_going).await?;
    tell_unpruned(run, &now.plan, &now.desired, &plan_options);
    let _ = super::faulty(run, &now.left_out);
    page.refuse(&now.desired, &now.plan.diagnostics).await?;
    let environment = &run.config.environment;
    let share = saved.and_then(Saved::share);
    let begun = match share {
        None => false,
        Some(share) => state::has_begun(&*backends.store, environment, share)
            .await
            .map_err(Failure::Unreachable)?,
    };
    if let Some(saved) = saved {
        saved.refuse_stale(&now.plan, begun)?;
    }
    out.reserve()?;
    if now.plan.writes_nothing() {
        show::outcomes(&now.plan, &now.desired, &[], run)?;
        github::deployed(run, &now.plan, &now.desired, &[]);
        page.deployed(&now.plan, &now.desired, &[]).await;
        out.write(&now.plan, &[], saved)?;
        return incomplete(&now.desired, &[]);
    }

    let job = Job {
        run,
        page,
        backends: &backends,
        tree: &tree,
        narrow: &narrow,
        saved,
        begun,
        jobs: usize::from(options.jobs),
    };
    let other = plan_options.takes_from(&now.desired, &now.observed.live);
    let writing = Writing::begin(run, &backends, out.shard, share, other, begun).await?;
    let done = job.write(&mut now, other.is_some(), &writing.stop).await;
    writing.end(begun || done.is_ok()).await;
    let outcomes = done?;
    show::outcomes(&now.plan, &now.desired, &outcomes, run)?;
    github::deployed(run, &now.plan, &now.desired, &outcomes);
    page.deployed(&now.plan, &now.desired, &outcomes).await;
    out.write(&now.plan, &outcomes, saved)?;
    incomplete(&now.desired, &outcomes)
}

/// A deploy that has something to write.
struct Job<'a> {
    run: &'a Run,
    page: &'a Page<'a>,
    backends: &'a Backends,
    tree: &'a Tree,
    narrow: &'a Narrow,
    saved: Option<&'a Saved>,
    /// Whether another part of the same plan has written already.
    begun: bool,
    /// Uploads and registrations at the same time.
    jobs: usize,
}

impl Job<'_> {
    /// Carries out what was compared, under the lease, where `again` after another look. An error says that nothing was
    /// written.
    async fn write(
        &self,
        now: &mut Comparison,
        again: bool,
        stop: &AtomicBool,
    ) -> Result<Vec<Outcome>, Failure> {
        let (run, backends) = (self.run, self.backends);
        let environment = &run.config.environment;
        // Another deploy may have ended between our look and our lease.
        let tag = state::tag(&*backends.store, environment)
            .await
            .map_err(Failure::Unreachable)?;
        if again || tag != now.observed.tag {
            now.again(run, backends, self.tree).await?;
            let _ = super::faulty(run, &now.left_out);
            let faults = &now.plan.diagnostics;
            self.page.refuse(&now.desired, faults).await?;
            self.refuse_stale(&now.plan)?;
        }
        let leaves = self.leaves(now);
        self.page.deploying().await;
        let outcomes = self.apply(now, stop).await?;
        let whole = incomplete(&now.desired, &outcomes).is_ok() && !stop.load(Ordering::Relaxed);
        let leaves = leaves.filter(|_| whole);
        let kept = remember(run, backends, &now.plan, &outcomes, leaves).await;
        if let Err(error) = kept {
            tracing::warn!("{error:#}; the next deploy mends it");
        }
        Ok(outcomes)
    }

    fn refuse_stale(&self, plan: &Plan) -> Result<(), Failure> {
        let refuse = |saved: &Saved| saved.refuse_stale(plan, self.begun);
        self.saved.map_or(Ok(()), refuse)
    }

    /// The revision that everything is once this has ended well. A shard is no whole run, and what it was narrowed to is its
    /// part.
    fn leaves(&self, now: &Comparison) -> Option<Revision> {
        if self.saved.is_some_and(|saved| saved.share().is_some()) {
            return None;
        }
        let orchestrator = &*self.backends.orchestrator;
        revision::left_by(self.run, self.tree, self.narrow, now, orchestrator)
    }

    /// Makes the images, and then all that is registered with them. An error says that nothing was written.
    async fn apply(
        &self,
        now: &mut Comparison,
        stop: &AtomicBool,
    ) -> Result<Vec<Outcome>, Failure> {
        let (run, backends) = (self.run, self.backends);
        let progress = Arc::new(Progress::new(&now.plan, run.global.verbose > 0));
        let quiet = github::quiet(run);
        let builds = builds_at_once(self.jobs);
        let built = now
            .make_images(run, backends, self.tree, builds, &progress, stop)
            .await;
        drop(quiet);
        // Only now is all known that is about to be registered.
        let blocked = |id: &DeploymentId| built.blocked.contains_key(id);
        if let Err(error) = begin(run, backends, &now.plan, blocked).await {
            if built.outcomes.is_empty() {
                return Err(Failure::Unreachable(error));
            }
            tracing::warn!("{error:#}; nothing but images was made");
            stop.store(true, Ordering::Relaxed);
        }
        let files = TreeFiles(self.tree);
        let content = |path: &RepoPath| files.content(path);
        let projects = now.desired.projects.iter();
        let work = Work {
            code: projects.map(|one| (&one.path, &one.code)).collect(),
            applied: &now.observed.applied,
            content: &content,
            store: &*backends.store,
            orchestrator: &*backends.orchestrator,
            jobs: self.jobs,
            blocked: &built.blocked,
            stop,
        };
        let mut outcomes = built.outcomes;
        outcomes.extend(apply::execute(&now.plan, &work, &*progress).await);
        Ok(outcomes)
    }
}

/// Builds at the same time: each of them uses what the machine has.
fn builds_at_once(jobs: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    jobs.min(processors.max(2))
}

/// Writes down what is about to be applied, but for what is `blocked`; from then on no revision is all that is deployed.
pub(super) async fn begin(
    run: &Run,
    backends: &Backends,
    plan: &Plan,
    blocked: impl Fn(&DeploymentId) -> bool,
) -> anyhow::Result<()> {
    let next = |before: &Applied| {
        let mut next = plan.next_begun(before, |id| !blocked(id));
        next.forget_revisions(&run.repository(), &run.root_in_git());
        next
    };
    state::save(&*backends.store, &run.config.environment, next).await
}

/// Writes down what was applied, also where a part of it failed, and the revision that all of it is now.
pub(super) async fn remember(
    run: &Run,
    backends: &Backends,
    plan: &Plan,
    outcomes: &[Outcome],
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
    let next = |before: &Applied| {
        let mut next = plan.next_applied(before, |id| !undone.contains(id));
        next.forget_revisions(&run.repository(), &run.root_in_git());
        next.revisions.extend(revision.clone());
        next
    };
    state::save(&*backends.store, &run.config.environment, next).await
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
