//! `docker`: through buildx where it is there, else through the daemon's own builder and `docker push`.
//!
//! Sources: the references of [`docker buildx build`](https://docs.docker.com/reference/cli/docker/buildx/build/),
//! [`docker build`](https://docs.docker.com/build/building/variables/) and of
//! [the registry cache](https://docs.docker.com/build/cache/backends/registry/).

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::context::{BuildContext, TIME};
use super::fault::{Attempt, Step};
use super::program::{Ended, Program};
use super::{CACHE_TAG, Settings, dockerfile_of, login, only_platform};
use crate::backend::{Build, BuildLog, Error, Files, Kind, Result};
use crate::model::{Digest, Image, Pinned};

const SERVICE: &str = "docker";

/// What Docker's client and its credential helpers read, beside what any program may.
const INHERITED: &[&str] = &[
    "DOCKER_*",
    "BUILDX_*",
    "BUILDKIT_*",
    "AWS_*",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_*",
];

/// Builds by `docker`.
pub struct Docker {
    settings: Settings,
    /// What kind of builder buildx uses; `None` where there is no buildx.
    buildx: OnceCell<Option<Driver>>,
}

/// How a builder of buildx works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    /// In the daemon itself, where a cache cannot be exported.
    Daemon,
    /// In a BuildKit of its own, which can.
    Own,
}

/// What buildx writes by `--metadata-file`, as far as it counts.
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "containerimage.digest")]
    digest: Option<String>,
}

impl Docker {
    /// One with these settings. Nothing is started.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            buildx: OnceCell::new(),
        }
    }

    fn program(&self, config: Option<&Path>) -> Program {
        Program::new("docker", &self.settings.environment, INHERITED).env("DOCKER_CONFIG", config)
    }

    /// The folder of the client's configuration.
    fn config(&self) -> Option<PathBuf> {
        let get = |name: &str| self.settings.environment.get(name);
        let own = get("DOCKER_CONFIG").filter(|folder| !folder.is_empty());
        own.map(PathBuf::from)
            .or_else(|| Some(Path::new(get("HOME")?).join(".docker")))
    }

    /// Asks once whether buildx is there. An error only where there is no Docker at all.
    async fn buildx(&self, attempt: &Attempt<'_>) -> Result<Option<Driver>> {
        let ask = async || {
            let run = async |arguments: [&str; 2]| {
                let ended = self.program(None).args(arguments).quiet().await;
                ended.map_err(|error| attempt.unstarted("docker", &error))
            };
            if !run(["buildx", "version"]).await?.success {
                return Ok(None);
            }
            // Without a daemon this fails; the build will say so.
            let inspected = run(["buildx", "inspect"]).await?;
            let is_daemon = |line: &String| {
                let driver = line.strip_prefix("Driver:");
                driver.is_some_and(|name| name.trim() == "docker")
            };
            let daemon = !inspected.success || inspected.lines.iter().any(is_daemon);
            Ok(Some(if daemon { Driver::Daemon } else { Driver::Own }))
        };
        self.buildx.get_or_try_init(ask).await.copied()
    }

    /// The part of the command line that both builders share.
    fn common(&self, program: Program, image: &Image, tags: &[String]) -> Program {
        let tag = |tag: &String| format!("--tag={}:{tag}", image.repository);
        let network = self.settings.network.as_ref();
        program
            .args(tags.iter().map(tag))
            .args(network.map(|network| format!("--network={network}")))
    }
}

#[async_trait]
impl Build for Docker {
    fn subject(&self) -> String {
        SERVICE.to_owned()
    }

    fn version(&self) -> &'static str {
        "docker 1"
    }

    async fn build(
        &self,
        image: &Image,
        tags: &[String],
        pinned: &Pinned,
        files: &dyn Files,
        log: &dyn BuildLog,
    ) -> Result<Option<Digest>> {
        let recipe = dockerfile_of(SERVICE, image)?;
        let host = login::host(&image.repository);
        let attempt = Attempt {
            service: SERVICE,
            login: format!("`docker login {host}`"),
            recipe,
        };
        let buildx = self.buildx(&attempt).await?;
        let context = BuildContext::write(recipe, pinned, files)
            .await
            .map_err(|error| Error::new(Kind::Other, SERVICE, format!("{error:#}")))?;
        let logins = login::needed(&self.settings, image, pinned).await?;
        let config = if logins.is_empty() {
            None
        } else {
            let folder = login::for_docker(self.config().as_deref(), &logins);
            Some(folder.map_err(|error| Error::new(Kind::Other, SERVICE, format!("{error:#}")))?)
        };
        let config = config.as_ref().map(TempDir::path);
        let run = async |program: Program, step: Step, doing: &str| -> Result<Ended> {
            let ended = program.run(log).await;
            let ended = ended.map_err(|error| attempt.unstarted("docker", &error))?;
            if ended.success {
                Ok(ended)
            } else {
                Err(attempt.failed(step, doing, &ended))
            }
        };
        let building = format!("build {}", image.repository);
        if let Some(driver) = buildx {
            let metadata = context.output();
            let cache = format!("type=registry,ref={}:{CACHE_TAG}", image.repository);
            // A cache is worth time, never a failed build. The last two are for registries that know only images.
            let to = format!(
                "{cache},mode=max,ignore-error=true,oci-mediatypes=true,image-manifest=true"
            );
            let cached = self.settings.registry_cache && driver == Driver::Own;
            let program = self
                .program(config)
                .args(["buildx", "build", "--push", "--progress=plain"])
                .arg("--metadata-file")
                .arg(&metadata)
                .arg(format!("--platform={}", image.platforms.join(",")));
            let program = self
                .common(program, image, tags)
                // A BuildKit of its own asks whether that is wanted.
                .args(
                    (self.settings.network.as_deref() == Some("host"))
                        .then_some("--allow=network.host"),
                )
                .args(cached.then(|| format!("--cache-from={cache}")))
                .args(cached.then(|| format!("--cache-to={to}")))
                .build_arguments("--build-arg", &recipe.arguments)
                // BuildKit then writes this time into the image, in place of its own; and no note about the machine.
                .default_env("SOURCE_DATE_EPOCH", &TIME.to_string())
                .default_env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
                .arg("--file")
                .arg(context.dockerfile())
                .arg(context.folder());
            run(program, Step::Build, &building).await?;
            if driver == Driver::Daemon {
                // The daemon's digest may be that of its own copy, which is not what it pushes.
                return Ok(None);
            }
            let text = std::fs::read(metadata).unwrap_or_default();
            let metadata: Option<Metadata> = serde_json::from_slice(&text).ok();
            return Ok(metadata.and_then(|one| digest(&one.digest?)));
        }
        let hint = "install buildx, or name one platform";
        let platform = only_platform(SERVICE, image, hint)?;
        let program = self
            .program(config)
            .args(["build", &format!("--platform={platform}")]);
        let program = self
            .common(program, image, tags)
            .build_arguments("--build-arg", &recipe.arguments)
            // Docker's BuildKit needs buildx.
            .default_env("DOCKER_BUILDKIT", "0")
            .arg("--file")
            .arg(context.dockerfile())
            .arg(context.folder());
        run(program, Step::Build, &building).await?;
        let mut pushed = None;
        for tag in tags {
            let name = format!("{}:{tag}", image.repository);
            let program = self.program(config).args(["push", &name]);
            let ended = run(program, Step::Transfer, &format!("push {name}")).await?;
            // `1.0: digest: sha256:… size: 943`
            let start = format!("{tag}: digest: ");
            pushed = ended.lines.iter().rev().find_map(|line| {
                let rest = line.strip_prefix(&start)?;
                digest(rest.split_whitespace().next()?)
            });
        }
        Ok(pushed)
    }
}

/// The digest in `sha256:…`.
fn digest(text: &str) -> Option<Digest> {
    text.trim().strip_prefix("sha256:")?.parse().ok()
}
