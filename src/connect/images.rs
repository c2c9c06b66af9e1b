//! Who makes which image, and where images are looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use secrecy::SecretString;

use crate::backend::docker::{self, Acr, Buildah, Docker};
use crate::backend::oci::layout::Layout;
use crate::backend::oci::{
    self, Compression, Credentials, Login, Oci, Reference, Registries, Repositories, Uv, Version,
};
use crate::backend::{Build, BuildLog, Destination, Error, Files, Images, Kind, Logins, Result};
use crate::config::{self, Config};
use crate::model::{Builder, Digest, Image, Pinned, Recipe};
use crate::process::is_for_uv;

/// Images in registries; those on Azure are shown `entra`.
pub(super) fn remote(
    config: &Config,
    entra: Option<Arc<dyn TokenCredential>>,
) -> anyhow::Result<Arc<dyn Images>> {
    let registries = Arc::new(registries(config, entra)?);
    let programs = programs(config, Some(registries.clone()));
    let registries: Arc<dyn Repositories> = registries;
    let sources = vec![registries.clone()];
    Ok(Arc::new(ByRecipe {
        oci: Oci::new(oci_settings(config)?, registries.clone(), sources),
        registries,
        programs,
        layout: None,
    }))
}

/// Images in a layout below `folder`; what they are made on comes from there or from a registry.
pub(super) fn local(config: &Config, folder: &Path) -> anyhow::Result<Arc<dyn Images>> {
    let layout = Layout::new(folder.join("images"));
    let target: Arc<dyn Repositories> = Arc::new(layout.clone());
    let registries = Arc::new(registries(config, None)?);
    let programs = programs(config, Some(registries.clone()));
    let registries: Arc<dyn Repositories> = registries;
    let sources = vec![target.clone(), registries.clone()];
    Ok(Arc::new(ByRecipe {
        oci: Oci::new(oci_settings(config)?, target, sources),
        registries,
        programs,
        layout: Some(layout),
    }))
}

fn registries(
    config: &Config,
    entra: Option<Arc<dyn TokenCredential>>,
) -> anyhow::Result<Registries> {
    Ok(Registries::new(oci::Options {
        credentials: credentials(&config.image, entra)?,
        insecure: config.image.insecure.iter().cloned().collect(),
    })?)
}

/// Who we are to registries. What the environment says is for the one registry that it is meant for; every other would be
/// told a secret that is none of its business.
fn credentials(
    image: &config::Image,
    entra: Option<Arc<dyn TokenCredential>>,
) -> anyhow::Result<Credentials> {
    let environment = &image.programs.0;
    let at = |host: &str, (username, password): &(String, SecretString)| {
        let (username, password) = (username.clone(), password.clone());
        (host.to_owned(), Login { username, password })
    };
    let own = match image.repository.as_deref() {
        None => None,
        Some(text) => {
            let own = text.trim_end_matches('/').parse::<Reference>();
            let own = own.context(
                "read `repository` under `[image]` in flowyard.toml, or FLOWYARD_IMAGE_REPOSITORY",
            )?;
            Some(own.registry)
        }
    };
    if own.is_none() && image.login.is_some() {
        tracing::warn!(
            "FLOWYARD_REGISTRY_USERNAME and FLOWYARD_REGISTRY_PASSWORD are shown to no registry: they are for that of \
             `repository` under `[image]` in flowyard.toml (FLOWYARD_IMAGE_REPOSITORY), which is missing"
        );
    }
    let logins = own.iter().zip(&image.login);
    let logins = logins.map(|(own, pair)| at(own, pair)).collect();
    let github = image.github.iter().map(|pair| at("ghcr.io", pair));
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let docker = image
        .docker_config
        .as_ref()
        .map(|folder| Path::new(folder).join("config.json"));
    let podman = get("REGISTRY_AUTH_FILE").map(PathBuf::from).or_else(|| {
        let folder = get("XDG_RUNTIME_DIR")?;
        Some(Path::new(folder).join("containers").join("auth.json"))
    });
    Ok(Credentials {
        logins,
        files: docker.into_iter().chain(podman).collect(),
        helpers: get("PATH").map(Into::into),
        fallbacks: github.collect(),
        // Only registries on Azure are shown it; where there is none, they are asked without.
        entra,
    })
}

fn oci_settings(config: &Config) -> anyhow::Result<oci::Settings> {
    let compression = match config.image.compression.as_deref() {
        None => None,
        Some("gzip") => Some(Compression::Gzip),
        Some("zstd") => Some(Compression::Zstd),
        Some(other) => {
            bail!("`{other}` as the `compression` of `[image]` is neither gzip nor zstd")
        }
    };
    let environment = config.image.programs.0.iter();
    let environment = environment
        .filter(|(name, _)| is_for_uv(name))
        .map(|(name, value)| (name.clone(), value.clone()));
    let cache = config.image.cache_folder.as_ref();
    Ok(oci::Settings {
        uv: Uv {
            program: PathBuf::from("uv"),
            environment: environment.collect(),
        },
        cache: cache.map(|folder| Path::new(folder).join("images")),
        compression,
        bytecode: config.image.bytecode,
    })
}

fn programs(config: &Config, logins: Option<Arc<dyn Logins>>) -> BTreeMap<Builder, Arc<dyn Build>> {
    let image = &config.image;
    let settings = docker::Settings {
        environment: image.programs.0.clone(),
        network: image.network.clone(),
        registry_cache: image.cache,
        plain_http: image.insecure.iter().cloned().collect::<BTreeSet<_>>(),
        logins,
        ..docker::Settings::default()
    };
    let buildah: Arc<dyn Build> = Arc::new(Buildah::new(settings.clone()));
    // Where there is no Docker, what reads Dockerfiles as well makes its images.
    let docker: Arc<dyn Build> = match (is_there("docker", image), is_there("buildah", image)) {
        (false, true) => buildah.clone(),
        _ => Arc::new(Docker::new(settings.clone())),
    };
    BTreeMap::from([
        (Builder::Docker, docker),
        (Builder::Buildah, buildah),
        (Builder::Acr, Arc::new(Acr::new(settings)) as Arc<dyn Build>),
    ])
}

/// Whether a program is found on the PATH.
fn is_there(program: &str, image: &config::Image) -> bool {
    let path = image.programs.0.get("PATH");
    let folders = path.map(std::env::split_paths);
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    folders
        .into_iter()
        .flatten()
        .any(|folder| folder.join(&name).is_file())
}

/// All images: those of layers are made here, those of Dockerfiles by programs.
struct ByRecipe {
    oci: Oci,
    /// Where programs find bases, and where images go unless they stay on this machine.
    registries: Arc<dyn Repositories>,
    programs: BTreeMap<Builder, Arc<dyn Build>>,
    /// Where images that stay on this machine go.
    layout: Option<Layout>,
}

impl ByRecipe {
    fn program(&self, image: &Image) -> Result<&Arc<dyn Build>> {
        self.programs.get(&image.builder).ok_or_else(|| {
            let message = format!("{} reads no Dockerfile", image.builder);
            Error::new(Kind::Other, &image.repository, message)
        })
    }

    /// The digest of a base of a Dockerfile; `None` where it is left to the program: on this machine it may be known to
    /// Docker alone, and a registry need not be reached.
    async fn base(&self, written: &str) -> Result<Option<Digest>> {
        let reference = parse(written)?;
        let repository = self.registries.repository(&reference);
        match repository.head(&reference.version_or_latest()).await {
            Ok(Some(digest)) => return Ok(Some(digest)),
            Ok(None) | Err(_) if self.layout.is_some() => return Ok(None),
            Ok(None) => {}
            Err(error) => return Err(error),
        }
        let error = Error::new(Kind::NotFound, written, "there is no such base image");
        Err(error.hint("check the name after `FROM`, and whether its registry needs a login"))
    }
}

#[async_trait]
impl Images for ByRecipe {
    fn subject(&self) -> String {
        self.oci.subject()
    }

    async fn find(&self, reference: &str) -> Result<Option<Digest>> {
        self.oci.find(reference).await
    }

    async fn resolve(&self, reference: &str) -> Result<Option<Digest>> {
        self.oci.resolve(reference).await
    }

    async fn pin(&self, image: &Image, files: &dyn Files) -> Result<Pinned> {
        let Recipe::Dockerfile(dockerfile) = &image.recipe else {
            return self.oci.pin(image, files).await;
        };
        let mut pinned = Pinned {
            builder: self.program(image)?.version().to_owned(),
            ..Pinned::default()
        };
        for base in &dockerfile.bases {
            if let Some(digest) = self.base(base).await? {
                pinned.bases.insert(base.clone(), digest);
            }
        }
        Ok(pinned)
    }

    async fn build(
        &self,
        image: &Image,
        pinned: &Pinned,
        files: &dyn Files,
        log: &dyn BuildLog,
    ) -> Result<Digest> {
        if !matches!(image.recipe, Recipe::Dockerfile(_)) {
            return self.oci.build(image, pinned, files, log).await;
        }
        let program = self.program(image)?;
        let tag = Image::identity(&image.inputs(pinned)).to_string();
        let mut tags = image.tags.clone();
        tags.push(tag.clone());
        let reference = parse(&image.repository)?;
        if let Some(layout) = &self.layout {
            let folder = tempfile::tempdir().map_err(|error| {
                let message = format!("make a folder for the image: {error}");
                Error::new(Kind::Other, program.subject(), message)
            })?;
            let made = folder.path().join("layout");
            program
                .build(image, &tags, Destination::Layout(&made), pinned, files, log)
                .await?;
            return layout.take(&made, &reference.name(), &tags).await;
        }
        let told = program
            .build(image, &tags, Destination::Registry, pinned, files, log)
            .await?;
        // What the registry has is what counts.
        let reference = reference.with(Version::Tag(tag));
        let repository = self.registries.repository(&reference);
        let found = repository.head(&reference.version_or_latest()).await?;
        match (found, told) {
            (Some(found), Some(told)) if found != told => {
                let message = format!("{reference} is {found} and not {told}, which was pushed");
                Err(Error::new(Kind::Conflict, program.subject(), message)
                    .hint("someone else pushes the same tag; run the deploy again"))
            }
            (Some(found), _) => Ok(found),
            (None, _) => {
                let message = format!("{reference} was pushed, and is not there");
                Err(Error::new(Kind::Unavailable, program.subject(), message))
            }
        }
    }
}

fn parse(text: &str) -> Result<Reference> {
    text.parse().map_err(|error: oci::ParseReferenceError| {
        Error::new(Kind::Other, text, error.to_string())
            .hint("write it as registry.example.org/acme/flows")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The user names by the hosts that they are for, first those that count before files.
    fn users(repository: Option<&str>) -> anyhow::Result<[Vec<(String, String)>; 2]> {
        let pair = |user: &str| Some((user.to_owned(), SecretString::from("hush")));
        let image = config::Image {
            repository: repository.map(str::to_owned),
            login: pair("robot"),
            github: pair("job"),
            ..config::Image::default()
        };
        let users = |logins: BTreeMap<String, Login>| {
            let users = logins.into_iter().map(|(host, one)| (host, one.username));
            users.collect()
        };
        let found = credentials(&image, None)?;
        Ok([users(found.logins), users(found.fallbacks)])
    }

    #[test]
    fn a_password_is_for_the_registry_that_it_was_given_for() {
        for (repository, host) in [
            (None, None),
            (Some("acme.azurecr.io/flows/"), Some("acme.azurecr.io")),
            (Some("ghcr.io/acme/flows"), Some("ghcr.io")),
            (Some("acme/flows"), Some("docker.io")),
        ] {
            let [given, fallbacks] = users(repository).expect("a repository");
            let robot = host.map(|host| (host.to_owned(), "robot".to_owned()));
            assert_eq!(given, Vec::from_iter(robot), "{repository:?}");
            assert_eq!(fallbacks, [("ghcr.io".to_owned(), "job".to_owned())]);
        }
        let error = users(Some("https://acme.azurecr.io/flows")).expect_err("no repository");
        assert_eq!(
            format!("{error:#}"),
            "read `repository` under `[image]` in flowyard.toml, or FLOWYARD_IMAGE_REPOSITORY: \
             `https://acme.azurecr.io/flows` is no name of an image: leave out the scheme"
        );
    }
}
