//! The files that an image's build can see.

use globset::{GlobBuilder, GlobMatcher};

use super::dockerfile::{self, Needs};
use crate::discover::{EntryKind, Tree};
use crate::model::{CodeFile, CodeTree, Dockerfile, Hasher, RepoPath};

/// The byte order mark, which some editors of Windows put before a text; builders take it off.
pub(super) const MARK: char = '\u{feff}';

/// Patterns as `.dockerignore` and the sources of `COPY` have them: relative to the context, matching what they name and
/// everything below it.
pub(super) struct Patterns(Vec<(GlobMatcher, bool)>);

impl Patterns {
    /// Reads the lines of a `.dockerignore`; a line that is no pattern is passed over, as its own program does not, and
    /// one that means the context itself, such as `.`, as it does.
    pub(super) fn ignore_file(text: &str) -> Self {
        let lines = text.trim_start_matches(MARK).lines().map(str::trim);
        Self::of(lines.filter(|line| {
            let pattern = line.trim_start_matches('!').trim();
            !line.starts_with('#') && !cleaned(pattern).is_empty()
        }))
    }

    /// Reads patterns; one that begins with `!` takes back what those before it matched.
    pub(super) fn of<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let parsed = patterns.filter_map(|pattern| {
            let (pattern, keeps) = match pattern.strip_prefix('!') {
                Some(pattern) => (pattern.trim(), true),
                None => (pattern, false),
            };
            let pattern = cleaned(pattern);
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

/// A path from the context, without what changes nothing: `./a//x/../b/` is `a/b`. Empty for the context itself.
pub(super) fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What says which files of a context no build sees, where the Dockerfile has no such file of its own.
const IGNORE_FILE: &str = ".dockerignore";

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
        let needs = dockerfile::needs(&image.text, &image.arguments, &[]);
        Self::of(tree, &image.file, image.context.base(), &needs)
    }

    /// Those of a Dockerfile `file` with the context `folder`.
    pub(super) fn of(tree: &Tree, file: &RepoPath, folder: &RepoPath, needs: &Needs) -> Self {
        let own = RepoPath::new(format!("{file}.dockerignore"));
        let common = folder.join(IGNORE_FILE);
        let text = |path: &RepoPath| {
            tree.position(path)?;
            let text = tree.read(path).ok()?;
            Some(String::from_utf8_lossy(&text).into_owned())
        };
        let ignored = match text(&own) {
            // Builders that do not know the Dockerfile's own, or do not find it beside what they are given, would apply
            // the common one to what they are given.
            Some(own) => format!("{own}\n{IGNORE_FILE}"),
            None => text(&common).unwrap_or_default(),
        };
        Self {
            everything: needs.everything,
            copied: Patterns::of(needs.sources.iter().map(|(source, _)| source.as_str())),
            ignored: Patterns::ignore_file(&ignored),
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
        // Neither a mark before the text nor a line that means the context itself hides what it says.
        let marked = Patterns::ignore_file("\u{feff}secret.txt\n.\n!./\n/\n\nlib/../*.key\n");
        for (path, yes) in [("secret.txt", true), ("x.key", true), ("flow.py", false)] {
            assert_eq!(marked.match_path(path), yes, "{path}");
        }
        let copied = Patterns::of(["./flows/", "*.py"].into_iter());
        assert!(copied.match_path("flows/a/b.sql") && copied.match_path("x.py"));
        assert!(!copied.match_path("lib/x.py"));
        assert!(Patterns::of([".", "x"].into_iter()).match_path("any/thing"));
    }
}
