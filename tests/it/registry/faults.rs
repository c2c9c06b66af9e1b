//! Faults that a well-behaved registry never shows, by a double.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flowyard::backend::oci::{Repository, Version};
use flowyard::backend::{Content, Kind};
use flowyard::model::Digest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wiremock::matchers::{body_bytes, headers, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{anonymous, at};
use crate::contract::repository::{put, read, tag};

const LAYER: &[u8] = b"a layer";

fn registry(server: &MockServer) -> impl Repository + use<> {
    at(&anonymous(), server.address().port(), "acme/flows")
}

fn refusal(status: u16, code: &str) -> ResponseTemplate {
    let body = json!({"errors": [{"code": code, "message": format!("so says {code}")}]});
    ResponseTemplate::new(status).set_body_json(body)
}

/// The requests that came, as `METHOD path?query`.
async fn came(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.expect("they are recorded");
    requests
        .iter()
        .map(|one| {
            let query = one.url.query().map(|query| format!("?{query}"));
            format!(
                "{} {}{}",
                one.method,
                one.url.path(),
                query.unwrap_or_default()
            )
        })
        .collect()
}

/// Begins uploads, each time another: `/session/1`, `/session/2` …
async fn begins_uploads(server: &MockServer, most: u64) {
    for number in (1..=most).rev() {
        let session = ResponseTemplate::new(202)
            .insert_header("location", format!("/session/{number}?state=a%3Db"));
        Mock::given(method("POST"))
            .and(path("/v2/acme/flows/blobs/uploads/"))
            .respond_with(session)
            .up_to_n_times(1)
            .with_priority(u8::try_from(number).expect("few"))
            .mount(server)
            .await;
    }
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(404))
        .mount(server)
        .await;
}

async fn takes(server: &MockServer, session: &str) {
    Mock::given(method("PUT"))
        .and(path(session))
        .and(query_param("state", "a=b"))
        .and(query_param(
            "digest",
            format!("sha256:{}", Digest::of(LAYER)),
        ))
        .and(body_bytes(LAYER))
        .respond_with(ResponseTemplate::new(201))
        .mount(server)
        .await;
}

#[tokio::test]
async fn an_upload_that_is_forgotten_begins_again() {
    let server = MockServer::start().await;
    begins_uploads(&server, 2).await;
    Mock::given(path("/session/1"))
        .respond_with(refusal(404, "BLOB_UPLOAD_UNKNOWN"))
        .mount(&server)
        .await;
    takes(&server, "/session/2").await;
    put(&registry(&server), LAYER).await;
    let puts = came(&server).await;
    assert_eq!(puts.iter().filter(|one| one.starts_with("PUT")).count(), 2);
}

#[tokio::test]
async fn an_upload_that_is_forgotten_again_and_again_is_an_error() {
    let server = MockServer::start().await;
    begins_uploads(&server, 9).await;
    Mock::given(method("PUT"))
        .respond_with(refusal(404, "BLOB_UPLOAD_UNKNOWN"))
        .mount(&server)
        .await;
    let (digest, content) = (Digest::of(LAYER), Content::Bytes(Bytes::from_static(LAYER)));
    let error = registry(&server)
        .put_blob(&digest, LAYER.len() as u64, content)
        .await
        .expect_err("it forgets everything");
    let expected = format!(
        "uploading blob sha256:{} to acme/flows: so says BLOB_UPLOAD_UNKNOWN (404 Not Found)",
        digest.short()
    );
    assert_eq!(error.message, expected);
    let puts = came(&server).await;
    assert_eq!(puts.iter().filter(|one| one.starts_with("PUT")).count(), 2);
}

/// The registry's own limits, where a proxy's are tried on the real one.
#[tokio::test]
async fn chunks_are_as_large_as_the_registry_wants_them() {
    const LEAST: usize = 9 << 20;
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(
            ResponseTemplate::new(202)
                .insert_header("location", "/session")
                .insert_header("oci-chunk-min-length", LEAST.to_string()),
        )
        .mount(&server)
        .await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(body_bytes(b""))
        .respond_with(ResponseTemplate::new(201))
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .respond_with(refusal(413, "SIZE_INVALID"))
        .with_priority(9)
        .mount(&server)
        .await;
    Mock::given(method("PATCH"))
        .respond_with(ResponseTemplate::new(202).insert_header("location", "/session"))
        .mount(&server)
        .await;
    put(&registry(&server), vec![7; LEAST + 5]).await;
    let requests = server.received_requests().await.expect("they are recorded");
    let chunks: Vec<_> = requests
        .iter()
        .filter(|one| one.method.as_str() == "PATCH")
        .map(|one| {
            (
                one.headers["content-range"].to_str().expect("text"),
                one.body.len(),
            )
        })
        .collect();
    let (first, second) = (format!("0-{}", LEAST - 1), format!("{LEAST}-{}", LEAST + 4));
    assert_eq!(chunks, [(first.as_str(), LEAST), (second.as_str(), 5)]);
}

#[tokio::test]
async fn a_mount_that_becomes_an_upload_is_used_as_one() {
    let server = MockServer::start().await;
    let digest = Digest::of(LAYER);
    Mock::given(method("POST"))
        .and(query_param("mount", format!("sha256:{digest}")))
        .and(query_param("from", "acme/base"))
        .respond_with(
            ResponseTemplate::new(202).insert_header("location", "/session/7?state=a%3Db"),
        )
        .mount(&server)
        .await;
    takes(&server, "/session/7").await;
    let repository = registry(&server);
    assert!(
        !repository
            .mount(&digest, "acme/base")
            .await
            .expect("an answer")
    );
    put(&repository, LAYER).await;
    assert_eq!(
        came(&server).await,
        [
            format!("POST /v2/acme/flows/blobs/uploads/?mount=sha256%3A{digest}&from=acme%2Fbase"),
            format!("PUT /session/7?state=a%3Db&digest=sha256%3A{digest}"),
        ]
    );
}

#[tokio::test]
async fn a_busy_registry_is_given_the_time_that_it_asks_for() {
    let server = MockServer::start().await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "1"))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&server)
        .await;
    let started = Instant::now();
    let head = registry(&server).head(&tag("1")).await.expect("an answer");
    assert_eq!(head, None);
    assert!(
        started.elapsed() >= Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_registry_that_wants_an_hour_is_unavailable_at_once() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(refusal(429, "TOOMANYREQUESTS").insert_header("retry-after", "3600"))
        .mount(&server)
        .await;
    let started = Instant::now();
    let error = registry(&server)
        .manifest(&tag("1"))
        .await
        .expect_err("too many requests");
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(
        error.message.contains("so says TOOMANYREQUESTS (429"),
        "{error}"
    );
    assert!(
        error
            .hint
            .is_some_and(|hint| hint.contains("limits requests"))
    );
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_tag_that_points_elsewhere_is_a_conflict() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .respond_with(ResponseTemplate::new(201))
        .mount(&server)
        .await;
    let other = Digest::of(b"another manifest");
    Mock::given(method("HEAD"))
        .respond_with(
            ResponseTemplate::new(200)
                .insert_header("docker-content-digest", format!("sha256:{other}")),
        )
        .mount(&server)
        .await;
    let manifest = manifest(b"{}");
    let error = registry(&server)
        .put_manifest(&tag("1"), &manifest)
        .await
        .expect_err("someone else was faster");
    assert_eq!(error.kind, Kind::Conflict);
    let expected = format!(
        "the tag `1` of acme/flows names sha256:{other} after sha256:{} was pushed to it",
        manifest.digest
    );
    assert_eq!(error.message, expected);
    assert!(error.hint.is_some_and(|hint| hint.contains("someone else")));
    // By digest there is nothing to move.
    let version = Version::Digest(manifest.digest);
    registry(&server)
        .put_manifest(&version, &manifest)
        .await
        .expect("a push");
}

#[tokio::test]
async fn a_registry_that_stores_something_else_is_caught() {
    let server = MockServer::start().await;
    begins_uploads(&server, 1).await;
    let other = Digest::of(b"something else");
    Mock::given(method("PUT"))
        .respond_with(
            ResponseTemplate::new(201)
                .insert_header("docker-content-digest", format!("sha256:{other}")),
        )
        .mount(&server)
        .await;
    let content = Content::Bytes(Bytes::from_static(LAYER));
    let digest = Digest::of(LAYER);
    let error = registry(&server)
        .put_blob(&digest, LAYER.len() as u64, content)
        .await
        .expect_err("it stored something else");
    assert!(
        error.message.ends_with(&format!(
            "it stored sha256:{other} instead of sha256:{digest}"
        )),
        "{error}"
    );
    let error = registry(&server)
        .put_manifest(&tag("1"), &manifest(b"{}"))
        .await
        .expect_err("it stored something else");
    assert!(error.message.contains("it stored"), "{error}");
}

fn manifest(bytes: &'static [u8]) -> flowyard::backend::oci::Manifest {
    flowyard::backend::oci::Manifest {
        digest: Digest::of(bytes),
        media_type: crate::contract::repository::MANIFEST.to_owned(),
        bytes: bytes.into(),
    }
}

#[tokio::test]
async fn content_with_another_digest_is_not_passed_on_as_right() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes("something else"))
        .mount(&server)
        .await;
    let repository = registry(&server);
    let digest = Digest::of(LAYER);
    let error = read(&repository, &digest).await.expect_err("another blob");
    assert!(error.message.contains("instead of sha256:"), "{error}");
    let error = repository
        .manifest(&Version::Digest(digest))
        .await
        .expect_err("another manifest");
    assert!(error.message.contains("instead of sha256:"), "{error}");
}

#[tokio::test]
async fn a_manifest_without_end_is_not_read_to_it() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(vec![b' '; (4 << 20) + 1]))
        .mount(&server)
        .await;
    let error = registry(&server)
        .manifest(&tag("1"))
        .await
        .expect_err("too large");
    assert!(
        error.message.contains("larger than 4194304 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn a_registry_that_hides_digests_is_asked_for_the_manifest() {
    let server = MockServer::start().await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/v2/acme/flows/manifests/1"))
        .and(headers(
            "accept",
            vec![
                "application/vnd.oci.image.index.v1+json",
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.docker.distribution.manifest.list.v2+json",
                "application/vnd.docker.distribution.manifest.v2+json",
            ],
        ))
        .respond_with(ResponseTemplate::new(200).set_body_bytes("{}"))
        .mount(&server)
        .await;
    let head = registry(&server).head(&tag("1")).await.expect("an answer");
    assert_eq!(head, Some(Digest::of(b"{}")));
}

/// A registry that sends half of a blob and hangs up, twice; whether it can go on from there is up to `ranges`. Gives its
/// port, and the ranges that were asked for in the end.
async fn breaks_off(
    blob: &'static [u8],
    ranges: bool,
) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        while asked.len() < 3 {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.expect("a request");
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let range = request
                .lines()
                .find_map(|line| line.strip_prefix("range: bytes="));
            asked.push(range.unwrap_or("all").to_owned());
            let from = range
                .filter(|_| ranges)
                .and_then(|range| range.trim_end_matches('-').parse().ok());
            let (status, rest) = match from {
                Some(from) => ("206 Partial Content", &blob[from..]),
                None => ("200 OK", blob),
            };
            let sent = if asked.len() < 3 {
                rest.len().div_ceil(2)
            } else {
                rest.len()
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
                rest.len()
            );
            stream.write_all(head.as_bytes()).await.expect("a client");
            stream.write_all(&rest[..sent]).await.expect("a client");
            stream.shutdown().await.expect("a client");
        }
        asked
    });
    (port, serving)
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on() {
    const BLOB: &[u8] = b"0123456789abcdef";
    for (ranges, expected) in [(true, ["all", "8-", "12-"]), (false, ["all", "8-", "8-"])] {
        let (port, serving) = breaks_off(BLOB, ranges).await;
        let repository = at(&anonymous(), port, "acme/flows");
        let found = read(&repository, &Digest::of(BLOB))
            .await
            .expect("the blob");
        assert_eq!(found, BLOB, "{ranges}");
        assert_eq!(serving.await.expect("it ends"), expected);
    }
}
