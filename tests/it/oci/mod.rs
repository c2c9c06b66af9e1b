//! The builder `oci`: small images into layouts and registries, and what becomes of them.

mod faults;
mod index;
mod layers;
mod packages;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use bytes::Bytes;
use flowyard::backend::oci::layout::Layout;
use flowyard::backend::oci::{
    Manifest, Oci, Options, Reference, Registries, Repositories, Repository, Settings, Uv, Version,
};
use flowyard::backend::{self, BuildLog, Content, Files, Images as _};
use flowyard::model::{
    Builder, CodeFile, CodeTree, Digest, FileMode, Image, Layers, Pinned, Place, Recipe, RepoPath,
    Requirements,
};
use serde_json::{Value, json};

use crate::contract::repository::{self, put};
use crate::services;

/// A project that is made into an image, with all that its build is given.
struct Project {
    image: Image,
    files: BTreeMap<String, String>,
    log: Mutex<Vec<String>>,
}

impl Project {
    /// The code of the folder `p` on a base.
    fn new(repository: &str, base: &str, code: &[(&str, &str)]) -> Self {
        let mut project = Self {
            image: Image {
                repository: repository.to_owned(),
                shown: repository.to_owned(),
                builder: Builder::Oci,
                platforms: vec!["linux/amd64".to_owned()],
                tags: Vec::new(),
                recipe: Recipe::Named,
                place: Place::at(RepoPath::new("p/flow.deployment.yaml"), 1, 1),
            },
            files: BTreeMap::new(),
            log: Mutex::default(),
        };
        let layers = Layers {
            base: base.to_owned(),
            code: Some(project.tree("p", code)),
            folder: "/opt/flowyard/code".to_owned(),
            ..Layers::default()
        };
        project.image.recipe = Recipe::Layers(layers);
        project
    }

    /// Adds requirements, whose first file is the one that counts; paths are those of the repository.
    fn require(mut self, files: &[(&str, &str)]) -> Self {
        let tree = self.tree("", files);
        self.layers().requirements = Some(Requirements {
            file: RepoPath::new(files[0].0),
            files: tree,
        });
        self
    }

    fn layers(&mut self) -> &mut Layers {
        match &mut self.image.recipe {
            Recipe::Layers(layers) => layers,
            other => panic!("no layers: {other:?}"),
        }
    }

    fn tree(&mut self, base: &str, files: &[(&str, &str)]) -> CodeTree {
        let base = RepoPath::new(base);
        let mut tree = Vec::new();
        for (path, text) in files {
            self.files
                .insert(base.join(path).to_string(), (*text).to_owned());
            tree.push(CodeFile {
                path: (*path).to_owned(),
                length: text.len() as u64,
                sha256: Digest::of(text.as_bytes()),
                mode: match text.starts_with("#!") {
                    true => FileMode::Executable,
                    false => FileMode::Regular,
                },
            });
        }
        CodeTree::new(base, tree)
    }

    async fn pin(&self, oci: &Oci) -> backend::Result<Pinned> {
        oci.pin(&self.image, self).await
    }

    /// Pins and builds.
    async fn build(&self, oci: &Oci) -> backend::Result<Digest> {
        let pinned = self.pin(oci).await?;
        oci.build(&self.image, &pinned, self, self).await
    }

    /// Pins and builds what can be.
    async fn make(&self, oci: &Oci) -> Digest {
        let made = self.build(oci).await;
        made.unwrap_or_else(|error| panic!("{error} ({:?})\n{}", error.hint, self.log()))
    }

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

/// A machine: what is remembered on it, and uv's own cache; cold at first.
struct Machine {
    folder: tempfile::TempDir,
    index: Option<String>,
    bytecode: bool,
}

impl Machine {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            index: None,
            bytecode: false,
        }
    }

    fn with_index(index: &index::Index) -> Self {
        Self {
            index: Some(index.url()),
            ..Self::new()
        }
    }

    fn settings(&self) -> Settings {
        let mut environment: BTreeMap<String, String> = ["PATH", "HOME"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
            .collect();
        let cache = self.folder.path().join("uv").display().to_string();
        environment.insert("UV_CACHE_DIR".to_owned(), cache);
        if let Some(index) = &self.index {
            environment.insert("UV_DEFAULT_INDEX".to_owned(), index.clone());
        }
        Settings {
            uv: Uv {
                program: services::uv::folder().join("bin/uv"),
                environment,
            },
            cache: Some(self.folder.path().join("flowyard")),
            compression: None,
            bytecode: self.bytecode,
        }
    }

    /// A run that stores images in a layout, with its bases.
    fn local(&self, layout: &Layout) -> Oci {
        let places: Arc<dyn Repositories> = Arc::new(layout.clone());
        Oci::new(self.settings(), places.clone(), vec![places])
    }

    /// A run that stores images in registries.
    fn remote(&self) -> Oci {
        let registries = Registries::new(Options::default()).expect("a client");
        let places: Arc<dyn Repositories> = Arc::new(registries);
        Oci::new(self.settings(), places.clone(), vec![places])
    }
}

/// The repository that a name stands for.
fn repository(places: &dyn Repositories, name: &str) -> Arc<dyn Repository> {
    let reference: Reference = name.parse().expect("a name");
    places.repository(&reference)
}

/// A layer of empty files, as plain tar; a path with `->` is a link.
fn tar(paths: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for path in paths {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o755);
        if let Some((path, target)) = path.split_once("->") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, path, target)
        } else {
            builder.append_data(&mut header, path, std::io::empty())
        }
        .expect("in memory");
    }
    builder.into_inner().expect("in memory")
}

/// What a base with Python 3.11 and glibc has at least.
const GLIBC: &[&str] = &[
    "usr/lib/x86_64-linux-gnu/libc.so.6",
    "usr/bin/python3->python3.11",
    "usr/bin/python3.11",
];

/// Writes a base of one layer for a platform, without a tag.
async fn base_for(repository: &dyn Repository, platform: &str, paths: &[&str]) -> Manifest {
    let (os, architecture) = platform.split_once('/').expect("a platform");
    let layer = tar(paths);
    let length = layer.len();
    let layer = put(repository, layer).await;
    let config = json!({
        "os": os, "architecture": architecture,
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin"], "Cmd": ["python3"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        "history": [{"created_by": "tests"}],
    });
    let config = config.to_string();
    let config_length = config.len();
    let config = put(repository, config).await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": repository::MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": format!("sha256:{config}"), "size": config_length,
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": format!("sha256:{layer}"), "size": length,
        }],
    });
    let bytes = Bytes::from(manifest.to_string());
    Manifest {
        digest: Digest::of(&bytes),
        media_type: repository::MANIFEST.to_owned(),
        bytes,
    }
}

/// Writes a base below the tag `1`.
async fn base(places: &dyn Repositories, name: &str, paths: &[&str]) -> String {
    let repository = repository(places, name);
    let manifest = base_for(&*repository, "linux/amd64", paths).await;
    let tag = Version::Tag("1".to_owned());
    let written = repository.put_manifest(&tag, &manifest).await;
    written.expect("written");
    format!("{name}:1")
}

/// A manifest or index that a repository has.
async fn stored(repository: &dyn Repository, digest: &Digest) -> Value {
    let found = repository.manifest(&Version::Digest(*digest)).await;
    let manifest = found.expect("an answer").expect("it is there");
    serde_json::from_slice(&manifest.bytes).expect("JSON")
}

/// The configuration of an image.
async fn configuration(repository: &dyn Repository, digest: &Digest) -> Value {
    let image = stored(repository, digest).await;
    let config = digest_of(&image["config"]);
    let bytes = repository::read(repository, &config).await.expect("a blob");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn digest_of(descriptor: &Value) -> Digest {
    let text = descriptor["digest"].as_str().expect("a digest");
    let digits = text.strip_prefix("sha256:").expect("a digest");
    digits.parse().expect("a digest")
}

/// The digests of an image's layers, the base's first.
async fn layers_of(repository: &dyn Repository, digest: &Digest) -> Vec<Digest> {
    let image = stored(repository, digest).await;
    let layers = image["layers"].as_array().expect("layers");
    layers.iter().map(digest_of).collect()
}

/// The texts of a layer of ours by their paths; of what is no text, what looks like it.
async fn texts_of(repository: &dyn Repository, layer: &Digest) -> BTreeMap<String, String> {
    use std::io::Read as _;
    let packed = repository::read(repository, layer).await.expect("a blob");
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..])
        .read_to_end(&mut plain)
        .expect("gzip");
    let mut archive = tar::Archive::new(&plain[..]);
    let mut texts = BTreeMap::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("a member");
        let path = entry.path().expect("a path").display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("the content");
        let text = String::from_utf8_lossy(&content).into_owned();
        if !path.ends_with('/') {
            texts.insert(path, text);
        }
    }
    texts
}

/// The folder of a layout that is removed with the test.
fn layout() -> (tempfile::TempDir, Layout, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("images");
    (folder, Layout::new(path.clone()), path)
}

/// What a command prints.
fn output(command: &mut std::process::Command) -> String {
    let output = command.output().expect("the program is installed");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder's path with a name, for programs.
fn oci_path(layout: &Path, name: &str) -> String {
    format!("oci:{}:{name}", layout.display())
}
