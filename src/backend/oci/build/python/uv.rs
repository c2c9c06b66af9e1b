//! The program `uv`, which knows package indexes and wheels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::fault::{Scene, translate};
use crate::backend::{BuildLog, Error, Kind, Result};

/// How long `uv` may take; a wheel may have hundreds of megabytes.
const LONGEST: Duration = Duration::from_secs(1800);
/// How much of its stderr is kept, in bytes, from the end.
const KEPT: usize = 64 << 10;

/// How `uv` is run.
#[derive(Clone, Debug)]
pub struct Uv {
    /// The program: a path, or a name that is looked for on the PATH of `environment`.
    pub program: PathBuf,
    /// All that it sees of the process's environment: where its own things are, how to reach package indexes. No other
    /// secret should be in it.
    pub environment: BTreeMap<String, String>,
}

/// What would make one machine's layers differ from another's, or run code of packages.
const NOT_PASSED: &[&str] = &[
    "UV_COMPILE_BYTECODE",
    "UV_LINK_MODE",
    "UV_NO_BINARY",
    "UV_NO_BINARY_PACKAGE",
    "UV_TARGET",
    "UV_SYSTEM_PYTHON",
    "UV_PROJECT",
    "UV_WORKING_DIR",
];

impl Uv {
    /// Runs it in a folder and gives what it wrote to stdout; its stderr goes to the log, line by line.
    pub(super) async fn run(
        &self,
        folder: &Path,
        arguments: &[&str],
        scene: &Scene<'_>,
        log: Option<&dyn BuildLog>,
    ) -> Result<String> {
        let broken = |what: String| Error::new(Kind::Other, scene.file, what);
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .envs(&self.environment)
            .env("UV_NO_PROGRESS", "1")
            .args(["--color", "never"])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in NOT_PASSED {
            command.env_remove(name);
        }
        tracing::debug!(?arguments, "running uv");
        let mut child = command.spawn().map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                let program = self.program.display();
                return broken(format!(
                    "`{program}` is not on PATH, and Python packages are chosen and fetched by it"
                ))
                .hint("install it with `pip install uv`, or as https://docs.astral.sh/uv says");
            }
            broken(format!("uv cannot be run: {error}"))
        })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read_all = async {
            let mut text = Vec::new();
            if let Some(mut stdout) = stdout {
                stdout.read_to_end(&mut text).await?;
            }
            std::io::Result::Ok(text)
        };
        let read_lines = async {
            let mut kept = String::new();
            let Some(stderr) = stderr else {
                return std::io::Result::Ok(kept);
            };
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).await? > 0 {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end();
                if let Some(log) = log {
                    log.line(text);
                }
                kept.push_str(text);
                kept.push('\n');
                while kept.len() > KEPT {
                    let end = kept.find('\n').map_or(kept.len(), |at| at + 1);
                    kept.drain(..end);
                }
                line.clear();
            }
            Ok(kept)
        };
        let all = async { tokio::try_join!(read_all, read_lines, child.wait()) };
        let (stdout, stderr, status) = tokio::time::timeout(LONGEST, all)
            .await
            .map_err(|_| broken("uv took more than half an hour".to_owned()))?
            .map_err(|error| broken(format!("uv cannot be run: {error}")))?;
        if !status.success() {
            return Err(translate(&stderr, scene));
        }
        String::from_utf8(stdout).map_err(|_| broken("uv wrote what is no text".to_owned()))
    }
}
