//! Shards of a job's matrix, and the last job that reports them as one.

use super::double::GitHub;
use super::job::{Step, pull_request, push};
use crate::support::Repo;

const FLOW: &str = "from prefect import flow\n\n\n@flow\ndef hello(n: int = 1):\n    print(n)\n";

fn projects(count: usize) -> Repo {
    let repo = Repo::new();
    for at in 1..=count {
        repo.write(&format!("p{at}/flow.py"), FLOW);
        let file = format!("p{at}/d{at}.deployment.yaml");
        repo.write(&file, "entrypoint: flow.py:hello\n");
    }
    repo.commit("Add flows");
    repo
}

#[tokio::test(flavor = "multi_thread")]
async fn the_matrix_its_shards_and_one_report() {
    let (repo, github) = (projects(3), GitHub::start().await);
    let merged = serde_json::json!({"number": 7, "state": "closed"});
    let sha = "2222222222222222222222222222222222222222".to_owned();
    github.state().pull_requests.insert(sha, vec![merged]);
    let step = Step::new(&repo, &github, "push", &push());
    let plan = step
        .run(&repo, "plan --local --shards 2 --out plan.json")
        .expect_code(0);
    let outputs = plan.outputs();
    assert!(
        outputs.contains("matrix = {\"shard\":[\"1/2\",\"2/2\"]}\n"),
        "{outputs}"
    );
    let shard = step
        .run(
            &repo,
            "deploy --local --plan plan.json --shard 1/2 --out outcome-1.json",
        )
        .expect_code(0);
    assert!(shard.summary.contains("2 created"), "{}", shard.summary);
    assert_eq!(github.writes(), [""; 0], "shards tell nobody");

    let told = "--comment --commit-status --github-deployment --local";
    let gather = format!("gather --plan plan.json outcome-1.json outcome-2.json {told}");
    let ended = step.run(&repo, &gather).expect_code(1);
    insta::assert_snapshot!("gather_missing_comment", github.comments(7).join("\n"));
    insta::assert_snapshot!("gather_missing_outputs", ended.outputs());
    assert!(
        ended.commands().contains("1 shard did not come to its end"),
        "{}",
        ended.commands()
    );
    step.run(
        &repo,
        "deploy --local --plan plan.json --shard 2/2 --out outcome-2.json",
    )
    .expect_code(0);
    let ended = step.run(&repo, &gather).expect_code(0);
    insta::assert_snapshot!("gather_comment", github.comments(7).join("\n"));
    insta::assert_snapshot!("gather_outputs", ended.outputs());
    insta::assert_snapshot!("gather_summary", ended.summary);
    let state = github.state();
    let states = state
        .deployment_statuses
        .iter()
        .map(|one| one.1["state"].clone());
    assert_eq!(
        states.collect::<Vec<_>>(),
        ["in_progress", "failure", "in_progress", "success"]
    );
    let statuses = state.statuses.iter().map(|one| one.1["state"].clone());
    assert_eq!(statuses.collect::<Vec<_>>(), ["failure", "success"]);
    assert_eq!(state.statuses[0].1["context"], "flowyard/deploy (default)");
    assert_eq!(state.refused, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_nothing_or_of_faults_has_an_empty_matrix() {
    let (repo, github) = (projects(1), GitHub::start().await);
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    step.run(&repo, "deploy --local").expect_code(0);
    let plan = step
        .run(&repo, "plan --local --shards 2 --out plan.json")
        .expect_code(0);
    assert!(
        plan.outputs().contains("matrix = {\"shard\":[]}\n"),
        "{}",
        plan.outputs()
    );
    assert!(
        plan.outputs().contains("has-changes = false\n"),
        "{}",
        plan.outputs()
    );
    repo.write("p1/flow.py", format!("{FLOW}    print(n + 1)\n"));
    repo.write("p2/x.deployment.yaml", "entrypoint: [\n");
    let plan = step
        .run(&repo, "plan --local --shards 2 --out plan.json")
        .expect_code(3);
    assert!(
        plan.outputs().contains("matrix = {\"shard\":[]}\n"),
        "{}",
        plan.outputs()
    );
}
