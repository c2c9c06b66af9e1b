//! What the environment says without the file: enough to tell why there is no more.

use super::{Config, Environment, Terraform};
use crate::cli::Global;

/// The variables of ours that count without the file: the others may be what is wrong.
const ALWAYS: [&str; 3] = [
    "FLOWYARD_REPOSITORY",
    "FLOWYARD_REGISTRY_USERNAME",
    "FLOWYARD_REGISTRY_PASSWORD",
];

impl Config {
    /// What the environment says alone, for the file is of no use; of its `text` only our mark counts, where that can be told.
    /// An error where the environment's name is none.
    pub fn without_file(
        global: &Global,
        environment: &Environment,
        text: Option<&str>,
    ) -> anyhow::Result<Self> {
        let counts = |name: &str| !name.starts_with("FLOWYARD_") || ALWAYS.contains(&name);
        let mut environment = environment.clone();
        environment.retain(|name, _| counts(name));
        let mut config = Self::new(global, &environment, None, &Terraform::default())?;
        let table = text.and_then(|text| text.parse::<toml::Table>().ok());
        let mark = table.and_then(|table| Some(table.get("repository")?.as_str()?.to_owned()));
        if !environment.contains_key(ALWAYS[0]) {
            config.repository = mark.or(config.repository);
        }
        Ok(config)
    }
}
