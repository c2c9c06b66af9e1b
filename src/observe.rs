//! Asks the backends what is live. Reads only.

use std::collections::BTreeSet;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::backend::{Orchestrator, Question, Store, Tag};
use crate::model::{Applied, Desired, Live, Manifest, ReleaseRef};
use crate::state;

/// With more projects than this, one listing of all manifests is cheaper than one for each project.
const FEW_PROJECTS: usize = 16;

/// What is live, what was last applied, and which releases are complete.
#[derive(Debug, Default)]
pub struct Observed {
    /// At the orchestrator.
    pub live: Live,
    /// What we last registered.
    pub applied: Applied,
    /// The version of `applied` in the store; `None` before the first deploy.
    pub tag: Option<Tag>,
    /// The releases whose manifests are in the store.
    pub complete: BTreeSet<ReleaseRef>,
}

/// Reads everything that a plan for `desired` needs, at once.
///
/// In a `narrowed` run the orchestrator is asked only for the deployments that `desired` declares; otherwise for all,
/// so that what is declared nowhere any more is found.
pub async fn live(
    store: &dyn Store,
    orchestrator: &dyn Orchestrator,
    desired: &Desired,
    environment: &str,
    narrowed: bool,
) -> anyhow::Result<Observed> {
    let deployments = || {
        desired
            .projects
            .iter()
            .flat_map(|project| &project.deployments)
    };
    let question = Question {
        deployments: narrowed.then(|| deployments().map(|one| one.id.clone()).collect()),
        references: deployments()
            .flat_map(|one| one.references.iter().cloned())
            .collect(),
    };
    let read = async {
        orchestrator
            .read(&question)
            .await
            .context("read what is registered")
    };
    let (live, (applied, tag), complete) = tokio::try_join!(
        read,
        state::load(store, environment),
        complete(store, desired)
    )?;
    Ok(Observed {
        live,
        applied,
        tag,
        complete,
    })
}

async fn complete(store: &dyn Store, desired: &Desired) -> anyhow::Result<BTreeSet<ReleaseRef>> {
    let prefixes: Vec<String> = if desired.projects.len() > FEW_PROJECTS {
        vec![Manifest::PREFIX.to_owned()]
    } else {
        desired
            .projects
            .iter()
            .map(|project| project.release.manifest_key())
            .collect()
    };
    let lists: Vec<_> = futures::stream::iter(prefixes)
        .map(|prefix| async move { store.list(&prefix).await })
        .buffered(FEW_PROJECTS)
        .try_collect()
        .await
        .context("list the releases that are stored")?;
    Ok(lists
        .into_iter()
        .flatten()
        .filter_map(|entry| ReleaseRef::of_manifest_key(&entry.key))
        .collect())
}
