//! `prefect.yaml`, against `prefect deploy --all`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{INTENDED, compare, corpus, take};
use crate::services::prefect::{Server, prefect};
use crate::services::process;
use crate::support::{Flowyard, Repo, copy};

/// What `case.toml` says.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) settings: toml::Table,
}

/// The cases of a format, in their order.
pub(super) fn cases(kind: &str) -> Vec<Case> {
    let folder = corpus(kind);
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let mut cases: Vec<Case> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(path.join("case.toml")).expect("every case has one");
            Case {
                name: path
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                settings: text.parse().expect("valid TOML"),
            }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

impl Case {
    fn table(&self, key: &str) -> toml::Table {
        let table = self.settings.get(key).and_then(|one| one.as_table());
        table.cloned().unwrap_or_default()
    }

    fn list(&self, key: &str) -> Vec<toml::Value> {
        let list = self.settings.get(key).and_then(|one| one.as_array());
        list.cloned().unwrap_or_default()
    }

    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let text = |value: toml::Value| value.as_str().expect("a text").to_owned();
        self.table("env")
            .into_iter()
            .map(|(name, value)| (name, text(value)))
            .collect()
    }

    /// Makes what the deployments name.
    pub(super) async fn prepare(&self, server: &Server) {
        let api = server.api();
        for pool in self.list("pools") {
            let (name, kind) = (pool["name"].as_str(), pool["type"].as_str());
            let mut properties = json!({"env": {"type": "object"}});
            // By this Prefect's own deploy tells whether a pool can run an image.
            if kind != Some("process") {
                properties["image"] = json!({"type": "string"});
            }
            let template = json!({"job_configuration": {"env": "{{ env }}"}, "variables": {"properties": properties}});
            let body = json!({"name": name, "type": kind, "base_job_template": template});
            api.post("/work_pools/", body).await;
        }
        for block in self.list("blocks") {
            let data = serde_json::to_value(&block["data"]).expect("plain data");
            let text = |key: &str| block[key].as_str().expect("a text").to_owned();
            api.create_block(&text("type"), &text("name"), data).await;
        }
        for (name, value) in self.table("variables") {
            let value = serde_json::to_value(value).expect("plain data");
            api.post("/variables/", json!({"name": name, "value": value}))
                .await;
        }
    }

    /// The files with the folder that they are deployed from.
    fn files(&self, repo: &Repo) -> Vec<(std::path::PathBuf, String)> {
        fn find(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    find(&path, found);
                } else if path.ends_with("prefect.yaml") {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        find(repo.path(), &mut found);
        found.sort();
        let from_root = self.list("from-root");
        found
            .into_iter()
            .map(|path| {
                let below = path.strip_prefix(repo.path()).expect("below the root");
                let below = below.to_string_lossy().into_owned();
                if from_root.iter().any(|one| one.as_str() == Some(&below)) {
                    (repo.path().to_owned(), below)
                } else {
                    (
                        path.parent().expect("a folder").to_owned(),
                        "prefect.yaml".to_owned(),
                    )
                }
            })
            .collect()
    }
}

/// Runs Prefect's own command for every file of a case.
fn deploy_with_prefect(case: &Case, repo: &Repo, server: &Server, home: &Path) -> Vec<String> {
    let mut failed = Vec::new();
    for (folder, file) in case.files(repo) {
        let mut command: Command = prefect(home);
        command
            .args(["--no-prompt", "deploy", "--all", "--prefect-file", &file])
            .current_dir(folder)
            .env("PREFECT_API_URL", server.api_url())
            .envs(case.environment());
        let output = command.output().expect("Prefect can be run");
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            let end = log.char_indices().rev().nth(800).map_or(0, |(at, _)| at);
            failed.push(format!(
                "{}: {file}: Prefect fails: {}",
                case.name,
                &log[end..]
            ));
        }
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prefect_deploy_registers_flowyard_does_too() {
    let server = Server::start();
    let home = process::folder("conformance");
    let store = tempfile::tempdir().expect("a temporary folder can be made");
    let (mut wrong, mut seen, mut deployments, mut files) = (Vec::new(), BTreeSet::new(), 0, 0);
    for case in cases("prefect_yaml") {
        let repo = Repo::new();
        copy(&corpus("prefect_yaml").join(&case.name), repo.path());
        repo.commit("As it is");
        case.prepare(&server).await;

        files += case.files(&repo).len();
        wrong.extend(tokio::task::block_in_place(|| {
            deploy_with_prefect(&case, &repo, &server, &home)
        }));
        let theirs = take(&server).await;
        deployments += theirs.len();

        let mut call = Flowyard::new(repo.path(), ["deploy"])
            .env("PREFECT_API_URL", server.api_url())
            .env(
                "FLOWYARD_STORAGE_URL",
                format!("file://{}", store.path().display()),
            )
            .env("FLOWYARD_REPOSITORY", &case.name);
        for (name, value) in case.environment() {
            call = call.env(&name, value);
        }
        let run = call.run();
        if run.code != Some(0) {
            wrong.push(format!("{}: {}", case.name, run.snapshot()));
        }
        let ours = take(&server).await;
        wrong.extend(compare(&case.name, &theirs, &ours, &[], &mut seen));
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} in {deployments} deployments",
        wrong.join("\n"),
        wrong.len()
    );
    assert!(
        files >= 25 && deployments >= 50,
        "{files} files, {deployments} deployments"
    );
    let unseen: Vec<&str> = INTENDED
        .iter()
        .map(|one| one.field)
        .filter(|one| !seen.contains(one))
        .collect();
    assert!(
        unseen.is_empty(),
        "no case shows these differences any more: {unseen:?}"
    );
}
