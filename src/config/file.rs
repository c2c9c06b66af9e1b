//! `flowyard.toml` as written: kebab-case keys, unknown ones refused.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use serde::Deserialize;

use super::FILE;
use crate::model;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct File {
    /// `owner/name`, our mark on what we register.
    pub(super) repository: Option<String>,
    /// `.env` files, from the root.
    pub(super) env_files: Vec<String>,
    /// What `terraform output -json` wrote, from the root.
    pub(super) terraform_outputs: Vec<String>,
    pub(super) projects: Projects,
    pub(super) prefect: Prefect,
    pub(super) storage: Storage,
    pub(super) python: Python,
    pub(super) image: Image,
    pub(super) vars: BTreeMap<String, toml::Value>,
    pub(super) environments: BTreeMap<String, Overlay>,
    /// Read with the deployments that come of it, each value with its place.
    pub(super) flows: Option<toml::Value>,
    /// Likewise.
    pub(super) legacy: Option<toml::Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Projects {
    pub(super) include: Option<Vec<String>>,
    pub(super) exclude: Option<Vec<String>>,
    pub(super) shared: Option<Vec<String>>,
    pub(super) depends_on: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Prefect {
    pub(super) version: Option<toml::Value>,
    pub(super) api_url: Option<String>,
    pub(super) work_pool: Option<String>,
    pub(super) work_queue: Option<String>,
    pub(super) credentials: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Storage {
    pub(super) url: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Python {
    pub(super) environment: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Image {
    pub(super) repository: Option<String>,
    pub(super) name: Option<String>,
    pub(super) base: Option<String>,
    pub(super) builder: Option<String>,
    pub(super) platforms: Option<Vec<String>>,
    pub(super) python: Option<String>,
    pub(super) code: Option<bool>,
    pub(super) build: Option<bool>,
    pub(super) user: Option<String>,
    pub(super) environment: Option<BTreeMap<String, String>>,
    pub(super) cache: Option<bool>,
    pub(super) compression: Option<String>,
    pub(super) bytecode: Option<bool>,
    pub(super) network: Option<String>,
    pub(super) insecure_registries: Option<Vec<String>>,
}

/// What one environment says otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Overlay {
    /// Whether it is that of a preview.
    pub(super) preview: bool,
    pub(super) prefect: Prefect,
    pub(super) storage: Storage,
    pub(super) image: Image,
    pub(super) vars: BTreeMap<String, toml::Value>,
    /// Read with the deployments that it is about, each value with its place.
    pub(super) legacy: Option<toml::Value>,
}

/// Keys that people look for here and that must not stand in a repository.
const SECRETS: &[(&str, &str)] = &[
    ("api-key", "PREFECT_API_KEY"),
    ("auth-string", "PREFECT_API_AUTH_STRING"),
    ("connection-string", "AZURE_STORAGE_CONNECTION_STRING"),
    ("account-key", "AZURE_STORAGE_KEY"),
    ("sas-token", "AZURE_STORAGE_SAS_TOKEN"),
];

impl File {
    /// Parses the text; an error has its line and column.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let error = match toml::from_str::<Self>(text) {
            Ok(file) => {
                for name in file.environments.keys() {
                    if let Err(why) = model::check_declared(name) {
                        bail!("{FILE}: `{name}` under `[environments]` is no glob: {why}");
                    }
                }
                return Ok(file);
            }
            Err(error) => error,
        };
        let before = &text[..error.span().map_or(0, |span| span.start).min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let place = format!("{FILE}:{line}:{column}");
        let Some((unknown, known)) = unknown_field(error.message()) else {
            return Err(anyhow!("{place}: {}", error.message().replace('\n', ", ")));
        };
        if let Some((_, variable)) = SECRETS.iter().find(|(key, _)| *key == unknown) {
            bail!(
                "{place}: a secret does not belong into a file; set {variable} instead of `{unknown}`"
            );
        }
        let near = known
            .iter()
            .map(|one| (strsim::jaro_winkler(one, &unknown), one))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match near {
            Some((_, near)) => bail!("{place}: unknown key `{unknown}`; did you mean `{near}`?"),
            None => bail!(
                "{place}: unknown key `{unknown}`; known are: {}",
                known.join(", ")
            ),
        }
    }
}

impl File {
    /// What counts in an environment: what its own name says, else the glob that matches it.
    pub(super) fn overlay(&self, name: &str) -> anyhow::Result<Overlay> {
        let declared = || self.environments.keys().map(String::as_str);
        let found = model::environment(name, declared()).map_err(|several| {
            anyhow!(
                "{several} under `[environments]` in {FILE} both match `{name}`; add one of just that name, or part the \
                 globs"
            )
        })?;
        match found.and_then(|found| self.environments.get(found)) {
            Some(overlay) => Ok(overlay.clone()),
            None if self.environments.is_empty() => Ok(Overlay::default()),
            None => bail!(
                "unknown environment `{name}`; {FILE} has: {}",
                declared().collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

/// The unknown field that serde's message names, and the known ones: "unknown field `a`, expected one of `b`, `c`".
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let mut quoted = message
        .strip_prefix("unknown field ")?
        .split('`')
        .skip(1)
        .step_by(2);
    Some((
        quoted.next()?.to_owned(),
        quoted.map(str::to_owned).collect(),
    ))
}
