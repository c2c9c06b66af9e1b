//! Programs that keep credentials for Docker: `docker-credential-NAME`.
//!
//! Source: [docker/docker-credential-helpers](https://github.com/docker/docker-credential-helpers): `get` takes the
//! server on its standard input and answers with JSON; what it cannot do it says on its standard output.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::credentials::{HUB_URL, Login};
use super::{DOCKER_HUB, fault};
use crate::backend::{Error, Kind, Result};

/// For how long a helper may think; some of them ask a cloud.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a helper says that it knows no such server.
const UNKNOWN: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: String,
}

/// Asks the helper `name`, which the file `from` names, for a registry; `None` where it knows nothing of it. It is looked
/// for in `path`, or else in the process's own `PATH`.
pub(super) async fn get(
    name: &str,
    from: &Path,
    path: Option<&OsStr>,
    registry: &str,
) -> Result<Option<Login>> {
    let program = format!("docker-credential-{name}");
    let fault = |cause: String| {
        let message = format!("ask {program}, which {} names: {cause}", from.display());
        Error::new(Kind::Denied, registry, message).hint(fault::login_hint(registry))
    };
    // What follows is looked up in PATH; a slash would make it a path.
    if name.contains(['/', '\\']) {
        return Err(fault("it is no name of a helper".to_owned()));
    }
    let answer = tokio::time::timeout(PATIENCE, run(&program, path, registry)).await;
    let output = match answer {
        Ok(Ok(output)) => output,
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
            return Err(fault("it is not installed".to_owned()));
        }
        Ok(Err(error)) => return Err(fault(error.to_string())),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            return Err(fault(format!("no answer after {seconds} seconds")));
        }
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let said = said
            .lines()
            .chain(complaint.lines())
            .find(|line| !line.trim().is_empty());
        return match said {
            Some(said) if said.contains(UNKNOWN) => Ok(None),
            Some(said) => Err(fault(said.trim().to_owned())),
            None => Err(fault(output.status.to_string())),
        };
    }
    // The parser's own text may quote the secret.
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| fault("its answer is not what a helper says".to_owned()))?;
    Ok(Some(Login {
        username: answer.username,
        password: answer.secret.into(),
    }))
}

async fn run(program: &str, path: Option<&OsStr>, registry: &str) -> std::io::Result<Output> {
    let server = if registry == DOCKER_HUB {
        HUB_URL
    } else {
        registry
    };
    let mut child = Command::new(program)
        .envs(path.map(|path| ("PATH", path)))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(server.as_bytes()).await {
            // It knows the answer without reading.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use secrecy::ExposeSecret as _;

    use super::*;

    /// What comes of a helper that is this script.
    async fn asked(script: &str, registry: &str) -> Result<Option<Login>> {
        let folder = tempfile::tempdir().expect("a folder");
        // Written by a child: another thread of the tests may fork while this process had the file open, and what is
        // open for writing cannot be run.
        let written = std::process::Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\"",
            ])
            .arg(folder.path().join("docker-credential-test"))
            .arg(script)
            .status();
        assert!(written.expect("a shell").success());
        let mut path = OsString::from(folder.path());
        path.push(":/usr/bin:/bin");
        get("test", Path::new("config.json"), Some(&path), registry).await
    }

    #[tokio::test]
    async fn the_server_goes_in_and_the_login_comes_out() {
        let script = r#"[ "$1" = get ] || exit 3
printf '{"ServerURL":"x","Username":"%s","Secret":"hush"}' "$(cat)""#;
        for (registry, server) in [("ghcr.io", "ghcr.io"), ("docker.io", HUB_URL)] {
            let login = asked(script, registry)
                .await
                .expect("an answer")
                .expect("a login");
            assert_eq!(login.username, server);
            assert_eq!(login.password.expose_secret(), "hush");
        }
        let deaf = r#"echo '{"Username":"u","Secret":"hush"}'"#;
        assert!(asked(deaf, "ghcr.io").await.expect("an answer").is_some());
    }

    #[tokio::test]
    async fn who_knows_nothing_is_told_from_who_fails() {
        let unknown = "echo 'credentials not found in native keychain'; exit 1";
        assert!(
            asked(unknown, "ghcr.io")
                .await
                .expect("an answer")
                .is_none()
        );
        for (script, fault) in [
            (
                "echo; echo 'the keychain is locked' >&2; exit 1",
                "the keychain is locked",
            ),
            ("exit 2", "exit status: 2"),
            ("echo hush", "its answer is not what a helper says"),
        ] {
            let error = asked(script, "ghcr.io").await.expect_err(script);
            assert_eq!(error.kind, Kind::Denied);
            let text = format!("{error:?}");
            assert!(text.contains(fault) && !text.contains("hush"), "{text}");
        }
        let config = Path::new("config.json");
        for (name, fault) in [
            ("no-such-one", "is not installed"),
            ("a/b", "no name of a helper"),
        ] {
            let error = get(name, config, None, "ghcr.io").await.expect_err(name);
            assert!(error.message.contains(fault), "{error}");
            assert!(error.message.contains("which config.json names"), "{error}");
        }
    }
}
