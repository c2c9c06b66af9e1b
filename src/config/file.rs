//! `flowyard.toml` as written: kebab-case keys, unknown ones refused.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use serde::Deserialize;
use toml::Spanned;

use super::faulty::{self, Faulty};
use super::{FILE, check};
use crate::model;

/// A text with its place.
pub(super) type Text = Spanned<String>;

/// Texts without their places.
pub(super) fn plain(texts: Vec<Text>) -> Vec<String> {
    texts.into_iter().map(Text::into_inner).collect()
}

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct File {
    /// `owner/name`, our mark on what we register.
    pub(super) repository: Option<Text>,
    /// `.env` files, from the root.
    pub(super) env_files: Vec<Text>,
    /// What `terraform output -json` wrote, from the root.
    pub(super) terraform_outputs: Vec<Text>,
    pub(super) projects: Projects,
    pub(super) prefect: Prefect,
    pub(super) storage: Storage,
    pub(super) python: Python,
    pub(super) image: Image,
    pub(super) vars: BTreeMap<String, Spanned<toml::Value>>,
    pub(super) environments: BTreeMap<Text, Overlay>,
    /// Read with the deployments that come of it, each value with its place.
    pub(super) flows: Option<toml::Value>,
    /// Likewise.
    pub(super) legacy: Option<toml::Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Projects {
    pub(super) include: Option<Vec<Text>>,
    pub(super) exclude: Option<Vec<Text>>,
    pub(super) shared: Option<Vec<Text>>,
    pub(super) depends_on: Option<Vec<Text>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Prefect {
    pub(super) version: Option<Spanned<toml::Value>>,
    pub(super) api_url: Option<Text>,
    pub(super) work_pool: Option<String>,
    pub(super) work_queue: Option<String>,
    pub(super) credentials: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Storage {
    pub(super) url: Option<Text>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Python {
    pub(super) environment: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Image {
    pub(super) repository: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) base: Option<Text>,
    pub(super) builder: Option<Text>,
    pub(super) platforms: Option<Vec<Text>>,
    pub(super) python: Option<Text>,
    pub(super) code: Option<bool>,
    pub(super) build: Option<bool>,
    pub(super) user: Option<String>,
    pub(super) environment: Option<BTreeMap<String, String>>,
    pub(super) cache: Option<bool>,
    pub(super) compression: Option<Text>,
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
    /// The environment whose place it takes.
    pub(super) takes_over: Option<Text>,
    pub(super) prefect: Prefect,
    pub(super) storage: Storage,
    pub(super) image: Image,
    pub(super) vars: BTreeMap<String, Spanned<toml::Value>>,
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
    /// Parses the text; an error has its line and column. Values that mean nothing are told together.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let error = match toml::from_str::<Self>(text) {
            Ok(file) => {
                check::file(&file, text)?;
                return Ok(file);
            }
            Err(error) => error,
        };
        let place = faulty::place(text, &error.span().unwrap_or_default());
        let Some((unknown, known)) = unknown_field(error.message()) else {
            return Err(Faulty::at(place, error.message().replace('\n', ", ")));
        };
        if let Some((_, variable)) = SECRETS.iter().find(|(key, _)| *key == unknown) {
            let message = format!(
                "a secret does not belong into a file; set {variable} instead of `{unknown}`"
            );
            return Err(Faulty::at(place, message));
        }
        let near = known
            .iter()
            .map(|one| (strsim::jaro_winkler(one, &unknown), one))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = match near {
            Some((_, near)) => format!("did you mean `{near}`?"),
            None => format!("known are: {}", known.join(", ")),
        };
        Err(Faulty::at(
            place,
            format!("unknown key `{unknown}`; {hint}"),
        ))
    }
}

impl File {
    /// What counts in an environment: what its own name says, else the glob that matches it.
    pub(super) fn overlay(&self, name: &str) -> anyhow::Result<Overlay> {
        let declared = || self.environments.keys().map(|name| name.get_ref().as_str());
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
