//! A program that is run to its end: what it prints is shown line by line, and its process group ends with it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::backend::BuildLog;
use crate::process::Group;

/// Lines that are kept, from the end.
const KEPT: usize = 200;
/// Bytes after which a line is taken to end: a program may print a megabyte without one.
const LONGEST: usize = 16 * 1024;
/// How long pipes stay open once the program has ended: a descendant that got away may hold them.
const GRACE: Duration = Duration::from_millis(500);

/// What every program may inherit: where it is, who runs it, how it reaches the network.
const COMMON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "XDG_*",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// A command line in the making.
pub(super) struct Program {
    name: &'static str,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, String>,
    hidden: Hidden,
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whether it said that all went well.
    pub(super) success: bool,
    /// `exit status: 1`.
    pub(super) status: String,
    /// The last lines that it printed, of both streams, as they came.
    pub(super) lines: Vec<String>,
}

impl Program {
    /// One that inherits of `environment` what every program may, and the variables of `also`; a name there may end in `*`.
    pub(super) fn new(
        name: &'static str,
        environment: &BTreeMap<String, String>,
        also: &[&str],
    ) -> Self {
        let inherited = |name: &str| {
            COMMON
                .iter()
                .chain(also)
                .any(|pattern| match pattern.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == *pattern,
                })
        };
        Self {
            name,
            arguments: Vec::new(),
            environment: environment
                .iter()
                .filter(|(name, _)| inherited(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            hidden: Hidden::default(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub(super) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub(super) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for argument in arguments {
            self = self.arg(argument);
        }
        self
    }

    /// Sets a variable, unless it is inherited.
    #[must_use]
    pub(super) fn default_env(mut self, name: &str, value: &str) -> Self {
        self.environment
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
        self
    }

    /// Sets a variable, where there is a value.
    #[must_use]
    pub(super) fn env(mut self, name: &str, value: Option<&Path>) -> Self {
        if let Some(value) = value {
            let value = value.to_string_lossy().into_owned();
            self.environment.insert(name.to_owned(), value);
        }
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub(super) fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Passes build arguments by `flag NAME`, with the value in the environment: a command line can be read by everybody on
    /// the machine. Only a name that means something to the program itself is passed as `NAME=value`.
    #[must_use]
    pub(super) fn build_arguments(
        mut self,
        flag: &str,
        arguments: &BTreeMap<String, String>,
    ) -> Self {
        for (name, value) in arguments {
            self = match self.environment.get(name) {
                Some(other) if other != value => self.arg(flag).arg(format!("{name}={value}")),
                _ => {
                    self.environment.insert(name.clone(), value.clone());
                    self.arg(flag).arg(name)
                }
            };
        }
        self.hidden = Hidden::of(arguments);
        self
    }

    /// Runs it, and shows its lines to nobody.
    pub(super) async fn quiet(self) -> io::Result<Ended> {
        struct Nobody;
        impl BuildLog for Nobody {
            fn line(&self, _: &str) {}
        }
        self.run(&Nobody).await
    }

    /// Runs it in a process group of its own. When this returns, or is dropped, the group has been killed.
    pub(super) async fn run(self, log: &dyn BuildLog) -> io::Result<Ended> {
        let mut command = Command::new(self.name);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        tracing::debug!(program = self.name, arguments = ?self.visible(), "run");
        let mut child = command.spawn()?;
        let group = Group(child.id());
        let lines = Lines {
            kept: Mutex::new(VecDeque::new()),
            hidden: &self.hidden,
            log,
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read = async { tokio::join!(read(stdout, &lines), read(stderr, &lines)) };
        let mut read = std::pin::pin!(read);
        let mut open = true;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                _ = &mut read, if open => open = false,
            }
        };
        group.kill();
        if open {
            let _ = tokio::time::timeout(GRACE, &mut read).await;
        }
        let status = status?;
        let kept = lines.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Ended {
            success: status.success(),
            status: status.to_string(),
            lines: kept.iter().cloned().collect(),
        })
    }

    /// The arguments without the values of build arguments.
    fn visible(&self) -> Vec<String> {
        self.arguments
            .iter()
            .map(|one| self.hidden.hide(&one.to_string_lossy()))
            .collect()
    }
}

/// The values of build arguments, which may be secrets.
#[derive(Default)]
struct Hidden(Vec<String>);

impl Hidden {
    /// Values of 8 bytes and more are hidden always, and from 3 bytes where the name sounds secret: `3.12` would tear every
    /// line apart.
    fn of(arguments: &BTreeMap<String, String>) -> Self {
        const SECRET: &[&str] = &["TOKEN", "PASS", "SECRET", "KEY", "CREDENTIAL", "AUTH"];
        let mut values: Vec<String> = arguments
            .iter()
            .flat_map(|(name, value)| {
                let name = name.to_uppercase();
                let secret = SECRET.iter().any(|one| name.contains(one));
                let shortest = if secret { 3 } else { 8 };
                value
                    .lines()
                    .map(str::trim)
                    .filter(move |line| line.len() >= shortest)
                    .map(str::to_owned)
            })
            .collect();
        // One value may hold another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.0 {
            if text.contains(value) {
                text = text.replace(value, "***");
            }
        }
        text
    }
}

/// What becomes of the lines of both streams.
struct Lines<'a> {
    kept: Mutex<VecDeque<String>>,
    hidden: &'a Hidden,
    log: &'a dyn BuildLog,
}

impl Lines<'_> {
    fn add(&self, bytes: &[u8]) {
        let text = plain(&String::from_utf8_lossy(bytes));
        let text = self.hidden.hide(text.trim_end());
        if text.is_empty() {
            return;
        }
        self.log.line(&text);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(text);
    }
}

/// Cuts a stream into lines; a carriage return ends one as well, as in a progress bar.
async fn read(pipe: Option<impl AsyncRead + Unpin>, lines: &Lines<'_>) {
    let Some(mut pipe) = pipe else { return };
    let mut part = vec![0; 16 * 1024];
    let mut line = Vec::new();
    while let Ok(count @ 1..) = pipe.read(&mut part).await {
        for byte in &part[..count] {
            if matches!(byte, b'\n' | b'\r') || line.len() == LONGEST {
                lines.add(&line);
                line.clear();
            }
            if !matches!(byte, b'\n' | b'\r') {
                line.push(*byte);
            }
        }
    }
    lines.add(&line);
}

/// Without the sequences that colour a terminal, which `docker build` prints to files too.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.find(|one: char| ('@'..='~').contains(&one));
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Read as _};

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl BuildLog for Seen {
        fn line(&self, line: &str) {
            self.0.lock().expect("no panic").push(line.to_owned());
        }
    }

    fn environment() -> BTreeMap<String, String> {
        let path = std::env::var("PATH").expect("there is one");
        [("PATH", path.as_str()), ("A_SECRET", "x"), ("TOOL_X", "y")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn shell(script: &str) -> Program {
        Program::new("sh", &environment(), &["TOOL_*"]).args(["-c", script])
    }

    #[tokio::test]
    async fn lines_are_shown_without_colours_and_secrets() {
        let seen = Seen::default();
        let arguments = BTreeMap::from([
            ("TOKEN".to_owned(), "abc".to_owned()),
            ("PATH".to_owned(), "long enough\nsecond line".to_owned()),
            ("V".to_owned(), "3.12".to_owned()),
        ]);
        let script = "echo \"$0\" \"$@\" $TOKEN; printf '\\033[91m10%%\\r20%% 3.12\\033[0m\\n\\n'; \
                      printf 'no end, second line'; exit 3";
        let ended = shell(script)
            .build_arguments("--build-arg", &arguments)
            .run(&seen)
            .await
            .expect("it starts");
        let expected = [
            "--build-arg PATH=***",
            "*** --build-arg TOKEN --build-arg V ***",
            "10%",
            "20% 3.12",
            "no end, ***",
        ];
        assert_eq!(*seen.0.lock().expect("no panic"), expected);
        assert_eq!(ended.lines, expected);
        assert!(!ended.success);
        assert_eq!(ended.status, "exit status: 3");
    }

    #[tokio::test]
    async fn only_what_is_listed_is_inherited() {
        let ended = shell("env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort")
            .default_env("TOOL_X", "other")
            .default_env("MORE", "z")
            .quiet()
            .await
            .expect("it starts");
        let path = format!("PATH={}", environment()["PATH"]);
        assert_eq!(ended.lines, ["MORE=z", path.as_str(), "TOOL_X=y"]);
    }

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let ended = shell("seq 1000; head -c 40000 /dev/zero | tr '\\0' a")
            .quiet()
            .await
            .expect("it starts");
        assert_eq!(ended.lines.len(), KEPT);
        assert_eq!(ended.lines[KEPT - 4], "1000");
        let lengths: Vec<usize> = ended.lines[KEPT - 3..].iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 40_000 - 2 * LONGEST]);
    }

    #[tokio::test]
    async fn a_dropped_program_ends_with_its_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        // Whoever of the group lives holds the pipe open, and says so in the end.
        let script = format!(
            "exec 9>'{}'; (sleep 60; echo alive >&9) & echo started >&9; sleep 60",
            pipe.display()
        );
        let seen = Seen::default();
        let run = shell(&script).run(&seen);
        let (told, first) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let pipe = std::fs::File::open(pipe).expect("the pipe is there");
            let mut pipe = io::BufReader::new(pipe);
            let mut line = String::new();
            pipe.read_line(&mut line).expect("the pipe is read");
            let _ = told.send((line, pipe));
        });
        let (line, mut pipe) = tokio::select! {
            ended = run => panic!("it ended by itself: {ended:?}"),
            first = first => first.expect("it has started"),
        };
        assert_eq!(line, "started\n");
        let mut rest = String::new();
        pipe.read_to_string(&mut rest).expect("the pipe is read");
        assert_eq!(rest, "", "the group was killed");
        // What goes on in the background does not hold us up.
        let start = std::time::Instant::now();
        let ended = shell("sleep 30 & echo done").quiet().await;
        assert_eq!(ended.expect("it ends").lines, ["done"]);
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        let environment = BTreeMap::from([("PATH".to_owned(), "/nonexistent".to_owned())]);
        let error = Program::new("docker", &environment, &[])
            .quiet()
            .await
            .err();
        assert_eq!(error.map(|e| e.kind()), Some(io::ErrorKind::NotFound));
    }
}
