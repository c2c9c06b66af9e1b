//! The contract of [`Repository`], which every registry and every layout must hold.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use flowyard::backend::oci::{Manifest, Repository, Version};
use flowyard::backend::{Content, Kind, Result};
use flowyard::model::Digest;
use futures::TryStreamExt as _;

/// The media type of an OCI manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an OCI index.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of Docker's manifest.
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Tries everything on an empty repository.
pub(crate) async fn holds(repository: &dyn Repository) {
    assert!(!repository.subject().is_empty());
    nothing_is_there(repository).await;
    blobs_are_kept(repository).await;
    files_are_kept(repository).await;
    wrong_content_is_refused(repository).await;
    manifests_are_kept(repository).await;
    indices_are_kept(repository).await;
    many_go_at_once(repository).await;
    nothing_is_taken_over_from_nowhere(repository).await;
}

/// Writes a blob and gives its digest.
pub(crate) async fn put(repository: &dyn Repository, bytes: impl Into<Bytes>) -> Digest {
    let bytes = bytes.into();
    let digest = Digest::of(&bytes);
    let length = bytes.len() as u64;
    repository
        .put_blob(&digest, length, Content::Bytes(bytes))
        .await
        .unwrap_or_else(|error| panic!("{error} ({:?})", error.hint));
    digest
}

/// Reads a blob to its end.
pub(crate) async fn read(repository: &dyn Repository, digest: &Digest) -> Result<Bytes> {
    let pieces = repository.blob(digest).await?;
    let whole: BytesMut = pieces
        .try_fold(BytesMut::new(), |mut whole, piece| async move {
            whole.extend_from_slice(&piece);
            Ok(whole)
        })
        .await?;
    Ok(whole.freeze())
}

/// Writes an image whose only layer is `text`, without a tag, and gives its manifest.
pub(crate) async fn image(repository: &dyn Repository, text: &str, media_type: &str) -> Manifest {
    let (config, layer) = (format!("{{\"author\":\"{text}\"}}"), text.to_owned());
    let described = |text: &str, kind: &str| {
        let digest = Digest::of(text.as_bytes());
        let length = text.len();
        format!("{{\"mediaType\":\"{kind}\",\"digest\":\"sha256:{digest}\",\"size\":{length}}}")
    };
    let kinds = if media_type == DOCKER {
        [
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ]
    } else {
        [
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ]
    };
    let manifest = format!(
        "{{\n \"schemaVersion\":2,\"mediaType\":\"{media_type}\",\n \"config\":{},\"layers\":[{}]}}",
        described(&config, kinds[0]),
        described(&layer, kinds[1])
    );
    put(repository, config).await;
    put(repository, layer).await;
    described_manifest(manifest, media_type)
}

fn described_manifest(text: String, media_type: &str) -> Manifest {
    Manifest {
        digest: Digest::of(text.as_bytes()),
        media_type: media_type.to_owned(),
        bytes: text.into(),
    }
}

pub(crate) fn tag(text: &str) -> Version {
    Version::Tag(text.to_owned())
}

async fn write(repository: &dyn Repository, version: &Version, manifest: &Manifest) {
    repository
        .put_manifest(version, manifest)
        .await
        .unwrap_or_else(|error| panic!("{error} ({:?})", error.hint));
}

async fn nothing_is_there(repository: &dyn Repository) {
    let digest = Digest::of(b"absent");
    for version in [tag("absent"), Version::Digest(digest)] {
        let head = repository.head(&version).await.expect("an answer");
        assert_eq!(head, None);
        let manifest = repository.manifest(&version).await.expect("an answer");
        assert!(manifest.is_none());
    }
    assert!(!repository.has(&digest).await.expect("an answer"));
    let error = read(repository, &digest).await.expect_err("no such blob");
    assert_eq!(error.kind, Kind::NotFound, "{error}");
}

async fn blobs_are_kept(repository: &dyn Repository) {
    for bytes in [&b""[..], b"one", b"\0\xff binary"] {
        let digest = put(repository, bytes).await;
        assert!(repository.has(&digest).await.expect("an answer"));
        let found = read(repository, &digest).await.expect("the blob");
        assert_eq!(found, bytes);
        // Again is no error.
        put(repository, bytes).await;
    }
}

fn file(folder: &Path, length: usize) -> (Digest, Content) {
    let mut bytes = Vec::with_capacity(length);
    let mut state = 1_u32;
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    let path = folder.join(format!("blob-{length}"));
    std::fs::write(&path, &bytes).expect("the folder is ours");
    let length = length as u64;
    (Digest::of(&bytes), Content::File { path, length })
}

async fn files_are_kept(repository: &dyn Repository) {
    let folder = tempfile::tempdir().expect("a folder");
    for length in [0, 1, (9 << 20) + 13] {
        let (digest, content) = file(folder.path(), length);
        repository
            .put_blob(&digest, length as u64, content)
            .await
            .expect("a blob from a file");
        let found = read(repository, &digest).await.expect("the blob");
        assert_eq!((found.len(), Digest::of(&found)), (length, digest));
    }
}

async fn wrong_content_is_refused(repository: &dyn Repository) {
    let digest = Digest::of(b"what was promised");
    let content = Content::Bytes(Bytes::from_static(b"what was delivered"));
    let result = repository.put_blob(&digest, 18, content.clone()).await;
    assert!(result.is_err(), "another digest");
    assert!(!repository.has(&digest).await.expect("an answer"));

    let digest = Digest::of(b"what was delivered");
    let result = repository.put_blob(&digest, 19, content).await;
    assert!(result.is_err(), "another length");
    assert!(!repository.has(&digest).await.expect("an answer"));

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grown");
    std::fs::write(&path, b"what was delivered").expect("the folder is ours");
    for length in [17, 19] {
        let path = path.clone();
        let content = Content::File { path, length };
        let error = repository
            .put_blob(&digest, length, content)
            .await
            .expect_err("the file has another length");
        assert!(error.message.contains("grown"), "{error}");
    }
    assert!(!repository.has(&digest).await.expect("an answer"));
}

async fn manifests_are_kept(repository: &dyn Repository) {
    for media_type in [MANIFEST, DOCKER] {
        let first = image(repository, "first", media_type).await;
        let second = image(repository, "second", media_type).await;
        write(repository, &tag("moving"), &first).await;
        for version in [tag("moving"), Version::Digest(first.digest)] {
            let head = repository.head(&version).await.expect("an answer");
            assert_eq!(head, Some(first.digest));
            let found = repository.manifest(&version).await.expect("an answer");
            let found = found.expect("a manifest");
            assert_eq!(found.digest, first.digest);
            assert_eq!(found.bytes, first.bytes, "the very same bytes");
            assert_eq!(found.media_type, media_type);
        }
        // The same again, then another one below the same tag: the first is still there.
        write(repository, &tag("moving"), &first).await;
        write(repository, &tag("moving"), &second).await;
        let head = repository.head(&tag("moving")).await.expect("an answer");
        assert_eq!(head, Some(second.digest));
        let old = Version::Digest(first.digest);
        let head = repository.head(&old).await.expect("an answer");
        assert_eq!(head, Some(first.digest));
        // Two tags for one manifest.
        write(repository, &tag("also_A.1-x"), &second).await;
        let head = repository.head(&tag("also_A.1-x")).await;
        assert_eq!(head.expect("an answer"), Some(second.digest));
    }
}

async fn indices_are_kept(repository: &dyn Repository) {
    let one = image(repository, "amd64", MANIFEST).await;
    let two = image(repository, "arm64", MANIFEST).await;
    let mut entries = Vec::new();
    for (manifest, platform) in [(&one, "amd64"), (&two, "arm64")] {
        let version = Version::Digest(manifest.digest);
        write(repository, &version, manifest).await;
        entries.push(format!(
            "{{\"mediaType\":\"{MANIFEST}\",\"digest\":\"sha256:{}\",\"size\":{},\
             \"platform\":{{\"os\":\"linux\",\"architecture\":\"{platform}\"}}}}",
            manifest.digest,
            manifest.bytes.len()
        ));
    }
    let text = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{}]}}",
        entries.join(",")
    );
    let index = described_manifest(text, INDEX);
    write(repository, &tag("many"), &index).await;
    let found = repository.manifest(&tag("many")).await.expect("an answer");
    let found = found.expect("an index");
    assert_eq!(
        (found.digest, found.media_type.as_str()),
        (index.digest, INDEX)
    );
    let one = repository.head(&Version::Digest(one.digest)).await;
    assert!(one.expect("an answer").is_some());
}

async fn many_go_at_once(repository: &dyn Repository) {
    let texts: Vec<String> = (0..16).map(|number| format!("{}", number % 12)).collect();
    let uploads = texts.iter().map(|text| put(repository, text.clone()));
    for (digest, text) in futures::future::join_all(uploads).await.iter().zip(&texts) {
        let found = read(repository, digest).await.expect("the blob");
        assert_eq!(found, text.as_bytes());
    }
}

async fn nothing_is_taken_over_from_nowhere(repository: &dyn Repository) {
    let digest = Digest::of(b"nowhere");
    let mounted = repository.mount(&digest, "no/such/repository").await;
    assert!(!mounted.expect("an answer"));
    assert!(!repository.has(&digest).await.expect("an answer"));
    // And yet the blob can be written.
    assert_eq!(put(repository, "nowhere").await, digest);
    assert!(repository.has(&digest).await.expect("an answer"));
}
