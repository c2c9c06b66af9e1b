//! The whole way on Prefect 2: git to a real server and Azurite, and from there to what runs the flows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flowyard::backend::Orchestrator;
use flowyard::backend::prefect::{Auth, Options, Pull};
use flowyard::model::{Field, Fields, ReleaseRef};
use serde_json::{Value, json};

use super::{id, registration};
use crate::services;
use crate::services::azurite::{self, Azurite};
use crate::services::prefect::{Api, Major, Server, Worker};
use crate::services::process::wait_until;
use crate::services::proxy::Proxy;
use crate::support::{Flowyard, Repo, Run, copy};

const CONTAINER: &str = "flows-of-two";
const PREFIX: &str = "desk";

struct Stage {
    repo: Repo,
    server: Server,
    azurite: Azurite,
    proxy: Proxy,
}

impl Stage {
    /// A server and a storage of its own, and two of the examples.
    async fn set() -> Self {
        let (server, azurite) = (Server::start_of(Major::Two), Azurite::start());
        azurite.account().create_container(CONTAINER).await;
        let api = server.api();
        api.create_process_pool("default-pool").await;
        let connection = azurite::connection_string(azurite.port());
        api.create_azure_credentials("flowyard", &connection).await;
        let repo = Repo::new();
        let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        for folder in [
            "lib",
            "projects/news/load_dn",
            "projects/warehouse/exchange_rates",
        ] {
            copy(&examples.join(folder), &repo.path().join(folder));
        }
        let settings = std::fs::read(examples.join("flowyard.toml")).expect("the examples");
        repo.write("flowyard.toml", settings);
        repo.commit("Add two projects");
        Self {
            repo,
            proxy: Proxy::start(server.port()),
            server,
            azurite,
        }
    }

    fn flowyard(&self, line: &str) -> Run {
        let credentials = "{{ prefect.blocks.azure-blob-storage-credentials.flowyard }}";
        let api = format!("http://127.0.0.1:{}/api", self.proxy.port());
        let storage = format!("azure://{}/{CONTAINER}/{PREFIX}", azurite::ACCOUNT);
        let connection = azurite::connection_string(self.azurite.port());
        Flowyard::new(self.repo.path(), line.split_whitespace())
            .env("PREFECT_API_URL", api)
            .env("FLOWYARD_STORAGE_URL", storage)
            .env("AZURE_STORAGE_CONNECTION_STRING", connection)
            .env("FLOWYARD_PREFECT_CREDENTIALS", credentials)
            .run()
    }

    /// What flowyard sent to Prefect since the last look that could have changed something.
    fn writes(&self) -> Vec<String> {
        let recorded = self.proxy.take();
        assert!(!recorded.0.is_empty(), "flowyard goes through the proxy");
        recorded
            .writes()
            .into_iter()
            .map(ToString::to_string)
            .collect()
    }
}

#[tokio::test]
async fn from_git_to_completed_runs() {
    let stage = Stage::set().await;
    let api = stage.server.api();
    // Someone else's, with a tag that looks like ours.
    let flow = api.post("/flows/", json!({"name": "theirs"})).await;
    let theirs = json!({"name": "d", "flow_id": flow["id"], "tags": ["flowyard", "flowyard.project:projects"]});
    api.post("/deployments/", theirs).await;

    stage.flowyard("deploy").expect_code(0);
    let first = api.deployments().await;
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    let ours = [
        "Exchange rates/daily",
        "Exchange rates/nordic",
        "Load DN/my-daily",
        "Load DN/my-hourly",
    ];
    assert_eq!(names, [&ours[..], &["theirs/d"]].concat());
    let nordic = &first["Exchange rates/nordic"];
    assert_eq!(
        nordic["infra_overrides"],
        json!({"env": {"TZ": "Europe/Oslo"}})
    );
    assert!(!stage.writes().is_empty());

    // Nothing changed, nothing is sent.
    let run = stage.flowyard("deploy").expect_code(0);
    assert_eq!(stage.writes(), [""; 0], "{}", run.snapshot());
    stage.flowyard("plan --check").expect_code(0);

    // One field of one deployment.
    let file = "projects/news/load_dn/my-daily.deployment.yaml";
    stage
        .repo
        .replace(file, "tags: [news, dn]", "tags: [news, dn, early]");
    stage.repo.commit("Tag it");
    stage.writes();
    stage.flowyard("deploy").expect_code(0);
    let landed = stage.proxy.take();
    assert_eq!(landed.landed().len(), 1, "{landed:?}");
    let second = api.deployments().await;
    for (name, one) in &first {
        let touched = one["updated"] != second[name]["updated"];
        assert_eq!(touched, name == "Load DN/my-daily", "{name}");
    }
    completes(&api, &stage.server, &second, &ours).await;

    // What is declared no more goes, and nothing of anyone else.
    stage
        .repo
        .remove("projects/news/load_dn/my-hourly.deployment.yaml");
    stage.repo.commit("No more by the hour");
    let status = stage.flowyard("status").expect_code(0);
    assert!(
        status.stdout.contains("Load DN/my-hourly"),
        "{}",
        status.snapshot()
    );
    stage.flowyard("deploy --prune").expect_code(0);
    let left = api.deployments().await;
    let gone: Vec<_> = first
        .keys()
        .filter(|name| !left.contains_key(*name))
        .collect();
    assert_eq!(gone, ["Load DN/my-hourly"]);

    // What a server of 2 has no place for is a fault at its key, before anything is sent.
    stage.writes();
    stage.repo.write(
        file,
        "entrypoint: flow.py:load_dn\nconcurrency_limit: 1\ntags: [\"flowyard:x\"]\nschedule:\n  cron: 0 4 * * *\n  parameters: {limit: 1}\n",
    );
    let run = stage.flowyard("deploy").expect_code(3);
    for words in [
        "my-daily.deployment.yaml:2:1: error: Prefect 2 has no `concurrency_limit` of a deployment",
        "my-daily.deployment.yaml:3:8: error: the tag `flowyard:x` is flowyard's own",
        "my-daily.deployment.yaml:6:3: error: Prefect 2 has no `parameters` of a schedule",
    ] {
        assert!(run.said().contains(words), "{}", run.snapshot());
    }
    assert_eq!(stage.writes(), [""; 0]);
}

async fn completes(api: &Api, server: &Server, all: &BTreeMap<String, Value>, names: &[&str]) {
    let mut open = BTreeMap::new();
    for name in names {
        let deployment = all[*name]["id"].as_str().expect("an id");
        open.insert(api.create_run(deployment).await, *name);
    }
    let mut worker = Worker::start(server, "default-pool");
    wait_for(api, &mut worker, open).await;
}

async fn wait_for(api: &Api, worker: &mut Worker, mut open: BTreeMap<String, &str>) {
    wait_until(Duration::from_secs(900), "all runs", async || {
        for (run, name) in open.clone() {
            let state = api.run_state(&run).await;
            if state.is_terminal() {
                let log = worker.log();
                assert_eq!(state.kind, "COMPLETED", "{name}: {state:?}\n{log}");
                open.remove(&run);
            }
        }
        worker.expect_running();
        open.is_empty().then_some(())
    })
    .await;
}

/// A deployment with an `azure` and a `process` block, as `Deployment.build_from_flow` made them.
#[tokio::test]
async fn a_legacy_agent_runs_a_release() {
    let stage = Stage::set().await;
    let api = stage.server.api();
    stage.flowyard("deploy").expect_code(0);
    let connection = azurite::connection_string(stage.azurite.port());
    let data = json!({"bucket_path": CONTAINER, "azure_storage_connection_string": connection});
    api.create_block("azure", "flows", data).await;
    let process = json!({"env": {}, "stream_output": true});
    api.create_block("process", "legacy", process).await;
    let server = flowyard::backend::prefect::Server::new(Options {
        api_url: stage.server.api_url().parse().expect("a URL"),
        ui_url: None,
        auth: Auth::None,
        pull: Pull::Azure {
            account_url: format!("https://{}.blob.core.windows.net", azurite::ACCOUNT),
            container: CONTAINER.into(),
            prefix: PREFIX.into(),
            credentials: None,
        },
        http: services::client(),
    })
    .expect("valid options");
    let deployed = api.deployments().await;
    let steps = &deployed["Exchange rates/daily"]["pull_steps"][0];
    let inputs = &steps["prefect_azure.deployments.steps.pull_from_azure_blob_storage"];
    let folder = inputs["folder"].as_str().expect("a folder");
    let release = folder
        .strip_prefix(&format!("{PREFIX}/"))
        .and_then(ReleaseRef::of_folder)
        .expect("a release");
    let id = id("Exchange rates", "legacy");
    let entrypoint = deployed["Exchange rates/daily"]["entrypoint"].clone();
    let fields = Fields::from([
        (
            Field::Code,
            json!(format!("{}@{}", release.project, release.digest)),
        ),
        (Field::Entrypoint, entrypoint),
        (Field::Storage, json!("azure/flows")),
        (Field::Infrastructure, json!("process/legacy")),
        (Field::WorkQueue, json!("legacy")),
    ]);
    let handle = server
        .register(&registration(&id, fields), None, &BTreeSet::new())
        .await
        .expect("a registration");
    let run = api.create_run(&handle).await;
    let mut agent = Worker::start_agent(&stage.server, "legacy");
    wait_for(&api, &mut agent, BTreeMap::from([(run, "legacy")])).await;
}
