//! A preview and its end on Prefect 2, where the mark is two tags and schedules have no slugs.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::services::prefect::{Major, Server};
use crate::support::{Flowyard, Repo};

const FLOW: &str = "from prefect import flow\n\n\n@flow\ndef hello(n: int = 1):\n    print(n)\n";

const CONFIGURATION: &str = "repository = 'acme/flows'\n[prefect]\nwork-pool = 'berth'\n[environments.prod]\n\
                             [environments.\"pr-*\"]\npreview = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_comes_and_goes_beside_production() {
    let server = Server::start_of(Major::Two);
    let api = server.api();
    api.create_process_pool("berth").await;
    let (repo, storage) = (Repo::new(), tempfile::tempdir().expect("a folder"));
    repo.write("flowyard.toml", CONFIGURATION);
    repo.write("p/flow.py", FLOW);
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [news]\nschedules: [{cron: '*/10 * * * *'}]\n",
    );
    repo.commit("Add a flow");
    let call = |line: &str| -> Flowyard {
        let storage = format!("file://{}", storage.path().display());
        Flowyard::new(repo.path(), line.split_whitespace())
            .env("PREFECT_API_URL", server.api_url())
            .env("FLOWYARD_STORAGE_URL", storage)
    };
    call("deploy --env prod").run().expect_code(0);
    let runs = api.wait_until_scheduled().await;
    assert!(!runs.is_empty());
    let before = api.deployments().await;

    call("deploy --env pr-7").run().expect_code(0);
    let now = api.deployments().await;
    let preview = &now["hello/hello-pr-7"];
    let tags: BTreeSet<&str> = preview["tags"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        tags.into_iter().collect::<Vec<_>>(),
        [
            "flowyard.project:p",
            "flowyard:acme/flows@pr-7",
            "news",
            "pr-7"
        ]
    );
    assert_eq!(preview["schedules"][0]["active"], false);
    assert_eq!(api.wait_until_scheduled().await, runs);
    let again = call("deploy --env pr-7").run().expect_code(0);
    assert!(
        again.stdout.starts_with("Nothing to do"),
        "{}",
        again.snapshot()
    );

    let run = call("destroy --env pr-7").run().expect_code(0);
    assert!(
        run.stdout.contains("1 deployment removed"),
        "{}",
        run.snapshot()
    );
    assert_eq!(api.deployments().await, before);
    assert_eq!(api.scheduled_runs().await, runs);
}
