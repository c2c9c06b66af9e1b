//! Makes one release complete in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Semaphore;

use super::{Event, Observer, Work};
use crate::backend::{Content, Kind, Put, Store};
use crate::model::{CodeFile, CodeTree, Digest, Hasher, Manifest, ReleaseRef, RepoPath};
use crate::plan::ProjectPlan;

/// Files up to this length are read and checked in memory before they are sent, larger ones are checked after.
const SMALL: u64 = 1 << 20;

/// Files up to this length are read without a thread of their own.
const TINY: u64 = 64 << 10;

/// Below this length a copy inside the store costs as much as sending the file.
const WORTH_A_COPY: u64 = 256 << 10;

/// Uploads what is missing of the project's release, then its manifest.
pub(super) async fn upload(
    project: &ProjectPlan,
    work: &Work<'_>,
    uploads: &Semaphore,
    observer: &dyn Observer,
) -> anyhow::Result<()> {
    let release = &project.release;
    let code = work
        .code
        .get(&project.path)
        .context("find the project's code")?;
    let folder = release.folder();
    let key = |file: &CodeFile| format!("{folder}{}", file.path);
    // The prefix is the digest of the content: what is there with the right length, from a run that was killed, needs no
    // second upload.
    let lengths = lengths(work.store, &folder).await?;
    let missing: Vec<&CodeFile> = code
        .files()
        .iter()
        .filter(|file| {
            let there = lengths.get(&key(file)) == Some(&file.length);
            if there {
                observer.on(&Event::Stored {
                    bytes: file.length,
                    sent: false,
                });
            }
            !there
        })
        .collect();
    let earlier = earlier_files(&missing, project, work).await?;

    let met = futures::stream::iter(missing)
        .map(|file| {
            let key = key(file);
            let from = earlier.get(&file.sha256);
            let cut = lengths.contains_key(&key);
            async move {
                let _permit = uploads.acquire().await.context("wait for an upload slot")?;
                if cut {
                    // A copy that failed within the service leaves an empty object, a machine that lost power a part.
                    delete(work.store, &key).await?;
                }
                let stored = store_file(file, &key, from, work, code.base()).await?;
                observer.on(&Event::Stored {
                    bytes: file.length,
                    sent: stored == Stored::Sent,
                });
                anyhow::Ok(stored == Stored::Met)
            }
        })
        .buffer_unordered(work.jobs.max(1))
        .try_fold(false, |met, one| async move { Ok(met || one) })
        .await?;
    if met {
        expect_whole(code, &folder, work.store).await?;
    }

    let manifest = serde_json::to_vec_pretty(&Manifest::of(&project.path, code))
        .context("write the manifest as JSON")?;
    let key = release.manifest_key();
    work.store
        .put_if_absent(&key, Content::Bytes(manifest.into()))
        .await
        .with_context(|| format!("write {key}"))?;
    Ok(())
}

/// The length of each object below `folder`, by key.
async fn lengths(store: &dyn Store, folder: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let listed = store.list(folder).await;
    let listed = listed.with_context(|| format!("list {folder}"))?;
    let lengths = listed.into_iter().map(|entry| (entry.key, entry.length));
    Ok(lengths.collect())
}

/// Looks again at a release of which somebody else has stored a part meanwhile; an error where that is not the file.
async fn expect_whole(code: &CodeTree, folder: &str, store: &dyn Store) -> anyhow::Result<()> {
    let lengths = lengths(store, folder).await?;
    for file in code.files() {
        let key = format!("{folder}{}", file.path);
        if lengths.get(&key) != Some(&file.length) {
            bail!(
                "{}/{key} is taken by something else than the {} bytes of {}; run the deploy again, or delete it",
                store.subject(),
                file.length,
                file.path
            );
        }
    }
    Ok(())
}

/// Where large files of the project's last release are, by content, so that the store can copy them.
async fn earlier_files(
    missing: &[&CodeFile],
    project: &ProjectPlan,
    work: &Work<'_>,
) -> anyhow::Result<BTreeMap<Digest, String>> {
    if !missing.iter().any(|file| file.length >= WORTH_A_COPY) {
        return Ok(BTreeMap::new());
    }
    let digests: BTreeSet<Digest> = work
        .applied
        .deployments
        .values()
        .filter(|one| one.project == project.path && one.release != project.release.digest)
        .map(|one| one.release)
        .collect();
    let mut files = BTreeMap::new();
    for digest in digests {
        let release = ReleaseRef {
            project: project.path.clone(),
            digest,
        };
        let bytes = match work.store.get(&release.manifest_key()).await {
            Ok((bytes, _)) => bytes,
            // It was collected since; then everything is sent.
            Err(error) if error.kind == Kind::NotFound => continue,
            Err(error) => return Err(error).context("read the last release's manifest"),
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else {
            continue;
        };
        let folder = release.folder();
        for file in manifest
            .files
            .into_iter()
            .filter(|file| file.length >= WORTH_A_COPY)
        {
            files.insert(file.sha256, format!("{folder}{}", file.path));
        }
    }
    Ok(files)
}

/// How a file came to be in the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// Its bytes were sent from here.
    Sent,
    /// The store copied it.
    Copied,
    /// Its key was taken meanwhile.
    Met,
}

async fn store_file(
    file: &CodeFile,
    key: &str,
    from: Option<&String>,
    work: &Work<'_>,
    base: &RepoPath,
) -> anyhow::Result<Stored> {
    if let Some(from) = from {
        match work.store.copy_if_absent(from, key).await? {
            Some(Put::Created) => return Ok(Stored::Copied),
            Some(Put::Exists) => return Ok(Stored::Met),
            None => {}
        }
    }
    let path = base.join(&file.path);
    let content = (work.content)(&path).with_context(|| format!("read {path}"))?;
    let (content, large) = match content {
        Content::File {
            path: on_disk,
            length,
        } if length <= SMALL => {
            // One that was hashed a moment ago is still in memory: reading it costs less than asking another thread to.
            let bytes = if length <= TINY {
                std::fs::read(&on_disk)
            } else {
                tokio::fs::read(&on_disk).await
            };
            let bytes = bytes.with_context(|| format!("read {path}"))?;
            (Content::Bytes(bytes.into()), None)
        }
        Content::File {
            path: on_disk,
            length,
        } => (
            Content::File {
                path: on_disk.clone(),
                length,
            },
            Some(on_disk),
        ),
        bytes @ Content::Bytes(_) => (bytes, None),
    };
    if let Content::Bytes(bytes) = &content {
        check(file, Digest::of(bytes))?;
    }
    let put = work
        .store
        .put_if_absent(key, content)
        .await
        .with_context(|| format!("upload {path} to {key}"))?;
    if let Some(on_disk) = large
        && put == Put::Created
    {
        let now = tokio::task::spawn_blocking(move || digest_of(&on_disk)).await?;
        let unchanged = now
            .with_context(|| format!("read {path}"))
            .and_then(|now| check(file, now));
        if unchanged.is_err() {
            // What was just stored may be a mix of two states of the file.
            delete(work.store, key).await?;
        }
        unchanged?;
    }
    Ok(match put {
        Put::Created => Stored::Sent,
        Put::Exists => Stored::Met,
    })
}

async fn delete(store: &dyn Store, key: &str) -> anyhow::Result<()> {
    store
        .delete(key)
        .await
        .with_context(|| format!("delete {key}"))
}

fn check(file: &CodeFile, now: Digest) -> anyhow::Result<()> {
    if now != file.sha256 {
        bail!(
            "{} was changed while it was being deployed; run the deploy again",
            file.path
        );
    }
    Ok(())
}

fn digest_of(path: &Path) -> std::io::Result<Digest> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}
