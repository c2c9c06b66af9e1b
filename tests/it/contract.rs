//! The contract of `Store` on every storage that we have: Azurite, S3, Google Cloud Storage, a folder. That of
//! `Repository` is beside it: here on a layout, and where registries are tested on those.

pub(crate) mod repository;
mod suite;

use std::time::{Duration, Instant};

use bytes::Bytes;
use flowyard::backend::azure::{Auth, Container};
use flowyard::backend::object_store::{Bucket, Folder, Gcs, S3};
use flowyard::backend::oci::layout::Layout;
use flowyard::backend::oci::{Reference, Repositories as _};
use flowyard::backend::{Content, Kind, Put, Store, transfer};
use wiremock::matchers::any;
use wiremock::{Mock, ResponseTemplate};

use crate::services::azurite::{self, Azurite};
use crate::services::gcs::Gcs as GcsService;
use crate::services::moto::Moto;
use crate::services::process::free_port;
use suite::{denied, holds, missing, unreachable};

fn http() -> reqwest::Client {
    transfer::client().expect("a client")
}

fn container(connection: String, name: &str, prefix: &str) -> Container {
    Container::open(
        None,
        name,
        prefix,
        Auth::ConnectionString(connection.into()),
        &http(),
    )
    .expect("a container")
}

#[tokio::test]
async fn azure_by_key() {
    const CONTAINER: &str = "contract-by-key";
    let azurite = Azurite::shared();
    azurite.account().create_container(CONTAINER).await;
    let connection = azurite::connection_string(azurite.port());
    holds(&container(connection.clone(), CONTAINER, "deep/er prefix")).await;
    // What another prefix begins with is not its parent.
    let beside = container(connection.clone(), CONTAINER, "deep/er");
    assert_eq!(beside.list("").await.expect("a list"), []);
    missing(&container(connection.clone(), "absent", ""), "absent").await;
    let wrong = connection.replace("AccountKey=E", "AccountKey=F");
    denied(&container(wrong, CONTAINER, ""), "by8vdM02xNOcqFl").await;
    let nobody = azurite::connection_string(free_port());
    unreachable(&container(nobody, CONTAINER, ""), "by8vdM02xNOcqFl").await;
}

#[tokio::test]
async fn azure_by_signature() {
    const CONTAINER: &str = "contract-by-signature";
    let azurite = Azurite::shared();
    azurite.account().create_container(CONTAINER).await;
    let connection = azurite::sas_connection_string(azurite.port());
    holds(&container(connection.clone(), CONTAINER, "")).await;
    missing(&container(connection.clone(), "absent", "p"), "absent").await;
    let wrong = connection.replace("sig=", "sig=AAAA");
    denied(&container(wrong, CONTAINER, ""), "AAAA").await;
    let sas = Auth::Sas(format!("?{}", azurite::sas()).into());
    let account = azurite::account_url(free_port());
    let store = Container::open(Some(&account), CONTAINER, "", sas, &http()).expect("a container");
    unreachable(&store, "sig=").await;
}

fn s3(endpoint: String, bucket: &str, prefix: &str) -> Bucket {
    let access = S3 {
        access_key: Some("AKIDEXAMPLE".to_owned()),
        secret_key: Some("hush-hush".to_owned().into()),
        endpoint: Some(endpoint),
        allow_http: true,
        ..S3::default()
    };
    Bucket::s3(bucket, prefix, &access, &http()).expect("a bucket")
}

#[tokio::test]
async fn s3_by_key() {
    let moto = Moto::start();
    moto.create_bucket("work").await;
    holds(&s3(moto.endpoint(), "work", "deep/er prefix")).await;
    missing(&s3(moto.endpoint(), "absent", "p"), "absent").await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    unreachable(&s3(nobody, "work", ""), "hush-hush").await;
    let strict = Moto::start_strict();
    denied(&s3(strict.endpoint(), "work", ""), "hush-hush").await;
}

fn gcs(endpoint: String, bucket: &str, prefix: &str) -> Bucket {
    let access = Gcs {
        endpoint: Some(endpoint),
        ..Gcs::default()
    };
    Bucket::gcs(bucket, prefix, &access, &http()).expect("a bucket")
}

#[tokio::test]
async fn google_cloud_storage() {
    let service = GcsService::start("work");
    holds(&gcs(service.endpoint(), "work", "deep/er prefix")).await;
    missing(&gcs(service.endpoint(), "absent", "p"), "absent").await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    unreachable(&gcs(nobody, "work", ""), "Bearer").await;
}

#[tokio::test]
async fn folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("not/there yet");
    holds(&Folder::open(&root)).await;
    let staged = std::fs::read_dir(root.join(".flowyard/staging")).expect("the staging folder");
    let left: Vec<_> = staged
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["lock"], "no half-written file is left");
}

#[tokio::test]
async fn layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = Layout::new(folder.path().join("not/there yet"));
    let reference: Reference = "registry.test/acme/flows".parse().expect("a name");
    repository::holds(&*layout.repository(&reference)).await;
}

/// What the real services cannot be made to show: a server that is busy for two requests and asks for a second's pause.
async fn busy() -> wiremock::MockServer {
    let server = wiremock::MockServer::start().await;
    let pause = ResponseTemplate::new(503).insert_header("retry-after", "1");
    let busy = Mock::given(any()).respond_with(pause);
    busy.up_to_n_times(2).mount(&server).await;
    let written = ResponseTemplate::new(201).insert_header("etag", "\"1\"");
    Mock::given(any())
        .respond_with(written)
        .mount(&server)
        .await;
    server
}

async fn waits_as_asked(store: &dyn Store, server: &wiremock::MockServer) {
    let started = Instant::now();
    let content = Content::Bytes(Bytes::from_static(b"x"));
    let put = store.put_if_absent("a", content).await.expect("a write");
    assert_eq!(put, Put::Created);
    assert!(
        started.elapsed() >= Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    let requests = server.received_requests().await.expect("the requests");
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(
            request.body, b"x",
            "a repetition sends the whole body again"
        );
        assert_eq!(request.headers["if-none-match"], "*");
    }
}

#[tokio::test]
async fn busy_servers_are_given_the_time_they_ask_for() {
    let server = busy().await;
    let account = format!("{}/devstoreaccount1", server.uri());
    let sas = Auth::Sas("sig=x".to_owned().into());
    let azure = Container::open(Some(&account), "work", "", sas, &http()).expect("a container");
    waits_as_asked(&azure, &server).await;
    let server = busy().await;
    waits_as_asked(&s3(server.uri(), "work", ""), &server).await;
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_unavailable() {
    let server = wiremock::MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "3600"))
        .mount(&server)
        .await;
    let account = format!("{}/devstoreaccount1", server.uri());
    let sas = Auth::Sas("sig=hush".to_owned().into());
    let azure = Container::open(Some(&account), "work", "", sas, &http()).expect("a container");
    let error = azure.list("").await.expect_err("too many requests");
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
}
