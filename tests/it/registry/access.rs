//! Who is told who asks, and who is not: doubles that stand for hosts which must never see a credential.

use flowyard::backend::oci::{Credentials, Repository as _};
use flowyard::backend::{Kind, Logins as _};
use flowyard::model::Digest;
use serde_json::json;
use wiremock::matchers::{basic_auth, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{anonymous, at, login, with};
use crate::contract::repository::{put, read, tag};
use crate::services::process::script;
use crate::services::registry::{PASSWORD, Registry, USER};

const LAYER: &[u8] = b"a layer";

/// A registry that wants a password, in front of the rest of what `server` answers.
async fn wants_a_password(server: &MockServer) {
    Mock::given(any_without_authorization)
        .respond_with(
            ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=\"r\""),
        )
        .with_priority(1)
        .mount(server)
        .await;
}

fn any_without_authorization(request: &wiremock::Request) -> bool {
    !request.headers.contains_key("authorization")
}

/// Whether anybody showed who they are.
async fn was_told(server: &MockServer) -> bool {
    let requests = server.received_requests().await.expect("they are recorded");
    assert!(!requests.is_empty(), "it was asked");
    requests
        .iter()
        .any(|one| one.headers.contains_key("authorization"))
}

#[tokio::test]
async fn a_blob_elsewhere_is_read_without_credentials() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let name = server.address().to_string();
    wants_a_password(&server).await;
    let signed = format!("{}/store/1?signature=x%2Fy", elsewhere.uri());
    Mock::given(method("GET"))
        .and(basic_auth(USER, PASSWORD))
        .respond_with(ResponseTemplate::new(307).insert_header("location", signed))
        .mount(&server)
        .await;
    Mock::given(path("/store/1"))
        .and(query_param("signature", "x/y"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(LAYER))
        .mount(&elsewhere)
        .await;
    let registries = with(login(&name, USER, PASSWORD));
    let repository = at(&registries, server.address().port(), "acme/flows");
    let found = read(&repository, &Digest::of(LAYER))
        .await
        .expect("the blob");
    assert_eq!(found, LAYER);
    assert!(was_told(&server).await);
    assert!(!was_told(&elsewhere).await);
}

#[tokio::test]
async fn a_store_that_refuses_is_not_given_credentials_either() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let name = server.address().to_string();
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", elsewhere.uri()))
        .mount(&server)
        .await;
    // It asks for the password, as a fraud would.
    wants_a_password(&elsewhere).await;
    let registries = with(login(&name, USER, PASSWORD));
    let repository = at(&registries, server.address().port(), "acme/flows");
    let error = read(&repository, &Digest::of(LAYER))
        .await
        .expect_err("it refuses");
    assert_eq!(error.kind, Kind::Denied);
    assert!(!was_told(&elsewhere).await);
}

#[tokio::test]
async fn an_upload_elsewhere_goes_without_credentials() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let name = server.address().to_string();
    wants_a_password(&server).await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&server)
        .await;
    let session = format!("{}/session", elsewhere.uri());
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(202).insert_header("location", session))
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .respond_with(ResponseTemplate::new(201))
        .mount(&elsewhere)
        .await;
    let registries = with(login(&name, USER, PASSWORD));
    put(
        &at(&registries, server.address().port(), "acme/flows"),
        LAYER,
    )
    .await;
    assert!(!was_told(&elsewhere).await);
}

#[tokio::test]
async fn redirects_without_end_are_not_followed() {
    let server = MockServer::start().await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(301).insert_header("location", "/again"))
        .mount(&server)
        .await;
    let repository = at(&anonymous(), server.address().port(), "acme/flows");
    let error = repository
        .has(&Digest::of(LAYER))
        .await
        .expect_err("no end");
    assert!(error.message.ends_with("too many redirects"), "{error}");
}

#[tokio::test]
async fn who_has_no_password_is_told_where_one_is_wanted() {
    let registry = Registry::start_with_password();
    let repository = at(&anonymous(), registry.port(), "acme/flows");
    let error = repository
        .head(&tag("1"))
        .await
        .expect_err("nobody is let in");
    assert_eq!(error.kind, Kind::Denied);
    assert_eq!(
        error.message,
        "looking for acme/flows:1: it asks for a user name and a password, and none are known"
    );
    let registries = with(login(&registry.name(), USER, "wrong-hush"));
    let repository = at(&registries, registry.port(), "acme/flows");
    let error = repository
        .manifest(&tag("1"))
        .await
        .expect_err("the password is wrong");
    assert_eq!(error.kind, Kind::Denied);
    assert_eq!(
        error.message,
        "reading the manifest of acme/flows:1: authentication required (401 Unauthorized)"
    );
    let hint = format!("run `docker login {}`", registry.name());
    assert_eq!(error.hint.as_deref(), Some(hint.as_str()));
    assert!(!format!("{error:?}").contains("hush"));
}

#[tokio::test]
async fn a_credential_helper_is_asked_once() {
    let registry = Registry::start_with_password();
    let folder = tempfile::tempdir().expect("a folder");
    let asked = folder.path().join("asked");
    script(
        &folder.path().join("docker-credential-test"),
        &format!(
            "cat >>{0}; echo >>{0}\necho '{{\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'",
            asked.display()
        ),
    );
    let config = folder.path().join("config.json");
    // As Docker leaves it: an empty entry, and the helper that knows more.
    let text = json!({"auths": {registry.name(): {}}, "credsStore": "test"});
    std::fs::write(&config, text.to_string()).expect("the folder is ours");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let registries = with(Credentials {
        files: vec![config],
        helpers: Some(path.into()),
        ..Credentials::default()
    });
    let repository = at(&registries, registry.port(), "acme/flows");
    let digest = put(&repository, LAYER).await;
    assert_eq!(read(&repository, &digest).await.expect("the blob"), LAYER);
    let asked = std::fs::read_to_string(asked).expect("the helper was asked");
    assert_eq!(asked, format!("{}\n", registry.name()));
}

#[tokio::test]
async fn the_token_of_a_job_is_for_whom_no_file_knows() {
    let registry = Registry::start_with_password();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.json");
    let job = login(&registry.name(), "job", "wrong-hush").logins;
    let credentials = || Credentials {
        files: vec![config.clone()],
        fallbacks: job.clone(),
        ..Credentials::default()
    };
    // Programs that build are given it, as they cannot know it.
    let registries = with(credentials());
    let found = registries.login(&registry.name()).await.expect("no fault");
    assert_eq!(found.map(|(user, _)| user).as_deref(), Some("job"));
    let repository = at(&registries, registry.port(), "acme/flows");
    let error = repository.head(&tag("1")).await.expect_err("it is wrong");
    assert_eq!(error.kind, Kind::Denied);

    let entry = json!({"username": USER, "password": PASSWORD});
    let text = json!({"auths": {registry.name(): entry}});
    std::fs::write(&config, text.to_string()).expect("the folder is ours");
    let registries = with(credentials());
    let repository = at(&registries, registry.port(), "acme/flows");
    let digest = put(&repository, LAYER).await;
    assert_eq!(read(&repository, &digest).await.expect("the blob"), LAYER);
    // They read the file themselves, and nothing of ours may stand before it.
    let found = registries.login(&registry.name()).await.expect("no fault");
    assert_eq!(found.map(|(user, _)| user), None);
}

/// As GHCR asks: for everybody a token, and the scope of the request in the challenge.
#[tokio::test]
async fn a_scope_of_the_challenge_is_asked_for_too() {
    let server = MockServer::start().await;
    let challenge = format!(
        "Bearer realm=\"{}/token\",service=\"ghcr.io\",scope=\"repository:acme/flows:pull,special\"",
        server.uri()
    );
    Mock::given(method("GET"))
        .and(path("/token"))
        .and(query_param("service", "ghcr.io"))
        .and(query_param("scope", "repository:acme/flows:pull,special"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"token": "t1"})))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(header("authorization", "Bearer t1"))
        .respond_with(ResponseTemplate::new(404))
        .expect(2)
        .mount(&server)
        .await;
    Mock::given(any_without_authorization)
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", challenge))
        .with_priority(10)
        .expect(1)
        .mount(&server)
        .await;
    let repository = at(&anonymous(), server.address().port(), "acme/flows");
    for name in ["1", "2"] {
        assert_eq!(repository.head(&tag(name)).await.expect("an answer"), None);
    }
}

#[tokio::test]
async fn a_token_server_without_a_token_is_told() {
    let server = MockServer::start().await;
    let challenge = format!("Bearer realm=\"{}/token\",service=\"s\"", server.uri());
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"token": ""})))
        .mount(&server)
        .await;
    Mock::given(method("HEAD"))
        .respond_with(ResponseTemplate::new(401).insert_header("www-authenticate", challenge))
        .mount(&server)
        .await;
    let repository = at(&anonymous(), server.address().port(), "acme/flows");
    let error = repository.head(&tag("1")).await.expect_err("no token");
    assert_eq!(
        error.message,
        "looking for acme/flows:1: the token server answered without a token"
    );
}
