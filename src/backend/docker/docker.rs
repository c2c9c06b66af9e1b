//! `docker`: through buildx where it is there, else through the daemon's own builder and `docker push`. Into a layout a
//! BuildKit of its own writes by itself; what the daemon has is saved as an archive and taken apart.
//!
//! Sources: the references of [`docker buildx build`](https://docs.docker.com/reference/cli/docker/buildx/build/),
//! [`docker build`](https://docs.docker.com/build/building/variables/) and of
//! [the registry cache](https://docs.docker.com/build/cache/backends/registry/).

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::archive;
use super::context::{BuildContext, TIME};
use super::fault::{Attempt, Step};
use super::program::{Ended, Program};
use super::{CACHE_TAG, Settings, digest, dockerfile_of, failure, login, only_platform};
use crate::backend::{Build, BuildLog, Destination, Error, Files, Kind, Result};
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
                ended.map_err(|error| attempt.unstarted(&error))
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

    /// The daemon's logins with those that we were given; `None` where it needs none of ours.
    async fn logins(&self, image: &Image, pinned: &Pinned) -> Result<Option<TempDir>> {
        let logins = login::needed(&self.settings, image, pinned).await?;
        if logins.is_empty() {
            return Ok(None);
        }
        let folder = login::for_docker(self.config().as_deref(), &logins);
        folder.map(Some).map_err(|error| failure(SERVICE, &error))
    }
}

/// One build, as its steps see it.
struct Steps<'a> {
    docker: &'a Docker,
    attempt: Attempt<'a>,
    context: BuildContext,
    logins: Option<TempDir>,
    image: &'a Image,
    tags: &'a [String],
    log: &'a dyn BuildLog,
}

impl Steps<'_> {
    fn program(&self) -> Program {
        self.docker.program(self.logins.as_ref().map(TempDir::path))
    }

    async fn run(&self, program: Program, step: Step, doing: &str) -> Result<Ended> {
        self.attempt.run(program, step, doing, self.log).await
    }

    /// Runs a build: what `program` has of the command line, and what is the same for both builders.
    async fn make(&self, program: Program, more: impl FnOnce(Program) -> Program) -> Result<()> {
        let tag = |tag: &String| format!("--tag={}:{tag}", self.image.repository);
        let network = self.docker.settings.network.as_ref();
        let program = program
            .args(self.tags.iter().map(tag))
            .args(network.map(|network| format!("--network={network}")));
        let program = more(program)
            .build_arguments("--build-arg", &self.attempt.recipe.arguments)
            .arg("--file")
            .arg(self.context.dockerfile())
            .arg(self.context.folder());
        let doing = format!("build {}", self.image.repository);
        self.run(program, Step::Build, &doing).await.map(drop)
    }

    /// Builds by buildx, with `output` saying where to, and the cache in the registry where it may be used. Gives the file
    /// that tells the digest.
    async fn by_buildx(&self, output: &str, cached: bool) -> Result<PathBuf> {
        let metadata = self.context.output();
        let cache = format!("type=registry,ref={}:{CACHE_TAG}", self.image.repository);
        // A cache is worth time, never a failed build. The last two are for registries that know only images.
        let to =
            format!("{cache},mode=max,ignore-error=true,oci-mediatypes=true,image-manifest=true");
        let program = self
            .program()
            .args(["buildx", "build", output, "--progress=plain"])
            .arg("--metadata-file")
            .arg(&metadata)
            .arg(format!("--platform={}", self.image.platforms.join(",")));
        let on_host = self.docker.settings.network.as_deref() == Some("host");
        self.make(program, |program| {
            program
                // A BuildKit of its own asks whether that is wanted.
                .args(on_host.then_some("--allow=network.host"))
                .args(cached.then(|| format!("--cache-from={cache}")))
                .args(cached.then(|| format!("--cache-to={to}")))
                // BuildKit then writes this time into the image, in place of its own; and no note about the machine.
                .default_env("SOURCE_DATE_EPOCH", &TIME.to_string())
                .default_env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
        })
        .await?;
        Ok(metadata)
    }

    /// Builds by the daemon's own builder.
    async fn by_daemon(&self) -> Result<()> {
        let hint = "install buildx, or name one platform";
        let platform = only_platform(SERVICE, self.image, hint)?;
        let program = self
            .program()
            .args(["build", &format!("--platform={platform}")]);
        // Docker's BuildKit needs buildx.
        self.make(program, |program| {
            program.default_env("DOCKER_BUILDKIT", "0")
        })
        .await
    }

    /// Pushes what the daemon built; gives the digest that it tells.
    async fn push(&self) -> Result<Option<Digest>> {
        let mut pushed = None;
        for tag in self.tags {
            let name = format!("{}:{tag}", self.image.repository);
            let program = self.program().args(["push", &name]);
            let doing = format!("push {name}");
            let ended = self.run(program, Step::Transfer, &doing).await?;
            // `1.0: digest: sha256:… size: 943`
            let start = format!("{tag}: digest: ");
            pushed = ended.lines.iter().rev().find_map(|line| {
                let rest = line.strip_prefix(&start)?;
                digest(rest.split_whitespace().next()?)
            });
        }
        Ok(pushed)
    }

    /// Makes a layout in `folder` of what the daemon built.
    async fn save(&self, folder: &Path) -> Result<()> {
        let Some(tag) = self.tags.last() else {
            return Err(Error::new(Kind::Other, SERVICE, "no tag to save"));
        };
        let name = format!("{}:{tag}", self.image.repository);
        let archive = self.context.archive();
        let program = self
            .program()
            .args(["save", "--output"])
            .arg(&archive)
            .arg(&name);
        let doing = format!("save {name}");
        self.run(program, Step::Transfer, &doing).await?;
        unpack(archive, folder).await
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
        to: Destination<'_>,
        pinned: &Pinned,
        files: &dyn Files,
        log: &dyn BuildLog,
    ) -> Result<Option<Digest>> {
        let recipe = dockerfile_of(SERVICE, image)?;
        let host = login::host(&image.repository);
        let attempt = Attempt {
            service: SERVICE,
            program: "docker",
            login: format!("`docker login {host}`"),
            recipe,
        };
        let buildx = self.buildx(&attempt).await?;
        let context = BuildContext::write(recipe, pinned, files).await;
        let steps = Steps {
            docker: self,
            attempt,
            context: context.map_err(|error| failure(SERVICE, &error))?,
            logins: self.logins(image, pinned).await?,
            image,
            tags,
            log,
        };
        match (buildx, to) {
            (Some(driver), Destination::Registry) => {
                let cached = self.settings.registry_cache && driver == Driver::Own;
                let metadata = steps.by_buildx("--push", cached).await?;
                if driver == Driver::Daemon {
                    // The daemon's digest may be that of its own copy, which is not what it pushes.
                    return Ok(None);
                }
                let text = std::fs::read_to_string(metadata).unwrap_or_default();
                let metadata: Option<Metadata> = serde_json::from_str(&text).ok();
                Ok(metadata.and_then(|one| digest(&one.digest?)))
            }
            (Some(Driver::Own), Destination::Layout(folder)) => {
                let archive = steps.context.archive();
                let output = format!("--output=type=oci,dest={}", archive.display());
                steps.by_buildx(&output, false).await?;
                unpack(archive, folder).await?;
                Ok(None)
            }
            (Some(Driver::Daemon), Destination::Layout(folder)) => {
                steps.by_buildx("--load", false).await?;
                steps.save(folder).await?;
                Ok(None)
            }
            (None, Destination::Registry) => {
                steps.by_daemon().await?;
                steps.push().await
            }
            (None, Destination::Layout(folder)) => {
                steps.by_daemon().await?;
                steps.save(folder).await?;
                Ok(None)
            }
        }
    }
}

/// Makes a layout in `folder` of an archive with one image.
async fn unpack(archive: PathBuf, folder: &Path) -> Result<()> {
    let folder = folder.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&archive, &folder));
    let unpacked = unpacked.await.map_err(anyhow::Error::from);
    unpacked.flatten().map_err(|error| failure(SERVICE, &error))
}
