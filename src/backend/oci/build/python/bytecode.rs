//! Compiles installed packages, so that a container need not do it at its first import.
//!
//! Python's own [`compileall`](https://docs.python.org/3/library/compileall.html) does it, without running the packages'
//! code. Files are of the kind "unchecked hash" ([PEP 552](https://peps.python.org/pep-0552/)): a layer has no times.

use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::fault::Scene;
use super::install::PACKAGES;
use super::{Python, Uv};
use crate::backend::{Error, Kind, Result};
use crate::process::Group;

/// Compiles everything below `target`, by a Python of this machine of the base's minor release: byte code is the same to
/// all of its patches. What cannot be compiled (templates, code for another Python) is left as it is, as `pip` does.
pub(super) async fn compile(
    uv: &Uv,
    python: &Python,
    target: &Path,
    scene: &Scene<'_>,
) -> Result<()> {
    let failed = |error: io::Error| {
        let message = format!("its packages cannot be compiled: {error}");
        Error::new(Kind::Other, scene.file, message)
    };
    // Nothing of the repository or of a package can be taken for a module of Python's here.
    let empty = tempfile::tempdir().map_err(failed)?;
    let minor: Vec<&str> = python.version.split('.').take(2).collect();
    let minor = minor.join(".");
    let find = ["python", "find", "--no-project", "--system", &minor];
    let found = uv.run(empty.path(), &find, scene, None).await;
    let interpreter = found.map_err(|error| {
        let message = format!(
            "byte code for Python {minor} is compiled by a Python {minor}, and this machine has none: {}",
            error.message
        );
        Error::new(Kind::Other, scene.file, message).hint(format!(
            "install it with `uv python install {minor}`, or leave `bytecode` out"
        ))
    })?;
    let mut command = Command::new(interpreter.trim());
    command
        // Sets of constants are written in the order of their hashes.
        .env_clear()
        .env("PYTHONHASHSEED", "0")
        .args(["-s", "-m", "compileall", "-qq", "-j", "0"])
        .args(["--invalidation-mode", "unchecked-hash"])
        // What tracebacks name is where the file will be.
        .arg("-s")
        .arg(target)
        .args(["-p", PACKAGES])
        .arg(target)
        .current_dir(empty.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let child = command.spawn().map_err(failed)?;
    let _group = Group(child.id());
    let ended = child.wait_with_output().await.map_err(failed)?;
    // 1 says that a file was left as it is.
    match ended.status.code() {
        Some(0 | 1) => Ok(()),
        _ => {
            let said = String::from_utf8_lossy(&ended.stderr);
            let last = said.lines().last().unwrap_or("it was killed");
            Err(failed(io::Error::other(last.to_owned())))
        }
    }
}
