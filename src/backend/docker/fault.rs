//! What went wrong with a program, and how a person is told.

use std::io;
use std::sync::LazyLock;

use regex::Regex;

use super::program::{Ended, Program};
use crate::backend::{BuildLog, Error, Kind, Result};
use crate::model::Dockerfile;

/// Lines of a failed program's output that its error shows.
const SHOWN: usize = 15;

/// What a program was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It ran the Dockerfile: what it printed may be of any command.
    Build,
    /// It spoke to a registry.
    Transfer,
}

/// The line of a Dockerfile that a message names: `dockerfile parse error line 3:` (Docker's classic builder),
/// `dockerfile parse error on line 3:` and, for a command that failed, `Dockerfile:3` alone on a line (BuildKit).
static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)(?i:dockerfile parse error (?:on )?line )(\d+)|^(?:\S+ )?[^\s:]+:(\d+)$").ok()
});

/// An attempt of one program, for messages.
pub(super) struct Attempt<'a> {
    /// `docker`, `buildah`, `az acr build`.
    pub(super) service: &'a str,
    /// What is started: `docker`, `buildah`, `az`.
    pub(super) program: &'a str,
    /// How one logs in to the registry: `docker login ghcr.io`.
    pub(super) login: String,
    /// The image's Dockerfile.
    pub(super) recipe: &'a Dockerfile,
}

impl Attempt<'_> {
    /// Runs a command of the program to its end, which has to be a good one; `doing` is such as `push acme/flows:1`.
    pub(super) async fn run(
        &self,
        command: Program,
        step: Step,
        doing: &str,
        log: &dyn BuildLog,
    ) -> Result<Ended> {
        let ended = command.run(log).await;
        let ended = ended.map_err(|error| self.unstarted(&error))?;
        if ended.success {
            Ok(ended)
        } else {
            Err(self.failed(step, doing, &ended))
        }
    }

    /// The program could not be started.
    pub(super) fn unstarted(&self, error: &io::Error) -> Error {
        let program = self.program;
        if error.kind() == io::ErrorKind::NotFound {
            return Error::new(
                Kind::Unavailable,
                self.service,
                format!("there is no program `{program}` on PATH"),
            )
            .hint(instead(program));
        }
        let message = format!("failed to start `{program}`: {error}");
        Error::new(Kind::Unavailable, self.service, message)
    }

    /// The program started and failed at `doing`.
    fn failed(&self, step: Step, doing: &str, ended: &Ended) -> Error {
        let last = &ended.lines[ended.lines.len().saturating_sub(SHOWN)..];
        let text = last.join("\n");
        let place = match (step, line(&text)) {
            (Step::Build, Some(line)) => format!(" at {}:{line}", self.recipe.file),
            _ => String::new(),
        };
        let mut message = format!("failed to {doing}{place} ({})", ended.status);
        if last.is_empty() {
            message.push_str(", and it said nothing");
        }
        for line in last {
            message.push_str("\n    ");
            message.push_str(line);
        }
        let (kind, hint) = self.reason(step, &text.to_lowercase());
        let error = Error::new(kind, self.service, message);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// What the last lines, in lower case, tell about the reason.
    fn reason(&self, step: Step, said: &str) -> (Kind, Option<String>) {
        let any = |texts: &[&str]| texts.iter().any(|one| said.contains(one));
        if any(&[
            "permission denied while trying to connect to the docker",
            "got permission denied while trying to connect",
        ]) {
            let hint = "add the user to the group `docker`, or set `builder = \"buildah\"`";
            return (Kind::Denied, Some(hint.to_owned()));
        }
        if any(&[
            "cannot connect to the docker daemon",
            "is the docker daemon running",
            "error during connect",
        ]) {
            let hint = "start Docker or set DOCKER_HOST, or set `builder = \"buildah\"` under [image] in flowyard.toml";
            return (Kind::Unavailable, Some(hint.to_owned()));
        }
        if any(&["run 'az login'", "az login --"]) {
            let hint = "run `az login` first (on GitHub: the action azure/login)";
            return (Kind::Denied, Some(hint.to_owned()));
        }
        if any(&[
            "multi-platform build is not supported",
            "multiple platforms feature is currently not supported",
        ]) {
            let hint =
                "make a builder that can, by `docker buildx create --use`, or name one platform";
            return (Kind::Other, Some(hint.to_owned()));
        }
        if any(&["manifest unknown", "manifest for "]) {
            return (Kind::NotFound, None);
        }
        if any(&[
            "forbidden path outside the build context",
            "file not found in build context",
            "failed to calculate checksum of ref",
            "failed to compute cache key",
            "copier: stat",
        ]) {
            let hint = format!(
                "a build sees the files of its context, the folder `{}`, that no .dockerignore leaves out, and \
                 nothing outside of it",
                self.recipe.context.base()
            );
            return (Kind::Other, Some(hint));
        }
        let refused = &[
            "unauthorized",
            "no basic auth credentials",
            "pull access denied",
            "authentication required",
            "denied: ",
            "403 forbidden",
        ];
        let sure = &refused[1..3];
        if any(if step == Step::Transfer {
            refused
        } else {
            sure
        }) {
            return (Kind::Denied, Some(format!("log in: {}", self.login)));
        }
        if any(&["server gave http response to https client"]) {
            let hint =
                "a registry without TLS must be allowed by name, to flowyard and to the daemon";
            return (Kind::Other, Some(hint.to_owned()));
        }
        let away = [
            "connection refused",
            "no such host",
            "i/o timeout",
            "tls handshake",
            "connection reset",
        ];
        if step == Step::Transfer && any(&away) {
            return (Kind::Unavailable, None);
        }
        (Kind::Other, None)
    }
}

/// What to do where a program is missing.
fn instead(program: &str) -> &'static str {
    match program {
        "docker" => {
            "install Docker, or set `builder = \"buildah\"` under [image] in flowyard.toml, or `builder = \"oci\"` for an \
             image without a Dockerfile"
        }
        "buildah" => {
            "install buildah, or set `builder = \"docker\"` under [image] in flowyard.toml"
        }
        _ => {
            "install the Azure CLI, or set `builder = \"docker\"` or `builder = \"buildah\"` under [image] in flowyard.toml"
        }
    }
}

/// The line of the Dockerfile that a text names.
fn line(text: &str) -> Option<u32> {
    let found = LINE.as_ref()?.captures(text)?;
    found.get(1).or(found.get(2))?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CodeTree, RepoPath};

    fn error(step: Step, lines: &[&str]) -> Error {
        let recipe = Dockerfile {
            file: RepoPath::new("p/Dockerfile"),
            text: String::new(),
            context: CodeTree::new(RepoPath::new("p"), Vec::new()),
            arguments: std::collections::BTreeMap::new(),
            bases: Vec::new(),
            named: Vec::new(),
        };
        let ended = Ended {
            success: false,
            status: "exit status: 1".to_owned(),
            lines: lines.iter().map(|one| (*one).to_owned()).collect(),
        };
        let attempt = Attempt {
            program: "docker",
            service: "docker",
            login: "docker login ghcr.io".to_owned(),
            recipe: &recipe,
        };
        attempt.failed(step, "build acme/flows", &ended)
    }

    /// The words of the real programs: docker 20.10 and 28, buildah 1.28, BuildKit 0.12, az 2.60.
    #[test]
    fn what_programs_say_is_understood() {
        for (step, said, kind, place, hint) in [
            (
                Step::Build,
                "Error response from daemon: dockerfile parse error line 3: unknown instruction: RUNN",
                Kind::Other,
                Some(3),
                None,
            ),
            (
                Step::Build,
                "ERROR: failed to solve: dockerfile parse error on line 12: unknown instruction: RUNN",
                Kind::Other,
                Some(12),
                None,
            ),
            (Step::Build, "Dockerfile:4", Kind::Other, Some(4), None),
            (
                Step::Build,
                "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
                Kind::Unavailable,
                None,
                Some("start Docker"),
            ),
            (
                Step::Build,
                "COPY failed: forbidden path outside the build context: ../t.py ()",
                Kind::Other,
                None,
                Some("the folder `p`"),
            ),
            (
                Step::Build,
                "Error: building at STEP \"COPY a /x\": checking on sources under \"/c\": copier: stat: \"/a\": no such file or directory",
                Kind::Other,
                None,
                Some("the folder `p`"),
            ),
            (
                Step::Build,
                "manifest for 127.0.0.1:5/nope:1 not found: manifest unknown: manifest unknown",
                Kind::NotFound,
                None,
                None,
            ),
            (
                Step::Build,
                "pip: 401 unauthorized, connection refused",
                Kind::Other,
                None,
                None,
            ),
            (
                Step::Transfer,
                "unauthorized: authentication required",
                Kind::Denied,
                None,
                Some("docker login ghcr.io"),
            ),
            (
                Step::Transfer,
                "Get \"http://127.0.0.1:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
                Kind::Unavailable,
                None,
                None,
            ),
            (
                Step::Build,
                "ERROR: Please run 'az login' to setup account.",
                Kind::Denied,
                None,
                Some("az login"),
            ),
        ] {
            let error = error(step, &["before", said]);
            assert_eq!(error.kind, kind, "{said}");
            let place = place.map_or(String::new(), |line| format!(" at p/Dockerfile:{line}"));
            assert_eq!(
                error.message,
                format!(
                    "failed to build acme/flows{place} (exit status: 1)\n    before\n    {said}"
                )
            );
            let hinted = error.hint.unwrap_or_default();
            assert!(hinted.contains(hint.unwrap_or("")), "{said}: {hinted}");
            assert_eq!(hinted.is_empty(), hint.is_none(), "{said}: {hinted}");
        }
    }

    #[test]
    fn the_last_lines_are_shown_and_silence_is_said() {
        let lines: Vec<String> = (0..40).map(|one| one.to_string()).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let message = error(Step::Build, &lines).message;
        assert_eq!(message.lines().count(), 16);
        assert!(message.contains("\n    25\n") && message.ends_with("\n    39"));
        assert_eq!(
            error(Step::Build, &[]).message,
            "failed to build acme/flows (exit status: 1), and it said nothing"
        );
    }
}
