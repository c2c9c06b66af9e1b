//! What is written for a runner, of any text at all, against the runner's own rules.

use std::io::Write as _;

use flowyard::model::{Diagnostic, Place, RepoPath};
use flowyard::report::actions::{self, Guard, command};

use super::runner::Runner;

/// Pieces of which hostile texts are made.
const PIECES: &[&str] = &[
    "::",
    ":",
    "##[",
    "#",
    "[",
    "]",
    "%",
    "%0A",
    "%25",
    "%250A",
    "%3A",
    "%2C",
    "\n",
    "\r",
    "\r\n",
    ",",
    "=",
    ";",
    " ",
    "\t",
    "error",
    "add-mask",
    "stop-commands",
    "set-output name=x",
    "warning file=a",
    "\u{1b}[31m",
    "\u{1b}[0m",
    "\u{200b}",
    "\u{ad}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "ø",
    "日本",
    "`",
    "</details>",
    "$(id)",
    "${{ x }}",
    "a",
    "",
];

/// Numbers that are the same in every run (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).expect("it is below an usize")
    }

    fn text(&mut self) -> String {
        (0..self.below(9))
            .map(|_| PIECES[self.below(PIECES.len())])
            .collect()
    }
}

fn read(text: &str) -> Runner {
    let mut runner = Runner::default();
    runner.read(text);
    runner
}

#[test]
fn data_of_a_command_comes_back_and_is_nothing_else() {
    let mut numbers = Numbers(1);
    for _ in 0..20_000 {
        let (data, file, title) = (numbers.text(), numbers.text(), numbers.text());
        let line = command::command("error", &[("file", &file), ("title", &title)], &data);
        let runner = read(&line);
        assert_eq!(
            (runner.commands.len(), runner.shown.len()),
            (1, 0),
            "{line:?}"
        );
        let found = &runner.commands[0];
        assert_eq!(
            (found.name.as_str(), found.data.as_str()),
            ("error", data.as_str())
        );
        // White space at the end of the last one is lost.
        let property = |name| {
            found
                .properties
                .get(name)
                .map_or("", String::as_str)
                .trim_end()
        };
        assert_eq!(
            (property("file"), property("title")),
            (file.trim_end(), title.trim_end()),
            "{line:?}"
        );
    }
}

#[test]
fn faults_of_any_text_are_annotations_and_nothing_else() {
    let mut numbers = Numbers(2);
    for _ in 0..5_000 {
        let place = Place::at(RepoPath::new(numbers.text()), 3, 1);
        let fault = Diagnostic::error(place.clone(), numbers.text())
            .hint(numbers.text())
            .related(place, numbers.text());
        let lines = actions::annotations(&[fault], &RepoPath::root(), &str::to_owned);
        let runner = read(&lines.join("\n"));
        assert_eq!(
            (runner.commands.len(), runner.shown.len()),
            (1, 0),
            "{lines:?}"
        );
        assert_eq!(runner.commands[0].name, "error");
        assert_eq!(runner.commands[0].properties["line"], "3");
        assert!(!lines[0].contains("##["), "{lines:?}");
    }
}

#[test]
fn a_guarded_log_holds_no_command() {
    let mut numbers = Numbers(3);
    for _ in 0..20_000 {
        let text = numbers.text();
        let mut out = Vec::new();
        Guard(&mut out)
            .write_all(text.as_bytes())
            .expect("memory takes it");
        let out = String::from_utf8(out).expect("text stays text");
        for shown in [out.clone(), anstream::adapter::strip_str(&out).to_string()] {
            let runner = read(&shown);
            assert!(runner.commands.is_empty(), "{text:?}: {shown:?}");
            assert!(!shown.contains("##["), "{text:?}: {shown:?}");
        }
    }
}

#[test]
fn between_stop_and_resume_nothing_is_a_command() {
    let mut numbers = Numbers(4);
    for _ in 0..5_000 {
        let token = actions::delimiter();
        let inside = numbers.text();
        let text = [
            &command::stop(&token),
            &inside,
            &command::resume(&token),
            "::debug::on",
        ]
        .map(ToString::to_string);
        let runner = read(&text.join("\n"));
        let names: Vec<&str> = runner
            .commands
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, ["debug"], "{inside:?}");
        runner.expect_open();
    }
}
