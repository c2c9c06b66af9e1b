//! What a Dockerfile builds on, and which files of its context it copies; nothing of it is run.
//!
//! Source: the [reference of Dockerfiles](https://docs.docker.com/reference/dockerfile/).

mod arguments;
mod pattern;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::model::NamedBase;
use arguments::Known;
use text::{Instruction, flags, instructions, unquoted};

/// What a Dockerfile needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The images after `FROM`, `COPY --from=` and `RUN --mount=from=`, as written but with arguments put in; each once,
    /// in order, without `scratch` and its own stages.
    pub(super) bases: Vec<String>,
    /// Where its text names them, in order; without the places that mean another image on each platform.
    pub(super) named: Vec<NamedBase>,
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

/// Reads a Dockerfile; `arguments` are those that the build is given, for each of `platforms`. Of what it copies no
/// platform decides: without any the rest is told for [`super::PLATFORM`].
pub(super) fn needs(
    text: &str,
    arguments: &BTreeMap<String, String>,
    platforms: &[String],
) -> Needs {
    let instructions = instructions(text);
    let on = |platform: &str| Reader::new(text, arguments, platform).read(&instructions);
    let mut platforms = platforms.iter();
    let mut needs = on(platforms.next().map_or(super::PLATFORM, String::as_str));
    for platform in platforms {
        let other = on(platform);
        needs.named.retain(|base| other.named.contains(base));
        for base in other.bases {
            if !needs.bases.contains(&base) {
                needs.bases.push(base);
            }
        }
        for fault in other.faults {
            if !needs.faults.contains(&fault) {
                needs.faults.push(fault);
            }
        }
    }
    needs
}

/// Goes through a Dockerfile for one platform.
struct Reader<'a> {
    text: &'a str,
    arguments: &'a BTreeMap<String, String>,
    /// What a `FROM` may name: the arguments before the first one, and those that a builder has by itself.
    known: Known,
    stages: BTreeSet<String>,
    /// How many `FROM` there were.
    count: usize,
    needs: Needs,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, arguments: &'a BTreeMap<String, String>, platform: &str) -> Self {
        let mut known = arguments::of_platform(platform);
        for (name, value) in &mut known {
            if let Some(given) = arguments.get(name) {
                *value = Some(given.clone());
            }
        }
        Self {
            text,
            arguments,
            known,
            stages: BTreeSet::new(),
            count: 0,
            needs: Needs::default(),
        }
    }

    fn read(mut self, instructions: &[Instruction]) -> Needs {
        for instruction in instructions {
            self.instruction(instruction);
        }
        if self.count == 0 && self.needs.faults.is_empty() {
            self.needs.faults.push((1, "no `FROM` in it".to_owned()));
        }
        self.needs
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let line = instruction.line;
        let (name, rest) = instruction.split();
        let name = name.to_ascii_uppercase();
        if !KNOWN.contains(&name.as_str()) {
            self.fault(
                line,
                format!("unknown instruction `{name}` in a Dockerfile"),
            );
            return;
        }
        if self.count == 0 && !matches!(name.as_str(), "FROM" | "ARG") {
            self.fault(line, format!("`{name}` before the first `FROM`"));
        }
        match name.as_str() {
            "ARG" if self.count == 0 => self.argument(rest),
            "FROM" => self.from(instruction),
            "COPY" | "ADD" => self.copy(instruction, rest),
            "RUN" => {
                for flag in self.flags(instruction, "--mount=") {
                    self.mount(flag, line);
                }
            }
            // What a base runs in its children, under `ONBUILD`, may copy anything.
            _ => {}
        }
    }

    fn fault(&mut self, line: u32, message: String) {
        self.needs.faults.push((line, message));
    }

    fn argument(&mut self, rest: &str) {
        for one in rest.split_whitespace() {
            let (name, default) = match one.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (one, None),
            };
            let value = match (self.arguments.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                // For what has no value nothing is put in here, but the builder may have one.
                (None, Some(default)) => arguments::put(unquoted(default), &self.known)
                    .filter(|filled| !(filled.lacks && arguments::is_of_builder(default)))
                    .map(|filled| filled.text),
                // That of the platform stays.
                (None, None) => {
                    let known = self.known.entry(name.to_owned());
                    known.or_insert_with(|| Some(String::new()));
                    continue;
                }
            };
            self.known.insert(name.to_owned(), value);
        }
    }

    fn from(&mut self, instruction: &Instruction) {
        self.count += 1;
        let words: Vec<Range<usize>> = instruction.words[1..]
            .iter()
            .filter(|word| !self.text[(*word).clone()].starts_with("--"))
            .cloned()
            .collect();
        let stage = match words.as_slice() {
            [_] => None,
            [_, r#as, stage] if self.text[r#as.clone()].eq_ignore_ascii_case("as") => {
                Some(self.text[stage.clone()].to_ascii_lowercase())
            }
            _ => {
                let message = "`FROM` is not `FROM image` or `FROM image AS stage`";
                self.fault(instruction.line, message.to_owned());
                return;
            }
        };
        self.base(words[0].clone(), instruction.line);
        self.stages.insert((self.count - 1).to_string());
        self.stages.extend(stage);
    }

    /// An image that is named at a place of the text.
    fn base(&mut self, place: Range<usize>, line: u32) {
        let written = unquoted(&self.text[place.clone()]);
        let filled = arguments::put(written, &self.known);
        let whole = |filled: &&arguments::Filled| !filled.lacks && !filled.text.is_empty();
        let Some(name) = filled.as_ref().filter(whole).map(|one| one.text.clone()) else {
            let message = if arguments::is_of_builder(written) {
                format!("the image `{written}` depends on the machine that builds it")
            } else if filled.is_none() {
                format!("the image `{written}` cannot be read")
            } else {
                format!("the image `{written}` names an argument without a value")
            };
            self.fault(line, message);
            return;
        };
        if name == "scratch" || self.stages.contains(&name.to_ascii_lowercase()) {
            return;
        }
        if !self.needs.bases.contains(&name) {
            self.needs.bases.push(name.clone());
        }
        self.needs.named.push(NamedBase { place, name });
    }

    /// Where the values of an instruction's flags of that name stand.
    fn flags(&self, instruction: &Instruction, name: &str) -> Vec<Range<usize>> {
        flags(self.text, instruction)
            .filter(|flag| self.text[(*flag).clone()].starts_with(name))
            .map(|flag| flag.start + name.len()..flag.end)
            .collect()
    }

    fn mount(&mut self, flag: Range<usize>, line: u32) {
        const FROM: &str = "from=";
        let text = self.text;
        let mut start = flag.start;
        for part in text[flag.clone()].split(',') {
            if part.starts_with(FROM) {
                self.base(start + FROM.len()..start + part.len(), line);
                return;
            }
            start += part.len() + 1;
        }
        let flag = &text[flag];
        if flag.contains("type=bind") || !flag.contains("type=") {
            self.needs.everything = true;
        }
    }

    fn copy(&mut self, instruction: &Instruction, rest: &str) {
        let line = instruction.line;
        if let Some(from) = self.flags(instruction, "--from=").into_iter().next() {
            self.base(from, line);
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
            self.fault(line, message.to_owned());
            return;
        };
        for source in sources {
            let source = unquoted(source);
            if source.starts_with("<<") || source.contains("://") || source.starts_with("git@") {
                continue;
            }
            if source.contains('$') {
                self.needs.everything = true;
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
                self.fault(line, format!("`{source}` leads out of the build's context"));
                continue;
            }
            self.needs.sources.push((source.to_owned(), line));
        }
    }
}

#[cfg(test)]
mod tests;
