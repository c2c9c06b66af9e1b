//! Programs that make images from Dockerfiles: `docker`, `buildah`, and `az acr build`, where a registry on Azure does it.
//!
//! A build gets a folder with exactly the files that the image declares (`context.rs`) and the Dockerfile with its bases
//! named by the digests that were planned (`dockerfile.rs`); it cannot see anything else of the repository, and none of our
//! environment but what [`Settings::environment`] says. What the programs print is streamed to a
//! [`BuildLog`](super::BuildLog); the values of build arguments, which may be secrets, are taken out of it and of every
//! message.
//!
//! Two builds of the same inputs give the same digest with `buildah`, as far as the Dockerfile's own commands do; `docker`
//! and Azure write the time into the image. So an image is named by its inputs, and built where a registry has no such name.

mod acr;
mod archive;
mod buildah;
mod context;
#[expect(
    clippy::module_inception,
    reason = "the file of the program that the folder is named for"
)]
mod docker;
mod dockerfile;
mod fault;
mod login;
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use acr::Acr;
pub use buildah::Buildah;
pub use docker::Docker;

use super::{Error, Kind, Logins, Result};
use crate::model::{Digest, Dockerfile, Image, Recipe};

/// What the programs are started with.
#[derive(Clone, Default)]
pub struct Settings {
    /// The variables of our own environment. A program gets those of them that it needs by its documentation (where its
    /// configuration, its daemon and a proxy are), and none that is only ours, such as a key of the store.
    pub environment: BTreeMap<String, String>,
    /// The network of a build's commands, such as `host`; `None` for what the program takes by itself. Azure has no choice.
    pub network: Option<String>,
    /// Whether builds by `docker buildx` keep their cache in the image's repository, below the tag `buildcache`.
    pub registry_cache: bool,
    /// Registries that are spoken to without TLS, `host:port`. Those on this machine always are.
    pub plain_http: BTreeSet<String>,
    /// Flags that `buildah` gets before its command, such as `--root` and `--storage-driver`.
    pub buildah: Vec<String>,
    /// Logins that the programs cannot know; `None` where they are to use their own only.
    pub logins: Option<Arc<dyn Logins>>,
}

/// The tag of the cache in the image's repository.
const CACHE_TAG: &str = "buildcache";

/// An image's Dockerfile.
fn dockerfile_of<'a>(service: &str, image: &'a Image) -> Result<&'a Dockerfile> {
    match &image.recipe {
        Recipe::Dockerfile(dockerfile) => Ok(dockerfile),
        Recipe::Layers(_) | Recipe::Named => Err(Error::new(
            Kind::Other,
            service,
            format!("{} has no Dockerfile", image.repository),
        )
        .hint("set `builder = \"oci\"`, which makes images without one")),
    }
}

/// What went wrong on our side of a build, before or after the program.
fn failure(service: &str, error: &anyhow::Error) -> Error {
    Error::new(Kind::Other, service, format!("{error:#}"))
}

/// The digest in `sha256:…`; `None` where a program printed something else.
fn digest(text: &str) -> Option<Digest> {
    text.trim().strip_prefix("sha256:")?.parse().ok()
}

/// The only platform of an image, for programs that build for one at a time.
fn only_platform<'a>(service: &str, image: &'a Image, hint: &str) -> Result<&'a str> {
    match image.platforms.as_slice() {
        [one] => Ok(one),
        many => Err(Error::new(
            Kind::Other,
            service,
            format!(
                "{} is wanted for {}, and this builds for one platform only",
                image.repository,
                many.join(" and ")
            ),
        )
        .hint(hint)),
    }
}

/// A repository with its registry: `acme/flows` is `docker.io/acme/flows`, `python` is `docker.io/library/python`.
///
/// Source: the rules of [distribution/reference](https://pkg.go.dev/github.com/distribution/reference); only Docker
/// applies them by itself.
fn in_full(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

impl Settings {
    /// Whether the registry of a repository, named in full, is spoken to without TLS.
    fn is_plain(&self, repository: &str) -> bool {
        let host = repository.split('/').next().unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        ["localhost", "[::1]"].contains(&name)
            || name.starts_with("127.")
            || self.plain_http.contains(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_docker_does() {
        for (name, full) in [
            ("python", "docker.io/library/python"),
            ("acme/flows", "docker.io/acme/flows"),
            ("localhost/flows", "localhost/flows"),
            ("registry:5000/flows", "registry:5000/flows"),
            ("ghcr.io/acme/flows", "ghcr.io/acme/flows"),
        ] {
            assert_eq!(in_full(name), full);
        }
    }

    #[test]
    fn only_this_machine_and_what_is_allowed_go_without_tls() {
        let settings = Settings {
            plain_http: BTreeSet::from(["registry:5000".to_owned()]),
            ..Settings::default()
        };
        for plain in [
            "localhost/a",
            "[::1]:5/a",
            "localhost:1/a",
            "127.0.0.1:5/a",
            "registry:5000/a",
        ] {
            assert!(settings.is_plain(plain), "{plain}");
        }
        for tls in [
            "registry:5001/a",
            "docker.io/127.0.0.1",
            "ghcr.io/localhost",
        ] {
            assert!(!settings.is_plain(tls), "{tls}");
        }
    }
}
