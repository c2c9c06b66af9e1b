//! The real registry behind a token server: what is asked for, what is granted, and what the registry enforces.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flowyard::backend::Kind;
use flowyard::backend::oci::{Credentials, Repository as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::{anonymous, at, login, with};
use crate::contract::repository::{self, MANIFEST, image, put, read, tag};
use crate::services::process::{run, script};
use crate::services::registry::{PASSWORD, Registry, TokenServer, USER};

const SERVICE: &str = "registry.test";
const ISSUER: &str = "tokens.test";
/// An identity token, as `docker login` keeps one in place of a password.
const IDENTITY: &str = "identity-hush";

/// A token server: [`USER`] may do everything, others may read what begins with `public/`.
struct Tokens {
    server: MockServer,
    granting: Granting,
    // Holds the key until the end.
    _folder: TempDir,
}

#[derive(Clone)]
struct Granting {
    key: PathBuf,
    certificate: PathBuf,
    /// What was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    /// Statuses to answer with before anything is granted.
    failing: Arc<Mutex<Vec<u16>>>,
    /// Seconds from now at which tokens end, for the registry; clients are told a minute more.
    life: Arc<Mutex<i64>>,
}

impl Tokens {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (key, certificate) = (
            folder.path().join("key.pem"),
            folder.path().join("cert.pem"),
        );
        run(Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
            ])
            .args(["-subj", "/CN=tokens.test", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate));
        let granting = Granting {
            key,
            certificate,
            asked: Arc::default(),
            failing: Arc::default(),
            life: Arc::new(Mutex::new(300)),
        };
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(granting.clone())
            .mount(&server)
            .await;
        Self {
            server,
            granting,
            _folder: folder,
        }
    }

    fn registry(&self) -> Registry {
        Registry::start_with_tokens(&TokenServer {
            realm: &format!("{}/token", self.server.uri()),
            service: SERVICE,
            issuer: ISSUER,
            certificate: &self.granting.certificate,
        })
    }

    /// What was asked for since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.granting.asked.lock().expect("no test failed with it"))
    }
}

impl Respond for Granting {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let failing = self.failing.lock().expect("no test failed with it").pop();
        if let Some(status) = failing {
            return ResponseTemplate::new(status);
        }
        let mut pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        pairs.extend(url::form_urlencoded::parse(&request.body).into_owned());
        let get = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(get("service"), Some(SERVICE));
        let scopes: Vec<&str> = pairs
            .iter()
            .filter(|(name, _)| name == "scope")
            .flat_map(|(_, value)| value.split(' '))
            .collect();
        let shown = request.headers.get("authorization");
        let shown = shown.map(|value| value.to_str().expect("text").to_owned());
        let right = format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"))
        );
        let who = match (request.method.as_str(), &shown, get("refresh_token")) {
            ("GET", None, None) => "nobody",
            ("GET", Some(shown), None) if *shown == right => USER,
            ("POST", None, Some(IDENTITY)) if get("grant_type") == Some("refresh_token") => USER,
            _ => {
                let no = json!({"details": "incorrect username or password"});
                return ResponseTemplate::new(401).set_body_json(no);
            }
        };
        let line = format!("{} {who}: {}", request.method, scopes.join(" "));
        self.asked
            .lock()
            .expect("no test failed with it")
            .push(line);
        let token = self.sign(&self.claims(who, &scopes));
        let told = if request.method.as_str() == "GET" {
            json!({"token": token, "expires_in": 360})
        } else {
            json!({"access_token": token, "expires_in": 360})
        };
        ResponseTemplate::new(200).set_body_json(told)
    }
}

impl Granting {
    fn claims(&self, who: &str, scopes: &[&str]) -> Value {
        let access: Vec<Value> = scopes
            .iter()
            .filter_map(|scope| {
                let mut parts = scope.splitn(3, ':');
                let (kind, name) = (parts.next()?, parts.next()?);
                let mut actions: Vec<&str> = parts.next()?.split(',').collect();
                actions.retain(|action| {
                    who == USER || (*action == "pull" && name.starts_with("public/"))
                });
                Some(json!({"type": kind, "name": name, "actions": actions}))
            })
            .collect();
        let now = chrono::Utc::now().timestamp();
        let end = now + *self.life.lock().expect("no test failed with it");
        json!({
            "iss": ISSUER, "sub": who, "aud": SERVICE, "access": access,
            "iat": now - 600, "nbf": now - 600, "exp": end, "jti": "1",
        })
    }

    /// A JSON web token (RFC 7519) that the registry believes.
    fn sign(&self, claims: &Value) -> String {
        let pem = std::fs::read_to_string(&self.certificate).expect("openssl wrote it");
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&header), encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature(&self.key, &text));
        format!("{text}.{signature}")
    }
}

fn signature(key: &Path, text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl is installed by tests/run");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("openssl reads");
    drop(input);
    let output = child.wait_with_output().expect("openssl ends");
    assert!(output.status.success());
    output.stdout
}

/// Credentials in a file, with an identity token.
fn identity(folder: &Path, registry: &str) -> Credentials {
    let path = folder.join("config.json");
    let config = json!({"auths": {registry: {"identitytoken": IDENTITY}}});
    std::fs::write(&path, config.to_string()).expect("the folder is ours");
    Credentials {
        files: vec![path],
        ..Credentials::default()
    }
}

#[tokio::test]
async fn the_contract_holds_and_tokens_are_kept() {
    let tokens = Tokens::start().await;
    let registry = tokens.registry();
    let registries = with(login(&registry.name(), USER, PASSWORD));
    repository::holds(&at(&registries, registry.port(), "acme/flows")).await;
    let asked = tokens.asked();
    let different: BTreeSet<_> = asked.iter().map(String::as_str).collect();
    assert_eq!(
        different.into_iter().collect::<Vec<_>>(),
        [
            "GET flowyard: repository:acme/flows:pull",
            "GET flowyard: repository:acme/flows:pull,push",
            "GET flowyard: repository:acme/flows:pull,push repository:no/such/repository:pull",
        ]
    );
    assert_eq!(asked.len(), 3, "one token for each scope: {asked:?}");
}

#[tokio::test]
async fn a_mount_asks_to_read_its_source() {
    let tokens = Tokens::start().await;
    let registry = tokens.registry();
    let folder = tempfile::tempdir().expect("a folder");
    let registries = with(identity(folder.path(), &registry.name()));
    let base = at(&registries, registry.port(), "acme/base");
    let digest = put(&base, "a layer").await;
    tokens.asked();
    let flows = at(&registries, registry.port(), "acme/flows");
    assert!(flows.mount(&digest, "acme/base").await.expect("an answer"));
    assert_eq!(read(&flows, &digest).await.expect("the blob"), "a layer");
    assert_eq!(
        tokens.asked(),
        [
            "POST flowyard: repository:acme/base:pull repository:acme/flows:pull,push",
            "POST flowyard: repository:acme/flows:pull",
        ]
    );
}

#[tokio::test]
async fn a_helper_may_keep_an_identity_token() {
    let tokens = Tokens::start().await;
    let registry = tokens.registry();
    let folder = tempfile::tempdir().expect("a folder");
    script(
        &folder.path().join("docker-credential-keeper"),
        &format!("echo '{{\"Username\":\"<token>\",\"Secret\":\"{IDENTITY}\"}}'"),
    );
    let config = folder.path().join("config.json");
    let helpers = json!({"credsStore": "absent", "credHelpers": {registry.name(): "keeper"}});
    std::fs::write(&config, helpers.to_string()).expect("the folder is ours");
    let registries = with(Credentials {
        files: vec![config],
        helpers: Some(format!("{}:/usr/bin:/bin", folder.path().display()).into()),
        ..Credentials::default()
    });
    put(&at(&registries, registry.port(), "acme/flows"), "a layer").await;
    let asked = tokens.asked();
    assert_eq!(asked, ["POST flowyard: repository:acme/flows:pull,push"]);
}

#[tokio::test]
async fn nobody_may_read_what_is_public_and_is_told_how_to_do_more() {
    let tokens = Tokens::start().await;
    let registry = tokens.registry();
    let registries = with(login(&registry.name(), USER, PASSWORD));
    let ours = at(&registries, registry.port(), "public/base");
    let manifest = image(&ours, "base", MANIFEST).await;
    ours.put_manifest(&tag("1"), &manifest)
        .await
        .expect("a push");

    let theirs = at(&anonymous(), registry.port(), "public/base");
    let head = theirs.head(&tag("1")).await.expect("an answer");
    assert_eq!(head, Some(manifest.digest));
    let error = theirs
        .put_manifest(&tag("1"), &manifest)
        .await
        .expect_err("no right");
    assert_eq!(error.kind, Kind::Denied);
    assert_eq!(
        error.message,
        "writing the manifest of public/base:1: authentication required (401 Unauthorized)"
    );
    let hint = error.hint.expect("a hint");
    assert_eq!(hint, format!("run `docker login {}`", registry.name()));
    // A mount that may not be is none, and no error.
    let private = at(&registries, registry.port(), "private/base");
    let digest = put(&private, "a layer").await;
    assert!(
        !theirs
            .mount(&digest, "private/base")
            .await
            .expect("an answer")
    );
}

#[tokio::test]
async fn a_token_that_is_not_given_is_told_as_that() {
    let tokens = Tokens::start().await;
    let registry = tokens.registry();
    let registries = with(login(&registry.name(), USER, "wrong-hush"));
    let repository = at(&registries, registry.port(), "acme/flows");
    let error = repository
        .head(&tag("1"))
        .await
        .expect_err("the password is wrong");
    assert_eq!(error.kind, Kind::Denied);
    assert_eq!(
        error.message,
        "looking for acme/flows:1: no token from 127.0.0.1: incorrect username or password (401 Unauthorized)"
    );
    assert!(
        error
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("docker login"))
    );
    assert!(!format!("{error:?}").contains("hush"));
}

#[tokio::test]
async fn a_token_server_that_stumbles_is_asked_again() {
    let tokens = Tokens::start().await;
    let registry = tokens.registry();
    let registries = with(login(&registry.name(), USER, PASSWORD));
    *tokens.granting.failing.lock().expect("ours") = vec![503, 429];
    let repository = at(&registries, registry.port(), "acme/flows");
    assert_eq!(repository.head(&tag("1")).await.expect("an answer"), None);
    assert_eq!(tokens.asked(), ["GET flowyard: repository:acme/flows:pull"]);
}

/// The registry allows clocks to differ by a minute, and the server tells clients of a later end.
#[tokio::test]
async fn a_token_that_the_registry_takes_no_more_is_replaced() {
    let tokens = Tokens::start().await;
    let registry = tokens.registry();
    let registries = with(login(&registry.name(), USER, PASSWORD));
    let repository = at(&registries, registry.port(), "acme/flows");
    let lives = |seconds| *tokens.granting.life.lock().expect("ours") = seconds;
    lives(-45);
    assert_eq!(repository.head(&tag("1")).await.expect("an answer"), None);
    tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    lives(300);
    for _ in 0..2 {
        assert_eq!(repository.head(&tag("1")).await.expect("an answer"), None);
    }
    let asked = tokens.asked();
    assert_eq!(asked, ["GET flowyard: repository:acme/flows:pull"; 2]);

    // One that is of no use from the start is replaced once for each request, and then it is a refusal.
    lives(-120);
    let repository = at(&registries, registry.port(), "acme/other");
    for _ in 0..2 {
        let error = repository.head(&tag("1")).await.expect_err("it has ended");
        assert_eq!(error.kind, Kind::Denied, "{error}");
    }
    let asked = tokens.asked();
    assert_eq!(asked, ["GET flowyard: repository:acme/other:pull"; 3]);
}
