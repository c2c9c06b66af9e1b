//! A repository of a registry that speaks the distribution API.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{Credentials, Manifest, Reference, Repository, Version};
use crate::backend::{Content, Error, Kind, Result};
use crate::model::Digest;

/// How registries are spoken to.
#[derive(Clone, Default)]
pub struct Options {
    /// Where credentials come from.
    pub credentials: Credentials,
    /// Hosts, with their ports, that are spoken to in plain http beside those of this machine.
    pub insecure: BTreeSet<String>,
}

/// All registries: one HTTP client, the credentials and the tokens gotten with them. Cheap to clone.
#[derive(Clone)]
pub struct Registries {
    shared: Arc<Options>,
}

impl Registries {
    /// Prepares the client; sends nothing.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            shared: Arc::new(options),
        })
    }

    /// The repository that a reference names; its version does not matter. Sends nothing.
    pub fn repository(&self, reference: &Reference) -> Registry {
        Registry {
            registries: self.clone(),
            host: reference.registry.clone(),
            repository: reference.repository.clone(),
        }
    }
}

/// A [`Repository`] of a registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    registries: Registries,
    host: String,
    repository: String,
}

#[async_trait]
impl Repository for Registry {
    fn subject(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    async fn head(&self, _: &Version) -> Result<Option<Digest>> {
        Err(self.not_yet())
    }

    async fn manifest(&self, _: &Version) -> Result<Option<Manifest>> {
        Err(self.not_yet())
    }

    async fn has(&self, _: &Digest) -> Result<bool> {
        Err(self.not_yet())
    }

    async fn blob(&self, _: &Digest) -> Result<BoxStream<'static, Result<Bytes>>> {
        Err(self.not_yet())
    }

    async fn put_blob(&self, _: &Digest, _: u64, _: Content) -> Result<()> {
        Err(self.not_yet())
    }

    async fn mount(&self, _: &Digest, _: &str) -> Result<bool> {
        Err(self.not_yet())
    }

    async fn put_manifest(&self, _: &Version, _: &Manifest) -> Result<()> {
        Err(self.not_yet())
    }
}

impl Registry {
    fn not_yet(&self) -> Error {
        let insecure = self.registries.shared.insecure.contains(&self.host);
        Error::new(
            Kind::Other,
            &self.host,
            format!("not there yet ({insecure})"),
        )
    }
}
