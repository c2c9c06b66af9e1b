//! Blobs from a registry: streamed, resumed where the connection breaks, and checked.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use reqwest::header::{HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::auth::Access;
use super::fault::{Fault, Refusal};
use super::host::{Attempt, Call, piece};
use super::registry::Registry;
use crate::backend::{Kind, Result};
use crate::model::{Digest, Hasher};

/// How often a broken download goes on.
const RESUMPTIONS: u32 = 5;

/// A download under way.
struct Download {
    registry: Registry,
    digest: Digest,
    what: String,
    hasher: Hasher,
    /// Bytes so far.
    at: u64,
    resumed: u32,
    /// What was read already and not passed on.
    ready: Option<Bytes>,
    response: Response,
}

/// Opens a blob, which is an error where it is not there, and gives its pieces.
pub(super) async fn blob(
    registry: &Registry,
    digest: &Digest,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let what = format!(
        "reading blob sha256:{} of {}",
        digest.short(),
        registry.name
    );
    let open = || open(registry, digest, 0);
    let response = registry.host.persist(&what, open).await?;
    let download = Download {
        registry: registry.clone(),
        digest: *digest,
        what,
        hasher: Hasher::default(),
        at: 0,
        resumed: 0,
        ready: None,
        response,
    };
    Ok(Box::pin(futures::stream::try_unfold(
        download,
        |mut download| async move {
            let piece = download.next().await?;
            Ok(piece.map(|piece| (piece, download)))
        },
    )))
}

/// Asks for a blob from byte `at` on. The answer begins there, or at the start where the registry cannot do that.
async fn open(registry: &Registry, digest: &Digest, at: u64) -> Attempt<Response> {
    let access = Access::pull(&registry.name);
    let mut call = Call::new(Method::GET, registry.blob_url(digest), &access);
    if at > 0
        && let Ok(range) = HeaderValue::try_from(format!("bytes={at}-"))
    {
        call = call.header(RANGE, range);
    }
    let response = registry.host.ask(&call).await?;
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        _ => Err(Fault::Refused(Refusal::read(response).await)),
    }
}

impl Download {
    /// The next piece; `None` at the end of what has the right digest.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let next = match self.ready.take() {
                Some(piece) => Ok(Some(piece)),
                None => piece(&mut self.response).await,
            };
            match next {
                Ok(Some(piece)) => {
                    self.hasher.update(&piece);
                    self.at += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Ok(None) => return self.end(),
                Err(fault) if self.resumed < RESUMPTIONS => {
                    tracing::debug!(what = self.what, ?fault, at = self.at, "resuming");
                    self.resume().await?;
                }
                Err(fault) => return Err(self.explain(fault)),
            }
        }
    }

    fn end(&self) -> Result<Option<Bytes>> {
        let found = self.hasher.clone().finish();
        if found == self.digest {
            return Ok(None);
        }
        let message = format!(
            "{}: its {} bytes have the digest sha256:{found} instead of sha256:{}",
            self.what, self.at, self.digest
        );
        Err(self.registry.host.error(Kind::Other, &message))
    }

    /// Goes on where the connection broke.
    async fn resume(&mut self) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(200) * self.resumed).await;
        self.resumed += 1;
        let open = || open(&self.registry, &self.digest, self.at);
        self.response = self.registry.host.persist(&self.what, open).await?;
        if self.response.status() == StatusCode::PARTIAL_CONTENT {
            return Ok(());
        }
        // From the start: what was passed on already is left out.
        let mut skip = self.at;
        while skip > 0 {
            let next = piece(&mut self.response).await;
            let Some(mut next) = next.map_err(|fault| self.explain(fault))? else {
                break;
            };
            let seen = next.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            skip -= seen as u64;
            let rest = next.split_off(seen);
            self.ready = Some(rest).filter(|rest| !rest.is_empty());
        }
        Ok(())
    }

    fn explain(&self, fault: Fault) -> crate::backend::Error {
        fault.explain(self.registry.host.name(), &self.what)
    }
}
