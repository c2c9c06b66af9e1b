//! The files that an image's build can see.

use globset::{GlobBuilder, GlobMatcher};

use super::dockerfile::{self, Needs};
use crate::discover::{EntryKind, Tree};
use crate::model::{CodeFile, CodeTree, Dockerfile, Hasher, RepoPath};

/// Patterns as `.dockerignore` and the sources of `COPY` have them: relative to the context, matching what they name and
/// everything below it.
pub(super) struct Patterns(Vec<(GlobMatcher, bool)>);

impl Patterns {
    /// Reads the lines of a `.dockerignore`; a line that is no pattern is passed over, as its own program does not.
    pub(super) fn ignore_file(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self::of(lines)
    }

    /// Reads patterns; one that begins with `!` takes back what those before it matched.
    pub(super) fn of<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let parsed = patterns.filter_map(|pattern| {
            let (pattern, keeps) = match pattern.strip_prefix('!') {
                Some(pattern) => (pattern.trim(), true),
                None => (pattern, false),
            };
            let parts = pattern.split('/').filter(|part| !matches!(*part, "" | "."));
            let pattern = parts.collect::<Vec<_>>().join("/");
            let pattern = if pattern.is_empty() { "**" } else { &pattern };
            let glob = GlobBuilder::new(pattern)
                .literal_separator(true)
                .backslash_escape(true)
                .build();
            Some((glob.ok()?.compile_matcher(), keeps))
        });
        Self(parsed.collect())
    }

    /// Whether the last pattern that matches a path, or a folder above it, is not negated.
    pub(super) fn match_path(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(end, _)| &path[..end]);
        let all: Vec<&str> = above.chain([path]).collect();
        let last = self
            .0
            .iter()
            .rev()
            .find(|(glob, _)| all.iter().any(|path| glob.is_match(path)));
        last.is_some_and(|(_, keeps)| !keeps)
    }
}

/// Which files of its context a Dockerfile copies.
pub(in crate::read) struct Copies {
    /// Whether any of them may count.
    everything: bool,
    copied: Patterns,
    ignored: Patterns,
    folder: RepoPath,
    /// The Dockerfile, and the files that may say what its context leaves out.
    read: [RepoPath; 3],
}

impl Copies {
    /// Those of an image that was read.
    pub(in crate::read) fn of_image(tree: &Tree, image: &Dockerfile) -> Self {
        let needs = dockerfile::needs(&image.text, &image.arguments);
        Self::of(tree, &image.file, image.context.base(), &needs)
    }

    /// Those of a Dockerfile `file` with the context `folder`.
    pub(super) fn of(tree: &Tree, file: &RepoPath, folder: &RepoPath, needs: &Needs) -> Self {
        let ignore_files = [
            RepoPath::new(format!("{file}.dockerignore")),
            folder.join(".dockerignore"),
        ];
        let ignored = ignore_files.iter().find_map(|path| {
            tree.position(path)?;
            tree.read(path).ok()
        });
        let [own, common] = ignore_files;
        Self {
            everything: needs.everything,
            copied: Patterns::of(needs.sources.iter().map(|(source, _)| source.as_str())),
            ignored: Patterns::ignore_file(&String::from_utf8_lossy(&ignored.unwrap_or_default())),
            folder: folder.clone(),
            read: [file.clone(), own, common],
        }
    }

    /// Whether a file is copied, by its path from the context's folder.
    pub(super) fn take(&self, below: &str) -> bool {
        (self.everything || self.copied.match_path(below)) && !self.ignored.match_path(below)
    }

    /// Whether the build depends on a file, which need not be there any more.
    pub(in crate::read) fn need(&self, path: &RepoPath) -> bool {
        self.read.contains(path)
            || path
                .below(&self.folder)
                .is_some_and(|below| self.take(below))
    }
}

/// The files below `folder` that `wanted` takes by their path from there, with their digests. A link counts as the file
/// that it leads to. An error names the file.
pub(super) fn files(
    tree: &Tree,
    folder: &RepoPath,
    wanted: impl Fn(&str) -> bool,
) -> Result<CodeTree, (RepoPath, String)> {
    let mut files = Vec::new();
    for index in tree.below(folder) {
        let path = &tree.entries()[index].path;
        if let Some(below) = path.below(folder).filter(|below| wanted(below)) {
            files.push(file(tree, index, below)?);
        }
    }
    Ok(CodeTree::new(folder.clone(), files))
}

/// One file of a tree, below a path of its own.
pub(super) fn file(tree: &Tree, index: usize, below: &str) -> Result<CodeFile, (RepoPath, String)> {
    let path = &tree.entries()[index].path;
    let fault = |why: String| (path.clone(), why);
    let target = tree.follow(index).map_err(|why| fault(why.to_string()))?;
    let EntryKind::File { mode, .. } = tree.entries()[target].kind else {
        return Err(fault("is no file".to_owned()));
    };
    let mut hasher = Hasher::default();
    let length = tree
        .content(target)
        .and_then(|content| Ok(content.pieces(|piece| hasher.update(piece))?))
        .map_err(|why| fault(format!("cannot be read: {why:#}")))?;
    Ok(CodeFile {
        path: below.to_owned(),
        length,
        sha256: hasher.finish(),
        mode,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_docker_matches() {
        let ignored = Patterns::ignore_file("# x\n*.md\n!README.md\n/data\n**/*.tmp\nlib/*/gen\n");
        for (path, yes) in [
            ("a.md", true),
            ("README.md", false),
            // Not at every depth, unlike .gitignore.
            ("docs/a.md", false),
            ("data/x/y.csv", true),
            ("x/data/y", false),
            ("deep/er/x.tmp", true),
            ("lib/a/gen/x.py", true),
            ("lib/gen/x.py", false),
        ] {
            assert_eq!(ignored.match_path(path), yes, "{path}");
        }
        let copied = Patterns::of(["./flows/", "*.py"].into_iter());
        assert!(copied.match_path("flows/a/b.sql") && copied.match_path("x.py"));
        assert!(!copied.match_path("lib/x.py"));
        assert!(Patterns::of([".", "x"].into_iter()).match_path("any/thing"));
    }
}
