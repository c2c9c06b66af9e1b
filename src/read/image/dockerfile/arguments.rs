//! The arguments that a `FROM` may name.
//!
//! Source: [the arguments of platforms](https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope),
//! which BuildKit knows by itself, and buildah once an `ARG` declares them.

use std::collections::BTreeMap;

use super::pattern;

/// `TARGETPLATFORM`, `TARGETOS`, `TARGETARCH` and `TARGETVARIANT` of a platform such as `linux/arm/v7`.
pub(super) fn of_platform(platform: &str) -> Known {
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
    .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
    .into()
}

/// Whether a text names what is known only to the machine that builds: `BUILDPLATFORM`, `BUILDARCH` …
pub(super) fn is_of_builder(text: &str) -> bool {
    ["PLATFORM", "OS", "ARCH", "VARIANT"]
        .iter()
        .any(|name| text.contains(&format!("BUILD{name}")))
}

/// A text with its arguments put in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) text: String,
    /// Whether it names an argument without a value, for which nothing was put in.
    pub(super) lacks: bool,
}

/// The arguments by their names; `None` for one whose value cannot be read.
pub(super) type Known = BTreeMap<String, Option<String>>;

/// The longest text, in bytes: no name of an image is as long. Arguments that are made of each other double at each line.
const LONGEST: usize = 512;

/// The longest value that something is cut from, and the longest pattern of that, in bytes: both are gone through for each
/// other, as often as the file wants it.
const LONGEST_CUT: (usize, usize) = (128, 32);

/// How deep braces may stand in each other.
const DEEPEST: usize = 8;

/// A text with `$NAME` and `${NAME}` replaced, and the [forms](https://docs.docker.com/reference/dockerfile/#environment-replacement)
/// in braces: `:-`, `:+` and `:?` (also without the colon), `#`, `##`, `%` and `%%`. `None` where a brace is not closed or
/// holds something else, where it is too long or too deep to be an image's name, and where it names what cannot be read.
pub(super) fn put(text: &str, known: &Known) -> Option<Filled> {
    Filler { rest: text, known }.filled(0)
}

/// What comes between a name and the word that belongs to it; longer ones before their beginnings.
const FORMS: &[&str] = &[":-", ":+", ":?", "-", "+", "?", "##", "#", "%%", "%"];

struct Filler<'a> {
    rest: &'a str,
    known: &'a Known,
}

impl Filler<'_> {
    /// Up to the end, or in braces past the one that closes.
    fn filled(&mut self, depth: usize) -> Option<Filled> {
        let (mut text, mut lacks) = (String::new(), false);
        let stops = |one| one == '$' || (depth > 0 && one == '}');
        while let Some(at) = self.rest.find(stops) {
            let (before, after) = self.rest.split_at(at);
            text += before;
            self.rest = &after[1..];
            if after.starts_with('}') {
                return (text.len() <= LONGEST).then_some(Filled { text, lacks });
            }
            let variable = self.variable(depth)?;
            text += &variable.text;
            lacks |= variable.lacks;
            if text.len() > LONGEST {
                return None;
            }
        }
        text += std::mem::take(&mut self.rest);
        (depth == 0 && text.len() <= LONGEST).then_some(Filled { text, lacks })
    }

    /// What stands for a name, behind its `$`.
    fn variable(&mut self, depth: usize) -> Option<Filled> {
        let braces = self.rest.strip_prefix('{');
        let inner = braces.unwrap_or(self.rest);
        let ends = |one: char| !one.is_ascii_alphanumeric() && one != '_';
        let (name, behind) = inner.split_at(inner.find(ends).unwrap_or(inner.len()));
        self.rest = behind;
        let value = match self.known.get(name) {
            Some(None) => return None,
            Some(value) => value.as_deref(),
            None => None,
        };
        let or_lacks = |text: Option<String>| Filled {
            lacks: text.is_none(),
            text: text.unwrap_or_default(),
        };
        let plain = or_lacks(value.map(str::to_owned));
        if braces.is_none() {
            return Some(plain);
        }
        if let Some(behind) = self.rest.strip_prefix('}') {
            self.rest = behind;
            return Some(plain);
        }
        let form = FORMS.iter().find(|form| self.rest.starts_with(**form))?;
        self.rest = &self.rest[form.len()..];
        let word = (depth < DEEPEST).then(|| self.filled(depth + 1))??;
        // With a colon, an empty one counts as none.
        let value = value.filter(|value| !(form.starts_with(':') && value.is_empty()));
        Some(match (form.trim_start_matches(':'), value) {
            ("-", None) | ("+", Some(_)) => word,
            ("-" | "?", Some(value)) => or_lacks(Some(value.to_owned())),
            ("+", None) => or_lacks(Some(String::new())),
            (_, None) => or_lacks(None),
            (_, Some(value)) if value.len() > LONGEST_CUT.0 || word.text.len() > LONGEST_CUT.1 => {
                return None;
            }
            (form, Some(value)) => Filled {
                text: pattern::cut(form, value, &word.text).to_owned(),
                ..word
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_put_in_as_a_build_does() {
        let known = [("A", "x"), ("E", ""), ("V", "3.12.7")];
        let known = known.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let known = Known::from_iter(known.into_iter().chain([("U".to_owned(), None)]));
        for (text, expected) in [
            ("a$A-b", "ax-b"),
            ("${A}b", "xb"),
            ("${E:-d}${E-d}${Z-e}", "de"),
            ("${A:+i}${E:+i}${E+j}", "ij"),
            ("${A:?why}${A?}", "xx"),
            ("${Z:-${E:-$A}-s}", "x-s"),
            // What is not used may be anything.
            ("${A:-$Z}", "x"),
            ("${V%.*}-${V%%.*}-${V#*.}-${V##*.}", "3.12-3-12.7-7"),
        ] {
            let filled = put(text, &known).expect(text);
            assert_eq!(
                (filled.text.as_str(), filled.lacks),
                (expected, false),
                "{text}"
            );
        }
        for (text, expected) in [
            ("$Z", ""),
            ("a${Z}b", "ab"),
            ("${Z:?}", ""),
            ("${Z%.*}", ""),
        ] {
            let filled = put(text, &known).expect(text);
            assert_eq!(
                (filled.text.as_str(), filled.lacks),
                (expected, true),
                "{text}"
            );
        }
        let deep = format!("{}{}", "${Z:-".repeat(100_000), "}".repeat(100_000));
        let (long, pattern) = ("$V".repeat(100), format!("${{V%{}}}", "*".repeat(600)));
        for text in [
            "${A",
            "${A!x}",
            "${A:-${Z}",
            "${A:x}",
            "${A/x/y}",
            "${A:-$U}",
            &deep,
            &long,
            &pattern,
        ] {
            assert_eq!(put(text, &known), None, "{text}");
        }
    }

    #[test]
    fn platforms_have_their_parts() {
        let told = |platform| {
            let values = of_platform(platform);
            let value = |name| values[name].clone().expect("a value");
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
