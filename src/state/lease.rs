//! The lease that keeps two deploys of one environment apart, and lets the parts of one saved plan run at once.

mod holders;
mod renewal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{SecondsFormat, Utc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{TRIES, pause};
use crate::backend::{Kind, Store, Tag};
use crate::model::Digest;
use holders::{Document, Left};

/// How long a lease holds without being renewed: a killed deploy blocks the next one no longer than this.
const HOLDS: Duration = Duration::from_secs(60);

/// A part of a saved plan, whose other parts may be carried out at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The digest of the plan's file.
    pub plan: Digest,
    /// Which part, from 1.
    pub part: u16,
}

/// Who takes a lease.
#[derive(Clone, Debug)]
struct Taker {
    holder: String,
    share: Option<Share>,
}

/// A lease that is held and renewed until it is [released](Lease::release).
pub struct Lease {
    store: Arc<dyn Store>,
    key: String,
    taker: Taker,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// Takes the lease of an environment for `holder` (for people: who, where; unique to this process). With a `share` it
    /// is held together with others of the same plan; nobody else gets it meanwhile. An error names the present holder.
    /// `lost` becomes true if the lease is lost later, which is told as a warning, and before anybody else can take it.
    pub async fn acquire(
        store: Arc<dyn Store>,
        environment: &str,
        holder: &str,
        share: Option<Share>,
        lost: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let key = key(environment);
        let taker = Taker {
            holder: holder.to_owned(),
            share,
        };
        let since = take(&*store, environment, &taker).await?;
        let kept = renewal::keep(store.clone(), key.clone(), taker.clone(), since);
        let renewing = tokio::spawn(async move {
            let why = kept.await;
            tracing::warn!("the lease of the environment is lost: {why}; nothing further is begun");
            lost.store(true, Ordering::Relaxed);
        });
        Ok(Self {
            store,
            key,
            taker,
            renewing,
        })
    }

    /// Gives the lease back. A part that `began` to write leaves a note of that, for [`has_begun`].
    pub async fn release(self, began: bool) -> anyhow::Result<()> {
        self.renewing.abort();
        for attempt in 0..TRIES {
            let before = read(&*self.store, &self.key).await;
            let Some((Some(document), tag)) = before.context("give the lease back")? else {
                return Ok(());
            };
            let done = match document.left(&self.taker, began, Utc::now(), HOLDS) {
                // Somebody has taken it over meanwhile; theirs stays.
                Left::Others => return Ok(()),
                Left::Nothing => self.store.delete(&self.key).await,
                Left::Note(document) => write(&*self.store, &self.key, &document, Some(&tag)).await,
            };
            match done {
                Err(error) if error.kind == Kind::Conflict => pause(attempt).await,
                done => return done.context("give the lease back"),
            }
        }
        bail!("the lease is written by others all the time")
    }
}

/// Takes the lease, and gives when it did: it holds from then on.
async fn take(store: &dyn Store, environment: &str, taker: &Taker) -> anyhow::Result<Instant> {
    let key = &key(environment);
    let mut tried: Option<(Document, Instant)> = None;
    for attempt in 0..TRIES {
        let before = read(store, key).await.context("read the lease")?;
        let (document, tag) = match before {
            None => (None, None),
            Some((document, tag)) => (document, Some(tag)),
        };
        if let (Some(document), Some((tried, since))) = (&document, &tried)
            && document.hold(taker).is_some()
            && document.hold(taker) == tried.hold(taker)
        {
            // The write had landed, and its answer got lost.
            return Ok(*since);
        }
        let since = Instant::now();
        let after = match Document::taken(document, taker, Utc::now(), HOLDS) {
            Ok(after) => after,
            Err(other) => bail!(
                "another deploy of the environment `{environment}` is running: {}; its lease ends at {} unless it is renewed",
                other.holder,
                other.expires.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        };
        match write(store, key, &after, tag.as_ref()).await {
            Ok(()) => return Ok(since),
            // Somebody was first: the next look tells who.
            Err(error) if error.kind == Kind::Conflict => pause(attempt).await,
            Err(error) => return Err(error).context("take the lease"),
        }
        tried = Some((after, since));
    }
    bail!("others take the lease of the environment `{environment}` all the time; try again")
}

/// Whether a part of a plan has begun to write before, and no other deploy of the environment since then: what has moved in
/// it was moved by that.
pub async fn has_begun(store: &dyn Store, environment: &str, share: Share) -> anyhow::Result<bool> {
    let found = read(store, &key(environment)).await;
    let document = found.context("read the lease")?.and_then(|found| found.0);
    Ok(document.is_some_and(|document| document.knows(share)))
}

fn key(environment: &str) -> String {
    format!(".flowyard/lock/{environment}")
}

/// The document and its version; no document where nobody can understand it, so that it does not hold for ever.
async fn read(
    store: &dyn Store,
    key: &str,
) -> crate::backend::Result<Option<(Option<Document>, Tag)>> {
    match store.get(key).await {
        Ok((bytes, tag)) => Ok(Some((serde_json::from_slice(&bytes).ok(), tag))),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn write(
    store: &dyn Store,
    key: &str,
    document: &Document,
    tag: Option<&Tag>,
) -> crate::backend::Result<()> {
    let bytes = serde_json::to_vec_pretty(document).expect("text and dates are always JSON");
    store.put_if_unchanged(key, bytes.into(), tag).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
