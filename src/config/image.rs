//! `[image]`, and what the environment says of images and registries.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;

use super::file::{self, Text};
use super::{Environment, Put};
use crate::model::Builder;

/// How images are made, and where they go.
#[derive(Debug, Default)]
pub struct Image {
    /// `registry.example.org/acme/flows`; without it nothing is built.
    pub repository: Option<String>,
    /// An image that is not built here, which deployments without one of their own run in, pinned by its digest.
    pub name: Option<String>,
    /// What images without a Dockerfile are made on: `python:3.12-slim`. A `name` beside it comes first for deployments that
    /// say neither; it was said where more counts.
    pub base: Option<String>,
    /// Who makes them; `None` where that is left to each image.
    pub builder: Option<Builder>,
    /// `linux/amd64` and the like; empty for that alone.
    pub platforms: Vec<String>,
    /// The Python of the base, `3.12`, where it does not tell.
    pub python: Option<String>,
    /// Whether the images that steps of `prefect.yaml` files build are built here.
    pub build: bool,
    /// Whether images hold the code.
    pub code: bool,
    /// The user that they run as.
    pub user: Option<String>,
    /// Variables of their environment.
    pub environment: BTreeMap<String, String>,
    /// Whether `docker buildx` keeps its cache in the registry.
    pub cache: bool,
    /// How layers of our own are packed, `gzip` or `zstd`, as written; `None` where the base decides.
    pub compression: Option<String>,
    /// Whether the packages of images of our own are compiled to byte code.
    pub bytecode: bool,
    /// The network of the commands that builds run, such as `host`.
    pub network: Option<String>,
    /// Hosts, with their port, that are spoken to without TLS.
    pub insecure: Vec<String>,
    /// `FLOWYARD_REGISTRY_USERNAME` and `FLOWYARD_REGISTRY_PASSWORD`.
    pub login: Option<(String, SecretString)>,
    /// `GITHUB_ACTOR` and `GITHUB_TOKEN`, for ghcr.io.
    pub github: Option<(String, SecretString)>,
    /// The folder of docker's `config.json`: `DOCKER_CONFIG`, else `~/.docker`; `None` where neither is known.
    pub docker_config: Option<String>,
    /// What the programs that build are chosen from: where they are found, and what they listen to.
    pub programs: Programs,
    /// The folder for what is worth keeping between runs: below `XDG_CACHE_HOME`, else `~/.cache`.
    pub cache_folder: Option<String>,
}

/// The process's environment, for programs that build; each is given what it needs of it. Debugging shows the names only.
#[derive(Clone, Default)]
pub struct Programs(pub Environment);

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Image {
    /// Joins the environment, the chosen environment's overlay and the file, in this order.
    pub(super) fn new(
        file: file::Image,
        over: file::Image,
        environment: &Environment,
        put: &Put<'_>,
    ) -> anyhow::Result<Self> {
        let plain = |text: Option<Text>| text.map(Text::into_inner);
        let variable = |name: &str| {
            environment
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        let list = |name: &str, written: Option<Vec<String>>| match variable(name) {
            Some(text) => super::separated(&text).collect(),
            None => written.unwrap_or_default(),
        };
        let login = |user: &str, password: &str| {
            Some((variable(user)?, SecretString::from(variable(password)?)))
        };
        let below_home = |folder: &str| variable("HOME").map(|home| format!("{home}/{folder}"));
        // Either says what an image is, so that the first who says one of them has the word. The base is for images of
        // `dockerfile: auto` all the same.
        let sources = [
            (
                // Recipes of Pangeo Forge name it so.
                variable("FLOWYARD_IMAGE_NAME").or_else(|| variable("BAKERY_IMAGE")),
                variable("FLOWYARD_IMAGE_BASE"),
            ),
            (plain(over.name), plain(over.base)),
            (plain(file.name), plain(file.base)),
        ];
        let said =
            |(name, base): &(Option<String>, Option<String>)| name.is_some() || base.is_some();
        let name = sources.iter().find(|one| said(one));
        let name = name.and_then(|(name, _)| name.clone());
        let base = sources.into_iter().find_map(|(_, base)| base);
        let mut variables = file.environment.unwrap_or_default();
        variables.extend(over.environment.unwrap_or_default());
        Ok(Self {
            repository: variable("FLOWYARD_IMAGE_REPOSITORY")
                .or(put.text(over.repository.as_ref())?)
                .or(put.text(file.repository.as_ref())?),
            name,
            base,
            builder: variable("FLOWYARD_IMAGE_BUILDER")
                .or(plain(over.builder))
                .or(plain(file.builder))
                .map(|name| Builder::parse(&name).map_err(anyhow::Error::msg))
                .transpose()?,
            platforms: list(
                "FLOWYARD_IMAGE_PLATFORMS",
                over.platforms.or(file.platforms).map(file::plain),
            ),
            python: variable("FLOWYARD_IMAGE_PYTHON")
                .or(plain(over.python))
                .or(plain(file.python)),
            code: over.code.or(file.code).unwrap_or_default(),
            build: over.build.or(file.build).unwrap_or(true),
            user: over.user.or(file.user),
            environment: variables,
            cache: over.cache.or(file.cache).unwrap_or_default(),
            compression: plain(over.compression.or(file.compression)),
            bytecode: over.bytecode.or(file.bytecode).unwrap_or_default(),
            network: variable("FLOWYARD_IMAGE_NETWORK")
                .or(over.network)
                .or(file.network),
            insecure: list(
                "FLOWYARD_IMAGE_INSECURE_REGISTRIES",
                over.insecure_registries.or(file.insecure_registries),
            ),
            login: login("FLOWYARD_REGISTRY_USERNAME", "FLOWYARD_REGISTRY_PASSWORD"),
            github: login("GITHUB_ACTOR", "GITHUB_TOKEN"),
            docker_config: variable("DOCKER_CONFIG").or_else(|| below_home(".docker")),
            programs: Programs(environment.clone()),
            cache_folder: variable("XDG_CACHE_HOME")
                .or_else(|| below_home(".cache"))
                .or_else(|| variable("LOCALAPPDATA"))
                .map(|folder| format!("{folder}/flowyard")),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Terraform};

    const TEXT: &str = "[image]\nbase = 'r.io/base:1'\n[environments.named.image]\nname = 'r.io/flows:1'\n\
                        [environments.other]\n";

    /// Name and base in an environment.
    fn image(
        environment: &str,
        set: &[(&str, &str)],
        text: &str,
    ) -> anyhow::Result<(Option<String>, Option<String>)> {
        let global = crate::cli::Global {
            root: None,
            env: Some(environment.to_owned()),
            local: false,
            run_steps: false,
            run_python: false,
            format: crate::cli::Format::Terminal,
            verbose: 0,
        };
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let set = set.iter().map(pair).collect();
        let image = Config::new(&global, &set, Some(text), &Terraform::default())?.image;
        Ok((image.name, image.base))
    }

    #[test]
    fn the_first_who_says_what_an_image_is_has_the_word() {
        let bakery = ("BAKERY_IMAGE", "pangeo/forge:1");
        let base = ("FLOWYARD_IMAGE_BASE", "r.io/base:2");
        let named = TEXT
            .replace("base =", "name =")
            .replace("name = 'r.io/f", "base = 'r.io/f");
        for (environment, set, text, expected) in [
            ("other", &[][..], TEXT, (None, Some("r.io/base:1"))),
            (
                "named",
                &[],
                TEXT,
                (Some("r.io/flows:1"), Some("r.io/base:1")),
            ),
            ("named", &[], &named, (None, Some("r.io/flows:1"))),
            (
                "other",
                &[bakery],
                TEXT,
                (Some("pangeo/forge:1"), Some("r.io/base:1")),
            ),
            (
                "named",
                &[bakery],
                TEXT,
                (Some("pangeo/forge:1"), Some("r.io/base:1")),
            ),
            ("named", &[base], TEXT, (None, Some("r.io/base:2"))),
        ] {
            let (name, base) = image(environment, set, text).expect("valid");
            assert_eq!(
                (name.as_deref(), base.as_deref()),
                expected,
                "{environment} {set:?}"
            );
        }
        let fault =
            |set: &[_], text: &str| image("named", set, text).expect_err("both").to_string();
        assert_eq!(
            fault(&[bakery, base], TEXT),
            "BAKERY_IMAGE and FLOWYARD_IMAGE_BASE are both set; keep one of them: an image has a name, or is made on a base"
        );
        assert_eq!(
            fault(&[], &TEXT.replace("name =", "base = 'x'\nname =")),
            "flowyard.toml:5:8: `image` has both `name` and `base`; keep one of them"
        );
    }
}
