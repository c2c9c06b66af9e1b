//! The job's own token, exchanged for access to Azure.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::double::GitHub;
use super::job::{Step, push};
use super::secrets::{expect_no_form, forms};
use crate::services::process::script;
use crate::support::Repo;

const REQUEST_TOKEN: &str = "request-token-of-the-job";

fn repo() -> Repo {
    let repo = Repo::new();
    repo.write(
        "p/flow.py",
        "from prefect import flow\n\n\n@flow\ndef hello():\n    pass\n",
    );
    repo.write("p/hello.deployment.yaml", "entrypoint: flow.py:hello\n");
    repo.commit("Add a flow");
    repo
}

/// A server of Prefect that has nothing, GitHub's endpoint for tokens, and a proxy that leads nowhere.
async fn services(jwt: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/api/admin/version"))
        .respond_with(ResponseTemplate::new(200).set_body_json("3.4.0"))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([])))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/oidc"))
        .and(query_param("audience", "api://AzureADTokenExchange"))
        .and(header("authorization", format!("Bearer {REQUEST_TOKEN}")))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"value": jwt})))
        .mount(&server)
        .await;
    Mock::given(method("CONNECT"))
        .respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    server
}

fn step(repo: &Repo, github: &GitHub, server: &MockServer) -> Step {
    Step::new(repo, github, "push", &push())
        .env("PREFECT_API_URL", &format!("{}/api", server.uri()))
        .env("FLOWYARD_STORAGE_URL", "azure://acmeflows/flows")
        .env("AZURE_TENANT_ID", "acme-tenant")
        .env("AZURE_CLIENT_ID", "acme-client")
        .env("HTTPS_PROXY", &server.uri())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_masked_before_it_is_used_and_never_shown() {
    let payload = json!({"sub": "repo:acme/flows:environment:prod", "iss": "x", "aud": "y"});
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    let jwt = format!("eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJlLW9mLWl0");
    let (repo, github, server) = (repo(), GitHub::start().await, services(&jwt).await);
    let mut step = step(&repo, &github, &server)
        .env(
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            &format!("{}/oidc?api-version=2.0", server.uri()),
        )
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN);
    for level in ["debug", "trace"] {
        step = step.env("FLOWYARD_LOG", level);
        let ended = step.run(&repo, "plan").expect_code(4);
        let masks = ended.masks();
        for secret in [jwt.as_str(), REQUEST_TOKEN] {
            assert!(masks.iter().any(|mask| mask == secret), "{masks:?}");
        }
        let forms = forms(&[&jwt, REQUEST_TOKEN, "c2lnbmF0dXJlLW9mLWl0"]);
        expect_no_form(&ended.runner.shown.join("\n"), &forms, level);
        expect_no_form(&ended.commands(), &forms, level);
        expect_no_form(&ended.summary, &forms, level);
        let told = &ended.run.stderr;
        assert!(
            told.contains("exchange the job's token at Entra ID: "),
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_missing_permission_is_named() {
    let (repo, github, server) = (repo(), GitHub::start().await, services("").await);
    // Nobody is logged in, and the machine is nobody.
    let programs = tempfile::tempdir().expect("a temporary folder can be made");
    let az = programs.path().join("az");
    script(
        &az,
        "echo 'Please run az login to set up an account' >&2\nexit 1",
    );
    let ended = step(&repo, &github, &server)
        .env("PATH", &path_with(programs.path()))
        .env("IDENTITY_ENDPOINT", "http://127.0.0.1:9/token")
        .env("IDENTITY_HEADER", "x")
        .run(&repo, "plan")
        .expect_code(4);
    let told = &ended.run.stderr;
    assert!(
        told.contains("no identity works (managed identity: "),
        "{told}"
    );
    assert!(
        told.contains(
            "hint: give the job the permission `id-token: write`: with it, AZURE_TENANT_ID and AZURE_CLIENT_ID its own \
             token is exchanged"
        ),
        "{told}"
    );
}

fn path_with(folder: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", folder.display())
}
