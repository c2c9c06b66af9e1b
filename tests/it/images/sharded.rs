//! Images of a plan in shards: each is made by one of them.

use serde_json::Value;

use super::{base, flowyard, repository};
use crate::services::prefect::Server;
use crate::support::{Flowyard, Repo, to_the_end};

const FLOW: &str = "from prefect import flow\n\n\n@flow\ndef sharded(n: int = 1):\n    return n\n";

fn call(repo: &Repo, line: &str) -> Flowyard {
    let storage = format!("file://{}/.flowyard/store", repo.path().display());
    flowyard(repo, line)
        .env("PREFECT_API_URL", Server::shared().api_url())
        .env("FLOWYARD_STORAGE_URL", storage)
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_that_share_an_image_are_in_one_shard_which_makes_it() {
    let api = Server::shared().api();
    api.create_process_pool("images-sharded").await;
    let repo = Repo::new();
    for (path, requirement) in [
        ("a", "humanize==4.9.0"),
        ("b", "humanize==4.10.0"),
        ("c", "humanize==4.9.0"),
    ] {
        repo.write(&format!("{path}/flow.py"), FLOW);
        repo.write(
            &format!("{path}/requirements.txt"),
            format!("{requirement}\n"),
        );
        let file = format!("{path}/{path}.deployment.yaml");
        repo.write(
            &file,
            "entrypoint: flow.py:sharded\nwork_pool: images-sharded\n",
        );
    }
    let image = format!(
        "[image]\nrepository = '{}'\nbase = '{}'\n",
        repository("sharded"),
        base()
    );
    repo.write("flowyard.toml", image);
    repo.commit("Add flows");

    call(&repo, "plan --shards 3 --out plan.json")
        .run()
        .expect_code(0);
    let plan: Value = serde_json::from_str(&repo.read("plan.json")).expect("JSON");
    let shards = plan["shards"].as_array().expect("a list");
    let projects: Vec<String> = shards
        .iter()
        .map(|one| one["projects"].to_string())
        .collect();
    assert_eq!(projects, [r#"["a","c"]"#, r#"["b"]"#]);
    let shard = |at: usize| {
        let shard = at + 1;
        let line = format!("deploy --plan plan.json --shard {shard}/2 --out outcome-{shard}.json");
        call(&repo, &line)
    };
    to_the_end(2, shard, |_, _| {});
    let run = call(
        &repo,
        "gather --plan plan.json outcome-1.json outcome-2.json",
    )
    .run()
    .expect_code(0);
    assert!(
        run.stdout.contains(
            "3 created, 0 updated, 0 unchanged, 0 removed; 2 images built; 3 releases uploaded."
        ),
        "{}",
        run.snapshot()
    );
    let run = call(&repo, "deploy").run().expect_code(0);
    assert!(
        run.stdout.starts_with("Nothing to do"),
        "{}",
        run.snapshot()
    );
    let deployments = api.deployments().await;
    let image = |id: &str| deployments[id]["job_variables"]["image"].clone();
    assert_eq!(image("sharded/a"), image("sharded/c"));
    assert_ne!(image("sharded/a"), image("sharded/b"));

    // A shard that is run again finds its image made.
    let again = shard(0).run().expect_code(0);
    assert!(
        again.stdout.starts_with("Nothing to do"),
        "{}",
        again.snapshot()
    );
}
