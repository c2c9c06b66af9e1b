//! Images as the Open Container Initiative specifies them: references, registries, layouts in a folder, and our own
//! builder that needs no daemon.
//!
//! Sources: the [distribution specification](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md)
//! and the [image specification](https://github.com/opencontainers/image-spec/blob/v1.1.0/spec.md).

mod acr;
mod auth;
mod body;
mod build;
mod challenge;
mod credentials;
mod document;
mod download;
mod fault;
mod helper;
mod host;
pub mod layout;
mod reference;
mod registries;
mod registry;
mod take;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{Content, Result};
use crate::model::Digest;

pub use build::{Oci, Settings, Uv};
pub use credentials::{Credentials, Login};
pub use document::Compression;
pub use reference::{DOCKER_HUB, ParseReferenceError, Reference};
pub use registries::{Options, Registries};
pub use registry::Registry;

/// What names a manifest within a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// A tag, which may name another manifest tomorrow.
    Tag(String),
    /// The digest of the manifest itself.
    Digest(Digest),
}

/// A manifest or an index: its exact bytes, and what they are.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// SHA-256 of `bytes`.
    pub digest: Digest,
    /// The media type, `application/vnd.oci.image.manifest.v1+json` or Docker's own.
    pub media_type: String,
    /// Up to 4 MiB; a larger one is an error.
    pub bytes: Bytes,
}

/// Manifests and the blobs that they name: a repository of a registry, or an OCI layout in a folder.
#[async_trait]
pub trait Repository: Send + Sync {
    /// The repository as its user knows it, for messages: `registry.example.org/acme/flows`.
    fn subject(&self) -> String;

    /// The digest of the manifest, without its bytes; `None` where there is none.
    async fn head(&self, version: &Version) -> Result<Option<Digest>>;

    /// A manifest or index, checked against its digest; `None` where there is none.
    async fn manifest(&self, version: &Version) -> Result<Option<Manifest>>;

    /// Whether a blob is there.
    async fn has(&self, digest: &Digest) -> Result<bool>;

    /// A blob, piece by piece; the digest is checked at the end, where a wrong one is an error.
    async fn blob(&self, digest: &Digest) -> Result<BoxStream<'static, Result<Bytes>>>;

    /// Writes a blob; one that is there is left alone, so that nobody needs to ask [`has`](Self::has) before. The content
    /// must have that digest and length.
    async fn put_blob(&self, digest: &Digest, length: u64, content: Content) -> Result<()>;

    /// As [`put_blob`](Self::put_blob), for a small blob that is hardly ever there: it is sent without asking for it first,
    /// and one that is there is written over with itself.
    async fn put_new_blob(&self, digest: &Digest, content: Bytes) -> Result<()> {
        let length = content.len() as u64;
        self.put_blob(digest, length, Content::Bytes(content)).await
    }

    /// Announces that about so many blobs will be written soon, so that their uploads begin while the blobs are still being
    /// made. Nothing depends on it: a failure is told where a blob is written.
    ///
    /// One that does not come leaves an upload to the registry, which ends it when it is old, as one that was refused a mount:
    /// to cancel it needs the right to delete, for which a token would have to be asked.
    async fn expect(&self, _blobs: usize) {}

    /// Takes over a blob from another repository of the same registry without its bytes passing through here; `false`
    /// where that cannot be done, and the caller copies. `from` is its name there, `library/python`.
    async fn mount(&self, digest: &Digest, from: &str) -> Result<bool>;

    /// Writes a manifest or index, of which every blob must be there, below a tag or its own digest.
    async fn put_manifest(&self, version: &Version, manifest: &Manifest) -> Result<()>;
}

/// Where repositories are found by name: all registries, or a layout in a folder.
pub trait Repositories: Send + Sync {
    /// The place as its user knows it, for messages.
    fn subject(&self) -> String;

    /// The repository that a reference names; its version does not matter. Sends nothing.
    fn repository(&self, reference: &Reference) -> Arc<dyn Repository>;
}

impl Repositories for Registries {
    fn subject(&self) -> String {
        "container registries".to_owned()
    }

    fn repository(&self, reference: &Reference) -> Arc<dyn Repository> {
        Arc::new(Self::repository(self, reference))
    }
}

/// Whether a registry is spoken to without TLS.
fn plain_http(base: &url::Url) -> bool {
    base.scheme() == "http"
}
