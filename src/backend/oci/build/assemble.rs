//! Puts an image for one platform together: its blobs into the target, and its manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;

use super::Oci;
use super::base::Base;
use super::image::{Added, config, labels};
use super::layer::{self, Entry, Layer};
use super::push::{Origin, Target, cell};
use crate::backend::oci::document::{
    CONFIG, Compression, Descriptor, IMAGE, Image, Platform, manifest, packing,
};
use crate::backend::oci::{Manifest, Repository};
use crate::backend::{BuildLog, Error, Files, Kind, Result};
use crate::model::{CodeTree, Digest, FileMode, Layers, Pinned};

/// The label that holds the digest of the inputs, which is the image's tag too.
const INPUTS: &str = "org.flowyard.inputs";

/// One image for one platform.
pub(super) struct Work<'a> {
    pub(super) layers: &'a Layers,
    pub(super) pinned: &'a Pinned,
    pub(super) identity: Digest,
    pub(super) platform: Platform,
    /// The digest of the base's manifest or index.
    pub(super) base_digest: Digest,
    pub(super) base: Arc<Base>,
    pub(super) repository: Arc<dyn Repository>,
    pub(super) target: Target,
    pub(super) compression: Compression,
    pub(super) files: &'a dyn Files,
    pub(super) log: &'a dyn BuildLog,
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

impl Oci {
    /// How our layers are packed: as it is configured, else by zstd where the base shows that it can be unpacked.
    pub(super) fn compression(&self, base: &Base) -> Compression {
        let is_zstd = |layer: &Descriptor| {
            let packed = packing(&layer.media_type);
            packed.is_ok_and(|(packed, _)| packed == Some(Compression::Zstd))
        };
        let by_base = if base.layers.iter().any(is_zstd) {
            Compression::Zstd
        } else {
            Compression::Gzip
        };
        self.settings.compression.unwrap_or(by_base)
    }

    /// The layer of code, made once for all platforms and images of a run that have the same.
    async fn code(&self, work: &Work<'_>, code: &CodeTree, folder: &str) -> Result<Layer> {
        let folder = folder.trim_matches('/');
        let key = (code.digest(), folder.to_owned(), work.compression);
        let layer = cell(&self.codes, key);
        let layer = layer.get_or_try_init(|| async {
            let mut entries = Vec::with_capacity(code.files().len());
            for file in code.files() {
                let path = code.base().join(&file.path);
                let content = work.files.content(&path).map_err(|error| {
                    Error::new(Kind::Other, &path, format!("it cannot be read: {error:#}"))
                })?;
                entries.push(Entry {
                    path: format!("{folder}/{}", file.path),
                    executable: file.mode == FileMode::Executable,
                    content,
                    digest: Some(file.sha256),
                });
            }
            self.write(entries, work.compression, code.base()).await
        });
        layer.await.cloned()
    }

    pub(super) async fn write(
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

    pub(super) async fn bring(
        &self,
        work: &Work<'_>,
        blob: &Descriptor,
        origin: &Origin,
    ) -> Result<bool> {
        self.transfers
            .bring(&work.target, blob, origin, &self.cache)
            .await
    }

    pub(super) async fn put_config(&self, work: &Work<'_>, bytes: Vec<u8>) -> Result<Descriptor> {
        let descriptor = Descriptor::new(CONFIG, Digest::of(&bytes), bytes.len() as u64);
        // It names the inputs, and an image of the same inputs is not made again.
        let origin = Origin::New(bytes.into());
        self.bring(work, &descriptor, &origin).await?;
        Ok(descriptor)
    }

    /// Brings all blobs of the image for one platform into the target, and gives its manifest.
    pub(super) async fn image(&self, work: &Work<'_>) -> Result<Manifest> {
        let base = &work.base;
        let labels = work.labels();
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
        let code = || async {
            match &work.layers.code {
                Some(code) => self.code(work, code, &work.layers.folder).await.map(Some),
                None => Ok(None),
            }
        };
        let code_sent = async {
            if let Some(code) = code().await? {
                self.bring(work, &code.descriptor, &origin(&code)).await?;
            }
            Ok(())
        };
        let put_config = |packages: Option<Layer>, code: Option<Layer>| async {
            let mut added = Vec::new();
            let mut ours = Vec::new();
            for (layer, by) in [(packages, "packages"), (code, "code")] {
                let Some(layer) = layer else { continue };
                added.push(Added {
                    diff_id: layer.diff_id,
                    by: format!("flowyard: {by}"),
                });
                ours.push(layer.descriptor);
            }
            let config = config(base, work.layers, &added, &labels)?;
            Ok::<_, Error>((self.put_config(work, config).await?, ours))
        };
        // The configuration needs to know the layers, not that they have arrived. With packages that are known it goes ahead,
        // while the registry says whether it has them; were they made anew and others, this one would be left over.
        let ahead = async {
            let (known, code) = tokio::try_join!(self.known_packages(work), code())?;
            if known.is_some() {
                put_config(known, code).await?;
            }
            Ok(())
        };
        let above = async {
            let (packages, code) = tokio::try_join!(self.packages(work), code())?;
            put_config(packages, code).await
        };
        let (_, (), (), (config, ours)) = tokio::try_join!(below, code_sent, ahead, above)?;
        layers.extend(ours);
        let annotations = labels
            .into_iter()
            .filter(|(name, _)| name != INPUTS)
            .collect();
        Ok(manifest(IMAGE, &Image::new(config, layers, annotations)))
    }
}

/// Where the content of a layer is.
pub(super) fn origin(layer: &Layer) -> Origin {
    layer
        .content
        .as_ref()
        .map_or(Origin::Unknown, |content| Origin::Content(content.clone()))
}
