//! Makes one release complete in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Semaphore;

use super::{Event, Observer, Work};
use crate::backend::{Content, Kind, Put, Store};
use crate::model::{CodeFile, Digest, Hasher, Manifest, ReleaseRef};
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
    // Objects appear whole or not at all, and their prefix is the digest of their content: one that is there with the
    // right length, from a run that was killed, needs no second upload.
    let present: BTreeSet<(String, u64)> = work
        .store
        .list(&folder)
        .await
        .with_context(|| format!("list {folder}"))?
        .into_iter()
        .map(|entry| (entry.key, entry.length))
        .collect();
    let missing: Vec<&CodeFile> = code
        .files()
        .iter()
        .filter(|file| {
            let there = present.contains(&(format!("{folder}{}", file.path), file.length));
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

    futures::stream::iter(missing)
        .map(|file| {
            let key = format!("{folder}{}", file.path);
            let from = earlier.get(&file.sha256);
            async move {
                let _permit = uploads.acquire().await.context("wait for an upload slot")?;
                let sent = store_file(file, &key, from, work, code.base()).await?;
                observer.on(&Event::Stored {
                    bytes: file.length,
                    sent,
                });
                anyhow::Ok(())
            }
        })
        .buffer_unordered(work.jobs.max(1))
        .try_collect::<()>()
        .await?;

    let manifest = serde_json::to_vec_pretty(&Manifest::of(&project.path, code))
        .context("write the manifest as JSON")?;
    let key = release.manifest_key();
    work.store
        .put_if_absent(&key, Content::Bytes(manifest.into()))
        .await
        .with_context(|| format!("write {key}"))?;
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

/// Stores one file; whether its bytes were sent from here.
async fn store_file(
    file: &CodeFile,
    key: &str,
    from: Option<&String>,
    work: &Work<'_>,
    base: &crate::model::RepoPath,
) -> anyhow::Result<bool> {
    if let Some(from) = from
        && work.store.copy_if_absent(from, key).await?.is_some()
    {
        return Ok(false);
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
            remove_mixed(work.store, key).await?;
        }
        unchanged?;
    }
    Ok(put == Put::Created)
}

async fn remove_mixed(store: &dyn Store, key: &str) -> anyhow::Result<()> {
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
