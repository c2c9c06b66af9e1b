//! The whole way: git to a real Prefect server and Azurite, and from there to a worker that runs every flow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::services::azurite::{self, Azurite};
use crate::services::prefect::{Api, ScheduledRun, Server, Worker};
use crate::services::process::wait_until;
use crate::services::proxy::Proxy;
use crate::support::{Flowyard, Repo, to_the_end};

/// Every deployment of the examples.
const EXAMPLES: [&str; 16] = [
    "Exchange rates/daily",
    "Exchange rates/nordic",
    "Load DN/my-daily",
    "Load DN/my-hourly",
    "Subscriber report/all-monthly",
    "Subscriber report/digital-weekly",
    "archive-cleanup/half-daily",
    "daily-sales/nightly",
    "daily-sales/one-day",
    "headline-digest/weekly",
    "load-e24/evening",
    "load-e24/morning",
    "load-e24/weekend",
    "subscriber-backfill/by-hand",
    "table-health/every-quarter",
    "table-health/subscribers-only",
];

/// The project that the test changes, and its deployments.
const CHANGED: &str = "projects/warehouse/daily_sales";
const CHANGED_DEPLOYMENTS: [&str; 2] = ["daily-sales/nightly", "daily-sales/one-day"];

const CONTAINER: &str = "flows";
const PREFIX: &str = "desk/";

/// A server and a storage account of its own, each behind a proxy that only flowyard goes through.
struct Stage {
    repo: Repo,
    server: Server,
    azurite: Azurite,
    prefect_proxy: Proxy,
    azure_proxy: Proxy,
}

impl Stage {
    async fn set() -> Self {
        let (server, azurite) = (Server::start(), Azurite::start());
        azurite.account().create_container(CONTAINER).await;
        let api = server.api();
        api.create_process_pool("default-pool").await;
        // The worker reads the releases from Azurite itself.
        let connection = azurite::connection_string(azurite.port());
        api.create_azure_credentials("flowyard", &connection).await;
        Self {
            repo: Repo::with_examples(),
            prefect_proxy: Proxy::start(server.port()),
            azure_proxy: Proxy::start(azurite.port()),
            server,
            azurite,
        }
    }

    fn deploy(&self) {
        to_the_end(1, |_| self.call(), |_, _| {});
    }

    fn call(&self) -> Flowyard {
        let api = format!("http://127.0.0.1:{}/api", self.prefect_proxy.port());
        let connection = azurite::connection_string(self.azure_proxy.port());
        let storage = format!("azure://{}/{CONTAINER}/{PREFIX}", azurite::ACCOUNT);
        let credentials = "{{ prefect.blocks.azure-blob-storage-credentials.flowyard }}";
        Flowyard::new(self.repo.path(), ["deploy"])
            .env("PREFECT_API_URL", api)
            .env("FLOWYARD_STORAGE_URL", storage)
            .env("AZURE_STORAGE_CONNECTION_STRING", connection)
            .env("FLOWYARD_PREFECT_CREDENTIALS", credentials)
    }

    /// What flowyard sent since the last look that could have changed something, to Prefect and to Azure.
    fn writes(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for proxy in [&self.prefect_proxy, &self.azure_proxy] {
            let recorded = proxy.take();
            assert!(!recorded.0.is_empty(), "flowyard goes through the proxies");
            lines.extend(recorded.writes().into_iter().map(ToString::to_string));
        }
        lines
    }

    async fn blobs(&self) -> BTreeSet<String> {
        self.azurite.account().blobs(CONTAINER).await
    }
}

#[tokio::test]
async fn the_examples_from_git_to_completed_runs() {
    let stage = Stage::set().await;
    let api = stage.server.api();

    stage.deploy();
    let first = api.deployments().await;
    assert_eq!(first.keys().collect::<Vec<_>>(), EXAMPLES);
    assert!(
        !stage.writes().is_empty(),
        "the proxies count what a deploy sends"
    );

    a_second_deploy_writes_nothing(&stage, &api, &first).await;
    a_changed_file_changes_its_project_only(&stage, &api, &first).await;
    every_deployment_runs(&stage, &api).await;
}

async fn a_second_deploy_writes_nothing(stage: &Stage, api: &Api, first: &BTreeMap<String, Value>) {
    let (runs, blobs) = (api.wait_until_scheduled().await, stage.blobs().await);
    assert!(runs.len() > 20, "only {} runs are scheduled", runs.len());

    let run = stage.call().run().expect_code(0);
    assert_eq!(stage.writes(), Vec::<String>::new(), "{}", run.snapshot());

    // A write deletes the pending runs at once and schedules others seconds later: no need to wait for it.
    assert_eq!(api.scheduled_runs().await, runs);
    assert_eq!(stage.blobs().await, blobs);
    let second = api.deployments().await;
    assert_eq!(touched(first, &second), BTreeSet::new());
}

async fn a_changed_file_changes_its_project_only(
    stage: &Stage,
    api: &Api,
    first: &BTreeMap<String, Value>,
) {
    let (runs, blobs) = (api.scheduled_runs().await, stage.blobs().await);
    let flow = format!("{CHANGED}/flow.py");
    stage
        .repo
        .replace(&flow, "would write", "would have written");
    stage.repo.commit("Say it better");
    stage.deploy();

    let second = api.deployments().await;
    let expected: BTreeSet<_> = CHANGED_DEPLOYMENTS.map(str::to_owned).into();
    assert_eq!(touched(first, &second), expected);
    for id in &expected {
        for field in ["version", "pull_steps"] {
            assert_ne!(first[id][field], second[id][field], "{field} of {id}");
        }
    }

    // Exactly one release more, the project's, and its files; all older ones stay for the runs that use them.
    let now = stage.blobs().await;
    let state = format!("{PREFIX}.flowyard/state/");
    let lost: Vec<_> = blobs
        .difference(&now)
        .filter(|blob| !blob.starts_with(&state))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    let manifests = format!("{PREFIX}.flowyard/releases/");
    let (internal, files): (Vec<_>, Vec<_>) = now
        .difference(&blobs)
        .partition(|blob| blob.starts_with(&format!("{PREFIX}.flowyard/")));
    let releases: Vec<_> = internal
        .iter()
        .filter(|blob| blob.starts_with(&manifests))
        .collect();
    assert_eq!(releases.len(), 1, "{internal:?}");
    assert!(
        releases[0].starts_with(&format!("{manifests}{CHANGED}/")),
        "{releases:?}"
    );
    assert!(!files.is_empty());
    let strangers: Vec<_> = files
        .iter()
        .filter(|blob| !blob.starts_with(&format!("{PREFIX}{CHANGED}/")))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");

    // The others' pending runs are the very same.
    let changed: BTreeSet<_> = expected
        .iter()
        .map(|id| second[id]["id"].as_str())
        .collect();
    let others = |runs: BTreeSet<_>| -> BTreeSet<_> {
        let of_others = |run: &ScheduledRun| !changed.contains(&Some(run.deployment.as_str()));
        runs.into_iter().filter(of_others).collect()
    };
    assert_eq!(others(api.scheduled_runs().await), others(runs));
}

async fn every_deployment_runs(stage: &Stage, api: &Api) {
    let mut open = BTreeMap::new();
    for (id, deployment) in api.deployments().await {
        let deployment = deployment["id"].as_str().expect("an id is a string");
        open.insert(api.create_run(deployment).await, id);
    }
    assert_eq!(open.len(), EXAMPLES.len());

    let mut worker = Worker::start(&stage.server, "default-pool");
    let mut failed = Vec::new();
    wait_until(Duration::from_secs(1200), "all runs", async || {
        for (run, id) in open.clone() {
            let state = api.run_state(&run).await;
            if !state.is_terminal() {
                continue;
            }
            open.remove(&run);
            if state.kind != "COMPLETED" {
                failed.push(format!("{id}: {state:?}"));
            }
        }
        // A run that failed is told at once, with the worker's words.
        assert!(
            failed.is_empty(),
            "{failed:#?}\n---- worker ----\n{}",
            worker.log()
        );
        worker.expect_running();
        tokio::time::sleep(Duration::from_secs(1)).await;
        open.is_empty().then_some(())
    })
    .await;
}

/// The ids of what was written between two looks: new, gone, or with another `updated`.
fn touched(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let ids: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let updated =
        |all: &BTreeMap<String, Value>, id: &str| all.get(id).map(|one| one["updated"].clone());
    ids.into_iter()
        .filter(|id| updated(before, id) != updated(after, id))
        .cloned()
        .collect()
}
