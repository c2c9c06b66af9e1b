//! A real worker.

use std::collections::BTreeSet;
use std::process::Command;

use flowyard::backend::Orchestrator;
use flowyard::backend::prefect::{Auth, Options, Pull, Server};
use flowyard::model::{Digest, Field, Fields, ReleaseRef, RepoPath};
use serde_json::json;

use super::{assert_same, get, http, id, raw, read, registration, shared, shared_url};
use crate::services::prefect;
use crate::services::process::{run, tools_dir};

/// A worker of the same machine copies a release from a folder, runs it, and leaves the release as it was.
#[tokio::test]
async fn a_worker_runs_a_release_from_a_folder() {
    shared().await;
    let url = shared_url();
    let store = tempfile::tempdir_in(tools_dir()).expect("a folder");
    let release = ReleaseRef {
        project: RepoPath::new("projects/hello"),
        digest: Digest::of(b"hello"),
    };
    let folder = store.path().join(release.folder());
    std::fs::create_dir_all(folder.join("lib")).expect("create the release");
    let flow = "from prefect import flow\nfrom lib.word import WORD\n\n@flow\ndef hello():\n    \
                open('made.txt', 'w').write(WORD)\n    print(WORD)\n";
    std::fs::write(folder.join("flow.py"), flow).expect("write the flow");
    std::fs::write(folder.join("lib/word.py"), "WORD = 'hello'\n").expect("write the library");

    let body = json!({"name": "folders", "type": "process"});
    raw(&url, reqwest::Method::POST, "work_pools/", &body).await;
    let server = Server::new(Options {
        api_url: url.parse().expect("a URL"),
        ui_url: None,
        auth: Auth::None,
        pull: Pull::Folder {
            path: store.path().to_owned(),
        },
        http: http(),
    })
    .expect("valid options");
    let id = id("hello", "from a folder");
    let fields = Fields::from([
        (
            Field::Code,
            json!(format!("projects/hello@{}", release.digest)),
        ),
        (Field::Entrypoint, json!("flow.py:hello")),
        (Field::WorkPool, json!("folders")),
    ]);
    let wanted = registration(&id, fields);
    let handle = server
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    assert_same(&read(&server, &id).await.fields, &wanted.fields);
    let run_of = format!("deployments/{handle}/create_flow_run");
    let started = raw(&url, reqwest::Method::POST, &run_of, &json!({})).await;

    let home = tempfile::tempdir_in(tools_dir()).expect("a folder");
    let api = url.clone();
    let worked = home.path().to_owned();
    tokio::task::spawn_blocking(move || {
        let mut worker: Command = prefect::cli();
        worker
            .args([
                "worker",
                "start",
                "--pool",
                "folders",
                "--type",
                "process",
                "--run-once",
            ])
            .env("PREFECT_API_URL", api)
            .env("PREFECT_HOME", &worked)
            .env("DO_NOT_TRACK", "1")
            .current_dir(&worked);
        run(&mut worker);
    })
    .await
    .expect("a worker");
    let run = get(&format!(
        "flow_runs/{}",
        started["id"].as_str().expect("a run")
    ))
    .await;
    assert_eq!(run["state_type"], "COMPLETED", "{}", run["state"]);
    let mut left: Vec<String> = std::fs::read_dir(&folder)
        .expect("list the release")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    left.sort();
    assert_eq!(left, ["flow.py", "lib"]);
    assert!(!folder.join("lib/__pycache__").exists());
}
