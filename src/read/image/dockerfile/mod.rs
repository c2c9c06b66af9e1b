//! What a Dockerfile builds on, and which files of its context it copies; nothing of it is run.
//!
//! Source: the [reference of Dockerfiles](https://docs.docker.com/reference/dockerfile/).

use std::collections::{BTreeMap, BTreeSet};

/// What a Dockerfile needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The images after `FROM`, `COPY --from=` and `RUN --mount=from=`, as written but with arguments put in; each once,
    /// in order, without `scratch` and its own stages.
    pub(super) bases: Vec<String>,
    /// The paths and patterns of its context that `COPY` and `ADD` name, with their lines.
    pub(super) sources: Vec<(String, u32)>,
    /// Whether anything of the context may count, because a source holds an argument or is mounted.
    pub(super) everything: bool,
    /// What is wrong with it: line and message.
    pub(super) faults: Vec<(u32, String)>,
}

/// The instructions that there are.
const KNOWN: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads a Dockerfile; `arguments` are those that the build is given.
pub(super) fn needs(text: &str, arguments: &BTreeMap<String, String>) -> Needs {
    let mut needs = Needs::default();
    // Arguments before the first FROM are the only ones that a FROM may name.
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: BTreeSet<String> = BTreeSet::new();
    let mut count = 0;
    for (line, instruction) in instructions(text) {
        let (name, rest) = instruction
            .split_once(char::is_whitespace)
            .unwrap_or((&instruction, ""));
        let name = name.to_ascii_uppercase();
        let rest = rest.trim();
        if !KNOWN.contains(&name.as_str()) {
            let message = format!("unknown instruction `{name}` in a Dockerfile");
            needs.faults.push((line, message));
            continue;
        }
        if count == 0 && !matches!(name.as_str(), "FROM" | "ARG") {
            let message = format!("`{name}` before the first `FROM`");
            needs.faults.push((line, message));
        }
        match name.as_str() {
            "ARG" if count == 0 => {
                for one in rest.split_whitespace() {
                    let (name, default) = one.split_once('=').unwrap_or((one, ""));
                    let default = put(unquoted(default), &known).unwrap_or_default();
                    let given = arguments.get(name).cloned();
                    known.insert(name.to_owned(), given.unwrap_or(default));
                }
            }
            "FROM" => {
                count += 1;
                let words: Vec<&str> = rest
                    .split_whitespace()
                    .filter(|word| !word.starts_with("--"))
                    .collect();
                let (written, alias) = match words.as_slice() {
                    [image] => (*image, None),
                    [image, r#as, alias] if r#as.eq_ignore_ascii_case("as") => {
                        (*image, Some(*alias))
                    }
                    _ => {
                        let message = "`FROM` is not `FROM image` or `FROM image AS stage`";
                        needs.faults.push((line, message.to_owned()));
                        continue;
                    }
                };
                needs.base(written, line, &known, &stages);
                stages.insert((count - 1).to_string());
                if let Some(alias) = alias {
                    stages.insert(alias.to_ascii_lowercase());
                }
            }
            "COPY" | "ADD" => needs.copy(rest, line, &known, &stages),
            "RUN" => {
                for flag in flags(rest).filter_map(|flag| flag.strip_prefix("--mount=")) {
                    let from = flag.split(',').find_map(|part| part.strip_prefix("from="));
                    match from {
                        Some(from) => needs.base(from, line, &known, &stages),
                        None if flag.contains("type=bind") || !flag.contains("type=") => {
                            needs.everything = true;
                        }
                        None => {}
                    }
                }
            }
            // What a base runs in its children: it may copy anything.
            "ONBUILD" => {}
            _ => {}
        }
    }
    if count == 0 && needs.faults.is_empty() {
        needs.faults.push((1, "no `FROM` in it".to_owned()));
    }
    needs
}

impl Needs {
    fn base(
        &mut self,
        written: &str,
        line: u32,
        known: &BTreeMap<String, String>,
        stages: &BTreeSet<String>,
    ) {
        let Some(image) = put(unquoted(written), known).filter(|image| !image.is_empty()) else {
            let message = format!("the image `{written}` names an argument without a value");
            self.faults.push((line, message));
            return;
        };
        let own = image == "scratch" || stages.contains(&image.to_ascii_lowercase());
        if !own && !self.bases.contains(&image) {
            self.bases.push(image);
        }
    }

    fn copy(
        &mut self,
        rest: &str,
        line: u32,
        known: &BTreeMap<String, String>,
        stages: &BTreeSet<String>,
    ) {
        if let Some(from) = flags(rest).find_map(|flag| flag.strip_prefix("--from=")) {
            self.base(from, line, known, stages);
            return;
        }
        let mut words = rest;
        while words.starts_with("--") {
            words = words
                .split_once(char::is_whitespace)
                .map_or("", |(_, after)| after.trim_start());
        }
        let paths: Vec<String> = match serde_json::from_str(words) {
            Ok(paths) => paths,
            Err(_) => words.split_whitespace().map(str::to_owned).collect(),
        };
        let Some((_, sources)) = paths.split_last().filter(|(_, first)| !first.is_empty()) else {
            let message = "`COPY` and `ADD` have a source and a destination";
            self.faults.push((line, message.to_owned()));
            return;
        };
        for source in sources {
            let source = unquoted(source);
            if source.starts_with("<<") || source.contains("://") || source.starts_with("git@") {
                continue;
            }
            if source.contains('$') {
                self.everything = true;
                continue;
            }
            let leads_out = source
                .trim_start_matches('/')
                .split('/')
                .try_fold(0_i32, |depth, part| match part {
                    ".." => (depth > 0).then(|| depth - 1),
                    "" | "." => Some(depth),
                    _ => Some(depth + 1),
                })
                .is_none();
            if leads_out {
                let message = format!("`{source}` leads out of the build's context");
                self.faults.push((line, message));
                continue;
            }
            self.sources.push((source.to_owned(), line));
        }
    }
}

/// The flags at the beginning of an instruction's arguments.
fn flags(rest: &str) -> impl Iterator<Item = &str> {
    rest.split_whitespace()
        .take_while(|word| word.starts_with("--"))
}

fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// A text with `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` replaced; `None` where one is not known.
fn put(text: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out += before;
        if let Some(inner) = after.strip_prefix('{') {
            let (inner, behind) = inner.split_once('}')?;
            let value = |name: &str| known.get(name).filter(|value| !value.is_empty());
            if let Some((name, default)) = inner.split_once(":-") {
                out += value(name).map_or(default, String::as_str);
            } else if let Some((name, other)) = inner.split_once(":+") {
                out += value(name).map_or("", |_| other);
            } else {
                out += known.get(inner)?;
            }
            rest = behind;
        } else {
            let end = after
                .find(|one: char| !one.is_ascii_alphanumeric() && one != '_')
                .unwrap_or(after.len());
            out += known.get(&after[..end])?;
            rest = &after[end..];
        }
    }
    Some(out + rest)
}

/// The instructions with the line that each begins in, continued lines joined, without comments and without the texts of
/// here-documents.
fn instructions(text: &str) -> Vec<(u32, String)> {
    let mut escape = '\\';
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut open: Option<(u32, String)> = None;
    let mut ends: Vec<String> = Vec::new();
    let mut directives = true;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim();
        if let Some(end) = ends.first() {
            if trimmed == end {
                ends.remove(0);
            }
            continue;
        }
        if let Some(comment) = trimmed.strip_prefix('#') {
            let directive = comment.trim().split_once('=');
            if let (true, Some((name, value))) = (directives, directive)
                && name.trim().eq_ignore_ascii_case("escape")
                && value.trim() == "`"
            {
                escape = '`';
            }
            directives &= directive.is_some();
            continue;
        }
        directives = false;
        if trimmed.is_empty() {
            continue;
        }
        let (begin, mut instruction) = open.take().unwrap_or((number, String::new()));
        if !instruction.is_empty() {
            instruction.push(' ');
        }
        if let Some(continued) = trimmed.strip_suffix(escape) {
            instruction += continued.trim_end();
            open = Some((begin, instruction));
            continue;
        }
        instruction += trimmed;
        ends = here_documents(&instruction);
        found.push((begin, instruction));
    }
    found.extend(open);
    found
}

/// The words that end the here-documents that an instruction begins.
fn here_documents(instruction: &str) -> Vec<String> {
    let first = instruction.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"]
        .iter()
        .any(|name| first.eq_ignore_ascii_case(name))
    {
        return Vec::new();
    }
    let words = instruction.split("<<").skip(1);
    words
        .filter_map(|word| {
            let word = word.trim_start_matches('-').split_whitespace().next()?;
            let word = unquoted(word);
            let plain = word
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || one == '_');
            (plain && !word.is_empty()).then(|| word.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Needs {
        needs(
            text,
            &BTreeMap::from([("GIVEN".to_owned(), "3.12".to_owned())]),
        )
    }

    #[test]
    fn bases_are_told_with_their_arguments() {
        let needs = read(
            "# syntax=docker/dockerfile:1\nARG GIVEN=3.9\nARG TAG=${GIVEN}-slim\nFROM --platform=linux/amd64 \
             python:$TAG AS build\nRUN --mount=type=bind,from=tools:1,target=/t x\nFROM ${REG:-ghcr.io}/base\n\
             COPY --from=build /a /b\nCOPY --from=0 /a /c\nCOPY --from=nginx:1 /x /y\nFROM scratch\nFROM build\n",
        );
        assert_eq!(needs.faults, []);
        assert_eq!(
            needs.bases,
            ["python:3.12-slim", "tools:1", "ghcr.io/base", "nginx:1"]
        );
        assert!(needs.sources.is_empty() && !needs.everything);
    }

    #[test]
    fn copied_paths_are_told() {
        let needs = read(
            "FROM a\nCOPY --chown=1:1 requirements.txt \\\n  # a comment\n  lib/ ./\nadd [\"a b.txt\", \"/x\"]\n\
             COPY <<EOF /etc/x\nCOPY no no\nEOF\nADD https://example.org/x.tgz /x\nRUN <<-'END' sh\nFROM no\nEND\n\
             COPY *.py /app/\n",
        );
        let sources: Vec<(&str, u32)> = needs
            .sources
            .iter()
            .map(|(a, b)| (a.as_str(), *b))
            .collect();
        assert_eq!(
            sources,
            [
                ("requirements.txt", 2),
                ("lib/", 2),
                ("a b.txt", 5),
                ("*.py", 13)
            ]
        );
        assert_eq!(needs.faults, []);
        assert!(read("FROM a\nCOPY $SRC /x\n").everything);
        assert!(read("FROM a\nRUN --mount=type=bind,target=/x x\n").everything);
        assert!(!read("FROM a\nRUN --mount=type=cache,target=/x x\n").everything);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, fault) in [
            ("", "1: no `FROM` in it"),
            (
                "# x\n\nFORM python\n",
                "3: unknown instruction `FORM` in a Dockerfile",
            ),
            ("RUN x\nFROM a\n", "1: `RUN` before the first `FROM`"),
            (
                "FROM a AS\n",
                "1: `FROM` is not `FROM image` or `FROM image AS stage`",
            ),
            (
                "FROM $NONE\n",
                "1: the image `$NONE` names an argument without a value",
            ),
            (
                "FROM a\nCOPY x\n",
                "2: `COPY` and `ADD` have a source and a destination",
            ),
            (
                "FROM a\nCOPY x/../../y /\n",
                "2: `x/../../y` leads out of the build's context",
            ),
        ] {
            let faults = read(text).faults;
            let said: Vec<String> = faults
                .iter()
                .map(|(at, why)| format!("{at}: {why}"))
                .collect();
            assert_eq!(said, [fault], "{text:?}");
        }
    }

    #[test]
    fn escapes_and_open_ends_do_no_harm() {
        let needs = read("# escape=`\nFROM a\nCOPY a `\n b /c\nRUN x \\\nCOPY d /e \\");
        assert_eq!(needs.sources.len(), 4, "{needs:?}");
        assert_eq!(read("FROM a\nCOPY a b \\").sources.len(), 1);
        assert_eq!(read("FROM a\nRUN <<EOF\nnever ended").faults, []);
    }
}
