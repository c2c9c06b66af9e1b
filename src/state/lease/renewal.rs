//! Keeps a lease, and finds out that it is lost before another deploy can begin.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{HOLDS, TRIES, Taker, pause, read, write};
use crate::backend::{Kind, Result, Store};

/// When a lease is renewed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// So long after it was taken or last renewed.
    pub(super) every: Duration,
    /// A try that takes longer hangs, and is given up for a new one.
    pub(super) patience: Duration,
    /// The pause between two tries.
    pub(super) pause: Duration,
    /// So long after it was taken or last renewed no further try is begun.
    pub(super) until: Duration,
}

/// The last try is over before the lease is, so that what was begun can end before another deploy begins.
pub(super) const TIMES: Times = Times {
    every: Duration::from_secs(20),
    patience: Duration::from_secs(8),
    pause: Duration::from_secs(1),
    until: HOLDS.saturating_sub(Duration::from_secs(15)),
};

/// Renews a lease that was taken at `since` until that does not work any more, and gives the reason, a fragment.
pub(super) async fn keep(
    store: Arc<dyn Store>,
    key: String,
    taker: Taker,
    since: Instant,
) -> String {
    keep_at(&*store, &key, &taker, since, TIMES).await
}

/// Likewise, at other times.
pub(super) async fn keep_at(
    store: &dyn Store,
    key: &str,
    taker: &Taker,
    mut since: Instant,
    times: Times,
) -> String {
    loop {
        sleep_until(since + times.every).await;
        let until = since + times.until;
        since = loop {
            let begun = Instant::now();
            // A passing fault is borne as long as the lease holds all the same.
            let why = match timeout(times.patience, renew(store, key, taker)).await {
                Ok(Ok(Renewal::Done)) => break begun,
                Ok(Ok(Renewal::Taken(by))) => return format!("{by} has taken it"),
                Ok(Ok(Renewal::Gone)) => return "it is not there any more".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("{}: no answer in time", store.subject()),
            };
            if Instant::now() + times.pause >= until {
                return format!("it could not be renewed: {why}");
            }
            sleep(times.pause).await;
        };
    }
}

/// What came of a renewal.
enum Renewal {
    /// It holds anew.
    Done,
    /// This holder has it.
    Taken(String),
    /// There is no lease any more.
    Gone,
}

/// Writes the lease's new end.
async fn renew(store: &dyn Store, key: &str, taker: &Taker) -> Result<Renewal> {
    let mut attempt = 0;
    loop {
        let Some((Some(document), tag)) = read(store, key).await? else {
            return Ok(Renewal::Gone);
        };
        let document = match document.renewed(taker, Utc::now(), HOLDS) {
            Ok(document) => document,
            Err(other) => return Ok(Renewal::Taken(other.holder)),
        };
        match write(store, key, &document, Some(&tag)).await {
            Ok(()) => return Ok(Renewal::Done),
            // Another part wrote, or a write of ours landed while its answer got lost: the next look tells.
            Err(error) if error.kind == Kind::Conflict && attempt < TRIES => pause(attempt).await,
            Err(error) => return Err(error),
        }
        attempt += 1;
    }
}
