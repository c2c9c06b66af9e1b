//! Which version of which package: from the files where they say it, else asked of a package index through `uv`.
//!
//! A file that leaves nothing open is taken as it is, and so is an `uv.lock`: no index is asked, and the same files give
//! the same packages for ever. Everything else is resolved at each run, because what an index has is not in git; only with
//! the index's answer is it known whether an image is up to date. Of each package the wheels that fit the base are pinned by
//! their hashes, so that a wheel for a later Python that somebody uploads changes nothing.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use tempfile::TempDir;

use super::super::cache::Cache;
use super::fault::Scene;
use super::requirements::{self, Written};
use super::{Python, Uv};
use crate::backend::oci::document::Platform;
use crate::backend::{Content, Error, Files, Kind, Result};
use crate::model::{Digest, RepoPath, Requirements};

/// Changes whenever the same files give another text.
const FORMAT: &str = "resolved 1";

/// The requirements that the files themselves pin, in a form of their own: one line for each package, sorted; `None` where
/// an index has to be asked.
pub(in super::super) async fn written(
    uv: &Uv,
    requirements: &Requirements,
    files: &dyn Files,
    cache: &Cache,
) -> Result<Option<String>> {
    if requirements::is_locked(requirements) {
        return locked(uv, requirements, files, cache).await.map(Some);
    }
    if requirements::is_project(requirements) {
        return Ok(None);
    }
    Ok(requirements::read(requirements, files)?.pinned)
}

/// What an `uv.lock` says, without the groups of development and without what is a folder of the repository.
async fn locked(
    uv: &Uv,
    requirements: &Requirements,
    files: &dyn Files,
    cache: &Cache,
) -> Result<String> {
    // Nothing but these files decides what comes out.
    let key = format!(
        "{FORMAT}\0{}\0{}",
        requirements.file,
        requirements.files.digest()
    );
    let key = Digest::of(key.as_bytes());
    if let Some(text) = cache.fact(&key) {
        return Ok(text);
    }
    let file = requirements.file.to_string();
    let copy = copy(requirements, files, cache)?;
    let scene = Scene {
        file: &file,
        target: "its lock file",
        folder: copy.path(),
    };
    let arguments = [
        "export",
        "--frozen",
        "--offline",
        "--quiet",
        "--format=requirements.txt",
        "--no-dev",
        "--no-header",
        "--no-annotate",
        "--no-emit-project",
    ];
    let folder = folder_of(copy.path(), requirements);
    let text = uv.run(&folder, &arguments, &scene, None).await?;
    let (own, packages) = requirements::normal(&text);
    for line in own {
        tracing::warn!(
            "{file}: `{line}` is a folder of the repository: it comes with the code, not with the packages"
        );
    }
    cache.keep_fact(&key, &packages);
    Ok(packages)
}

/// Asks an index for what the files leave open.
pub(in super::super) async fn resolve(
    uv: &Uv,
    requirements: &Requirements,
    files: &dyn Files,
    python: &Python,
    platform: &Platform,
    cache: &Cache,
) -> Result<String> {
    let file = requirements.file.to_string();
    let copy = copy(requirements, files, cache)?;
    let target = python.describe(platform);
    let scene = Scene {
        file: &file,
        target: &target,
        folder: copy.path(),
    };
    let uv_platform = python.uv_platform(platform, &file)?;
    let arguments = [
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--only-binary=:all:",
        "--generate-hashes",
        "--format=pylock.toml",
        "--python-version",
        &python.version,
        "--python-platform",
        &uv_platform,
        requirements.file.file_name(),
    ];
    let folder = folder_of(copy.path(), requirements);
    let text = uv.run(&folder, &arguments, &scene, None).await?;
    let lock: Lock = toml::from_str(&text).map_err(|error| {
        let message = format!("what uv resolved cannot be read: {}", error.message());
        Error::new(Kind::Other, &file, message).hint("use a newer uv")
    })?;
    lock.text(&file)
}

/// The parts of a `pylock.toml` ([PEP 751](https://peps.python.org/pep-0751/)) that matter here.
#[derive(Debug, Default, Deserialize)]
struct Lock {
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    #[serde(default)]
    wheels: Vec<File>,
    archive: Option<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    url: Option<String>,
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
}

impl Lock {
    fn text(&self, file: &str) -> Result<String> {
        let mut lines = self
            .packages
            .iter()
            .map(|package| package.line(file))
            .collect::<Result<Vec<String>>>()?;
        lines.sort();
        Ok(lines.iter().map(|line| format!("{line}\n")).collect())
    }
}

impl Package {
    fn line(&self, file: &str) -> Result<String> {
        let fault = |what: &str| {
            let message = format!("package `{}` {what}", self.name);
            Err(Error::new(Kind::Other, file, message).hint(
                "use an index that names the sha256 of its wheels, or list the package with its hash",
            ))
        };
        let url = self
            .archive
            .as_ref()
            .and_then(|archive| archive.url.as_ref());
        let mut line = match (&self.version, url) {
            (_, Some(url)) => format!("{} @ {url}", self.name),
            (Some(version), None) => format!("{}=={version}", self.name),
            (None, None) => return fault("has neither a version nor an URL"),
        };
        if let Some(marker) = &self.marker {
            line.push_str(&format!(" ; {marker}"));
        }
        let mut hashes: Vec<&String> = self
            .archive
            .iter()
            .chain(&self.wheels)
            .filter_map(|file| file.hashes.get("sha256"))
            .collect();
        hashes.sort();
        hashes.dedup();
        if hashes.is_empty() {
            return fault("comes without a sha256");
        }
        for hash in hashes {
            line.push_str(&format!(" --hash=sha256:{hash}"));
        }
        Ok(line)
    }
}

/// Copies the files that resolving reads into a folder of their own, as they stand in the repository.
pub(super) fn copy(
    requirements: &Requirements,
    files: &dyn Files,
    cache: &Cache,
) -> Result<TempDir> {
    let failed = |path: &RepoPath, error: &dyn std::fmt::Display| {
        let message = format!("{path} cannot be copied: {error}");
        Error::new(Kind::Other, &requirements.file, message)
    };
    let folder = cache
        .temporary()
        .map_err(|error| failed(&requirements.file, &error))?;
    for file in requirements.files.files() {
        let path = requirements.files.base().join(&file.path);
        if path.components().any(|part| part == "..") || path.as_str().contains('\\') {
            return Err(failed(&path, &"it would leave the folder"));
        }
        let content = files
            .content(&path)
            .map_err(|error| failed(&path, &format!("{error:#}")))?;
        put(&folder.path().join(path.as_str()), &content).map_err(|error| failed(&path, &error))?;
    }
    // What stands above this folder is none of uv's business: the repository's root ends its search for settings.
    Ok(folder)
}

fn put(path: &Path, content: &Content) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match content {
        Content::Bytes(bytes) => fs::write(path, bytes),
        Content::File { path: from, .. } => fs::copy(from, path).map(drop),
    }
}

/// The folder of the requirements file in the copy.
pub(super) fn folder_of(copy: &Path, requirements: &Requirements) -> std::path::PathBuf {
    let parent = requirements.file.parent().unwrap_or_default();
    copy.join(parent.as_str())
}

/// The lines that name package indexes, for an installation; and whether the packages are all that there may be, so that
/// one that is needed but not listed is a fault.
pub(super) fn indexes(
    requirements: &Requirements,
    files: &dyn Files,
) -> Result<(Vec<String>, bool)> {
    if requirements::is_project(requirements) {
        return Ok((Vec::new(), false));
    }
    let Written { pinned, indexes } = requirements::read(requirements, files)?;
    Ok((indexes, pinned.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lock: &str) -> Result<String> {
        let lock: Lock = toml::from_str(lock).expect("TOML");
        lock.text("requirements.txt")
    }

    #[test]
    fn a_lock_becomes_a_line_for_each_package() {
        let lock = r#"
            lock-version = "1.0"
            [[packages]]
            name = "b"
            version = "2"
            marker = "python_version < '4'"
            wheels = [
                { url = "https://i.example/b-2-2.whl", upload-time = 2026-11-23T02:43:37Z, hashes = { sha256 = "22" } },
                { url = "https://i.example/b-2-1.whl", hashes = { sha256 = "11" } },
            ]
            [[packages]]
            name = "a"
            version = "1"
            archive = { url = "https://i.example/a.whl", hashes = { sha256 = "33" } }
        "#;
        assert_eq!(
            text(lock).expect("lines"),
            "a @ https://i.example/a.whl --hash=sha256:33\n\
             b==2 ; python_version < '4' --hash=sha256:11 --hash=sha256:22\n"
        );
        assert_eq!(text("").expect("none"), "");
    }

    #[test]
    fn a_package_without_a_hash_is_a_fault() {
        let lock =
            "[[packages]]\nname = \"a\"\nversion = \"1\"\nwheels = [{ hashes = { md5 = \"1\" } }]";
        let error = text(lock).expect_err("no hash");
        assert_eq!(error.message, "package `a` comes without a sha256");
        let error = text("[[packages]]\nname = \"a\"\nvcs = { }").expect_err("no version");
        assert!(error.message.contains("neither a version"), "{error}");
    }
}
