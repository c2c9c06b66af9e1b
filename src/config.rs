//! Flags, environment variables and `flowyard.toml` become one [`Config`].
//!
//! This is the only reader of the process's environment. What counts is, in this order: a flag, an environment
//! variable, the overlay of the chosen environment, the file, the default.

mod address;
mod alone;
mod check;
mod faulty;
mod file;
mod github;
mod image;
mod outside;
mod projects;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{anyhow, bail};
use secrecy::SecretString;
use serde_json::Value;
use toml::Spanned;

use crate::cli::Global;
use crate::model;
pub use crate::model::DEFAULT_ENVIRONMENT;
pub use faulty::Faulty;
use file::{File, Text};
pub use github::{Event, GitHub, PullRequest, is_a_job, is_debugged};
pub use image::Image;
pub use outside::{Beside, Named, Terraform, Withheld, add_env_file};
pub use projects::Projects;
pub use secrets::values as secret_values;

/// The name of the configuration file, at the root.
pub const FILE: &str = "flowyard.toml";

/// The process's environment, as far as it is text.
pub type Environment = BTreeMap<String, String>;

/// What a run is configured to.
#[derive(Debug)]
pub struct Config {
    /// Whether the embedded default serves for all backends.
    pub local: bool,
    /// The environment's name.
    pub environment: String,
    /// The environments that the file declares: names and globs.
    pub environments: BTreeSet<String>,
    /// Whether what is deployed to the environment is a preview: suffixed with its name, and starting nothing by itself.
    pub preview: bool,
    /// The environment whose place it takes: what that has of the same names becomes this one's.
    pub takes_over: Option<String>,
    /// Our mark on what we register; `None` where only the repository can tell.
    pub repository: Option<String>,
    /// Which folders may be projects.
    pub projects: Projects,
    /// How deployments are registered.
    pub prefect: Prefect,
    /// Where code goes.
    pub storage: Storage,
    /// How `.deployment.py` files are read.
    pub python: Python,
    /// How images are made, and where they go.
    pub image: Image,
    /// Values for templates.
    pub vars: BTreeMap<String, Value>,
    /// Who runs this, for the lease: `user@host`, or the run's address in CI.
    pub holder: String,
    /// The job that this is a step of; `None` outside of GitHub Actions.
    pub github: Option<GitHub>,
    /// The branch that the job is for, of which only a commit may be checked out.
    pub branch: Option<String>,
}

/// `[prefect]`.
#[derive(Debug, Default)]
pub struct Prefect {
    /// The major release that files are read for where no server is asked: 2 or 3.
    pub version: Option<u8>,
    /// The server's address, ending in `/api`.
    pub api_url: Option<String>,
    /// Prefect Cloud's key; never from the file.
    pub api_key: Option<SecretString>,
    /// `user:password` of a server of one's own; never from the file.
    pub auth_string: Option<SecretString>,
    /// The work pool of deployments that name none.
    pub work_pool: Option<String>,
    /// The queue of deployments that name no pool.
    pub work_queue: Option<String>,
    /// The template of the block with which a worker reads the storage.
    pub credentials: Option<String>,
}

/// `[python]`.
#[derive(Debug, Default)]
pub struct Python {
    /// The variables of the process's environment that `.deployment.py` files may read.
    pub environment: Vec<String>,
}

/// `[storage]`, and what the storages' own environment variables say.
#[derive(Debug, Default)]
pub struct Storage {
    /// `azure://account/container/prefix`, `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`.
    pub url: Option<String>,
    /// `AZURE_STORAGE_*` and the `AZURE_*` of an identity.
    pub azure: Azure,
    /// `AWS_*`, name and value.
    pub aws: Vec<(String, SecretString)>,
    /// `GOOGLE_*`, name and value.
    pub google: Vec<(String, SecretString)>,
}

/// What the Azure SDKs and tools read from the environment.
#[derive(Debug, Default)]
pub struct Azure {
    /// `AZURE_STORAGE_CONNECTION_STRING`.
    pub connection_string: Option<SecretString>,
    /// `AZURE_STORAGE_KEY` or `AZURE_STORAGE_ACCOUNT_KEY`.
    pub account_key: Option<SecretString>,
    /// `AZURE_STORAGE_SAS_TOKEN`.
    pub sas_token: Option<SecretString>,
    /// `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub client_secret: Option<SecretString>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<String>,
}

impl Config {
    /// Joins the three sources. `text` is the content of `flowyard.toml`, `None` where there is none; `terraform` what its
    /// addresses may name.
    pub fn new(
        global: &Global,
        environment: &Environment,
        text: Option<&str>,
        terraform: &Terraform,
    ) -> anyhow::Result<Self> {
        let file = match text {
            Some(text) => File::parse(text)?,
            None => File::default(),
        };
        check::variables(environment)?;
        let names = file.environments.keys();
        let environments: BTreeSet<String> = names.map(|name| name.get_ref().clone()).collect();
        let name = global
            .env
            .clone()
            .unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
        if !model::is_environment_name(&name) {
            bail!(
                "`{name}` cannot be an environment's name: it is part of a path in the storage and of names at the \
                 orchestrator; use letters, digits, `-`, `_`, `.`, `+` and `@`"
            );
        }
        let overlay = match &global.env {
            None => file::Overlay::default(),
            Some(name) => file.overlay(name)?,
        };

        let variable = |name: &str| {
            environment
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        let secret = |name: &str| variable(name).map(SecretString::from);
        let list = |name: &str, from_file: Option<Vec<String>>| match variable(name) {
            Some(text) => separated(&text).collect(),
            None => from_file.unwrap_or_default(),
        };
        let texts =
            |name: &str, from_file: Option<Vec<Text>>| list(name, from_file.map(file::plain));
        let all_of = |prefix: &str| -> Vec<(String, SecretString)> {
            environment
                .iter()
                .filter(|(name, _)| name.starts_with(prefix))
                .map(|(name, value)| (name.clone(), SecretString::from(value.clone())))
                .collect()
        };
        let (prefect, over) = (file.prefect, overlay.prefect);
        let put = Put {
            terraform,
            file: text.unwrap_or_default(),
        };
        let image = Image::new(file.image, overlay.image, environment, &put)?;
        let mut vars = file.vars;
        vars.extend(overlay.vars);
        Ok(Self {
            local: global.local,
            environment: name,
            environments,
            preview: overlay.preview,
            takes_over: overlay.takes_over.map(Text::into_inner),
            repository: variable("FLOWYARD_REPOSITORY")
                .or(file.repository.map(Text::into_inner))
                .or_else(|| variable("GITHUB_REPOSITORY")),
            projects: Projects {
                include: texts("FLOWYARD_PROJECTS_INCLUDE", file.projects.include),
                exclude: texts("FLOWYARD_PROJECTS_EXCLUDE", file.projects.exclude),
                shared: texts("FLOWYARD_PROJECTS_SHARED", file.projects.shared),
                depends_on: texts("FLOWYARD_PROJECTS_DEPENDS_ON", file.projects.depends_on),
                variables: projects::LISTS
                    .into_iter()
                    .filter(|(_, name)| variable(name).is_some())
                    .collect(),
            },
            prefect: Prefect {
                version: variable("FLOWYARD_PREFECT_VERSION")
                    .map(toml::Value::String)
                    .or(over.version.map(Spanned::into_inner))
                    .or(prefect.version.map(Spanned::into_inner))
                    .map(|version| check::major(&version).map_err(anyhow::Error::msg))
                    .transpose()?,
                api_url: variable("PREFECT_API_URL")
                    .or(put.text(over.api_url.as_ref())?)
                    .or(put.text(prefect.api_url.as_ref())?),
                api_key: secret("PREFECT_API_KEY"),
                auth_string: secret("PREFECT_API_AUTH_STRING"),
                work_pool: variable("FLOWYARD_PREFECT_WORK_POOL")
                    .or(over.work_pool)
                    .or(prefect.work_pool),
                work_queue: variable("FLOWYARD_PREFECT_WORK_QUEUE")
                    .or(over.work_queue)
                    .or(prefect.work_queue),
                credentials: variable("FLOWYARD_PREFECT_CREDENTIALS")
                    .or(over.credentials)
                    .or(prefect.credentials),
            },
            storage: Storage {
                url: variable("FLOWYARD_STORAGE_URL")
                    .or(put.text(overlay.storage.url.as_ref())?)
                    .or(put.text(file.storage.url.as_ref())?),
                azure: Azure {
                    connection_string: secret("AZURE_STORAGE_CONNECTION_STRING"),
                    account_key: secret("AZURE_STORAGE_KEY")
                        .or_else(|| secret("AZURE_STORAGE_ACCOUNT_KEY")),
                    sas_token: secret("AZURE_STORAGE_SAS_TOKEN"),
                    tenant_id: variable("AZURE_TENANT_ID"),
                    client_id: variable("AZURE_CLIENT_ID"),
                    client_secret: secret("AZURE_CLIENT_SECRET"),
                    federated_token_file: variable("AZURE_FEDERATED_TOKEN_FILE"),
                },
                aws: all_of("AWS_"),
                google: all_of("GOOGLE_"),
            },
            python: Python {
                environment: list("FLOWYARD_PYTHON_ENVIRONMENT", file.python.environment),
            },
            image,
            vars: vars
                .into_iter()
                .map(|(name, value)| match check::scalar(value.get_ref()) {
                    Ok(value) => Ok((name, value)),
                    Err(why) => Err(anyhow!("`{name}` under `vars` {why}")),
                })
                .collect::<anyhow::Result<_>>()?,
            holder: holder(environment),
            github: GitHub::new(environment),
            branch: github::branch_of_job(environment, overlay.preview),
        })
    }
}

/// The process's environment; a name or value that is not Unicode is left out.
pub fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What stands between the commas of a variable.
fn separated(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(',').map(|one| one.trim().to_owned());
    parts.filter(|one| !one.is_empty())
}

/// Puts Terraform's outputs into texts of the file.
struct Put<'a> {
    terraform: &'a Terraform,
    /// The file's text.
    file: &'a str,
}

impl Put<'_> {
    fn text(&self, text: Option<&Text>) -> anyhow::Result<Option<String>> {
        let Some(text) = text else {
            return Ok(None);
        };
        let put = self.terraform.put(text.get_ref());
        put.map(Some)
            .map_err(|error| Faulty::at(faulty::place(self.file, &text.span()), error.to_string()))
    }
}

/// Who this process is, for people. Containers often begin with the same number of a process and know no name of their
/// machine: when it began tells them apart.
fn holder(environment: &Environment) -> String {
    let get = |name: &str| environment.get(name);
    let begun = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let process = format!("{} begun at {begun}", std::process::id());
    if let (Some(server), Some(repository), Some(run)) = (
        get("GITHUB_SERVER_URL"),
        get("GITHUB_REPOSITORY"),
        get("GITHUB_RUN_ID"),
    ) {
        let attempt = get("GITHUB_RUN_ATTEMPT").map_or("1", String::as_str);
        return format!(
            "{server}/{repository}/actions/runs/{run}/attempts/{attempt}, process {process}"
        );
    }
    let user = get("USER")
        .or_else(|| get("USERNAME"))
        .map_or("someone", String::as_str);
    let host = get("HOSTNAME")
        .or_else(|| get("COMPUTERNAME"))
        .map_or("this machine", String::as_str);
    format!("{user} at {host}, process {process}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(env: Option<&str>) -> Global {
        Global {
            root: None,
            env: env.map(str::to_owned),
            local: false,
            run_steps: false,
            run_python: false,
            format: crate::cli::Format::Terminal,
            verbose: 0,
        }
    }

    fn new(global: &Global, set: &Environment, text: &str) -> anyhow::Result<Config> {
        Config::new(global, set, Some(text), &Terraform::default())
    }

    const TEXT: &str = "repository = 'acme/flows'\n[prefect]\napi-url = 'http://file/api'\nwork-pool = 'aks'\n[vars]\nlimit = 5\n[environments.prod.prefect]\nwork-pool = 'aks-prod'\n[environments.prod.vars]\nlimit = 50\n";

    #[test]
    fn later_sources_win() {
        let none = Environment::new();
        let config = new(&global(None), &none, TEXT).expect("valid");
        assert_eq!(
            (
                config.environment.as_str(),
                config.prefect.work_pool.as_deref()
            ),
            ("default", Some("aks"))
        );
        let config = new(&global(Some("prod")), &none, TEXT).expect("valid");
        assert_eq!(config.prefect.work_pool.as_deref(), Some("aks-prod"));
        assert_eq!(config.vars["limit"], Value::from(50));
        for (text, version) in [("2", 2), ("'2.20.26'", 2), ("3", 3), ("3.8", 3)] {
            let text = format!("[prefect]\nversion = {text}\n");
            let config = new(&global(None), &none, &text).expect("valid");
            assert_eq!(config.prefect.version, Some(version));
        }
        let set = Environment::from([
            ("FLOWYARD_PREFECT_WORK_POOL".to_owned(), "other".to_owned()),
            ("PREFECT_API_URL".to_owned(), String::new()),
            ("PREFECT_API_KEY".to_owned(), "pnu_secret".to_owned()),
        ]);
        let config = new(&global(Some("prod")), &set, TEXT).expect("valid");
        assert_eq!(config.prefect.work_pool.as_deref(), Some("other"));
        assert_eq!(config.prefect.api_url.as_deref(), Some("http://file/api"));
        assert!(!format!("{config:?}").contains("pnu_secret"));
    }

    #[test]
    fn a_job_is_for_a_branch() {
        let of = |preview, set: &[(&str, &str)]| {
            let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            github::branch_of_job(&set.iter().map(pair).collect(), preview)
        };
        let job = ("GITHUB_ACTIONS", "true");
        let push = [job, ("GITHUB_REF", "refs/heads/feature/x")];
        assert_eq!(of(false, &push).as_deref(), Some("feature/x"));
        assert_eq!(of(false, &push[1..]), None);
        assert_eq!(of(false, &[job, ("GITHUB_REF", "refs/tags/v1")]), None);
        let request = [
            job,
            ("GITHUB_REF", "refs/pull/7/merge"),
            ("GITHUB_HEAD_REF", "feature"),
            ("GITHUB_BASE_REF", "main"),
        ];
        assert_eq!(of(false, &request).as_deref(), Some("main"));
        assert_eq!(of(true, &request).as_deref(), Some("feature"));
    }

    #[test]
    fn a_job_may_have_tokens_of_its_own() {
        let of = |names: &[&str]| {
            let pair = |name: &&str| ((*name).to_owned(), format!("{name}-hush"));
            let mut set: Environment = names.iter().map(pair).collect();
            set.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
            new(&global(None), &set, TEXT).expect("valid")
        };
        let (url, token) = (
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        );
        let (tenant, client) = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID");
        let config = of(&[url, token, tenant, client]);
        assert!(config.has_credentials());
        assert_eq!(config.secrets(), ["ACTIONS_ID_TOKEN_REQUEST_TOKEN-hush"]);
        assert!(!format!("{config:?}").contains("REQUEST_TOKEN-hush"));
        // Whoever the job is, nobody was told that it is someone to Azure; or a fork's may not say who it is.
        for names in [
            &[url, token][..],
            &[url, token, client],
            &[tenant, client],
            &[url, tenant, client],
        ] {
            assert!(!of(names).has_credentials(), "{names:?}");
        }
    }

    #[test]
    fn a_glob_is_the_overlay_of_all_that_it_matches() {
        let none = Environment::new();
        let text = "[environments.\"pr-*\"]\npreview = true\nvars = { a = 1 }\n[environments.pr-7.vars]\na = 7\n";
        let of = |name| new(&global(Some(name)), &none, text).expect("valid");
        let config = of("pr-12");
        assert_eq!(
            (config.environment.as_str(), config.preview),
            ("pr-12", true)
        );
        assert_eq!(config.vars["a"], Value::from(1));
        let config = of("pr-7");
        assert_eq!(
            (config.preview, &config.vars["a"]),
            (false, &Value::from(7))
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let none = Environment::new();
        let error = |env, text| {
            new(&global(env), &none, text)
                .expect_err("wrong")
                .to_string()
        };
        assert_eq!(
            error(Some("prd"), TEXT),
            "unknown environment `prd`; flowyard.toml has: prod"
        );
        assert_eq!(
            error(None, "[prefect]\nwork-pol = 'x'\n"),
            "flowyard.toml:2:1: unknown key `work-pol`; did you mean `work-pool`?"
        );
        assert!(error(None, "[prefect]\napi-key = 'x'\n").contains("PREFECT_API_KEY"));
        assert!(error(None, "[prefect]\nversion = 1\n").contains("write 2 or 3"));
        assert!(error(None, "[vars]\nx = [1]\n").contains("`x` under `vars` is a list"));
        for name in ["../x", "pr-*", "feature/x", "a b"] {
            assert!(error(Some(name), "").contains("part of a path"), "{name}");
        }
        let globs = "[environments.\"pr-*\"]\n[environments.\"*-1\"]\n";
        assert_eq!(
            error(Some("pr-1"), globs),
            "`*-1` and `pr-*` under `[environments]` in flowyard.toml both match `pr-1`; add one of just that name, or \
             part the globs"
        );
        assert!(
            error(None, "[environments.\"pr-[\"]\n")
                .starts_with("flowyard.toml:1:15: `pr-[` is no glob: ")
        );
        assert!(error(None, "a = = 1").starts_with("flowyard.toml:1:5: "));
    }
}
