//! The part of a runner of GitHub Actions that reads a step's output: which line is a command, and what it says.
//!
//! A port of the rules of `Runner.Common/ActionCommand.cs` and `Runner.Worker/ActionCommandManager.cs` of
//! <https://github.com/actions/runner> at 079cdb1d05fe.

use std::collections::BTreeMap;

/// The commands that a runner knows; compared without regard to case.
const KNOWN: &[&str] = &[
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "internal-set-repo-path",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

/// A command as a runner understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) data: String,
}

/// What a runner makes of a step's output.
#[derive(Debug, Default)]
pub(crate) struct Runner {
    stopped: Option<String>,
    /// The commands that it carried out, in their order.
    pub(crate) commands: Vec<Command>,
    /// The lines that it showed, before anything was hidden in them.
    pub(crate) shown: Vec<String>,
    /// The lines that would have been commands, while none was taken.
    pub(crate) held: Vec<String>,
}

impl Runner {
    /// Reads output. Lines end with `\n`, `\r` or both.
    pub(crate) fn read(&mut self, output: &str) {
        for line in output.replace("\r\n", "\n").split(['\n', '\r']) {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let known = |name: &str| {
            let also = self.stopped.as_deref();
            KNOWN
                .iter()
                .copied()
                .chain(also)
                .any(|one| one.eq_ignore_ascii_case(name))
        };
        let command = parse(line, &known).or_else(|| parse_old(line, &known));
        let Some(command) = command else {
            return self.shown.push(line.to_owned());
        };
        if let Some(token) = &self.stopped {
            if command.name.eq_ignore_ascii_case(token) {
                self.stopped = None;
            } else {
                self.held.push(line.to_owned());
                self.shown.push(line.to_owned());
            }
            return;
        }
        if command.name.eq_ignore_ascii_case("stop-commands") {
            let token = command.data.clone();
            assert!(
                !token.is_empty() && token != "pause-logging" && !known(&token),
                "the runner refuses the token {token:?}"
            );
            self.stopped = Some(token);
        } else {
            self.commands.push(command);
        }
    }

    /// The commands of a name.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Command> {
        self.commands.iter().filter(move |one| one.name == name)
    }

    /// Panics unless every stop was ended.
    pub(crate) fn expect_open(&self) {
        assert_eq!(self.stopped, None, "commands are taken again at the end");
    }
}

/// `::name key=value,key=value::data`, after white space.
fn parse(line: &str, known: &dyn Fn(&str) -> bool) -> Option<Command> {
    let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    let (name, rest) = head.split_once(' ').unwrap_or((head, ""));
    let escapes = [
        ("%0D", "\r"),
        ("%0A", "\n"),
        ("%3A", ":"),
        ("%2C", ","),
        ("%25", "%"),
    ];
    let data_escapes = [("%0D", "\r"), ("%0A", "\n"), ("%25", "%")];
    known(name).then(|| Command {
        name: name.to_owned(),
        properties: properties(rest.trim(), ',', &escapes),
        data: unescaped(data, &data_escapes),
    })
}

/// `##[name key=value;key=value]data`, anywhere in a line.
fn parse_old(line: &str, known: &dyn Fn(&str) -> bool) -> Option<Command> {
    let (head, data) = line.split_once("##[")?.1.split_once(']')?;
    let (name, rest) = head.split_once(' ').unwrap_or((head, ""));
    let escapes = [
        ("%3B", ";"),
        ("%0D", "\r"),
        ("%0A", "\n"),
        ("%5D", "]"),
        ("%25", "%"),
    ];
    known(name).then(|| Command {
        name: name.to_owned(),
        properties: properties(rest, ';', &escapes),
        data: unescaped(data, &escapes),
    })
}

fn properties(text: &str, separator: char, escapes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = text
        .split(separator)
        .filter_map(|pair| pair.split_once('='));
    let pairs = pairs.filter(|(key, value)| !key.is_empty() && !value.is_empty());
    pairs
        .map(|(key, value)| (key.to_owned(), unescaped(value, escapes)))
        .collect()
}

/// One after the other over the whole text, `%25` last.
fn unescaped(text: &str, escapes: &[(&str, &str)]) -> String {
    escapes
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| {
            text.replace(escape, plain)
        })
}

#[test]
fn commands_are_found_where_a_runner_finds_them() {
    let mut runner = Runner::default();
    runner.read(
        "plain :: text\n  ::ERROR file=a%2Cb,line=2::100%25 wrong%0Athere\nx ##[add-mask]y\r::unknown::x\n::error\n\
         ::stop-commands::abc\n::error::held\n##[error]held\n::ABC::\n::debug::again",
    );
    let names: Vec<&str> = runner
        .commands
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["ERROR", "add-mask", "debug"]);
    assert_eq!(runner.commands[0].data, "100% wrong\nthere");
    assert_eq!(runner.commands[0].properties["file"], "a,b");
    assert_eq!(runner.held, ["::error::held", "##[error]held"]);
    assert_eq!(
        runner.shown,
        [
            "plain :: text",
            "::unknown::x",
            "::error",
            "::error::held",
            "##[error]held"
        ]
    );
    runner.expect_open();
}
