//! One registry: requests to it with authentication, redirects and repetition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use secrecy::SecretString;
use url::Url;

use super::auth::{Access, Auth};
use super::body::Body;
use super::credentials::Credentials;
use super::fault::{Fault, Refusal};
use super::{DOCKER_HUB, plain_http};
use crate::backend::{Error, Kind, Result};

/// How often a request is sent at the most.
const TRIES: usize = 6;
/// How often, as long as this registry has never answered: a wrong name should be told soon.
const FIRST_TRIES: usize = 3;
/// The longest that all pauses between tries may take together, also where the registry asks for more.
const BUDGET: Duration = Duration::from_secs(30);
/// For how long nothing may move: no byte of a body in either direction, no answer.
const PATIENCE: Duration = Duration::from_secs(90);
/// How many redirects are followed.
const REDIRECTS: usize = 5;

pub(super) type Attempt<T> = std::result::Result<T, Fault>;

/// One request, which can be sent again.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body<'a>,
    pub(super) access: &'a Access,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, url: Url, access: &'a Access) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            access,
        }
    }

    pub(super) fn header(
        mut self,
        name: reqwest::header::HeaderName,
        value: impl Into<HeaderValue>,
    ) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    pub(super) fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }
}

/// The connection to one registry.
pub(super) struct Host {
    /// As its users write it.
    name: String,
    /// Where its API is.
    base: Url,
    client: reqwest::Client,
    auth: Auth,
    answered: AtomicBool,
    /// The largest request that it takes, in bytes, once a larger one was refused; 0 as long as that is not known.
    largest: AtomicUsize,
}

impl Host {
    /// `name` as in a reference; `plain` where it may be spoken to in plain http. What is no host, which no parsed reference
    /// has, is a registry that cannot be reached.
    pub(super) fn new(
        name: &str,
        plain: bool,
        client: reqwest::Client,
        credentials: Arc<Credentials>,
    ) -> Self {
        let at = match name {
            DOCKER_HUB => "registry-1.docker.io",
            other => other,
        };
        let scheme = if plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{at}/"));
        Self {
            name: name.to_owned(),
            auth: Auth::new(name, client.clone(), credentials),
            base: base.unwrap_or_else(|_| nowhere()),
            client,
            answered: AtomicBool::new(false),
            largest: AtomicUsize::new(0),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What another program may log in with, as [`Auth::login`] gives it.
    pub(super) async fn login(&self) -> Result<Option<(String, SecretString)>> {
        self.persist("log in", || self.auth.login(&self.base)).await
    }

    /// The largest request that it takes, in bytes; `None` as long as it has refused none.
    pub(super) fn largest(&self) -> Option<usize> {
        Some(self.largest.load(Ordering::Relaxed)).filter(|size| *size > 0)
    }

    /// Remembers that it takes nothing larger.
    pub(super) fn takes(&self, size: usize) {
        self.largest.store(size, Ordering::Relaxed);
    }

    /// The URL of `path` below `/v2/`.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{path}"));
        url
    }

    /// Does something, again and again where that is worth it; an error says `what` was being done.
    pub(super) async fn persist<T, Sent>(
        &self,
        what: &str,
        attempt: impl FnMut() -> Sent,
    ) -> Result<T>
    where
        Sent: Future<Output = Attempt<T>>,
    {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_factor(2.5)
            .with_max_times(TRIES - 1)
            .with_jitter();
        let (mut tries, mut waited) = (0, Duration::ZERO);
        attempt
            .retry(backoff)
            .sleep(tokio::time::sleep)
            .when(Fault::is_transient)
            .adjust(|fault, pause| {
                tries += 1;
                let pause = pause?.max(fault.retry_after().unwrap_or_default());
                waited += pause;
                let known = self.answered.load(Ordering::Relaxed);
                // What stalled has taken its time already.
                let stalled = matches!(fault, Fault::TimedOut) && tries > 1;
                let again = waited <= BUDGET && !stalled && (known || tries < FIRST_TRIES);
                again.then_some(pause)
            })
            .notify(|fault, pause| {
                tracing::debug!(registry = %self.name, what, ?pause, ?fault, "trying again");
            })
            .await
            .map_err(|fault| fault.explain(&self.name, what))
    }

    /// Sends a request once; a second time where the registry wants to know who asks. Any answer will do.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Attempt<Response> {
        let header = self.auth.header(call.access, &self.base).await?;
        let response = self.follow(call, header.as_ref()).await?;
        self.answered.store(true, Ordering::Relaxed);
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(response.url()) {
            return Ok(response);
        }
        let headers = response.headers().clone();
        // To its end, so that the connection can be used again.
        let refusal = Refusal::read(response).await;
        let fresh = self
            .auth
            .challenged(&headers, call.access, &self.base, header.as_ref())
            .await?;
        match fresh {
            Some(fresh) => self.follow(call, Some(&fresh)).await,
            None => Err(Fault::Refused(refusal)),
        }
    }

    /// Sends a request and follows where its answer points to, as far as it only reads. Nobody but the registry's own
    /// host is told who asks.
    async fn follow(&self, call: &Call<'_>, header: Option<&HeaderValue>) -> Attempt<Response> {
        let mut call = call.clone();
        for _ in 0..=REDIRECTS {
            let response = self.send(&call, header).await?;
            let reads = matches!(call.method, Method::GET | Method::HEAD);
            let location = response.headers().get(LOCATION);
            match (response.status().as_u16(), location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) if reads => {
                    call.url = self.resolve(&call.url, location)?;
                }
                _ => return Ok(response),
            }
        }
        Err(self.error(Kind::Other, "too many redirects").into())
    }

    async fn send(&self, call: &Call<'_>, header: Option<&HeaderValue>) -> Attempt<Response> {
        let mut request = self
            .client
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone());
        if let Some(header) = header.filter(|_| self.is_own(&call.url)) {
            request = request.header(AUTHORIZATION, header.clone());
        }
        let sending = call.body.sending(&self.name).await;
        if let Some((length, body)) = sending.body {
            request = request.header(CONTENT_LENGTH, length).body(body);
        }
        tokio::select! {
            response = request.send() => Ok(response?),
            () = sending.moved.stalled(PATIENCE) => Err(Fault::TimedOut),
        }
    }

    /// Where an answer points to. Never from TLS to plain http, except that a registry behind a proxy which does not know
    /// of its TLS is helped.
    pub(super) fn resolve(&self, from: &Url, location: &HeaderValue) -> Attempt<Url> {
        let nowhere = || self.error(Kind::Other, "it points to what is no URL");
        let location = location.to_str().map_err(|_| nowhere())?;
        let mut url = from.join(location).map_err(|_| nowhere())?;
        if plain_http(&self.base) && matches!(url.scheme(), "http" | "https") {
            return Ok(url);
        }
        let same = url.host_str() == self.base.host_str() && url.port() == self.base.port();
        if url.scheme() == "http" && same {
            url.set_scheme("https").map_err(|()| nowhere())?;
        }
        if url.scheme() != "https" {
            let to = url.host_str().unwrap_or_default();
            let message = format!("it points to {to} without TLS, which is refused");
            return Err(self.error(Kind::Other, &message).into());
        }
        Ok(url)
    }

    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    pub(super) fn error(&self, kind: Kind, message: &str) -> Error {
        Error::new(kind, &self.name, message)
    }
}

/// A place that nobody is at (RFC 2606).
fn nowhere() -> Url {
    Url::parse("https://registry.invalid/").expect("a constant URL is one")
}

/// The next piece of an answer, which must come in time.
pub(super) async fn piece(response: &mut Response) -> Attempt<Option<Bytes>> {
    match tokio::time::timeout(PATIENCE, response.chunk()).await {
        Ok(piece) => Ok(piece?),
        Err(_) => Err(Fault::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, plain: bool) -> Host {
        let client = crate::backend::transfer::patient_client().expect("a client");
        Host::new(name, plain, client, Arc::default())
    }

    fn resolved(host: &Host, location: &str) -> std::result::Result<String, String> {
        let location = HeaderValue::from_str(location).expect("a header");
        let from = host.url("acme/x/blobs/uploads/");
        match host.resolve(&from, &location) {
            Ok(url) => Ok(url.to_string()),
            Err(fault) => Err(fault.explain("r", "uploading").message),
        }
    }

    #[test]
    fn docker_hub_is_elsewhere_than_it_is_called() {
        let hub = host("docker.io", false);
        assert_eq!(
            hub.url("library/python/manifests/3.12").as_str(),
            "https://registry-1.docker.io/v2/library/python/manifests/3.12"
        );
        assert_eq!(
            host("no host", false).url("x").host_str(),
            Some("registry.invalid")
        );
        let local = host("localhost:5000", true);
        assert_eq!(local.url("x").as_str(), "http://localhost:5000/v2/x");
    }

    #[test]
    fn locations_never_leave_tls() {
        let host = host("r.example:5000", false);
        for (location, url) in [
            (
                "/v2/acme/x/blobs/uploads/1?_state=a%3D",
                "https://r.example:5000/v2/acme/x/blobs/uploads/1?_state=a%3D",
            ),
            ("2", "https://r.example:5000/v2/acme/x/blobs/uploads/2"),
            ("http://r.example:5000/3", "https://r.example:5000/3"),
            ("https://store.example/4", "https://store.example/4"),
        ] {
            assert_eq!(resolved(&host, location).as_deref(), Ok(url));
        }
        for location in [
            "http://store.example/5",
            "http://r.example/6",
            "file:///etc/passwd",
        ] {
            let fault = resolved(&host, location).expect_err(location);
            assert!(fault.contains("without TLS"), "{fault}");
        }
        assert!(resolved(&host, "http://[").is_err());
    }

    #[test]
    fn only_the_registry_itself_is_told_who_asks() {
        let host = host("r.example", false);
        let own = |url: &str| host.is_own(&Url::parse(url).expect("a URL"));
        assert!(own("https://r.example:443/v2/x"));
        for url in [
            "http://r.example/v2/x",
            "https://r.example:444/",
            "https://x.r.example/",
            "https://r.example.org/",
        ] {
            assert!(!own(url), "{url}");
        }
    }
}
