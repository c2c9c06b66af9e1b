//! Brings blobs into a repository, each once: what is there is left alone, what another repository of the same registry has is
//! taken over from there, and only the rest is sent.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::{OnceCell, Semaphore};

use super::cache::Cache;
use crate::backend::oci::document::Descriptor;
use crate::backend::oci::{Reference, Repository};
use crate::backend::{Content, Error, Kind, Result};
use crate::model::Digest;

/// How many blobs are on their way at once.
const AT_ONCE: usize = 6;

/// Where a blob can be had.
#[derive(Clone)]
pub(super) enum Origin {
    /// From here.
    Content(Content),
    /// From here, and nobody can have sent it but a run that was cut short.
    New(Bytes),
    /// From another repository.
    Repository(Arc<dyn Repository>, Reference),
    /// Nowhere: it is in the target already, or it has to be made.
    Unknown,
}

/// Where images go.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) repository: Arc<dyn Repository>,
    pub(super) reference: Reference,
}

type Cells<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

/// All transfers of a run. Several images of a run that need the same blob wait for one transfer.
#[derive(Default)]
pub(super) struct Transfers {
    /// By registry: which of its repositories has the blob.
    holders: Cells<(String, Digest), String>,
    /// By repository: whether the blob is there.
    done: Cells<(String, Digest), ()>,
    limit: Limit,
}

struct Limit(Semaphore);

impl Default for Limit {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

/// The cell for a key, made if it is not there.
pub(super) fn cell<K: std::hash::Hash + Eq, V>(cells: &Cells<K, V>, key: K) -> Arc<OnceCell<V>> {
    let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
    cells.entry(key).or_default().clone()
}

impl Transfers {
    /// Sees to it that the target has a blob; `false` where it has not and its origin is unknown.
    pub(super) async fn bring(
        &self,
        target: &Target,
        blob: &Descriptor,
        origin: &Origin,
        cache: &Cache,
    ) -> Result<bool> {
        let digest = blob.digest.0;
        let done = cell(&self.done, (target.reference.name(), digest));
        let brought = done
            .get_or_try_init(|| self.bring_once(target, blob, origin, cache))
            .await;
        match brought {
            Ok(()) => Ok(true),
            Err(Missing::Unknown) => Ok(false),
            Err(Missing::Failed(error)) => Err(error),
        }
    }

    async fn bring_once(
        &self,
        target: &Target,
        blob: &Descriptor,
        origin: &Origin,
        cache: &Cache,
    ) -> std::result::Result<(), Missing> {
        let digest = blob.digest.0;
        let here = &target.reference.repository;
        let key = (target.reference.registry.clone(), digest);
        let holder = cell(&self.holders, key);
        let first = holder
            .get_or_try_init(|| async {
                self.send(target, blob, origin, None, cache).await?;
                Ok::<_, Missing>(here.clone())
            })
            .await?;
        if first != here {
            self.send(target, blob, origin, Some(first), cache).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        target: &Target,
        blob: &Descriptor,
        origin: &Origin,
        holder: Option<&str>,
        cache: &Cache,
    ) -> std::result::Result<(), Missing> {
        let (to, digest) = (&target.repository, &blob.digest.0);
        let _permit = self.limit.0.acquire().await;
        let beside = match origin {
            Origin::Repository(_, from) if from.registry == target.reference.registry => {
                Some(from.repository.as_str())
            }
            _ => None,
        };
        // Writing a blob asks first where it may be there; taking one over is a write itself.
        let from_here = matches!(origin, Origin::Content(_) | Origin::New(_));
        if !(from_here && holder.is_none()) && to.has(digest).await? {
            return Ok(());
        }
        for from in holder.into_iter().chain(beside) {
            if from != target.reference.repository && to.mount(digest, from).await? {
                return Ok(());
            }
        }
        match origin {
            Origin::Unknown => return Err(Missing::Unknown),
            Origin::Content(content) => to.put_blob(digest, blob.size, content.clone()).await?,
            Origin::New(bytes) => to.put_new_blob(digest, bytes.clone()).await?,
            Origin::Repository(from, _) => copy(&**from, &**to, blob, cache).await?,
        }
        Ok(())
    }
}

/// Why a blob is not there.
enum Missing {
    Unknown,
    Failed(Error),
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Copies a blob by way of a file: an upload that is cut can be taken up again, and the digest is known to be right before
/// the first byte is sent.
async fn copy(
    from: &dyn Repository,
    to: &dyn Repository,
    blob: &Descriptor,
    cache: &Cache,
) -> Result<()> {
    let failed = |error: std::io::Error| {
        let message = format!("keep the blob {} on disk: {error}", blob.digest);
        Error::new(Kind::Other, from.subject(), message)
    };
    let folder = cache.temporary().map_err(failed)?;
    let path = folder.path().join("blob");
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    let mut stream = from.blob(&blob.digest.0).await?;
    while let Some(piece) = stream.next().await {
        file.write_all(&piece?).map_err(failed)?;
    }
    drop(file);
    let content = Content::File {
        path,
        length: blob.size,
    };
    to.put_blob(&blob.digest.0, blob.size, content).await
}
