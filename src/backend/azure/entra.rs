//! Microsoft Entra ID: which identity to use, from plain arguments.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::job::{self, Job};
use super::retry::Retry;
use crate::backend::transfer::{link_client, root};
use crate::backend::{Error, Kind, Result};

/// What is known of the identity; the standard variables are named for the caller, nothing here reads them.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The tenant's id or domain (`AZURE_TENANT_ID`).
    pub tenant: Option<String>,
    /// The application's or the user-assigned managed identity's client id (`AZURE_CLIENT_ID`).
    pub client: Option<String>,
    /// The application's secret (`AZURE_CLIENT_SECRET`).
    pub secret: Option<SecretString>,
    /// The file with a federated token, which is read again as it is renewed (`AZURE_FEDERATED_TOKEN_FILE`).
    pub token_file: Option<PathBuf>,
    /// The job of GitHub Actions that this is part of.
    pub job: Job,
}

/// Picks the identity: a client secret where there is one, else a federated token (workload identity), else the job's own
/// token where the job may have one and the tenant and the client are known, else whichever works first of the managed
/// identity of the machine and the account logged in to the Azure CLI.
///
/// The first three are used alone: who sets them does not want to become someone else by a typing error. A managed
/// identity is asked for where the platform says (`IDENTITY_ENDPOINT`, which its library reads itself), else at the
/// address that every Azure machine has; elsewhere that costs a second, once.
pub fn entra(identity: Identity, http: &reqwest::Client) -> Result<Arc<dyn TokenCredential>> {
    let fault = |message: &str| Error::new(Kind::Denied, "Entra ID", message);
    let invalid = |error: azure_core::Error| {
        Error::new(
            Kind::Denied,
            "Entra ID",
            format!("use the identity: {}", root(&error)),
        )
    };
    if let Some(secret) = identity.secret {
        let (Some(tenant), Some(client)) = (identity.tenant, identity.client) else {
            return Err(
                fault("use the client secret: the tenant or the client id is missing")
                    .hint("set AZURE_TENANT_ID and AZURE_CLIENT_ID too"),
            );
        };
        return Ok(ClientSecretCredential::new(
            &tenant,
            client,
            Secret::new(secret.expose_secret().to_owned()),
            Some(ClientSecretCredentialOptions {
                client_options: options(http.clone(), Retry::default()),
            }),
        )
        .map_err(invalid)?);
    }
    if let Some(file) = identity.token_file {
        let (Some(tenant), Some(client)) = (identity.tenant, identity.client) else {
            return Err(
                fault("use the federated token: the tenant or the client id is missing")
                    .hint("set AZURE_TENANT_ID and AZURE_CLIENT_ID too"),
            );
        };
        return Ok(
            WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions {
                    client_options: options(http.clone(), Retry::default()),
                },
                client_id: Some(client),
                tenant_id: Some(tenant),
                token_file_path: Some(file),
            }))
            .map_err(invalid)?,
        );
    }
    let hint = match (&identity.job, &identity.tenant, &identity.client) {
        (Job::Permitted(tokens), Some(tenant), Some(client)) => {
            let send = || options(http.clone(), Retry::default());
            let (tenant, client) = (tenant.clone(), client.clone());
            let exchanged = job::credential(tenant, client, tokens.clone(), send(), send());
            return exchanged.map_err(invalid);
        }
        (Job::Permitted(_), ..) => Some(
            "this job may have tokens of its own: set AZURE_TENANT_ID and AZURE_CLIENT_ID for them to be exchanged",
        ),
        (Job::Unpermitted, _, Some(_)) => Some(
            "give the job the permission `id-token: write`: with it, AZURE_TENANT_ID and AZURE_CLIENT_ID its own token \
             is exchanged; the jobs for pull requests of forks never have it",
        ),
        _ => None,
    };
    // The metadata address is on the link itself.
    let link = link_client()?;
    let patience = Retry {
        connect: Duration::ZERO,
        other: Duration::from_secs(10),
    };
    let managed = ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
        user_assigned_id: identity.client.map(UserAssignedId::ClientId),
        client_options: options(link, patience),
    }))
    .map_err(invalid)?;
    let cli = AzureCliCredential::new(Some(AzureCliCredentialOptions {
        tenant_id: identity.tenant,
        ..Default::default()
    }))
    .map_err(invalid)?;
    Ok(Arc::new(Chain {
        links: vec![("managed identity", managed), ("Azure CLI", cli)],
        hint,
        chosen: OnceLock::new(),
    }))
}

/// How requests are sent: over `http`, repeated as `retry` says.
pub(super) fn options(http: reqwest::Client, retry: Retry) -> ClientOptions {
    ClientOptions {
        per_call_policies: vec![Arc::new(retry)],
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::new(http))),
        ..Default::default()
    }
}

/// Tries one credential after the other and stays with the first that gave a token. The client keeps the token.
#[derive(Debug)]
struct Chain {
    links: Vec<(&'static str, Arc<dyn TokenCredential>)>,
    /// What to do where none works, if it is something else than for everybody.
    hint: Option<&'static str>,
    chosen: OnceLock<usize>,
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if let Some(chosen) = self.chosen.get() {
            return self.links[*chosen].1.get_token(scopes, options).await;
        }
        let mut faults = Vec::new();
        for (at, (name, credential)) in self.links.iter().enumerate() {
            match credential.get_token(scopes, options.clone()).await {
                Ok(token) => {
                    tracing::debug!(credential = name, "found an Azure identity");
                    // A second caller may have found the same meanwhile.
                    let _ = self.chosen.set(at);
                    return Ok(token);
                }
                Err(error) => faults.push(format!("{name}: {}", root(&error))),
            }
        }
        let message = format!("no identity works ({})", faults.join("; "));
        let mut error = Error::new(Kind::Denied, "Entra ID", message);
        error.hint = self.hint.map(str::to_owned);
        Err(azure_core::Error::new(ErrorKind::Credential, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::transfer::ours;
    use azure_core::time::OffsetDateTime;

    #[derive(Debug)]
    struct Answer(Option<&'static str>);

    #[async_trait]
    impl TokenCredential for Answer {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            match self.0 {
                Some(token) => Ok(AccessToken::new(token, OffsetDateTime::now_utc())),
                None => Err(azure_core::Error::with_message(
                    ErrorKind::Credential,
                    "not here",
                )),
            }
        }
    }

    #[tokio::test]
    async fn what_a_job_lacks_is_told_where_no_identity_works() {
        let mut found = chain([None, None]);
        found.hint = Some("give it the permission");
        let error = found.get_token(&["scope"], None).await;
        let error = error.expect_err("none works");
        let told = ours(&error).expect("one of ours");
        assert_eq!(
            (told.message.as_str(), told.hint.as_deref()),
            (
                "no identity works (first: not here; second: not here)",
                Some("give it the permission")
            )
        );
    }

    fn chain(answers: [Option<&'static str>; 2]) -> Chain {
        let [first, second] =
            answers.map(|answer| Arc::new(Answer(answer)) as Arc<dyn TokenCredential>);
        Chain {
            links: vec![("first", first), ("second", second)],
            hint: None,
            chosen: OnceLock::new(),
        }
    }

    #[tokio::test]
    async fn the_first_that_works_is_kept_and_all_faults_are_told() {
        let found = chain([None, Some("token")]);
        let token = found.get_token(&["scope"], None).await.expect("a token");
        assert_eq!(token.token.secret(), "token");
        assert_eq!(found.chosen.get(), Some(&1));
        let error = chain([None, None])
            .get_token(&["scope"], None)
            .await
            .expect_err("none works");
        assert_eq!(
            error.to_string(),
            "Entra ID: no identity works (first: not here; second: not here)"
        );
    }

    #[test]
    fn a_secret_needs_its_tenant() {
        let http = crate::backend::transfer::client().expect("a client");
        let error = entra(
            Identity {
                secret: Some("hush".to_owned().into()),
                ..Identity::default()
            },
            &http,
        )
        .expect_err("no tenant");
        assert!(
            error
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("AZURE_TENANT_ID"))
        );
        assert!(!format!("{error:?}").contains("hush"));
    }
}
