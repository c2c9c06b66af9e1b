//! Temporary git repositories.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use git2::{IndexAddOption, Repository, Signature, Time};
use tempfile::TempDir;

/// A git repository that is gone when it is dropped. Its branch is `main`; the same calls give the same commits.
pub(crate) struct Repo {
    folder: TempDir,
    git: Repository,
    commits: Cell<i64>,
}

impl Repo {
    /// An empty repository without a commit.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("repo-")
            .tempdir()
            .expect("a temporary folder can be made");
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main");
        let git = Repository::init_opts(folder.path(), &options).expect("a repository can be made");
        Self {
            folder,
            git,
            commits: Cell::new(0),
        }
    }

    /// One with all of `examples/` in its root, committed.
    pub(crate) fn with_examples() -> Self {
        let repo = Self::new();
        repo.copy_examples();
        repo.commit("Add the examples");
        repo
    }

    /// The root.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, and the folders that it needs.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path().join(path);
        let parent = file.parent().expect("a file is in a folder");
        fs::create_dir_all(parent).expect("a temporary folder can be written");
        fs::write(&file, content).expect("a temporary folder can be written");
        file
    }

    /// The text of a file.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Puts `new` in the place of the only `old` in a file.
    pub(crate) fn replace(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert_eq!(text.matches(old).count(), 1, "`{old}` in {path}");
        self.write(path, text.replace(old, new));
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    /// Commits the work tree as it is, ignored files aside, and gives the commit's id.
    pub(crate) fn commit(&self, message: &str) -> String {
        let count = self.commits.get();
        self.commits.set(count + 1);
        let commit = || -> Result<git2::Oid, git2::Error> {
            let mut index = self.git.index()?;
            index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
            index.update_all(["*"], None)?;
            index.write()?;
            let tree = self.git.find_tree(index.write_tree()?)?;
            // One a minute from 2026-01-01 on.
            let time = Time::new(1_767_225_600 + 60 * count, 60);
            let author = Signature::new("Kari Nordmann", "kari@example.no", &time)?;
            let parent = self
                .git
                .head()
                .ok()
                .map(|head| head.peel_to_commit())
                .transpose()?;
            let parents: Vec<_> = parent.iter().collect();
            self.git
                .commit(Some("HEAD"), &author, &author, message, &tree, &parents)
        };
        commit().expect("a work tree can be committed").to_string()
    }

    /// Copies `examples/` into the root, without what runs have left there.
    pub(crate) fn copy_examples(&self) {
        copy(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"),
            self.path(),
        );
    }
}

/// Runs git in a folder, as the same person at the same time always and without a configuration of this machine; gives what
/// it says.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Kari Nordmann")
            .env(format!("GIT_{who}_EMAIL"), "kari@example.no")
            .env(format!("GIT_{who}_DATE"), "2026-02-01T00:00:00Z");
    }
    let output = command
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Copies a folder, without what runs have left there.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder can be written");
    for entry in fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.expect("a folder can be listed");
        let name = entry.file_name();
        if name == ".flowyard" || name == "__pycache__" {
            continue;
        }
        if entry.file_type().expect("an entry has a type").is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            fs::copy(entry.path(), to.join(name)).expect("a temporary folder can be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_calls_give_the_same_commits() {
        let make = || {
            let repo = Repo::new();
            repo.write("a/b.txt", "one");
            repo.write("c.txt", "");
            let first = repo.commit("first");
            repo.replace("a/b.txt", "one", "two");
            repo.remove("c.txt");
            (first, repo.commit("second"), repo)
        };
        let (first, second, repo) = make();
        assert_ne!(first, second);
        assert_eq!(make().1, second);
        let tree = repo
            .git
            .head()
            .and_then(|head| head.peel_to_tree())
            .expect("there is a commit");
        assert!(tree.get_path(Path::new("a/b.txt")).is_ok());
        assert!(
            tree.get_path(Path::new("c.txt")).is_err(),
            "a removed file is removed"
        );
    }

    #[test]
    fn examples_come_with_their_ignore_file() {
        let repo = Repo::with_examples();
        assert!(repo.path().join("flowyard.toml").is_file());
        assert!(
            repo.path()
                .join("projects/warehouse/table_health/.prefectignore")
                .is_file()
        );
    }
}
