//! A workflow that `act` runs on this machine with the action of the work tree and the binary under test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::root;
use crate::github::double::{GitHub, TOKEN};
use crate::github::runner::Runner;
use crate::services::act;
use crate::services::process::run;
use crate::support::{Repo, copy};

/// A run of a workflow that is being put together.
pub(super) struct Job<'a> {
    repo: &'a Repo,
    folder: TempDir,
    workflow: String,
    event: &'a str,
    settings: Vec<String>,
}

/// What came of it.
pub(super) struct Ended {
    /// Whether all of its jobs did.
    pub(super) success: bool,
    /// What act told, one event a line.
    lines: Vec<Value>,
    said: String,
}

impl<'a> Job<'a> {
    /// A run of one of `examples/workflows`, for an event with this payload.
    ///
    /// The repository is to have that workflow, see [`add_workflow`].
    pub(super) fn new(
        repo: &'a Repo,
        github: &GitHub,
        workflow: &str,
        event: &'a str,
        payload: &Value,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("event.json"), payload.to_string())
            .expect("it can be written");
        let action = folder.path().join("action");
        copy(&root().join("action"), &action.join("action"));
        fs::copy(root().join("action.yml"), action.join("action.yml")).expect("it can be written");
        // By this address act knows which repository it is.
        run(Command::new("git")
            .args([
                "config",
                "remote.origin.url",
                "https://github.com/acme/flows.git",
            ])
            .current_dir(repo.path()));
        let job = Self {
            repo,
            workflow: format!(".github/workflows/{workflow}"),
            event,
            settings: vec![
                format!(
                    "--local-repository=flowyard/flowyard@v1={}",
                    action.display()
                ),
                format!("--env=GITHUB_API_URL={}", github.api_url()),
                format!("--env=FLOWYARD_BIN={}", env!("CARGO_BIN_EXE_flowyard")),
            ],
            folder,
        };
        job.secret("GITHUB_TOKEN", TOKEN)
    }

    /// Sets a secret of the repository; the last counts.
    pub(super) fn secret(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("--secret={name}={value}"));
        self
    }

    /// Sets a variable of the repository.
    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("--var={name}={value}"));
        self
    }

    /// Sets an environment variable of the runner.
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("--env={name}={value}"));
        self
    }

    /// Sets who started the run.
    pub(super) fn actor(mut self, name: &str) -> Self {
        self.settings.push(format!("--actor={name}"));
        self
    }

    /// Stands in for another action by one that runs a script: `owner/name@ref`.
    pub(super) fn action(mut self, name: &str, text: &str) -> Self {
        let folder = self.folder.path().join(name.replace(['/', '@'], "-"));
        fs::create_dir(&folder).expect("a temporary folder can be written");
        fs::write(folder.join("action.yml"), text).expect("a temporary folder can be written");
        let setting = format!("--local-repository={name}={}", folder.display());
        self.settings.push(setting);
        self
    }

    /// A folder of the run's own, which is gone with it.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder can be written");
        folder
    }

    /// Runs it to its end.
    pub(super) fn run(self) -> Ended {
        let output = Command::new(act::bin())
            .arg(self.event)
            .arg("--eventpath")
            .arg(self.folder.path().join("event.json"))
            .args(["--workflows", &self.workflow])
            // On this machine, and listening nowhere.
            .args(["--platform=ubuntu-latest=-self-hosted", "--no-cache-server"])
            .args(["--json", "--pull=false"])
            .args(&self.settings)
            .current_dir(self.repo.path())
            // It hands on what it finds.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("act can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Ended {
            success: output.status.success(),
            lines: stdout
                .lines()
                .map(|line| {
                    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}\n{stderr}"))
                })
                .collect(),
            said: format!("{stdout}{stderr}"),
        }
    }
}

impl Ended {
    /// Panics with everything that was said unless the run ended so.
    #[track_caller]
    pub(super) fn expect_success(self, success: bool) -> Self {
        assert_eq!(self.success, success, "{}", self.told());
        self
    }

    /// What a person reads: every job's log and result.
    pub(super) fn told(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            let of = |key: &str| line[key].as_str().unwrap_or_default();
            format!("[{} {}] {}", of("job"), of("step"), of("msg").trim_end())
        });
        lines.collect::<Vec<_>>().join("\n")
            + &self
                .said
                .lines()
                .filter(|one| !one.starts_with('{'))
                .collect::<String>()
    }

    /// The events of steps inside of the action; what a step of the workflow repeats of them is left out.
    fn inner(&self) -> impl Iterator<Item = &Value> {
        let is_inner = |line: &&Value| line["stepID"].as_array().is_some_and(|id| id.len() == 2);
        self.lines.iter().filter(is_inner)
    }

    /// What GitHub's runner makes of what the action's steps printed. act itself knows no `##[…]`, and takes more of a line
    /// for properties.
    pub(super) fn runner(&self) -> Runner {
        // The jobs of a matrix run side by side, each with a runner of its own.
        let mut jobs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in self.inner() {
            let printed = match line["raw"].as_str() {
                Some(raw) => raw,
                None if line["raw_output"] == true => line["msg"].as_str().unwrap_or_default(),
                None => continue,
            };
            let job = line["job"].as_str().unwrap_or_default();
            jobs.entry(job)
                .or_default()
                .push(printed.trim_end_matches(['\r', '\n']));
        }
        let mut runner = Runner::default();
        for line in jobs.into_values().flatten() {
            runner.read(line);
        }
        runner.expect_open();
        runner
    }

    /// What they printed, without commands, a line each.
    pub(super) fn log(&self) -> String {
        self.runner().shown.join("\n")
    }

    /// The commands in it other than masks: `error {…}: data`.
    pub(super) fn commands(&self) -> String {
        let commands = self.runner().commands;
        let told = commands.iter().filter(|one| one.name != "add-mask");
        let lines = told.map(|one| format!("{} {:?}: {}", one.name, one.properties, one.data));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The names of the commands that act took.
    pub(super) fn taken(&self) -> BTreeSet<&str> {
        let names = self.inner().filter(|line| line.get("raw").is_some());
        names.filter_map(|line| line["command"].as_str()).collect()
    }

    /// The summaries of the action's steps.
    pub(super) fn summary(&self) -> String {
        let mut order = Vec::new();
        let mut all = Vec::new();
        for line in self.inner().filter(|line| line["command"] == "summary") {
            let of = |key: &str| line[key].as_str().unwrap_or_default();
            let at = order.iter().position(|id| *id == of("jobID"));
            let at = at.unwrap_or_else(|| {
                order.push(of("jobID"));
                order.len() - 1
            });
            all.push((at, of("job"), of("content")));
        }
        // The jobs of a matrix end in any order.
        all.sort();
        all.into_iter().map(|one| one.2).collect()
    }

    /// The outputs of the workflow's steps that are the action, one a line.
    pub(super) fn outputs(&self) -> String {
        let set = self.lines.iter().filter(|line| {
            line["command"] == "set-output"
                && line["stepID"].as_array().is_some_and(|id| id.len() == 1)
        });
        let mut lines: Vec<String> = set
            .map(|line| {
                let of = |key: &str| line[key].as_str().unwrap_or_default();
                format!("{} = {}", of("name"), of("arg"))
                    .trim_end()
                    .to_owned()
            })
            .collect();
        // act tells them of an action twice.
        lines.sort();
        lines.dedup();
        lines.join("\n")
    }

    /// All that act wrote but the masks themselves.
    pub(super) fn everything(&self) -> String {
        let shown = self
            .lines
            .iter()
            .filter(|line| line["command"] != "add-mask");
        shown.map(|line| format!("{line}\n")).collect()
    }
}

/// Writes one of `examples/workflows` where GitHub finds it.
pub(super) fn add_workflow(repo: &Repo, name: &str) {
    let text =
        fs::read_to_string(root().join("examples/workflows").join(name)).expect("it is there");
    repo.write(&format!(".github/workflows/{name}"), text);
}
