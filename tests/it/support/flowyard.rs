//! The real binary, in an environment that holds only what a test puts there.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use regex::Regex;
use tempfile::TempDir;

/// A call of `flowyard` that is being put together.
pub(crate) struct Flowyard {
    command: Command,
    folder: PathBuf,
    home: TempDir,
}

impl Flowyard {
    /// A call from a folder, with arguments.
    pub(crate) fn new<S: AsRef<OsStr>>(
        folder: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::through(&[], folder, arguments)
    }

    /// Likewise, as the last arguments of another program: `strace -o file flowyard …`.
    pub(crate) fn through<S: AsRef<OsStr>>(
        program: &[&str],
        folder: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let mut line = [program, &[BINARY]].concat().into_iter();
        let mut command = Command::new(line.next().expect("the binary at least"));
        command
            .args(line)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .env_clear()
            .env("HOME", home.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        // What a program needs to start at all; everything else would make a test depend on whose machine it is.
        for name in ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Self {
            command,
            folder: folder.to_owned(),
            home,
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes every environment variable away.
    #[must_use]
    pub(crate) fn without_environment(mut self) -> Self {
        self.command.env_clear();
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Run {
        self.start().wait()
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Running {
        let child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("failed to start {:?}: {e}", self.command));
        Running {
            child,
            filters: filters(&self.folder, self.home.path()),
            _home: self.home,
        }
    }
}

/// Runs calls at the same time, each to its end, which is exit code 0. One that a starved server has refused too often
/// (exit code 1, or 4 before anything was written) is run again, as people do it. `ended` hears of every run.
pub(crate) fn to_the_end(
    calls: usize,
    call: impl Fn(usize) -> Flowyard,
    mut ended: impl FnMut(usize, &Run),
) {
    const ATTEMPTS: usize = 5;
    let mut left: Vec<usize> = (0..calls).collect();
    for attempt in 1..=ATTEMPTS {
        let start = |at: &usize| (*at, call(*at).start());
        let running: Vec<(usize, Running)> = left.iter().map(start).collect();
        left.clear();
        for (at, running) in running {
            let run = running.wait();
            ended(at, &run);
            if attempt < ATTEMPTS && matches!(run.code, Some(1 | 4)) {
                left.push(at);
            } else {
                run.expect_code(0);
            }
        }
    }
}

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_flowyard");

/// A call that was started.
pub(crate) struct Running {
    child: Child,
    filters: Vec<(Regex, &'static str)>,
    _home: TempDir,
}

impl Running {
    /// Sends it a signal: `KILL`, `STOP` … One that has ended is not sent anything.
    pub(crate) fn signal(&mut self, name: &str) {
        if self.has_ended() {
            return;
        }
        let id = self.child.id().to_string();
        // The shell's own: the program of this name is not everywhere.
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &id])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "kill -s {name} {id}"
        );
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Run {
        let output = self.child.wait_with_output().expect("the child is ours");
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
            filters: self.filters,
        }
    }
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// What was printed for programs.
    pub(crate) stdout: String,
    /// What was printed for people.
    pub(crate) stderr: String,
    filters: Vec<(Regex, &'static str)>,
}

impl Run {
    /// Panics with everything that was said unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.snapshot());
        self
    }

    /// Everything that was printed.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Exit code, stdout and stderr, with what differs from run to run replaced: temporary folders, ports of
    /// 127.0.0.1, process ids, times and durations.
    pub(crate) fn snapshot(&self) -> String {
        let code = self
            .code
            .map_or_else(|| "signal".to_owned(), |code| code.to_string());
        let mut text = format!("exit: {code}\n");
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            write!(text, "----- {name} -----\n{stream}").expect("a string can grow");
            if !stream.is_empty() && !stream.ends_with('\n') {
                text.push('\n');
            }
        }
        for (pattern, replacement) in &self.filters {
            text = pattern.replace_all(&text, *replacement).into_owned();
        }
        text
    }
}

/// Patterns and what takes their place.
fn filters(folder: &Path, home: &Path) -> Vec<(Regex, &'static str)> {
    let mut filters = Vec::new();
    for (path, name) in [(folder, "[DIR]"), (home, "[HOME]")] {
        // A temporary folder may stand behind a symlink, and either name may be printed.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        for spelling in [&real, path] {
            filters.push((regex::escape(&spelling.display().to_string()), name));
        }
    }
    filters.push((r"127\.0\.0\.1:\d+".to_owned(), "127.0.0.1:[PORT]"));
    filters.push((r"\bprocess \d+".to_owned(), "process [PID]"));
    filters.push((
        r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z".to_owned(),
        "[TIME]",
    ));
    filters.push((r"\b\d+(\.\d+)? ?(ms|s)\b".to_owned(), "[TIME]"));
    filters
        .into_iter()
        .map(|(pattern, name)| {
            (
                Regex::new(&pattern).expect("the pattern is fixed or escaped"),
                name,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_the_same_everywhere() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let run = Run {
            code: Some(1),
            stdout: format!("wrote {}/x", folder.path().display()),
            stderr: "no answer from http://127.0.0.1:4200/api in 1.25 s\n".to_owned(),
            filters: filters(folder.path(), home.path()),
        };
        assert_eq!(
            run.snapshot(),
            "exit: 1\n----- stdout -----\nwrote [DIR]/x\n----- stderr -----\n\
             no answer from http://127.0.0.1:[PORT]/api in [TIME]\n"
        );
    }
}
