//! Paths inside the repository.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A path from the repository's root: UTF-8, `/`-separated, without a leading or trailing slash.
///
/// The root itself is the empty path and prints as `.`. Paths sort bytewise, which is the order of every listing and
/// report.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepoPath(String);

impl RepoPath {
    /// The repository's root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Makes a path of text that is already clean, as a walk or git gives it; `.` and `""` are the root.
    pub fn new(path: impl Into<String>) -> Self {
        let path: String = path.into();
        let trimmed = path.trim_matches('/');
        if trimmed == "." {
            return Self::root();
        }
        if trimmed.len() == path.len() {
            Self(path)
        } else {
            Self(trimmed.to_owned())
        }
    }

    /// The text of the path; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the repository's root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends `tail`, which holds no `..`; joining the empty string gives the path itself.
    #[must_use]
    pub fn join(&self, tail: &str) -> Self {
        match (self.is_root(), tail.is_empty()) {
            (_, true) => self.clone(),
            (true, false) => Self(tail.to_owned()),
            (false, false) => Self(format!("{}/{tail}", self.0)),
        }
    }

    /// Resolves what a person wrote relative to this folder: `.` and `..` are followed, a leading `/` means the
    /// repository's root. `None` where the path would leave the repository.
    pub fn resolve(&self, written: &str) -> Option<Self> {
        let mut parts: Vec<&str> = if written.starts_with('/') {
            Vec::new()
        } else {
            self.components().collect()
        };
        for part in written.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(Self(parts.join("/")))
    }

    /// The folder that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(Self(
            self.0
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder)
                .to_owned(),
        ))
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &str {
        self.0
            .rsplit_once('/')
            .map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The components from the root down; none for the root.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// What is left of this path below `folder`; `None` where it is not below (or equal to) it.
    pub fn below<'a>(&'a self, folder: &RepoPath) -> Option<&'a str> {
        if folder.is_root() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(folder.as_str())?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('/')
        }
    }

    /// Whether one of both is the other, or lies below it.
    pub fn meets(&self, other: &Self) -> bool {
        self.below(other).is_some() || other.below(self).is_some()
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolve_follows_dots_and_never_leaves() {
        let project = RepoPath::new("projects/news/load");
        assert_eq!(
            project.resolve("flow.py"),
            Some(RepoPath::new("projects/news/load/flow.py"))
        );
        assert_eq!(
            project.resolve("../lib/./x.py"),
            Some(RepoPath::new("projects/news/lib/x.py"))
        );
        assert_eq!(project.resolve("/lib"), Some(RepoPath::new("lib")));
        assert_eq!(project.resolve("../../.."), Some(RepoPath::root()));
        assert_eq!(project.resolve("../../../.."), None);
    }

    #[test]
    fn below_counts_whole_components() {
        let folder = RepoPath::new("a/b");
        assert_eq!(RepoPath::new("a/b/c").below(&folder), Some("c"));
        assert_eq!(RepoPath::new("a/b").below(&folder), Some(""));
        assert_eq!(RepoPath::new("a/bc").below(&folder), None);
        assert_eq!(RepoPath::new("x").below(&RepoPath::root()), Some("x"));
    }
}
