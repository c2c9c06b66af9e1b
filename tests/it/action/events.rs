//! The workflows of `examples/workflows` by the events that start them, against a real Prefect server and Azurite, and a
//! double of GitHub's API.

use std::fs;
use std::process::Command;

use regex::Regex;
use serde_json::{Value, json};

use super::job::{Ended, Job, add_workflow};
use super::root;
use crate::github::double::{GitHub, READING, TOKEN};
use crate::github::secrets::{expect_no_form, forms};
use crate::services::azurite::{self, Azurite};
use crate::services::prefect::Server;
use crate::support::Repo;

/// Of Prefect Cloud; a server that knows nobody takes it too.
const API_KEY: &str = "pnu_of-the-action/9+zz~secret";

/// A repository with two projects, and what it is deployed to. Everything has the stage's name in it, because tests share
/// the services.
struct Stage {
    name: &'static str,
    repo: Repo,
    github: GitHub,
}

impl Stage {
    /// One commit on `main`.
    async fn set(name: &'static str) -> Self {
        let api = Server::shared().api();
        api.create_process_pool(name).await;
        Azurite::shared().account().create_container(name).await;
        let stage = Self {
            name,
            repo: Repo::new(),
            github: GitHub::start().await,
        };
        let repo = &stage.repo;
        repo.write(
            "flowyard.toml",
            format!("repository = \"acme/{name}\"\n[prefect]\nwork-pool = \"{name}\"\n"),
        );
        for project in ["feeds", "reports"] {
            repo.write(
                &format!("{project}/flow.py"),
                format!(
                    "from prefect import flow\n\n\n@flow(name=\"{name} {project}\")\ndef load(n: int = 1):\n    print(n)\n"
                ),
            );
            stage.declare(project, "[a]");
        }
        for workflow in ["plan.yml", "deploy.yml", "drift.yml"] {
            add_workflow(repo, workflow);
        }
        repo.commit("Add two projects");
        stage
    }

    fn declare(&self, project: &str, tags: &str) {
        self.repo.write(
            &format!("{project}/daily.deployment.yaml"),
            format!("entrypoint: flow.py:load\ntags: {tags}\n"),
        );
    }

    /// Runs git as the same person at the same time always.
    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Kari Nordmann")
                .env(format!("GIT_{who}_EMAIL"), "kari@example.no")
                .env(format!("GIT_{who}_DATE"), "2026-02-01T00:00:00Z");
        }
        let output = command
            .args(arguments)
            .current_dir(self.repo.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("git is installed");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Commits a change on a branch, and checks out what merges it into `main`, as GitHub does for a pull request.
    fn request(&self, change: impl FnOnce()) {
        self.git(&["checkout", "-q", "-b", "changes"]);
        change();
        self.repo.commit("Change it");
        self.git(&["checkout", "-q", "--detach", "main"]);
        self.git(&[
            "merge",
            "-q",
            "--no-ff",
            "-m",
            "Merge changes into main",
            "changes",
        ]);
    }

    /// The payload of a pull request from a branch of `head`.
    fn pull_request(&self, fixture: &str, head: &str) -> Value {
        let mut payload = payload(fixture);
        let request = &mut payload["pull_request"];
        for (side, revision, repository) in
            [("base", "HEAD^1", "acme/flows"), ("head", "HEAD^2", head)]
        {
            request[side]["sha"] = self.git(&["rev-parse", revision]).into();
            request[side]["repo"]["full_name"] = repository.into();
        }
        payload
    }

    fn push(&self, fixture: &str, before: Option<&str>) -> Value {
        let mut payload = payload(fixture);
        payload["ref"] = "refs/heads/main".into();
        payload["after"] = self.git(&["rev-parse", "HEAD"]).into();
        if let Some(before) = before {
            payload["before"] = before.into();
        }
        payload
    }

    /// A run in the repository itself: with its secrets and variables.
    fn job<'a>(&'a self, workflow: &str, event: &'a str, payload: &Value) -> Job<'a> {
        let connection = azurite::connection_string(Azurite::shared().port());
        Job::new(&self.repo, &self.github, workflow, event, payload)
            .variable("PREFECT_API_URL", &Server::shared().api_url())
            .variable(
                "FLOWYARD_STORAGE_URL",
                &format!("azure://{}/{}/flows", azurite::ACCOUNT, self.name),
            )
            .secret("PREFECT_API_KEY", API_KEY)
            .secret("AZURE_STORAGE_CONNECTION_STRING", &connection)
    }

    /// All that one run told: to the runner, and to GitHub so far.
    fn told(&self, ended: &Ended) -> String {
        let state = self.github.state();
        let mut text = format!(
            "success: {}\n\n----- commands -----\n{}\n\n----- outputs -----\n{}\n\n----- summary -----\n{}",
            ended.success,
            ended.commands(),
            ended.outputs(),
            ended.summary()
        );
        for (number, comments) in &state.comments {
            for comment in comments {
                let body = comment["body"].as_str().unwrap_or_default();
                text += &format!("\n----- comment on {number} -----\n{body}");
            }
        }
        for (_, status) in &state.statuses {
            text += &format!("\n----- commit status -----\n{status:#}\n");
        }
        for deployment in &state.deployments {
            text += &format!("\n----- deployment -----\n{deployment:#}\n");
        }
        for (_, status) in &state.deployment_statuses {
            text += &format!("\n----- its status -----\n{status:#}\n");
        }
        for issue in &state.issues {
            let of = |key: &str| issue[key].as_str().unwrap_or_default();
            text += &format!(
                "\n----- issue, {} -----\n{}\n\n{}",
                of("state"),
                of("title"),
                of("body")
            );
        }
        for (pattern, name) in [
            (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "[ID]"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
            (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
            // Of the base; it holds the workflows, which change.
            (r"since [0-9a-f]{12}\b", "since [COMMIT]"),
            (r"\b\d+(\.\d+)? ?m?s\b", "[TIME]"),
        ] {
            let pattern = Regex::new(pattern).expect("the pattern is fixed");
            text = pattern.replace_all(&text, name).into_owned();
        }
        text
    }

    /// Forgets what GitHub was told.
    fn forget(&self) {
        let mut state = self.github.state();
        state.comments.clear();
        state.statuses.clear();
        state.deployments.clear();
        state.deployment_statuses.clear();
    }
}

fn payload(fixture: &str) -> Value {
    let path = root().join(format!("tests/fixtures/events/{fixture}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("a fixture is JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_planned() {
    let stage = Stage::set("action-request").await;
    stage.request(|| stage.declare("feeds", "[b]"));
    let payload = stage.pull_request("pull-request", "acme/flows");
    let run = || stage.job("plan.yml", "pull_request", &payload).run();
    let ended = run().expect_success(true);
    // `reports` is not reached by what the pull request changes.
    insta::assert_snapshot!("pull_request", stage.told(&ended));
    {
        let state = stage.github.state();
        assert_eq!(state.statuses[0].0, stage.git(&["rev-parse", "HEAD^2"]));
    }
    let writes = stage.github.writes().len();
    run().expect_success(true);
    let again = &stage.github.writes()[writes..];
    assert!(
        again.iter().all(|one| one.contains("/statuses/")),
        "{again:?}"
    );

    // What is faulty stands on its lines, in the same comment.
    stage.repo.write(
        "feeds/daily.deployment.yaml",
        "entrypoint: flow.py:load\nschedle: x\n",
    );
    stage.github.state().statuses.clear();
    let ended = run().expect_success(false);
    insta::assert_snapshot!("pull_request_faulty", stage.told(&ended));
    stage.github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pull_request_of_a_fork_is_planned_offline() {
    let stage = Stage::set("action-fork").await;
    stage.request(|| stage.declare("feeds", "[b]"));
    let payload = stage.pull_request("pull-request-fork", "someone/flows");
    // No secrets, a token that may only read, and addresses at which nobody is: nothing asks them.
    let run = |token: &str| {
        Job::new(
            &stage.repo,
            &stage.github,
            "plan.yml",
            "pull_request",
            &payload,
        )
        .variable("PREFECT_API_URL", "http://127.0.0.1:9/api")
        .variable("FLOWYARD_STORAGE_URL", "azure://account/container")
        .secret("PREFECT_API_KEY", "")
        .secret("AZURE_STORAGE_CONNECTION_STRING", "")
        .secret("GITHUB_TOKEN", token)
        .run()
    };
    let ended = run(READING).expect_success(true);
    insta::assert_snapshot!("pull_request_fork", stage.told(&ended));
    let log = ended.log();
    assert!(
        log.contains("there is no comment; the step's summary has the same"),
        "{log}"
    );
    assert!(stage.github.comments(2).is_empty());
    // A secret that forks are given all the same (private repositories can be set so) makes it a plan of what is live.
    let ended = stage
        .job("plan.yml", "pull_request", &payload)
        .run()
        .expect_success(true);
    assert!(
        !ended.commands().contains("from a fork"),
        "{}",
        ended.commands()
    );
    assert!(ended.summary().contains("to create"), "{}", ended.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_queue_is_planned_without_a_comment() {
    let stage = Stage::set("action-queue").await;
    stage.request(|| stage.declare("reports", "[b]"));
    let mut payload = payload("merge-group");
    payload["merge_group"]["base_sha"] = stage.git(&["rev-parse", "HEAD^1"]).into();
    payload["merge_group"]["head_sha"] = stage.git(&["rev-parse", "HEAD"]).into();
    let ended = stage
        .job("plan.yml", "merge_group", &payload)
        .run()
        .expect_success(true);
    insta::assert_snapshot!("merge_group", stage.told(&ended));
    stage.github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_are_deployed() {
    let stage = Stage::set("action-push").await;
    let first = stage.git(&["rev-parse", "HEAD"]);
    let pull = json!({"number": 2, "state": "closed"});
    stage
        .github
        .state()
        .pull_requests
        .insert(first.clone(), vec![pull]);
    let deploy = |event, payload: &Value| stage.job("deploy.yml", event, payload).run();
    let ended = deploy("push", &stage.push("push-first", None)).expect_success(true);
    insta::assert_snapshot!("push_first", stage.told(&ended));

    let secrets = [TOKEN, API_KEY, azurite::KEY];
    let blobs = Azurite::shared().account().blobs(stage.name).await;
    assert!(!blobs.is_empty());
    for (what, text) in [
        ("what act wrote", ended.everything()),
        ("the summary", ended.summary()),
        (
            "what GitHub was sent",
            stage.github.state().bodies.join("\n"),
        ),
        (
            "the names of blobs",
            blobs.into_iter().collect::<Vec<_>>().join("\n"),
        ),
        (
            "what Prefect holds",
            serde_json::to_string(&Server::shared().api().deployments().await).expect("JSON"),
        ),
    ] {
        expect_no_form(&text, &forms(&secrets), what);
    }

    // Once more, by hand: nothing is touched.
    stage.forget();
    let before = Server::shared().api().deployments().await;
    let ended = deploy("workflow_dispatch", &payload("workflow-dispatch")).expect_success(true);
    insta::assert_snapshot!("workflow_dispatch", stage.told(&ended));
    let id = "action-push feeds/daily";
    assert_eq!(Server::shared().api().deployments().await[id], before[id]);

    stage.declare("feeds", "[b]");
    stage.repo.commit("Tag it otherwise");
    stage.forget();
    let ended = deploy("push", &stage.push("push", Some(&first))).expect_success(true);
    insta::assert_snapshot!("push", stage.told(&ended));

    // The commit that was deployed is pushed away: what it changed goes back, whether a run is narrowed or not.
    let away = stage.git(&["rev-parse", "HEAD"]);
    stage.git(&["reset", "-q", "--hard", &first]);
    stage.forget();
    let workflow = ".github/workflows/deploy.yml";
    stage.repo.replace(
        workflow,
        "command: deploy\n",
        "command: deploy\n          since: auto\n",
    );
    let ended = deploy("push", &stage.push("push-forced", Some(&away))).expect_success(true);
    insta::assert_snapshot!("push_forced", stage.told(&ended));
    let now = Server::shared().api().deployments().await;
    assert_eq!(now[id]["tags"], json!(["a"]));
    stage.github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_fails_the_scheduled_run_and_keeps_an_issue_open() {
    let stage = Stage::set("action-drift").await;
    let push = stage.push("push-first", None);
    stage
        .job("deploy.yml", "push", &push)
        .run()
        .expect_success(true);
    stage.forget();
    let look = || {
        stage
            .job("drift.yml", "schedule", &payload("schedule"))
            .run()
    };
    look().expect_success(true);
    assert!(stage.github.state().issues.is_empty());

    let api = Server::shared().api();
    let id = api.deployments().await["action-drift feeds/daily"]["id"].clone();
    let path = format!("/deployments/{}", id.as_str().expect("a text"));
    api.patch(&path, json!({"tags": ["by hand"]})).await;
    let ended = look().expect_success(false);
    insta::assert_snapshot!("drift", stage.told(&ended));

    stage
        .job(
            "deploy.yml",
            "workflow_dispatch",
            &payload("workflow-dispatch"),
        )
        .run()
        .expect_success(true);
    look().expect_success(true);
    assert_eq!(stage.github.state().issues[0]["state"], "closed");
    stage.github.expect_nothing_refused();
}
