//! The file of `deploy --out`.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use super::saved::Saved;
use super::{Run, github};
use crate::apply::Outcome;
use crate::error::Failure;
use crate::model::Shard;
use crate::plan::Plan;
use crate::report::json::{self, OutcomesOf};

/// Where the outcomes of a deploy are written down, if anywhere, and whose they are.
pub(super) struct Out<'r> {
    run: &'r Run,
    path: Option<&'r Path>,
    /// Which part was asked for.
    pub(super) shard: Option<Shard>,
    written: AtomicBool,
}

impl<'r> Out<'r> {
    /// Writes nothing yet.
    pub(super) fn new(run: &'r Run, path: Option<&'r Path>, shard: Option<Shard>) -> Self {
        Self {
            run,
            path,
            shard,
            written: AtomicBool::new(false),
        }
    }

    /// Writes what came of a deploy.
    pub(super) fn write(
        &self,
        plan: &Plan,
        outcomes: &[Outcome],
        saved: Option<&Saved>,
    ) -> anyhow::Result<()> {
        self.put(plan, outcomes, saved, None)
    }

    /// Writes why a deploy ended before there were outcomes; what keeps the file from being written is only told.
    pub(super) fn end(&self, failure: &Failure, saved: Option<&Saved>) {
        if self.written.load(Ordering::Relaxed) {
            return;
        }
        let plan = Plan {
            environment: self.run.config.environment.clone(),
            ..Plan::default()
        };
        if let Err(error) = self.put(&plan, &[], saved, Some(failure.to_string())) {
            tracing::warn!("{error:#}");
        }
    }

    fn put(
        &self,
        plan: &Plan,
        outcomes: &[Outcome],
        saved: Option<&Saved>,
        failure: Option<String>,
    ) -> anyhow::Result<()> {
        let Some(path) = self.path else {
            return Ok(());
        };
        self.written.store(true, Ordering::Relaxed);
        let of = OutcomesOf {
            plan: saved.map(|saved| saved.plan.digest),
            shard: self.shard,
            failure,
        };
        let text = github::redacted(self.run, &json::save_outcomes(plan, outcomes, &of));
        // Whoever finds the file finds all of it.
        let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
        let write = || -> std::io::Result<()> {
            let mut beside = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
            beside.write_all(text.as_bytes())?;
            beside.persist(path)?;
            Ok(())
        };
        write().with_context(|| format!("write {}", path.display()))
    }
}
