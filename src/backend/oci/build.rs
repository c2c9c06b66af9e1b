//! The builder `oci`: makes images layer by layer and stores them, without a daemon.
//!
//! An image is the layers of its base, a layer of packages ([`python`]) and a layer of code, each of which is
//! made only where it is not known. What is known of packages is kept in two places: in a folder of this machine, and in the
//! repository itself below the tag `packages-…`, an image of that layer alone, so that a machine that has never seen the
//! project, as in CI, changes one line of code without running `uv` or reading the base.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OnceCell;

use super::base::Base;
use super::cache::Cache;
use super::document::{
    CONFIG, Compression, DOCKER_IMAGE, Descriptor, Document, INDEX, IMAGE, Image as Manifest, Index,
    Platform, Sha256, manifest, packing,
};
use super::image::{Added, CODE, config, labels};
use super::layer::{self, Entry, Layer};
use super::push::{Origin, Target, Transfers, cell};
use super::python::{Python, Uv, install, resolve, scan};
use super::{Reference, Repositories, Repository, Version};
use crate::backend::{BuildLog, Content, Error, Files, Images, Kind, Result};
use crate::model::{
    Builder, CodeTree, Digest, FileMode, Hasher, Image, Layers, Pinned, Recipe, Requirements,
};

/// The builder's own version: changes whenever the same inputs give another image.
const VERSION: &str = "oci 1";

/// How images are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What chooses and fetches Python packages.
    pub uv: Uv,
    /// A folder for what is remembered between runs, such as `~/.cache/flowyard/images`; `None` remembers nothing.
    pub cache: Option<PathBuf>,
    /// How layers are packed; `None` for zstd, or gzip where the base comes in Docker's format.
    pub compression: Option<Compression>,
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
    codes: Cells<(Digest, Compression), Layer>,
}

type Cells<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

/// A layer of packages: what is known of it without making it, and the layer once it is made.
#[derive(Default)]
struct Packages {
    known: OnceCell<Option<Layer>>,
    made: OnceCell<Layer>,
}

/// What is remembered of a layer.
#[derive(Serialize, Deserialize)]
struct Known {
    descriptor: Descriptor,
    diff_id: Digest,
}

impl Known {
    fn layer(self) -> Layer {
        Layer {
            descriptor: self.descriptor,
            diff_id: self.diff_id,
            content: None,
            _file: None,
        }
    }
}

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

    /// The source that has a base, and the digest that its name stands for. A digest that is written is taken as it is:
    /// an image that is up to date needs no base that is still there.
    async fn find_base(&self, written: &str) -> Result<Digest> {
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
                Err(Error::new(
                    Kind::NotFound,
                    written,
                    "there is no such base image",
                )
                .hint("check the `base` under `[image]`, and whether its registry needs a login"))
            })
            .await?;
        Ok(*digest)
    }

    /// A base for one platform.
    async fn base(
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
    async fn python(
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
    async fn resolve(
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

    fn compression(&self, base: &Base) -> Compression {
        let by_base = if base.media_type == DOCKER_IMAGE {
            Compression::Gzip
        } else {
            Compression::Zstd
        };
        self.settings.compression.unwrap_or(by_base)
    }

    /// Brings the layer of packages into the target, made only where neither this machine nor the target knows it.
    async fn packages(&self, work: &Work<'_>, requirements: &Requirements) -> Result<Layer> {
        let text = work.pinned.requirements.get(&work.platform.to_string());
        let Some(text) = text else {
            let message = format!("its requirements are not pinned for {}", work.platform);
            return Err(Error::new(Kind::Other, &requirements.file, message));
        };
        let python = work.layers.python.as_deref();
        let key = key(&[
            &format!("packages {} {}", install::FORMAT, layer::FORMAT),
            &work.base.digest.to_string(),
            &format!("{:?}", work.compression),
            python.unwrap_or(""),
            text,
        ]);
        let tag = Version::Tag(format!("packages-{}", &key.to_string()[..32]));
        let shared = cell(&self.packages, key);
        let shared = shared.get_or_init(|| async { Packages::default() }).await;
        if shared.made.get().is_none() {
            let known = shared.known.get_or_try_init(|| self.known(work, &key, &tag));
            if let Some(layer) = known.await?
                && self.bring(work, &layer.descriptor, &Origin::Unknown).await?
            {
                return Ok(layer.clone());
            }
        }
        let made = shared.made.get_or_try_init(|| async {
            let python = self.python(&work.base, &*work.repository, python).await?;
            let layer = self.install(work, requirements, text, &python).await?;
            let known = Known {
                descriptor: layer.descriptor.clone(),
                diff_id: layer.diff_id,
            };
            self.cache.keep_fact(&key, &known);
            Ok::<_, Error>(layer)
        });
        let layer = made.await?.clone();
        self.bring(work, &layer.descriptor, &origin(&layer)).await?;
        self.remember(work, &layer, &tag).await?;
        Ok(layer)
    }

    /// What is known of a layer of packages.
    async fn known(
        &self,
        work: &Work<'_>,
        key: &Digest,
        tag: &Version,
    ) -> Result<Option<Layer>> {
        if let Some(known) = self.cache.fact::<Known>(key) {
            return Ok(Some(known.layer()));
        }
        let repository = &work.target.repository;
        let Some(found) = repository.manifest(tag).await? else {
            return Ok(None);
        };
        // Something else of that name is as good as nothing.
        let Ok(Document::Image(image)) = Document::read(&found) else {
            return Ok(None);
        };
        let [descriptor] = &image.layers[..] else {
            return Ok(None);
        };
        let annotation = image.annotations.get(DIFF_ID);
        let Some(diff_id) = annotation.and_then(|text| text.parse().ok()) else {
            return Ok(None);
        };
        let known = Known {
            descriptor: descriptor.clone(),
            diff_id,
        };
        self.cache.keep_fact(key, &known);
        Ok(Some(known.layer()))
    }

    /// Stores an image of the layer alone, for machines that do not know it.
    async fn remember(&self, work: &Work<'_>, layer: &Layer, tag: &Version) -> Result<()> {
        let config = json!({
            "architecture": work.platform.architecture,
            "os": work.platform.os,
            "rootfs": {"type": "layers", "diff_ids": [Sha256(layer.diff_id)]},
        });
        let config = self.put_config(work, config.to_string().into_bytes()).await?;
        let annotations = [(DIFF_ID.to_owned(), layer.diff_id.to_string())].into();
        let image = Manifest::new(config, vec![layer.descriptor.clone()], annotations);
        let image = manifest(IMAGE, &image);
        work.target.repository.put_manifest(tag, &image).await
    }

    async fn install(
        &self,
        work: &Work<'_>,
        requirements: &Requirements,
        text: &str,
        python: &Python,
    ) -> Result<Layer> {
        let start = std::time::Instant::now();
        let installed = install::install(
            &self.settings.uv,
            requirements,
            work.files,
            text,
            (python, &work.platform),
            &self.cache,
            work.log,
        )
        .await?;
        let count = installed.entries.len();
        let layer = self
            .write(installed.entries.clone(), work.compression, &requirements.file)
            .await?;
        drop(installed);
        work.log.line(&format!(
            "packages for {}: {count} files, {} packed, in {:.1} s",
            work.platform,
            megabytes(layer.descriptor.size),
            start.elapsed().as_secs_f64()
        ));
        Ok(layer)
    }

    /// The layer of code, made once for all platforms and images of a run that have the same.
    async fn code(&self, work: &Work<'_>, code: &CodeTree) -> Result<Layer> {
        let layer = cell(&self.codes, (code.digest(), work.compression));
        let layer = layer.get_or_try_init(|| async {
            let mut entries = Vec::with_capacity(code.files().len());
            for file in code.files() {
                let path = code.base().join(&file.path);
                let content = work.files.content(&path).map_err(|error| {
                    Error::new(Kind::Other, &path, format!("it cannot be read: {error:#}"))
                })?;
                entries.push(Entry {
                    path: format!("{}/{}", &CODE[1..], file.path),
                    executable: file.mode == FileMode::Executable,
                    content,
                    digest: Some(file.sha256),
                });
            }
            self.write(entries, work.compression, code.base()).await
        });
        let layer = layer.await?.clone();
        self.bring(work, &layer.descriptor, &origin(&layer)).await?;
        Ok(layer)
    }

    async fn write(
        &self,
        entries: Vec<Entry>,
        compression: Compression,
        subject: &impl std::fmt::Display,
    ) -> Result<Layer> {
        let failed = |error: std::io::Error| {
            let message = format!("make a layer of it: {error}");
            Error::new(Kind::Other, subject, message)
        };
        // The file of a layer lives as long as the layer, in a folder that is not ours to remove.
        let folder = self.settings.cache.clone();
        let folder = folder
            .filter(|folder| std::fs::create_dir_all(folder).is_ok())
            .unwrap_or_else(std::env::temp_dir);
        tokio::task::spawn_blocking(move || layer::write(entries, compression, &folder))
            .await
            .map_err(|error| failed(std::io::Error::other(error)))?
            .map_err(failed)
    }

    async fn bring(&self, work: &Work<'_>, blob: &Descriptor, origin: &Origin) -> Result<bool> {
        self.transfers
            .bring(&work.target, blob, origin, &self.cache)
            .await
    }

    async fn put_config(&self, work: &Work<'_>, bytes: Vec<u8>) -> Result<Descriptor> {
        let descriptor = Descriptor::new(CONFIG, Digest::of(&bytes), bytes.len() as u64);
        let origin = Origin::Content(Content::Bytes(bytes.into()));
        self.bring(work, &descriptor, &origin).await?;
        Ok(descriptor)
    }

    /// Brings all blobs of the image for one platform into the target, and gives its manifest.
    async fn image(&self, work: &Work<'_>) -> Result<super::Manifest> {
        let base = &work.base;
        let mut layers = Vec::with_capacity(base.layers.len() + 2);
        for one in &base.layers {
            let (_, media_type) = packing(&one.media_type)
                .map_err(|what| Error::new(Kind::Other, &base.written, what))?;
            layers.push(Descriptor::new(&media_type, one.digest.0, one.size));
        }
        let below = try_join_all(layers.iter().map(|layer| async {
            let origin = Origin::Repository(work.repository.clone(), base.reference.clone());
            self.bring(work, layer, &origin).await
        }));
        let packages = async {
            match &work.layers.requirements {
                Some(requirements) => self.packages(work, requirements).await.map(Some),
                None => Ok(None),
            }
        };
        let code = async {
            match &work.layers.code {
                Some(code) => self.code(work, code).await.map(Some),
                None => Ok(None),
            }
        };
        let (_, packages, code) = tokio::try_join!(below, packages, code)?;
        let mut added = Vec::new();
        for (layer, by) in [(packages, "packages"), (code, "code")] {
            let Some(layer) = layer else { continue };
            added.push(Added {
                diff_id: layer.diff_id,
                by: format!("flowyard: {by}"),
            });
            layers.push(layer.descriptor);
        }
        let labels = work.labels();
        let config = config(base, work.layers, &added, &labels)?;
        let config = self.put_config(work, config).await?;
        let annotations = labels
            .into_iter()
            .filter(|(name, _)| name != INPUTS)
            .collect();
        Ok(manifest(IMAGE, &Manifest::new(config, layers, annotations)))
    }
}

/// The annotation of an image of packages alone: the digest of its layer before packing.
const DIFF_ID: &str = "org.flowyard.diff-id";
/// The label that holds the digest of the inputs, which is the image's tag too.
const INPUTS: &str = "org.flowyard.inputs";

/// One image for one platform.
struct Work<'a> {
    layers: &'a Layers,
    pinned: &'a Pinned,
    identity: Digest,
    platform: Platform,
    /// The digest of the base's manifest or index.
    base_digest: Digest,
    base: Arc<Base>,
    repository: Arc<dyn Repository>,
    target: Target,
    compression: Compression,
    files: &'a dyn Files,
    log: &'a dyn BuildLog,
}

impl Work<'_> {
    fn labels(&self) -> BTreeMap<String, String> {
        let repository = &self.target.reference.repository;
        let title = repository
            .rsplit_once('/')
            .map_or(repository.as_str(), |(_, name)| name);
        let mut labels = labels(&self.base, &self.base_digest, title);
        labels.insert(INPUTS.to_owned(), self.identity.to_string());
        labels
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
            builder: VERSION.to_owned(),
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
        let made = try_join_all(making).await?;
        let [one] = &made[..] else {
            return self.put_index(image, &identity, &target, &platforms, made).await;
        };
        put_tags(image, &identity, &target, one).await
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
        made: Vec<super::Manifest>,
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
async fn put_tags(
    image: &Image,
    identity: &Digest,
    target: &Target,
    made: &super::Manifest,
) -> Result<Digest> {
    let tags = image.tags.iter().cloned().chain([identity.to_string()]);
    for tag in tags {
        let version = Version::Tag(tag);
        target.repository.put_manifest(&version, made).await?;
    }
    Ok(made.digest)
}

fn origin(layer: &Layer) -> Origin {
    layer
        .content
        .as_ref()
        .map_or(Origin::Unknown, |content| Origin::Content(content.clone()))
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
    written.parse().map_err(|error: super::ParseReferenceError| {
        Error::new(Kind::Other, "images", error.to_string())
    })
}

fn recipe(image: &Image) -> Result<&Layers> {
    match &image.recipe {
        Recipe::Layers(layers) => Ok(layers),
        Recipe::Dockerfile(_) => {
            let message = format!("the builder `{}` makes no image of a Dockerfile", Builder::Oci);
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

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
