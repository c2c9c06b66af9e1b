//! The file of `deploy --out`.

use std::io;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use tempfile::NamedTempFile;

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
    /// What becomes the file.
    beside: Mutex<Option<NamedTempFile>>,
    written: AtomicBool,
}

impl<'r> Out<'r> {
    /// Writes nothing yet.
    pub(super) fn new(run: &'r Run, path: Option<&'r Path>, shard: Option<Shard>) -> Self {
        Self {
            run,
            path,
            shard,
            beside: Mutex::new(None),
            written: AtomicBool::new(false),
        }
    }

    /// Makes sure that the file can be written, before anything else is.
    pub(super) fn reserve(&self) -> anyhow::Result<()> {
        let Some(path) = self.path else {
            return Ok(());
        };
        let beside = beside(path)
            // Nor can the reason be written there.
            .inspect_err(|_| self.written.store(true, Ordering::Relaxed))
            .with_context(|| format!("write {}", path.display()))?;
        *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = Some(beside);
        Ok(())
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
        let reserved = self
            .beside
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let write = || -> io::Result<()> {
            let mut beside = match reserved {
                Some(reserved) => reserved,
                None => beside(path)?,
            };
            beside.write_all(text.as_bytes())?;
            beside.persist(path)?;
            Ok(())
        };
        write().with_context(|| format!("write {}", path.display()))
    }
}

/// A new file beside the one at `path`, which it becomes: whoever finds that finds all of it.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::metadata(folder)?;
    // Its own words name a file that nobody has asked for.
    NamedTempFile::new_in(folder).map_err(|error| error.kind().into())
}
