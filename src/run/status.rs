//! `status`.

use anyhow::Context as _;

use super::{Run, github, show};
use crate::backend::Question;
use crate::connect;
use crate::error::Failure;
use crate::model::DeploymentId;

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
