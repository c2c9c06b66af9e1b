//! Runs the `.deployment.py` files that reading cannot decide: `--run-python`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use futures::StreamExt as _;

use super::{Run, github};
use crate::error::Failure;
use crate::model::{Captured, Desired, RepoPath};
use crate::report::progress;
use crate::sandbox::Cache;
use crate::sandbox::capture::{Runner, Subject};

/// Files that run at once: an import of Prefect keeps a core busy for seconds.
const AT_ONCE: usize = 2;

/// Runs every file that could not be decided by reading, and gives what they registered; `None` where there is none.
pub(super) async fn capture(
    run: &Run,
    desired: &Desired,
) -> Result<Option<BTreeMap<RepoPath, Captured>>, Failure> {
    let subjects: Vec<Subject> = desired
        .projects
        .iter()
        .flat_map(|project| {
            project.undecided.iter().map(|file| Subject {
                file: file.clone(),
                requirements: project.requirements.clone(),
            })
        })
        .collect();
    if subjects.is_empty() {
        return Ok(None);
    }
    let cache = Cache::new(&run.process)
        .context("set HOME or XDG_CACHE_HOME, where Python environments are kept")?;
    let variables = run.python(&run.config).environment.into_iter();
    let variables = variables.filter_map(|(name, value)| Some((name, value?)));
    let runner = Runner::new(run.path(), cache, run.dialect(), variables.collect()).await;
    let runner = &runner;
    let _quiet = github::quiet(run);
    let _waiting = progress::spinner(&format!("running {} Python files", subjects.len()));
    let captured = futures::stream::iter(&subjects)
        .map(|subject| async move { (subject.file.clone(), runner.run(subject).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    Ok(Some(captured))
}
