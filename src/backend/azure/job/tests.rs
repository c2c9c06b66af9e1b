//! The exchange between a double of GitHub's endpoint and one of Entra ID.

use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, HttpClient, StatusCode, Transport};
use serde_json::json;
use url::form_urlencoded;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::backend::azure::entra::{Identity, entra, options};
use crate::backend::azure::retry::Retry;
use crate::backend::transfer;

const SCOPE: &str = "https://storage.azure.com/.default";

/// What Entra ID is asked, and what it answers: how long its tokens are good, or with what it refuses.
#[derive(Debug)]
struct Entra {
    answer: Result<u32, (u32, &'static str)>,
    forms: Mutex<Vec<Vec<(String, String)>>>,
}

#[async_trait]
impl HttpClient for Entra {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        assert_eq!(
            request.url().as_str(),
            "https://login.microsoftonline.com/acme-tenant/oauth2/v2.0/token"
        );
        let body: azure_core::Bytes = request.body().into();
        let form: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
        let mut forms = self.forms.lock().expect("no panic before");
        forms.push(form);
        let (status, body) = match &self.answer {
            Ok(seconds) => (
                StatusCode::Ok,
                json!({
                    "token_type": "Bearer",
                    "expires_in": seconds,
                    "access_token": format!("entra-{}", forms.len()),
                }),
            ),
            Err((code, said)) => (
                StatusCode::Unauthorized,
                json!({"error": "invalid_client", "error_codes": [code], "error_description": said}),
            ),
        };
        Ok(AsyncRawResponse::from_bytes(
            status,
            Headers::new(),
            body.to_string().into_bytes(),
        ))
    }
}

/// A token as GitHub makes them, by its number.
fn jwt(subject: &str, number: usize) -> String {
    let payload = json!({
        "sub": subject,
        "iss": "https://token.actions.githubusercontent.com",
        "aud": AUDIENCE,
        "jti": number,
        "actor": "octo-hush",
    });
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    format!("eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl-hush{number}")
}

/// GitHub's endpoint, which fails once at first and then gives a token of its own to each request.
async fn github(subject: &'static str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/oidc"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let given = std::sync::atomic::AtomicUsize::new(0);
    Mock::given(method("GET"))
        .and(path("/oidc"))
        .and(query_param("api-version", "2.0"))
        .and(query_param("audience", "api://AzureADTokenExchange"))
        .and(header("authorization", "Bearer request-hush"))
        .respond_with(move |_: &wiremock::Request| {
            let number = given.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            ResponseTemplate::new(200).set_body_json(json!({"value": jwt(subject, number)}))
        })
        .mount(&server)
        .await;
    server
}

struct Setting {
    credential: Arc<dyn TokenCredential>,
    entra: Arc<Entra>,
    hidden: Arc<Mutex<Vec<String>>>,
}

fn tokens(server: &MockServer, hide: Hide) -> JobTokens {
    JobTokens {
        url: format!("{}/oidc?api-version=2.0", server.uri()),
        token: "request-hush".to_owned().into(),
        hide,
    }
}

fn setting(server: &MockServer, answer: Result<u32, (u32, &'static str)>) -> Setting {
    let entra = Arc::new(Entra {
        answer,
        forms: Mutex::default(),
    });
    let hidden = Arc::new(Mutex::new(Vec::new()));
    let (seen, before) = (Arc::clone(&hidden), Arc::clone(&entra));
    let hide: Hide = Arc::new(move |token| {
        let mut seen = seen.lock().expect("no panic before");
        // It is hidden before Entra is shown it.
        assert_eq!(seen.len(), before.forms.lock().expect("no panic").len());
        seen.push(token.to_owned());
    });
    let http = transfer::client().expect("a client");
    let to_entra = ClientOptions {
        transport: Some(Transport::new(entra.clone())),
        ..Default::default()
    };
    let credential = credential(
        "acme-tenant".to_owned(),
        "acme-client".to_owned(),
        tokens(server, hide),
        options(http, Retry::default()),
        to_entra,
    );
    Setting {
        credential: credential.expect("valid"),
        entra,
        hidden,
    }
}

const SUBJECT: &str = "repo:acme/flows:environment:prod";

#[tokio::test]
async fn a_new_token_is_exchanged_whenever_the_last_ran_out() {
    let server = github(SUBJECT).await;
    for (seconds, exchanges) in [(3600, 1), (60, 2)] {
        let Setting {
            credential,
            entra,
            hidden,
        } = setting(&server, Ok(seconds));
        let mut last = String::new();
        for _ in 0..2 {
            let token = credential.get_token(&[SCOPE], None).await;
            last = token.expect("a token").token.secret().to_owned();
        }
        assert_eq!(last, format!("entra-{exchanges}"));
        let forms = entra.forms.lock().expect("no panic").clone();
        let hidden = hidden.lock().expect("no panic").clone();
        assert_eq!((forms.len(), hidden.len()), (exchanges, exchanges));
        for (form, token) in forms.iter().zip(&hidden) {
            let has = |name: &str, value: &str| {
                assert!(
                    form.contains(&(name.to_owned(), value.to_owned())),
                    "{name}={value}: {form:?}"
                );
            };
            has("client_assertion", token);
            has("client_id", "acme-client");
            has("scope", SCOPE);
        }
        // Each service has a token of its own, for which the job's is a new one again.
        let registry = ["https://containerregistry.azure.net/.default"];
        let token = credential.get_token(&registry, None).await;
        let token = token.expect("a token").token.secret().to_owned();
        assert_eq!(token, format!("entra-{}", exchanges + 1));
        let distinct: std::collections::BTreeSet<_> = hidden.iter().collect();
        assert_eq!(distinct.len(), exchanges, "each is a new one");
        assert!(!format!("{credential:?}").contains("hush"));
    }
}

/// What a refusal of Entra's becomes.
async fn refused(subject: &'static str, code: u32, said: &'static str) -> (Kind, String, String) {
    let server = github(subject).await;
    let setting = setting(&server, Err((code, said)));
    let error = setting.credential.get_token(&[SCOPE], None).await;
    let error = error.expect_err("refused");
    assert!(matches!(error.kind(), ErrorKind::Credential));
    let told = ours(&error).expect("one of ours");
    assert!(!format!("{told:?} {error} {error:?}").contains("hush"));
    let hint = told.hint.clone().unwrap_or_default();
    (told.kind, told.message.clone(), hint)
}

#[tokio::test]
async fn without_a_federated_credential_the_one_to_create_is_told() {
    let said =
        "AADSTS700213: No matching federated identity record found for presented assertion subject";
    let (kind, message, hint) = refused(SUBJECT, 700213, said).await;
    assert_eq!(kind, Kind::Denied);
    assert_eq!(
        message,
        "no federated credential of acme-client fits the job's token (AADSTS700213): its subject is \
         `repo:acme/flows:environment:prod`, its issuer `https://token.actions.githubusercontent.com`, its audience \
         `api://AzureADTokenExchange`"
    );
    assert_eq!(
        hint,
        "subjects of repositories made, renamed or moved after 15 July 2026 hold ids \
         (`repo:OWNER@ID/REPO@ID:environment:prod`); for this job to be trusted: az ad app federated-credential create \
         --id acme-client --parameters '{\"audiences\":[\"api://AzureADTokenExchange\"],\
         \"issuer\":\"https://token.actions.githubusercontent.com\",\"name\":\"flowyard-acme-flows-environment-prod\",\
         \"subject\":\"repo:acme/flows:environment:prod\"}'"
    );
    // A branch may be called like this; what is copied stays one word.
    let hostile = "repo:acme@1/flows@2:ref:refs/heads/x';id;'\n";
    let (_, message, hint) = refused(hostile, 70021, "AADSTS70021: no").await;
    assert!(
        message.contains(r"heads/x\';id;\'\n`, its issuer"),
        "{message}"
    );
    assert!(
        hint.contains(r#""name":"flowyard-acme-1-flows-2-ref-refs-heads-x-id""#),
        "{hint}"
    );
    assert!(hint.ends_with(r#"heads/x'"'"';id;'"'"'\n"}'"#), "{hint}");
}

#[tokio::test]
async fn other_refusals_say_what_is_wrong() {
    let said = "AADSTS700016: Application with identifier 'acme-client' was not found";
    let (_, message, hint) = refused(SUBJECT, 700016, said).await;
    assert_eq!(
        message,
        "the tenant acme-tenant has no application acme-client (AADSTS700016)"
    );
    assert!(hint.contains("AZURE_CLIENT_ID"), "{hint}");
    let (_, message, _) = refused(SUBJECT, 90002, "AADSTS90002: Tenant not found").await;
    assert_eq!(message, "Entra ID has no tenant acme-tenant (AADSTS90002)");
    let said = "AADSTS7000112: Application is disabled. Trace ID: 1-2 Correlation ID: 3";
    let (kind, message, hint) = refused(SUBJECT, 7000112, said).await;
    assert_eq!(kind, Kind::Denied);
    assert_eq!(
        message,
        "Entra ID does not take the job's token: AADSTS7000112: Application is disabled."
    );
    assert!(
        hint.contains("federated-credential list --id acme-client"),
        "{hint}"
    );
}

#[tokio::test]
async fn github_may_give_no_token() {
    for (answer, kind, expected) in [
        (
            ResponseTemplate::new(403).set_body_string("hush"),
            Kind::Denied,
            "GitHub gives this job no token of its own (status 403)",
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({"value": "hush\n::error::x"})),
            Kind::Other,
            "GitHub answered a request for a token of this job with something else",
        ),
        (
            ResponseTemplate::new(200).set_body_string("<hush>"),
            Kind::Other,
            "GitHub answered a request for a token of this job with something else",
        ),
    ] {
        let server = MockServer::start().await;
        Mock::given(path("/oidc"))
            .respond_with(answer)
            .expect(1)
            .mount(&server)
            .await;
        let setting = setting(&server, Ok(3600));
        let error = setting.credential.get_token(&[SCOPE], None).await;
        let error = error.expect_err("no token");
        let told = ours(&error).expect("one of ours");
        assert_eq!((told.kind, told.message.as_str()), (kind, expected));
        assert!(!format!("{error:?} {error}").contains("hush"));
        assert!(setting.entra.forms.lock().expect("no panic").is_empty());
    }
}

/// Which credential is chosen, as it shows itself.
fn chosen(identity: Identity) -> String {
    let http = transfer::client().expect("a client");
    let credential = entra(identity, &http).expect("valid");
    let text = format!("{credential:?}");
    let hint = text.find("hint: ").map_or("", |at| &text[at..]);
    let name = text.split([' ', '{', '(']).next().unwrap_or_default();
    format!("{} {hint}", name.rsplit("::").next().unwrap_or_default())
}

#[tokio::test]
async fn the_jobs_token_comes_after_what_is_given_and_before_what_is_found() {
    let server = MockServer::start().await;
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), "hush").expect("it can be written");
    let all = Identity {
        tenant: Some("acme-tenant".to_owned()),
        client: Some("acme-client".to_owned()),
        secret: Some("hush".to_owned().into()),
        token_file: Some(file.path().to_owned()),
        job: Job::Permitted(tokens(&server, Arc::new(|_| ()))),
    };
    let without_secret = Identity {
        secret: None,
        ..all.clone()
    };
    let without_file = Identity {
        token_file: None,
        ..without_secret.clone()
    };
    let without_tenant = Identity {
        tenant: None,
        ..without_file.clone()
    };
    let unpermitted = Identity {
        job: Job::Unpermitted,
        ..without_file.clone()
    };
    let nowhere = Identity {
        job: Job::None,
        ..without_file.clone()
    };
    let names = [
        chosen(all),
        chosen(without_secret),
        chosen(without_file),
        chosen(nowhere),
    ];
    assert!(names[0].starts_with("ClientSecretCredential "), "{names:?}");
    assert!(
        names[1].starts_with("WorkloadIdentityCredential "),
        "{names:?}"
    );
    assert!(names[2].starts_with("Exchange "), "{names:?}");
    assert!(names[3].starts_with("Chain hint: None,"), "{names:?}");
    let hint = chosen(without_tenant);
    assert!(
        hint.contains("set AZURE_TENANT_ID and AZURE_CLIENT_ID"),
        "{hint}"
    );
    let hint = chosen(unpermitted);
    assert!(hint.contains("the permission `id-token: write`"), "{hint}");
}
