//! The documents of the image specification: descriptors, manifests, indexes and platforms, as far as a builder needs them.
//!
//! Source: [image-spec 1.1.0](https://github.com/opencontainers/image-spec/blob/v1.1.0/spec.md), and for images as Docker
//! writes them [image manifest version 2, schema 2](https://distribution.github.io/distribution/spec/manifest-v2-2/), whose
//! documents differ in their media types alone.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Manifest;
use crate::model::Digest;

/// A manifest: one image for one platform.
pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index: one manifest for each platform.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration that a manifest names.
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A manifest as Docker writes it.
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// An index as Docker writes it.
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A digest as these documents write it, `sha256:` and 64 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sha256(pub(super) Digest);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("sha256:").ok_or_else(|| {
            serde::de::Error::custom(format!("the digest `{text}` is not one of sha256"))
        })?;
        digits.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// What names a blob or another document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Sha256,
    /// Length in bytes.
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor of bytes, without platform and annotations.
    pub(super) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Sha256(digest),
            size,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// A platform; prints and parses as `linux/amd64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Platform {
    pub(super) architecture: String,
    pub(super) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) variant: Option<String>,
}

impl Platform {
    /// Reads `os/architecture[/variant]`; `None` where it is anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (os, architecture) = (parts.next()?, parts.next()?);
        let variant = parts.next();
        if os.is_empty() || architecture.is_empty() || variant == Some("") || parts.next().is_some()
        {
            return None;
        }
        Some(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }

    /// Whether an image for `other` runs on this one. The variant of 64-bit ARM is `v8` and often left out.
    pub(super) fn takes(&self, other: &Self) -> bool {
        let variant =
            |platform: &Self| match (platform.architecture.as_str(), platform.variant.as_deref()) {
                ("arm64", Some("v8")) => None,
                (_, variant) => variant.map(str::to_owned),
            };
        self.os == other.os
            && self.architecture == other.architecture
            && variant(self) == variant(other)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Image {
    pub(super) schema_version: u32,
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// An index.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// Either of the two.
#[derive(Clone, Debug)]
pub(super) enum Document {
    Image(Image),
    Index(Index),
}

impl Document {
    /// Reads a manifest or an index by its media type; a fragment says why it is neither.
    pub(super) fn read(manifest: &Manifest) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| format!("it is no image that can be read: {error}");
        match manifest.media_type.as_str() {
            IMAGE | DOCKER_IMAGE => serde_json::from_slice(&manifest.bytes)
                .map(Self::Image)
                .map_err(wrong),
            INDEX | DOCKER_INDEX => serde_json::from_slice(&manifest.bytes)
                .map(Self::Index)
                .map_err(wrong),
            other => Err(format!(
                "it is of type `{other}`, which is neither an OCI image nor one of Docker's version 2, schema 2"
            )),
        }
    }
}

impl Image {
    /// An OCI manifest.
    pub(super) fn new(
        config: Descriptor,
        layers: Vec<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        Self {
            schema_version: 2,
            media_type: IMAGE.to_owned(),
            config,
            layers,
            annotations,
        }
    }
}

/// Serialises a manifest or index: the same bytes for the same value.
pub(super) fn manifest(media_type: &str, document: &impl Serialize) -> Manifest {
    let bytes: Bytes = serde_json::to_vec(document)
        .expect("documents of strings and numbers are always JSON")
        .into();
    Manifest {
        digest: Digest::of(&bytes),
        media_type: media_type.to_owned(),
        bytes,
    }
}

/// How the tar archive of a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Understood by everything that runs containers.
    Gzip,
    /// Smaller, and several times faster to pack and to unpack.
    Zstd,
}

impl Compression {
    /// The media type of a layer packed so.
    pub(super) fn media_type(self) -> String {
        match self {
            Self::Gzip => format!("{LAYER}+gzip"),
            Self::Zstd => format!("{LAYER}+zstd"),
        }
    }
}

/// How a layer of a base is packed (`None` for not at all), and its media type in an OCI manifest: the blobs of Docker's
/// format are the same, only their type is called otherwise. A fragment says why it cannot be a layer of ours.
pub(super) fn packing(media_type: &str) -> Result<(Option<Compression>, String), String> {
    let compression = match media_type {
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Compression::Zstd),
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => None,
        other => {
            return Err(format!(
                "it has a layer of type `{other}`, which must not be copied or is not known"
            ));
        }
    };
    let oci = compression.map_or_else(|| LAYER.to_owned(), Compression::media_type);
    Ok((compression, oci))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_print_as_they_are_written() {
        for text in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(Platform::parse(text).expect(text).to_string(), text);
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/arm/", "a/b/c/d"] {
            assert_eq!(Platform::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_variant_of_arm64_may_be_left_out() {
        let platform = |text| Platform::parse(text).expect("a platform");
        assert!(platform("linux/arm64").takes(&platform("linux/arm64/v8")));
        assert!(platform("linux/arm64/v8").takes(&platform("linux/arm64")));
        assert!(!platform("linux/arm/v7").takes(&platform("linux/arm/v6")));
        assert!(!platform("linux/amd64").takes(&platform("linux/arm64")));
    }

    #[test]
    fn documents_are_read_by_their_type() {
        let digest = Digest::of(b"x");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{DOCKER_IMAGE}","config":{{"mediaType":"c","digest":"sha256:{digest}","size":1}},"layers":[]}}"#
        );
        let manifest = |media_type: &str, text: &str| Manifest {
            digest: Digest::of(text.as_bytes()),
            media_type: media_type.to_owned(),
            bytes: text.to_owned().into(),
        };
        let Ok(Document::Image(image)) = Document::read(&manifest(DOCKER_IMAGE, &text)) else {
            panic!("an image");
        };
        assert_eq!(image.config.digest, Sha256(digest));
        let old = "application/vnd.docker.distribution.manifest.v1+json";
        let fault = Document::read(&manifest(old, &text)).expect_err("schema 1");
        assert!(fault.contains(old), "{fault}");
        let sha512 = text.replace("sha256:", "sha512:");
        let fault = Document::read(&manifest(IMAGE, &sha512)).expect_err("another digest");
        assert!(fault.contains("not one of sha256"), "{fault}");
    }

    #[test]
    fn layers_of_docker_get_the_types_of_oci() {
        assert_eq!(
            packing("application/vnd.docker.image.rootfs.diff.tar.gzip"),
            Ok((
                Some(Compression::Gzip),
                "application/vnd.oci.image.layer.v1.tar+gzip".to_owned()
            ))
        );
        assert_eq!(
            packing("application/vnd.oci.image.layer.v1.tar").map(|(packed, _)| packed),
            Ok(None)
        );
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        assert!(packing(foreign).is_err());
    }
}
