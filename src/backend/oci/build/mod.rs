//! The builder `oci`: makes images layer by layer and stores them, without a daemon.
//!
//! An image is the layers of its base, a layer of packages (`python`) and a layer of code, each of which is
//! made only where it is not known. What is known of packages is kept in two places: in a folder of this machine, and in the
//! repository itself below the tag `packages-…`, an image of that layer alone, so that a machine that has never seen the
//! project, as in CI, changes one line of code without running `uv` or reading the base.

mod assemble;
mod base;
mod bases;
mod cache;
mod image;
mod layer;
mod packages;
mod push;
mod python;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::try_join_all;
use tokio::sync::OnceCell;

use super::document::{Compression, Descriptor, INDEX, Index, Platform, manifest};
use super::{Manifest, ParseReferenceError, Reference, Repositories, Version};
use crate::backend::{BuildLog, Error, Files, Images, Kind, Result};
use crate::model::{Builder, Digest, Hasher, Image, Layers, Pinned, Recipe};
use assemble::Work;
use base::Base;
use cache::Cache;
use layer::Layer;
use packages::Packages;
use push::{Target, Transfers};
use python::{Python, install, resolve};

pub use python::Uv;

/// Changes whenever the same inputs give another image, beside the formats of layers.
const VERSION: u32 = 1;

/// How images are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What chooses and fetches Python packages.
    pub uv: Uv,
    /// A folder for what is remembered between runs, such as `~/.cache/flowyard/images`; `None` remembers nothing.
    pub cache: Option<PathBuf>,
    /// How layers are packed; `None` for gzip, or zstd where a layer of the base is packed so.
    pub compression: Option<Compression>,
    /// Whether packages are compiled to byte code.
    pub bytecode: bool,
}

/// The builder. Its methods may be called for many images at once, which share what they have in common.
pub struct Oci {
    settings: Settings,
    cache: Cache,
    target: Arc<dyn Repositories>,
    /// Where bases are looked for, in this order.
    sources: Vec<Arc<dyn Repositories>>,
    transfers: Transfers,
    found: Cells<String, (usize, Digest)>,
    bases: Cells<(String, Digest, Platform), Arc<Base>>,
    pythons: Cells<Digest, Python>,
    resolved: Cells<Digest, String>,
    packages: Cells<Digest, Packages>,
    codes: Cells<(Digest, String, Compression), Layer>,
}

type Cells<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

impl Oci {
    /// A builder that stores images in `target` and looks for bases in each of `sources`. Sends nothing.
    pub fn new(
        settings: Settings,
        target: Arc<dyn Repositories>,
        sources: Vec<Arc<dyn Repositories>>,
    ) -> Self {
        Self {
            cache: Cache::new(settings.cache.clone()),
            settings,
            target,
            sources,
            transfers: Transfers::default(),
            found: Cells::default(),
            bases: Cells::default(),
            pythons: Cells::default(),
            resolved: Cells::default(),
            packages: Cells::default(),
            codes: Cells::default(),
        }
    }

    /// What makes images, as far as their bytes depend on it.
    fn version(&self) -> String {
        let compression = match self.settings.compression {
            None => "",
            Some(Compression::Gzip) => " gzip",
            Some(Compression::Zstd) => " zstd",
        };
        let bytecode = if self.settings.bytecode {
            " bytecode"
        } else {
            ""
        };
        format!(
            "oci {VERSION}.{}.{}{compression}{bytecode}",
            layer::FORMAT,
            install::FORMAT
        )
    }
}

#[async_trait]
impl Images for Oci {
    fn subject(&self) -> String {
        self.target.subject()
    }

    async fn find(&self, written: &str) -> Result<Option<Digest>> {
        let reference = reference(written)?;
        let repository = self.target.repository(&reference);
        repository.head(&reference.version_or_latest()).await
    }

    async fn resolve(&self, written: &str) -> Result<Option<Digest>> {
        let reference = reference(written)?;
        let version = reference.version_or_latest();
        for source in &self.sources {
            if let Some(digest) = source.repository(&reference).head(&version).await? {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }

    async fn pin(&self, image: &Image, files: &dyn Files) -> Result<Pinned> {
        let layers = recipe(image)?;
        let platforms = platforms(image)?;
        let digest = self.find_base(&layers.base).await?;
        let mut requirements = BTreeMap::new();
        if let Some(wanted) = &layers.requirements {
            let uv = &self.settings.uv;
            if let Some(text) = resolve::written(uv, wanted, files, &self.cache).await? {
                let same = |platform: &Platform| (platform.to_string(), text.clone());
                requirements.extend(platforms.iter().map(same));
            } else {
                let resolved = platforms.iter().map(|platform| async {
                    let text = self.resolve(layers, wanted, files, digest, platform);
                    Ok::<_, Error>((platform.to_string(), text.await?))
                });
                requirements.extend(try_join_all(resolved).await?);
            }
        }
        Ok(Pinned {
            bases: [(layers.base.clone(), digest)].into(),
            requirements,
            builder: self.version(),
        })
    }

    async fn build(
        &self,
        image: &Image,
        pinned: &Pinned,
        files: &dyn Files,
        log: &dyn BuildLog,
    ) -> Result<Digest> {
        let layers = recipe(image)?;
        let platforms = platforms(image)?;
        let reference = reference(&image.repository)?;
        let target = Target {
            repository: self.target.repository(&reference),
            reference,
        };
        let Some(&base_digest) = pinned.bases.get(&layers.base) else {
            let message = "the base is not pinned";
            return Err(Error::new(Kind::Other, &layers.base, message));
        };
        let identity = Image::identity(&image.inputs(pinned));
        let mut making = Vec::new();
        for platform in &platforms {
            let target = target.clone();
            making.push(async move {
                let (base, repository) = self.base(&layers.base, base_digest, platform).await?;
                let compression = self.compression(&base);
                let work = Work {
                    layers,
                    pinned,
                    identity,
                    platform: platform.clone(),
                    base_digest,
                    base,
                    repository,
                    target,
                    compression,
                    files,
                    log,
                };
                self.image(&work).await
            });
        }
        // A configuration for each of them, and their code: packages are known more often than not.
        let blobs = platforms.len() + usize::from(layers.code.is_some());
        let stored = async {
            let made = try_join_all(making).await?;
            match &made[..] {
                [one] => put_tags(image, &identity, &target, one).await,
                _ => {
                    self.put_index(image, &identity, &target, &platforms, made)
                        .await
                }
            }
        };
        let ((), stored) = tokio::join!(target.repository.expect(blobs), stored);
        stored
    }
}

impl Oci {
    /// Stores the manifests, and an index of them.
    async fn put_index(
        &self,
        image: &Image,
        identity: &Digest,
        target: &Target,
        platforms: &[Platform],
        made: Vec<Manifest>,
    ) -> Result<Digest> {
        let mut manifests = Vec::new();
        for (platform, one) in platforms.iter().zip(&made) {
            let version = Version::Digest(one.digest);
            target.repository.put_manifest(&version, one).await?;
            let length = one.bytes.len() as u64;
            let mut descriptor = Descriptor::new(&one.media_type, one.digest, length);
            descriptor.platform = Some(platform.clone());
            manifests.push(descriptor);
        }
        let index = Index {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            manifests,
            annotations: BTreeMap::new(),
        };
        put_tags(image, identity, target, &manifest(INDEX, &index)).await
    }
}

/// Stores what is complete below its tags; the one by which it is found again comes last, so that a run that was cut short
/// is done again.
///
/// Other images may want the other tags at the same time: the last one has them, whoever that is.
async fn put_tags(
    image: &Image,
    identity: &Digest,
    target: &Target,
    made: &Manifest,
) -> Result<Digest> {
    for tag in &image.tags {
        let version = Version::Tag(tag.clone());
        match target.repository.put_manifest(&version, made).await {
            Err(error) if error.kind == Kind::Conflict => tracing::info!("{error}"),
            other => other?,
        }
    }
    let own = Version::Tag(identity.to_string());
    target.repository.put_manifest(&own, made).await?;
    Ok(made.digest)
}

fn key(parts: &[&str]) -> Digest {
    let mut hasher = Hasher::default();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finish()
}

fn reference(written: &str) -> Result<Reference> {
    written
        .parse()
        .map_err(|error: ParseReferenceError| Error::new(Kind::Other, "images", error.to_string()))
}

fn recipe(image: &Image) -> Result<&Layers> {
    match &image.recipe {
        Recipe::Layers(layers) => Ok(layers),
        Recipe::Dockerfile(_) | Recipe::Named => {
            let message = format!(
                "the builder `{}` makes images of layers alone",
                Builder::Oci
            );
            Err(Error::new(Kind::Other, &image.repository, message)
                .hint("set `builder` to `docker` or `buildah`"))
        }
    }
}

fn platforms(image: &Image) -> Result<Vec<Platform>> {
    let parsed = image.platforms.iter().map(|text| {
        Platform::parse(text).ok_or_else(|| {
            let message = format!("`{text}` is no platform");
            Error::new(Kind::Other, &image.repository, message)
                .hint("write it as `linux/amd64` or `linux/arm64`")
        })
    });
    let parsed = parsed.collect::<Result<Vec<_>>>()?;
    if parsed.is_empty() {
        let message = "it is made for no platform";
        return Err(Error::new(Kind::Other, &image.repository, message));
    }
    Ok(parsed)
}
