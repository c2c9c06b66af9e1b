//! Blobs to a registry: in one request, from a file of any size, and in chunks where something between does not let that
//! pass.
//!
//! Source: [distribution specification, "Pushing blobs"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::auth::Access;
use super::body::Body;
use super::fault::{Fault, Refusal};
use super::host::{Attempt, Call, Host};
use super::registry::Registry;
use crate::backend::transfer::{Pieces, share};
use crate::backend::{Content, Kind, Result};
use crate::model::Digest;

/// Sizes of chunks in bytes, tried in this order: a comfortable one, and what nginx lets pass by itself.
const CHUNKS: [usize; 2] = [8 << 20, 1 << 20];

/// The largest chunk that we would hold in memory, whatever the registry wants.
const LARGEST_CHUNK: usize = 32 << 20;

/// How many whole requests may break before chunks are tried: something between may cut what is long.
const WHOLE_TRIES: usize = 2;

/// The smallest chunk that a registry takes, which it says when an upload begins.
const LEAST: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// How long is waited for an upload to begin ahead: blobs wait for that too.
const AHEAD: Duration = Duration::from_secs(5);

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Writes a blob, and `asks` before whether it is there.
pub(super) async fn blob(
    registry: &Registry,
    digest: &Digest,
    content: &Content,
    asks: bool,
) -> Result<()> {
    let what = format!(
        "uploading blob sha256:{} to {}",
        digest.short(),
        registry.name
    );
    let upload = Upload {
        registry,
        digest,
        content,
        access: Access::push(&registry.name),
        asks,
        begun: Mutex::new(registry.sessions().remove(digest)),
        tries: AtomicUsize::new(0),
    };
    registry.host.persist(&what, || upload.attempt()).await
}

/// Begins uploads for blobs that are still being made.
pub(super) async fn begin_ahead(registry: &Registry, count: usize) {
    let access = Access::push(&registry.name);
    let mut ahead = registry.ahead.lock().await;
    let begun = (0..count).map(|_| tokio::time::timeout(AHEAD, begin(registry, &access)));
    for session in join_all(begun).await {
        match session {
            Ok(Ok(session)) => ahead.push(session),
            Ok(Err(fault)) => tracing::debug!(?fault, "no upload ahead"),
            Err(_) => tracing::debug!("an upload ahead takes too long"),
        }
    }
}

/// Begins an upload.
async fn begin(registry: &Registry, access: &Access) -> Attempt<Session> {
    let url = registry.url("blobs/uploads/");
    let call = Call::new(Method::POST, url, access);
    let response = registry.host.ask(&call).await?;
    if response.status() != StatusCode::ACCEPTED {
        return Err(Fault::Refused(Refusal::read(response).await));
    }
    let session = Session::of(&registry.host, &call.url, &response)?;
    session.ok_or_else(|| {
        let message = "it began an upload without saying where";
        registry.host.error(Kind::Other, message).into()
    })
}

/// An upload that has begun.
pub(super) struct Session {
    /// Where it goes on.
    at: Url,
    /// The smallest chunk that the registry takes, in bytes.
    least: usize,
}

impl Session {
    /// The upload that an answer to a request to `from` tells of; `None` where it does not say where.
    pub(super) fn of(host: &Host, from: &Url, response: &Response) -> Attempt<Option<Self>> {
        let least = response.headers().get(LEAST);
        let least = least.and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(location) = response.headers().get(LOCATION) else {
            return Ok(None);
        };
        Ok(Some(Self {
            at: host.resolve(from, location)?,
            least: least.unwrap_or(0),
        }))
    }
}

struct Upload<'a> {
    registry: &'a Registry,
    digest: &'a Digest,
    content: &'a Content,
    access: Access,
    /// Whether the first try asks for it.
    asks: bool,
    /// A session that began elsewhere; for the first try.
    begun: Mutex<Option<Session>>,
    tries: AtomicUsize,
}

impl Upload<'_> {
    /// One try, in a session of its own: what a broken one has taken is not known.
    async fn attempt(&self) -> Attempt<()> {
        let tried = self.tries.fetch_add(1, Ordering::Relaxed);
        let begun = self
            .begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut session = match begun {
            Some(session) => session,
            // Also after a try whose answer was lost.
            None if (self.asks || tried > 0)
                && self.registry.look(self.digest, &self.access).await? =>
            {
                return Ok(());
            }
            None => self.session().await?,
        };
        let mut forgotten = false;
        let mut size = self.registry.host.largest();
        if tried >= WHOLE_TRIES {
            size = size.or(Some(CHUNKS[0]));
        }
        loop {
            let refusal = match self.send(&session, size).await {
                Err(Fault::Refused(refusal)) => refusal,
                other => return other,
            };
            if refusal.code == StatusCode::PAYLOAD_TOO_LARGE
                && let Some(smaller) = smaller(size, session.least)
            {
                tracing::debug!(
                    registry = self.registry.host.name(),
                    smaller,
                    "uploading in chunks"
                );
                self.registry.host.takes(smaller);
                size = Some(smaller);
            } else if is_forgotten(&refusal) && !forgotten {
                forgotten = true;
            } else {
                return Err(Fault::Refused(refusal));
            }
            session = begin(self.registry, &self.access).await?;
        }
    }

    /// An upload that has begun ahead, else a new one.
    async fn session(&self) -> Attempt<Session> {
        // The lock must not be held while another one begins.
        let ahead = self.registry.ahead.lock().await.pop();
        match ahead {
            Some(session) => Ok(session),
            None => begin(self.registry, &self.access).await,
        }
    }

    async fn send(&self, session: &Session, size: Option<usize>) -> Attempt<()> {
        match size.map(|size| size.max(session.least)) {
            Some(size) if length(self.content) > size as u64 && size <= LARGEST_CHUNK => {
                let at = self.chunks(&session.at, size).await?;
                self.close(&at, Body::Empty).await
            }
            _ => self.close(&session.at, Body::Content(self.content)).await,
        }
    }

    /// Ends an upload, with all of the content or after its chunks.
    async fn close(&self, at: &Url, body: Body<'_>) -> Attempt<()> {
        let mut url = at.clone();
        url.query_pairs_mut()
            .append_pair("digest", &format!("sha256:{}", self.digest));
        let call = Call::new(Method::PUT, url, &self.access)
            .header(CONTENT_TYPE, OCTETS)
            .body(body);
        let response = self.registry.host.ask(&call).await?;
        if !response.status().is_success() {
            return Err(Fault::Refused(Refusal::read(response).await));
        }
        self.registry.took(response.headers(), self.digest)
    }

    /// Sends the content in chunks and gives where the upload is to be ended.
    async fn chunks(&self, session: &Url, size: usize) -> Attempt<Url> {
        let _share = share(size).await;
        let mut session = session.clone();
        let mut source = match self.content {
            Content::Bytes(bytes) => Source::Bytes(bytes.clone()),
            Content::File { path, length } => {
                Source::File(Pieces::new(self.registry.host.name(), path, *length))
            }
        };
        let mut at = 0;
        while let Some(piece) = source.next(size).await? {
            let end = at + piece.len() as u64;
            let mut call = Call::new(Method::PATCH, session.clone(), &self.access)
                .header(CONTENT_TYPE, OCTETS)
                .body(Body::Bytes(piece));
            if let Ok(range) = HeaderValue::try_from(format!("{at}-{}", end - 1)) {
                call = call.header(CONTENT_RANGE, range);
            }
            let response = self.registry.host.ask(&call).await?;
            if !response.status().is_success() {
                return Err(Fault::Refused(Refusal::read(response).await));
            }
            session = self.next(&call.url, &response)?;
            at = end;
        }
        Ok(session)
    }

    /// Where an upload goes on.
    fn next(&self, from: &Url, response: &Response) -> Attempt<Url> {
        let headers: &HeaderMap = response.headers();
        match headers.get(LOCATION) {
            Some(location) => self.registry.host.resolve(from, location),
            None => Ok(from.clone()),
        }
    }
}

/// The next smaller size of chunks, none smaller than `least`; `None` where there is none, or the registry takes no such.
fn smaller(size: Option<usize>, least: usize) -> Option<usize> {
    CHUNKS
        .into_iter()
        .map(|next| next.max(least))
        .find(|next| size.is_none_or(|size| *next < size) && *next <= LARGEST_CHUNK)
}

/// Content that is taken in pieces.
enum Source {
    Bytes(Bytes),
    File(Pieces),
}

impl Source {
    async fn next(&mut self, size: usize) -> Result<Option<Bytes>> {
        match self {
            Self::File(pieces) => pieces.next(size).await,
            Self::Bytes(rest) => {
                let piece = rest.split_to(rest.len().min(size));
                Ok(Some(piece).filter(|piece| !piece.is_empty()))
            }
        }
    }
}

fn length(content: &Content) -> u64 {
    match content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::File { length, .. } => *length,
    }
}

/// Whether the registry knows nothing of the upload any more.
fn is_forgotten(refusal: &Refusal) -> bool {
    match refusal.code {
        StatusCode::NOT_FOUND => !refusal.names("NAME_UNKNOWN"),
        StatusCode::RANGE_NOT_SATISFIABLE => true,
        _ => refusal.names("BLOB_UPLOAD_UNKNOWN") || refusal.names("BLOB_UPLOAD_INVALID"),
    }
}
