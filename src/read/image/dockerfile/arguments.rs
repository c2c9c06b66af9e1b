//! The arguments that a `FROM` may name.
//!
//! Source: [the arguments of platforms](https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope),
//! which BuildKit knows by itself, and buildah once an `ARG` declares them.

use std::collections::BTreeMap;

/// `TARGETPLATFORM`, `TARGETOS`, `TARGETARCH` and `TARGETVARIANT` of a platform such as `linux/arm/v7`.
pub(super) fn of_platform(platform: &str) -> BTreeMap<String, String> {
    let mut parts = platform.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    let (system, architecture) = (part(), part());
    // As builders complete and shorten them.
    let variant = match (architecture, part()) {
        ("arm", "") => "v7",
        ("arm64", "v8") => "",
        (_, variant) => variant,
    };
    let mut whole = format!("{system}/{architecture}");
    if !variant.is_empty() {
        whole = format!("{whole}/{variant}");
    }
    [
        ("TARGETPLATFORM", whole.as_str()),
        ("TARGETOS", system),
        ("TARGETARCH", architecture),
        ("TARGETVARIANT", variant),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Whether a text names what is known only to the machine that builds: `BUILDPLATFORM`, `BUILDARCH` …
pub(super) fn is_of_builder(text: &str) -> bool {
    ["PLATFORM", "OS", "ARCH", "VARIANT"]
        .iter()
        .any(|name| text.contains(&format!("BUILD{name}")))
}

/// A text with `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`, and both without the colon, replaced; `None`
/// where one is not known.
pub(super) fn put(text: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let ends = |text: &str| {
        let end = text.find(|one: char| !one.is_ascii_alphanumeric() && one != '_');
        end.unwrap_or(text.len())
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out += before;
        let Some(inner) = after.strip_prefix('{') else {
            let (name, behind) = after.split_at(ends(after));
            out += known.get(name)?;
            rest = behind;
            continue;
        };
        let (inner, behind) = inner.split_once('}')?;
        let (name, other) = inner.split_at(ends(inner));
        let value = known.get(name);
        // With a colon, an empty one counts as none.
        let (value, other) = match other.strip_prefix(':') {
            Some(other) => (value.filter(|value| !value.is_empty()), other),
            None => (value, other),
        };
        out += match (other.split_at_checked(1), value) {
            (None, value) => value?,
            (Some(("-", _)), Some(value)) => value,
            (Some(("-", default)), None) => default,
            (Some(("+", other)), Some(_)) => other,
            (Some(("+", _)), None) => "",
            (Some(_), _) => return None,
        };
        rest = behind;
    }
    Some(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_put_in_as_a_build_does() {
        let known = BTreeMap::from([
            ("A".to_owned(), "x".to_owned()),
            ("E".to_owned(), String::new()),
        ]);
        for (text, expected) in [
            ("a$A-b", Some("ax-b")),
            ("${A}b", Some("xb")),
            ("${E:-d}${E-d}${Z-e}", Some("de")),
            ("${A:+i}${E:+i}${E+j}", Some("ij")),
            ("$Z", None),
            ("${Z}", None),
            ("${A#x}", None),
            ("${A", None),
        ] {
            assert_eq!(put(text, &known).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn platforms_have_their_parts() {
        let told = |platform| {
            let values = of_platform(platform);
            let value = |name| values[name].clone();
            [
                value("TARGETPLATFORM"),
                value("TARGETOS"),
                value("TARGETARCH"),
                value("TARGETVARIANT"),
            ]
            .join(" ")
        };
        assert_eq!(told("linux/amd64"), "linux/amd64 linux amd64 ");
        assert_eq!(told("linux/arm"), "linux/arm/v7 linux arm v7");
        assert_eq!(told("linux/arm64/v8"), "linux/arm64 linux arm64 ");
    }
}
