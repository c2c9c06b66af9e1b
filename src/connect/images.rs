//! Who makes which image, and where images are looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use async_trait::async_trait;
use azure_core::credentials::TokenCredential;

use crate::backend::docker::{self, Acr, Buildah, Docker};
use crate::backend::oci::layout::Layout;
use crate::backend::oci::{
    self, Compression, Credentials, DOCKER_HUB, Login, Oci, Reference, Registries, Repositories,
    Uv, Version,
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
    let image = &config.image;
    let environment = &image.programs.0;
    let mut logins = BTreeMap::new();
    let mut login = |host: String, pair: &Option<(String, secrecy::SecretString)>| {
        if let Some((username, password)) = pair {
            let (username, password) = (username.clone(), password.clone());
            logins.insert(host, Login { username, password });
        }
    };
    login("ghcr.io".to_owned(), &image.github);
    let own = image.repository.as_ref().and_then(|text| text.parse().ok());
    let own = own.map_or_else(|| DOCKER_HUB.to_owned(), |own: Reference| own.registry);
    login(own, &image.login);
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let docker = image
        .docker_config
        .as_ref()
        .map(|folder| Path::new(folder).join("config.json"));
    let podman = get("REGISTRY_AUTH_FILE").map(PathBuf::from).or_else(|| {
        let folder = get("XDG_RUNTIME_DIR")?;
        Some(Path::new(folder).join("containers").join("auth.json"))
    });
    let credentials = Credentials {
        logins,
        files: docker.into_iter().chain(podman).collect(),
        helpers: get("PATH").map(Into::into),
        // Only registries on Azure are shown it; where there is none, they are asked without.
        entra,
    };
    Ok(Registries::new(oci::Options {
        credentials,
        insecure: image.insecure.iter().cloned().collect(),
    })?)
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

    async fn tag(&self, repository: &str, digest: &Digest, tags: &[String]) -> Result<()> {
        self.oci.tag(repository, digest, tags).await
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
