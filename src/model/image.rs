//! Container images: what git declares of one, and what names it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Range;

use super::{CodeTree, Digest, Hasher, Place, RepoPath, fingerprint, nearest};

/// Who makes an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Builder {
    /// flowyard itself, layer by layer, without a daemon.
    Oci,
    /// `docker buildx build` where buildx is there, else `docker build` and `docker push`.
    Docker,
    /// `buildah`.
    Buildah,
    /// `az acr build`: a registry on Azure builds it.
    Acr,
}

impl Builder {
    /// All of them, as configuration names them.
    pub const ALL: [Self; 4] = [Self::Oci, Self::Docker, Self::Buildah, Self::Acr];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Docker => "docker",
            Self::Buildah => "buildah",
            Self::Acr => "acr",
        }
    }

    /// The builder of a name; otherwise what to write instead.
    pub fn parse(name: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name);
        match Self::ALL.into_iter().find(|one| one.name() == name) {
            Some(builder) => Ok(builder),
            None => Err(match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are: {}", known.join(", ")),
            }),
        }
    }
}

/// Whether a text has the form of a platform, `linux/amd64` or `linux/arm/v7`.
pub fn is_platform(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && part
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || "._-".contains(one))
    };
    (2..=3).contains(&parts.len()) && parts.iter().all(plain)
}

impl fmt::Display for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An image that flowyard makes, as git declares it. Everything that its content depends on is in it, or pinned by a
/// [`Pinned`].
#[derive(Clone, Debug)]
pub struct Image {
    /// `registry.example.org/acme/flows`, without a tag; with one, or a digest, for [`Recipe::Named`].
    pub repository: String,
    /// What people are shown of `repository`: as written where it holds a value of the process's environment.
    pub shown: String,
    /// Who makes it.
    pub builder: Builder,
    /// Such as `linux/amd64`; sorted, never empty.
    pub platforms: Vec<String>,
    /// Tags that it gets beside the digest of its inputs, such as the `tag` of a step of a `prefect.yaml`.
    pub tags: Vec<String>,
    /// What it is made of.
    pub recipe: Recipe,
    /// Where a file asks for it; the first one where several do.
    pub place: Place,
}

/// What an image is made of.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// Layers on a base.
    Layers(Layers),
    /// A Dockerfile and its context.
    Dockerfile(Dockerfile),
    /// Not made here at all: `repository` names it, with its tag or digest, and it only has to exist.
    Named,
}

/// An image of a base, a layer of Python packages, and a layer of code.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The base as written: `python:3.12-slim`, `registry.example.org/base@sha256:…`.
    pub base: String,
    /// The Python of the base, `3.12`; `None` where the base itself has to tell.
    pub python: Option<String>,
    /// What is installed; `None` for nothing.
    pub requirements: Option<Requirements>,
    /// The code that it holds; `None` where runs get it from the release.
    pub code: Option<CodeTree>,
    /// The folder of that code in the image, absolute; the working folder then.
    pub folder: String,
    /// Variables of the image's environment, beside those of the base.
    pub environment: BTreeMap<String, String>,
    /// The user that it runs as, `name`, `uid` or `uid:gid`; `None` for that of the base.
    pub user: Option<String>,
    /// Labels beside `org.opencontainers.image.*`.
    pub labels: BTreeMap<String, String>,
}

/// Python packages to install.
#[derive(Clone, Debug)]
pub struct Requirements {
    /// `requirements.txt`, or a `pyproject.toml`.
    pub file: RepoPath,
    /// Every file that resolving reads: `file`, what its `-r` and `-c` lines name, an `uv.lock` beside it. Paths are those
    /// of the repository.
    pub files: CodeTree,
}

/// A Dockerfile and everything that its build can see.
#[derive(Clone, Debug)]
pub struct Dockerfile {
    /// The Dockerfile.
    pub file: RepoPath,
    /// Its text; a Dockerfile may stand outside of its context.
    pub text: String,
    /// The files of its context that it copies; `base` is the context's folder.
    pub context: CodeTree,
    /// `--build-arg`.
    pub arguments: BTreeMap<String, String>,
    /// The images after `FROM`, `COPY --from=` and `RUN --mount=from=`, with arguments put in, each once, without `scratch`
    /// and its own stages.
    pub bases: Vec<String>,
    /// Where its text names them, in order; without the places that mean another image on each of several platforms.
    pub named: Vec<NamedBase>,
}

/// A base where a Dockerfile names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedBase {
    /// The bytes of the text.
    pub place: Range<usize>,
    /// One of [`Dockerfile::bases`].
    pub name: String,
}

/// What was open in an [`Image`] and is not any more: two runs with the same image and the same `Pinned` give the same
/// content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// Each base as written, and the digest of its manifest or index.
    pub bases: BTreeMap<String, Digest>,
    /// For each platform the resolved requirements: the text of a `requirements.txt` in which every package has one
    /// version. Empty where there are none, or where a Dockerfile does it.
    pub requirements: BTreeMap<String, String>,
    /// The program and version that makes it, as far as its output depends on it: `oci 1`.
    pub builder: String,
}

/// What is known of an image once its inputs are pinned and its registry was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageState {
    /// What its content depends on beside what git declares.
    pub pinned: Pinned,
    /// The digests of everything that its content depends on.
    pub inputs: Inputs,
    /// The digest of the manifest that the registry has for these inputs; `None` where it has to be made.
    pub found: Option<Digest>,
}

impl ImageState {
    /// The digest of all inputs, and so the image's tag.
    pub fn tag(&self) -> Digest {
        Image::identity(&self.inputs)
    }
}

/// The digests of an image's inputs, by the names that people see: `base`, `requirements`, `code`, `Dockerfile` …
pub type Inputs = BTreeMap<String, Digest>;

impl Image {
    /// What deployments get: the repository and the digest of the manifest.
    pub fn by_digest(&self, digest: &Digest) -> String {
        let mut repository = self.repository.as_str();
        if matches!(self.recipe, Recipe::Named) {
            repository = repository.split('@').next().unwrap_or(repository);
            // A colon after the last slash begins a tag, one before it a port.
            let name = repository.rfind('/').map_or(0, |slash| slash + 1);
            if let Some(colon) = repository[name..].find(':') {
                repository = &repository[..name + colon];
            }
        }
        format!("{repository}@sha256:{digest}")
    }

    /// What it is called within one run, before anything is pinned: the same for the same declaration.
    pub fn key(&self) -> String {
        let mut hasher = Hasher::default();
        for (name, digest) in self.declared() {
            hasher.update(format!("{name}\0{digest}\n").as_bytes());
        }
        hasher.update(self.repository.as_bytes());
        format!("image-{}", hasher.finish().short())
    }

    /// Puts an image among others by its key, and gives the key. Where the same image is declared already, that one stays,
    /// with the tags of both.
    pub fn put_into(self, images: &mut BTreeMap<String, Self>) -> String {
        let key = self.key();
        match images.entry(key.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(self);
            }
            Entry::Occupied(mut entry) => {
                let tags = &mut entry.get_mut().tags;
                for tag in self.tags {
                    if !tags.contains(&tag) {
                        tags.push(tag);
                    }
                }
            }
        }
        key
    }

    /// The digests of everything that its content depends on.
    pub fn inputs(&self, pinned: &Pinned) -> Inputs {
        let mut inputs = self.declared();
        let mut put = |name: &str, text: String| {
            inputs.insert(name.to_owned(), Digest::of(text.as_bytes()));
        };
        put("base", format!("{:?}", pinned.bases));
        put("builder version", pinned.builder.clone());
        if !pinned.requirements.is_empty() {
            put("requirements", format!("{:?}", pinned.requirements));
        }
        inputs
    }

    /// The digest of all inputs, and so the image's tag.
    pub fn identity(inputs: &Inputs) -> Digest {
        let mut hasher = Hasher::default();
        for (name, digest) in inputs {
            hasher.update(format!("{name}\0{digest}\n").as_bytes());
        }
        hasher.finish()
    }

    /// The digests of what git declares.
    fn declared(&self) -> Inputs {
        let mut inputs = Inputs::new();
        let mut put = |name: &str, digest: Digest| {
            inputs.insert(name.to_owned(), digest);
        };
        put("builder", Digest::of(self.builder.name().as_bytes()));
        put("platforms", fingerprint(&self.platforms.clone().into()));
        let map = |map: &BTreeMap<String, String>| {
            let text: Vec<String> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
            fingerprint(&text.into())
        };
        match &self.recipe {
            Recipe::Layers(layers) => {
                put("base", Digest::of(layers.base.as_bytes()));
                put(
                    "python",
                    Digest::of(layers.python.as_deref().unwrap_or("").as_bytes()),
                );
                if let Some(requirements) = &layers.requirements {
                    put("requirements", requirements.files.digest());
                }
                if let Some(code) = &layers.code {
                    put("code", code.digest());
                    put("folder", Digest::of(layers.folder.as_bytes()));
                }
                put("environment", map(&layers.environment));
                put(
                    "user",
                    Digest::of(layers.user.as_deref().unwrap_or("").as_bytes()),
                );
                put("labels", map(&layers.labels));
            }
            Recipe::Dockerfile(dockerfile) => {
                put("base", fingerprint(&dockerfile.bases.clone().into()));
                put("Dockerfile", Digest::of(dockerfile.text.as_bytes()));
                put("context", dockerfile.context.digest());
                put("arguments", map(&dockerfile.arguments));
            }
            Recipe::Named => put("name", Digest::of(self.repository.as_bytes())),
        }
        inputs
    }
}
