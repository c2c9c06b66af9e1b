//! The ignore rules of one folder, shared by both kinds of tree.

use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Names that are never code; a `!` line of a `.prefectignore` brings one back.
const NEVER_CODE: &[&str] = &[
    "__pycache__",
    ".venv",
    "venv",
    "node_modules",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    ".DS_Store",
    ".tox",
    ".idea",
    ".vscode",
    ".prefect",
];

/// What the rules say of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts.
    Kept,
    /// Git ignores it, unless it is tracked.
    KeptIfTracked,
    /// It is out by its name.
    BuiltIn,
    /// It is out by a line of a `.prefectignore`.
    Prefect,
}

/// The rules that hold inside of one folder: its own ignore files over those of the folders above.
///
/// Paths are relative to the git repository's root (the tree's own root where there is no git).
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Option<Arc<Layer>>);

#[derive(Debug)]
struct Layer {
    outer: Rules,
    /// The folder that the lines are relative to; empty for the root.
    base: String,
    git: Option<Gitignore>,
    prefect: Option<Gitignore>,
}

impl Layer {
    /// The path as the lines of this layer see it.
    fn inside<'a>(&self, path: &'a str) -> &'a str {
        if self.base.is_empty() {
            return path;
        }
        path.get(self.base.len() + 1..).unwrap_or_default()
    }
}

impl Rules {
    /// The rules below `base`, which holds these ignore files.
    pub(super) fn below(
        &self,
        base: &str,
        git: Option<Gitignore>,
        prefect: Option<Gitignore>,
    ) -> Self {
        let full = |lines: Option<Gitignore>| lines.filter(|lines| !lines.is_empty());
        let (git, prefect) = (full(git), full(prefect));
        if git.is_none() && prefect.is_none() {
            return self.clone();
        }
        Self(Some(Arc::new(Layer {
            outer: self.clone(),
            base: base.to_owned(),
            git,
            prefect,
        })))
    }

    /// What the rules say of `path`, whose last component is `name`. Its parents are known to count.
    pub(super) fn verdict(&self, path: &str, name: &str, is_folder: bool) -> Verdict {
        if name == ".git" || name == ".flowyard" {
            return Verdict::BuiltIn;
        }
        match self.first_match(path, is_folder, |layer| layer.prefect.as_ref()) {
            Some(true) => return Verdict::Prefect,
            None if never_code(name) => return Verdict::BuiltIn,
            Some(false) | None => {}
        }
        match self.first_match(path, is_folder, |layer| layer.git.as_ref()) {
            Some(true) => Verdict::KeptIfTracked,
            Some(false) | None => Verdict::Kept,
        }
    }

    /// Whether the innermost line that matches ignores; `None` where no line matches.
    fn first_match(
        &self,
        path: &str,
        is_folder: bool,
        lines: impl Fn(&Layer) -> Option<&Gitignore>,
    ) -> Option<bool> {
        let mut rules = self;
        while let Some(layer) = &rules.0 {
            if let Some(lines) = lines(layer) {
                match lines.matched(layer.inside(path), is_folder) {
                    Match::Ignore(_) => return Some(true),
                    Match::Whitelist(_) => return Some(false),
                    Match::None => {}
                }
            }
            rules = &layer.outer;
        }
        None
    }
}

fn never_code(name: &str) -> bool {
    // Where google-github-actions/auth leaves credentials beside the checkout.
    let is_credentials = name.starts_with("gha-creds-") && name.ends_with(".json");
    name.ends_with(".pyc")
        || name.ends_with(".egg-info")
        || is_credentials
        || NEVER_CODE.contains(&name)
}

/// The lines of an ignore file, and its faulty ones: the number, from 1, and what is wrong. The others still count.
pub(super) fn parse(content: &[u8]) -> (Gitignore, Vec<(u32, String)>) {
    let text = String::from_utf8_lossy(content);
    let mut builder = GitignoreBuilder::new("");
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        if let Err(error) = builder.add_line(None, line) {
            faults.push((number, error.to_string()));
        }
    }
    let lines = builder.build().unwrap_or_else(|error| {
        faults.push((0, error.to_string()));
        Gitignore::empty()
    });
    (lines, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Option<Gitignore> {
        let (lines, faults) = parse(text.as_bytes());
        assert_eq!(faults, []);
        Some(lines)
    }

    #[test]
    fn the_deepest_matching_line_wins() {
        let top = Rules::default().below("", lines("*.log\n/build\nkeep/\n"), None);
        let deep = top.below("a/b", lines("!debug.log\n/local\n"), None);
        let git = |rules: &Rules, path: &str, is_folder| {
            let name = path.rsplit('/').next().unwrap_or(path);
            rules.verdict(path, name, is_folder) == Verdict::KeptIfTracked
        };
        assert!(git(&top, "x.log", false));
        assert!(git(&top, "build", true));
        assert!(!git(&top, "a/build", true));
        assert!(!git(&top, "keep", false));
        assert!(git(&deep, "a/b/x.log", false));
        assert!(!git(&deep, "a/b/debug.log", false));
        assert!(git(&deep, "a/b/local", true));
        assert!(!git(&deep, "a/b/c/local", true));
    }

    #[test]
    fn built_in_names_give_way_to_a_prefectignore_alone() {
        let rules = Rules::default().below("", lines("!venv\n!.git\n"), None);
        assert_eq!(rules.verdict("venv", "venv", true), Verdict::BuiltIn);
        let rules = Rules::default().below("", None, lines("!venv\n!.git\n*.csv\n"));
        assert_eq!(rules.verdict("venv", "venv", true), Verdict::Kept);
        assert_eq!(rules.verdict(".git", ".git", true), Verdict::BuiltIn);
        assert_eq!(rules.verdict("x.csv", "x.csv", false), Verdict::Prefect);
        assert_eq!(rules.verdict("x.pyc", "x.pyc", false), Verdict::BuiltIn);
        assert_eq!(rules.verdict(".env", ".env", false), Verdict::Kept);
        let credentials = "gha-creds-0a1b2c.json";
        let verdict = rules.verdict(credentials, credentials, false);
        assert_eq!(verdict, Verdict::BuiltIn);
    }

    #[test]
    fn a_faulty_line_is_named_and_the_others_count() {
        let (lines, faults) = parse(b"\xef\xbb\xbf*.csv\r\na[z-a]\n*.bin\n");
        assert_eq!(lines.len(), 2);
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].0, 2);
    }
}
