//! The bases of a Dockerfile, replaced by what they were when the build was planned.
//!
//! Source: the [reference of Dockerfiles](https://docs.docker.com/reference/dockerfile/): directives, continuation lines,
//! `ARG` before the first `FROM`, here-documents.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::in_full;
use crate::model::Digest;

/// `<<EOF`, `<<-"EOF"`: what begins a here-document.
static HERE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"<<(-?)["']?([A-Za-z_][A-Za-z0-9_.]*)["']?"#).ok());

/// The text with every base of `bases` (as written, arguments put in) named by its digest. All else stays, also the
/// numbers of the lines, which the messages of a build give. Text that is no Dockerfile stays what it is: the program that
/// builds it will say so.
pub(super) fn pinned(
    text: &str,
    arguments: &BTreeMap<String, String>,
    bases: &BTreeMap<String, Digest>,
) -> String {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut globals = BTreeMap::new();
    let mut stages = BTreeSet::new();
    let mut before_from = true;
    for instruction in instructions(text) {
        let Some((keyword, rest)) = instruction.split_first() else {
            continue;
        };
        let mut edit = |range: Range<usize>, name: &str, stages: &BTreeSet<String>| {
            if let (false, Some(digest)) = (stages.contains(&name.to_lowercase()), bases.get(name))
            {
                edits.push((range, by_digest(name, digest)));
            }
        };
        match text[keyword.clone()].to_ascii_uppercase().as_str() {
            "ARG" if before_from => {
                for one in rest {
                    let (name, default) = text[one.clone()].split_once('=').unwrap_or_default();
                    let default = expand(unquoted(default), &globals);
                    let value = arguments.get(name).cloned().unwrap_or(default);
                    globals.insert(name.to_owned(), value);
                }
                for one in rest.iter().map(|one| &text[one.clone()]) {
                    if let Some(value) = arguments.get(one) {
                        globals.insert(one.to_owned(), value.clone());
                    }
                }
            }
            "FROM" => {
                before_from = false;
                let mut words = rest
                    .iter()
                    .skip_while(|one| text[(*one).clone()].starts_with("--"));
                let Some(base) = words.next() else { continue };
                let name = expand(unquoted(&text[base.clone()]), &globals);
                edit(base.clone(), &name, &stages);
                let mut words = words.map(|one| &text[one.clone()]);
                if words
                    .next()
                    .is_some_and(|word| word.eq_ignore_ascii_case("as"))
                {
                    stages.extend(words.next().map(str::to_lowercase));
                }
            }
            "COPY" => {
                const FLAG: &str = "--from=";
                for one in rest {
                    if let Some(name) = text[one.clone()].strip_prefix(FLAG) {
                        edit(one.start + FLAG.len()..one.end, name, &stages);
                    }
                }
            }
            _ => {}
        }
    }
    let mut out = text.to_owned();
    for (range, name) in edits.into_iter().rev() {
        out.replace_range(range, &name);
    }
    out
}

/// The places of the words of each instruction, the keyword first.
fn instructions(text: &str) -> Vec<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut escape = '\\';
    let mut directives = true;
    let mut lines = places_of_lines(text).into_iter().peekable();
    while let Some(line) = lines.next() {
        let content = text[line.clone()].trim();
        if let Some(comment) = content.strip_prefix('#') {
            if let (true, Some((name, value))) = (directives, comment.split_once('=')) {
                if name.trim().eq_ignore_ascii_case("escape") {
                    escape = value.trim().chars().next().unwrap_or(escape);
                }
            } else {
                directives = false;
            }
            continue;
        }
        directives = false;
        if content.is_empty() {
            continue;
        }
        let mut words = Vec::new();
        let mut part = line;
        loop {
            let (end, goes_on) = match text[part.clone()].trim_end().strip_suffix(escape) {
                Some(kept) => (part.start + kept.len(), true),
                None => (part.end, false),
            };
            words.extend(places_of_words(text, part.start..end));
            if !goes_on {
                break;
            }
            // Comments and empty lines do not end an instruction that goes on.
            let idle = |line: &Range<usize>| {
                let content = text[line.clone()].trim();
                content.is_empty() || content.starts_with('#')
            };
            while lines.next_if(idle).is_some() {}
            match lines.next() {
                Some(next) => part = next,
                None => break,
            }
        }
        skip_here_documents(text, &words, &mut lines);
        found.push(words);
    }
    found
}

/// Passes over the lines of an instruction's here-documents; over none where an end is missing.
fn skip_here_documents(
    text: &str,
    words: &[Range<usize>],
    lines: &mut std::iter::Peekable<std::vec::IntoIter<Range<usize>>>,
) {
    let keyword = words.first().map_or("", |one| &text[one.clone()]);
    let takes = ["RUN", "COPY", "ADD"].map(|one| keyword.eq_ignore_ascii_case(one));
    let (true, Some(here), Some(last)) = (takes.contains(&true), HERE.as_ref(), words.last())
    else {
        return;
    };
    let all = &text[words[0].start..last.end];
    let mut after = lines.clone();
    for start in here.captures_iter(all) {
        let ends = after.by_ref().any(|line| {
            let line = text[line].trim_end_matches('\r');
            let line = if start[1].is_empty() {
                line
            } else {
                line.trim_start_matches('\t')
            };
            line == &start[2]
        });
        if !ends {
            return;
        }
    }
    *lines = after;
}

/// Without the ends of the lines.
fn places_of_lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let range = start..start + line.trim_end_matches('\n').len();
            start += line.len();
            range
        })
        .collect()
}

fn places_of_words(text: &str, within: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, one) in text[within.clone()].char_indices() {
        match (one.is_whitespace(), start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                found.push(within.start + from..within.start + at);
                start = None;
            }
            _ => {}
        }
    }
    found.extend(start.map(|from| within.start + from..within.end));
    found
}

fn unquoted(word: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| word.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(word)
}

/// Puts in `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+instead}`; an unknown name is empty, as in a build.
fn expand(word: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.strip_prefix('{').and_then(|one| one.split_once('}'));
        let (inner, after) = braced.unwrap_or_else(|| {
            let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_');
            rest.split_at(end.unwrap_or(rest.len()))
        });
        let end = inner.find(|one: char| !one.is_ascii_alphanumeric() && one != '_');
        let (name, other) = inner.split_at(end.unwrap_or(inner.len()));
        let value = values.get(name).filter(|one| !one.is_empty());
        let other = other.strip_prefix(':').unwrap_or(other);
        match (value, other.strip_prefix('-'), other.strip_prefix('+')) {
            (Some(_), _, Some(instead)) => out.push_str(instead),
            (None, Some(default), _) => out.push_str(default),
            (value, ..) => out.push_str(value.map_or("", String::as_str)),
        }
        rest = after;
    }
    out + rest
}

/// A base by its digest, in full: `docker.io/library/python@sha256:…`.
pub(super) fn by_digest(base: &str, digest: &Digest) -> String {
    let name = base.split('@').next().unwrap_or(base);
    // A colon after the last slash begins a tag; one before it a port.
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let name = name[slash..]
        .find(':')
        .map_or(name, |at| &name[..slash + at]);
    format!("{}@sha256:{digest}", in_full(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(text: &str, arguments: &[(&str, &str)], bases: &[&str]) -> String {
        let arguments = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let digest = Digest::of(b"x");
        let bases = bases.iter().map(|one| ((*one).to_owned(), digest));
        pinned(text, &arguments, &bases.collect()).replace(&digest.to_string(), "D")
    }

    #[test]
    fn bases_are_named_by_digest_and_nothing_else_moves() {
        let text = "\
# syntax=docker/dockerfile:1
ARG TAG=3.12
ARG OWNER
FROM --platform=$BUILDPLATFORM \\
    # why
    python:${TAG} AS build # x
RUN <<EOF
FROM python:3.12
EOF
copy --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/
FROM build
FROM registry:5000/${OWNER:-nobody}/base
COPY --from=build --chown=1 /a /b
from python:3.12@sha256:0 as last
";
        let bases = [
            "python:3.12",
            "ghcr.io/astral-sh/uv:0.9",
            "build",
            "registry:5000/acme/base",
            "python:3.12@sha256:0",
        ];
        let expected = text
            .replace("python:${TAG}", "docker.io/library/python@sha256:D")
            .replace(
                "=ghcr.io/astral-sh/uv:0.9",
                "=ghcr.io/astral-sh/uv@sha256:D",
            )
            .replace(
                "registry:5000/${OWNER:-nobody}/base",
                "registry:5000/acme/base@sha256:D",
            )
            .replace("python:3.12@sha256:0", "docker.io/library/python@sha256:D");
        assert_eq!(pin(text, &[("OWNER", "acme")], &bases), expected);
    }

    #[test]
    fn what_was_not_pinned_stays() {
        let text = "FROM scratch\r\nFROM $UNKNOWN\nFROM\nCOPY --from=0 a b\nRUN <<EOF\nFROM a";
        assert_eq!(pin(text, &[], &["b"]), text);
        assert_eq!(
            pin("# escape=`\nFROM `\n a\n", &[], &["a"]),
            "# escape=`\nFROM `\n docker.io/library/a@sha256:D\n"
        );
        // A here-document without an end is none.
        assert_eq!(
            pin("RUN a <<EOF\nFROM o/a\n", &[], &["o/a"]),
            "RUN a <<EOF\nFROM docker.io/o/a@sha256:D\n"
        );
    }

    #[test]
    fn variables_are_put_in_as_a_build_does() {
        let values = BTreeMap::from([
            ("A".to_owned(), "x".to_owned()),
            ("E".to_owned(), String::new()),
        ]);
        for (word, expected) in [
            ("a$A-b", "ax-b"),
            ("${A}b", "xb"),
            ("${E:-d}${Z-e}", "de"),
            ("${A:+i}${E:+i}", "i"),
            ("$", ""),
            ("${A", "{A"),
        ] {
            assert_eq!(expand(word, &values), expected, "{word}");
        }
    }
}
