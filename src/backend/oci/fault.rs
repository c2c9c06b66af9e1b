//! What can come of a request to a registry, and how it is told.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::backend::{Error, Kind, tls};

/// The longest text of a registry that is passed on, in characters.
const LONGEST: usize = 400;
/// The most of a refusal's body that is read, in bytes.
const LARGEST_REFUSAL: usize = 64 << 10;

/// A request that came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// No connection came about: refused, no such host, TLS.
    Unreachable(String),
    /// Connected, but nothing moved for too long.
    TimedOut,
    /// The connection broke before the whole answer was there.
    Cut(String),
    /// The registry answered that it will not.
    Refused(Refusal),
    /// The server that gives tokens could not be asked, or will give none.
    Token {
        /// Its host.
        from: String,
        /// What came of it.
        fault: Box<Fault>,
    },
    /// Told already, in the user's words; another try would not help.
    Told(Error),
}

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) code: StatusCode,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// The answer's body, as far as it is text.
    pub(super) body: String,
}

impl Refusal {
    /// Reads an answer to its end; its status says enough where the rest does not come.
    pub(super) async fn read(mut response: Response) -> Self {
        let code = response.status();
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > LARGEST_REFUSAL {
                break;
            }
        }
        Self {
            code,
            retry_after,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// Whether the registry gives this code of the specification, such as `BLOB_UPLOAD_UNKNOWN`.
    pub(super) fn names(&self, code: &str) -> bool {
        let body: Option<Value> = serde_json::from_str(&self.body).ok();
        let errors = body
            .as_ref()
            .and_then(|body| body.get("errors")?.as_array());
        errors.is_some_and(|errors| errors.iter().any(|error| error["code"] == code))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        // The URL may hold a signature.
        let error = error.without_url();
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            // What the reading of a file had to say travels through the client.
            if let Some(told) = inner.downcast_ref::<Error>() {
                return Self::Told(Error {
                    kind: told.kind,
                    service: told.service.clone(),
                    message: told.message.clone(),
                    hint: told.hint.clone(),
                });
            }
            cause = inner.to_string();
            source = inner.source();
        }
        if error.is_connect() {
            Self::Unreachable(cause)
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Cut(cause)
        }
    }
}

impl Fault {
    /// Whether the same request may do better a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::Cut(_) => true,
            Self::Refused(refusal) => {
                matches!(refusal.code.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
            }
            Self::Token { fault, .. } => fault.is_transient(),
            Self::Told(_) => false,
        }
    }

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Token { fault, .. } => fault.retry_after(),
            _ => None,
        }
    }

    /// The fault in the user's words. `what` was being done: `reading the manifest of acme/flows:1`.
    pub(super) fn explain(self, registry: &str, what: &str) -> Error {
        let (kind, message, asked) = match self {
            // Whoever told it did not know what for.
            Self::Told(mut error) if error.service == registry => {
                error.message = format!("{what}: {}", error.message);
                return error;
            }
            Self::Told(error) => return error,
            Self::Token { from, fault } => {
                let (kind, message, code) = fault.parts();
                (kind, format!("no token from {from}: {message}"), code)
            }
            other => other.parts(),
        };
        let error = Error::new(kind, registry, format!("{what}: {message}"));
        match hint(registry, kind, asked, &error.message) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// Kind, message and status of a fault that is not told yet.
    fn parts(self) -> (Kind, String, Option<StatusCode>) {
        match self {
            Self::Unreachable(cause) => {
                (Kind::Unavailable, format!("cannot connect: {cause}"), None)
            }
            Self::TimedOut => (Kind::Unavailable, "no answer in time".to_owned(), None),
            Self::Cut(cause) => (
                Kind::Unavailable,
                format!("the connection broke: {cause}"),
                None,
            ),
            Self::Refused(refusal) => {
                let kind = match refusal.code.as_u16() {
                    401 | 403 => Kind::Denied,
                    404 => Kind::NotFound,
                    409 => Kind::Conflict,
                    408 | 429 | 500..=599 => Kind::Unavailable,
                    _ => Kind::Other,
                };
                let message = match reason(&refusal.body) {
                    Some(reason) => format!("{reason} ({})", refusal.code),
                    None => format!("answered {}", refusal.code),
                };
                (kind, message, Some(refusal.code))
            }
            Self::Token { fault, .. } => fault.parts(),
            Self::Told(error) => (error.kind, error.message, None),
        }
    }
}

/// What to do about a registry that lets nobody in.
pub(super) fn login_hint(registry: &str) -> String {
    if let Some(name) = azure_name(registry) {
        format!(
            "run `az acr login --name {name}`, or give the identity that flowyard runs as the role AcrPush (AcrPull to \
             read) on the registry"
        )
    } else if registry == "ghcr.io" {
        "run `docker login ghcr.io` with a token that may `write:packages`; in a workflow give the job \
         `permissions: packages: write`, and let the package's settings give the repository access"
            .to_owned()
    } else if registry.contains(".dkr.ecr.") {
        format!(
            "run `aws ecr get-login-password | docker login --username AWS --password-stdin {registry}`"
        )
    } else if registry == "gcr.io"
        || registry.ends_with(".gcr.io")
        || registry.ends_with(".pkg.dev")
    {
        format!("run `gcloud auth configure-docker {registry}`")
    } else if registry == super::DOCKER_HUB {
        "run `docker login`; a repository that does not exist looks the same".to_owned()
    } else {
        format!("run `docker login {registry}`")
    }
}

/// The name of a registry on Azure.
pub(super) fn azure_name(registry: &str) -> Option<&str> {
    [".azurecr.io", ".azurecr.cn", ".azurecr.us"]
        .into_iter()
        .find_map(|end| registry.strip_suffix(end))
}

fn hint(registry: &str, kind: Kind, code: Option<StatusCode>, message: &str) -> Option<String> {
    let code = code.map_or(0, |code| code.as_u16());
    match (kind, code) {
        (Kind::Denied, _) => Some(login_hint(registry)),
        (_, 429) if registry == super::DOCKER_HUB => {
            Some("Docker Hub counts pulls; `docker login` allows more of them".to_owned())
        }
        (_, 429) => Some("the registry limits requests; try again in a minute".to_owned()),
        (_, 413) => Some(
            "a proxy before the registry limits the size of requests (`client_max_body_size` of nginx)"
                .to_owned(),
        ),
        (Kind::NotFound, _) if registry.contains(".dkr.ecr.") => {
            Some("make the repository first: `aws ecr create-repository`".to_owned())
        }
        (Kind::Unavailable, 0) if message.contains("InvalidContentType") => Some(
            "it does not speak TLS; allow plain http to this host by name if that is meant".to_owned(),
        ),
        (Kind::Unavailable, 0) => tls::hint(message).map(str::to_owned),
        _ => None,
    }
}

/// The messages of a refusal, joined; `None` where there are none.
///
/// Registries send `{"errors": [{"code", "message"}]}`, token servers also `{"details"}` (Docker Hub) and
/// `{"error", "error_description"}` (RFC 6749), proxies plain text or a page.
fn reason(body: &str) -> Option<String> {
    let body = body.trim();
    let mut text = match serde_json::from_str::<Value>(body) {
        Ok(json) => {
            let text = |value: &Value, keys: &[&str]| {
                let mut texts = keys.iter().filter_map(|key| value.get(key)?.as_str());
                texts.find(|text| !text.is_empty()).map(str::to_owned)
            };
            let errors = json.get("errors").and_then(Value::as_array);
            let messages: Vec<String> = errors
                .into_iter()
                .flatten()
                .filter_map(|error| text(error, &["message", "code"]))
                .collect();
            if messages.is_empty() {
                text(&json, &["details", "error_description", "message", "error"])?
            } else {
                messages.join("; ")
            }
        }
        Err(_) if body.is_empty() || body.starts_with(['<', '{']) => return None,
        Err(_) => body.lines().next().unwrap_or_default().to_owned(),
    };
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    Some(text)
}

/// `Retry-After` in either of its forms, seconds or an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let wait = date.to_utc() - chrono::Utc::now();
    Some(wait.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, body: &str) -> Fault {
        Fault::Refused(Refusal {
            code: StatusCode::from_u16(code).expect("a status code"),
            retry_after: None,
            body: body.to_owned(),
        })
    }

    fn told(registry: &str, fault: Fault) -> String {
        let error = fault.explain(registry, "reading x");
        let hint = error.hint.clone().unwrap_or_default();
        format!("{:?} {error} | {hint}", error.kind)
    }

    #[test]
    fn the_registrys_own_words_are_passed_on() {
        for (body, words) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"no"},{"code":"X"}]}"#,
                "no; X (400",
            ),
            (
                r#"{"errors":[{"code":"DENIED","message":""}]}"#,
                "DENIED (400",
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                "incorrect username or password (400",
            ),
            (
                r#"{"error":"invalid_grant","error_description":"gone"}"#,
                "gone (400",
            ),
            (
                "Client sent an HTTP request to an HTTPS server.\n",
                "Client sent an HTTP request",
            ),
            ("<html>", "answered 400 Bad Request"),
            ("{", "answered 400 Bad Request"),
            ("", "answered 400 Bad Request"),
        ] {
            let text = told("r.example", refused(400, body));
            assert!(
                text.contains(&format!("r.example: reading x: {words}")),
                "{text}"
            );
        }
        let long = told("r.example", refused(400, &"ü".repeat(1000)));
        assert!(
            long.contains(&format!(": {}… (400", "ü".repeat(LONGEST))),
            "{long}"
        );
    }

    #[test]
    fn hints_fit_the_registry() {
        for (registry, hint) in [
            ("acme.azurecr.io", "az acr login --name acme"),
            ("ghcr.io", "packages: write"),
            ("docker.io", "`docker login`"),
            (
                "1.dkr.ecr.eu-west-1.amazonaws.com",
                "aws ecr get-login-password",
            ),
            (
                "europe-docker.pkg.dev",
                "gcloud auth configure-docker europe-docker.pkg.dev",
            ),
            ("r.example:5000", "docker login r.example:5000"),
        ] {
            let text = told(registry, refused(403, ""));
            assert!(text.starts_with("Denied") && text.contains(hint), "{text}");
        }
        let token = Fault::Token {
            from: "auth.docker.io".to_owned(),
            fault: Box::new(refused(
                401,
                r#"{"details":"incorrect username or password"}"#,
            )),
        };
        assert!(!token.is_transient());
        let text = told("docker.io", token);
        assert!(
            text.contains("no token from auth.docker.io: incorrect username or password (401")
                && text.contains("`docker login`"),
            "{text}"
        );
        assert!(told("docker.io", refused(429, "")).contains("counts pulls"));
        for (cause, hint) in [
            ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
            (
                "unexpected error: No CA certificates were loaded from the system",
                "`ca-certificates`",
            ),
            (
                "received corrupt message of type InvalidContentType",
                "plain http",
            ),
        ] {
            let text = told("r.example", Fault::Unreachable(cause.to_owned()));
            assert!(text.contains(hint), "{text}");
        }
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        assert!(refused(503, "").is_transient() && refused(500, "").is_transient());
        assert!(!refused(404, "").is_transient() && !refused(401, "").is_transient());
        let busy = Fault::Token {
            from: "x".to_owned(),
            fault: Box::new(Fault::TimedOut),
        };
        assert!(busy.is_transient());
        let unknown = Refusal {
            code: StatusCode::NOT_FOUND,
            retry_after: None,
            body: r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#.to_owned(),
        };
        assert!(unknown.names("BLOB_UPLOAD_UNKNOWN") && !unknown.names("NAME_UNKNOWN"));
    }
}
