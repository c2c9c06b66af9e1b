//! The layer of packages: known from an earlier run, known to the repository, or made.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OnceCell;

use super::assemble::{Work, origin};
use super::layer::{self, Layer};
use super::push::{Origin, cell};
use super::python::{Python, install};
use super::{Oci, key};
use crate::backend::oci::Version;
use crate::backend::oci::document::{Descriptor, Document, IMAGE, Image, Sha256, manifest};
use crate::backend::{Error, Kind, Result};
use crate::model::{Digest, Requirements};

/// The annotation of an image of packages alone: the digest of its layer before packing.
const DIFF_ID: &str = "org.flowyard.diff-id";

/// A layer of packages: what is known of it without making it, and the layer once it is made.
#[derive(Default)]
pub(super) struct Packages {
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

/// A layer of packages that an image needs.
struct Wanted<'a> {
    /// What uv is to install.
    text: &'a str,
    /// The digest of all that its bytes depend on.
    key: Digest,
    /// Below which the repository has it.
    tag: Version,
}

impl Oci {
    /// What is known of the layer of packages without making it, which need not be in the target any more; `None` where it has
    /// to be made, or the image has no packages.
    pub(super) async fn known_packages(&self, work: &Work<'_>) -> Result<Option<Layer>> {
        let Some(requirements) = &work.layers.requirements else {
            return Ok(None);
        };
        let wanted = self.wanted(work, requirements)?;
        let shared = cell(&self.packages, wanted.key);
        let shared = shared.get_or_init(|| async { Packages::default() }).await;
        let known = shared.known.get_or_try_init(|| self.known(work, &wanted));
        known.await.cloned()
    }

    /// Brings the layer of packages into the target, made only where neither this machine nor the target knows it; `None` where
    /// the image has no packages.
    pub(super) async fn packages(&self, work: &Work<'_>) -> Result<Option<Layer>> {
        let Some(requirements) = &work.layers.requirements else {
            return Ok(None);
        };
        let wanted = self.wanted(work, requirements)?;
        let shared = cell(&self.packages, wanted.key);
        let shared = shared.get_or_init(|| async { Packages::default() }).await;
        if shared.made.get().is_none()
            && let Some(layer) = self.known_packages(work).await?
            && self
                .bring(work, &layer.descriptor, &Origin::Unknown)
                .await?
        {
            return Ok(Some(layer));
        }
        let made = shared.made.get_or_try_init(|| async {
            let python = work.layers.python.as_deref();
            let python = self.python(&work.base, &*work.repository, python).await?;
            let layer = self
                .install(work, requirements, wanted.text, &python)
                .await?;
            let known = Known {
                descriptor: layer.descriptor.clone(),
                diff_id: layer.diff_id,
            };
            self.cache.keep_fact(&wanted.key, &known);
            Ok::<_, Error>(layer)
        });
        let layer = made.await?.clone();
        self.bring(work, &layer.descriptor, &origin(&layer)).await?;
        self.remember(work, &layer, &wanted.tag).await?;
        Ok(Some(layer))
    }

    fn wanted<'w>(&self, work: &Work<'w>, requirements: &Requirements) -> Result<Wanted<'w>> {
        let text = work.pinned.requirements.get(&work.platform.to_string());
        let Some(text) = text else {
            let message = format!("its requirements are not pinned for {}", work.platform);
            return Err(Error::new(Kind::Other, &requirements.file, message));
        };
        let bytecode = if self.settings.bytecode {
            "bytecode"
        } else {
            ""
        };
        let key = key(&[
            &format!("packages {} {}", install::FORMAT, layer::FORMAT),
            &work.base.digest.to_string(),
            &format!("{:?}", work.compression),
            bytecode,
            work.layers.python.as_deref().unwrap_or(""),
            text,
        ]);
        let tag = Version::Tag(format!("packages-{}", &key.to_string()[..32]));
        Ok(Wanted { text, key, tag })
    }

    /// What this machine or the repository knows of a layer of packages.
    async fn known(&self, work: &Work<'_>, wanted: &Wanted<'_>) -> Result<Option<Layer>> {
        if let Some(known) = self.cache.fact::<Known>(&wanted.key) {
            return Ok(Some(known.layer()));
        }
        let repository = &work.target.repository;
        let Some(found) = repository.manifest(&wanted.tag).await? else {
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
        self.cache.keep_fact(&wanted.key, &known);
        Ok(Some(known.layer()))
    }

    /// Stores an image of the layer alone, for machines that do not know it.
    async fn remember(&self, work: &Work<'_>, layer: &Layer, tag: &Version) -> Result<()> {
        let config = json!({
            "architecture": work.platform.architecture,
            "os": work.platform.os,
            "rootfs": {"type": "layers", "diff_ids": [Sha256(layer.diff_id)]},
        });
        let config = self
            .put_config(work, config.to_string().into_bytes())
            .await?;
        let annotations = [(DIFF_ID.to_owned(), layer.diff_id.to_string())].into();
        let image = Image::new(config, vec![layer.descriptor.clone()], annotations);
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
            (&self.cache, self.settings.bytecode),
            work.log,
        )
        .await?;
        let count = installed.entries.len();
        let layer = self
            .write(
                installed.entries.clone(),
                work.compression,
                &requirements.file,
            )
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
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
