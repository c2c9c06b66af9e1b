//! The real command in jobs of GitHub Actions, and what stands on GitHub's pages afterwards.

use serde_json::{Value, json};

use super::double::{GitHub, READING};
use super::job::{Step, pull_request, push};
use crate::support::{Flowyard, Repo};

pub(super) const FLOW: &str =
    "from prefect import flow\n\n\n@flow\ndef hello(n: int = 1):\n    print(n)\n";

/// One project with one deployment.
pub(super) fn small() -> Repo {
    let repo = Repo::new();
    repo.write("p/flow.py", FLOW);
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [a]\n",
    );
    repo.commit("Add a flow");
    repo
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_gets_a_comment_a_status_a_summary_and_outputs() {
    let (repo, github) = (small(), GitHub::start().await);
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    let line = "plan --local --comment --commit-status --out plan.json";
    let ended = step.run(&repo, line).expect_code(0);
    assert_eq!(ended.commands(), "");
    insta::assert_snapshot!("pull_request_comment", github.comments(7).join("\n=====\n"));
    insta::assert_snapshot!("pull_request_summary", ended.summary);
    insta::assert_snapshot!("pull_request_outputs", ended.outputs());
    let (commit, status) = github.state().statuses[0].clone();
    assert_eq!(
        commit, "1111111111111111111111111111111111111111",
        "not the commit that GitHub merged"
    );
    insta::assert_snapshot!(
        "pull_request_status",
        serde_json::to_string_pretty(&status).expect("JSON")
    );

    let writes = github.writes().len();
    step.run(&repo, "plan --local --comment").expect_code(0);
    assert_eq!(
        github.writes().len(),
        writes,
        "what is the same is not sent again"
    );
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [b]\n",
    );
    step.run(&repo, "plan --local --comment").expect_code(0);
    assert!(
        github.writes()[writes].starts_with("PATCH "),
        "{:?}",
        github.writes()
    );
    assert!(
        github.comments(7)[0].contains(r#"tags: ["b"]"#),
        "{:?}",
        github.comments(7)
    );
    step.run(&repo, "plan --local --comment --env staging")
        .expect_code(0);
    assert_eq!(github.comments(7).len(), 2, "one for each environment");
    github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_stand_on_their_lines_and_in_the_comment() {
    let (repo, github) = (small(), GitHub::start().await);
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\nschedle: x\nschedules:\n  - cron: no\n",
    );
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    let ended = step
        .run(&repo, "plan --local --comment --commit-status")
        .expect_code(3);
    insta::assert_snapshot!("faults_commands", ended.commands());
    insta::assert_snapshot!("faults_comment", github.comments(7).join("\n"));
    assert_eq!(github.state().statuses[0].1["state"], "failure");
    let ended = step
        .run(
            &repo,
            "deploy --local --comment --commit-status --github-deployment",
        )
        .expect_code(3);
    assert!(ended.commands().contains("error"), "{}", ended.commands());
    assert!(
        ended.summary.contains("unknown key `schedle`"),
        "{}",
        ended.summary
    );
    assert_eq!(
        github.comments(7).len(),
        2,
        "a plan and a deploy are two things"
    );
    assert!(
        github.state().deployments.is_empty(),
        "nothing was deployed"
    );
    let ended = step.run(&repo, "check").expect_code(3);
    assert!(ended.commands().contains("schedle") && ended.summary.contains("schedle"));
    github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_gets_the_summary_instead() {
    let (repo, github) = (small(), GitHub::start().await);
    let fork = Step::new(&repo, &github, "pull_request", &pull_request("eve/flows"))
        .env("GITHUB_TOKEN", READING);
    let line = "plan --against HEAD --comment --commit-status";
    let ended = fork.run(&repo, line).expect_code(0);
    assert!(
        ended
            .run
            .stderr
            .contains("there is no comment; the step's summary has the same"),
        "{}",
        ended.run.stderr
    );
    assert!(
        ended.summary.contains("### flowyard plan"),
        "{}",
        ended.summary
    );
    assert!(github.comments(7).is_empty());
    let ended = fork.without("GITHUB_TOKEN").run(&repo, line).expect_code(0);
    assert!(
        ended.run.stderr.contains("the pull request is from a fork"),
        "{}",
        ended.run.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_a_deployment_and_comments_where_it_came_from() {
    let (repo, github) = (small(), GitHub::start().await);
    let merged = json!({"number": 7, "state": "closed"});
    let sha = "2222222222222222222222222222222222222222".to_owned();
    github.state().pull_requests.insert(sha, vec![merged]);
    let step = Step::new(&repo, &github, "push", &push());
    let line = "deploy --local --env prod --comment --commit-status --github-deployment";
    let ended = step.run(&repo, line).expect_code(0);
    insta::assert_snapshot!("deploy_comment", github.comments(7).join("\n"));
    insta::assert_snapshot!("deploy_outputs", ended.outputs());
    {
        let state = github.state();
        assert_eq!(state.deployments[0]["environment"], "prod");
        let states: Vec<&Value> = state
            .deployment_statuses
            .iter()
            .map(|one| &one.1["state"])
            .collect();
        assert_eq!(states, ["in_progress", "success"]);
        assert_eq!(state.statuses[0].1["context"], "flowyard/deploy (prod)");
    }
    let ended = step.run(&repo, line).expect_code(0);
    assert!(
        ended.outputs().contains("has-changes = false"),
        "{}",
        ended.outputs()
    );
    assert_eq!(github.state().deployments.len(), 1, "nothing was deployed");
    github.expect_nothing_refused();

    let github = GitHub::start().await;
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [c]\n",
    );
    let step = Step::new(&repo, &github, "push", &push()).env("GITHUB_TOKEN", READING);
    let ended = step.run(&repo, line).expect_code(0);
    for note in [
        "the deployment is not shown",
        "the commit status is not set",
        "belongs to no pull request",
    ] {
        assert!(ended.run.stderr.contains(note), "{}", ended.run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_preview_is_told_in_its_pull_request() {
    let (repo, github) = (small(), GitHub::start().await);
    repo.write("flowyard.toml", "[environments.\"pr-*\"]\npreview = true\n");
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    step.run(&repo, "deploy --local --env pr-7 --comment")
        .expect_code(0);
    let line = "destroy --local --env pr-7 --comment --commit-status";
    let ended = step.run(&repo, line).expect_code(0);
    insta::assert_snapshot!("destroy_summary", ended.summary);
    insta::assert_snapshot!("destroy_outputs", ended.outputs());
    let comments = github.comments(7);
    assert!(
        comments[0].contains("removed `hello/hello-pr-7`"),
        "{comments:?}"
    );
    assert_eq!(comments.len(), 1, "what the deploy told is over");
    let (_, status) = github.state().statuses[0].clone();
    assert_eq!(status["context"], "flowyard/destroy (pr-7)");
    github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_keeps_an_issue_open() {
    let (repo, github) = (small(), GitHub::start().await);
    let step = Step::new(
        &repo,
        &github,
        "schedule",
        &json!({"schedule": "0 4 * * *"}),
    );
    let line = "plan --local --check --drift-issue";
    step.run(&repo, line).expect_code(5);
    let issue = github.state().issues[0].clone();
    insta::assert_snapshot!(
        "drift_issue",
        format!(
            "{}\n\n{}",
            issue["title"].as_str().unwrap_or_default(),
            issue["body"].as_str().unwrap_or_default()
        )
    );
    step.run(&repo, line).expect_code(5);
    step.run(&repo, "deploy --local").expect_code(0);
    step.run(&repo, line).expect_code(0);
    let state = github.state();
    assert_eq!(state.issues.len(), 1);
    assert_eq!(state.issues[0]["state"], "closed");
    assert_eq!(state.refused, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_told_everywhere() {
    let (repo, github) = (small(), GitHub::start().await);
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"))
        .env("FLOWYARD_STORAGE_URL", "file:///nowhere")
        .env("PREFECT_API_URL", "http://127.0.0.1:9/api");
    let ended = step
        .run(&repo, "plan --comment --commit-status")
        .expect_code(4);
    assert!(
        ended
            .commands()
            .starts_with("error {\"title\": \"flowyard\"}: "),
        "{}",
        ended.commands()
    );
    for text in [&ended.summary, &github.comments(7)[0]] {
        assert!(
            text.contains("❌ **It failed.**") && text.contains("127.0.0.1:9"),
            "{text}"
        );
    }
    assert_eq!(github.state().statuses[0].1["state"], "error");
    github.expect_nothing_refused();
}

#[test]
fn outside_of_a_job_the_error_names_what_is_missing() {
    let repo = small();
    let run = |line: &str, variables: &[(&str, &str)]| {
        let mut command = Flowyard::new(repo.path(), line.split_whitespace());
        for (name, value) in variables {
            command = command.env(name, value);
        }
        command.run().expect_code(2).stderr
    };
    let said = run("plan --local --comment", &[]);
    assert!(
        said.contains("--comment cannot tell GitHub anything: this is no job of GitHub Actions"),
        "{said}"
    );
    let said = run("plan --local --drift-issue", &[("GITHUB_ACTIONS", "true")]);
    assert!(
        said.contains("missing in the environment: GITHUB_REPOSITORY, GITHUB_TOKEN"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_too_long_is_cut_at_a_line() {
    let (repo, github) = (Repo::new(), GitHub::start().await);
    repo.write("p/flow.py", FLOW);
    let deployments: Vec<String> = (0..1200)
        .map(|at| format!("  - name: deployment-{at}\n    entrypoint: flow.py:hello\n    tags: [a-tag-of-some-length]\n"))
        .collect();
    repo.write(
        "p/all.deployment.yaml",
        format!("deployments:\n{}", deployments.concat()),
    );
    repo.write("q/flow.py", FLOW);
    repo.write("q/small.deployment.yaml", "entrypoint: flow.py:hello\n");
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    let ended = step.run(&repo, "plan --local --comment").expect_code(0);
    let comment = &github.comments(7)[0];
    assert!(
        (60_000..=65_536).contains(&comment.chars().count()),
        "{}",
        comment.len()
    );
    assert_eq!(
        comment
            .lines()
            .filter(|line| line.starts_with("```"))
            .count()
            % 2,
        0
    );
    assert_eq!(
        comment.matches("<details>").count(),
        comment.matches("</details>").count()
    );
    assert!(
        comment.contains("create hello/small") && comment.contains("a section is not shown whole")
    );
    assert!(ended.summary.contains("deployment-1199") && ended.summary.len() > comment.len());
    github.expect_nothing_refused();
}
