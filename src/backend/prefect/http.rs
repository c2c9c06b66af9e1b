//! Requests to a Prefect server: authentication, CSRF tokens, repetition.
//!
//! Every request that flowyard sends may be repeated, also when an earlier copy of it may have landed:
//! `GET` and `POST …/filter` read; `POST /flows/` is an upsert by name; `POST /deployments/` one by flow and name;
//! `PATCH` sets fields to given values; `DELETE` of what is gone already is answered with 404, which counts as done.
//! `POST /automations/` makes another one each time: whoever sends it is told when it was repeated ([`Http::make`]), and
//! looks for what is there twice. `POST …/schedules`, which is like that too, is never sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tokio::sync::Mutex;

use super::fault::Fault;
use super::limit::{Limit, Load};
use super::wire::CsrfToken;
use crate::backend::{Error, Kind, Result};
use crate::model::Digest;

/// How often a request is sent at the most. With their pauses these take a minute or two, in which a server comes back that
/// is moved to another machine, and one on SQLite finds time for us beside all others.
const TRIES: usize = 10;
/// How often, as long as this server has never answered, as a wrong URL should be told soon; and after one request was given
/// up, as it would take hours to be as patient for each of thousands.
const FEW_TRIES: usize = 3;
/// No new try after this long, except where the server itself named the time.
const BUDGET: Duration = Duration::from_secs(90);
/// The longest wait that a server may ask for; Prefect Cloud counts requests by the minute.
const LONGEST_WAIT: Duration = Duration::from_secs(90);
/// How long an answer may take. A server on SQLite waits for a lock up to 60 s before it gives up.
const PATIENCE: Duration = Duration::from_secs(75);

/// How flowyard shows who it is.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// A key of Prefect Cloud (`PREFECT_API_KEY`).
    ApiKey(SecretString),
    /// `user:password` as the server was started with (`PREFECT_API_AUTH_STRING`).
    Basic(SecretString),
}

impl Auth {
    fn header(&self, subject: &str) -> Result<Option<HeaderValue>> {
        let text = match self {
            Self::None => return Ok(None),
            // A secret read from a file often ends in a newline.
            Self::ApiKey(key) => format!("Bearer {}", key.expose_secret().trim()),
            // The scheme is compared by letter: `basic` would be refused.
            Self::Basic(pair) => format!("Basic {}", BASE64_STANDARD.encode(pair.expose_secret())),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            let message = "the API key holds characters that no header can";
            Error::new(Kind::Denied, subject, message).hint("check PREFECT_API_KEY")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Below the API's URL, percent-encoded: `deployments/filter`.
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// What it is for, for error messages: `reading deployments`.
    pub(super) what: String,
}

impl Request {
    pub(super) fn new(method: Method, path: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            what: what.into(),
        }
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Whether it changes anything, and so has to pass the limit for writes.
    fn writes(&self) -> bool {
        let reads = self.method == Method::GET || self.path.ends_with("/filter");
        !reads
    }
}

/// The connection to one server.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    /// Without a slash at its end.
    base: String,
    /// `Prefect at <base>`.
    subject: String,
    authorization: Option<HeaderValue>,
    csrf: Mutex<Option<HeaderValue>>,
    csrf_client: HeaderValue,
    answered: AtomicBool,
    /// Whether the last request that ended was given up: the server is down rather than busy.
    given_up: AtomicBool,
    limit: Limit,
}

impl Http {
    pub(super) fn new(
        client: reqwest::Client,
        base: String,
        subject: String,
        auth: &Auth,
    ) -> Result<Self> {
        let authorization = auth.header(&subject)?;
        // The server wants an id that no other client has at the time; it need not be a UUID.
        let now = std::time::SystemTime::now();
        let unique = format!("{base} {} {now:?}", std::process::id());
        let csrf_client = HeaderValue::try_from(Digest::of(unique.as_bytes()).to_string())
            .expect("a digest is hexadecimal digits");
        Ok(Self {
            client,
            base,
            subject,
            authorization,
            csrf: Mutex::new(None),
            csrf_client,
            answered: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            limit: Limit::default(),
        })
    }

    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Sends a request and reads the answer as JSON.
    pub(super) async fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        let answer = match self.send(request).await {
            Ok(bytes) => parse(&bytes),
            Err(fault) => Err(fault),
        };
        answer.map_err(|fault| self.explain(&fault, request))
    }

    /// Likewise, for a request that makes something each time that it lands; whether it was sent more than once.
    pub(super) async fn make(&self, request: &Request) -> Result<bool> {
        let (answer, tries) = self.send_counted(request).await;
        let answer = answer.and_then(|bytes| parse::<IgnoredAny>(&bytes));
        answer.map_err(|fault| self.explain(&fault, request))?;
        Ok(tries > 1)
    }

    /// A request's fault in the user's words.
    pub(super) fn explain(&self, fault: &Fault, request: &Request) -> Error {
        fault.explain(&self.subject, &request.what, request.body.as_ref())
    }

    /// Sends a request, again and again where that is worth it, and gives the answer's body, which may be empty.
    pub(super) async fn send(&self, request: &Request) -> std::result::Result<Bytes, Fault> {
        self.send_counted(request).await.0
    }

    /// Likewise, with how often it was sent.
    async fn send_counted(&self, request: &Request) -> (std::result::Result<Bytes, Fault>, usize) {
        let started = Instant::now();
        let mut failed = 0;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(150))
            .with_factor(2.5)
            .with_max_delay(Duration::from_secs(10))
            .with_max_times(TRIES - 1)
            .with_jitter();
        let answer = (|| self.attempt(request))
            .retry(backoff)
            .sleep(tokio::time::sleep)
            .when(Fault::is_transient)
            .adjust(|fault, pause| {
                failed += 1;
                let pause = pause?;
                if let Fault::Status {
                    retry_after: Some(wait),
                    ..
                } = fault
                {
                    return (*wait <= LONGEST_WAIT).then(|| pause.max(*wait));
                }
                let patient =
                    self.answered.load(Ordering::Relaxed) && !self.given_up.load(Ordering::Relaxed);
                let again = started.elapsed() + pause < BUDGET && (patient || failed < FEW_TRIES);
                again.then_some(pause)
            })
            .notify(|fault, pause| {
                tracing::debug!(what = %request.what, ?pause, code = ?fault.code(), "trying again");
            })
            .await;
        let given_up = answer.as_ref().is_err_and(Fault::is_transient);
        self.given_up.store(given_up, Ordering::Relaxed);
        (answer, failed + 1)
    }

    /// Sends a request once; twice where the first showed that a CSRF token is wanted.
    async fn attempt(&self, request: &Request) -> std::result::Result<Bytes, Fault> {
        let token = self.csrf.lock().await.clone();
        match self.once(request, token.as_ref()).await {
            Err(fault) if fault.wants_csrf_token() => {
                let token = self.fresh_token(token.as_ref()).await?;
                self.once(request, Some(&token)).await
            }
            result => result,
        }
    }

    /// Gets a CSRF token, unless another request has replaced the `stale` one meanwhile.
    async fn fresh_token(
        &self,
        stale: Option<&HeaderValue>,
    ) -> std::result::Result<HeaderValue, Fault> {
        let mut held = self.csrf.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Some(*token) != stale) {
            return Ok(token.clone());
        }
        let client = self.csrf_client.to_str().unwrap_or_default();
        let path = format!("csrf-token?client={client}");
        let request = Request::new(Method::GET, path, "fetching a CSRF token");
        let bytes = self.once(&request, None).await?;
        let answer: CsrfToken = parse(&bytes)?;
        let mut token = HeaderValue::try_from(answer.token).map_err(|error| Fault::Unreadable {
            body: String::new(),
            cause: error.to_string(),
        })?;
        token.set_sensitive(true);
        *held = Some(token.clone());
        Ok(token)
    }

    async fn once(
        &self,
        request: &Request,
        token: Option<&HeaderValue>,
    ) -> std::result::Result<Bytes, Fault> {
        if !request.writes() {
            return self.exchange(request, token).await;
        }
        let permit = self.limit.enter().await;
        let result = self.exchange(request, token).await;
        permit.leave(match &result {
            Ok(_) => Load::Fine,
            Err(fault) => fault.load(),
        });
        result
    }

    async fn exchange(
        &self,
        request: &Request,
        token: Option<&HeaderValue>,
    ) -> std::result::Result<Bytes, Fault> {
        let url = format!("{}/{}", self.base, request.path);
        let mut builder = self
            .client
            .request(request.method.clone(), url)
            .timeout(PATIENCE);
        if let Some(value) = &self.authorization {
            builder = builder.header(AUTHORIZATION, value.clone());
        }
        if let Some(token) = token {
            builder = builder
                .header("Prefect-Csrf-Token", token.clone())
                .header("Prefect-Csrf-Client", self.csrf_client.clone());
        }
        if let Some(body) = &request.body {
            builder = builder
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let response = builder.send().await.map_err(Fault::of)?;
        self.answered.store(true, Ordering::Relaxed);
        let code = response.status();
        if code.is_success() {
            return response.bytes().await.map_err(Fault::of);
        }
        let retry_after = retry_after(&response);
        // The status says enough where the rest does not come.
        let body = response.text().await.unwrap_or_default();
        Err(Fault::Status {
            code,
            retry_after,
            body,
        })
    }
}

/// Reads an answer.
pub(super) fn parse<T: DeserializeOwned>(bytes: &Bytes) -> std::result::Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Fault::Unreadable {
        body: String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned(),
        cause: error.to_string(),
    })
}

/// `Retry-After` in either of its forms, seconds or an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    wait_of(text, chrono::Utc::now())
}

fn wait_of(text: &str, now: chrono::DateTime<chrono::Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = "2026-11-21T08:00:00Z".parse().expect("a time");
        assert_eq!(wait_of("7", now), Some(Duration::from_secs(7)));
        assert_eq!(wait_of("0.5", now), Some(Duration::from_millis(500)));
        assert_eq!(
            wait_of("Sat, 21 Nov 2026 08:01:00 GMT", now),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            wait_of("Sat, 21 Nov 2026 07:00:00 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(wait_of("-1", now), None);
        assert_eq!(wait_of("soon", now), None);
    }

    #[test]
    fn headers_hold_the_secret_and_do_not_show_it() {
        let header = |auth: Auth| auth.header("Prefect").expect("a valid header");
        let basic = header(Auth::Basic("admin:pass".to_owned().into())).expect("a header");
        assert_eq!(basic.as_bytes(), b"Basic YWRtaW46cGFzcw==");
        assert_eq!(format!("{basic:?}"), "Sensitive");
        let key = header(Auth::ApiKey("pnu_x\n".to_owned().into())).expect("a header");
        assert_eq!(key.as_bytes(), b"Bearer pnu_x");
        assert!(
            Auth::ApiKey("a\nb".to_owned().into())
                .header("Prefect")
                .is_err()
        );
    }

    #[test]
    fn filters_are_reads() {
        let writes = |method, path: &str| Request::new(method, path, "").writes();
        assert!(!writes(Method::POST, "deployments/filter"));
        assert!(!writes(Method::GET, "admin/version"));
        assert!(writes(Method::POST, "deployments/"));
        assert!(writes(Method::DELETE, "deployments/x"));
    }
}
