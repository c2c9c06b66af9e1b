//! `az acr build`: a registry on Azure gets the context and builds the image itself.
//!
//! Sources: the reference of [`az acr build`](https://learn.microsoft.com/cli/azure/acr#az-acr-build) and the Azure CLI's
//! own code (`command_modules/acr/build.py`): `--file` may stand outside of the context, and a build argument without a
//! value is taken from the environment.

use async_trait::async_trait;

use super::context::BuildContext;
use super::fault::{Attempt, Step};
use super::program::Program;
use super::{Settings, dockerfile_of, failure, only_platform};
use crate::backend::{Build, BuildLog, Destination, Error, Files, Kind, Result};
use crate::model::{Digest, Image, Pinned};

const SERVICE: &str = "az acr build";

/// What the Azure CLI reads, beside what any program may. Its login is in a folder of its own, not in the environment.
const INHERITED: &[&str] = &[
    "AZURE_CONFIG_DIR",
    "AZURE_EXTENSION_DIR",
    "REQUESTS_CA_BUNDLE",
];

/// Builds by `az acr build`.
pub struct Acr {
    settings: Settings,
}

impl Acr {
    /// One with these settings. Nothing is started.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl Build for Acr {
    fn subject(&self) -> String {
        SERVICE.to_owned()
    }

    fn version(&self) -> &'static str {
        "acr 1"
    }

    async fn build(
        &self,
        image: &Image,
        tags: &[String],
        to: Destination<'_>,
        pinned: &Pinned,
        files: &dyn Files,
        log: &dyn BuildLog,
    ) -> Result<Option<Digest>> {
        let recipe = dockerfile_of(SERVICE, image)?;
        if matches!(to, Destination::Layout(_)) {
            let message = format!("{} is built in its registry alone", image.repository);
            let error = Error::new(Kind::Other, SERVICE, message);
            return Err(error.hint(
                "set `builder` to `docker` or `buildah` for images on this machine, or leave out --local",
            ));
        }
        let (registry, repository) = registry(&image.repository)?;
        let hint = "name one platform, or set `builder = \"docker\"`";
        let platform = only_platform(SERVICE, image, hint)?;
        let attempt = Attempt {
            service: SERVICE,
            program: "az",
            login: "`az login`".to_owned(),
            recipe,
        };
        let context = BuildContext::write(recipe, pinned, files)
            .await
            .map_err(|error| failure(SERVICE, &error))?;
        let image_of = |tag: &String| format!("--image={repository}:{tag}");
        let program = Program::new("az", &self.settings.environment, INHERITED)
            .args(["acr", "build", "--output=none", "--registry", registry])
            .args(tags.iter().map(image_of))
            .arg(format!("--platform={platform}"))
            // Secret arguments are the ones that Azure does not show in the run's log.
            .build_arguments("--secret-build-arg", &recipe.arguments)
            .arg("--file")
            .arg(context.dockerfile())
            .arg(context.folder());
        let doing = format!("build {}", image.repository);
        attempt.run(program, Step::Build, &doing, log).await?;
        Ok(None)
    }
}

/// The name of the registry, and that of the repository in it: `acme.azurecr.io/team/flows` is `team/flows` in `acme`.
fn registry(repository: &str) -> Result<(&str, &str)> {
    let parts = repository.split_once('/').and_then(|(host, rest)| {
        let name = host.split_once(".azurecr.")?.0;
        // `acme-f7d3b2`, where Azure made the host's name unique; a registry's own name has no hyphen.
        Some((name.split('-').next()?, rest))
    });
    parts.ok_or_else(|| {
        Error::new(
            Kind::Other,
            SERVICE,
            format!("`{repository}` is in no registry on Azure"),
        )
        .hint("name a repository such as `acme.azurecr.io/flows`, or set `builder = \"docker\"`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_known_by_its_host() {
        for (repository, expected) in [
            ("acme.azurecr.io/flows", ("acme", "flows")),
            ("acme-f7d3b2.azurecr.cn/a/b", ("acme", "a/b")),
        ] {
            assert_eq!(registry(repository).expect("on Azure"), expected);
        }
        for other in ["ghcr.io/acme/flows", "acme.azurecr.io", "flows"] {
            let error = registry(other).expect_err("elsewhere");
            assert_eq!(
                error.message,
                format!("`{other}` is in no registry on Azure")
            );
        }
    }
}
