//! The pull requests of forks, which have no secrets: their plan compares with the base and asks no server.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::double::GitHub;
use super::job::{Step, pull_request, push};
use crate::services::process::run;
use crate::support::Repo;

/// A repository with a change on `main`, and the commit before it.
fn changed() -> (Repo, String) {
    let repo = Repo::new();
    repo.write(
        "p/flow.py",
        "from prefect import flow\n\n\n@flow\ndef hello(n: int = 1):\n    print(n)\n",
    );
    repo.write("p/hello.deployment.yaml", "entrypoint: flow.py:hello\n");
    // Whoever asks it finds nobody.
    repo.write(
        "flowyard.toml",
        "[prefect]\napi-url = \"http://127.0.0.1:9/api\"\n[storage]\nurl = \"azure://account/container\"\n",
    );
    let base = repo.commit("Add a flow");
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [a]\n",
    );
    repo.commit("Tag it");
    (repo, base)
}

fn request(head: &str, base: &str) -> Value {
    let mut payload = pull_request(head);
    payload["pull_request"]["base"]["sha"] = base.into();
    payload
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_no_server_is_asked() {
    let ((repo, base), github) = (changed(), GitHub::start().await);
    let fork = Step::new(&repo, &github, "pull_request", &request("eve/flows", &base))
        .without("GITHUB_TOKEN")
        // What a secret is that is not there.
        .env("PREFECT_API_KEY", "");
    let ended = fork.run(&repo, "plan --comment").expect_code(0);
    assert_eq!(
        ended.commands(),
        "notice {\"title\": \"flowyard\"}: the pull request is from a fork, and there are no credentials: \
         the plan compares with its base, and no server was asked"
    );
    assert!(
        ended.run.stdout.contains("+ tags: [\"a\"]"),
        "{}",
        ended.run.stdout
    );
    assert!(ended.summary.contains("1 to update"), "{}", ended.summary);
    assert!(github.state().requests.is_empty());

    let ended = fork.run(&repo, "plan --out plan.json").expect_code(0);
    assert!(
        ended.commands().contains("no plan was saved"),
        "{}",
        ended.commands()
    );
    assert!(
        ended.outputs().contains("plan-file = \n"),
        "{}",
        ended.outputs()
    );
    assert!(!repo.path().join("plan.json").exists());
    fork.run(&repo, "plan --check").expect_code(5);
    // Nothing is deployed without a server.
    fork.run(&repo, "deploy").expect_code(4);
    fork.run(&repo, "plan --local").expect_code(0);
}

/// Its branches are in the repository itself.
#[tokio::test(flavor = "multi_thread")]
async fn dependabot_is_treated_like_a_fork() {
    let ((repo, base), github) = (changed(), GitHub::start().await);
    let step = |actor: &str| {
        let request = request("acme/flows", &base);
        Step::new(&repo, &github, "pull_request", &request)
            .env("GITHUB_ACTOR", actor)
            .without("GITHUB_TOKEN")
    };
    let dependabot = step("dependabot[bot]");
    let ended = dependabot.run(&repo, "plan --comment").expect_code(0);
    assert_eq!(
        ended.commands(),
        "notice {\"title\": \"flowyard\"}: the pull request is from Dependabot, and there are no credentials: \
         the plan compares with its base, and no server was asked"
    );
    assert!(ended.summary.contains("1 to update"), "{}", ended.summary);
    assert!(
        ended
            .run
            .stderr
            .contains("the pull request is from Dependabot, and there is no GITHUB_TOKEN"),
        "{}",
        ended.run.stderr
    );
    assert!(github.state().requests.is_empty());
    // With secrets of its own, and for whoever pushes to its branch, it is a plan like any other.
    let known = dependabot.env("PREFECT_API_KEY", "pnu_of-dependabot");
    known.run(&repo, "plan").expect_code(4);
    step("kari").run(&repo, "plan").expect_code(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_credentials_or_from_a_branch_it_is_a_plan_like_any_other() {
    let ((repo, base), github) = (changed(), GitHub::start().await);
    let step = |head: &str| Step::new(&repo, &github, "pull_request", &request(head, &base));
    let ended = step("eve/flows")
        .env("PREFECT_API_KEY", "pnu_given-to-forks")
        .run(&repo, "plan");
    assert_eq!(ended.run.code, Some(4), "{}", ended.run.snapshot());
    let ended = step("acme/flows").run(&repo, "plan");
    assert_eq!(ended.run.code, Some(4), "{}", ended.run.snapshot());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_has_to_be_there() {
    let ((repo, base), github) = (changed(), GitHub::start().await);
    let away = "00112233445566778899aabbccddeeff00112233";
    let fork = Step::new(&repo, &github, "pull_request", &request("eve/flows", away));
    let ended = fork.run(&repo, "plan").expect_code(2);
    let said = &ended.run.stderr;
    assert!(
        said.contains("actions/checkout brings with `fetch-depth: 2`"),
        "{said}"
    );
    // By hand it is the same revision, in every event that has one.
    let request = Step::new(
        &repo,
        &github,
        "pull_request",
        &request("acme/flows", &base),
    );
    let ended = request.run(&repo, "plan --against auto").expect_code(0);
    assert!(
        ended.run.stdout.contains("+ tags: [\"a\"]"),
        "{}",
        ended.run.stdout
    );
    let mut pushed = push();
    pushed["ref"] = "refs/heads/main".into();
    pushed["before"] = base.into();
    let ended = Step::new(&repo, &github, "push", &pushed).run(&repo, "plan --against auto");
    assert!(
        ended.run.stdout.contains("+ tags: [\"a\"]"),
        "{}",
        ended.run.snapshot()
    );
    let schedule = Step::new(
        &repo,
        &github,
        "schedule",
        &json!({"schedule": "0 4 * * *"}),
    );
    let ended = schedule.run(&repo, "plan --against auto").expect_code(2);
    let said = &ended.run.stderr;
    assert!(
        said.contains("there is nothing to plan against: a run for `schedule`"),
        "{said}"
    );
    let outside = schedule
        .without("GITHUB_ACTIONS")
        .run(&repo, "plan --against auto")
        .expect_code(2);
    let said = &outside.run.stderr;
    assert!(
        said.contains("name a revision, such as `--against origin/main`"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merge_and_its_parents_are_enough() {
    let ((repo, base), github) = (changed(), GitHub::start().await);
    let git = |folder: &Path, line: &str| {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.no"];
        run(Command::new("git")
            .args(identity)
            .args(line.split(' '))
            .current_dir(folder));
    };
    // On `main` something else was merged meanwhile.
    git(repo.path(), "branch changes");
    git(repo.path(), &format!("reset -q --hard {base}"));
    repo.write("p/other.deployment.yaml", "entrypoint: flow.py:hello\n");
    repo.commit("Add another deployment");
    git(repo.path(), "merge -q --no-ff -m Merge changes");
    // What actions/checkout makes with `fetch-depth: 2`, and a remote that gives nothing without credentials.
    let clone = tempfile::tempdir().expect("a temporary folder can be made");
    git(
        clone.path(),
        &format!("clone -q --depth=2 file://{} .", repo.path().display()),
    );
    git(clone.path(), "remote set-url origin file:///nowhere");
    let head =
        std::fs::read_to_string(clone.path().join(".git/refs/heads/main")).expect("a commit");
    // The event's base is older than what was merged into.
    let fork = Step::new(&repo, &github, "pull_request", &request("eve/flows", &base))
        .env("GITHUB_SHA", head.trim());
    for line in ["plan", "plan --since auto"] {
        let ended = fork.run_in(clone.path(), line).expect_code(0);
        assert!(
            ended
                .summary
                .contains("0 to create, 1 to update, 1 unchanged"),
            "{}",
            ended.summary
        );
    }
}
