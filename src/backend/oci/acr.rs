//! Registries on Azure: an Entra token becomes a refresh token of the registry, with which the usual tokens are gotten.
//!
//! Source: [Azure Container Registry's AAD-OAuth](https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md), "Calling
//! `POST /oauth2/exchange` to get an ACR refresh token".

use std::time::{Duration, Instant};

use azure_core::credentials::TokenCredential;
use secrecy::SecretString;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::auth::Granted;
use super::fault::{Fault, login_hint};
use crate::backend::transfer::{ours, root};
use crate::backend::{Error, Kind};

/// What the Entra token is for; the same in all of Azure's clouds.
const SCOPE: &str = "https://containerregistry.azure.net/.default";

/// The user name of whoever has a refresh token in place of a password.
pub(super) const USER: &str = "00000000-0000-0000-0000-000000000000";

/// For how long a refresh token is used; it is good for three hours.
const LIFE: Duration = Duration::from_secs(3600);

/// Where a registry exchanges tokens: always at its own host, whatever a challenge says.
pub(super) fn exchange_at(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path("/oauth2/exchange");
    url
}

/// Where it takes the refresh token.
pub(super) fn token_at(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path("/oauth2/token");
    url
}

/// The refresh token that was gotten last, and when.
#[derive(Default)]
pub(super) struct Exchanged(Mutex<Option<(SecretString, Instant)>>);

impl Exchanged {
    /// The refresh token, from the last exchange or a new one; `exchange` posts a form.
    pub(super) async fn token<Sent>(
        &self,
        entra: &dyn TokenCredential,
        registry: &str,
        exchange: impl FnOnce(String) -> Sent,
    ) -> Result<SecretString, Fault>
    where
        Sent: Future<Output = Result<Granted, Fault>>,
    {
        let mut held = self.0.lock().await;
        if let Some((token, since)) = held.as_ref()
            && since.elapsed() < LIFE
        {
            return Ok(token.clone());
        }
        let access = entra.get_token(&[SCOPE], None).await.map_err(|error| {
            let told = ours(&error);
            let why = told.map_or_else(|| root(&error), |told| told.message.clone());
            let kind = told.map_or(Kind::Denied, |told| told.kind);
            let hint = told.and_then(|told| told.hint.clone());
            Error::new(kind, registry, format!("no Entra token for it: {why}"))
                .hint(hint.unwrap_or_else(|| login_hint(registry)))
        })?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "access_token")
            .append_pair("service", registry)
            .append_pair("access_token", access.token.secret())
            .finish();
        let granted = exchange(form).await?;
        let token: SecretString = granted
            .refresh_token
            .filter(|token| !token.is_empty())
            .ok_or_else(|| {
                let message = "it exchanged the Entra token for nothing";
                Error::new(Kind::Other, registry, message)
            })?
            .into();
        *held = Some((token.clone(), Instant::now()));
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use azure_core::credentials::{AccessToken, TokenRequestOptions};
    use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
    use secrecy::ExposeSecret as _;
    use serde_json::json;
    use wiremock::matchers::{body_string, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::backend::oci::Credentials;
    use crate::backend::oci::auth::{Access, Auth};
    use crate::backend::transfer;

    #[derive(Debug, Default)]
    struct Entra {
        asked: AtomicUsize,
        fails: bool,
        /// Whether it knows what to do then.
        tells: bool,
    }

    #[async_trait::async_trait]
    impl TokenCredential for Entra {
        async fn get_token(
            &self,
            scopes: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            assert_eq!(scopes, [SCOPE]);
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.fails {
                let kind = azure_core::error::ErrorKind::Credential;
                if self.tells {
                    let told = Error::new(Kind::Unavailable, "Entra ID", "it sleeps");
                    return Err(azure_core::Error::new(kind, told.hint("wake it")));
                }
                return Err(azure_core::Error::with_message(kind, "nobody is logged in"));
            }
            let later = azure_core::time::OffsetDateTime::now_utc();
            Ok(AccessToken::new("entra-hush", later))
        }
    }

    /// What a registry on Azure says at first: its token server is itself.
    fn challenge() -> HeaderMap {
        let text =
            "Bearer realm=\"https://acme.azurecr.io/oauth2/token\",service=\"acme.azurecr.io\"";
        HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(text))])
    }

    fn auth(entra: Arc<Entra>) -> Auth {
        let credentials = Credentials {
            entra: Some(entra),
            ..Credentials::default()
        };
        let client = transfer::patient_client().expect("a client");
        Auth::new("acme.azurecr.io", client, Arc::new(credentials))
    }

    #[tokio::test]
    async fn an_entra_token_is_exchanged_once() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/oauth2/exchange"))
            .and(body_string(
                "grant_type=access_token&service=acme.azurecr.io&access_token=entra-hush",
            ))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"refresh_token": "r"})))
            .expect(1)
            .mount(&server)
            .await;
        for (scope, token) in [("pull", "t1"), ("pull%2Cpush", "t2")] {
            let form = format!(
                "grant_type=refresh_token&service=acme.azurecr.io&scope=repository%3Aflows%3A{scope}\
                 &client_id=flowyard&refresh_token=r"
            );
            Mock::given(method("POST"))
                .and(path("/oauth2/token"))
                .and(body_string(form))
                .respond_with(
                    ResponseTemplate::new(200).set_body_json(json!({"access_token": token})),
                )
                .expect(1)
                .mount(&server)
                .await;
        }
        let entra = Arc::new(Entra::default());
        let auth = auth(Arc::clone(&entra));
        let base = Url::parse(&server.uri()).expect("a URL");
        for (access, token) in [(Access::pull("flows"), "t1"), (Access::push("flows"), "t2")] {
            let header = auth.challenged(&challenge(), &access, &base, None).await;
            let header = header.expect("a token").expect("a token");
            assert_eq!(header, format!("Bearer {token}"));
            let again = auth.header(&access, &base).await.expect("the same");
            assert_eq!(again, Some(header));
        }
        // Another program may have it too.
        let (user, token) = auth.login(&base).await.expect("a login").expect("a login");
        assert_eq!((user.as_str(), token.expose_secret()), (USER, "r"));
        assert_eq!(entra.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_an_identity_says_to_do_is_told() {
        let entra = Entra {
            fails: true,
            tells: true,
            ..Entra::default()
        };
        let base = Url::parse("http://127.0.0.1:9").expect("a URL");
        let fault = auth(Arc::new(entra))
            .challenged(&challenge(), &Access::pull("flows"), &base, None)
            .await
            .expect_err("no token");
        let error = fault.explain("acme.azurecr.io", "reading");
        assert_eq!(
            (error.kind, error.message.as_str(), error.hint.as_deref()),
            (
                Kind::Unavailable,
                "reading: no Entra token for it: it sleeps",
                Some("wake it")
            )
        );
    }

    #[tokio::test]
    async fn an_exchange_that_fails_says_why() {
        let server = MockServer::start().await;
        let no = json!({"errors": [{"code": "UNAUTHORIZED", "message": "tenant unknown"}]});
        Mock::given(path("/oauth2/exchange"))
            .respond_with(ResponseTemplate::new(401).set_body_json(no))
            .mount(&server)
            .await;
        let base = Url::parse(&server.uri()).expect("a URL");
        for (fails, expected) in [
            (
                false,
                "reading: no token from acme.azurecr.io: tenant unknown (401 Unauthorized)",
            ),
            (true, "reading: no Entra token for it: nobody is logged in"),
        ] {
            let entra = Entra {
                fails,
                ..Entra::default()
            };
            let fault = auth(Arc::new(entra))
                .challenged(&challenge(), &Access::pull("flows"), &base, None)
                .await
                .expect_err("no token");
            let error = fault.explain("acme.azurecr.io", "reading");
            assert_eq!(
                (error.kind, error.message.as_str()),
                (Kind::Denied, expected)
            );
            let hint = error.hint.as_deref().unwrap_or_default();
            assert!(hint.contains("az acr login --name acme"), "{hint}");
            assert!(!format!("{error:?}").contains("hush"));
        }
    }
}
