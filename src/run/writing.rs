//! What stands around all that a run writes: nobody else writes to the environment meanwhile, and whoever wants the run to
//! stop lets it come to an end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::{Run, interrupt};
use crate::backend;
use crate::connect::{Backends, LOCAL};
use crate::error::Failure;
use crate::model::Shard;
use crate::state::{Lease, Share};

/// A run that may write.
pub(super) struct Writing {
    /// Whether nothing further is to be begun: somebody wants the run to stop, or the lease is lost.
    pub(super) stop: Arc<AtomicBool>,
    lease: Lease,
    interrupted: JoinHandle<()>,
}

impl Writing {
    /// Takes the lease of the environment; a `shard` holds it together with the others of its plan.
    pub(super) async fn begin(
        run: &Run,
        backends: &Backends,
        shard: Option<Shard>,
        share: Option<Share>,
    ) -> Result<Self, Failure> {
        if run.global.local {
            backend::folder::prepare(&run.path().join(LOCAL))
                .map_err(|error| Failure::Unreachable(error.into()))?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let interrupted = interrupt::watch(stop.clone()).context("wait for Ctrl-C")?;
        let lease = Lease::acquire(
            backends.store.clone(),
            &run.config.environment,
            &holder(run, shard),
            share,
            stop.clone(),
        )
        .await
        .map_err(Failure::Unreachable)?;
        Ok(Self {
            stop,
            lease,
            interrupted,
        })
    }

    /// Gives the lease back; a shard that `began` to write leaves a note of that.
    pub(super) async fn end(self, began: bool) {
        if let Err(error) = self.lease.release(began).await {
            tracing::warn!("{error:#}; it ends by itself");
        }
        self.interrupted.abort();
    }
}

/// Who writes, for those who are kept waiting.
fn holder(run: &Run, shard: Option<Shard>) -> String {
    let holder = &run.config.holder;
    shard.map_or_else(
        || holder.clone(),
        |shard| format!("{holder}, shard {shard}"),
    )
}
