//! Who we are to Azure Blob: connection strings, account keys and shared access signatures.

use std::collections::BTreeMap;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::shared_key::SharedKey;
use crate::backend::{Error, Kind, Result};

/// The account, key and endpoint that every Azurite and storage emulator has; published, so no secret.
/// <https://learn.microsoft.com/azure/storage/common/storage-use-azurite>
const DEVELOPMENT: &str = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;\
AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;\
BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1";

/// How to authenticate.
#[derive(Clone, Debug)]
pub enum Auth {
    /// A storage account's connection string, as the portal and `AZURE_STORAGE_CONNECTION_STRING` have it: with
    /// `AccountKey` or `SharedAccessSignature`, `BlobEndpoint` or `AccountName` and `EndpointSuffix`, or
    /// `UseDevelopmentStorage=true`.
    ConnectionString(SecretString),
    /// One of the account's two keys.
    AccountKey {
        /// The account's name.
        account: String,
        /// The key: base64.
        key: SecretString,
    },
    /// A shared access signature, with or without its leading `?`. It needs read, write, list, create and delete.
    Sas(SecretString),
    /// Microsoft Entra ID; see [`entra`](super::entra()). Azure takes it over https only.
    Entra(Arc<dyn TokenCredential>),
}

/// What a client is made of: where the account is, and how each request proves who sends it.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) account: String,
    pub(super) endpoint: Url,
    pub(super) proof: Proof,
}

/// See [`Access`].
#[derive(Debug)]
pub(super) enum Proof {
    Key(SharedKey),
    /// The query of every URL.
    Sas(SecretString),
    Token(Arc<dyn TokenCredential>),
}

impl Proof {
    /// What to do when Azure refuses it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Key(_) => {
                "check the account's name and key; `az storage account keys list` shows the keys, and the account may \
                 forbid them (allowSharedKeyAccess)"
            }
            Self::Sas(_) => {
                "check that the shared access signature has not expired and grants read, add, create, write, delete \
                 and list on this container"
            }
            Self::Token(_) => {
                "give this identity the role \"Storage Blob Data Contributor\" on the account or \
                 container; the account's firewall may keep us out too"
            }
        }
    }
}

/// Resolves `auth` for `account`: its name, or its blob endpoint for other clouds (`https://name.blob.core.usgovcloudapi.net`).
pub(super) fn resolve(account: Option<&str>, auth: Auth) -> Result<Access> {
    match auth {
        Auth::ConnectionString(text) => {
            let access = parse(text.expose_secret())?;
            match account.filter(|name| !name.contains("://") && *name != access.account) {
                Some(name) if !access.account.is_empty() => Err(fault(format!(
                    "use the connection string: it is of account `{}`, not `{name}`",
                    access.account
                ))),
                _ => Ok(access),
            }
        }
        Auth::AccountKey {
            account: owner,
            key,
        } => {
            let endpoint = endpoint(account.unwrap_or(&owner))?;
            Ok(Access {
                proof: Proof::Key(SharedKey::new(&owner, key.expose_secret())?),
                account: owner,
                endpoint,
            })
        }
        Auth::Sas(sas) => named(account, Proof::Sas(trim_sas(sas.expose_secret())?)),
        Auth::Entra(credential) => named(account, Proof::Token(credential)),
    }
}

fn named(account: Option<&str>, proof: Proof) -> Result<Access> {
    let Some(account) = account else {
        return Err(
            fault("find the account: only a connection string names it itself".to_owned())
                .hint("write it into the storage's URL: azure://ACCOUNT/CONTAINER/PREFIX"),
        );
    };
    let endpoint = endpoint(account)?;
    Ok(Access {
        account: account_of(&endpoint),
        endpoint,
        proof,
    })
}

pub(super) fn fault(message: String) -> Error {
    Error::new(Kind::Other, "Azure Blob", message)
}

fn endpoint(account: &str) -> Result<Url> {
    let text = if account.contains("://") {
        account.to_owned()
    } else {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !(3..=24).contains(&account.len()) || !account.chars().all(valid) {
            return Err(fault(format!(
                "use {account:?} as a storage account: its name has 3 to 24 lower-case letters and digits"
            )));
        }
        format!("https://{account}.blob.core.windows.net")
    };
    parse_endpoint(&text)
}

fn parse_endpoint(text: &str) -> Result<Url> {
    // The query is never shown: people paste endpoints with a signature in it.
    let shown = text.split('?').next().unwrap_or_default();
    let mut url = Url::parse(text)
        .map_err(|error| fault(format!("read the blob endpoint {shown:?}: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(fault(format!(
            "read the blob endpoint {shown:?}: not an http or https URL"
        )));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The account in an endpoint: the first path segment where the host is an address (Azurite), else the host's first label.
fn account_of(endpoint: &Url) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    let path = endpoint.path().trim_matches('/');
    if path.is_empty() {
        host.split('.').next().unwrap_or_default().to_owned()
    } else {
        path.split('/').next().unwrap_or_default().to_owned()
    }
}

fn trim_sas(sas: &str) -> Result<SecretString> {
    let sas = sas.trim().trim_start_matches('?');
    if !sas.split('&').any(|pair| pair.starts_with("sig=")) {
        return Err(
            fault("read the shared access signature: it has no `sig=`".to_owned())
                .hint("it looks like `sv=...&ss=b&srt=co&sp=rwdlac&se=...&sig=...`"),
        );
    }
    Ok(SecretString::from(sas.to_owned()))
}

fn parse(text: &str) -> Result<Access> {
    let fault = |message: String| fault(format!("read the connection string: {message}"));
    let mut settings = BTreeMap::new();
    for part in text
        .trim()
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        // Neither part is shown where there is no `=`: it might be a key alone.
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| fault("a part of it is not NAME=VALUE".to_owned()))?;
        settings.insert(name.trim().to_ascii_lowercase(), value.trim());
    }
    let get = |name: &str| {
        settings
            .get(name)
            .copied()
            .filter(|value| !value.is_empty())
    };
    if get("usedevelopmentstorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return parse(DEVELOPMENT);
    }
    let protocol = get("defaultendpointsprotocol").unwrap_or("https");
    let endpoint = match (get("blobendpoint"), get("accountname")) {
        (Some(url), _) => parse_endpoint(url)?,
        (None, Some(account)) => {
            let suffix = get("endpointsuffix").unwrap_or("core.windows.net");
            parse_endpoint(&format!("{protocol}://{account}.blob.{suffix}"))?
        }
        (None, None) => {
            return Err(fault(
                "it has neither AccountName nor BlobEndpoint".to_owned(),
            ));
        }
    };
    let account = get("accountname").map_or_else(|| account_of(&endpoint), str::to_owned);
    let proof = match (get("sharedaccesssignature"), get("accountkey")) {
        (Some(sas), _) => Proof::Sas(trim_sas(sas)?),
        (None, Some(key)) => Proof::Key(SharedKey::new(&account, key)?),
        (None, None) => {
            return Err(fault(
                "it has neither AccountKey nor SharedAccessSignature".to_owned(),
            ));
        }
    };
    Ok(Access {
        account,
        endpoint,
        proof,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(text: &str) -> Result<Access> {
        resolve(None, Auth::ConnectionString(text.to_owned().into()))
    }

    #[test]
    fn connection_strings_of_every_kind() {
        let access =
            connection("AccountName=acme;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn")
                .expect("a key");
        assert_eq!(
            access.endpoint.as_str(),
            "https://acme.blob.core.chinacloudapi.cn/"
        );
        assert!(matches!(access.proof, Proof::Key(_)));
        let access = connection("UseDevelopmentStorage=true;").expect("development");
        assert_eq!(access.account, "devstoreaccount1");
        assert_eq!(
            access.endpoint.as_str(),
            "http://127.0.0.1:10000/devstoreaccount1"
        );
        let access =
            connection("BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=abc%3D").expect("a sas");
        assert_eq!(access.account, "acme");
        assert!(matches!(access.proof, Proof::Sas(_)));
    }

    #[test]
    fn faults_of_a_connection_string_never_show_it() {
        for text in [
            "c2VjcmV0",
            "AccountName=acme",
            "AccountName=acme;AccountKey=c2VjcmV0!",
            "AccountKey=c2VjcmV0",
            "BlobEndpoint=ftp://x?sig=c2VjcmV0;AccountKey=c2VjcmV0",
            "BlobEndpoint=https://x;SharedAccessSignature=sv=c2VjcmV0",
            "",
        ] {
            let error = connection(text).expect_err(text);
            assert!(
                !format!("{error:?} {error}").contains("c2VjcmV0"),
                "{error}"
            );
        }
        let access = connection("AccountName=acme;AccountKey=c2VjcmV0").expect("a key");
        assert!(!format!("{access:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn an_account_is_a_name_or_an_endpoint() {
        let sas = || Auth::Sas("sig=x".to_owned().into());
        let access = resolve(Some("acme"), sas()).expect("a name");
        assert_eq!(
            access.endpoint.as_str(),
            "https://acme.blob.core.windows.net/"
        );
        let access =
            resolve(Some("http://127.0.0.1:1/devstoreaccount1/"), sas()).expect("an endpoint");
        assert_eq!(access.account, "devstoreaccount1");
        assert!(resolve(Some("Not An Account"), sas()).is_err());
        assert!(resolve(None, sas()).is_err());
    }
}
