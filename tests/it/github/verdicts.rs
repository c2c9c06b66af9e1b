//! Whether a run went well is the same on every page, and each of them says why not.

use serde_json::{Value, json};

use super::double::GitHub;
use super::job::{Step, pull_request, push};
use super::pages::{FLOW, small};
use crate::support::Repo;

/// A push of what was merged as pull request 7.
fn pushed(repo: &Repo, github: &GitHub) -> Step {
    let merged = json!({"number": 7, "state": "closed"});
    let sha = "2222222222222222222222222222222222222222".to_owned();
    github.state().pull_requests.insert(sha, vec![merged]);
    Step::new(repo, github, "push", &push())
}

/// The states of the commit, in the order in which they were set.
fn states(github: &GitHub) -> Vec<Value> {
    let state = github.state();
    let all = state.statuses.iter().map(|one| one.1["state"].clone());
    all.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_leaves_a_faulty_project_out_is_no_success() {
    let (repo, github) = (small(), GitHub::start().await);
    repo.write("q/flow.py", FLOW);
    repo.write(
        "q/other.deployment.yaml",
        "entrypoint: flow.py:hello\nschedle: x\n",
    );
    let step = pushed(&repo, &github);
    let line = "deploy --local --keep-going --comment --commit-status --github-deployment";
    let ended = step.run(&repo, line).expect_code(3);
    let comment = github.comments(7).concat();
    for text in [&ended.summary, &comment] {
        let whole = "**Deployed only in part:** 1 created, 0 updated, 0 unchanged, 0 removed; \
                     1 release uploaded; 1 fault in the deployment files.";
        assert!(text.contains(whole), "{text}");
        let fault = "q/other.deployment.yaml:2:1: error: unknown key `schedle`";
        assert!(text.contains(fault), "{text}");
    }
    let outputs = ended.outputs();
    assert!(outputs.contains("failed = 1\n"), "{outputs}");
    assert!(outputs.contains("deployed = 2\n"), "{outputs}");

    // With nothing left to do it is none either.
    let ended = step.run(&repo, line).expect_code(3);
    let comment = github.comments(7).concat();
    for text in [&ended.summary, &comment] {
        assert!(text.contains("**Nothing to do.** 1 deployment"), "{text}");
        assert!(text.contains("unknown key `schedle`"), "{text}");
    }
    assert!(
        ended.outputs().contains("failed = 1\n"),
        "{}",
        ended.outputs()
    );
    assert_eq!(states(&github), ["failure", "failure"]);
    let state = github.state();
    let ends = state.deployment_statuses.iter();
    let ends: Vec<&Value> = ends.map(|one| &one.1["state"]).collect();
    assert_eq!(ends, ["in_progress", "failure"]);
    let described = state.statuses[1].1["description"].as_str();
    let described = described.expect("a text");
    assert!(
        described.starts_with("1 fault in the deployment files; nothing to do"),
        "{described}"
    );
    assert_eq!(state.refused, [""; 0]);
    drop(state);

    // Nor is its plan, nor one that cannot be saved.
    let line = "plan --local --keep-going --commit-status";
    step.run(&repo, line).expect_code(3);
    repo.remove("q/other.deployment.yaml");
    let line = "plan --local --commit-status --out absent/plan.json";
    let ended = step.run(&repo, line).expect_code(2);
    assert_eq!(states(&github)[2..], ["failure", "error"]);
    assert!(!ended.outputs().contains("absent"), "{}", ended.outputs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_finds_changes_is_no_success() {
    let (repo, github) = (small(), GitHub::start().await);
    let step = Step::new(&repo, &github, "pull_request", &pull_request("acme/flows"));
    step.run(&repo, "plan --local --commit-status")
        .expect_code(0);
    step.run(&repo, "plan --local --check --commit-status")
        .expect_code(5);
    step.run(&repo, "deploy --local").expect_code(0);
    step.run(&repo, "plan --local --check --commit-status")
        .expect_code(0);
    assert_eq!(states(&github), ["success", "failure", "success"]);
    github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_show_late_are_told_like_all_others() {
    let (repo, github) = (small(), GitHub::start().await);
    let step = pushed(&repo, &github);
    step.run(&repo, "deploy --local").expect_code(0);
    // What only the comparison finds.
    let line = "deploy --local --comment --commit-status";
    let ended = pushed(&repo, &github)
        .env("FLOWYARD_REPOSITORY", "acme/other")
        .run(&repo, line)
        .expect_code(3);
    let comment = github.comments(7).concat();
    for text in [&ended.summary, &comment] {
        let fault = "p/hello.deployment.yaml:1:1: error: `hello/hello` is already deployed by \
                     repository `acme/flows`";
        assert!(text.contains(fault), "{text}");
    }
    // What only running a step finds.
    repo.write(
        "q/prefect.yaml",
        "build:\n- prefect.deployments.steps.run_shell_script:\n    id: said\n    script: exit 3\n\
         deployments:\n- name: a\n  entrypoint: flow.py:hello\n  version: \"{{ said.stdout }}\"\n",
    );
    repo.write("q/flow.py", FLOW);
    let ended = step
        .run(&repo, &format!("{line} --run-steps"))
        .expect_code(3);
    let comment = github.comments(7).concat();
    for text in [&ended.summary, &comment] {
        assert!(text.contains("q/prefect.yaml:2:"), "{text}");
    }
    // What it gives is read like everything else.
    repo.replace("q/prefect.yaml", "exit 3", "echo never");
    let text = repo.read("q/prefect.yaml");
    let schedules = "  schedules:\n  - cron: \"{{ said.stdout }}\"\n";
    repo.write("q/prefect.yaml", text + schedules);
    let ended = step
        .run(&repo, &format!("{line} --run-steps"))
        .expect_code(3);
    let comment = github.comments(7).concat();
    for text in [&ended.summary, &comment] {
        assert!(text.contains("`never` is no cron expression"), "{text}");
    }
    assert_eq!(states(&github), ["failure"; 3]);
    github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_is_too_long_is_cut_at_a_line() {
    let (repo, github) = (Repo::new(), GitHub::start().await);
    repo.write("p/flow.py", FLOW);
    let write = |tag: &str| {
        let deployments: Vec<String> = (0..1200)
            .map(|at| {
                format!(
                    "  - name: deployment-of-some-length-{at}\n    entrypoint: flow.py:hello\n    tags: [{tag}]\n"
                )
            })
            .collect();
        let text = format!("deployments:\n{}", deployments.concat());
        repo.write("p/all.deployment.yaml", text);
    };
    write("a");
    let step = pushed(&repo, &github);
    step.run(&repo, "plan --local --out plan.json")
        .expect_code(0);
    write("b");
    let ended = step
        .run(&repo, "deploy --local --plan plan.json --comment")
        .expect_code(2);
    let comments = github.comments(7);
    let comment = &comments[0];
    assert!(ended.summary.len() > 65_536, "{}", ended.summary.len());
    assert!(
        (60_000..=65_536).contains(&comment.chars().count()),
        "{}",
        comment.len()
    );
    let fences = comment.lines().filter(|line| line.starts_with("```"));
    assert_eq!(fences.count(), 2);
    assert!(comment.contains("a section is not shown whole"));
    github.expect_nothing_refused();
}
