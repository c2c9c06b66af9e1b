//! The real binary, in an environment that holds only what a test puts there.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowyard"));
        command
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

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Run {
        let output = self.command.output().expect("the binary was built");
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
            filters: filters(&self.folder, self.home.path()),
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

    /// Exit code, stdout and stderr, with what differs from run to run replaced: temporary folders, ports of
    /// 127.0.0.1 and durations.
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
