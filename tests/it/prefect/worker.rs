//! A real worker.

use std::collections::BTreeSet;
use std::time::Duration;

use flowyard::backend::Orchestrator;
use flowyard::backend::prefect::{Auth, Options, Pull, Server};
use flowyard::model::{Digest, Field, Fields, ReleaseRef, RepoPath};
use serde_json::json;

use super::{api, assert_same, id, read, registration, shared, shared_url};
use crate::services;
use crate::services::prefect::{self, Worker};
use crate::services::process::wait_until;

/// A worker of the same machine copies a release from a folder, runs it, and leaves the release as it was.
#[tokio::test]
async fn a_worker_runs_a_release_from_a_folder() {
    let turn = shared().await;
    let store = tempfile::tempdir().expect("a folder");
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

    api().create_process_pool("folders").await;
    let server = Server::new(Options {
        api_url: shared_url().parse().expect("a URL"),
        ui_url: None,
        auth: Auth::None,
        pull: Pull::Folder {
            path: store.path().to_owned(),
        },
        http: services::client(),
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
    let started = api().create_run(&handle).await;
    drop(turn);
    let mut worker = Worker::start(prefect::Server::shared(), "folders");
    wait_until(Duration::from_secs(600), "the run", async || {
        worker.expect_running();
        let state = api().run_state(&started).await;
        state.is_terminal().then_some(())
    })
    .await;
    let run = api().get(&format!("/flow_runs/{started}")).await;
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
