//! `.deployment.py` files, run for what they would register: `--run-python`.
//!
//! A file runs in an environment that `uv` makes of its project's requirements, in the project's folder, under a program
//! (`capture.py`) in which every call that registers tells us instead. It sees no variable of this process but the ones
//! that the configuration allows, has a home of its own, and ends with its time or memory. The network is denied where
//! the system can do that (`unshare` of Linux); where it cannot, [`Runner::new`] says so. Files can be written: what
//! that may break is the user's own checkout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::environment::{self, Cache, Recipe};
use super::process::{self, Limits, Stopped, last_lines};
use super::token;
use crate::model::{Captured, CapturedDeployment, Diagnostic, Dialect, Place, RepoPath};

const PROGRAM: &str = include_str!("capture.py");

/// An import of Prefect takes seconds, and a file that declares deployments little more.
const TIME: Duration = Duration::from_secs(60);

/// Bytes of address space.
const MEMORY: u64 = 4 << 30;

const LIMITS: Limits = Limits {
    time: Some(TIME),
    stdout: 16 << 20,
    stderr: 1 << 20,
};

/// Lines of a file's output that come with its fault.
const LINES: usize = 12;

/// A file to run.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The file.
    pub file: RepoPath,
    /// The requirements of its project; `None` for Prefect alone.
    pub requirements: Option<RepoPath>,
}

/// Runs deployment files of one checkout.
#[derive(Debug)]
pub struct Runner {
    root: PathBuf,
    cache: Cache,
    dialect: Dialect,
    variables: BTreeMap<String, String>,
    /// What a command begins with that has no network; empty where the system cannot deny it.
    isolation: &'static [&'static str],
    time: Duration,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    registered: Vec<Registered>,
    error: Option<String>,
    #[serde(default)]
    traceback: Vec<String>,
    file: Option<PathBuf>,
    #[serde(default)]
    line: u32,
    #[serde(default)]
    column: u32,
}

#[derive(Deserialize)]
struct Registered {
    line: u32,
    file: Option<PathBuf>,
    declares: Map<String, Value>,
    notes: Vec<String>,
}

impl Runner {
    /// For the checkout at `root`, with the variables that files may see. `dialect` is the Prefect that is installed
    /// where the requirements name none.
    pub async fn new(
        root: &Path,
        cache: Cache,
        dialect: Dialect,
        variables: BTreeMap<String, String>,
    ) -> Self {
        let isolation = isolation().await;
        if isolation.is_empty() {
            tracing::warn!(
                "this system cannot deny the network to the Python files that are run (`unshare` is missing or forbidden)"
            );
        }
        Self {
            root: root.canonicalize().unwrap_or_else(|_| root.to_owned()),
            cache,
            dialect,
            variables,
            isolation,
            time: TIME,
        }
    }

    /// Whether files that are run have no network.
    pub fn denies_network(&self) -> bool {
        !self.isolation.is_empty()
    }

    /// With another limit of time.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Runs one file.
    pub async fn run(&self, subject: &Subject) -> Captured {
        match self.registered(subject).await {
            Ok(registered) => Captured::Registered(registered),
            Err(fault) => Captured::Failed(Box::new(fault)),
        }
    }

    async fn registered(&self, subject: &Subject) -> Result<Vec<CapturedDeployment>, Diagnostic> {
        let whole = |message: String| Diagnostic::error(Place::file(subject.file.clone()), message);
        let recipe = Recipe {
            requirements: subject
                .requirements
                .as_ref()
                .map(|path| self.root.join(path.as_str())),
            python: None,
            prefect: self.dialect,
        };
        let python = environment::prepare(&self.cache, &recipe).await;
        let python = python.map_err(|fault| {
            let diagnostic = whole(format!("the file cannot be run: {}", fault.message));
            match fault.hint {
                Some(hint) => diagnostic.hint(hint),
                None => diagnostic,
            }
        })?;
        let home = tempfile::tempdir()
            .map_err(|error| whole(format!("no folder for the file's home: {error}")))?;
        let path = self.root.join(subject.file.as_str());
        let folder = path.parent().unwrap_or(&self.root);
        let token = token();
        let request = json!({
            "file": path,
            "folder": folder,
            "root": self.root,
            "token": token,
            "memory": MEMORY,
        });
        let mut command = self.command(&python, folder, home.path());
        let limits = Limits {
            time: Some(self.time),
            ..LIMITS
        };
        let ended = match process::run(&mut command, request.to_string().as_bytes(), limits).await {
            Ok(ended) => ended,
            Err(Stopped::Unstarted(error)) => {
                return Err(whole(format!("the file cannot be run: {error}")));
            }
            Err(Stopped::Late(log)) => {
                let message = format!("the file runs for more than {} s", self.time.as_secs());
                return Err(with_output(whole(message), &log)
                    .hint("it has to end by itself, and asks nothing of the network"));
            }
            Err(Stopped::TooMuch(log)) => {
                return Err(with_output(
                    whole("the file declares more than 16 MiB".to_owned()),
                    &log,
                ));
            }
        };
        for line in String::from_utf8_lossy(&ended.stderr).lines() {
            tracing::info!("{}: {line}", subject.file);
        }
        let text = String::from_utf8_lossy(&ended.stdout);
        let answer = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(&token))
            .and_then(|line| serde_json::from_str::<Answer>(line).ok());
        let Some(answer) = answer else {
            let message = format!("the file ended without an answer: {}", ended.status);
            return Err(with_output(whole(message), &ended.stderr));
        };
        if let Some(error) = &answer.error {
            return Err(self.failure(subject, &answer, error));
        }
        let mut all = Vec::with_capacity(answer.registered.len());
        for one in answer.registered {
            if let Some((key, _)) = one.declares.iter().find(|(_, value)| self.in_value(value)) {
                let place = Place::at(subject.file.clone(), one.line, 1);
                let message = format!(
                    "`{key}` holds the path of the checkout, which differs from machine to machine"
                );
                let hint =
                    "cut it off: `Path(__file__).relative_to(…)`, or name the path from the root";
                return Err(Diagnostic::error(place, message).hint(hint));
            }
            all.push(CapturedDeployment {
                line: one.line,
                file: one.file.as_deref().and_then(|path| self.inside(path)),
                declares: one.declares,
                notes: one.notes,
            });
        }
        Ok(all)
    }

    fn command(&self, python: &Path, folder: &Path, home: &Path) -> Command {
        let mut command = match self.isolation {
            [program, options @ ..] => {
                let mut command = Command::new(program);
                command.args(options).arg(python);
                command
            }
            [] => Command::new(python),
        };
        command
            .args(["-u", "-c", PROGRAM])
            .env_clear()
            .envs(&self.variables)
            .envs(self.cache.paths())
            .env("HOME", home)
            .env("PREFECT_HOME", home)
            .env("LANG", "C.UTF-8")
            .env("PYTHONUTF8", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // Nobody listens there: what asks a server after all fails at once instead of starting one.
            .env("PREFECT_API_URL", "http://127.0.0.1:9/api")
            .env("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
            .env("DO_NOT_TRACK", "1")
            .current_dir(folder);
        command
    }

    fn failure(&self, subject: &Subject, answer: &Answer, error: &str) -> Diagnostic {
        let place = match answer.file.as_deref().and_then(|path| self.inside(path)) {
            Some(path) => Place::at(path, answer.line, answer.column),
            None => Place::file(subject.file.clone()),
        };
        let mut message = format!("running the file fails: {error}");
        for line in &answer.traceback {
            message += "\n  ";
            message += line;
        }
        Diagnostic::error(place, message)
    }

    /// Whether any text of a value holds the checkout's path.
    fn in_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.root.to_str().is_some_and(|root| text.contains(root)),
            Value::Array(items) => items.iter().any(|one| self.in_value(one)),
            Value::Object(map) => map.values().any(|one| self.in_value(one)),
            _ => false,
        }
    }

    /// A path in the checkout; `None` for any other.
    fn inside(&self, path: &Path) -> Option<RepoPath> {
        let path = path.canonicalize().ok()?;
        let inside = path.strip_prefix(&self.root).ok()?;
        Some(RepoPath::new(inside.to_str()?.replace('\\', "/")))
    }
}

fn with_output(mut diagnostic: Diagnostic, log: &[u8]) -> Diagnostic {
    for line in last_lines(log, LINES) {
        diagnostic.message += "\n  ";
        diagnostic.message += &line;
    }
    diagnostic
}

/// The first way of denying the network that works here.
async fn isolation() -> &'static [&'static str] {
    const WAYS: &[&[&str]] = &[
        &["unshare", "--map-root-user", "--net", "--"],
        &["unshare", "--net", "--"],
    ];
    for way in WAYS {
        let mut probe = Command::new(way[0]);
        probe.args(&way[1..]).arg("true");
        let ended = process::run(&mut probe, b"", LIMITS).await;
        if ended.is_ok_and(|ended| ended.status.success()) {
            return way;
        }
    }
    &[]
}
