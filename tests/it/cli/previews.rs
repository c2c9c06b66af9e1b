//! The deployments of a pull request beside those of everybody, and their end.

use serde_json::{Value, json};

use super::{changes, expect_untouched, flowyard, kept, local, written};
use crate::services::prefect::Server;
use crate::support::{Flowyard, Repo, changed};

const CONFIGURATION: &str =
    "repository = 'acme/flows'\n\n[environments.prod]\n\n[environments.\"pr-*\"]\npreview = true\n";

const FILE: &str = "entrypoint: flow.py:hello
tags: [news, z]
schedules:
  - {cron: '*/10 * * * *', slug: often}
triggers:
  - name: arrival
    expect: [file.arrived]
  - match_related: {prefect.resource.role: deployment, prefect.resource.name: other}
    expect: [prefect.flow-run.Completed]
environments:
  prod: {description: in production}
  pr-*: {description: 'of {{ flowyard.env }}'}
  pr-9: {description: of number nine}
";

/// Two deployments of a project, a configuration with previews.
fn repo() -> Repo {
    let repo = Repo::new();
    repo.write("flowyard.toml", CONFIGURATION);
    repo.write("p/flow.py", super::FLOW);
    repo.write("p/hello.deployment.yaml", FILE);
    repo.write("p/other.deployment.yaml", "entrypoint: flow.py:hello\n");
    repo.commit("Add flows");
    repo
}

/// The fields of a registration of the embedded default.
fn fields(repo: &Repo, environment: &str, name: &str) -> Value {
    let path = kept(repo).join(format!("registrations/{environment}/hello/{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let registration: Value = serde_json::from_slice(&text).expect("it is JSON");
    registration["fields"].clone()
}

#[test]
fn a_preview_has_a_suffix_a_tag_and_starts_nothing() {
    let repo = repo();
    let plan = expect_untouched(&repo, "plan --env pr-123", 0);
    insta::assert_snapshot!("preview_plan", plan.snapshot());
    local(&repo, "deploy --env pr-123").expect_code(0);
    let one = fields(&repo, "pr-123", "hello-pr-123");
    assert_eq!(one["description"], "of pr-123");
    assert_eq!(one["tags"], json!(["news", "pr-123", "z"]));
    assert_eq!(one["schedules"]["often"]["active"], false);
    let triggers = one["triggers"].as_object().expect("a mapping");
    assert_eq!(
        triggers.keys().collect::<Vec<_>>(),
        ["arrival-pr-123", "hello__automation_2-pr-123"]
    );
    assert!(triggers.values().all(|one| one["enabled"] == false));
    let related = &triggers["hello__automation_2-pr-123"]["trigger"]["match_related"];
    assert_eq!(related["prefect.resource.name"], "other-pr-123");
    assert_eq!(
        fields(&repo, "pr-123", "other-pr-123")["tags"],
        json!(["pr-123"])
    );
    expect_untouched(&repo, "deploy --env pr-123", 0);

    // Its own name comes before the glob; another environment is none of its business.
    local(&repo, "deploy --env pr-9").expect_code(0);
    assert_eq!(
        fields(&repo, "pr-9", "hello-pr-9")["description"],
        "of number nine"
    );
    local(&repo, "deploy --env prod").expect_code(0);
    let prod = fields(&repo, "prod", "hello");
    assert_eq!(
        (&prod["description"], &prod["tags"]),
        (&json!("in production"), &json!(["news", "z"]))
    );
    assert_eq!(prod["schedules"]["often"]["active"], true);
    assert_eq!(prod["code"], one["code"], "the release is the same");
    let status = local(&repo, "status --env pr-123").expect_code(0);
    insta::assert_snapshot!("preview_status", status.snapshot());
}

#[test]
fn what_two_globs_match_and_what_is_no_name_is_told() {
    let repo = repo();
    repo.write(
        "flowyard.toml",
        format!("{CONFIGURATION}[environments.\"*-123\"]\n"),
    );
    let mut said = String::new();
    for name in ["pr-123", "pr/1", "pr-*", "pr 1", ".pr", "prd"] {
        let run = flowyard(&repo, "plan --local")
            .env("FLOWYARD_ENV", name)
            .run();
        said += &format!("{name}: {}", run.expect_code(2).stderr);
    }
    repo.write("flowyard.toml", CONFIGURATION);
    repo.replace(
        "p/hello.deployment.yaml",
        "  pr-9:",
        "  pr-1*: {description: x}\n  dev-*: {description: y}\n  pr-[: {description: z}\n  pr-9:",
    );
    let run = local(&repo, "plan --env pr-123").expect_code(3);
    insta::assert_snapshot!("preview_faults", format!("{said}\n{}", run.snapshot()));
}

#[test]
fn destroy_removes_a_preview_and_nothing_else() {
    let repo = repo();
    for environment in ["prod", "pr-1", "pr-12"] {
        local(&repo, &format!("deploy --env {environment}")).expect_code(0);
    }
    // The branch is gone, and what is left of it is broken.
    repo.write("p/hello.deployment.yaml", "entrypoint: [\n");
    repo.remove("p/other.deployment.yaml");
    let dry = expect_untouched(&repo, "destroy --env pr-1 --dry-run", 0);
    insta::assert_snapshot!("destroy_dry_run", dry.snapshot());
    for format in ["json", "markdown"] {
        let dry = expect_untouched(
            &repo,
            &format!("destroy --env pr-1 --dry-run --format {format}"),
            0,
        );
        insta::assert_snapshot!(format!("destroy_dry_run_{format}"), dry.stdout);
    }
    let before = written(&repo);
    let run = local(&repo, "destroy --env pr-1").expect_code(0);
    insta::assert_snapshot!("destroy", run.snapshot());
    assert_eq!(
        changed(&before, &written(&repo)),
        [
            "- registrations/pr-1/hello/hello-pr-1.json",
            "- registrations/pr-1/hello/other-pr-1.json",
            "- storage/.flowyard/state/pr-1/applied.json",
        ]
    );
    let again = expect_untouched(&repo, "destroy --env pr-1", 0);
    insta::assert_snapshot!("destroy_nothing", again.snapshot());
    for (format, environment) in [("json", "pr-12"), ("markdown", "pr-1")] {
        let run = local(
            &repo,
            &format!("destroy --env {environment} --format {format}"),
        )
        .expect_code(0);
        insta::assert_snapshot!(format!("destroy_{format}"), run.stdout);
    }
    assert_eq!(
        fields(&repo, "prod", "hello")["description"],
        "in production"
    );
}

#[test]
fn a_preview_goes_back_with_what_its_pull_request_takes_back() {
    let repo = repo();
    super::project(&repo, "q", "second");
    super::project(&repo, "r", "third");
    repo.write(".gitignore", ".flowyard\n");
    repo.commit("Add two more");
    repo.replace("q/flow.py", "int = 1", "int = 2");
    repo.write(
        "p/other.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [b]\n",
    );
    local(&repo, "deploy --env pr-1 --since HEAD").expect_code(0);
    repo.write("p/other.deployment.yaml", "entrypoint: flow.py:hello\n");
    let plan = expect_untouched(&repo, "plan --env pr-1 --since HEAD", 0);
    insta::assert_snapshot!(plan.snapshot(), @r#"
    exit: 0
    ----- stdout -----
    reached by the changes since HEAD
      p, which the preview holds already
      q ← q/flow.py

    p
      ~ update hello/other-pr-1
          tags: ["b", "pr-1"] -> ["pr-1"]
        1 unchanged

    Plan for pr-1: 0 to create, 1 to update, 2 unchanged, 0 to remove.
    ----- stderr -----
    "#);
    repo.write(".flowyard/plan.json", "");
    local(
        &repo,
        "plan --env pr-1 --since HEAD --out .flowyard/plan.json",
    )
    .expect_code(0);
    local(&repo, "deploy --env pr-1 --plan .flowyard/plan.json").expect_code(0);
    assert_eq!(fields(&repo, "pr-1", "other-pr-1")["tags"], json!(["pr-1"]));
    expect_untouched(&repo, "deploy --env pr-1 --since HEAD", 0);
    // A project that the pull request does not add any more is shown; `destroy` removes it with the rest.
    super::project(&repo, "s", "fourth");
    local(&repo, "deploy --env pr-1 --since HEAD").expect_code(0);
    std::fs::remove_dir_all(repo.path().join("s")).expect("it was just written");
    let plan = expect_untouched(&repo, "plan --env pr-1 --since HEAD", 0);
    assert!(
        plan.stdout.contains("hello/fourth-pr-1 (was in s)"),
        "{}",
        plan.snapshot()
    );
    // What is no preview is what is deployed.
    repo.replace("q/flow.py", "int = 2", "int = 1");
    local(&repo, "deploy --env prod").expect_code(0);
    let plan = local(&repo, "plan --env prod --since HEAD").expect_code(0);
    assert!(
        plan.stdout.starts_with("no project is reached"),
        "{}",
        plan.snapshot()
    );
    assert!(
        !plan.stdout.contains("holds already"),
        "{}",
        plan.snapshot()
    );
}

#[test]
fn what_is_no_preview_is_destroyed_only_when_that_is_said() {
    let repo = repo();
    local(&repo, "deploy --env prod").expect_code(0);
    let run = expect_untouched(&repo, "destroy --env prod", 2);
    insta::assert_snapshot!("destroy_refused", run.snapshot());
    let run = expect_untouched(&repo, "destroy", 0);
    assert!(run.stdout.contains("Nothing to do"), "{}", run.snapshot());
    let (lines, _) = changes(&repo, "destroy --env prod --yes", 0);
    assert_eq!(
        lines,
        [
            "- registrations/prod/hello/hello.json",
            "- registrations/prod/hello/other.json"
        ]
    );
    // What only the state knows of is nothing that anybody misses.
    local(&repo, "deploy --env prod").expect_code(0);
    std::fs::remove_dir_all(kept(&repo).join("registrations")).expect("it was just written");
    local(&repo, "destroy --env prod").expect_code(0);
    assert!(
        !kept(&repo)
            .join("storage/.flowyard/state/prod/applied.json")
            .exists()
    );
}

#[test]
fn what_another_repository_has_in_the_environment_stays_and_is_remembered() {
    let repo = repo();
    let call = |owner: &str, line: &str| {
        let call = flowyard(&repo, &format!("{line} --env pr-1 --local"));
        call.env("FLOWYARD_REPOSITORY", owner).run().expect_code(0)
    };
    call("acme/a", "deploy");
    for file in ["hello", "other"] {
        repo.remove(&format!("p/{file}.deployment.yaml"));
    }
    super::project(&repo, "q", "theirs");
    call("acme/b", "deploy");
    call("acme/a", "destroy");
    let path = kept(&repo).join("storage/.flowyard/state/pr-1/applied.json");
    let state: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("it is JSON");
    let known: Vec<&String> = state["deployments"]
        .as_object()
        .expect("a mapping")
        .keys()
        .collect();
    assert_eq!(known, ["hello/theirs-pr-1"]);
    call("acme/b", "destroy");
    assert!(!path.exists(), "nothing is left to remember");
}

#[test]
fn a_destroy_waits_for_nobody_and_one_that_was_killed_is_ended_by_the_next() {
    let repo = repo();
    local(&repo, "deploy --env pr-1").expect_code(0);
    let lock = "storage/.flowyard/lock/pr-1";
    let held = json!({"holder": "kari at laptop", "expires": "2999-01-01T00:00:00Z"});
    repo.write(&format!(".flowyard/{lock}"), held.to_string());
    let run = expect_untouched(&repo, "destroy --env pr-1", 4);
    assert!(run.stderr.contains("kari at laptop"), "{}", run.snapshot());
    // As it is after a kill between two removals: a lease that ended, one deployment less.
    let held = json!({"holder": "kari at laptop", "expires": "2000-01-01T00:00:00Z"});
    repo.write(&format!(".flowyard/{lock}"), held.to_string());
    repo.remove(".flowyard/registrations/pr-1/hello/hello-pr-1.json");
    let (lines, run) = changes(&repo, "destroy --env pr-1", 0);
    assert_eq!(
        lines,
        [
            "- registrations/pr-1/hello/other-pr-1.json",
            format!("- {lock}").as_str()
        ]
    );
    assert!(
        run.stdout.contains("1 deployment removed"),
        "{}",
        run.snapshot()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_production_on_a_real_server() {
    // One of its own: it compares everything that the server holds.
    let server = Server::start();
    let api = server.api();
    api.create_process_pool("berth").await;
    let (repo, storage) = (repo(), tempfile::tempdir().expect("a folder"));
    repo.write(
        "flowyard.toml",
        CONFIGURATION.replace(
            "[environments.prod]",
            "[prefect]\nwork-pool = 'berth'\n[environments.prod]",
        ),
    );
    let call = |line: &str| -> Flowyard {
        flowyard(&repo, line)
            .env("PREFECT_API_URL", server.api_url())
            .env(
                "FLOWYARD_STORAGE_URL",
                format!("file://{}", storage.path().display()),
            )
    };
    call("deploy --env prod").run().expect_code(0);
    // Somebody else's, and one with a mark of another repository.
    let flow = api.post("/flows/", json!({"name": "theirs"})).await;
    for (name, labels) in [
        ("unmarked-pr-123", json!({})),
        (
            "marked-pr-123",
            json!({"flowyard.repository": "acme/other", "flowyard.environment": "pr-123", "flowyard.project": "p"}),
        ),
    ] {
        let body = json!({"name": name, "flow_id": flow["id"], "labels": labels});
        api.post("/deployments/", body).await;
    }
    let automations = async || {
        let all = api
            .post("/automations/filter", json!({"sort": "CREATED_DESC"}))
            .await;
        all.as_array().expect("a list").clone()
    };
    let runs = api.wait_until_scheduled().await;
    assert!(!runs.is_empty());
    let (before, automated) = (api.deployments().await, automations().await);

    let run = call("deploy --env pr-123").run().expect_code(0);
    assert!(
        run.stdout.contains("hello/hello-pr-123"),
        "{}",
        run.snapshot()
    );
    call("deploy --env pr-12").run().expect_code(0);
    let now = api.deployments().await;
    assert_eq!(now.len(), before.len() + 4);
    let preview = &now["hello/hello-pr-123"];
    assert_eq!(preview["tags"], json!(["news", "pr-123", "z"]));
    assert_eq!(preview["schedules"][0]["active"], false);
    assert_eq!(automations().await.len(), automated.len() + 4);
    // The server plans the runs of what was touched within seconds: those of the preview would be there by now.
    assert_eq!(api.wait_until_scheduled().await, runs);
    let again = call("deploy --env pr-123").run().expect_code(0);
    assert!(
        again.stdout.starts_with("Nothing to do"),
        "{}",
        again.snapshot()
    );

    call("destroy --env pr-12").run().expect_code(0);
    let run = call("destroy --env pr-123").run().expect_code(0);
    insta::assert_snapshot!("destroy_on_a_server", run.snapshot());
    assert_eq!(api.deployments().await, before, "to the last byte");
    assert_eq!(automations().await, automated);
    assert_eq!(api.scheduled_runs().await, runs);
    let again = call("destroy --env pr-123").run().expect_code(0);
    assert!(
        again.stdout.starts_with("Nothing to do"),
        "{}",
        again.snapshot()
    );
}
