//! Requirements files as people write them, read before `uv` sees them: what they include must be known, what cannot be a
//! package of an image is told with its line, and what is pinned already needs no index.
//!
//! Source: [the format of pip](https://pip.pypa.io/en/stable/reference/requirements-file-format/).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::backend::{Content, Error, Files, Kind, Result};
use crate::model::{RepoPath, Requirements};

/// The largest requirements file, in bytes.
const LARGEST: u64 = 16 << 20;

/// What a `requirements.txt` says, with all that it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Its requirements, where each has one version and a hash: nothing is left to an index.
    pub(super) pinned: Option<String>,
    /// Lines that name package indexes, which say nothing about what is installed once it is pinned.
    pub(super) indexes: Vec<String>,
}

static PINNED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*===?\s*[A-Za-z0-9][A-Za-z0-9.!+_-]*\s*(;.*)?$")
        .expect("the pattern is right")
});

/// Whether the requirements are a locked project: a `pyproject.toml` with an `uv.lock` beside it.
pub(super) fn is_locked(requirements: &Requirements) -> bool {
    let lock = requirements
        .file
        .parent()
        .unwrap_or_default()
        .join("uv.lock");
    is_project(requirements) && holds(requirements, &lock)
}

/// Whether the requirements are those of a `pyproject.toml`.
pub(super) fn is_project(requirements: &Requirements) -> bool {
    requirements.file.file_name() == "pyproject.toml"
}

fn holds(requirements: &Requirements, path: &RepoPath) -> bool {
    let files = &requirements.files;
    files
        .files()
        .iter()
        .any(|file| files.base().join(&file.path) == *path)
}

/// Reads a `requirements.txt` and all that it includes.
pub(super) fn read(requirements: &Requirements, files: &dyn Files) -> Result<Written> {
    let mut reader = Reader {
        requirements,
        files,
        seen: BTreeSet::new(),
        lines: Vec::new(),
        open: false,
        indexes: Vec::new(),
    };
    reader.file(&requirements.file, false)?;
    let Reader {
        mut lines,
        open,
        indexes,
        ..
    } = reader;
    lines.sort();
    lines.dedup();
    let pinned = (!open).then(|| lines.iter().map(|line| format!("{line}\n")).collect());
    Ok(Written { pinned, indexes })
}

struct Reader<'a> {
    requirements: &'a Requirements,
    files: &'a dyn Files,
    seen: BTreeSet<(RepoPath, bool)>,
    /// In a form of their own: one line each, hashes sorted.
    lines: Vec<String>,
    open: bool,
    indexes: Vec<String>,
}

impl Reader<'_> {
    fn file(&mut self, path: &RepoPath, constraints: bool) -> Result<()> {
        if !self.seen.insert((path.clone(), constraints)) {
            return Ok(());
        }
        let text = text(self.files, path)?;
        for (number, line) in logical_lines(&text) {
            let place = format!("{path}:{number}");
            self.line(path, &place, &line, constraints)?;
        }
        Ok(())
    }

    fn line(&mut self, path: &RepoPath, place: &str, line: &str, constraints: bool) -> Result<()> {
        if line.starts_with('-') {
            return self.option(path, place, line);
        }
        let (requirement, hashes) = split_hashes(line);
        refuse_folders(place, &requirement)?;
        if constraints {
            return Ok(());
        }
        let url = requirement.contains(" @ http");
        if hashes.is_empty() || !(url || PINNED.is_match(&requirement)) {
            self.open = true;
        }
        let mut line = requirement;
        for hash in &hashes {
            line.push_str(&format!(" --hash={hash}"));
        }
        self.lines.push(line);
        Ok(())
    }

    fn option(&mut self, path: &RepoPath, place: &str, line: &str) -> Result<()> {
        let value = |names: &[&str]| {
            names.iter().find_map(|name| {
                let rest = line.strip_prefix(name)?;
                // `-rfile` is an option with a value too, `--requirementfile` is not.
                let cut = rest.starts_with(['=', ' ', '\t']) || !name.starts_with("--");
                cut.then(|| rest.trim_start_matches(['=', ' ', '\t']).trim().to_owned())
            })
        };
        if let Some(value) = value(&["-e", "--editable"]) {
            return refuse_folders(place, if value.is_empty() { "." } else { &value })
                .and(Err(local(place, &value)));
        }
        for (names, constraints) in [
            (["-r", "--requirement"], false),
            (["-c", "--constraint"], true),
        ] {
            let Some(value) = value(&names) else { continue };
            if value.contains("://") {
                self.open = true;
                return Ok(());
            }
            let included = path.parent().unwrap_or_default().resolve(&value);
            // What is not among the files was not there, or is outside of the repository, whose content no message
            // must show.
            return match included {
                Some(included)
                    if !value.starts_with('/') && holds(self.requirements, &included) =>
                {
                    self.file(&included, constraints)
                }
                _ => {
                    let message = format!("`{value}` is no file of the repository");
                    Err(Error::new(Kind::Other, place, message)
                        .hint("name a file of the repository, from the folder of this one"))
                }
            };
        }
        let index = [
            "-i",
            "--index-url",
            "--extra-index-url",
            "-f",
            "--find-links",
            "--no-index",
        ];
        if value(&index).is_some() {
            self.indexes.push(line.to_owned());
        }
        Ok(())
    }
}

/// Refuses what is no package of an index but a folder or a file of this machine, or has to be built from a checkout.
fn refuse_folders(place: &str, requirement: &str) -> Result<()> {
    let target = requirement
        .split_once(" @ ")
        .map_or(requirement, |(_, target)| target)
        .trim();
    if target.starts_with("git+") || target.starts_with("hg+") || target.starts_with("svn+") {
        let message = format!("`{requirement}` would have to be built, which runs its code");
        return Err(Error::new(Kind::Other, place, message).hint(
            "publish it as a wheel on an index of your own, or build the image from a Dockerfile",
        ));
    }
    let name = target.split([';', ' ']).next().unwrap_or(target);
    let remote = target.starts_with("http://") || target.starts_with("https://");
    if !remote && (name.starts_with(['.', '/', '~']) || name.contains('/') || name.contains('\\')) {
        return Err(local(place, name));
    }
    Ok(())
}

fn local(place: &str, name: &str) -> Error {
    let message = format!("`{name}` is a folder or file of this machine, and no package");
    Error::new(Kind::Other, place, message).hint(
        "code of the repository comes with the code, not with the packages: `code.include` in the deployment file adds it",
    )
}

/// The text of a `requirements.txt` that a program wrote, in the form of [`Written::pinned`]; apart from it the lines that name
/// folders.
pub(super) fn normal(text: &str) -> (Vec<String>, String) {
    let (mut folders, mut lines) = (Vec::new(), Vec::new());
    for (_, line) in logical_lines(text) {
        let (mut requirement, hashes) = split_hashes(&line);
        if requirement.starts_with('-') || refuse_folders("", &requirement).is_err() {
            folders.push(requirement);
            continue;
        }
        for hash in &hashes {
            requirement.push_str(&format!(" --hash={hash}"));
        }
        lines.push(requirement);
    }
    lines.sort();
    lines.dedup();
    let text = lines.iter().map(|line| format!("{line}\n")).collect();
    (folders, text)
}

/// The requirement with its marker but without its hashes, and the hashes, sorted.
fn split_hashes(line: &str) -> (String, Vec<String>) {
    let mut requirement = Vec::new();
    let mut hashes = Vec::new();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        match word.strip_prefix("--hash") {
            Some("") => hashes.extend(words.next().map(str::to_owned)),
            Some(rest) => hashes.push(rest.trim_start_matches('=').to_owned()),
            None => requirement.push(word),
        }
    }
    hashes.sort();
    hashes.dedup();
    (requirement.join(" "), hashes)
}

/// The lines with what continues them, without comments and blank ones, and the number of the first of each.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let (start, mut joined) = open.take().unwrap_or((number + 1, String::new()));
        if let Some(line) = line.strip_suffix('\\') {
            joined.push_str(line);
            open = Some((start, joined));
            continue;
        }
        joined.push_str(line);
        lines.push((start, joined));
    }
    lines.extend(open);
    lines
        .into_iter()
        .map(|(number, line)| (number, without_comment(&line).trim().to_owned()))
        .filter(|(_, line)| !line.is_empty())
        .collect()
}

/// A `#` starts a comment at the start of a line or after a space: URLs have fragments.
fn without_comment(line: &str) -> &str {
    let comment = line
        .char_indices()
        .find(|&(at, one)| one == '#' && (at == 0 || line[..at].ends_with(char::is_whitespace)));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// A file's text.
fn text(files: &dyn Files, path: &RepoPath) -> Result<String> {
    let failed = |what: String| Error::new(Kind::Other, path, what);
    let content = files
        .content(path)
        .map_err(|error| failed(format!("it cannot be read: {error:#}")))?;
    let bytes = match content {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::File { length, .. } if length > LARGEST => {
            return Err(failed("it is too long for requirements".to_owned()));
        }
        Content::File { path, .. } => {
            std::fs::read(path).map_err(|error| failed(format!("it cannot be read: {error}")))?
        }
    };
    String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{Texts, requirements};
    use super::*;

    fn written(texts: &[(&str, &str)]) -> Result<Written> {
        let texts: BTreeMap<String, String> = texts
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let files = Texts(texts);
        read(&requirements("p/requirements.txt", &files), &files)
    }

    #[test]
    fn what_is_pinned_needs_no_index() {
        let text = "--index-url https://i.example/simple\n\
                    b==2 ; python_version < '4' \\\n    --hash=sha256:2 \\\n    --hash=sha256:1  # why\n\
                    -r ../more.txt\n-c limits.txt\n";
        let written = written(&[
            ("p/requirements.txt", text),
            ("more.txt", "# all\na[x,y]==1.0 --hash sha256:3\n"),
            ("p/limits.txt", "a<2\n"),
        ])
        .expect("readable");
        assert_eq!(
            written.pinned.as_deref(),
            Some(
                "a[x,y]==1.0 --hash=sha256:3\nb==2 ; python_version < '4' --hash=sha256:1 --hash=sha256:2\n"
            )
        );
        assert_eq!(written.indexes, ["--index-url https://i.example/simple"]);
    }

    #[test]
    fn what_is_open_is_not_pinned() {
        for text in [
            "a",
            "a==1",
            "a==1.* --hash=sha256:1",
            "a>=1 --hash=sha256:1",
            "a @ https://i.example/a-1-py3-none-any.whl",
            "-r https://i.example/r.txt",
        ] {
            let written = written(&[("p/requirements.txt", text)]).expect(text);
            assert_eq!(written.pinned, None, "{text}");
        }
        let url = "a @ https://i.example/a-1-py3-none-any.whl#egg=a --hash=sha256:1";
        let written = written(&[("p/requirements.txt", url)]).expect("readable");
        assert_eq!(written.pinned, Some(format!("{url}\n")));
    }

    #[test]
    fn what_cannot_be_a_package_is_told_with_its_line() {
        for (line, fault) in [
            ("-e .", "`.` is a folder or file"),
            ("--editable=./lib", "`./lib` is a folder or file"),
            ("../lib", "`../lib` is a folder or file"),
            ("lib/x.whl", "`lib/x.whl` is a folder or file"),
            ("/etc/x", "`/etc/x` is a folder or file"),
            ("x @ file:///etc/x.whl", "`file:///etc/x.whl` is a folder"),
            ("git+https://g.example/x", "would have to be built"),
            ("x @ git+ssh://g.example/x", "would have to be built"),
            ("-e git+https://g.example/x", "would have to be built"),
            (
                "-r /etc/passwd",
                "`/etc/passwd` is no file of the repository",
            ),
            ("-r../../../etc/passwd", "is no file of the repository"),
            ("--constraint ../../x", "is no file of the repository"),
            (
                "-r missing.txt",
                "`missing.txt` is no file of the repository",
            ),
        ] {
            let text = format!("a==1\n\n{line}\n");
            let error = written(&[("p/requirements.txt", &text)]).expect_err(line);
            assert_eq!(error.service, "p/requirements.txt:3", "{line}");
            assert!(error.message.contains(fault), "{error}");
        }
    }

    #[test]
    fn what_uv_exports_is_brought_into_the_same_form() {
        let text = "-e ./lib\n./other ; python_version < '4'\nb==2 ; x \\\n    --hash=sha256:2 \\\n    --hash=sha256:1\na==1\n";
        let (folders, packages) = normal(text);
        assert_eq!(folders, ["-e ./lib", "./other ; python_version < '4'"]);
        assert_eq!(packages, "a==1\nb==2 ; x --hash=sha256:1 --hash=sha256:2\n");
    }

    #[test]
    fn files_that_include_each_other_end() {
        let written = written(&[
            ("p/requirements.txt", "-r more.txt\na==1 --hash=sha256:1"),
            ("p/more.txt", "-r requirements.txt\n"),
        ]);
        let pinned = written.expect("readable").pinned;
        assert_eq!(pinned.as_deref(), Some("a==1 --hash=sha256:1\n"));
    }
}
