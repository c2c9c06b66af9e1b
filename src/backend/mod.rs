//! The seams: what the pipeline asks of the world outside, one trait each, and the one error they share.
//!
//! Every implementation passes the contract suite of its trait (`tests/it/contract.rs`). Retries, authentication and the
//! translation from and to a service's own words live in the vendor's folder.

pub mod azure;
pub mod docker;
pub mod folder;
pub mod github;
pub mod object_store;
pub mod oci;
pub mod prefect;
mod tls;
pub mod transfer;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;

use crate::model::{
    DeploymentId, Dialect, Digest, Field, Image, Live, LiveDeployment, Pinned, Reference,
    Registration, RepoPath,
};

/// What became of a request, as far as a caller would act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The thing asked for does not exist.
    NotFound,
    /// The service knows us not, or does not let us.
    Denied,
    /// Someone else was first: it exists already, or is not what we last saw.
    Conflict,
    /// The service could not be reached, or failed at its end, also after retries.
    Unavailable,
    /// The service refuses the request as such.
    Other,
}

/// A request that failed, in words that name the service and the thing.
#[derive(Debug, thiserror::Error)]
#[error("{service}: {message}")]
pub struct Error {
    /// What to do about it, for code.
    pub kind: Kind,
    /// The service as its user knows it: `Prefect at http://127.0.0.1:4200/api`.
    pub service: String,
    /// What happened to what: a lower-case fragment, without secrets.
    pub message: String,
    /// What to do about it, for people.
    pub hint: Option<String>,
}

impl Error {
    /// An error without a hint.
    pub fn new(kind: Kind, service: impl fmt::Display, message: impl Into<String>) -> Self {
        Self {
            kind,
            service: service.to_string(),
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

/// An object in a [`Store`], as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The key, below the store's own prefix.
    pub key: String,
    /// Length in bytes.
    pub length: u64,
}

/// The version of an object, for [`Store::put_if_unchanged`]; opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub String);

/// What to write.
#[derive(Clone, Debug)]
pub enum Content {
    /// All of it.
    Bytes(Bytes),
    /// A file of this length, read piece by piece: its size never decides the memory needed.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its length in bytes; a file of another length by now is an error.
        length: u64,
    },
}

/// What a conditional write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was written.
    Created,
    /// There was an object already; it was left alone.
    Exists,
}

/// A place for releases, manifests, state and leases: objects by key, below a prefix of the store's own.
///
/// Keys are `/`-separated UTF-8, taken verbatim: `a b+ü%#?.txt` stays what it is. Every write is atomic: a reader sees
/// the whole object or none. Implementations retry what is worth it, and hold no more than a few megabytes per object
/// in flight.
#[async_trait]
pub trait Store: Send + Sync {
    /// The store as its user knows it, for messages: `azure://account/container/prefix`.
    fn subject(&self) -> String;

    /// Every object whose key starts with `prefix` (plain text, not whole components), sorted by key. An empty list
    /// where there is none, also where the container or bucket is not there yet.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>>;

    /// An object and its version; [`Kind::NotFound`] where it is absent. For small objects: it is held in memory.
    async fn get(&self, key: &str) -> Result<(Bytes, Tag)>;

    /// Writes an object unless the key is taken.
    async fn put_if_absent(&self, key: &str, content: Content) -> Result<Put>;

    /// Writes an object whose version is still `tag`, or that is still absent (`None`), and gives its new version.
    /// [`Kind::Conflict`] where someone else wrote or deleted it meanwhile.
    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, tag: Option<&Tag>) -> Result<Tag>;

    /// Copies an object within the store without its bytes passing through here, unless `to` is taken.
    /// `None` where the store has no such operation or refuses it; the caller uploads instead.
    async fn copy_if_absent(&self, from: &str, to: &str) -> Result<Option<Put>>;

    /// Deletes an object; deleting what is absent is no error.
    async fn delete(&self, key: &str) -> Result<()>;
}

/// What the pipeline wants to know of an [`Orchestrator`].
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The deployments of interest; `None` for all that there are, ours or not.
    pub deployments: Option<BTreeSet<DeploymentId>>,
    /// Blocks and variables whose existence matters.
    pub references: BTreeSet<Reference>,
}

/// A service that runs deployments.
#[async_trait]
pub trait Orchestrator: Send + Sync {
    /// The service as its user knows it, for messages.
    fn subject(&self) -> String;

    /// The major release that the service speaks, which decides what deployment files may say.
    async fn dialect(&self) -> Result<Dialect>;

    /// The link for people to a deployment, where there is a UI.
    fn link(&self, live: &LiveDeployment) -> Option<String>;

    /// Reads what is registered. Sends nothing that changes anything. Values come back in the form of
    /// [`Field`]'s docs, so that writing a registration and reading it gives the same fields.
    async fn read(&self, question: &Question) -> Result<Live>;

    /// Makes the service hold `registration`, with as few writes as it allows, and gives its handle. `live` is what
    /// was read of it (`None`: there is none yet), `changed` the fields that differ, never empty when there is one.
    /// Repeating it is harmless: a failure after a write that landed is repaired by doing it again.
    async fn register(
        &self,
        registration: &Registration,
        live: Option<&LiveDeployment>,
        changed: &BTreeSet<Field>,
    ) -> Result<String>;

    /// Removes a deployment; one that is gone already is no error. Its flow stays.
    async fn remove(&self, id: &DeploymentId, live: &LiveDeployment) -> Result<()>;
}

/// Files of the repository, for builders of images.
pub trait Files: Send + Sync {
    /// The content of the file at a path from the root.
    fn content(&self, path: &RepoPath) -> anyhow::Result<Content>;
}

/// Somebody who wants to see what a build prints. Called from many tasks at once; must be quick.
pub trait BuildLog: Send + Sync {
    /// One line, without its end, as the builder printed it.
    fn line(&self, line: &str);
}

/// What makes images, and what keeps them.
#[async_trait]
pub trait Images: Send + Sync {
    /// Where images go, for messages: `registry.example.org`, or a folder.
    fn subject(&self) -> String;

    /// The digest of an image of ours, `repository:tag`, where ours go; `None` where there is no such image. One request,
    /// which changes nothing.
    async fn find(&self, reference: &str) -> Result<Option<Digest>>;

    /// The digest of an image that someone else made, `repository:tag` or `repository@sha256:…`, wherever such images are;
    /// `None` where there is none. Changes nothing.
    async fn resolve(&self, reference: &str) -> Result<Option<Digest>>;

    /// Pins what is open in an image: the digests of its bases, the versions of its packages. Changes nothing; runs no code
    /// of the repository or of a package. [`Kind::NotFound`] where a base or a package does not exist.
    async fn pin(&self, image: &Image, files: &dyn Files) -> Result<Pinned>;

    /// Makes the image and stores it below `repository:tag`, where `tag` is the digest of its inputs, and below its other
    /// tags; gives the digest of its manifest or index. Repeating it is harmless, and what is stored already is not sent
    /// again. The tag is written last: what it names is complete.
    async fn build(
        &self,
        image: &Image,
        pinned: &Pinned,
        files: &dyn Files,
        log: &dyn BuildLog,
    ) -> Result<Digest>;
}

/// Who knows user names and passwords of registries, for programs that speak to them by themselves.
#[async_trait]
pub trait Logins: Send + Sync {
    /// The user name and the password, or a token in its place, that we were given for the registry's host (`docker.io`,
    /// `localhost:5000`); `None` where there are none but those that the programs find in their own files.
    async fn login(&self, registry: &str) -> Result<Option<(String, SecretString)>>;
}

/// Where a program puts an image that it made.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// Into the image's repository.
    Registry,
    /// Into this folder, which is not there yet, as an OCI layout with that image alone.
    Layout(&'a Path),
}

/// A program that makes images from Dockerfiles and pushes them itself.
#[async_trait]
pub trait Build: Send + Sync {
    /// The program as its user knows it, for messages: `docker`.
    fn subject(&self) -> String;

    /// What [`Pinned::builder`] holds: it changes when the same inputs are to be built again. Not the version of the
    /// program, which does not decide what a Dockerfile makes, and differs between a laptop and CI.
    fn version(&self) -> &'static str;

    /// Builds the image, whose recipe is a Dockerfile, below each of `tags` (at least one) of its repository, and puts it
    /// there, the last tag last, or into a layout. Gives the digest of the manifest or index as the program tells it,
    /// `None` where it does not: the registry or the layout knows.
    ///
    /// [`Kind::Unavailable`] where the program or its daemon is not there. What the program printed last is in the error.
    /// Dropping the future ends the program, and all that it started on this machine.
    async fn build(
        &self,
        image: &Image,
        tags: &[String],
        to: Destination<'_>,
        pinned: &Pinned,
        files: &dyn Files,
        log: &dyn BuildLog,
    ) -> Result<Option<Digest>>;
}

/// A text that is kept up to date in one place, and found there again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sticky {
    /// What tells it from all others: `plan acme/flows prod`. One line of any text; people do not see it.
    pub key: String,
    /// Markdown of at most [`Host::longest`] bytes.
    pub text: String,
    /// A line below it that may differ without the text counting as changed, such as a link to the run; may be empty. Like
    /// the key it is sent as it is.
    pub footer: String,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// There was none with its key.
    Created,
    /// There was another one, in whose place it is now.
    Updated,
    /// It was there; nothing was sent.
    Unchanged,
}

/// How something went, as a host shows it at a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pending,
    /// It went well.
    Success,
    /// It found something wrong.
    Failure,
    /// It did not come to an end.
    Error,
}

/// A line at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// What it is about, `flowyard/plan (prod)`; the next of the same name takes its place.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// In a few words; what the host has no room for is cut.
    pub description: String,
    /// Where more is to be read.
    pub link: Option<String>,
}

/// What hosts the repository, and where people look at its changes. There is none outside of CI.
///
/// No text that is sent holds a secret that the run knows of: the implementation takes them out. Names and links stay as
/// they are: the value of a secret may be the same by chance, and nothing would be found again. Requests that may be
/// repeated are, where a host is busy or asks to wait. [`Kind::Denied`] where our token may not, as in the pull request of
/// a fork: the caller says so and goes on, because what is told here decides nothing.
#[async_trait]
pub trait Host: Send + Sync {
    /// The host as its user knows it, for messages.
    fn subject(&self) -> String;

    /// How many bytes the text of a [`Sticky`] may have.
    fn longest(&self) -> usize;

    /// The number of the pull request that a commit belongs to, or came from; an open one before a closed one. `None`
    /// where there is none.
    async fn pull_request_of(&self, commit: &str) -> Result<Option<u64>>;

    /// Makes `comment` the only one of its key below a pull request. One that somebody else wrote is never taken for it,
    /// whatever it says. Repeating it is harmless.
    async fn comment(&self, pull_request: u64, comment: &Sticky) -> Result<Posted>;

    /// Shows a line at a commit.
    async fn status(&self, commit: &str, status: &CommitStatus) -> Result<()>;

    /// Shows that a commit is being deployed to an environment, and gives the handle for [`Host::deployed`].
    async fn deploying(
        &self,
        commit: &str,
        environment: &str,
        link: Option<&str>,
    ) -> Result<String>;

    /// Shows how a deployment ended.
    async fn deployed(&self, handle: &str, how: &CommitStatus) -> Result<()>;

    /// Makes `wanted`, a title and a text, the only open issue of its key; `None` closes the one with `key` that there may
    /// be, and gives [`Posted::Unchanged`] where there is none. An issue that people have closed is not opened again: the
    /// next one is new. Repeating it is harmless.
    async fn issue(&self, key: &str, wanted: Option<(&str, &Sticky)>) -> Result<Posted>;
}
