//! The instructions of a Dockerfile, with their lines and places.
//!
//! Source: the [reference of Dockerfiles](https://docs.docker.com/reference/dockerfile/): directives, continuation lines,
//! here-documents.

use std::iter::Peekable;
use std::ops::Range;
use std::sync::LazyLock;
use std::vec::IntoIter;

use regex::Regex;

/// `<<EOF`, `<<-"EOF"`, `3<< EOF`: a word that begins a here-document.
static HERE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\s\d*<<(-?)\s*(?:"([^"<]+)"|'([^'<]+)'|([^\s<"']+))"#).ok());

/// An instruction.
#[derive(Debug)]
pub(super) struct Instruction {
    /// The line that it begins in, from 1.
    pub(super) line: u32,
    /// All of it, its lines joined, without comments and without the texts of its here-documents.
    pub(super) text: String,
    /// Where its words stand in the file, the keyword first; never empty.
    pub(super) words: Vec<Range<usize>>,
}

impl Instruction {
    /// The keyword and what follows it.
    pub(super) fn split(&self) -> (&str, &str) {
        let split = self.text.split_once(char::is_whitespace);
        split.map_or((&self.text, ""), |(keyword, rest)| (keyword, rest.trim()))
    }
}

/// The instructions of a text. What is none is told like any other: who knows their names will say so.
pub(super) fn instructions(text: &str) -> Vec<Instruction> {
    let mut found = Vec::new();
    let mut escape = '\\';
    let mut directives = true;
    let mut lines = (1..)
        .zip(lines(text))
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    while let Some((number, line)) = lines.next() {
        let content = text[line.clone()].trim();
        if let Some(comment) = content.strip_prefix('#') {
            let directive = comment.split_once('=').filter(|_| directives);
            if let Some((name, value)) = directive
                && name.trim().eq_ignore_ascii_case("escape")
                && value.trim() == "`"
            {
                escape = '`';
            }
            directives = directive.is_some();
            continue;
        }
        directives = false;
        if content.is_empty() {
            continue;
        }
        let (mut whole, mut words) = (String::new(), Vec::new());
        let mut part = Some(line);
        while let Some(line) = part {
            let (kept, goes_on) = match text[line.clone()].trim_end().strip_suffix(escape) {
                Some(kept) => (kept, true),
                None => (&text[line.clone()], false),
            };
            if !whole.is_empty() {
                whole.push(' ');
            }
            whole += kept.trim();
            words.extend(words_of(text, line.start..line.start + kept.len()));
            part = None;
            if goes_on {
                // Comments and empty lines do not end an instruction that goes on.
                let idle = |(_, line): &(u32, Range<usize>)| {
                    let content = text[line.clone()].trim();
                    content.is_empty() || content.starts_with('#')
                };
                while lines.next_if(idle).is_some() {}
                part = lines.next().map(|(_, line)| line);
            }
        }
        if words.is_empty() {
            continue;
        }
        let instruction = Instruction {
            line: number,
            text: whole,
            words,
        };
        skip_here_documents(text, &instruction, &mut lines);
        found.push(instruction);
    }
    found
}

/// Passes over the lines of an instruction's here-documents. One that never ends is none: builders that know no
/// here-documents take `<<` for the shell's, which also shifts numbers by it.
fn skip_here_documents(
    text: &str,
    instruction: &Instruction,
    lines: &mut Peekable<IntoIter<(u32, Range<usize>)>>,
) {
    let (keyword, _) = instruction.split();
    let takes = ["RUN", "COPY", "ADD"].map(|one| keyword.eq_ignore_ascii_case(one));
    let (true, Some(here)) = (takes.contains(&true), HERE.as_ref()) else {
        return;
    };
    for start in here.captures_iter(&instruction.text) {
        let word = (2..=4).find_map(|at| start.get(at));
        let word = word.map_or("", |word| word.as_str());
        let mut after = lines.clone();
        let ends = after.any(|(_, line)| {
            let line = text[line].trim_end_matches('\r');
            let tabs: &[char] = if start[1].is_empty() { &[] } else { &['\t'] };
            line.trim_start_matches(tabs) == word
        });
        if ends {
            *lines = after;
        }
    }
}

/// The flags at the beginning of an instruction's arguments.
pub(super) fn flags<'a>(
    text: &'a str,
    instruction: &'a Instruction,
) -> impl Iterator<Item = &'a Range<usize>> {
    let words = instruction.words[1..].iter();
    words.take_while(move |word| text[(*word).clone()].starts_with("--"))
}

/// A word without quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// Where the lines of a text stand, without their ends.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let range = start..start + line.trim_end_matches('\n').len();
        start += line.len();
        range
    })
}

/// Where the words of a part of a text stand.
fn words_of(text: &str, within: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = within.start;
    text[within]
        .split_inclusive(char::is_whitespace)
        .map(move |piece| {
            let word = start..start + piece.trim_end().len();
            start += piece.len();
            word
        })
        .filter(|word| !word.is_empty())
}
