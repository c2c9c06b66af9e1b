//! From the configuration to the backends; the only place that names vendors.

mod images;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use azure_core::credentials::TokenCredential;
use secrecy::ExposeSecret as _;
use url::Url;

use crate::backend::azure::{self, Container, Hide};
use crate::backend::folder::Registrations;
use crate::backend::github;
use crate::backend::object_store::{Bucket, Folder, Gcs, S3};
use crate::backend::prefect::{self, Pull, Server};
use crate::backend::{self, Host, Images, Orchestrator, Store, transfer};
use crate::config::Config;
use crate::model::Dialect;

/// Where the embedded default keeps everything, below the root.
pub const LOCAL: &str = ".flowyard";

/// What the embedded default calls images where no repository is configured.
pub const LOCAL_REPOSITORY: &str = "flowyard.local/flows";

/// What the pipeline talks to.
pub struct Backends {
    /// Releases, manifests, state and lease.
    pub store: Arc<dyn Store>,
    /// Registrations.
    pub orchestrator: Arc<dyn Orchestrator>,
    /// Images, and what makes them.
    pub images: Arc<dyn Images>,
}

/// Prepares the backends; sends nothing. `hide` is shown the secrets that come up later, before they are used. An error
/// names what is missing, and how to set it.
pub fn backends(config: &Config, root: &Path, hide: &Hide) -> anyhow::Result<Backends> {
    if config.local {
        let local = root.join(LOCAL);
        return Ok(Backends {
            store: Arc::new(Folder::open(local.join("storage"))),
            orchestrator: Arc::new(Registrations::new(
                local.join("registrations").join(&config.environment),
                dialect(config),
            )),
            images: images::local(config, &local)?,
        });
    }
    let http = transfer::client()?;
    let location = Location::of(config)?;
    Ok(Backends {
        store: location.store(config, &http, hide)?,
        orchestrator: orchestrator(config, &location, http.clone())?,
        images: images::remote(config, azure_identity(config, &http, hide).ok())?,
    })
}

/// Prepares the host of the repository that the job runs for; sends nothing. `redact` goes over every text that is sent.
/// An error names every variable that is missing.
pub fn host(config: &Config, redact: github::Redact) -> anyhow::Result<Arc<dyn Host>> {
    let Some(job) = &config.github else {
        bail!("this is no job of GitHub Actions: GITHUB_ACTIONS is not `true`");
    };
    let (Some(repository), Some(token)) = (&job.repository, &job.token) else {
        let missing = [
            (job.repository.is_none(), "GITHUB_REPOSITORY"),
            (job.token.is_none(), "GITHUB_TOKEN"),
        ];
        let missing: Vec<&str> = missing
            .iter()
            .filter(|one| one.0)
            .map(|one| one.1)
            .collect();
        bail!(
            "missing in the environment: {}; a token is handed to a step with `env: GITHUB_TOKEN: ${{{{ github.token }}}}`",
            missing.join(", ")
        );
    };
    let options = github::Options {
        api_url: parse("GitHub API's", &job.api_url, "https://host/api/v3")?,
        repository: repository.clone(),
        token: token.clone(),
        redact,
        client: transfer::client()?,
    };
    Ok(Arc::new(github::Repository::new(options)?))
}

/// The release that files are read for where no server is asked.
pub fn dialect(config: &Config) -> Dialect {
    match config.prefect.version {
        Some(2) => Dialect::Prefect2,
        _ => Dialect::Prefect3,
    }
}

/// What stands before a release's folder in the storage: empty, or ending in `/`. Empty too where no storage is
/// configured, as commands without a network need none.
pub fn storage_prefix(config: &Config) -> anyhow::Result<String> {
    if config.local || config.storage.url.is_none() {
        return Ok(String::new());
    }
    Ok(match Location::of(config)? {
        Location::Azure { prefix, .. }
        | Location::S3 { prefix, .. }
        | Location::Gcs { prefix, .. }
            if !prefix.is_empty() =>
        {
            prefix + "/"
        }
        Location::Folder(path) => format!("{}/", path.display()),
        _ => String::new(),
    })
}

/// A storage URL, taken apart.
#[derive(Clone)]
enum Location {
    Azure {
        account: String,
        container: String,
        prefix: String,
    },
    S3 {
        bucket: String,
        prefix: String,
    },
    Gcs {
        bucket: String,
        prefix: String,
    },
    Folder(PathBuf),
}

impl Location {
    fn of(config: &Config) -> anyhow::Result<Self> {
        let Some(text) = &config.storage.url else {
            bail!(
                "no storage is configured: set FLOWYARD_STORAGE_URL, or `url` under `[storage]` in flowyard.toml \
                 (azure://account/container/prefix, s3://, gs://, file://), or use --local"
            );
        };
        let url = parse("storage", text, "azure://account/container/prefix")?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            bail!(
                "the storage URL holds a secret or a query; credentials come from environment variables"
            );
        }
        let name = url.host_str().unwrap_or_default().to_owned();
        // Paths of these schemes are percent-encoded by the parser, keys are not.
        let path = percent_encoding::percent_decode_str(url.path())
            .decode_utf8()
            .with_context(|| format!("read the storage URL `{text}`"))?
            .trim_matches('/')
            .to_owned();
        let named = |what: &str| {
            if name.is_empty() {
                bail!("the storage URL `{text}` names no {what}")
            } else {
                Ok(name.clone())
            }
        };
        match url.scheme() {
            "azure" => {
                let (container, prefix) = path.split_once('/').unwrap_or((&path, ""));
                if container.is_empty() {
                    bail!(
                        "the storage URL `{text}` names no container; write azure://account/container/prefix"
                    );
                }
                Ok(Self::Azure {
                    account: named("account")?,
                    container: container.to_owned(),
                    prefix: prefix.to_owned(),
                })
            }
            "s3" => Ok(Self::S3 {
                bucket: named("bucket")?,
                prefix: path,
            }),
            "gs" => Ok(Self::Gcs {
                bucket: named("bucket")?,
                prefix: path,
            }),
            "file" => match url.to_file_path() {
                Ok(path) => Ok(Self::Folder(path)),
                Err(()) => {
                    bail!("the storage URL `{text}` is no absolute path; write file:///folder")
                }
            },
            other => bail!("unknown storage scheme `{other}`; known are azure, s3, gs and file"),
        }
    }

    fn store(
        &self,
        config: &Config,
        http: &reqwest::Client,
        hide: &Hide,
    ) -> anyhow::Result<Arc<dyn Store>> {
        Ok(match self {
            Self::Azure {
                account,
                container,
                prefix,
            } => {
                let auth = azure_auth(config, account, http, hide)?;
                Arc::new(Container::open(
                    Some(account),
                    container,
                    prefix,
                    auth,
                    http,
                )?)
            }
            Self::S3 { bucket, prefix } => {
                let settings = config.storage.aws.clone();
                let endpoint = s3_endpoint(config);
                let access = S3 {
                    allow_http: endpoint.is_some_and(|url| is_loopback(&url)),
                    settings,
                    ..S3::default()
                };
                Arc::new(Bucket::s3(bucket, prefix, &access, http)?)
            }
            Self::Gcs { bucket, prefix } => {
                let access = Gcs {
                    settings: config.storage.google.clone(),
                    ..Gcs::default()
                };
                Arc::new(Bucket::gcs(bucket, prefix, &access, http)?)
            }
            Self::Folder(path) => Arc::new(Folder::open(path)),
        })
    }

    /// How a worker gets what is stored here.
    fn pull(&self, config: &Config) -> Pull {
        let credentials = config.prefect.credentials.clone();
        match self.clone() {
            Self::Azure {
                account,
                container,
                prefix,
            } => Pull::Azure {
                account_url: if account.contains("://") {
                    account
                } else {
                    format!("https://{account}.blob.core.windows.net")
                },
                container,
                prefix,
                credentials,
            },
            Self::S3 { bucket, prefix } => Pull::S3 {
                bucket,
                prefix,
                credentials,
                endpoint: s3_endpoint(config),
            },
            Self::Gcs { bucket, prefix } => Pull::Gcs {
                bucket,
                prefix,
                credentials,
            },
            Self::Folder(path) => Pull::Folder { path },
        }
    }
}

/// Parses an address. It is not told whole where it is none: a password may stand before its `@`.
fn parse(of: &str, text: &str, example: &str) -> anyhow::Result<Url> {
    Url::parse(text).map_err(|error| {
        let shown = match text.rsplit_once('@') {
            Some((_, host)) => format!("…@{host}"),
            None => text.to_owned(),
        };
        anyhow!("the {of} URL `{shown}` is none: {error}; write it as {example}")
    })
}

fn azure_auth(
    config: &Config,
    account: &str,
    http: &reqwest::Client,
    hide: &Hide,
) -> anyhow::Result<azure::Auth> {
    let azure = &config.storage.azure;
    if let Some(text) = &azure.connection_string {
        return Ok(azure::Auth::ConnectionString(text.clone()));
    }
    if let Some(key) = &azure.account_key {
        return Ok(azure::Auth::AccountKey {
            account: account.to_owned(),
            key: key.clone(),
        });
    }
    if let Some(sas) = &azure.sas_token {
        return Ok(azure::Auth::Sas(sas.clone()));
    }
    Ok(azure::Auth::Entra(azure_identity(config, http, hide)?))
}

fn azure_identity(
    config: &Config,
    http: &reqwest::Client,
    hide: &Hide,
) -> backend::Result<Arc<dyn TokenCredential>> {
    let azure = &config.storage.azure;
    let job = match &config.github {
        None => azure::Job::None,
        Some(job) => match &job.id_token {
            None => azure::Job::Unpermitted,
            Some(one) => azure::Job::Permitted(azure::JobTokens {
                url: one.url.clone(),
                token: one.token.clone(),
                hide: Arc::clone(hide),
            }),
        },
    };
    let identity = azure::Identity {
        tenant: azure.tenant_id.clone(),
        client: azure.client_id.clone(),
        secret: azure.client_secret.clone(),
        token_file: azure.federated_token_file.clone().map(PathBuf::from),
        job,
    };
    azure::entra(identity, http)
}

fn s3_endpoint(config: &Config) -> Option<String> {
    let named = |wanted: &str| {
        config
            .storage
            .aws
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.expose_secret().to_owned())
    };
    named("AWS_ENDPOINT_URL_S3")
        .or_else(|| named("AWS_ENDPOINT_URL"))
        .or_else(|| named("AWS_ENDPOINT"))
}

/// Plain http leaves the machine nowhere else.
fn is_loopback(url: &str) -> bool {
    let host = Url::parse(url)
        .ok()
        .and_then(|url| url.host().map(|host| host.to_owned()));
    match host {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn orchestrator(
    config: &Config,
    location: &Location,
    http: reqwest::Client,
) -> anyhow::Result<Arc<dyn Orchestrator>> {
    let Some(text) = &config.prefect.api_url else {
        bail!(
            "no Prefect server is configured: set PREFECT_API_URL, or `api-url` under `[prefect]` in flowyard.toml, \
             or use --local"
        );
    };
    let api_url = parse("Prefect API's", text, "https://host/api")?;
    if !matches!(api_url.scheme(), "http" | "https") {
        let scheme = api_url.scheme();
        bail!("the Prefect API's URL is `{scheme}`, neither http nor https");
    }
    let auth = match (&config.prefect.api_key, &config.prefect.auth_string) {
        (Some(key), _) => prefect::Auth::ApiKey(key.clone()),
        (None, Some(pair)) => prefect::Auth::Basic(pair.clone()),
        (None, None) => prefect::Auth::None,
    };
    let options = prefect::Options {
        api_url,
        ui_url: None,
        auth,
        pull: location.pull(config),
        http,
    };
    Ok(Arc::new(Server::new(options)?))
}
