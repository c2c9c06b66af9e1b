//! Images from Dockerfiles: real builders, a real registry, and a real container of what they made.

mod buildah;
mod daemon;
mod stand_in;

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use flowyard::backend::docker::Settings;
use flowyard::backend::{self, Build, BuildLog, Content, Destination, Files, Logins};
use flowyard::model::{
    Builder, CodeFile, CodeTree, Digest, Dockerfile, FileMode, Image, NamedBase, Pinned, Place,
    Recipe, RepoPath,
};
use secrecy::SecretString;

use crate::services::registry::{self, Registry};
use crate::services::{self, base_image};

/// The value of the build argument `TOKEN`, which is not to be seen anywhere.
const TOKEN: &str = "s3cret-t0ken";

/// An image of the folder `p`, whose Dockerfile is `p/Dockerfile`, and all that its build is given.
struct Project {
    image: Image,
    pinned: Pinned,
    files: BTreeMap<String, String>,
    log: Mutex<Vec<String>>,
}

impl Project {
    /// One with the Dockerfile `text`, in which `BASE` stands for the base image that is pinned.
    fn new(repository: &str, text: &str, files: &[(&str, &str, FileMode)]) -> Self {
        let (base, digest) = base();
        let file = |(path, text, mode): &(&str, &str, FileMode)| CodeFile {
            path: (*path).to_owned(),
            length: text.len() as u64,
            sha256: Digest::of(text.as_bytes()),
            mode: *mode,
        };
        let text = text.replace("BASE", base);
        let named = named(&text, "FROM ", base);
        let recipe = Dockerfile {
            file: RepoPath::new("p/Dockerfile"),
            context: CodeTree::new(RepoPath::new("p"), files.iter().map(file).collect()),
            arguments: BTreeMap::from([("TOKEN".to_owned(), TOKEN.to_owned())]),
            bases: vec![base.to_owned()],
            named,
            text,
        };
        Self {
            image: Image {
                repository: repository.to_owned(),
                shown: repository.to_owned(),
                builder: Builder::Docker,
                platforms: vec![platform()],
                tags: Vec::new(),
                recipe: Recipe::Dockerfile(recipe),
                place: Place::at(RepoPath::new("p/Dockerfile"), 1, 1),
            },
            pinned: Pinned {
                bases: BTreeMap::from([(base.to_owned(), digest)]),
                ..Pinned::default()
            },
            files: files
                .iter()
                .map(|(path, text, _)| (format!("p/{path}"), (*text).to_owned()))
                .collect(),
            log: Mutex::default(),
        }
    }

    /// A project whose container says what it was made of: the repository's name and the length of [`TOKEN`].
    fn greeting(repository: &str) -> Self {
        Self::new(
            repository,
            "FROM BASE\n\
             ARG TOKEN\n\
             COPY . /app/\n\
             RUN /app/bin/greet.py \"$TOKEN\" > /said\n\
             CMD [\"cat\", \"/said\"]\n",
            &[
                (
                    "bin/greet.py",
                    "#!/usr/bin/env python\nimport sys\nprint(open('/app/name').read(), len(sys.argv[1]))\n",
                    FileMode::Executable,
                ),
                ("name", repository, FileMode::Regular),
            ],
        )
    }

    /// Builds it below the tags of its repository.
    async fn build(&self, builder: &dyn Build, tags: &[&str]) -> backend::Result<Option<Digest>> {
        self.build_to(builder, tags, Destination::Registry).await
    }

    /// Builds it below the tags, for that place.
    async fn build_to(
        &self,
        builder: &dyn Build,
        tags: &[&str],
        to: Destination<'_>,
    ) -> backend::Result<Option<Digest>> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        builder
            .build(&self.image, &tags, to, &self.pinned, self, self)
            .await
    }

    /// Builds it, which must fail: the error, in which no secret may be.
    async fn fails(&self, builder: &dyn Build) -> backend::Error {
        let error = self
            .build(builder, &["1"])
            .await
            .expect_err("the build fails");
        assert!(!error.to_string().contains(TOKEN), "{error}");
        assert!(!self.log().contains(TOKEN), "{}", self.log());
        error
    }

    /// All that the build printed.
    fn log(&self) -> String {
        self.log.lock().expect("no panic").join("\n")
    }
}

impl Files for Project {
    fn content(&self, path: &RepoPath) -> anyhow::Result<Content> {
        let text = self.files.get(path.as_str()).context("no such file")?;
        Ok(Content::Bytes(Bytes::from(text.clone())))
    }
}

impl BuildLog for Project {
    fn line(&self, line: &str) {
        self.log.lock().expect("no panic").push(line.to_owned());
    }
}

/// Where a text names a base, right behind another text.
fn named(text: &str, before: &str, base: &str) -> Vec<NamedBase> {
    let both = format!("{before}{base}");
    text.match_indices(&both)
        .map(|(at, found)| NamedBase {
            place: at + before.len()..at + found.len(),
            name: base.to_owned(),
        })
        .collect()
}

/// The base image in the shared registry, and its digest.
fn base() -> (&'static str, Digest) {
    static PUSHED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let name = PUSHED.get_or_init(|| {
        base_image::push(&format!("{}/docker-test/base", Registry::shared().name()))
    });
    (name, base_image::digest())
}

/// This machine's.
fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    format!("linux/{architecture}")
}

/// A repository of the shared registry.
fn repository(name: &str) -> String {
    format!("{}/docker-test/{name}", Registry::shared().name())
}

/// What the registry has below a tag of a repository: the digest, and the manifest or index.
async fn registered(repository: &str, tag: &str) -> (Option<Digest>, serde_json::Value) {
    let (host, name) = repository.split_once('/').expect("a registry");
    let kinds = [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ];
    let response = services::client()
        .get(format!("http://{host}/v2/{name}/manifests/{tag}"))
        .header("Accept", kinds.join(", "))
        .send()
        .await
        .expect("the registry answers");
    if response.status() == 404 {
        return (None, serde_json::Value::Null);
    }
    let bytes = response.bytes().await.expect("the registry answers");
    let manifest = serde_json::from_slice(&bytes).expect("a manifest is JSON");
    (Some(Digest::of(&bytes)), manifest)
}

/// Knows who may write to a registry that has a password.
struct Given;

#[async_trait]
impl Logins for Given {
    async fn login(&self, host: &str) -> backend::Result<Option<(String, SecretString)>> {
        let open = Registry::shared().name();
        let login = (registry::USER.to_owned(), registry::PASSWORD.into());
        Ok((host != open).then_some(login))
    }
}

/// Settings with the variables of this process that every program needs, and a key that none is to see.
fn settings(more: &[(&str, &str)]) -> Settings {
    let path = std::env::var("PATH").expect("there is one");
    let home = std::env::var("HOME").unwrap_or_default();
    let environment = [
        ("PATH", path.as_str()),
        ("HOME", home.as_str()),
        ("AZURE_STORAGE_KEY", "our-own-key"),
    ];
    Settings {
        environment: environment
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        network: Some("host".to_owned()),
        ..Settings::default()
    }
}
