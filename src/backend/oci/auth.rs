//! Who we are to a registry: the challenge that it sent, and the tokens that it led to.
//!
//! Sources: the [token specification](https://distribution.github.io/distribution/spec/auth/token/) and its
//! [OAuth 2 form](https://distribution.github.io/distribution/spec/auth/oauth/).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use azure_core::credentials::TokenCredential;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::OnceCell;
use url::{Url, form_urlencoded};

use super::challenge::Challenge;
use super::credentials::{Credentials, Login, Secret};
use super::fault::{Fault, Refusal, login_hint};
use super::{acr, plain_http};
use crate::backend::{Error, Kind};

/// How we are called where a token server asks for a client.
const CLIENT: &str = "flowyard";
/// How long a token server may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a token is good for where the server does not say (the token specification).
const DEFAULT_LIFE: u64 = 60;

type Attempt<T> = std::result::Result<T, Fault>;

/// What a request needs to be allowed: for each repository, whether it is written to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Access(BTreeMap<String, bool>);

impl Access {
    /// Reading a repository.
    pub(super) fn pull(repository: &str) -> Self {
        Self(BTreeMap::from([(repository.to_owned(), false)]))
    }

    /// Reading and writing it.
    pub(super) fn push(repository: &str) -> Self {
        Self(BTreeMap::from([(repository.to_owned(), true)]))
    }

    /// This and reading another one.
    pub(super) fn and_pull(mut self, other: &str) -> Self {
        self.0.entry(other.to_owned()).or_insert(false);
        self
    }

    /// The scopes as a token server wants them, with those that a challenge named.
    fn scopes(&self, named: &[String]) -> Vec<String> {
        let mut actions: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (repository, writes) in &self.0 {
            let resource = actions.entry(format!("repository:{repository}"));
            let actions = resource.or_default();
            actions.insert("pull");
            if *writes {
                actions.insert("push");
            }
        }
        for scope in named {
            if let Some((resource, more)) = scope.rsplit_once(':') {
                let resource = actions.entry(resource.to_owned()).or_default();
                resource.extend(more.split(','));
            }
        }
        let join = |actions: BTreeSet<&str>| actions.into_iter().collect::<Vec<_>>().join(",");
        actions
            .into_iter()
            .map(|(resource, actions)| format!("{resource}:{}", join(actions)))
            .collect()
    }
}

/// A token as a header, and until when it is used.
struct Token {
    header: HeaderValue,
    until: Instant,
}

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Everything that one registry knows us by.
pub(super) struct Auth {
    registry: String,
    client: reqwest::Client,
    credentials: Arc<Credentials>,
    /// Looked for once, when the registry first asks.
    secret: OnceCell<Option<Secret>>,
    /// What the registry asked for last.
    challenge: Mutex<Option<Challenge>>,
    tokens: Mutex<HashMap<Access, Slot>>,
    exchanged: acr::Exchanged,
}

impl Auth {
    pub(super) fn new(
        registry: &str,
        client: reqwest::Client,
        credentials: Arc<Credentials>,
    ) -> Self {
        Self {
            registry: registry.to_owned(),
            client,
            credentials,
            secret: OnceCell::new(),
            challenge: Mutex::default(),
            tokens: Mutex::default(),
            exchanged: acr::Exchanged::default(),
        }
    }

    /// The header to send with a request; `None` as long as the registry has not asked for one.
    pub(super) async fn header(&self, access: &Access, base: &Url) -> Attempt<Option<HeaderValue>> {
        let challenge = self
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match challenge {
            None => Ok(None),
            Some(challenge) => self.answer(&challenge, access, base, None, &[]).await,
        }
    }

    /// The header to send after an answer of 401 to one with `sent`; `None` where another try would not help.
    pub(super) async fn challenged(
        &self,
        headers: &HeaderMap,
        access: &Access,
        base: &Url,
        sent: Option<&HeaderValue>,
    ) -> Attempt<Option<HeaderValue>> {
        let Some(challenge) = Challenge::of(headers) else {
            return Ok(None);
        };
        *self
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(challenge.clone());
        let named = match &challenge {
            Challenge::Bearer { scopes, .. } => scopes.clone(),
            Challenge::Basic => Vec::new(),
        };
        let header = self.answer(&challenge, access, base, sent, &named).await?;
        Ok(header.filter(|header| Some(header) != sent))
    }

    /// What a challenge wants; a token that is `stale` is not used again.
    async fn answer(
        &self,
        challenge: &Challenge,
        access: &Access,
        base: &Url,
        stale: Option<&HeaderValue>,
        named: &[String],
    ) -> Attempt<Option<HeaderValue>> {
        let (realm, service) = match challenge {
            Challenge::Bearer { realm, service, .. } => (realm, service.as_deref()),
            Challenge::Basic => {
                return match self.secret().await? {
                    Some(Secret::Given(login) | Secret::Password(login)) => {
                        Ok(Some(self.basic(login)?))
                    }
                    _ => Err(self.nobody().into()),
                };
            }
        };
        let slot = {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tokens.entry(access.clone()).or_default())
        };
        // Held while a token is fetched: many requests at once need the same.
        let mut held = slot.lock().await;
        if let Some(token) = held.as_ref()
            && Some(&token.header) != stale
            && token.until > Instant::now()
        {
            return Ok(Some(token.header.clone()));
        }
        *held = None;
        let token = self
            .fetch(realm, service, &access.scopes(named), base)
            .await?;
        let header = token.header.clone();
        *held = Some(token);
        Ok(Some(header))
    }

    async fn secret(&self) -> Attempt<Option<&Secret>> {
        let find = || self.credentials.find(&self.registry);
        Ok(self.secret.get_or_try_init(find).await?.as_ref())
    }

    /// What another program may log in with: a login that we were given, or what stands for an Entra identity. `None` for
    /// one from a file, which such a program reads itself.
    pub(super) async fn login(&self, base: &Url) -> Attempt<Option<(String, SecretString)>> {
        match self.secret().await? {
            Some(Secret::Given(login)) => {
                Ok(Some((login.username.clone(), login.password.clone())))
            }
            Some(Secret::Entra(entra)) => {
                let token = self.exchanged(entra.as_ref(), &self.registry, base).await?;
                Ok(Some((acr::USER.to_owned(), token)))
            }
            None | Some(Secret::Password(_) | Secret::Identity(_)) => Ok(None),
        }
    }

    /// The refresh token for an Entra identity.
    async fn exchanged(
        &self,
        entra: &dyn TokenCredential,
        service: &str,
        base: &Url,
    ) -> Attempt<SecretString> {
        let exchange = |form| self.send(self.form(&acr::exchange_at(base), form));
        self.exchanged.token(entra, service, exchange).await
    }

    /// The registry wants a password, and there is none.
    fn nobody(&self) -> Error {
        let message = "it asks for a user name and a password, and none are known";
        Error::new(Kind::Denied, &self.registry, message).hint(login_hint(&self.registry))
    }

    /// Gets a token from the token server.
    async fn fetch(
        &self,
        realm: &Url,
        service: Option<&str>,
        scopes: &[String],
        base: &Url,
    ) -> Attempt<Token> {
        let from = realm.host_str().unwrap_or_default().to_owned();
        if realm.scheme() != "https" && !plain_http(base) {
            let message =
                format!("it wants the credentials at {from} in plain http, which is refused");
            return Err(Error::new(Kind::Denied, &self.registry, message).into());
        }
        let secret = self.secret().await?;
        let asked = async {
            match secret {
                None => self.get(realm, service, scopes, None).await,
                Some(Secret::Given(login) | Secret::Password(login)) => {
                    self.get(realm, service, scopes, Some(login)).await
                }
                Some(Secret::Identity(token)) => self.post(realm, service, scopes, token).await,
                Some(Secret::Entra(entra)) => {
                    let service = service.unwrap_or(&self.registry);
                    let token = self.exchanged(entra.as_ref(), service, base).await?;
                    self.post(&acr::token_at(base), Some(service), scopes, &token)
                        .await
                }
            }
        };
        asked.await.map_err(|fault| match fault {
            Fault::Told(error) => Fault::Told(error),
            fault => Fault::Token {
                from,
                fault: Box::new(fault),
            },
        })
    }

    /// The older form: `GET`, with a password or without.
    async fn get(
        &self,
        realm: &Url,
        service: Option<&str>,
        scopes: &[String],
        login: Option<&Login>,
    ) -> Attempt<Token> {
        let mut url = realm.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(service.map(|service| ("service", service)));
            query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
            if let Some(login) = login {
                query.append_pair("account", &login.username);
            }
            query.append_pair("client_id", CLIENT);
        }
        let mut request = self.client.get(url).timeout(PATIENCE);
        if let Some(login) = login {
            request = request.header(AUTHORIZATION, self.basic(login)?);
        }
        self.token(self.send(request).await?)
    }

    /// The OAuth 2 form, for identity tokens.
    async fn post(
        &self,
        realm: &Url,
        service: Option<&str>,
        scopes: &[String],
        token: &SecretString,
    ) -> Attempt<Token> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", &scopes.join(" "))
            .append_pair("client_id", CLIENT)
            .append_pair("refresh_token", token.expose_secret())
            .finish();
        self.token(self.send(self.form(realm, form)).await?)
    }

    fn form(&self, url: &Url, form: String) -> reqwest::RequestBuilder {
        self.client
            .post(url.clone())
            .timeout(PATIENCE)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
    }

    /// Sends a request for a token and reads the answer, which must be a success.
    async fn send(&self, request: reqwest::RequestBuilder) -> Attempt<Granted> {
        let response = request.send().await?;
        if response.status() != StatusCode::OK {
            return Err(Fault::Refused(Refusal::read(response).await));
        }
        let body = response.bytes().await?;
        serde_json::from_slice(&body).map_err(|_| self.senseless())
    }

    fn basic(&self, login: &Login) -> Attempt<HeaderValue> {
        let pair = format!("{}:{}", login.username, login.password.expose_secret());
        let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let mut header = HeaderValue::try_from(text).map_err(|_| self.nobody())?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn senseless(&self) -> Fault {
        let message = "the token server answered without a token";
        Error::new(Kind::Other, &self.registry, message).into()
    }

    fn token(&self, granted: Granted) -> Attempt<Token> {
        let token = [granted.token, granted.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.is_empty());
        let mut header = token
            .and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok())
            .ok_or_else(|| self.senseless())?;
        header.set_sensitive(true);
        let life = granted.expires_in.unwrap_or(DEFAULT_LIFE);
        // Not to the last second: a request with it is under way for a while.
        let life = Duration::from_secs(life.saturating_sub((life / 5).min(30)));
        Ok(Token {
            header,
            until: Instant::now() + life.min(Duration::from_secs(86_400)),
        })
    }
}

/// What a token server answers.
#[derive(Deserialize)]
pub(super) struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    /// What a registry on Azure gives for an Entra token.
    pub(super) refresh_token: Option<String>,
    /// In seconds from now.
    expires_in: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_merged_by_repository() {
        let mount = Access::push("acme/flows").and_pull("acme/base");
        assert_eq!(
            mount.scopes(&[]),
            [
                "repository:acme/base:pull",
                "repository:acme/flows:pull,push"
            ]
        );
        let named = [
            "repository:acme/flows:metadata_read,pull".to_owned(),
            "odd".to_owned(),
        ];
        assert_eq!(
            Access::pull("acme/flows").scopes(&named),
            ["repository:acme/flows:metadata_read,pull"]
        );
        // A push includes reading the same repository.
        assert_eq!(Access::push("a").and_pull("a"), Access::push("a"));
    }

    #[tokio::test]
    async fn a_password_does_not_leave_tls() {
        let login = Login {
            username: "user".to_owned(),
            password: "hush".to_owned().into(),
        };
        let credentials = Credentials {
            logins: BTreeMap::from([("r.example".to_owned(), login)]),
            ..Credentials::default()
        };
        let client = crate::backend::transfer::patient_client().expect("a client");
        let auth = Auth::new("r.example", client, Arc::new(credentials));
        let base = Url::parse("https://r.example/").expect("a URL");
        let text = HeaderValue::from_static("Bearer realm=\"http://127.0.0.1:1/token\"");
        let headers = HeaderMap::from_iter([(reqwest::header::WWW_AUTHENTICATE, text)]);
        let fault = auth
            .challenged(&headers, &Access::pull("x"), &base, None)
            .await
            .expect_err("plain http");
        let error = fault.explain("r.example", "reading");
        assert_eq!(error.kind, Kind::Denied);
        assert_eq!(
            error.message,
            "reading: it wants the credentials at 127.0.0.1 in plain http, which is refused"
        );
    }
}
