//! Who a job of GitHub Actions is to Azure: the token that GitHub gives it is exchanged for one of Entra ID.
//!
//! Sources: [OpenID Connect reference](https://docs.github.com/en/actions/reference/security/oidc) of GitHub,
//! [workload identity federation](https://learn.microsoft.com/entra/workload-id/workload-identity-federation) and
//! [error codes](https://learn.microsoft.com/entra/identity-platform/reference-error-codes) of Entra ID.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::{ACCEPT, AUTHORIZATION};
use azure_core::http::{
    ClientMethodOptions, ClientOptions, Context, Method, Pipeline, PipelineSendOptions, Request,
    Url,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::transfer::{ours, root};
use crate::backend::{Error, Kind};
use crate::model::shell_quoted;

/// Whom the job's token is for, and whom a federated credential expects it to be for.
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// The codes of Entra ID for a token that fits no federated credential: at all, by its issuer, audience or subject.
const UNTRUSTED: &[&str] = &["70021", "700211", "700212", "700213"];

/// Hides a secret from the log before anything could show it.
pub type Hide = Arc<dyn Fn(&str) + Send + Sync>;

/// Whether this is a job of GitHub Actions, and whether that may have tokens of its own.
#[derive(Clone, Debug, Default)]
pub enum Job {
    /// It is none.
    #[default]
    None,
    /// It lacks the permission `id-token: write`.
    Unpermitted,
    /// It may.
    Permitted(JobTokens),
}

/// Where a job gets tokens of its own.
#[derive(Clone)]
pub struct JobTokens {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`, to which the audience is added.
    pub url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub token: SecretString,
    /// Is shown each token before it is used.
    pub hide: Hide,
}

impl fmt::Debug for JobTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobTokens")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The application that trusts the job, by the job's own token; a new one is asked for whenever Entra's has to be renewed.
/// `to_github` and `to_entra` are how requests are sent.
pub(super) fn credential(
    tenant: String,
    client: String,
    tokens: JobTokens,
    to_github: ClientOptions,
    to_entra: ClientOptions,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let mut url = Url::parse(&tokens.url)?;
    url.query_pairs_mut().append_pair("audience", AUDIENCE);
    let source = Arc::new(Source {
        url,
        token: tokens.token,
        hide: tokens.hide,
        pipeline: Pipeline::new(None, None, to_github, Vec::new(), Vec::new(), None),
        last: Mutex::new(None),
    });
    let exchange = ClientAssertionCredential::new(
        tenant.clone(),
        client.clone(),
        Assertion(Arc::clone(&source)),
        Some(ClientAssertionCredentialOptions {
            client_options: to_entra,
        }),
    )?;
    Ok(Arc::new(Exchange {
        tenant,
        client,
        source,
        exchange,
    }))
}

/// GitHub's endpoint for the tokens of a job.
struct Source {
    url: Url,
    token: SecretString,
    hide: Hide,
    pipeline: Pipeline,
    /// The token that was gotten last.
    last: Mutex<Option<SecretString>>,
}

/// What the endpoint answers.
#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl Source {
    /// A new token. Nothing of what is answered gets into an error.
    async fn token(&self) -> Result<SecretString, Error> {
        let fault = |kind, message| Error::new(kind, "GitHub", message);
        let mut request = Request::new(self.url.clone(), Method::Get);
        request.insert_header(
            AUTHORIZATION,
            format!("Bearer {}", self.token.expose_secret()),
        );
        request.insert_header(ACCEPT, "application/json");
        let options = PipelineSendOptions {
            skip_checks: true,
            ..Default::default()
        };
        let context = Context::new();
        let sent = self.pipeline.send(&context, &mut request, Some(options));
        let response = sent.await.map_err(|error| {
            let message = format!("ask GitHub for a token of this job: {}", root(&error));
            fault(Kind::Unavailable, message)
                .hint("the runner has to reach the host of ACTIONS_ID_TOKEN_REQUEST_URL")
        })?;
        let status = u16::from(response.status());
        if !response.status().is_success() {
            let kind = match status {
                408 | 429 | 500.. => Kind::Unavailable,
                _ => Kind::Denied,
            };
            let message = format!("GitHub gives this job no token of its own (status {status})");
            return Err(fault(kind, message).hint(
                "the job needs the permission `id-token: write`, and gets tokens only while it runs",
            ));
        }
        let answer = serde_json::from_slice::<Answer>(response.body()).ok();
        let token = answer
            .map(|answer| SecretString::from(answer.value))
            .filter(is_jwt);
        let token = token.ok_or_else(|| {
            let message = "GitHub answered a request for a token of this job with something else";
            fault(Kind::Other, message.to_owned())
        })?;
        (self.hide)(token.expose_secret());
        self.last().replace(token.clone());
        Ok(token)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<SecretString>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text has the form of a JSON Web Token in its compact form: three parts in Base64.
fn is_jwt(token: &SecretString) -> bool {
    let token = token.expose_secret();
    let valid = |one: char| one.is_ascii_alphanumeric() || "-_.=".contains(one);
    token.split('.').count() == 3 && token.chars().all(valid)
}

struct Assertion(Arc<Source>);

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assertion").finish_non_exhaustive()
    }
}

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        match self.0.token().await {
            Ok(token) => Ok(token.expose_secret().to_owned()),
            Err(error) => Err(azure_core::Error::new(ErrorKind::Credential, error)),
        }
    }
}

/// The exchange, which keeps Entra's token for as long as it is good.
struct Exchange {
    tenant: String,
    client: String,
    source: Arc<Source>,
    exchange: Arc<ClientAssertionCredential<Assertion>>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("tenant", &self.tenant)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenCredential for Exchange {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        match self.exchange.get_token(scopes, options).await {
            Err(error) if ours(&error).is_none() => Err(azure_core::Error::new(
                ErrorKind::Credential,
                self.explain(&error),
            )),
            result => result,
        }
    }
}

impl Exchange {
    /// Says what Entra ID has against the job's token.
    fn explain(&self, error: &azure_core::Error) -> Error {
        let (tenant, client) = (&self.tenant, &self.client);
        let token = self.source.last().clone();
        let denied = |message| Error::new(Kind::Denied, "Entra ID", message);
        let said = match &token {
            Some(token) => root(error).replace(token.expose_secret(), "***"),
            None => root(error),
        };
        let codes = codes(error);
        let Some(codes) = codes else {
            let message = format!("exchange the job's token at Entra ID: {said}");
            return Error::new(Kind::Unavailable, "Entra ID", message)
                .hint("the runner has to reach login.microsoftonline.com");
        };
        let has = |code: &str| codes.split(',').any(|one| one == code);
        if let Some(code) = UNTRUSTED.iter().find(|code| has(code)) {
            return match token.as_ref().and_then(Claims::of) {
                Some(claims) => claims.untrusted(code, client),
                None => denied(format!(
                    "no federated credential of {client} fits the job's token (AADSTS{code}), which cannot be read"
                )),
            };
        }
        if has("700016") {
            return denied(format!(
                "the tenant {tenant} has no application {client} (AADSTS700016)"
            ))
            .hint(
                "AZURE_CLIENT_ID is the client id of the application (`az ad app list --query \"[].[appId, displayName]\"`), \
                 AZURE_TENANT_ID that of its tenant (`az account show --query tenantId`)",
            );
        }
        if has("90002") || has("900023") {
            return denied(format!("Entra ID has no tenant {tenant} (AADSTS{codes})"))
                .hint("AZURE_TENANT_ID is what `az account show --query tenantId` shows");
        }
        // What follows are ids for Microsoft's support, and the time.
        let said = said.split(" Trace ID:").next().unwrap_or_default();
        let said = said.lines().next().unwrap_or_default().trim();
        denied(format!("Entra ID does not take the job's token: {said}")).hint(format!(
            "see what the application {client} has at \
             `az ad app federated-credential list --id {}`",
            shell_quoted(client)
        ))
    }
}

/// The codes with which Entra ID refused a request, `700213`, separated by commas; `None` where it did not answer.
fn codes(error: &azure_core::Error) -> Option<&str> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = next {
        if let Some(error) = one.downcast_ref::<azure_core::Error>()
            && let ErrorKind::HttpResponse { error_code, .. } = error.kind()
        {
            return Some(error_code.as_deref().unwrap_or_default());
        }
        next = one.source();
    }
    None
}

/// Those of the statements of a job's token that a federated credential is compared with.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    aud: Value,
}

impl Claims {
    /// Reads them without verifying anything; who is to trust them has done that. `None` where they are not all there.
    fn of(token: &SecretString) -> Option<Self> {
        let payload = token.expose_secret().split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&payload).ok()
    }

    /// Says that `client` trusts no such token, and what makes it.
    fn untrusted(&self, code: &str, client: &str) -> Error {
        let (sub, iss) = (self.sub.escape_debug(), self.iss.escape_debug());
        let aud = match &self.aud {
            Value::String(one) => one.escape_debug().to_string(),
            other => other.to_string(),
        };
        let message = format!(
            "no federated credential of {client} fits the job's token (AADSTS{code}): its subject is `{sub}`, its \
             issuer `{iss}`, its audience `{aud}`"
        );
        let parameters = json!({
            "name": self.name(),
            "issuer": self.iss,
            "subject": self.sub,
            "audiences": [AUDIENCE],
        });
        Error::new(Kind::Denied, "Entra ID", message).hint(format!(
            "subjects of repositories made, renamed or moved after 15 July 2026 hold ids \
             (`repo:OWNER@ID/REPO@ID:environment:prod`); for this job to be trusted: \
             az ad app federated-credential create --id {} --parameters {}",
            shell_quoted(client),
            shell_quoted(&parameters.to_string()),
        ))
    }

    /// A name for the federated credential: 3 to 120 letters, digits and hyphens.
    fn name(&self) -> String {
        let subject = self.sub.trim_start_matches("repo:");
        let words = subject.split(|one: char| !one.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let mut name = format!("flowyard-{}", words.join("-"));
        name.truncate(120);
        name.trim_end_matches('-').to_owned()
    }
}

#[cfg(test)]
mod tests;
