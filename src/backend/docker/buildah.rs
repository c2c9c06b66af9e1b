//! `buildah`, which needs no daemon and no root, and gives the same bytes for the same inputs.
//!
//! Sources: the manuals [buildah-build(1)](https://github.com/containers/buildah/blob/main/docs/buildah-build.1.md),
//! buildah-push(1) and buildah-manifest-push(1).

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::context::BuildContext;
use super::fault::{Attempt, Step};
use super::program::Program;
use super::{Settings, digest, dockerfile, dockerfile_of, failure, in_full, login};
use crate::backend::{Build, BuildLog, Destination, Error, Files, Kind, Result};
use crate::model::{Digest, Image, Pinned};

const SERVICE: &str = "buildah";

/// What buildah reads, beside what any program may. No credentials: a command of the Dockerfile, which may run as root on
/// this machine, could read them from its parents.
const INHERITED: &[&str] = &[
    "BUILDAH_*",
    "CONTAINERS_*",
    "STORAGE_*",
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
];

/// Builds by `buildah`.
pub struct Buildah {
    settings: Settings,
}

impl Buildah {
    /// One with these settings. Nothing is started.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn program(&self, logins: Option<&Path>) -> Program {
        let program = Program::new("buildah", &self.settings.environment, INHERITED)
            .env("REGISTRY_AUTH_FILE", logins)
            .args(&self.settings.buildah);
        // Docker takes a folder without its file for one without logins, buildah for a fault.
        let docker = self.settings.environment.get("DOCKER_CONFIG");
        match docker.filter(|folder| !Path::new(folder).join("config.json").exists()) {
            Some(_) => program.without("DOCKER_CONFIG"),
            None => program,
        }
    }

    /// The files in which buildah looks for logins, the one that counts most last.
    fn files(&self) -> Vec<PathBuf> {
        let get = |name: &str| {
            let value = self.settings.environment.get(name);
            value.filter(|value| !value.is_empty()).map(Path::new)
        };
        let docker = get("DOCKER_CONFIG").map(Path::to_owned);
        let docker = docker.or_else(|| Some(get("HOME")?.join(".docker")));
        let own = get("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json"));
        let own = get("REGISTRY_AUTH_FILE").map(Path::to_owned).or(own);
        let docker = docker.map(|folder| folder.join("config.json"));
        docker.into_iter().chain(own).collect()
    }
}

#[async_trait]
impl Build for Buildah {
    fn subject(&self) -> String {
        SERVICE.to_owned()
    }

    fn version(&self) -> &'static str {
        "buildah 1"
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
        let repository = in_full(&image.repository);
        let host = login::host(&image.repository);
        let attempt = Attempt {
            service: SERVICE,
            program: "buildah",
            login: format!("`buildah login {host}`"),
            recipe,
        };
        let run = async |program: Program, step: Step, doing: &str| {
            attempt.run(program, step, doing, log).await.map(drop)
        };
        let Some(last) = tags.last() else {
            return Err(Error::new(Kind::Other, SERVICE, "no tag to push to"));
        };
        let context = BuildContext::write(recipe, pinned, files)
            .await
            .map_err(|error| failure(SERVICE, &error))?;

        let logins = login::needed(&self.settings, image, pinned).await?;
        let file = if logins.is_empty() {
            None
        } else {
            let folder = login::for_buildah(&self.files(), &logins);
            Some(folder.map_err(|error| failure(SERVICE, &error))?)
        };
        let logins = file.as_ref().map(|folder| folder.path().join(login::AUTH));
        let logins = logins.as_deref();

        // `--tls-verify=false` on the build would be for all of its bases.
        for (base, digest) in &pinned.bases {
            let base = dockerfile::by_digest(base, digest);
            if !self.settings.is_plain(&base) {
                continue;
            }
            for platform in &image.platforms {
                let program = self
                    .program(logins)
                    .args(["pull", "--quiet", "--tls-verify=false"])
                    .args(["--platform", platform, &base]);
                let doing = format!("pull {base}");
                run(program, Step::Transfer, &doing).await?;
            }
        }

        // An index has a name of its own in the storage, because a build adds to one that is there.
        let index = (image.platforms.len() > 1).then(|| {
            let folder = context.folder();
            let unique = folder.parent().and_then(Path::file_name);
            let unique = unique.map(|one| one.to_string_lossy().to_lowercase());
            format!("localhost/{}:index", unique.unwrap_or_default())
        });
        // One layer a command, which the next build and push can do without. Its cache takes what was made on `scratch`
        // for one platform for another's (1.28).
        let layers = !recipe.bases.is_empty();
        let name = format!("{repository}:{last}");
        let network = self.settings.network.as_ref();
        let doing = format!("build {}", image.repository);
        let mut result = Ok(());
        // One by one: of platforms at once, the order in the index would be that in which they are done.
        for platform in &image.platforms {
            if result.is_err() {
                break;
            }
            let program = self
                .program(logins)
                // Makes two builds the same.
                .args(["build", "--timestamp=0"])
                .args(layers.then_some("--layers"))
                .arg(format!("--platform={platform}"))
                .args(match &index {
                    Some(index) => ["--manifest", index],
                    None => ["--tag", &name],
                })
                .args(network.map(|network| format!("--network={network}")))
                .build_arguments("--build-arg", &recipe.arguments)
                .arg("--file")
                .arg(context.dockerfile())
                .arg(context.folder());
            result = run(program, Step::Build, &doing).await;
        }

        let output = context.output();
        let (command, from): (&[&str], _) = match &index {
            Some(index) => (&["manifest", "push", "--all"], index),
            None => (&["push"], &name),
        };
        let plain = self.settings.is_plain(&repository);
        let targets: Vec<(String, String)> = match to {
            Destination::Registry => {
                let names = tags.iter().map(|tag| format!("{repository}:{tag}"));
                names.map(|to| (format!("docker://{to}"), to)).collect()
            }
            Destination::Layout(folder) => {
                let place = folder.display().to_string();
                vec![(format!("oci:{place}:{last}"), place)]
            }
        };
        for (target, named) in targets {
            if result.is_err() {
                break;
            }
            let program = self
                .program(logins)
                .args(command)
                .args((plain && target.starts_with("docker:")).then_some("--tls-verify=false"))
                .arg("--digestfile")
                .arg(&output)
                .arg(from)
                .arg(target);
            let doing = format!("push {named}");
            result = run(program, Step::Transfer, &doing).await;
        }
        if let Some(index) = &index {
            // What it names stays, as the cache of the next build.
            let _ = self
                .program(None)
                .args(["manifest", "rm", index])
                .quiet()
                .await;
        }
        result?;
        let text = std::fs::read_to_string(output).unwrap_or_default();
        Ok(digest(&text))
    }
}
