//! Where the credentials of a registry come from: given ones, the files of `docker login` and `podman login`, the
//! credential helpers that these name, and Microsoft Entra ID for registries on Azure.
//!
//! Source of the files' form: [docker/cli, `cli/config/types`](https://github.com/docker/cli/tree/master/cli/config) and
//! [`containers-auth.json(5)`](https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::fault::azure_name;
use super::{DOCKER_HUB, helper};
use crate::backend::{Error, Kind, Result};

/// What Docker calls its Hub in its files, and asks helpers for.
pub(super) const HUB_URL: &str = "https://index.docker.io/v1/";

/// The user name of a helper's answer whose secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// A user name and a password, or what the registry takes for one.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// The password, or a token in its place.
    pub password: SecretString,
}

/// Where credentials are looked for, in this order; nothing here reads the process's environment.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Given by name of the registry's host, `ghcr.io`, `localhost:5000`.
    pub logins: BTreeMap<String, Login>,
    /// Files as `docker login` and `podman login` write them (`config.json`, `auth.json`); the first that knows the
    /// registry counts, one that is absent is no error.
    pub files: Vec<PathBuf>,
    /// The `PATH` in which the credential helpers that the files name are looked for; `None` for that of the process.
    pub helpers: Option<OsString>,
    /// What there is anyway, such as the token that every job has, by name of the registry's host: for registries that no
    /// file knows.
    pub fallbacks: BTreeMap<String, Login>,
    /// The Entra identity for registries on Azure (`*.azurecr.io`).
    pub entra: Option<Arc<dyn TokenCredential>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("logins", &self.logins)
            .field("files", &self.files)
            .field("fallbacks", &self.fallbacks)
            .field("entra", &self.entra.is_some())
            .finish()
    }
}

/// What shows a registry, or its token server, who asks.
#[derive(Clone)]
pub(super) enum Secret {
    /// A user name and a password that we were given.
    Given(Login),
    /// Those of a file or a helper, which other programs find there too.
    Password(Login),
    /// A token that the token server takes for an access token (OAuth 2's refresh token).
    Identity(SecretString),
    /// An identity whose tokens a registry on Azure exchanges.
    Entra(Arc<dyn TokenCredential>),
}

impl Credentials {
    /// The credentials for a registry's host; `None` where there are none, and it is asked without.
    ///
    /// A broken file and a helper that fails are errors: whoever set them up does not want to be nobody.
    pub(super) async fn find(&self, registry: &str) -> Result<Option<Secret>> {
        if let Some(login) = self.logins.get(registry) {
            return Ok(Some(Secret::Given(login.clone())));
        }
        for path in &self.files {
            let Some(file) = File::read(path, registry).await? else {
                continue;
            };
            if let Some(secret) = file.find(path, registry, self.helpers.as_deref()).await? {
                return Ok(Some(secret));
            }
        }
        if let Some(login) = self.fallbacks.get(registry) {
            return Ok(Some(Secret::Given(login.clone())));
        }
        let entra = self
            .entra
            .as_ref()
            .filter(|_| azure_name(registry).is_some());
        Ok(entra.map(|entra| Secret::Entra(Arc::clone(entra))))
    }
}

/// The part of a `config.json` or `auth.json` that is about credentials.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(Default, Deserialize)]
struct Entry {
    /// `user:password` in base64.
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

impl File {
    /// Reads a file; `None` where there is none.
    async fn read(path: &Path, registry: &str) -> Result<Option<Self>> {
        let fault = |cause: String| {
            let message = format!("read credentials from {}: {cause}", path.display());
            Error::new(Kind::Denied, registry, message)
        };
        let bytes = match tokio::fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error.to_string())),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            // Its own text may quote a value.
            fault(format!("line {} is not what Docker writes", error.line()))
        })
    }

    /// Asks what the file names, in Docker's order: the helper for this registry, the helper for all, the file itself.
    async fn find(
        &self,
        path: &Path,
        registry: &str,
        helpers: Option<&OsStr>,
    ) -> Result<Option<Secret>> {
        let here = |key: &str| host(key) == Some(registry);
        let helper = match self.cred_helpers.iter().find(|(key, _)| here(key)) {
            Some((_, helper)) => helper,
            None => &self.creds_store,
        };
        if !helper.is_empty()
            && let Some(login) = helper::get(helper, path, helpers, registry).await?
        {
            return Ok(Some(if login.username == TOKEN_USER {
                Secret::Identity(login.password)
            } else {
                Secret::Password(login)
            }));
        }
        let Some((_, entry)) = self.auths.iter().find(|(key, _)| here(key)) else {
            return Ok(None);
        };
        entry.secret().map_err(|fault| {
            let message = format!("read credentials from {}: {fault}", path.display());
            Error::new(Kind::Denied, registry, message)
        })
    }
}

impl Entry {
    /// `None` for an entry that says only that a helper knows.
    fn secret(&self) -> std::result::Result<Option<Secret>, &'static str> {
        if !self.identity_token.is_empty() {
            return Ok(Some(Secret::Identity(self.identity_token.clone().into())));
        }
        let login = if self.auth.is_empty() {
            Login {
                username: self.username.clone(),
                password: self.password.clone().into(),
            }
        } else {
            let pair = BASE64_STANDARD.decode(self.auth.trim());
            let pair = pair.ok().and_then(|pair| String::from_utf8(pair).ok());
            let (username, password) = pair
                .as_ref()
                .and_then(|pair| pair.split_once(':'))
                .ok_or("an `auth` is not `user:password` in base64")?;
            Login {
                username: username.to_owned(),
                // Docker writes some with these at the end.
                password: password.trim_matches('\0').to_owned().into(),
            }
        };
        let known = !login.username.is_empty() && !login.password.expose_secret().is_empty();
        Ok(known.then_some(Secret::Password(login)))
    }
}

/// The registry that a key of the file means; `None` for podman's keys of a part of a registry.
fn host(key: &str) -> Option<&str> {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    match (host, path.trim_end_matches('/')) {
        ("index.docker.io" | "registry-1.docker.io" | DOCKER_HUB, "" | "v1" | "v2") => {
            Some(DOCKER_HUB)
        }
        (host, "" | "v1" | "v2") => Some(host),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn someone(username: &str) -> Login {
        Login {
            username: username.to_owned(),
            password: "hush".to_owned().into(),
        }
    }

    async fn found(config: &str, registry: &str) -> Result<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).expect("a file");
        let credentials = Credentials {
            files: vec![folder.path().join("absent.json"), path],
            fallbacks: BTreeMap::from([
                ("ghcr.io".to_owned(), someone("job")),
                ("absent.example".to_owned(), someone("job")),
                ("empty.example".to_owned(), someone("job")),
            ]),
            ..Credentials::default()
        };
        Ok(match credentials.find(registry).await? {
            None => "nobody".to_owned(),
            Some(Secret::Password(login)) => {
                format!("{} {}", login.username, login.password.expose_secret())
            }
            Some(Secret::Given(login)) => format!("given {}", login.username),
            Some(Secret::Identity(token)) => format!("token {}", token.expose_secret()),
            Some(Secret::Entra(_)) => "entra".to_owned(),
        })
    }

    #[tokio::test]
    async fn what_docker_and_podman_write_is_read() {
        // user:pass:word
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNzOndvcmQ="},
            "ghcr.io": {"username": "u", "password": "p"},
            "http://localhost:5000/v2/": {"auth": "dTpwAAA="},
            "acme.azurecr.io": {"auth": "MDAwOg==", "identitytoken": "refresh"},
            "quay.io/part": {"auth": "dXNlcjpwYXNzOndvcmQ="},
            "empty.example": {}
        }, "detachKeys": "ctrl-e"}"#;
        for (registry, expected) in [
            ("docker.io", "user pass:word"),
            ("ghcr.io", "u p"),
            ("localhost:5000", "u p"),
            ("acme.azurecr.io", "token refresh"),
            ("quay.io", "nobody"),
            ("other.example", "nobody"),
            // What there is anyway is for those that no file knows.
            ("empty.example", "given job"),
            ("absent.example", "given job"),
        ] {
            assert_eq!(found(config, registry).await.expect(registry), expected);
        }
        assert_eq!(
            found("{}", "ghcr.io").await.expect("an empty file"),
            "given job"
        );
    }

    #[tokio::test]
    async fn a_broken_file_is_named_and_not_quoted() {
        for config in [
            r#"{"auths": {"ghcr.io": {"auth": "hush"}}}"#,
            r#"{"auths": {"ghcr.io": {"auth": "aHVzaA=="}}}"#,
            r#"{"auths": {"ghcr.io": "hush"}}"#,
            r#"{"auths": "#,
        ] {
            let error = found(config, "ghcr.io").await.expect_err(config);
            assert_eq!(error.kind, Kind::Denied);
            let text = format!("{error:?}");
            assert!(
                text.contains("config.json") && !text.contains("hush"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn given_ones_come_first_and_are_not_shown() {
        let credentials = Credentials {
            logins: BTreeMap::from([("ghcr.io".to_owned(), someone("me"))]),
            fallbacks: BTreeMap::from([("ghcr.io".to_owned(), someone("job"))]),
            files: vec!["/proc/self/mem".into()],
            ..Credentials::default()
        };
        let found = credentials.find("ghcr.io").await.expect("no file is read");
        assert!(matches!(found, Some(Secret::Given(login)) if login.username == "me"));
        assert!(!format!("{credentials:?}").contains("hush"));
    }
}
