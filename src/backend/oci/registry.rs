//! A repository of a registry that speaks the distribution API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::auth::Access;
use super::body::Body;
use super::fault::{Fault, Refusal};
use super::host::{Attempt, Call, Host, piece};
use super::upload::{self, Session};
use super::{Manifest, Repository, Version, download};
use crate::backend::{Content, Error, Kind, Result};
use crate::model::Digest;

/// The media types of manifests and indices that we ask for.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// The largest manifest, in bytes; registries refuse larger ones too.
const LARGEST_MANIFEST: usize = 4 << 20;

/// How often a tag that was just written is looked at before it counts as someone else's.
const LOOKS: u32 = 3;

/// What a registry says of the content that it sends or took.
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A [`Repository`] of a registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    pub(super) host: Arc<Host>,
    /// Within the registry.
    pub(super) name: String,
    /// Uploads that the registry began where it would not mount; the blob goes there when it comes.
    sessions: Arc<Mutex<HashMap<Digest, Session>>>,
    /// Uploads that began before their blobs were made, for whichever comes. Locked while they begin.
    pub(super) ahead: Arc<tokio::sync::Mutex<Vec<Session>>>,
}

#[async_trait]
impl Repository for Registry {
    fn subject(&self) -> String {
        format!("{}/{}", self.host.name(), self.name)
    }

    async fn head(&self, version: &Version) -> Result<Option<Digest>> {
        let access = Access::pull(&self.name);
        let call = self.manifest_call(Method::HEAD, version, &access);
        let what = format!("looking for {}", self.shown(version));
        let found = self
            .host
            .persist(&what, || async {
                let response = self.host.ask(&call).await?;
                match response.status() {
                    StatusCode::OK => Ok(Some(digest_of(response.headers()))),
                    StatusCode::NOT_FOUND => Ok(None),
                    _ => Err(Fault::Refused(Refusal::read(response).await)),
                }
            })
            .await?;
        match found {
            None => Ok(None),
            Some(Some(digest)) => Ok(Some(digest)),
            // Some registries leave the header out.
            Some(None) => Ok(self.manifest(version).await?.map(|found| found.digest)),
        }
    }

    async fn manifest(&self, version: &Version) -> Result<Option<Manifest>> {
        let access = Access::pull(&self.name);
        let call = self.manifest_call(Method::GET, version, &access);
        let what = format!("reading the manifest of {}", self.shown(version));
        self.host
            .persist(&what, || async {
                let response = self.host.ask(&call).await?;
                match response.status() {
                    StatusCode::OK => self.read_manifest(response, version).await.map(Some),
                    StatusCode::NOT_FOUND => Ok(None),
                    _ => Err(Fault::Refused(Refusal::read(response).await)),
                }
            })
            .await
    }

    async fn has(&self, digest: &Digest) -> Result<bool> {
        let access = Access::pull(&self.name);
        let what = format!(
            "looking for blob sha256:{} of {}",
            digest.short(),
            self.name
        );
        self.host
            .persist(&what, || self.look(digest, &access))
            .await
    }

    async fn blob(&self, digest: &Digest) -> Result<BoxStream<'static, Result<Bytes>>> {
        download::blob(self, digest).await
    }

    async fn put_blob(&self, digest: &Digest, length: u64, content: Content) -> Result<()> {
        let given = match &content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { length, .. } => *length,
        };
        if given != length {
            let message = format!("send a blob of {length} bytes: it has {given}");
            return Err(self.host.error(Kind::Other, &message));
        }
        upload::blob(self, digest, &content, true).await
    }

    async fn put_new_blob(&self, digest: &Digest, content: Bytes) -> Result<()> {
        upload::blob(self, digest, &Content::Bytes(content), false).await
    }

    async fn expect(&self, blobs: usize) {
        upload::begin_ahead(self, blobs).await;
    }

    async fn mount(&self, digest: &Digest, from: &str) -> Result<bool> {
        if from == self.name {
            return self.has(digest).await;
        }
        let access = Access::push(&self.name).and_pull(from);
        let mut url = self.url("blobs/uploads/");
        url.query_pairs_mut()
            .append_pair("mount", &format!("sha256:{digest}"))
            .append_pair("from", from);
        let call = Call::new(Method::POST, url, &access);
        let what = format!(
            "taking over blob sha256:{} from {from} into {}",
            digest.short(),
            self.name
        );
        let mounted = self
            .host
            .persist(&what, || async {
                let response = self.host.ask(&call).await?;
                match response.status() {
                    StatusCode::CREATED => Ok(true),
                    StatusCode::ACCEPTED => {
                        if let Some(session) = Session::of(&self.host, &call.url, &response)? {
                            self.sessions().insert(*digest, session);
                        }
                        Ok(false)
                    }
                    _ => Err(Fault::Refused(Refusal::read(response).await)),
                }
            })
            .await;
        match mounted {
            // Not there, or not for us to read. What the caller does instead tells what is wrong with the target.
            Err(error) if matches!(error.kind, Kind::Denied | Kind::NotFound | Kind::Other) => {
                tracing::debug!(%error, "no mount");
                Ok(false)
            }
            other => other,
        }
    }

    async fn put_manifest(&self, version: &Version, manifest: &Manifest) -> Result<()> {
        let access = Access::push(&self.name);
        let what = format!("writing the manifest of {}", self.shown(version));
        let media_type = HeaderValue::try_from(&manifest.media_type).map_err(|_| {
            let message = format!("{what}: its media type is none");
            self.host.error(Kind::Other, &message)
        })?;
        let call = Call::new(Method::PUT, self.manifest_url(version), &access)
            .header(CONTENT_TYPE, media_type)
            .body(Body::Bytes(manifest.bytes.clone()));
        self.host
            .persist(&what, || async {
                let response = self.host.ask(&call).await?;
                if !response.status().is_success() {
                    return Err(Fault::Refused(Refusal::read(response).await));
                }
                self.took(response.headers(), &manifest.digest)
            })
            .await?;
        match version {
            Version::Tag(tag) => self.check_tag(tag, version, &manifest.digest).await,
            Version::Digest(_) => Ok(()),
        }
    }
}

impl Registry {
    pub(super) fn new(host: Arc<Host>, name: &str) -> Self {
        Self {
            host,
            name: name.to_owned(),
            sessions: Arc::default(),
            ahead: Arc::default(),
        }
    }

    /// A URL of this repository.
    pub(super) fn url(&self, path: &str) -> Url {
        self.host.url(&format!("{}/{path}", self.name))
    }

    pub(super) fn blob_url(&self, digest: &Digest) -> Url {
        self.url(&format!("blobs/sha256:{digest}"))
    }

    fn manifest_url(&self, version: &Version) -> Url {
        self.url(&format!("manifests/{version}"))
    }

    fn manifest_call<'a>(&self, method: Method, version: &Version, access: &'a Access) -> Call<'a> {
        Call::new(method, self.manifest_url(version), access)
            .header(ACCEPT, HeaderValue::from_static(MANIFESTS))
    }

    /// A version as a user writes it, without the registry.
    fn shown(&self, version: &Version) -> String {
        let between = match version {
            Version::Tag(_) => ':',
            Version::Digest(_) => '@',
        };
        format!("{}{between}{version}", self.name)
    }

    pub(super) fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a blob is there, in one try.
    pub(super) async fn look(&self, digest: &Digest, access: &Access) -> Attempt<bool> {
        let call = Call::new(Method::HEAD, self.blob_url(digest), access);
        let response = self.host.ask(&call).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(Fault::Refused(Refusal::read(response).await)),
        }
    }

    /// Checks what the registry says that it took.
    pub(super) fn took(&self, headers: &HeaderMap, digest: &Digest) -> Attempt<()> {
        match digest_of(headers) {
            Some(other) if other != *digest => {
                let message = format!("it stored sha256:{other} instead of sha256:{digest}");
                Err(self.host.error(Kind::Other, &message).into())
            }
            _ => Ok(()),
        }
    }

    async fn read_manifest(&self, mut response: Response, version: &Version) -> Attempt<Manifest> {
        let said = digest_of(response.headers());
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| {
                value
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            });
        let mut bytes = BytesMut::new();
        while let Some(piece) = piece(&mut response).await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > LARGEST_MANIFEST {
                let message = format!("it is larger than {LARGEST_MANIFEST} bytes");
                return Err(self.host.error(Kind::Other, &message).into());
            }
        }
        let bytes = bytes.freeze();
        let digest = Digest::of(&bytes);
        let wanted = match version {
            Version::Digest(wanted) => Some(*wanted),
            Version::Tag(_) => said,
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
            let message = format!("its digest is sha256:{digest} instead of sha256:{wanted}");
            return Err(self.host.error(Kind::Other, &message).into());
        }
        let media_type = media_type.filter(|text| text.starts_with("application/vnd."));
        Ok(Manifest {
            digest,
            media_type: media_type.unwrap_or_else(|| own_media_type(&bytes)),
            bytes,
        })
    }

    /// A tag that was just written must name what was written.
    async fn check_tag(&self, tag: &str, version: &Version, digest: &Digest) -> Result<()> {
        let mut found = None;
        for look in 0..LOOKS {
            // A registry of many servers may need a moment.
            tokio::time::sleep(Duration::from_millis(250) * look).await;
            found = self.head(version).await?;
            if found.as_ref() == Some(digest) {
                return Ok(());
            }
        }
        let instead = match found {
            Some(other) => format!("names sha256:{other}"),
            None => "is not there".to_owned(),
        };
        let message = format!(
            "the tag `{tag}` of {} {instead} after sha256:{digest} was pushed to it",
            self.name
        );
        let error = Error::new(Kind::Conflict, self.host.name(), message);
        Err(error.hint(
            "someone else pushed to it at the same time, or the registry keeps tags as they are",
        ))
    }
}

/// The digest that a registry gives with an answer; `None` where it gives none, or one of another algorithm.
fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    let text = headers.get(DIGEST)?.to_str().ok()?;
    text.trim().strip_prefix("sha256:")?.parse().ok()
}

/// The media type that a manifest gives itself; that of an OCI manifest where it gives none.
fn own_media_type(bytes: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(bytes).ok();
    let own = json
        .as_ref()
        .and_then(|json| json.get("mediaType")?.as_str());
    own.unwrap_or("application/vnd.oci.image.manifest.v1+json")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_a_type_is_an_oci_manifest() {
        let docker = br#"{"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}"#;
        assert!(own_media_type(docker).contains("docker"));
        assert!(own_media_type(b"{}").contains("oci.image.manifest"));
        assert!(own_media_type(b"").contains("oci.image.manifest"));
    }
}
