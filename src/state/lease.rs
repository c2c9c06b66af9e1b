//! The lease that keeps two deploys of one environment apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::backend::{Kind, Store, Tag};

/// How long a lease holds without being renewed: a killed deploy blocks the next one no longer than this.
const HOLDS: Duration = Duration::from_secs(60);

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    holder: String,
    expires: DateTime<Utc>,
}

/// A lease that is held and renewed until it is [released](Lease::release).
pub struct Lease {
    store: Arc<dyn Store>,
    key: String,
    holder: String,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// Takes the lease of an environment for `holder` (for people: who, where; unique to this process). An error names the present holder.
    /// `lost` becomes true if the lease is lost later.
    pub async fn acquire(
        store: Arc<dyn Store>,
        environment: &str,
        holder: &str,
        lost: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let key = format!(".flowyard/lock/{environment}");
        let free = match store.get(&key).await {
            Err(error) if error.kind == Kind::NotFound => None,
            Err(error) => return Err(error).context("read the lease"),
            Ok((bytes, tag)) => {
                if let Ok(other) = serde_json::from_slice::<Holder>(&bytes)
                    && other.expires > Utc::now()
                {
                    bail!(
                        "another deploy of this environment is running: {}; its lease ends at {} unless it is renewed",
                        other.holder,
                        other.expires.to_rfc3339_opts(SecondsFormat::Secs, true)
                    );
                }
                Some(tag)
            }
        };
        let tag = match write(&*store, &key, holder, free.as_ref()).await {
            Ok(tag) => tag,
            Err(error) if error.kind == Kind::Conflict => {
                bail!("another deploy of this environment began at this moment; try again")
            }
            Err(error) => return Err(error).context("take the lease"),
        };
        let renewing = tokio::spawn(renew(
            store.clone(),
            key.clone(),
            holder.to_owned(),
            tag,
            lost,
        ));
        Ok(Self {
            store,
            key,
            holder: holder.to_owned(),
            renewing,
        })
    }

    /// Gives the lease back.
    pub async fn release(self) -> anyhow::Result<()> {
        self.renewing.abort();
        // Somebody may have taken it over meanwhile; theirs stays.
        match self.store.get(&self.key).await {
            Ok((bytes, _)) => {
                if is_held_by(&bytes, &self.holder) {
                    self.store
                        .delete(&self.key)
                        .await
                        .context("give the lease back")?;
                }
                Ok(())
            }
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            Err(error) => Err(error).context("give the lease back"),
        }
    }
}

fn is_held_by(bytes: &[u8], holder: &str) -> bool {
    serde_json::from_slice::<Holder>(bytes).is_ok_and(|now| now.holder == holder)
}

async fn write(
    store: &dyn Store,
    key: &str,
    holder: &str,
    tag: Option<&Tag>,
) -> crate::backend::Result<Tag> {
    let text = Holder {
        holder: holder.to_owned(),
        expires: Utc::now() + HOLDS,
    };
    let bytes = serde_json::to_vec_pretty(&text).expect("text and a date are always JSON");
    store.put_if_unchanged(key, bytes.into(), tag).await
}

async fn renew(
    store: Arc<dyn Store>,
    key: String,
    holder: String,
    mut tag: Tag,
    lost: Arc<AtomicBool>,
) {
    let mut renewed = Utc::now();
    loop {
        tokio::time::sleep(RENEW).await;
        match write(&*store, &key, &holder, Some(&tag)).await {
            Ok(next) => {
                tag = next;
                renewed = Utc::now();
            }
            // A write that landed while its answer got lost, and was repeated, conflicts with itself.
            Err(error) if error.kind == Kind::Conflict => match store.get(&key).await {
                Ok((bytes, now)) if is_held_by(&bytes, &holder) => {
                    tag = now;
                    renewed = Utc::now();
                }
                _ => break,
            },
            // A passing fault is borne as long as the lease holds all the same.
            Err(_) if Utc::now() < renewed + HOLDS - RENEW / 2 => {}
            Err(_) => break,
        }
    }
    lost.store(true, Ordering::Relaxed);
}
