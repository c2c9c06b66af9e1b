//! Requests to GitHub: octocrab above, our own client below, and between them authentication and repetition.
//!
//! What is repeated here is what GitHub did not carry out, because it asked us to wait, and reads. A write that may have
//! landed is repeated by the caller, after a look. How to wait is told in
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use ::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Options, Redact};
use crate::backend::{Error, Kind, Result, transfer};

/// How often a request is sent at the most.
const TRIES: u32 = 5;
/// The longest wait that GitHub may ask for; a limit by the hour is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(90);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The wait before the first repetition where GitHub names none; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(400);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connection to one API.
pub(super) struct Http {
    octocrab: Octocrab,
    subject: String,
    redact: Redact,
}

/// What every request takes.
struct Transport {
    client: reqwest::Client,
    /// Without a slash at its end.
    base: String,
    headers: HeaderMap,
}

impl Http {
    pub(super) fn new(options: Options, subject: String) -> Result<Self> {
        let mut token =
            HeaderValue::try_from(format!("Bearer {}", options.token.expose_secret().trim()))
                .map_err(|_| {
                    let message = "the token holds characters that no header can";
                    Error::new(Kind::Denied, &subject, message).hint("check GITHUB_TOKEN")
                })?;
        token.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, token);
        // GitHub answers nobody without a name.
        let name = concat!("flowyard/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(name));
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/vnd.github+json"),
        );
        headers.insert(
            "x-github-api-version",
            HeaderValue::from_static("2022-11-28"),
        );
        let transport = Arc::new(Transport {
            client: options.client,
            base: options.api_url.as_str().trim_end_matches('/').to_owned(),
            headers,
        });
        let service = tower::service_fn(move |request: Request<OctoBody>| {
            let transport = Arc::clone(&transport);
            async move { transport.exchange(request).await }
        });
        let built = OctocrabBuilder::new_empty()
            .with_service(service)
            .with_auth(AuthState::None)
            .build();
        let octocrab = match built {
            Ok(octocrab) => octocrab,
            Err(never) => match never {},
        };
        Ok(Self {
            octocrab,
            subject,
            redact: options.redact,
        })
    }

    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Reads what is at a path, `/repos/…`; `what` is for messages: "comment on pull request 7".
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, what: &str) -> Result<T> {
        let answer = self.octocrab.get(path, None::<&()>).await;
        answer.map_err(|error| self.explain(&error, what))
    }

    /// Creates something.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        what: &str,
    ) -> Result<T> {
        let answer = self.octocrab.post(path, Some(body)).await;
        answer.map_err(|error| self.explain(&error, what))
    }

    /// Changes something. octocrab's own methods for comments send POST, which GitHub does not know there.
    pub(super) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        what: &str,
    ) -> Result<T> {
        let answer = self.octocrab.patch(path, Some(body)).await;
        answer.map_err(|error| self.explain(&error, what))
    }

    /// The text without what nobody may read.
    pub(super) fn redacted(&self, text: &str) -> String {
        (self.redact)(text)
    }

    /// An error in the user's words.
    fn explain(&self, error: &octocrab::Error, what: &str) -> Error {
        let octocrab::Error::GitHub { source, .. } = error else {
            let cause = transfer::root(error);
            // What was read was no answer of GitHub's; everything else happened on the way.
            let kind = match error {
                octocrab::Error::Serde { .. } | octocrab::Error::Json { .. } => Kind::Other,
                _ => Kind::Unavailable,
            };
            return Error::new(
                kind,
                &self.subject,
                self.redacted(&format!("{what}: {cause}")),
            );
        };
        let code = source.status_code;
        let mut told = source.message.clone();
        for one in source.errors.iter().flatten() {
            told += &format!("; {one}");
        }
        let message = format!("{what}: {}: {told}", code.as_u16());
        let error = |kind| Error::new(kind, &self.subject, self.redacted(&message));
        match code {
            StatusCode::UNAUTHORIZED => error(Kind::Denied).hint("check GITHUB_TOKEN: it is not valid, or not any more"),
            StatusCode::FORBIDDEN => error(Kind::Denied).hint(
                "the workflow's `permissions:` decide what GITHUB_TOKEN may do; in the pull request of a fork it may only read",
            ),
            // What a token may not even see looks like this.
            StatusCode::NOT_FOUND => error(Kind::NotFound).hint(
                "either there is no such thing, or GITHUB_TOKEN may not see it: see the workflow's `permissions:`",
            ),
            StatusCode::TOO_MANY_REQUESTS => error(Kind::Unavailable),
            code if code.is_server_error() => error(Kind::Unavailable),
            _ => error(Kind::Other),
        }
    }
}

impl Transport {
    /// Sends a request, again where that is worth it.
    async fn exchange(
        &self,
        request: Request<OctoBody>,
    ) -> std::result::Result<Response<Full<Bytes>>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let mut pause = FIRST_WAIT;
        for tries in 1.. {
            let answer = self.once(&parts, body.clone()).await;
            let wait = match &answer {
                Ok(response) => wait_of(
                    response,
                    &parts.method,
                    pause,
                    chrono::Utc::now().timestamp(),
                ),
                Err(error) => (parts.method == Method::GET || error.is_connect()).then_some(pause),
            };
            match wait {
                Some(wait) if tries < TRIES && wait <= LONGEST_WAIT => {
                    tracing::debug!(path = parts.uri.path(), ?wait, "trying again");
                    tokio::time::sleep(wait).await;
                    pause *= 2;
                }
                _ => return Ok(answer.map_err(reqwest::Error::without_url)?),
            }
        }
        Err("no answer".into())
    }

    async fn once(
        &self,
        parts: &::http::request::Parts,
        body: Bytes,
    ) -> std::result::Result<Response<Full<Bytes>>, reqwest::Error> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers.clone();
        headers.remove(::http::header::CONTENT_LENGTH);
        headers.extend(self.headers.clone());
        let sent = self
            .client
            .request(parts.method.clone(), format!("{}{path}", self.base))
            .headers(headers)
            .timeout(PATIENCE)
            .body(body)
            .send()
            .await?;
        let (status, headers) = (sent.status(), sent.headers().clone());
        let mut response = Response::new(Full::new(sent.bytes().await?));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// How long to wait before the same request is sent once more; `None` where that would change nothing, or where it may have
/// been carried out. `pause` is the wait where GitHub names none, `now` in seconds since 1970.
fn wait_of(
    response: &Response<Full<Bytes>>,
    method: &Method,
    pause: Duration,
    now: i64,
) -> Option<Duration> {
    let code = response.status();
    if code.is_server_error() {
        return (*method == Method::GET).then_some(pause);
    }
    if code != StatusCode::TOO_MANY_REQUESTS && code != StatusCode::FORBIDDEN {
        return None;
    }
    let header = |name: &str| {
        response
            .headers()
            .get(name)?
            .to_str()
            .ok()?
            .trim()
            .parse::<i64>()
            .ok()
    };
    let seconds = |number: i64| Duration::from_secs(u64::try_from(number).unwrap_or_default());
    if let Some(wait) = header("retry-after") {
        return Some(seconds(wait));
    }
    if header("x-ratelimit-remaining") == Some(0) {
        return header("x-ratelimit-reset").map(|reset| seconds(reset - now + 1));
    }
    // A 403 that says neither is a refusal.
    (code == StatusCode::TOO_MANY_REQUESTS).then_some(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(code: u16, headers: &[(&'static str, &'static str)], method: &Method) -> Option<u64> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::from_u16(code).expect("a code");
        for (name, value) in headers {
            response
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        wait_of(&response, method, Duration::from_secs(3), 1_000).map(|wait| wait.as_secs())
    }

    #[test]
    fn what_github_did_not_do_is_repeated() {
        let (get, post) = (&Method::GET, &Method::POST);
        assert_eq!(wait(502, &[], get), Some(3));
        assert_eq!(wait(502, &[], post), None, "it may have landed");
        assert_eq!(wait(403, &[], get), None);
        assert_eq!(wait(403, &[("retry-after", "7")], post), Some(7));
        assert_eq!(wait(429, &[], post), Some(60));
        let limit = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1010"),
        ];
        assert_eq!(wait(403, &limit, post), Some(11));
        assert_eq!(wait(403, &[("x-ratelimit-remaining", "12")], post), None);
        assert_eq!(wait(200, &[], get), None);
        assert_eq!(wait(404, &[("retry-after", "7")], get), None);
    }
}
