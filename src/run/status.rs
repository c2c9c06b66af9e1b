//! `status`.

use std::sync::Arc;

use anyhow::Context as _;

use super::{Run, github, show};
use crate::backend::Question;
use crate::connect;
use crate::error::Failure;
use crate::model::DeploymentId;

/// Shows what is registered for this repository and environment, with projects as paths from the root.
pub(super) async fn status(run: &Run) -> Result<(), Failure> {
    let backends = connect::backends(&run.config, run.path(), &github::hiding(run))?;
    let mut live = backends
        .orchestrator
        .read(&Question::default())
        .await
        .context("read what is registered")
        .map_err(Failure::Unreachable)?;
    let options = run.plan_options(false, false);
    let mut ours: Vec<DeploymentId> = Vec::new();
    for (id, one) in &mut live.deployments {
        let project = one
            .owner
            .as_ref()
            .and_then(|owner| options.project_of(owner));
        if let (Some(project), Some(owner)) = (project, &mut Arc::make_mut(one).owner) {
            owner.project = project;
            ours.push(id.clone());
        }
    }
    show::status(&live, &ours, run)?;
    Ok(())
}
