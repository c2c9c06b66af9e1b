//! What `uv` says when it fails, as a fault of a requirements file.
//!
//! `uv` tells of one fault with `error:` and its causes with `cause:`, in sentences that are made for people and change
//! between versions; what is not recognised is passed on as it is.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::backend::{Error, Kind};

/// Where packages were looked for, in words.
#[derive(Clone, Debug)]
pub(super) struct Scene<'a> {
    /// The requirements file, as its repository names it.
    pub(super) file: &'a str,
    /// What it was for: `Python 3.11 on linux/amd64 (glibc)`.
    pub(super) target: &'a str,
    /// The folder that the files were copied to, which no message names.
    pub(super) folder: &'a Path,
}

static UNKNOWN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"Because (\S+) was not found in the package registry"));
static NO_WHEEL: LazyLock<Regex> = LazyLock::new(|| {
    // The hint names the package alone, the sentence before it names versions and markers too.
    pattern(
        r"ha(?:s|ve) no (?:usable wheels|wheels with a matching).*Wheels are (?:required|available) for `([^`]+)`",
    )
});
static NO_WHEEL_SAID: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:Because all versions of |Because |only )([A-Za-z0-9][A-Za-z0-9._-]*)[^,]*? ha(?:s|ve) no (?:usable wheels|wheels with a matching)",
    )
});
static NO_WHEEL_HERE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"Package `([^`]+)` can't be installed because it doesn't have a"));
static NO_VERSION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"Because there (?:is|are) no versions? of (\S+) and"));
static WRONG_HASH: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"Hash mismatch for `([^`]+)`(?:.*Expected: (.*) Computed: (\S+))?"));
static NO_HASH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:no trusted hash was provided for: |none were provided for: |must be pinned upfront with `==`, but found: )`?([A-Za-z0-9._-]+)",
    )
});
static BUILD: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"Failed to (?:download and )?build `([^` ]+)[^`]*`"));
static UNREADABLE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"Couldn't parse requirement in `[^`]*`(?: at position \d+)? (.*)"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns of this file are right")
}

/// The ways out where a package comes as source only.
const NEEDS_BUILDING: &str = "pin a version that has a wheel, add an index that has one (`--extra-index-url`), or build \
                              the image from a Dockerfile, in which packages can be compiled";

/// Makes a fault of what `uv` wrote to stderr.
pub(super) fn translate(stderr: &str, scene: &Scene<'_>) -> Error {
    let text = flat(stderr, scene.folder);
    let fault = |kind, message: String| Error::new(kind, scene.file, message);
    let name = |found: &regex::Captures<'_>| found.get(1).map_or("", |one| one.as_str()).to_owned();
    if let Some(found) = UNKNOWN.captures(&text) {
        let message = format!("package `{}` is not in the package index", name(&found));
        return fault(Kind::NotFound, message).hint(
            "check its spelling; an index of your own is named by `--index-url` in the file or by UV_DEFAULT_INDEX",
        );
    }
    if let Some(found) = NO_WHEEL
        .captures(&text)
        .or_else(|| NO_WHEEL_SAID.captures(&text))
        .or_else(|| NO_WHEEL_HERE.captures(&text))
    {
        let message = format!(
            "package `{}` has no wheel for {}: it would have to be compiled from source, which runs its code",
            name(&found),
            scene.target
        );
        return fault(Kind::Other, message).hint(NEEDS_BUILDING);
    }
    if let Some(found) = WRONG_HASH.captures(&text) {
        let mut message = format!(
            "package `{}` has another hash than the file says",
            name(&found)
        );
        if let (Some(expected), Some(computed)) = (found.get(2), found.get(3)) {
            message.push_str(&format!(
                ": expected {}, got {}",
                expected.as_str().trim(),
                computed.as_str()
            ));
        }
        return fault(Kind::Other, message).hint(
            "if the file is right, what the index serves was changed: do not install it; else lock the requirements anew",
        );
    }
    if let Some(found) = NO_HASH.captures(&text) {
        let message = format!(
            "package `{}` is needed, but is not pinned with a hash as the others are",
            name(&found)
        );
        return fault(Kind::Other, message)
            .hint("list every package, as `uv pip compile --generate-hashes` does");
    }
    if let Some(found) = NO_VERSION.captures(&text) {
        let message = format!("package `{}` has no such version", name(&found));
        return fault(Kind::NotFound, message).hint("pin a version that the index has");
    }
    if let Some(found) = BUILD.captures(&text) {
        let message = format!("package `{}` could not be fetched as a wheel", name(&found));
        return fault(Kind::Other, format!("{message}: {}", causes(&text))).hint(NEEDS_BUILDING);
    }
    if text.contains("Building source distributions is disabled") {
        let message = "what it needs can only be known by building it, which runs its code: its `dependencies` are dynamic";
        return fault(Kind::Other, message.to_owned()).hint(
            "write the dependencies into `[project]`, put an `uv.lock` beside it, or use a requirements.txt",
        );
    }
    if let Some(found) = UNREADABLE.captures(&text) {
        let name = name(&found);
        let what = name.strip_prefix("cause: ").unwrap_or(&name);
        return fault(Kind::Other, format!("a requirement cannot be read: {what}"))
            .hint("write it as `name==1.2` or `name>=1.2,<2`, one a line");
    }
    if text.contains("No interpreter found") || text.contains("No Python") {
        let message = format!(
            "uv needs some Python on this machine to choose packages for {}",
            scene.target
        );
        return fault(Kind::Other, message)
            .hint("install Python 3, or let uv fetch one with `uv python install`");
    }
    let reached = |what: &[&str]| what.iter().any(|one| text.contains(one));
    if reached(&["(401", "(403", "401 Unauthorized", "403 Forbidden"]) {
        let message = format!("the package index refuses us: {}", causes(&text));
        return fault(Kind::Denied, message)
            .hint("see UV_INDEX_…_USERNAME and _PASSWORD, or NETRC");
    }
    if reached(&[
        "Request failed after",
        "error sending request",
        "Failed to fetch",
        "Network",
    ]) {
        let message = format!("the package index cannot be reached: {}", causes(&text));
        return fault(Kind::Unavailable, message)
            .hint("behind a proxy, set HTTPS_PROXY and SSL_CERT_FILE");
    }
    fault(
        Kind::Other,
        format!("uv failed for {}: {}", scene.target, causes(&text)),
    )
}

/// All in one line, without the folder that the files were copied to.
fn flat(stderr: &str, folder: &Path) -> String {
    let folder = folder.display().to_string();
    let text = stderr
        .replace(&format!("{folder}/"), "")
        .replace(&folder, ".");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// From the error on, bounded.
fn causes(text: &str) -> String {
    let from = text.find("error: ").map_or(0, |at| at + "error: ".len());
    let causes = text[from..].replace(" cause: ", ": ");
    match causes.char_indices().nth(600) {
        Some((at, _)) => format!("{}…", &causes[..at]),
        None => causes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What uv 0.13.9 says, and what becomes of it.
    #[test]
    fn faults_name_the_package() {
        let scene = Scene {
            file: "p/requirements.txt",
            target: "Python 3.11 on linux/amd64 (glibc)",
            folder: Path::new("/tmp/x"),
        };
        for (stderr, kind, message) in [
            (
                "error: No solution found when resolving dependencies\n  cause: Because no-such-x was not found in the package registry and you require no-such-x, we can conclude that your requirements are unsatisfiable.\n",
                Kind::NotFound,
                "package `no-such-x` is not in the package index",
            ),
            (
                "  cause: Because pyspark==3.5.0 has no usable wheels and you require pyspark==3.5.0, we can",
                Kind::Other,
                "package `pyspark` has no wheel for Python 3.11 on linux/amd64 (glibc): it would",
            ),
            (
                "  cause: Because a==1 depends on b and b==2 has no usable wheels, we\n\nhint: Wheels are required for `b` because building",
                Kind::Other,
                "package `b` has no wheel",
            ),
            (
                "  cause: Because all versions of pyspark have no usable wheels and you require pyspark, we",
                Kind::Other,
                "package `pyspark` has no wheel",
            ),
            (
                "  cause: Because numpy{python_full_version < '3.12'}==2.5.5 has no usable wheels and you",
                Kind::Other,
                "package `numpy` has no wheel",
            ),
            (
                "cause: Because pywin32==306 has no wheels with a matching platform tag (e.g., `manylinux_2_28_x86_64`) and",
                Kind::Other,
                "package `pywin32` has no wheel",
            ),
            (
                "error: Package `markupsafe` can't be installed because it doesn't have a source distribution or wheel for the current platform",
                Kind::Other,
                "package `markupsafe` has no wheel",
            ),
            (
                "error: Failed to download `idna==3.20`\n  cause: Hash mismatch for `idna==3.20`\n\n         Expected:\n           sha256:00\n\n         Computed:\n           sha256:ab\n",
                Kind::Other,
                "package `idna==3.20` has another hash than the file says: expected sha256:00, got sha256:ab",
            ),
            (
                "error: Hash-checking is required, but no trusted hash was provided for: `blinker`",
                Kind::Other,
                "package `blinker` is needed, but",
            ),
            (
                "error: In `--require-hashes` mode, all requirements must have a hash, but none were provided for: numpy==2.1.0",
                Kind::Other,
                "package `numpy` is needed, but",
            ),
            (
                "  cause: Because there is no version of flask==99.1 and you require flask==99.1, we can",
                Kind::NotFound,
                "package `flask==99.1` has no such version",
            ),
            (
                "error: Building source distributions is disabled",
                Kind::Other,
                "what it needs can only be known by building it",
            ),
            (
                "error: Couldn't parse requirement in `/tmp/x/r.txt` at position 0\n  cause: no such comparison operator \"=\"\n flask=1\n   ^^",
                Kind::Other,
                "a requirement cannot be read: no such comparison operator \"=\" flask=1 ^^",
            ),
            (
                "error: No interpreter found for Python 3.11 in virtual environments, managed installations, or search path",
                Kind::Other,
                "uv needs some Python on this machine",
            ),
            (
                "error: Request failed after 3 retries in 5.3s\n  cause: Failed to fetch: http://127.0.0.1:9/simple/flask/\n  cause: dns error",
                Kind::Unavailable,
                "the package index cannot be reached: Request failed after 3 retries in 5.3s: Failed to fetch",
            ),
            (
                "error: Something new at /tmp/x/p/requirements.txt",
                Kind::Other,
                "uv failed for Python 3.11 on linux/amd64 (glibc): Something new at p/requirements.txt",
            ),
        ] {
            let error = translate(stderr, &scene);
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.starts_with(message), "{error}");
            assert_eq!(error.service, "p/requirements.txt");
        }
    }
}
