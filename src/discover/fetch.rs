//! Fetches a commit that a shallow clone is missing, by the git program: it knows the remote's credentials, and libgit2 is
//! built without a network.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use git2::{ObjectType, Oid};
use secrecy::{ExposeSecret as _, SecretString};

use super::git::Git;

/// What a server lets its repositories be read with.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The server's address, as `https://github.com`. No other one is sent the token.
    pub server: &'a str,
    /// A token of GitHub's.
    pub token: &'a SecretString,
}

/// The variable that hands git a header: the arguments of a process can be read by every user of the machine.
const HEADER: &str = "FLOWYARD_GIT_HEADER";

impl Git {
    /// Whether a commit is in the repository.
    pub fn has_commit(&self, sha: &str) -> bool {
        let commit = Oid::from_str(sha).and_then(|id| self.repository.find_commit(id));
        commit.is_ok_and(|commit| commit.tree().is_ok())
    }

    /// The first parent of a commit, as the commit itself names it: in a shallow clone it may be missing. `None` where
    /// there is none, or no such commit.
    pub fn first_parent(&self, sha: &str) -> Option<String> {
        let database = self.repository.odb().ok()?;
        let commit = database.read(Oid::from_str(sha).ok()?).ok()?;
        if commit.kind() != ObjectType::Commit {
            return None;
        }
        let text = String::from_utf8_lossy(commit.data());
        let headers = text.lines().take_while(|line| !line.is_empty());
        let mut parents = headers.filter_map(|line| line.strip_prefix("parent "));
        parents.next().map(str::to_owned)
    }

    /// Fetches one commit, given by all its digits, and nothing before it from the remote `origin`, for the repository
    /// that `root` is in. A repository that has it is left alone. Where the remote gives nothing to what git knows of
    /// credentials, it is asked once more with `login`: `actions/checkout` keeps none with `persist-credentials: false`.
    ///
    /// The remote sends what differs from what is there. Without a filter: a filtered fetch would turn the clone into a
    /// partial one, which libgit2 cannot complete, to save a few files.
    pub fn fetch_commit(
        &self,
        sha: &str,
        root: &Path,
        login: Option<Login<'_>>,
    ) -> anyhow::Result<()> {
        if self.has_commit(sha) {
            return Ok(());
        }
        if !matches!(sha.len(), 40 | 64) || !sha.bytes().all(|one| one.is_ascii_hexdigit()) {
            bail!("`{sha}` is no whole commit id");
        }
        let mut fetched = self.fetch(sha, root, None);
        if fetched.is_err() && login.is_some() {
            fetched = self.fetch(sha, root, login);
        }
        fetched?;
        // What libgit2 has read of the repository's packs is from before.
        self.repository
            .odb()
            .and_then(|database| database.refresh())
            .context("read what `git fetch` brought")?;
        if !self.has_commit(sha) {
            bail!("`git fetch origin {sha}` brought no such commit");
        }
        Ok(())
    }

    fn fetch(&self, sha: &str, root: &Path, login: Option<Login<'_>>) -> anyhow::Result<()> {
        let mut command = Command::new("git");
        command
            .current_dir(root)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            // A remote that is silent for a minute will not answer.
            .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"]);
        if let Some(login) = login {
            log_in(login, &mut command);
        }
        command
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"])
            .args(["--no-auto-maintenance", "--no-recurse-submodules"]);
        // In a whole clone a depth would cut off history that is there.
        if self.repository.is_shallow() {
            command.arg("--depth=1");
        }
        let output = command
            .args(["origin", sha])
            .stdin(Stdio::null())
            .output()
            .context("run `git`")?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        let last = last.unwrap_or("it says nothing");
        // The remote's words: none of them moves a cursor or is a command for a runner that reads the log.
        let last: String = last.chars().filter(|one| !one.is_control()).collect();
        bail!(
            "`git fetch origin {sha}` failed: {}",
            last.replace("##[", "## [")
        );
    }
}

/// Has git show a server the token, as `actions/checkout` does. An empty header takes away those that are configured, for
/// a server refuses two.
fn log_in(login: Login<'_>, command: &mut Command) {
    let pair = format!("x-access-token:{}", login.token.expose_secret().trim());
    let key = format!("http.{}/.extraheader", login.server);
    command
        .env(
            HEADER,
            format!("AUTHORIZATION: basic {}", STANDARD.encode(pair)),
        )
        .args(["-c", &format!("{key}=")])
        .arg(format!("--config-env={key}={HEADER}"));
}
