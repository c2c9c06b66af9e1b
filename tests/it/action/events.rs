//! The workflows of `examples/workflows` by the events that start them: what GitHub shows then, and what is deployed.

use serde_json::{Value, json};

use super::job::{Job, add_workflow};
use super::stage::{API_KEY, Stage, payload};
use crate::github::double::{READING, TOKEN};
use crate::github::secrets::{expect_no_form, forms};
use crate::services::azurite::{self, Azurite};
use crate::services::prefect::Server;

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
    let run = |payload: &Value, actor: &str| {
        Job::new(
            &stage.repo,
            &stage.github,
            "plan.yml",
            "pull_request",
            payload,
        )
        .actor(actor)
        .variable("PREFECT_API_URL", "http://127.0.0.1:9/api")
        .variable("FLOWYARD_STORAGE_URL", "azure://account/container")
        .secret("PREFECT_API_KEY", "")
        .secret("AZURE_STORAGE_CONNECTION_STRING", "")
        .secret("GITHUB_TOKEN", READING)
        .run()
    };
    let ended = run(&payload, "someone").expect_success(true);
    insta::assert_snapshot!("pull_request_fork", stage.told(&ended));
    let log = ended.log();
    assert!(
        log.contains("there is no comment; the step's summary has the same"),
        "{log}"
    );
    assert!(stage.github.comments(2).is_empty());
    // Dependabot gets no more, though its branches are in the repository itself.
    let of_dependabot = stage.pull_request("pull-request", "acme/flows");
    let ended = run(&of_dependabot, "dependabot[bot]").expect_success(true);
    let told = ended.commands();
    assert!(
        told.contains("the pull request is from Dependabot, and there are no credentials"),
        "{told}"
    );
    assert!(ended.summary().contains("to update"), "{}", ended.summary());
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

    let secrets = forms(&[TOKEN, API_KEY, azurite::KEY]);
    let blobs = Azurite::shared().account().blobs(stage.name).await;
    assert!(!blobs.is_empty());
    let live = Server::shared().api().deployments().await;
    let sent = stage.github.state().bodies.join("\n");
    for (what, text) in [
        ("what act wrote", ended.everything()),
        ("the summary", ended.summary()),
        ("what GitHub was sent", sent),
        ("the names of blobs", format!("{blobs:?}")),
        ("what Prefect holds", Value::from_iter(live).to_string()),
    ] {
        expect_no_form(&text, &secrets, what);
    }

    // Not from a branch.
    stage.git(&["checkout", "-q", "-b", "elsewhere"]);
    stage.declare("feeds", "[elsewhere]");
    let mut elsewhere = payload("workflow-dispatch");
    elsewhere["ref"] = "refs/heads/elsewhere".into();
    let skipped = deploy("workflow_dispatch", &elsewhere).expect_success(true);
    assert_eq!((skipped.summary(), skipped.log()), Default::default());
    stage.declare("feeds", "[a]");
    stage.git(&["checkout", "-q", "main"]);

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

    // Another branch may well declare something else, and the issue is not about it.
    stage.git(&["checkout", "-q", "-b", "elsewhere"]);
    stage.declare("feeds", "[elsewhere]");
    let mut elsewhere = payload("workflow-dispatch");
    elsewhere["ref"] = "refs/heads/elsewhere".into();
    let by_hand = |payload: &Value| stage.job("drift.yml", "workflow_dispatch", payload).run();
    let skipped = by_hand(&elsewhere).expect_success(true);
    assert_eq!((skipped.summary(), skipped.log()), Default::default());
    assert_eq!(stage.github.state().issues[0]["state"], "closed");
    stage.declare("feeds", "[a]");
    stage.git(&["checkout", "-q", "main"]);
    let ended = by_hand(&payload("workflow-dispatch")).expect_success(true);
    assert_ne!(ended.summary(), "");
    stage.github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_has_a_preview_until_it_is_closed() {
    let stage = Stage::set("action-preview").await;
    add_workflow(&stage.repo, "preview.yml");
    let configuration = stage.repo.read("flowyard.toml");
    let preview = "[environments.\"pr-*\"]\npreview = true\n";
    stage
        .repo
        .write("flowyard.toml", format!("{configuration}{preview}"));
    stage.repo.commit("Make previews");
    let first = stage.push("push-first", None);
    stage
        .job("deploy.yml", "push", &first)
        .run()
        .expect_success(true);
    stage.forget();
    let ours = async || {
        let all = Server::shared().api().deployments().await;
        let ours = all.into_iter().filter(|(id, _)| id.starts_with(stage.name));
        ours.map(|(id, one)| (id, (one["updated"].clone(), one["tags"].clone())))
            .collect::<Vec<_>>()
    };
    let production = ours().await;
    assert_eq!(production.len(), 2);

    stage.request(|| stage.declare("feeds", "[b]"));
    let mut payload = stage.pull_request("pull-request", "acme/flows");
    let job = |payload: &Value| stage.job("preview.yml", "pull_request", payload);
    let run = |payload: &Value| job(payload).run();
    // Dependabot has no secrets to deploy with.
    let skipped = job(&payload).actor("dependabot[bot]").run();
    let skipped = skipped.expect_success(true);
    assert_eq!((skipped.summary(), skipped.log()), Default::default());
    let ended = run(&payload).expect_success(true);
    insta::assert_snapshot!("preview", stage.told(&ended));
    let both = ours().await;
    let made: Vec<_> = both
        .iter()
        .filter(|one| !production.contains(one))
        .collect();
    assert_eq!(
        both.len(),
        3,
        "only what the pull request changes: {both:?}"
    );
    assert_eq!(made[0].0, "action-preview feeds/daily-pr-2");
    assert_eq!(made[0].1.1, json!(["b", "pr-2"]));

    // A fork deploys nothing, and removes nothing.
    let mut fork = payload.clone();
    fork["pull_request"]["head"]["repo"]["full_name"] = "someone/flows".into();
    fork["action"] = "closed".into();
    let skipped = run(&fork).expect_success(true);
    assert_eq!((skipped.summary(), skipped.log()), Default::default());

    payload["action"] = "closed".into();
    let ended = run(&payload).expect_success(true);
    insta::assert_snapshot!("preview_closed", stage.told(&ended));
    assert_eq!(ours().await, production, "exactly the preview is gone");

    // By hand, where GitHub did not tell that it was closed.
    payload["action"] = "reopened".into();
    run(&payload).expect_success(true);
    assert_eq!(ours().await.len(), 3);
    let mut by_hand = super::stage::payload("workflow-dispatch");
    by_hand["inputs"] = json!({"number": 2});
    let ended = stage
        .job("preview.yml", "workflow_dispatch", &by_hand)
        .run();
    assert!(ended.success, "{}", ended.told());
    assert_eq!(ours().await, production);
    stage.github.expect_nothing_refused();
}
