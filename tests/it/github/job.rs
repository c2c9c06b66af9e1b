//! A step of a job of GitHub Actions: its variables, its files, and what its runner makes of its output.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::double::{GitHub, TOKEN};
use super::runner::Runner;
use crate::support::{Flowyard, Repo, Run};

/// The step's files, in a folder of their own.
pub(crate) struct Step {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What came of a step.
pub(crate) struct Ended {
    pub(crate) run: Run,
    /// What the runner made of both streams.
    pub(crate) runner: Runner,
    pub(crate) summary: String,
    /// The file of the outputs as it was written.
    pub(crate) output_file: String,
}

impl Step {
    /// A step for a repository whose API is at `github`, with a token that may write, started by an event.
    pub(crate) fn new(repo: &Repo, github: &GitHub, event: &str, payload: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let event_path = folder.path().join("event.json");
        fs::write(&event_path, payload.to_string()).expect("it can be written");
        let mut step = Self {
            folder,
            variables: Vec::new(),
        };
        let root = repo.path().canonicalize().expect("it is there");
        for (name, value) in [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/flows"),
            ("GITHUB_API_URL", &github.api_url()),
            ("GITHUB_SERVER_URL", "https://github.example.org"),
            ("GITHUB_RUN_ID", "77"),
            ("GITHUB_SHA", "2222222222222222222222222222222222222222"),
            ("GITHUB_TOKEN", TOKEN),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_EVENT_PATH", event_path.to_str().expect("UTF-8")),
            ("GITHUB_WORKSPACE", root.to_str().expect("UTF-8")),
        ] {
            step = step.env(name, value);
        }
        for (name, file) in [
            ("GITHUB_OUTPUT", "output"),
            ("GITHUB_STEP_SUMMARY", "summary"),
        ] {
            let path = step.folder.path().join(file);
            fs::write(&path, "").expect("it can be written");
            step = step.env(name, path.to_str().expect("UTF-8"));
        }
        step
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|one| one.0 != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a variable away.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.retain(|one| one.0 != name);
        self
    }

    /// Runs a command; no argument holds a space. Each call is a step of its own.
    pub(crate) fn run(&self, repo: &Repo, line: &str) -> Ended {
        self.run_in(repo.path(), line)
    }

    /// Likewise, in a folder.
    pub(crate) fn run_in(&self, folder: &Path, line: &str) -> Ended {
        let file = |name: &str| self.folder.path().join(name);
        for name in ["output", "summary"] {
            fs::write(file(name), "").expect("it can be written");
        }
        let mut command = Flowyard::new(folder, line.split_whitespace());
        for (name, value) in &self.variables {
            command = command.env(name, value);
        }
        let run = command.run();
        let mut runner = Runner::default();
        runner.read(&run.stderr);
        runner.read(&run.stdout);
        runner.expect_open();
        let text = |path: &Path| fs::read_to_string(path).expect("it is text");
        Ended {
            run,
            runner,
            summary: text(&file("summary")),
            output_file: text(&file("output")),
        }
    }
}

impl Ended {
    /// Panics with everything that was said unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.run.code, Some(code), "{}", self.run.snapshot());
        self
    }

    /// The outputs as the runner reads them, one a line; what was written between is told too.
    pub(crate) fn outputs(&self) -> String {
        let mut text = String::new();
        let mut lines = self.output_file.lines();
        while let Some(line) = lines.next() {
            let Some((name, delimiter)) = line.split_once("<<") else {
                text += &format!("no output: {line}\n");
                continue;
            };
            let value: Vec<&str> = lines
                .by_ref()
                .take_while(|line| *line != delimiter)
                .collect();
            text += &format!("{name} = {}\n", value.join("\n"));
        }
        text
    }

    /// The commands that the runner took, without the masks.
    pub(crate) fn commands(&self) -> String {
        let told = self
            .runner
            .commands
            .iter()
            .filter(|one| one.name != "add-mask");
        let lines = told.map(|one| format!("{} {:?}: {}", one.name, one.properties, one.data));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What the runner hides from then on.
    pub(crate) fn masks(&self) -> Vec<String> {
        self.runner
            .named("add-mask")
            .map(|one| one.data.clone())
            .collect()
    }
}

/// The payload of an opened pull request, number 7, from a branch of `head`.
pub(crate) fn pull_request(head: &str) -> Value {
    json!({
        "action": "synchronize",
        "number": 7,
        "pull_request": {
            "number": 7,
            "title": "::set-output name=x::y",
            "head": {"sha": "1111111111111111111111111111111111111111", "ref": "x", "repo": {"full_name": head}},
            "base": {"sha": "0000000000000000000000000000000000000000", "ref": "main", "repo": {"full_name": "acme/flows"}},
        },
    })
}

/// The payload of a push.
pub(crate) fn push() -> Value {
    json!({"before": "1111111111111111111111111111111111111111", "after": "2222222222222222222222222222222222222222", "forced": false})
}
