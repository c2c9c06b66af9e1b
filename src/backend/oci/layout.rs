//! An image layout in a folder: what `--local` uses in place of a registry.
//!
//! One folder holds any number of repositories. `index.json` names each tag by the annotation
//! `org.opencontainers.image.ref.name`, whose value is `repository:tag`, so that `skopeo copy oci:FOLDER:REPOSITORY:TAG …`
//! and `podman pull oci:FOLDER:REPOSITORY:TAG` find it. Blobs are those of all repositories together.
//!
//! Source: [image-layout.md](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::document::{Descriptor, INDEX, Index};
use super::{Manifest, Reference, Repositories, Repository, Version};
use crate::backend::transfer::Pieces;
use crate::backend::{Content, Error, Kind, Result};
use crate::model::{Digest, Hasher};

/// The annotation that holds `repository:tag`.
const NAME: &str = "org.opencontainers.image.ref.name";
/// The largest manifest that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// The length of the pieces in which a blob is read.
const PIECE: usize = 256 << 10;

/// A layout; its folder is made by the first write.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: Arc<PathBuf>,
}

impl Layout {
    /// The layout in a folder, which need not be there yet.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder: Arc::new(folder),
        }
    }

    /// A repository of it, by its name without a version. Touches nothing.
    pub fn named(&self, name: &str) -> Images {
        Images {
            layout: self.clone(),
            name: name.to_owned(),
        }
    }

    fn subject(&self) -> String {
        format!("images in {}", self.folder.display())
    }

    /// Where a blob is, or would be.
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder
            .join("blobs")
            .join("sha256")
            .join(digest.to_string())
    }

    fn error(&self, path: &Path, doing: &str, error: &io::Error) -> Error {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => Kind::Denied,
            _ => Kind::Other,
        };
        Error::new(
            kind,
            self.subject(),
            format!("{doing} {}: {error}", path.display()),
        )
    }

    /// The index; `None` where there is no layout yet.
    pub(super) fn index(&self) -> Result<Option<Index>> {
        let path = self.folder.join("index.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(&path, "read", &error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let message = format!("{} is no index: {error}", path.display());
            Error::new(Kind::Other, self.subject(), message)
                .hint("delete the folder; the next deploy makes it anew")
        })
    }

    /// Makes the folder, with all that a layout has before its first image.
    fn prepare(&self) -> Result<()> {
        let blobs = self.folder.join("blobs").join("sha256");
        fs::create_dir_all(&blobs).map_err(|error| self.error(&blobs, "make", &error))?;
        let mark = self.folder.join("oci-layout");
        if mark.exists() {
            return Ok(());
        }
        self.write(&mark, br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    /// Writes a file beside its place and renames it, so that a reader sees all of it or nothing.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let failed = |error: io::Error| self.error(path, "write", &error);
        let mut beside = NamedTempFile::new_in(&*self.folder).map_err(failed)?;
        beside.write_all(bytes).map_err(failed)?;
        persist(beside, path).map_err(failed)
    }

    /// Puts a name into the index, in place of what it named before.
    fn tag(&self, name: &str, manifest: &Manifest) -> Result<()> {
        // What runs beside this one must not lose its own change.
        let path = self.folder.join("index.json.lock");
        let lock = File::create(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| self.error(&path, "lock", &error))?;
        let mut index = self.index()?.unwrap_or_else(|| Index {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            manifests: Vec::new(),
            annotations: Default::default(),
        });
        let named = |one: &Descriptor| one.annotations.get(NAME).map(String::as_str) == Some(name);
        index.manifests.retain(|one| !named(one));
        let mut descriptor = Descriptor::new(
            &manifest.media_type,
            manifest.digest,
            manifest.bytes.len() as u64,
        );
        descriptor
            .annotations
            .insert(NAME.to_owned(), name.to_owned());
        index.manifests.push(descriptor);
        index
            .manifests
            .sort_by(|a, b| a.annotations.get(NAME).cmp(&b.annotations.get(NAME)));
        let text = super::document::manifest(INDEX, &index).bytes;
        self.write(&self.folder.join("index.json"), &text)?;
        drop(lock);
        Ok(())
    }

    /// Reads a blob that is a document.
    fn document(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let path = self.blob_path(digest);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(&path, "read", &error)),
        };
        if length > LARGEST {
            return Err(self.damaged(digest, "is too long for a manifest"));
        }
        let bytes = fs::read(&path).map_err(|error| self.error(&path, "read", &error))?;
        if Digest::of(&bytes) != *digest {
            return Err(self.damaged(digest, "has another content than its name says"));
        }
        Ok(Some(bytes.into()))
    }

    fn damaged(&self, digest: &Digest, what: &str) -> Error {
        let path = self.blob_path(digest);
        Error::new(
            Kind::Other,
            self.subject(),
            format!("{} {what}", path.display()),
        )
        .hint("delete that file; the next deploy writes it anew")
    }
}

impl Repositories for Layout {
    fn subject(&self) -> String {
        self.subject()
    }

    fn repository(&self, reference: &Reference) -> Arc<dyn Repository> {
        Arc::new(self.named(&reference.name()))
    }
}

/// Renames a temporary file to its place, readable as any other file is.
fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// One repository of a layout.
#[derive(Clone, Debug)]
pub struct Images {
    layout: Layout,
    name: String,
}

#[async_trait]
impl Repository for Images {
    fn subject(&self) -> String {
        format!("{} in {}", self.name, self.layout.folder.display())
    }

    async fn head(&self, version: &Version) -> Result<Option<Digest>> {
        match version {
            Version::Digest(digest) => Ok(self.has(digest).await?.then_some(*digest)),
            Version::Tag(tag) => {
                let name = format!("{}:{tag}", self.name);
                let index = self.layout.index()?;
                let found = index.iter().flat_map(|index| &index.manifests).find(|one| {
                    one.annotations.get(NAME).map(String::as_str) == Some(name.as_str())
                });
                Ok(found.map(|one| one.digest.0))
            }
        }
    }

    async fn manifest(&self, version: &Version) -> Result<Option<Manifest>> {
        let Some(digest) = self.head(version).await? else {
            return Ok(None);
        };
        let Some(bytes) = self.layout.document(&digest)? else {
            return Ok(None);
        };
        let document: Value = serde_json::from_slice(&bytes)
            .map_err(|_| self.layout.damaged(&digest, "is no manifest"))?;
        // An OCI document may leave its own type out.
        let media_type = match (document["mediaType"].as_str(), &document["manifests"]) {
            (Some(media_type), _) => media_type,
            (None, Value::Array(_)) => INDEX,
            (None, _) => super::document::IMAGE,
        };
        Ok(Some(Manifest {
            digest,
            media_type: media_type.to_owned(),
            bytes,
        }))
    }

    async fn has(&self, digest: &Digest) -> Result<bool> {
        let path = self.layout.blob_path(digest);
        path.try_exists()
            .map_err(|error| self.layout.error(&path, "look for", &error))
    }

    async fn blob(&self, digest: &Digest) -> Result<BoxStream<'static, Result<Bytes>>> {
        let path = self.layout.blob_path(digest);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("the blob sha256:{digest} is not there");
                return Err(Error::new(Kind::NotFound, self.subject(), message));
            }
            Err(error) => return Err(self.layout.error(&path, "read", &error)),
        };
        struct State {
            pieces: Pieces,
            hasher: Option<Hasher>,
            layout: Layout,
            digest: Digest,
        }
        let state = State {
            pieces: Pieces::new(&self.subject(), &path, length),
            hasher: Some(Hasher::default()),
            layout: self.layout.clone(),
            digest: *digest,
        };
        let stream = futures::stream::try_unfold(state, |mut state| async move {
            if let Some(piece) = state.pieces.next(PIECE).await? {
                if let Some(hasher) = &mut state.hasher {
                    hasher.update(&piece);
                }
                return Ok(Some((piece, state)));
            }
            let digest = state.hasher.take().map(Hasher::finish);
            if digest.is_some_and(|digest| digest != state.digest) {
                let what = "has another content than its name says";
                return Err(state.layout.damaged(&state.digest, what));
            }
            Ok(None)
        });
        Ok(stream.boxed())
    }

    async fn put_blob(&self, digest: &Digest, length: u64, content: Content) -> Result<()> {
        if self.has(digest).await? {
            return Ok(());
        }
        self.layout.prepare()?;
        let path = self.layout.blob_path(digest);
        let failed = |error: io::Error| self.layout.error(&path, "write", &error);
        let mut beside = NamedTempFile::new_in(&*self.layout.folder).map_err(failed)?;
        let mut hasher = Hasher::default();
        let mut written = 0;
        let mut add = |piece: &[u8]| {
            hasher.update(piece);
            written += piece.len() as u64;
            beside.write_all(piece)
        };
        match content {
            Content::Bytes(bytes) => add(&bytes).map_err(failed)?,
            Content::File { path, length } => {
                let mut pieces = Pieces::new(&self.subject(), &path, length);
                while let Some(piece) = pieces.next(PIECE).await? {
                    add(&piece).map_err(failed)?;
                }
            }
        }
        if written != length || hasher.finish() != *digest {
            let message = format!("write the blob sha256:{digest}: its content is another one");
            return Err(Error::new(Kind::Other, self.subject(), message));
        }
        persist(beside, &path).map_err(failed)
    }

    async fn mount(&self, digest: &Digest, _from: &str) -> Result<bool> {
        self.has(digest).await
    }

    async fn put_manifest(&self, version: &Version, manifest: &Manifest) -> Result<()> {
        let length = manifest.bytes.len() as u64;
        let content = Content::Bytes(manifest.bytes.clone());
        self.put_blob(&manifest.digest, length, content).await?;
        match version {
            Version::Tag(tag) => self.layout.tag(&format!("{}:{tag}", self.name), manifest),
            Version::Digest(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::super::document;
    use super::*;

    async fn read(images: &Images, digest: &Digest) -> Result<Vec<u8>> {
        let pieces: Vec<Bytes> = images.blob(digest).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    fn image(text: &str) -> Manifest {
        document::manifest(document::IMAGE, &serde_json::json!({ "text": text }))
    }

    #[tokio::test]
    async fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path().join("not/yet"));
        let images = layout.named("registry.example.org:5000/acme/flows");
        let tag = Version::Tag("t".to_owned());
        assert_eq!(images.head(&tag).await.expect("nothing"), None);
        let digest = Digest::of(b"blob");
        assert!(!images.has(&digest).await.expect("nothing"));
        let error = read(&images, &digest).await.expect_err("nothing");
        assert_eq!(error.kind, Kind::NotFound);

        let put = |content| images.put_blob(&digest, 4, content);
        let wrong = put(Content::Bytes("bl0b".into())).await;
        assert!(wrong.is_err(), "another content");
        put(Content::Bytes("blob".into())).await.expect("written");
        put(Content::Bytes("blob".into())).await.expect("again");
        assert_eq!(read(&images, &digest).await.expect("read"), b"blob");
        assert!(images.mount(&digest, "other").await.expect("asked"));

        let (one, two) = (image("one"), image("two"));
        images.put_manifest(&tag, &one).await.expect("written");
        let other = layout.named("b");
        other.put_manifest(&tag, &two).await.expect("written");
        assert_eq!(images.head(&tag).await.expect("read"), Some(one.digest));
        images.put_manifest(&tag, &two).await.expect("written");
        let found = images.manifest(&tag).await.expect("read").expect("there");
        assert_eq!(
            (found.digest, found.bytes, found.media_type.as_str()),
            (two.digest, two.bytes.clone(), document::IMAGE)
        );
        let old = images.manifest(&Version::Digest(one.digest)).await;
        assert_eq!(old.expect("read").expect("there").bytes, one.bytes);
        let index = layout.index().expect("read").expect("there");
        assert_eq!(index.manifests.len(), 2, "a tag names one image");
    }

    #[tokio::test]
    async fn damage_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path().to_owned());
        let images = layout.named("a");
        let manifest = image("one");
        let tag = Version::Tag("t".to_owned());
        images.put_manifest(&tag, &manifest).await.expect("written");
        let path = layout.blob_path(&manifest.digest);
        fs::write(&path, "{}").expect("damaged");
        let error = images.manifest(&tag).await.expect_err("damaged");
        assert!(error.message.contains("another content"), "{error}");
        let error = read(&images, &manifest.digest).await.expect_err("damaged");
        assert!(error.message.contains("another content"), "{error}");
        fs::write(folder.path().join("index.json"), "[").expect("damaged");
        let error = images.head(&tag).await.expect_err("damaged");
        assert!(error.message.contains("is no index"), "{error}");
    }

    #[tokio::test]
    async fn many_writers_lose_no_tag() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path().to_owned());
        let writes = (0..20).map(|number| {
            let images = layout.named("a");
            tokio::task::spawn_blocking(move || {
                let manifest = image(&number.to_string());
                let tag = Version::Tag(format!("t{number}"));
                futures::executor::block_on(images.put_manifest(&tag, &manifest))
            })
        });
        for write in futures::future::join_all(writes).await {
            write.expect("no panic").expect("written");
        }
        let index = layout.index().expect("read").expect("there");
        assert_eq!(index.manifests.len(), 20);
    }
}
