//! Names of images, read as Docker reads them.
//!
//! Source: the grammar of [distribution/reference](https://pkg.go.dev/github.com/distribution/reference), and the rules
//! by which Docker completes a short name (`ParseNormalizedNamed` there).

use std::fmt;
use std::str::FromStr;

use super::Version;
use crate::model::Digest;

/// Docker Hub, the registry of names without one.
pub const DOCKER_HUB: &str = "docker.io";

/// The longest name of a repository with its registry, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest tag in bytes.
const LONGEST_TAG: usize = 128;

/// What names an image or a repository: `python:3.12`, `ghcr.io/acme/flows@sha256:…`, `localhost:5000/x`.
///
/// Prints in full, `docker.io/library/python:3.12`, and parses to the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry's host, with its port where one is written: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// The name within the registry: `library/python`.
    pub repository: String,
    /// What it names there; `None` where neither a tag nor a digest is written. Of both, the digest counts.
    pub version: Option<Version>,
}

/// The text names no image.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no name of an image: {fault}")]
pub struct ParseReferenceError {
    text: String,
    fault: String,
}

impl Reference {
    /// The version, or the tag `latest` where there is none, as Docker does.
    pub fn version_or_latest(&self) -> Version {
        let latest = || Version::Tag("latest".to_owned());
        self.version.clone().unwrap_or_else(latest)
    }

    /// The same repository with another version.
    #[must_use]
    pub fn with(&self, version: Version) -> Self {
        Self {
            version: Some(version),
            ..self.clone()
        }
    }

    /// Registry and repository, without a version: `docker.io/library/python`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.version {
            None => Ok(()),
            Some(Version::Tag(tag)) => write!(f, ":{tag}"),
            Some(Version::Digest(digest)) => write!(f, "@sha256:{digest}"),
        }
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        parse(text).map_err(|fault| ParseReferenceError {
            text: text.to_owned(),
            fault,
        })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains("://") {
        return Err("leave out the scheme".to_owned());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    // A colon before a slash belongs to a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let (registry, repository) = split(name);
    check_registry(registry)?;
    check_repository(&repository)?;
    let registry = match registry {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        other => other,
    };
    if registry.len() + 1 + repository.len() > LONGEST_NAME {
        return Err(format!("it is longer than {LONGEST_NAME} bytes"));
    }
    let tag = tag.map(|tag| Version::Tag(tag.to_owned()));
    Ok(Reference {
        registry: registry.to_owned(),
        repository,
        version: digest.map(Version::Digest).or(tag),
    })
}

/// Takes a name apart into registry and repository, completing what Docker completes.
fn split(name: &str) -> (&str, String) {
    let (registry, repository) = match name.split_once('/') {
        // A first part in upper case can only be a host.
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(|one| one.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DOCKER_HUB, name),
    };
    let hub = matches!(
        registry,
        DOCKER_HUB | "index.docker.io" | "registry-1.docker.io"
    );
    if hub && !repository.contains('/') {
        return (registry, format!("library/{repository}"));
    }
    (registry, repository.to_owned())
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    let (algorithm, digits) = text
        .split_once(':')
        .ok_or("after `@` comes a digest, `sha256:` and 64 hexadecimal digits")?;
    if algorithm != "sha256" {
        return Err(format!(
            "digests of `{algorithm}` are not supported, only sha256"
        ));
    }
    if digits.contains(|one: char| one.is_ascii_uppercase()) {
        return Err("the digits of a digest are lower case".to_owned());
    }
    digits
        .parse()
        .map_err(|error| format!("the digest is {error}"))
}

fn check_tag(tag: &str) -> Result<(), String> {
    let letter = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let fits = tag.len() <= LONGEST_TAG
        && tag.starts_with(letter)
        && tag
            .chars()
            .all(|one| letter(one) || matches!(one, '.' | '-'));
    if fits {
        return Ok(());
    }
    Err(format!(
        "the tag `{tag}` is none: up to {LONGEST_TAG} letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    ))
}

fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_fits = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part
                    .chars()
                    .all(|one| one.is_ascii_alphanumeric() || one == '-')
        }),
    };
    // What looks like an address but is none, `1.2.3`, no URL can hold.
    let url = url::Url::parse(&format!("https://{registry}/"));
    if host_fits && port.is_none_or(|port| port.parse::<u16>().is_ok()) && url.is_ok() {
        return Ok(());
    }
    Err(format!("`{registry}` is no host of a registry"))
}

fn check_repository(repository: &str) -> Result<(), String> {
    if repository.is_empty() {
        return Err("it names a registry, but no repository".to_owned());
    }
    if repository.chars().any(|one| one.is_ascii_uppercase()) {
        return Err(format!("the repository `{repository}` must be lower case"));
    }
    if !repository.split('/').all(is_component) {
        return Err(format!(
            "the repository `{repository}` is none: parts of `a-z` and `0-9` between `/`, with single `.`, one or two \
             `_`, or any `-` within a part"
        ));
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let letter = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
    part.starts_with(letter)
        && part.ends_with(letter)
        && part.split(letter).all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|one| one == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn full(text: &str) -> String {
        text.parse::<Reference>()
            .unwrap_or_else(|error| panic!("{error}"))
            .to_string()
    }

    #[test]
    fn short_names_are_completed_as_docker_does() {
        for (written, meant) in [
            ("python", "docker.io/library/python"),
            ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
            ("acme/flows", "docker.io/acme/flows"),
            ("docker.io/python", "docker.io/library/python"),
            ("index.docker.io/acme/x:1", "docker.io/acme/x:1"),
            ("localhost/x", "localhost/x"),
            ("localhost:5000/x", "localhost:5000/x"),
            ("localhost:5000/a/b:t", "localhost:5000/a/b:t"),
            ("127.0.0.1:5000/x:1.0", "127.0.0.1:5000/x:1.0"),
            ("[::1]:5000/x", "[::1]:5000/x"),
            ("[2001:db8::1]/x:t", "[2001:db8::1]/x:t"),
            ("REGISTRY/x", "REGISTRY/x"),
            ("ghcr.io/acme/a__b.c--d/e_f", "ghcr.io/acme/a__b.c--d/e_f"),
        ] {
            assert_eq!(full(written), meant);
            assert_eq!(full(meant), meant);
        }
    }

    #[test]
    fn of_tag_and_digest_the_digest_counts() {
        let reference: Reference = format!("python:3.12@sha256:{HEX}").parse().expect("a name");
        assert_eq!(
            reference.to_string(),
            format!("docker.io/library/python@sha256:{HEX}")
        );
        assert_eq!(
            reference.version_or_latest().to_string(),
            format!("sha256:{HEX}")
        );
        let bare: Reference = "python".parse().expect("a name");
        assert_eq!(bare.version, None);
        let latest = bare.with(bare.version_or_latest());
        assert_eq!(latest.to_string(), "docker.io/library/python:latest");
        assert_eq!(latest.name(), "docker.io/library/python");
    }

    #[test]
    fn faults_are_named() {
        for (written, fault) in [
            ("", "it is empty"),
            ("https://ghcr.io/acme/x", "leave out the scheme"),
            ("ghcr.io/Acme/x", "must be lower case"),
            ("Python", "must be lower case"),
            ("ghcr.io/", "no repository"),
            ("acme//x", "is none"),
            ("acme/x.", "is none"),
            ("acme/a___b", "is none"),
            ("acme/a..b", "is none"),
            ("acme/ü", "is none"),
            ("x:", "the tag `` is none"),
            ("x:-t", "the tag `-t` is none"),
            ("x:a b", "the tag `a b` is none"),
            ("ghcr.io:port/x", "no host of a registry"),
            ("-a.b/x", "no host of a registry"),
            ("999.1.1.1/x", "no host of a registry"),
            ("[::g]:1/x", "no host of a registry"),
            ("x@abc", "after `@` comes a digest"),
            ("x@sha512:abc", "digests of `sha512` are not supported"),
            ("x@sha256:abc", "64 hexadecimal digits"),
        ] {
            let error = written.parse::<Reference>().expect_err(written).to_string();
            assert!(error.contains(fault), "{error}");
        }
        assert!(
            format!("x:{}", "a".repeat(128))
                .parse::<Reference>()
                .is_ok()
        );
        assert!(
            format!("x:{}", "a".repeat(129))
                .parse::<Reference>()
                .is_err()
        );
        assert!("a".repeat(256).parse::<Reference>().is_err());
        let upper = format!("x@sha256:{}", HEX.to_uppercase());
        assert!(upper.parse::<Reference>().is_err());
    }
}
