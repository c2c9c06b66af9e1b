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
    leases: Vec<Lease>,
    interrupted: JoinHandle<()>,
}

impl Writing {
    /// Takes the lease of the environment, and that of the `other` one that deployments are taken from; a `shard` holds them
    /// together with the others of its plan, and has `begun` if it was there before.
    pub(super) async fn begin(
        run: &Run,
        backends: &Backends,
        shard: Option<Shard>,
        share: Option<Share>,
        other: Option<&str>,
        begun: bool,
    ) -> Result<Self, Failure> {
        if run.global.local {
            backend::folder::prepare(&run.path().join(LOCAL))
                .map_err(|error| Failure::Unreachable(error.into()))?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let interrupted = interrupt::watch(stop.clone()).context("wait for Ctrl-C")?;
        let mut writing = Self {
            stop,
            leases: Vec::new(),
            interrupted,
        };
        let (store, holder) = (&backends.store, holder(run, shard));
        for environment in [run.config.environment.as_str()].into_iter().chain(other) {
            let stop = writing.stop.clone();
            match Lease::acquire(store.clone(), environment, &holder, share, stop).await {
                Ok(lease) => writing.leases.push(lease),
                Err(error) => {
                    writing.end(begun).await;
                    return Err(Failure::Unreachable(error));
                }
            }
        }
        Ok(writing)
    }

    /// Gives the leases back; a shard that `began` to write leaves a note of that.
    pub(super) async fn end(self, began: bool) {
        for lease in self.leases {
            if let Err(error) = lease.release(began).await {
                tracing::warn!("{error:#}; it ends by itself");
            }
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
