//! `NAME.deployment.py`, against the same files run by Python.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::prefect_yaml::{Case, cases};
use super::{Intended, compare, corpus, sorted, take};
use crate::services::azurite::{self, Azurite};
use crate::services::prefect::{Major, Server};
use crate::services::process;
use crate::support::{Flowyard, Repo, copy};

/// What differs on purpose for Python files alone.
pub(super) const INTENDED: &[Intended] = &[
    Intended {
        field: "path",
        holds: |prefect, ours, _| prefect.is_string() && ours.is_null(),
        reason: "none: the pull steps say where the code is; Prefect's Python registers `.` or the folder of the machine that deployed",
    },
    Intended {
        field: "entrypoint",
        holds: |prefect, ours, _| {
            let (prefect, ours) = (prefect.as_str(), ours.as_str());
            prefect.zip(ours).is_some_and(|(prefect, ours)| {
                prefect.ends_with(&format!("/{ours}")) || ours.ends_with(&format!("/{prefect}"))
            })
        },
        reason: "counts from the root of the release, where the release is what a run gets",
    },
    Intended {
        field: "job_variables",
        holds: |prefect, ours, _| {
            let (theirs, own) = (prefect["image"].as_str(), ours["image"].as_str());
            let mut same = prefect.clone();
            same["image"] = ours["image"].clone();
            theirs.zip(own).is_some_and(|(theirs, own)| {
                let tag = theirs.strip_prefix(own).unwrap_or_default();
                tag.starts_with(":20") && same == *ours
            })
        },
        reason: "an image without a tag stays one; Prefect's Python makes a tag of the moment of the deploy, also where it builds none",
    },
    Intended {
        field: "schedules.max_scheduled_runs",
        holds: |prefect, ours, _| prefect.is_null() && ours.is_number(),
        reason: "as the file has it; Prefect sends it in a request from which the server does not take it",
    },
    Intended {
        field: "schedules.timezone",
        holds: |prefect, ours, _| prefect.is_null() && *ours == "UTC",
        reason: "`UTC` where a Python file gives none, which is what the server reads none as",
    },
    Intended {
        field: "version",
        holds: |prefect, ours, _| {
            let commit =
                |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
            prefect.as_str().is_some_and(commit) && ours.is_string()
        },
        reason: "where the call gives none in a clone: as above, or the flow's own; Prefect takes the commit, even over the flow's",
    },
];

/// What differs on purpose for the Python files of Prefect 2.
pub(super) const INTENDED_2: &[Intended] = &[
    Intended {
        field: "tags",
        holds: |prefect, ours, _| {
            let marks = ours
                .as_array()
                .into_iter()
                .flatten()
                .filter(|tag| tag.as_str().is_some_and(|tag| tag.starts_with("flowyard")));
            marks.count() == 2 && sorted(prefect).is_subset(&sorted(ours))
        },
        reason: "two more, our mark in Prefect 2, which has no labels",
    },
    Intended {
        field: "path",
        holds: |_, ours, _| ours.as_str().is_some_and(|path| path.contains('/')),
        reason: "the folder of the release in place of the one that Prefect uploads to",
    },
    Intended {
        field: "schedules.active",
        holds: |prefect, ours, _| *prefect == false && *ours == true,
        reason: "a deployment that `is_schedule_active=False` pauses is paused as a whole, and its schedule is as it was",
    },
    Intended {
        field: "description",
        holds: |prefect, ours, _| prefect.is_null() && ours.is_string(),
        reason: "the flow's own, also where `Deployment(…)` is called without the flow",
    },
    Intended {
        field: "parameter_openapi_schema",
        holds: |prefect, ours, _| {
            prefect["properties"]
                .as_object()
                .is_some_and(serde_json::Map::is_empty)
                && ours["properties"].is_object()
        },
        reason: "the flow's own, also where the file passes another",
    },
    Intended {
        field: "infrastructure",
        holds: |prefect, ours, _| {
            let anonymous = |text: &str| text.starts_with("process/anonymous-");
            prefect.as_str().is_some_and(anonymous) && ours.is_null()
        },
        reason: "none where the file names none; Prefect makes an anonymous `Process` at every deploy",
    },
];

/// Runs each file in a process of its own, with Prefect imported only once.
const REGISTER: &str = include_str!("register.py");

/// A Python that registers with one server.
struct Python {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Python {
    fn start(server: &Server, major: Major) -> Self {
        let home = process::folder("conformance-python");
        // The settings of nobody's, as for Prefect's own command.
        let mut command: Command = major.command(&home);
        let clean: Vec<_> = command
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
            .collect();
        command = Command::new(major.venv().join("bin/python"));
        for (name, value) in clean {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command
            .args(["-c", REGISTER])
            .env("PREFECT_API_URL", server.api_url())
            .current_dir(&home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be started");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, answers }
    }

    /// Runs a file in its folder; gives what it says where it fails.
    fn run(&mut self, file: &Path, root: &Path, env: &[(String, String)]) -> Option<String> {
        let env: serde_json::Map<String, Value> = env
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let job = json!({"file": file, "folder": file.parent(), "root": root, "env": env});
        let requests = self.child.stdin.as_mut().expect("it is piped");
        writeln!(requests, "{job}").expect("Python listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("Python answers");
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It ends when there is nothing more to read.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The deployment files of a repository, in their order.
fn files(root: &Path) -> Vec<PathBuf> {
    fn find(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                find(&path, found);
            } else if path.to_string_lossy().ends_with(".deployment.py") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    find(root, &mut found);
    found.sort();
    found
}

/// The cases of a major version of Prefect.
fn of(major: i64) -> Vec<Case> {
    let mut cases = cases("python");
    cases.retain(|case| case.settings["dialect"].as_integer() == Some(major));
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_files_register_flowyard_does_too() {
    let store = tempfile::tempdir().expect("a temporary folder can be made");
    let storage = vec![(
        "FLOWYARD_STORAGE_URL",
        format!("file://{}", store.path().display()),
    )];
    let seen = registers_the_same(Major::Three, INTENDED, &storage, (19, 41)).await;
    let fields = INTENDED.iter().map(|one| one.field);
    let unseen: Vec<&str> = fields.filter(|one| !seen.contains(one)).collect();
    assert!(
        unseen.is_empty(),
        "no case shows these differences any more: {unseen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_files_register_with_prefect_2_flowyard_does_too() {
    let azurite = Azurite::shared();
    azurite.account().create_container("conformance").await;
    let storage = vec![
        (
            "FLOWYARD_STORAGE_URL",
            "azure://devstoreaccount1/conformance".to_owned(),
        ),
        (
            "AZURE_STORAGE_CONNECTION_STRING",
            azurite::connection_string(azurite.port()),
        ),
    ];
    let seen = registers_the_same(Major::Two, INTENDED_2, &storage, (11, 20)).await;
    let fields = INTENDED_2.iter().map(|one| one.field);
    let unseen: Vec<&str> = fields.filter(|one| !seen.contains(one)).collect();
    assert!(
        unseen.is_empty(),
        "no case shows these differences any more: {unseen:?}"
    );
}

/// Registers the files of every case of a release in both ways; gives the intended differences that were seen. There
/// have to be at least so many files and deployments.
async fn registers_the_same(
    major: Major,
    intended: &'static [Intended],
    storage: &[(&str, String)],
    least: (usize, usize),
) -> BTreeSet<&'static str> {
    let server = Server::start_of(major);
    let mut python = Python::start(&server, major);
    let (mut wrong, mut seen, mut deployments, mut count) = (Vec::new(), BTreeSet::new(), 0, 0);
    let dialect = match major {
        Major::Two => 2,
        Major::Three => 3,
    };
    for case in of(dialect) {
        let repo = Repo::new();
        copy(&corpus("python").join(&case.name), repo.path());
        repo.commit("As it is");
        case.prepare(&server).await;

        let root = repo.path().to_string_lossy().into_owned();
        let mut environment = case.environment();
        for (_, value) in &mut environment {
            *value = value.replace("{root}", &root);
        }
        for file in files(repo.path()) {
            count += 1;
            let failed =
                tokio::task::block_in_place(|| python.run(&file, repo.path(), &environment));
            if let Some(log) = failed {
                wrong.push(format!(
                    "{}: {}: Python fails: {log}",
                    case.name,
                    file.display()
                ));
            }
        }
        let theirs = take(&server).await;
        deployments += theirs.len();

        let mut call = Flowyard::new(repo.path(), ["deploy"])
            .env("PREFECT_API_URL", server.api_url())
            .env("FLOWYARD_REPOSITORY", &case.name);
        for (name, value) in storage {
            call = call.env(name, value);
        }
        for (name, value) in environment {
            call = call.env(&name, value);
        }
        let run = call.run();
        if run.code != Some(0) {
            wrong.push(format!("{}: {}", case.name, run.snapshot()));
        }
        let ours = take(&server).await;
        wrong.extend(compare(&case.name, &theirs, &ours, intended, &mut seen));
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} in {deployments} deployments of {count} files",
        wrong.join("\n"),
        wrong.len()
    );
    assert!(
        count >= least.0 && deployments >= least.1,
        "{count} files, {deployments} deployments"
    );
    seen
}
