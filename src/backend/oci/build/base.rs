//! The image that another one stands on.

use serde_json::Value;

use super::cache::Cache;
use crate::backend::oci::document::{Descriptor, Document, Platform};
use crate::backend::oci::{Manifest, Reference, Repository, Version};
use crate::backend::{Error, Kind, Result};
use crate::model::Digest;

/// A base for one platform.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// As a person wrote it, for messages.
    pub(super) written: String,
    /// The repository that its layers are in, without a version.
    pub(super) reference: Reference,
    /// The digest of its manifest for the platform.
    pub(super) digest: Digest,
    /// From the bottom up.
    pub(super) layers: Vec<Descriptor>,
    /// Its configuration, an object.
    pub(super) config: Value,
}

impl Base {
    /// Reads the base with this digest, of a manifest or an index, for a platform; small documents come from the cache where it
    /// has them.
    pub(super) async fn read(
        repository: &dyn Repository,
        written: &str,
        reference: &Reference,
        digest: Digest,
        platform: &Platform,
        cache: &Cache,
    ) -> Result<Self> {
        let fault = |what: String| Error::new(Kind::Other, written, what);
        let document = |digest| manifest(repository, written, digest, cache);
        let mut manifest = document(digest).await?;
        let mut parsed = Document::read(&manifest).map_err(fault)?;
        if let Document::Index(index) = &parsed {
            let fits = |one: &&Descriptor| {
                one.platform
                    .as_ref()
                    .is_some_and(|other| platform.takes(other))
            };
            let Some(chosen) = index.manifests.iter().find(fits) else {
                let mut others: Vec<String> = index
                    .manifests
                    .iter()
                    .filter_map(|one| one.platform.as_ref())
                    .filter(|one| one.os != "unknown")
                    .map(Platform::to_string)
                    .collect();
                others.sort();
                let message = format!("the base is not made for {platform}");
                return Err(Error::new(Kind::NotFound, written, message)
                    .hint(format!("it is made for {}", others.join(", "))));
            };
            manifest = document(chosen.digest.0).await?;
            parsed = Document::read(&manifest).map_err(fault)?;
        }
        let Document::Image(image) = parsed else {
            return Err(fault("it is an index of indexes".to_owned()));
        };
        let config = match cache.document(&image.config.digest.0) {
            Some(bytes) => bytes,
            None => {
                let bytes = small_blob(repository, &image.config, written).await?;
                cache.keep_document(&image.config.digest.0, &bytes);
                bytes
            }
        };
        let config: Value = serde_json::from_slice(&config)
            .map_err(|error| fault(format!("its configuration cannot be read: {error}")))?;
        let made_for = Platform {
            os: config["os"].as_str().unwrap_or("linux").to_owned(),
            architecture: config["architecture"].as_str().unwrap_or("").to_owned(),
            variant: config["variant"].as_str().map(str::to_owned),
        };
        // Variants in configurations are often missing or wrong; the index was asked for them.
        if made_for.os != platform.os || made_for.architecture != platform.architecture {
            let message = format!("the base is made for {made_for}, not for {platform}");
            return Err(Error::new(Kind::NotFound, written, message)
                .hint("set `platforms` under `[image]` to what the base is made for"));
        }
        Ok(Self {
            written: written.to_owned(),
            reference: reference.clone(),
            digest: manifest.digest,
            layers: image.layers,
            config,
        })
    }

    /// A variable of its environment.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Its environment, in its own order.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let list = self.config["config"]["Env"].as_array();
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|line| line.split_once('=').unwrap_or((line, "")))
    }

    #[cfg(test)]
    pub(super) fn fake(written: &str, config: Value) -> Self {
        Self {
            written: written.to_owned(),
            reference: written.parse().expect("a reference"),
            digest: Digest::of(written.as_bytes()),
            layers: Vec::new(),
            config,
        }
    }
}

/// A manifest by its digest.
async fn manifest(
    repository: &dyn Repository,
    written: &str,
    digest: Digest,
    cache: &Cache,
) -> Result<Manifest> {
    if let Some(manifest) = cache.manifest(&digest) {
        return Ok(manifest);
    }
    let found = repository.manifest(&Version::Digest(digest)).await?;
    let Some(manifest) = found else {
        let message = format!("there is no image with the digest sha256:{digest}");
        return Err(Error::new(Kind::NotFound, written, message)
            .hint("it may have been deleted since it was pinned; run the command again"));
    };
    cache.keep_manifest(&manifest);
    Ok(manifest)
}

/// A blob that is a document.
async fn small_blob(
    repository: &dyn Repository,
    descriptor: &Descriptor,
    written: &str,
) -> Result<Vec<u8>> {
    use futures::StreamExt as _;
    const LARGEST: usize = 8 << 20;
    let mut stream = repository.blob(&descriptor.digest.0).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() > LARGEST {
            let message = "its configuration is longer than 8 MiB";
            return Err(Error::new(Kind::Other, written, message));
        }
    }
    Ok(bytes)
}
