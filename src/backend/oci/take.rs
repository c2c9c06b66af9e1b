//! Takes an image over from a layout that somebody else wrote.

use std::collections::BTreeSet;
use std::path::Path;

use super::document::Document;
use super::layout::Layout;
use super::{Repository as _, Version};
use crate::backend::{Content, Error, Kind, Result};
use crate::model::Digest;

impl Layout {
    /// Copies the only image of the layout in `folder`, with all that it names, below each of `tags` of the repository
    /// called `name`, the last one last. Gives the digest of its manifest or index. Every blob is checked; what is here
    /// already is left alone.
    pub async fn take(&self, folder: &Path, name: &str, tags: &[String]) -> Result<Digest> {
        let other = Self::new(folder.to_owned());
        let (from, to) = (other.named(name), self.named(name));
        let wrong = |what: String| Error::new(Kind::Other, from.subject(), what);
        let named = other.index()?.map(|index| index.manifests);
        let named: BTreeSet<_> = named.iter().flatten().map(|one| one.digest).collect();
        let [image] = &Vec::from_iter(named)[..] else {
            return Err(wrong("it does not hold one image".to_owned()));
        };
        let mut manifests = Vec::new();
        let mut waiting = vec![image.0];
        while let Some(digest) = waiting.pop() {
            let found = from.manifest(&Version::Digest(digest)).await?;
            let manifest =
                found.ok_or_else(|| wrong(format!("the manifest sha256:{digest} is not there")))?;
            match Document::read(&manifest).map_err(wrong)? {
                Document::Index(index) => {
                    waiting.extend(index.manifests.iter().map(|one| one.digest.0));
                }
                Document::Image(image) => {
                    for blob in image.layers.iter().chain([&image.config]) {
                        let digest = &blob.digest.0;
                        let content = Content::File {
                            path: other.blob_path(digest),
                            length: blob.size,
                        };
                        to.put_blob(digest, blob.size, content).await?;
                    }
                }
            }
            manifests.push(manifest);
        }
        // What an index names comes before it.
        for manifest in manifests.iter().rev() {
            to.put_manifest(&Version::Digest(manifest.digest), manifest)
                .await?;
        }
        // The image itself was the first.
        for tag in tags {
            to.put_manifest(&Version::Tag(tag.clone()), &manifests[0])
                .await?;
        }
        Ok(image.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Manifest;
    use super::super::document::{self, Descriptor, Image, Index};
    use super::*;

    /// A layout with an index of one image, called `1`; and the index.
    async fn other(folder: &Path) -> Manifest {
        let images = Layout::new(folder.to_owned()).named("any");
        let mut blobs = Vec::new();
        for text in ["{}", "layer"] {
            let digest = Digest::of(text.as_bytes());
            let length = text.len() as u64;
            let put = images.put_blob(&digest, length, Content::Bytes(text.into()));
            put.await.expect("written");
            blobs.push(Descriptor::new(document::CONFIG, digest, length));
        }
        let image = Image::new(blobs[0].clone(), vec![blobs[1].clone()], Default::default());
        let image = document::manifest(document::IMAGE, &image);
        let version = Version::Digest(image.digest);
        let put = images.put_manifest(&version, &image);
        put.await.expect("written");
        let length = image.bytes.len() as u64;
        let index = Index {
            schema_version: 2,
            media_type: document::INDEX.to_owned(),
            manifests: vec![Descriptor::new(document::IMAGE, image.digest, length)],
            annotations: Default::default(),
        };
        let index = document::manifest(document::INDEX, &index);
        let put = images.put_manifest(&Version::Tag("1".into()), &index).await;
        put.expect("written");
        index
    }

    #[tokio::test]
    async fn all_of_an_image_is_taken() {
        let (folder, ours) = (tempfile::tempdir(), tempfile::tempdir());
        let (folder, ours) = (folder.expect("a folder"), ours.expect("a folder"));
        let index = other(folder.path()).await;
        let layout = Layout::new(ours.path().join("images"));
        let tags = ["a".to_owned(), "b".to_owned()];
        let taken = layout.take(folder.path(), "acme/flows", &tags).await;
        assert_eq!(taken.expect("taken"), index.digest);
        let images = layout.named("acme/flows");
        for tag in tags {
            let found = images.head(&Version::Tag(tag)).await.expect("read");
            assert_eq!(found, Some(index.digest));
        }
        let layer = Digest::of(b"layer");
        assert!(images.has(&layer).await.expect("asked"));
    }

    #[tokio::test]
    async fn what_is_damaged_is_not_taken() {
        let (folder, ours) = (tempfile::tempdir(), tempfile::tempdir());
        let (folder, ours) = (folder.expect("a folder"), ours.expect("a folder"));
        let layout = Layout::new(ours.path().to_owned());
        let tags = ["a".to_owned()];
        let error = layout.take(folder.path(), "a", &tags).await;
        let error = error.expect_err("there is none");
        assert!(error.message.contains("one image"), "{error}");
        other(folder.path()).await;
        let blob = Layout::new(folder.path().to_owned()).blob_path(&Digest::of(b"layer"));
        std::fs::write(blob, "LAYER").expect("it is ours");
        let error = layout.take(folder.path(), "a", &tags).await;
        let error = error.expect_err("another content");
        assert!(error.message.contains("another one"), "{error}");
        let images = layout.named("a");
        let found = images.head(&Version::Tag("a".into())).await.expect("read");
        assert_eq!(found, None);
        let two = document::manifest(document::IMAGE, &json!({}));
        let second = Layout::new(folder.path().to_owned()).named("b");
        let put = second.put_manifest(&Version::Tag("2".into()), &two).await;
        put.expect("written");
        let error = layout.take(folder.path(), "a", &tags).await;
        assert!(error.is_err(), "which of the two");
    }
}
