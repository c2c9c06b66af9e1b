//! What is sent to the real registry, seen by a proxy that can also break connections.

use bytes::Bytes;
use flowyard::backend::oci::Repository as _;
use flowyard::backend::{Content, Kind};
use flowyard::model::Digest;
use hyper::{Method, StatusCode};

use super::{anonymous, at};
use crate::contract::repository::{self, MANIFEST, image, put, read, tag};
use crate::services::proxy::{Fault, Proxy, Recorded};
use crate::services::registry::Registry;

/// Method, what it is about, and status of what passed.
fn seen(recorded: &Recorded) -> Vec<String> {
    recorded
        .0
        .iter()
        .map(|one| {
            let path = one.path.split('?').next().unwrap_or_default();
            let about = if path.contains("/uploads/") {
                "upload"
            } else if path.contains("/manifests/") {
                "manifest"
            } else {
                "blob"
            };
            let status = one.status.map_or(0, |status| status.as_u16());
            format!("{} {about} {status}", one.method)
        })
        .collect()
}

/// More than four pieces of a megabyte.
fn large() -> Bytes {
    (0..1_200_000_u32)
        .flat_map(u32::to_be_bytes)
        .collect::<Vec<_>>()
        .into()
}

#[tokio::test]
async fn a_blob_costs_three_requests_and_one_that_is_there_one() {
    let proxy = Proxy::start(Registry::shared().port());
    let repository = at(&anonymous(), proxy.port(), "counted/blob");
    put(&repository, "a layer").await;
    assert_eq!(
        seen(&proxy.take()),
        ["HEAD blob 404", "POST upload 202", "PUT upload 201"]
    );
    put(&repository, "a layer").await;
    assert_eq!(seen(&proxy.take()), ["HEAD blob 200"]);
    // The same blob of another repository comes without its bytes.
    let other = at(&anonymous(), proxy.port(), "counted/other");
    let digest = Digest::of(b"a layer");
    assert!(
        other
            .mount(&digest, "counted/blob")
            .await
            .expect("an answer")
    );
    assert_eq!(seen(&proxy.take()), ["POST upload 201"]);
}

#[tokio::test]
async fn uploads_begin_before_their_blobs_are_made() {
    let proxy = Proxy::start(Registry::shared().port());
    let repository = at(&anonymous(), proxy.port(), "counted/ahead");
    let put_new = async |text: &'static str| {
        let digest = Digest::of(text.as_bytes());
        let put = repository.put_new_blob(&digest, text.into()).await;
        put.expect("a push");
        assert_eq!(read(&repository, &digest).await.expect("there"), text);
        let mut seen = seen(&proxy.take());
        assert_eq!(seen.pop().as_deref(), Some("GET blob 200"));
        seen
    };
    repository.expect(2).await;
    assert_eq!(seen(&proxy.take()), ["POST upload 202", "POST upload 202"]);
    assert_eq!(put_new("one").await, ["PUT upload 201"]);
    put(&repository, "two").await;
    assert_eq!(seen(&proxy.take()), ["HEAD blob 404", "PUT upload 201"]);
    assert_eq!(
        put_new("three").await,
        ["POST upload 202", "PUT upload 201"],
        "none is left"
    );
    assert_eq!(
        put_new("three").await,
        ["POST upload 202", "PUT upload 201"],
        "it is not asked for"
    );

    // One that could not begin, one that the registry has forgotten, and one that breaks: the blob comes all the same.
    let unavailable = Fault::Answer(StatusCode::SERVICE_UNAVAILABLE);
    proxy.disturb(1, Method::POST, 0, unavailable);
    repository.expect(1).await;
    assert_eq!(
        put_new("four").await,
        ["POST upload 503", "POST upload 202", "PUT upload 201"]
    );
    repository.expect(1).await;
    proxy.disturb(1, Method::PUT, 0, Fault::Answer(StatusCode::NOT_FOUND));
    assert_eq!(
        put_new("five").await,
        [
            "POST upload 202",
            "PUT upload 404",
            "POST upload 202",
            "PUT upload 201"
        ]
    );
    repository.expect(1).await;
    proxy.disturb(1, Method::PUT, 0, Fault::Lose(StatusCode::BAD_GATEWAY));
    assert_eq!(
        put_new("six").await,
        ["POST upload 202", "PUT upload 201", "HEAD blob 200"],
        "its answer was lost"
    );
}

#[tokio::test]
async fn a_tag_is_looked_at_after_it_was_written() {
    let proxy = Proxy::start(Registry::shared().port());
    let repository = at(&anonymous(), proxy.port(), "counted/tag");
    let manifest = image(&repository, "counted", MANIFEST).await;
    proxy.take();
    repository
        .put_manifest(&tag("latest"), &manifest)
        .await
        .expect("a push");
    assert_eq!(
        seen(&proxy.take()),
        ["PUT manifest 201", "HEAD manifest 200"]
    );
    let head = repository.head(&tag("latest")).await.expect("an answer");
    assert_eq!(head, Some(manifest.digest));
    assert_eq!(seen(&proxy.take()), ["HEAD manifest 200"]);
}

#[tokio::test]
async fn a_blob_that_is_cut_off_begins_again() {
    let proxy = Proxy::start(Registry::shared().port());
    let repository = at(&anonymous(), proxy.port(), "cut/once");
    proxy.disturb(1, Method::PUT, 1 << 20, Fault::Cut(2 << 20));
    let digest = put(&repository, large()).await;
    let recorded = proxy.take();
    assert_eq!(
        seen(&recorded),
        [
            "HEAD blob 404",
            "POST upload 202",
            "PUT upload 0",
            "HEAD blob 404",
            "POST upload 202",
            "PUT upload 201"
        ]
    );
    let puts: Vec<_> = recorded
        .0
        .iter()
        .filter(|one| one.method == Method::PUT)
        .collect();
    assert!(
        (2 << 20..large().len()).contains(&puts[0].length),
        "{}",
        puts[0]
    );
    assert_eq!(puts[1].length, large().len(), "all of it again");
    assert_ne!(puts[0].path, puts[1].path, "a session of its own");
    assert_eq!(read(&repository, &digest).await.expect("the blob"), large());
}

/// From a file, which takes another way to the wire.
#[tokio::test]
async fn a_connection_that_breaks_on_whole_blobs_gets_chunks() {
    let proxy = Proxy::start(Registry::shared().port());
    let repository = at(&anonymous(), proxy.port(), "cut/often");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("layer");
    let bytes: Bytes = [large(), large()].concat().into();
    std::fs::write(&path, &bytes).expect("the folder is ours");
    let (digest, length) = (Digest::of(&bytes), bytes.len() as u64);
    proxy.disturb(10, Method::PUT, 1, Fault::Cut(1 << 20));
    repository
        .put_blob(&digest, length, Content::File { path, length })
        .await
        .expect("a push");
    let recorded = proxy.take();
    let chunks: Vec<usize> = recorded
        .0
        .iter()
        .filter(|one| one.method == Method::PATCH)
        .map(|one| one.length)
        .collect();
    assert_eq!(chunks, [8 << 20, bytes.len() - (8 << 20)]);
    let puts = recorded.0.iter().filter(|one| one.method == Method::PUT);
    assert_eq!(
        puts.map(|one| one.length > 0).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(read(&repository, &digest).await.expect("the blob"), bytes);
}

#[tokio::test]
async fn a_proxy_that_takes_nothing_large_gets_chunks_at_once_the_next_time() {
    let proxy = Proxy::start(Registry::shared().port());
    let repository = at(&anonymous(), proxy.port(), "small");
    let refuse = Fault::Answer(StatusCode::PAYLOAD_TOO_LARGE);
    for method in [Method::PUT, Method::PATCH] {
        proxy.disturb(usize::MAX, method, (1 << 20) + 1, refuse);
    }
    let digest = put(&repository, large()).await;
    assert_eq!(read(&repository, &digest).await.expect("the blob"), large());
    let first = seen(&proxy.take());
    assert!(first.contains(&"PUT upload 413".to_owned()), "{first:?}");
    let another: Bytes = large().slice(1..);
    let digest = put(&repository, another.clone()).await;
    assert_eq!(read(&repository, &digest).await.expect("the blob"), another);
    let second = seen(&proxy.take());
    assert!(second.iter().all(|one| !one.ends_with("413")), "{second:?}");
    let chunks = second.iter().filter(|one| *one == "PATCH upload 202");
    assert_eq!(chunks.count(), 5);
}

#[tokio::test]
async fn what_is_too_large_in_any_size_is_an_error() {
    let proxy = Proxy::start(Registry::shared().port());
    let repository = at(&anonymous(), proxy.port(), "smallest");
    for method in [Method::PUT, Method::PATCH] {
        let refuse = Fault::Answer(StatusCode::PAYLOAD_TOO_LARGE);
        proxy.disturb(usize::MAX, method, 1000, refuse);
    }
    let bytes = large();
    let digest = Digest::of(&bytes);
    let length = bytes.len() as u64;
    let error = repository
        .put_blob(&digest, length, Content::Bytes(bytes))
        .await
        .expect_err("no size passes");
    assert_eq!(error.kind, Kind::Other);
    assert!(error.message.contains("413"), "{error}");
    let hint = error.hint.expect("a hint");
    assert!(hint.contains("client_max_body_size"), "{hint}");
}

#[tokio::test]
async fn a_registry_that_stumbles_is_asked_again() {
    let proxy = Proxy::start(Registry::shared().port());
    let repository = at(&anonymous(), proxy.port(), "stumbling");
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::GET] {
        proxy.disturb(1, method, 0, Fault::Answer(StatusCode::SERVICE_UNAVAILABLE));
    }
    let manifest = image(&repository, "stumbling", MANIFEST).await;
    proxy.disturb(1, Method::PUT, 0, Fault::Cut(0));
    repository
        .put_manifest(&tag("a"), &manifest)
        .await
        .expect("a push");
    let found = repository.manifest(&tag("a")).await.expect("an answer");
    assert_eq!(found.expect("a manifest").digest, manifest.digest);
    let failed = seen(&proxy.take());
    let failed: Vec<_> = failed
        .iter()
        .filter(|one| one.ends_with(" 503") || one.ends_with(" 0"))
        .collect();
    assert_eq!(failed.len(), 5, "{failed:?}");
}

#[tokio::test]
async fn a_registry_that_is_gone_is_told_soon() {
    let started = std::time::Instant::now();
    let port = crate::services::process::free_port();
    let repository = at(&anonymous(), port, "gone");
    let error = repository
        .head(&tag("a"))
        .await
        .expect_err("nobody is there");
    assert_eq!(error.kind, Kind::Unavailable);
    assert_eq!(error.service, format!("127.0.0.1:{port}"));
    assert!(
        error
            .message
            .starts_with("looking for gone:a: cannot connect"),
        "{error}"
    );
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_manifest_without_its_blobs_is_refused_in_the_registrys_words() {
    let repository = at(&anonymous(), Registry::shared().port(), "incomplete");
    let elsewhere = at(&anonymous(), Registry::shared().port(), "complete");
    let manifest = image(&elsewhere, "elsewhere", MANIFEST).await;
    let error = repository
        .put_manifest(&tag("a"), &manifest)
        .await
        .expect_err("the blobs are elsewhere");
    assert!(
        error
            .message
            .starts_with("writing the manifest of incomplete:a: blob unknown"),
        "{error}"
    );
    repository::put(&repository, "its name is taken").await;
}
