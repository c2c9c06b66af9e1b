//! What git declares beside what is live, and the plan from one to the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

use super::Run;
use super::build_log::Log;
use super::narrow::Narrow;
use crate::apply::{self, Built};
use crate::backend::{BuildLog, Content, Files};
use crate::config;
use crate::connect::{Backends, LOCAL};
use crate::discover::{self, Tree};
use crate::error::Failure;
use crate::model::{Absent, Desired, Diagnostic, Place, RepoPath};
use crate::observe::{self, Observed};
use crate::plan::{self, ImagePlan, Plan};
use crate::report::progress::{self, Progress};

/// The three sides, and the plan that comes of them.
pub(super) struct Comparison {
    /// What git declares, with the digests of the images that are known.
    pub(super) desired: Desired,
    /// What is live, and what was last applied.
    pub(super) observed: Observed,
    /// What a deploy would change.
    pub(super) plan: Plan,
    /// The faults of images for which projects were left out at the last look; they are among those of `desired`.
    pub(super) left_out: Vec<Diagnostic>,
    options: plan::Options,
    keep_going: bool,
}

impl Comparison {
    /// Asks what is live, and compares; with `keep_going` without the projects whose images cannot be.
    pub(super) async fn of(
        run: &Run,
        backends: &Backends,
        tree: &Tree,
        desired: Desired,
        options: plan::Options,
        keep_going: bool,
    ) -> Result<Self, Failure> {
        let mut comparison = Self {
            desired,
            observed: Observed::default(),
            plan: Plan::default(),
            left_out: Vec::new(),
            options,
            keep_going,
        };
        comparison.again(run, backends, tree).await?;
        Ok(comparison)
    }

    /// Asks once more.
    pub(super) async fn again(
        &mut self,
        run: &Run,
        backends: &Backends,
        tree: &Tree,
    ) -> Result<(), Failure> {
        let waiting = progress::spinner(&format!("reading {}", backends.orchestrator.subject()));
        let live = observe::live(
            &*backends.store,
            &*backends.orchestrator,
            &self.desired,
            &run.config.environment,
            self.options.takes_over.as_deref(),
        );
        let files = TreeFiles(tree);
        let images = &*backends.images;
        let images = observe::images(images, &self.desired, &files, self.keep_going);
        let both = tokio::try_join!(live, images);
        drop(waiting);
        let (observed, (images, faults)) = both.map_err(Failure::Unreachable)?;
        self.observed = observed;
        self.options.images = images;
        if self.keep_going {
            self.left_out = leave_out(&mut self.desired, faults);
            self.diff();
        } else {
            self.diff();
            self.plan.diagnostics.extend(faults.into_values());
            self.plan.diagnostics.sort();
        }
        Ok(())
    }

    fn diff(&mut self) {
        self.desired.put_images(&self.options.images);
        self.plan = plan::diff(
            &self.desired,
            &self.observed.live,
            &self.observed.applied,
            &self.observed.complete,
            &self.options,
        );
    }

    /// Makes the images of the plan. What is registered has their digests in it, which nobody knew before, so the plan is
    /// made anew; as its images it keeps those that were to be made.
    pub(super) async fn make_images(
        &mut self,
        run: &Run,
        backends: &Backends,
        tree: &Tree,
        jobs: usize,
        progress: &Arc<Progress>,
        stop: &AtomicBool,
    ) -> Built {
        let logs = run.path().join(LOCAL).join("logs");
        let log =
            |image: &ImagePlan| -> Box<dyn BuildLog> { Box::new(Log::new(image, &logs, progress)) };
        let work = apply::Images {
            desired: &self.desired,
            states: &self.options.images,
            backend: &*backends.images,
            files: &TreeFiles(tree),
            log: &log,
            jobs,
            stop,
        };
        let built = apply::images(&self.plan, &work, &**progress).await;
        if built.digests.is_empty() {
            return built;
        }
        for (key, digest) in &built.digests {
            if let Some(state) = self.options.images.get_mut(key) {
                state.found = Some(*digest);
            }
        }
        let images = std::mem::take(&mut self.plan.images);
        self.diff();
        self.plan.images = images;
        built
    }
}

/// The files of a tree as backends take them.
pub(super) struct TreeFiles<'a>(pub(super) &'a Tree);

impl Files for TreeFiles<'_> {
    fn content(&self, path: &RepoPath) -> anyhow::Result<Content> {
        Ok(match self.0.source(path)? {
            discover::Content::Bytes(bytes) => Content::Bytes(bytes.into()),
            discover::Content::File(file) => {
                let length = std::fs::metadata(&file)
                    .with_context(|| format!("read {path}"))?
                    .len();
                Content::File { path: file, length }
            }
        })
    }
}

/// Reads and narrows; with `keep_going` without the deployments of faulty projects.
pub(super) async fn read(
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

/// Leaves out the projects that need an image that cannot be, as if its fault stood in their files; gives the faults.
fn leave_out(desired: &mut Desired, mut faults: BTreeMap<String, Diagnostic>) -> Vec<Diagnostic> {
    for project in &mut desired.projects {
        let keys = project.deployments.iter().flat_map(|one| {
            let keys = one.images.iter().filter(|key| faults.contains_key(*key));
            keys.map(|key| (key.clone(), one.place.clone()))
        });
        // An image is told of once, also where it is that of many.
        let needed: BTreeMap<String, Place> = keys.collect();
        for (key, place) in &needed {
            if let Some(fault) = faults.get_mut(key)
                && fault.place.path != place.path
            {
                fault
                    .related
                    .push((place.clone(), "needs it too".to_owned()));
            }
        }
        if !needed.is_empty() {
            project.deployments.clear();
            project.faulty = true;
        }
    }
    let mut faults: Vec<Diagnostic> = faults.into_values().collect();
    faults.sort();
    desired.diagnostics.extend(faults.iter().cloned());
    desired.diagnostics.sort();
    faults
}

/// Says why nothing is removed although that was asked for.
pub(super) fn tell_unpruned(run: &Run, plan: &Plan, desired: &Desired, options: &plan::Options) {
    if !options.prune || plan.prune {
        return;
    }
    if let Some(variable) = run.config.projects.narrowed_by() {
        tracing::warn!(
            "--prune removes nothing as long as {variable} says what is looked at; say it under `[projects]` in {}",
            config::FILE
        );
    } else if desired.left_out.is_some() {
        tracing::warn!("--prune removes nothing together with --project or --since");
    } else if desired.absent.values().any(|why| *why == Absent::Sparse) {
        tracing::warn!("--prune removes nothing in a sparse checkout");
    } else if let Some(folder) = desired.absent.keys().next() {
        tracing::warn!(
            "--prune removes nothing as long as the submodule {folder} is not checked out; if it holds no projects of this \
             repository, leave it out by `exclude` under `[projects]` in {}",
            config::FILE
        );
    } else {
        tracing::warn!("--prune removes nothing as long as a deployment file cannot be read");
    }
}

/// How many errors there are that are not `forgiven`.
pub(super) fn errors(diagnostics: &[Diagnostic], forgiven: bool) -> usize {
    let counts = |one: &&Diagnostic| {
        // What the configuration says is no project's, so that nothing could be left out.
        one.is_error() && !(forgiven && one.place.path.as_str() != config::FILE)
    };
    diagnostics.iter().filter(counts).count()
}
