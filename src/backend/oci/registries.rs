//! All registries of a run: one HTTP client, the credentials, and what each registry has told so far.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use super::host::Host;
use super::{Credentials, Reference, Registry};
use crate::backend::{Logins, Result, transfer};

/// How registries are spoken to.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where credentials come from.
    pub credentials: Credentials,
    /// Hosts, with their ports, that are spoken to in plain http; those of this machine are anyway.
    pub insecure: BTreeSet<String>,
}

/// All registries: one HTTP client, the credentials and the tokens gotten with them. Cheap to clone.
#[derive(Clone)]
pub struct Registries {
    shared: Arc<Shared>,
}

struct Shared {
    client: reqwest::Client,
    credentials: Arc<Credentials>,
    insecure: BTreeSet<String>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl Registries {
    /// Prepares the client; sends nothing.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                client: transfer::patient_client()?,
                credentials: Arc::new(options.credentials),
                insecure: options.insecure,
                hosts: Mutex::default(),
            }),
        })
    }

    /// The repository that a reference names; its version does not matter. Sends nothing.
    pub fn repository(&self, reference: &Reference) -> Registry {
        Registry::new(self.host(&reference.registry), &reference.repository)
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = self
            .shared
            .hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(name.to_owned()).or_insert_with(|| {
            let plain = is_loopback(name) || self.shared.insecure.contains(name);
            let credentials = Arc::clone(&self.shared.credentials);
            let client = self.shared.client.clone();
            Arc::new(Host::new(name, plain, client, credentials))
        });
        Arc::clone(host)
    }
}

#[async_trait]
impl Logins for Registries {
    async fn login(&self, registry: &str) -> Result<Option<(String, SecretString)>> {
        self.host(registry).login().await
    }
}

/// Whether a registry is on this machine; with the port of TLS it is spoken to as any other.
fn is_loopback(registry: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{registry}/")) else {
        return false;
    };
    url.port() != Some(443)
        && match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for name in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.1.2.3",
            "[::1]:5000",
        ] {
            assert!(is_loopback(name), "{name}");
        }
        for name in [
            "localhost.example",
            "10.0.0.1:5000",
            "[::2]",
            "localhost:443",
            "docker.io",
        ] {
            assert!(!is_loopback(name), "{name}");
        }
        let registries = Registries::new(Options {
            insecure: BTreeSet::from(["r.example:5000".to_owned()]),
            ..Options::default()
        });
        let registries = registries.expect("a client");
        let url = |text: &str| {
            let reference: Reference = text.parse().expect("a reference");
            registries
                .repository(&reference)
                .url("tags/list")
                .to_string()
        };
        assert_eq!(
            url("r.example:5000/x"),
            "http://r.example:5000/v2/x/tags/list"
        );
        assert_eq!(url("r.example/x"), "https://r.example/v2/x/tags/list");
    }
}
