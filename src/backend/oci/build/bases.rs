//! Bases: found by name, read once a run, asked for their Python; and the requirements that an index resolves for it.

use std::sync::Arc;

use super::base::Base;
use super::push::cell;
use super::python::{Python, resolve, scan};
use super::{Oci, key, reference};
use crate::backend::oci::document::Platform;
use crate::backend::oci::{Repository, Version};
use crate::backend::{Error, Files, Kind, Result};
use crate::model::{Digest, Layers, Requirements};

impl Oci {
    /// The source that has a base, and the digest that its name stands for. A digest that is written is taken as it is:
    /// an image that is up to date needs no base that is still there.
    pub(super) async fn find_base(&self, written: &str) -> Result<Digest> {
        let reference = reference(written)?;
        if let Some(Version::Digest(digest)) = reference.version {
            return Ok(digest);
        }
        let found = cell(&self.found, written.to_owned());
        let (_, digest) = found
            .get_or_try_init(|| async {
                let version = reference.version_or_latest();
                for (at, source) in self.sources.iter().enumerate() {
                    let repository = source.repository(&reference);
                    if let Some(digest) = repository.head(&version).await? {
                        return Ok((at, digest));
                    }
                }
                Err(
                    Error::new(Kind::NotFound, written, "there is no such base image").hint(
                        "check the `base` under `[image]`, and whether its registry needs a login",
                    ),
                )
            })
            .await?;
        Ok(*digest)
    }

    /// A base for one platform.
    pub(super) async fn base(
        &self,
        written: &str,
        digest: Digest,
        platform: &Platform,
    ) -> Result<(Arc<Base>, Arc<dyn Repository>)> {
        let reference = reference(written)?;
        // The source that knew the name, or the first one that knows the digest.
        let known = self.found.lock().map_or(None, |found| {
            found.get(written).and_then(|cell| cell.get().copied())
        });
        let mut at = known.map(|(at, _)| at);
        if at.is_none() && self.sources.len() > 1 {
            for (number, source) in self.sources.iter().enumerate() {
                let repository = source.repository(&reference);
                if repository.head(&Version::Digest(digest)).await?.is_some() {
                    at = Some(number);
                    break;
                }
            }
        }
        let Some(source) = self.sources.get(at.unwrap_or(0)) else {
            let message = "there is no place to look for base images";
            return Err(Error::new(Kind::NotFound, written, message));
        };
        let repository = source.repository(&reference);
        let key = (reference.to_string(), digest, platform.clone());
        let base = cell(&self.bases, key)
            .get_or_try_init(|| async {
                let base = Base::read(
                    &*repository,
                    written,
                    &reference,
                    digest,
                    platform,
                    &self.cache,
                );
                base.await.map(Arc::new)
            })
            .await?
            .clone();
        Ok((base, repository))
    }

    /// The Python of a base.
    pub(super) async fn python(
        &self,
        base: &Base,
        repository: &dyn Repository,
        written: Option<&str>,
    ) -> Result<Python> {
        let key = key(&["python 1", &base.digest.to_string(), written.unwrap_or("")]);
        let python = cell(&self.pythons, key);
        let python = python.get_or_try_init(|| async {
            if let Some(known) = self.cache.fact(&key) {
                return Ok(known);
            }
            let python = scan::python(repository, base, written).await?;
            self.cache.keep_fact(&key, &python);
            Ok::<_, Error>(python)
        });
        python.await.cloned()
    }

    /// The requirements for one platform, asked of an index once a run.
    pub(super) async fn resolve(
        &self,
        layers: &Layers,
        requirements: &Requirements,
        files: &dyn Files,
        digest: Digest,
        platform: &Platform,
    ) -> Result<String> {
        let (base, repository) = self.base(&layers.base, digest, platform).await?;
        let python = self
            .python(&base, &*repository, layers.python.as_deref())
            .await?;
        let key = key(&[
            requirements.file.as_str(),
            &requirements.files.digest().to_string(),
            &format!("{python:?}"),
            &platform.to_string(),
        ]);
        let resolved = cell(&self.resolved, key);
        let resolved = resolved.get_or_try_init(|| {
            let uv = &self.settings.uv;
            resolve::resolve(uv, requirements, files, &python, platform, &self.cache)
        });
        resolved.await.cloned()
    }
}
