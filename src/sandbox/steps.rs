//! Steps of a `prefect.yaml` that are not known here, run by Prefect itself: `--run-steps`.
//!
//! Nothing is kept from them: the user has asked for it, and they get this process's environment and network, as they
//! would have with Prefect's own command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::environment::{self, Cache};
use super::process::{self, Limits, Stopped, last_lines};
use super::{StepFault, token};
use crate::model::Dialect;

const PROGRAM: &str = include_str!("step.py");

const LIMITS: Limits = Limits {
    time: None,
    stdout: 16 << 20,
    stderr: 1 << 20,
};

/// Lines of a step's output that come with its fault: a traceback through Prefect is long.
const LINES: usize = 60;

/// Runs steps in one Python that has Prefect, which is looked for, or made, when the first step needs it.
#[derive(Debug)]
pub struct Steps {
    cache: Option<Cache>,
    prefect: Dialect,
    python: OnceCell<PathBuf>,
    variables: BTreeMap<String, String>,
}

impl Steps {
    /// With the first `python3` or `python` on PATH that has Prefect, else with an environment that is made in `cache`.
    pub fn new(cache: Option<Cache>, prefect: Dialect) -> Self {
        Self {
            cache,
            prefect,
            python: OnceCell::new(),
            variables: BTreeMap::new(),
        }
    }

    /// With this Python.
    pub fn with_python(python: PathBuf) -> Self {
        Self {
            cache: None,
            prefect: Dialect::default(),
            python: OnceCell::new_with(Some(python)),
            variables: BTreeMap::new(),
        }
    }

    /// With an environment that is made in `cache`, whatever is on PATH.
    pub async fn with_environment(cache: &Cache, prefect: Dialect) -> Result<Self, StepFault> {
        Ok(Self::with_python(made(cache, prefect).await?))
    }

    /// Sets environment variables over those of this process: `PREFECT_API_URL` where the configuration names the server.
    /// Without a server's address Prefect starts a temporary one for every step.
    #[must_use]
    pub fn variables(mut self, variables: BTreeMap<String, String>) -> Self {
        self.variables = variables;
        self
    }

    /// Runs one step and gives its output: `null` for a step that returns nothing.
    ///
    /// `step` is the dotted path of its function. `inputs` are its keyword arguments, a mapping, templates of blocks,
    /// variables and the environment included, which Prefect resolves; `id` and `requires` may be among them. It runs in
    /// `folder`. What it prints goes to the log.
    pub async fn run_step(
        &self,
        step: &str,
        inputs: &Value,
        folder: &Path,
    ) -> Result<Value, StepFault> {
        let python = self.python().await?;
        let token = token();
        let request = json!({
            "step": step,
            "inputs": inputs,
            "folder": folder.display().to_string(),
            "token": token,
        });
        let mut command = Command::new(python);
        // -P would keep a module of the folder from hiding one of Python's, but is not in Python 3.10.
        command
            .args(["-u", "-c", PROGRAM])
            .envs(&self.variables)
            .current_dir(folder);
        let failed = |what: String| StepFault::new(format!("the step `{step}` {what}"));
        let ended = match process::run(&mut command, request.to_string().as_bytes(), LIMITS).await {
            Ok(ended) => ended,
            Err(Stopped::Unstarted(error)) => {
                return Err(failed(format!("cannot be run: {error}")));
            }
            Err(Stopped::TooMuch(log) | Stopped::Late(log)) => {
                let fault = failed("gave more than 16 MiB".to_owned());
                return Err(fault.output(last_lines(&log, LINES)));
            }
        };
        for line in String::from_utf8_lossy(&ended.stderr).lines() {
            tracing::info!("{line}");
        }
        let text = String::from_utf8_lossy(&ended.stdout);
        let answer = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(&token))
            .and_then(|line| serde_json::from_str::<Value>(line).ok());
        match answer {
            Some(mut answer) => match answer.get("error").and_then(Value::as_str) {
                Some(error) => {
                    Err(failed(format!("failed: {error}")).output(last_lines(&ended.stderr, LINES)))
                }
                None => Ok(answer["output"].take()),
            },
            None => Err(failed(format!("ended without an answer: {}", ended.status))
                .output(last_lines(&ended.stderr, LINES))),
        }
    }

    async fn python(&self) -> Result<&PathBuf, StepFault> {
        self.python
            .get_or_try_init(async || {
                for name in ["python3", "python"] {
                    if has_prefect(name).await {
                        return Ok(PathBuf::from(name));
                    }
                }
                match &self.cache {
                    Some(cache) => made(cache, self.prefect).await,
                    None => Err(StepFault::new("no `python` on PATH has Prefect")
                        .hint("set HOME, so that an environment can be made in its cache folder")),
                }
            })
            .await
    }
}

async fn made(cache: &Cache, prefect: Dialect) -> Result<PathBuf, StepFault> {
    let made = environment::prefect_alone(cache, prefect).await;
    made.map_err(|fault| StepFault {
        hint: fault.hint,
        ..StepFault::new(fault.message)
    })
}

/// Whether a Python on PATH can import Prefect; it is not imported for that, which would take seconds.
async fn has_prefect(python: &str) -> bool {
    const LOOK: &str = "import importlib.util as u, sys; s = u.find_spec('prefect'); sys.exit(not (s and s.origin))";
    let mut command = Command::new(python);
    // -I: what is in the current folder does not count.
    command.args(["-I", "-c", LOOK]);
    let limits = Limits {
        time: Some(std::time::Duration::from_secs(20)),
        ..LIMITS
    };
    process::run(&mut command, b"", limits)
        .await
        .is_ok_and(|ended| ended.status.success())
}
