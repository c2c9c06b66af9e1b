//! Where the credentials of a registry come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use secrecy::SecretString;

/// A user name and password, or a token in its place.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// The password, or what the registry takes for one.
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
    /// The Entra identity for registries on Azure (`*.azurecr.io`).
    pub entra: Option<Arc<dyn TokenCredential>>,
}
