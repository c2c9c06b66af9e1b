//! What flowyard keeps for itself in the store: what was last applied, and the lease of a running deploy.
//!
//! | key | content |
//! |---|---|
//! | `.flowyard/state/<environment>/applied.json` | the [`Applied`] of the environment, one document, so that it is read with one request |
//! | `.flowyard/lock/<environment>` | who deploys, and until when that holds unless it is renewed; of a plan in shards, which of them have begun |
//!
//! A deploy writes the document twice: before it registers anything it says what it sets out to do (`begun`), and at the
//! end what it has done. One that was killed in between leaves the first to the next, which finds out with it what of
//! what is live is ours. A flowyard that does not know the field drops it when it writes.
//!
//! # The deployed revision
//!
//! `revisions` of the document has the commits that everything in the environment is deployed as, one of each repository,
//! or of each `--root` in it. A deploy that is about to write takes out its own, and those of roots that it shares
//! projects with, first, and puts its own commit in at the end if it has brought all of the
//! repository there: without a failure, from a work tree that is just that commit, and either not narrowed or narrowed
//! to what differs from the revision that was there. So a run that failed, was killed, deployed a part (`--project`, a
//! shard) or had uncommitted changes leaves none, and the next `--since auto` compares everything. A deploy that
//! changes nothing writes nothing and leaves it: what it says is still so, and the next difference is only larger. A
//! flowyard that does not know the field drops it when it writes, which says the same.

mod lease;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::backend::{Kind, Store, Tag};
use crate::model::{Applied, AppliedDeployment, DeploymentId, RepoPath, Revision};

pub use lease::{Lease, Share, has_begun};

/// The document as stored.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    deployments: BTreeMap<DeploymentId, AppliedDeployment>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    begun: BTreeMap<DeploymentId, AppliedDeployment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revisions: Vec<Revision>,
}

/// How often a write is tried again when another one was first. Each time one of them lands, so that this is how many
/// parts of a plan may end at the same moment, and more: they try at different times.
const TRIES: u32 = 64;

/// The longest pause before a write is tried again, in steps of [`STEP`].
const STEPS: u32 = 16;
const STEP: Duration = Duration::from_millis(25);

/// Waits before a write is tried again, by chance longer or shorter, so that those who met do not meet again.
async fn pause(attempt: u32) {
    // The standard library's hasher is keyed with the system's randomness, which needs no crate.
    let chance = RandomState::new().build_hasher().finish();
    let steps = 1 + u32::try_from(chance % 1000).unwrap_or(0) * (attempt + 1).min(STEPS) / 1000;
    tokio::time::sleep(STEP * steps).await;
}

fn key(environment: &str) -> String {
    format!(".flowyard/state/{environment}/applied.json")
}

/// Reads what was last applied, and its version; empty and `None` before the first deploy.
///
/// A document that cannot be understood counts as lost, which is said, rather than as an error, except one of a later
/// version, which this program must not overwrite.
pub async fn load(store: &dyn Store, environment: &str) -> anyhow::Result<(Applied, Option<Tag>)> {
    let read = read(store, environment).await?;
    if let Some(why) = read.lost {
        let key = key(environment);
        tracing::warn!("{key} cannot be understood ({why}); it will be written anew");
    }
    Ok((read.applied, read.tag))
}

/// The version of what was last applied; `None` before the first deploy.
pub async fn tag(store: &dyn Store, environment: &str) -> anyhow::Result<Option<Tag>> {
    Ok(read(store, environment).await?.tag)
}

/// The revision that a root of a repository is deployed as; `None` where that is not known.
pub async fn revision(
    store: &dyn Store,
    environment: &str,
    repository: &str,
    root: &RepoPath,
) -> anyhow::Result<Option<Revision>> {
    let applied = read(store, environment).await?.applied;
    Ok(applied.revision(repository, root).cloned())
}

/// What is there.
#[derive(Default)]
struct Read {
    applied: Applied,
    tag: Option<Tag>,
    /// Why what is there cannot be understood, where it cannot.
    lost: Option<String>,
}

async fn read(store: &dyn Store, environment: &str) -> anyhow::Result<Read> {
    let key = key(environment);
    let (bytes, tag) = match store.get(&key).await {
        Ok(found) => found,
        Err(error) if error.kind == Kind::NotFound => return Ok(Read::default()),
        Err(error) => return Err(error).context("read what was last applied"),
    };
    match serde_json::from_slice::<Document>(&bytes) {
        Ok(document) if document.version == 1 => Ok(Read {
            applied: Applied {
                deployments: document.deployments,
                begun: document.begun,
                revisions: document.revisions,
            },
            tag: Some(tag),
            lost: None,
        }),
        Ok(document) => anyhow::bail!(
            "{}/{key} is of version {}, which this flowyard does not know; use a newer one",
            store.subject(),
            document.version
        ),
        Err(error) => Ok(Read {
            applied: Applied::default(),
            tag: Some(tag),
            lost: Some(error.to_string()),
        }),
    }
}

/// Forgets the deployments of an environment but for those that `stay`, and deletes the document where that leaves nothing.
/// Only for who holds the lease alone.
pub async fn forget(
    store: &dyn Store,
    environment: &str,
    stay: impl Fn(&DeploymentId) -> bool,
) -> anyhow::Result<()> {
    let without = |before: &Applied| {
        let mut left = before.clone();
        left.deployments.retain(|id, _| stay(id));
        left.begun.retain(|id, _| stay(id));
        left
    };
    if without(&read(store, environment).await?.applied) == Applied::default() {
        let deleted = store.delete(&key(environment)).await;
        return deleted.context("delete what was last applied");
    }
    save(store, environment, without).await
}

/// Writes what is applied now: `change` is made to the current document, again whenever someone else wrote meanwhile.
/// Where it changes nothing, nothing is written.
pub async fn save(
    store: &dyn Store,
    environment: &str,
    change: impl Fn(&Applied) -> Applied,
) -> anyhow::Result<()> {
    let key = key(environment);
    for attempt in 0..TRIES {
        let Read {
            applied: before,
            tag,
            ..
        } = read(store, environment).await?;
        let after = change(&before);
        if after == before {
            return Ok(());
        }
        let document = Document {
            version: 1,
            deployments: after.deployments,
            begun: after.begun,
            revisions: after.revisions,
        };
        let bytes = serde_json::to_vec(&document).context("write the state as JSON")?;
        match store
            .put_if_unchanged(&key, bytes.into(), tag.as_ref())
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == Kind::Conflict => pause(attempt).await,
            Err(error) => return Err(error).context("write what was applied"),
        }
    }
    anyhow::bail!("{key} is written by others all the time; gave up after {TRIES} tries")
}
