//! A plan in parts, carried out by several processes at once against a real Prefect server and Azurite.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::services::azurite::{self, Azurite};
use crate::services::prefect::Server;
use crate::services::process::wait_until;
use crate::services::proxy::{Fault, Proxy};
use crate::support::{Flowyard, Repo, Run, to_the_end};

const SHARDS: usize = 3;
const CONTAINER: &str = "flows";
const GATHER: [&str; 6] = [
    "gather",
    "--plan",
    "plan.json",
    "outcome-1.json",
    "outcome-2.json",
    "outcome-3.json",
];

/// The examples, a server and an account of their own.
struct Stage {
    repo: Repo,
    server: Server,
    azurite: Azurite,
}

impl Stage {
    async fn set() -> Self {
        let (server, azurite) = (Server::start(), Azurite::start());
        azurite.account().create_container(CONTAINER).await;
        let api = server.api();
        api.create_process_pool("default-pool").await;
        let connection = azurite::connection_string(azurite.port());
        api.create_azure_credentials("flowyard", &connection).await;
        Self {
            repo: Repo::with_examples(),
            server,
            azurite,
        }
    }

    /// A call with the server at a port.
    fn at(&self, port: u16, arguments: &[&str]) -> Flowyard {
        let credentials = "{{ prefect.blocks.azure-blob-storage-credentials.flowyard }}";
        let connection = azurite::connection_string(self.azurite.port());
        Flowyard::new(self.repo.path(), arguments)
            .env("PREFECT_API_URL", format!("http://127.0.0.1:{port}/api"))
            .env(
                "FLOWYARD_STORAGE_URL",
                format!("azure://{}/{CONTAINER}", azurite::ACCOUNT),
            )
            .env("AZURE_STORAGE_CONNECTION_STRING", connection)
            .env("FLOWYARD_PREFECT_CREDENTIALS", credentials)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.at(self.server.port(), arguments).run()
    }

    fn shard(&self, port: u16, shard: usize) -> Flowyard {
        let (shard, out) = (format!("{shard}/{SHARDS}"), format!("outcome-{shard}.json"));
        let arguments = [
            "deploy",
            "--plan",
            "plan.json",
            "--shard",
            &shard,
            "--out",
            &out,
        ];
        self.at(port, &arguments)
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.repo.read(path)).expect("it is JSON")
    }

    /// Saves the plan in parts; gives the deployments of each that it changes.
    fn plan(&self) -> Vec<BTreeSet<String>> {
        let shards = SHARDS.to_string();
        let arguments = ["plan", "--shards", &shards, "--out", "plan.json"];
        self.run(&arguments).expect_code(0);
        let plan = self.json("plan.json");
        let mut changed = BTreeSet::new();
        for project in plan["projects"].as_array().expect("a list") {
            let deployments = project["deployments"].as_array().expect("a list").iter();
            let deployments = deployments.filter(|one| one["action"] != "keep");
            changed.extend(deployments.map(|one| text(&one["id"])));
        }
        let parts = plan["shards"].as_array().expect("a list").iter();
        let parts: Vec<BTreeSet<String>> = parts
            .map(|part| {
                part["deployments"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(text)
                    .collect()
            })
            .map(|part: BTreeSet<String>| part.intersection(&changed).cloned().collect())
            .collect();
        assert_eq!(parts.len(), SHARDS);
        assert_eq!(
            parts.iter().map(BTreeSet::len).sum::<usize>(),
            changed.len()
        );
        parts
    }

    /// Runs shards at the same time, to their end, and gives the deployments that each told of.
    fn to_the_end(&self, port: u16, shards: &[usize]) -> Vec<BTreeSet<String>> {
        let mut told = vec![BTreeSet::new(); shards.len()];
        let call = |at: usize| self.shard(port, shards[at]);
        to_the_end(shards.len(), call, |at, _| {
            told[at].extend(self.told(shards[at]));
        });
        told
    }

    /// The deployments that a shard's outcome is about. Also those that failed: what a server has done without an answer is
    /// no work of the next run, which then does not tell it.
    fn told(&self, shard: usize) -> BTreeSet<String> {
        let outcomes = self.json(&format!("outcome-{shard}.json"));
        let items = outcomes["outcomes"].as_array().expect("a list").iter();
        let items = items.filter(|one| !one["id"].is_null());
        items.map(|one| text(&one["id"])).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_at_once_do_the_whole_of_it_and_a_killed_one_is_ended_by_its_next_run() {
    let stage = Stage::set().await;
    let api = stage.server.api();
    let port = stage.server.port();

    let parts = stage.plan();
    assert_eq!(stage.to_the_end(port, &[1, 2, 3]), parts);
    let wanted: BTreeSet<String> = parts.into_iter().flatten().collect();
    let first = api.deployments().await;
    assert_eq!(first.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    let run = stage.run(&GATHER).expect_code(0);
    assert!(
        run.stdout.contains("16 created, 0 updated"),
        "{}",
        run.snapshot()
    );
    let run = stage.run(&["deploy"]).expect_code(0);
    assert!(
        run.stdout.starts_with("Nothing to do"),
        "{}",
        run.snapshot()
    );

    // Every project changes; the one that is killed has registered something, and waits to hear of it.
    change_all(&stage.repo);
    let parts = stage.plan();
    let proxy = Proxy::start(port);
    proxy.disturb(usize::MAX, Method::PATCH, 0, Fault::Keep);
    let mut killed = stage.shard(proxy.port(), 1).start();
    let mut seen = Vec::new();
    wait_until(Duration::from_secs(120), "a registration", async || {
        seen.extend(proxy.take().landed().into_iter().map(ToString::to_string));
        (seen.iter().any(|one| one.contains("/deployments")) || killed.has_ended()).then_some(())
    })
    .await;
    killed.signal("KILL");
    let killed = killed.wait();
    assert!(
        killed.code.is_none(),
        "killed in time: {}",
        killed.snapshot()
    );
    let fourth = stage.run(&["deploy"]).expect_code(4);
    assert!(
        fourth
            .stderr
            .contains("another deploy of the environment `default` is running"),
        "{}",
        fourth.snapshot()
    );
    assert_eq!(stage.to_the_end(port, &[2, 3]), parts[1..]);
    std::fs::remove_file(stage.repo.path().join("outcome-1.json")).expect("the first one's");
    let run = stage.run(&GATHER).expect_code(1);
    assert!(
        run.stdout.contains("shard 1/3 has left no outcome"),
        "{}",
        run.snapshot()
    );

    // Its lease ends by itself, a minute after it was last renewed.
    wait_until(Duration::from_secs(180), "the lease to end", async || {
        let run = stage.shard(port, 1).run();
        let again = run.code == Some(4) || run.code == Some(1);
        (!again).then(|| run.expect_code(0))
    })
    .await;
    let run = stage.run(&GATHER).expect_code(0);
    assert!(
        run.stdout.contains("0 created, 16 updated"),
        "{}",
        run.snapshot()
    );
    let run = stage.run(&["deploy"]).expect_code(0);
    assert!(
        run.stdout.starts_with("Nothing to do"),
        "{}",
        run.snapshot()
    );
    let second = api.deployments().await;
    for (id, deployment) in &second {
        assert_ne!(deployment["pull_steps"], first[id]["pull_steps"], "{id}");
    }
    assert_eq!(parts.iter().map(BTreeSet::len).sum::<usize>(), second.len());
}

/// Adds a file to every project of the examples.
fn change_all(repo: &Repo) {
    for desk in ["news", "platform", "warehouse"] {
        let folder = repo.path().join("projects").join(desk);
        for project in std::fs::read_dir(folder).expect("a folder") {
            let path = project.expect("an entry").path();
            std::fs::write(path.join("changed.txt"), "changed\n").expect("it can be written");
        }
    }
}
