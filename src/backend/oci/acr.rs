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
use crate::backend::transfer::root;
use crate::backend::{Error, Kind};

/// What the Entra token is for; the same in all of Azure's clouds.
const SCOPE: &str = "https://containerregistry.azure.net/.default";

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
            let message = format!("no Entra token for it: {}", root(&error));
            Error::new(Kind::Denied, registry, message).hint(login_hint(registry))
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
