//! The patterns of `code.include` and `code.exclude`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use globset::{GlobBuilder, GlobMatcher};

use crate::model::RepoPath;

/// A pattern, resolved to the folder that its plain components lead to, and a glob for what is left.
#[derive(Clone, Debug)]
pub(in crate::read) struct Area {
    /// The file or folder that the plain components name.
    pub(in crate::read) anchor: RepoPath,
    /// What has to match below the anchor; `None` for all of it.
    pub(in crate::read) glob: Option<Arc<GlobMatcher>>,
    /// Whether only folders match, as after a trailing slash.
    only_folders: bool,
    /// Whether it takes back what earlier patterns matched: `!pattern`.
    pub(in crate::read) negated: bool,
}

impl Area {
    /// A file, or everything below a folder.
    pub(in crate::read) fn all(path: RepoPath) -> Self {
        Self {
            anchor: path,
            glob: None,
            only_folders: false,
            negated: false,
        }
    }

    /// Whether the pattern matches a file: itself, or a folder that it is in.
    pub(in crate::read) fn matches(&self, file: &RepoPath) -> bool {
        let Some(below) = file.below(&self.anchor) else {
            return false;
        };
        let is_anchor = below.is_empty();
        let Some(glob) = &self.glob else {
            return !(is_anchor && self.only_folders);
        };
        let mut folders = below.match_indices('/').map(|(end, _)| &below[..end]);
        (!self.only_folders && !is_anchor && glob.is_match(below))
            || folders.any(|folder| glob.is_match(folder))
    }
}

/// Whether the last of the patterns that match a file is not negated.
pub(in crate::read) fn takes(patterns: &[Area], file: &RepoPath) -> bool {
    let last = patterns.iter().rev().find(|area| area.matches(file));
    last.is_some_and(|area| !area.negated)
}

/// Compiled globs by their text: the projects of a repository tend to write the same ones.
#[derive(Default)]
pub(in crate::read) struct Globs(Mutex<HashMap<String, Arc<GlobMatcher>>>);

impl Globs {
    /// Reads a pattern of a project: the syntax of a line in `.gitignore`, except that a leading `/` means the
    /// repository's root, that `..` leads up, and that there are no comments. An error says what is wrong with it.
    pub(in crate::read) fn parse(&self, project: &RepoPath, written: &str) -> Result<Area, String> {
        let (text, negated) = match written.trim().strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (written.trim(), false),
        };
        if text.is_empty() {
            return Err("the pattern is empty".into());
        }
        let (path, only_folders) = match text.strip_suffix('/') {
            Some("") => ("/", true),
            Some(path) => (path, true),
            None => (text, false),
        };
        let (plain, rest) = if !path.contains('/') && !matches!(path, "." | "..") {
            // A name alone is looked for at every depth.
            (String::new(), format!("**/{path}"))
        } else {
            let parts: Vec<&str> = path.split('/').collect();
            let plain = parts.iter().take_while(|part| !is_glob(part)).count();
            (parts[..plain].join("/"), parts[plain..].join("/"))
        };
        // The join of ["", "x"] keeps the leading slash; that of [""] alone, before a glob, does not.
        let plain = match (plain.as_str(), path.starts_with('/')) {
            ("", true) => "/",
            (plain, _) => plain,
        };
        let anchor = project
            .resolve(plain)
            .ok_or("the pattern leads out of the repository")?;
        let glob = match rest.as_str() {
            "" => None,
            rest if rest.split('/').any(|part| part == "..") => {
                return Err("`..` cannot follow a wildcard".into());
            }
            rest => Some(self.compile(rest)?),
        };
        Ok(Area {
            anchor,
            glob,
            only_folders,
            negated,
        })
    }

    fn compile(&self, text: &str) -> Result<Arc<GlobMatcher>, String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(glob) = known.get(text) {
            return Ok(glob.clone());
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| format!("the pattern is not valid: {}", error.kind()))?;
        let glob = Arc::new(glob.compile_matcher());
        known.insert(text.to_owned(), glob.clone());
        Ok(glob)
    }
}

fn is_glob(part: &str) -> bool {
    part.contains(['*', '?', '[', '{', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, file: &str) -> bool {
        let project = RepoPath::new("p/[a]");
        let area = Globs::default().parse(&project, pattern).expect("valid");
        area.matches(&RepoPath::new(file))
    }

    #[test]
    fn patterns_are_those_of_gitignore_with_a_wider_view() {
        // Relative to the project, whose own name is no glob.
        assert!(matches("./data/x.csv", "p/[a]/data/x.csv"));
        assert!(matches("data/", "p/[a]/x/data/y"));
        assert!(!matches("data/", "p/[a]/data"));
        assert!(matches("*.csv", "p/[a]/deep/x.csv"));
        assert!(!matches("*.csv", "p/a/x.csv"));
        assert!(matches("sub/*.csv", "p/[a]/sub/x.csv"));
        assert!(!matches("sub/*.csv", "p/[a]/sub/deep/x.csv"));
        assert!(matches("sub/*", "p/[a]/sub/deep/x.csv"));
        // From the root, and up.
        assert!(matches("/lib", "lib/a/b.py"));
        assert!(matches("/lib", "lib"));
        assert!(!matches("/lib", "library/a.py"));
        assert!(matches("/*.toml", "x.toml"));
        assert!(!matches("/*.toml", "p/x.toml"));
        assert!(matches("/**/*.sql", "any/where/x.sql"));
        assert!(matches("../shared", "p/shared/x"));
        assert!(matches("/", "any/thing"));
        assert!(matches("..", "p/x"));
        assert!(matches(".", "p/[a]/x"));
    }

    #[test]
    fn faulty_patterns_say_why() {
        let globs = Globs::default();
        let project = RepoPath::new("p");
        for (pattern, why) in [
            ("", "the pattern is empty"),
            ("!", "the pattern is empty"),
            ("../../x", "the pattern leads out of the repository"),
            ("*/../x", "`..` cannot follow a wildcard"),
        ] {
            assert_eq!(globs.parse(&project, pattern).expect_err("a fault"), why);
        }
        assert!(
            globs
                .parse(&project, "a[z-a]")
                .expect_err("a fault")
                .starts_with("the pattern is not valid: ")
        );
    }

    #[test]
    fn the_last_match_decides() {
        let globs = Globs::default();
        let project = RepoPath::new("p");
        let patterns: Vec<_> = ["*.csv", "!keep.csv", "data/"]
            .iter()
            .map(|text| globs.parse(&project, text).expect("valid"))
            .collect();
        assert!(takes(&patterns, &RepoPath::new("p/x.csv")));
        assert!(!takes(&patterns, &RepoPath::new("p/keep.csv")));
        assert!(takes(&patterns, &RepoPath::new("p/data/keep.csv")));
        assert!(!takes(&patterns, &RepoPath::new("p/x.py")));
    }
}
