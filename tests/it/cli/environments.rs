//! Environments side by side, and the overlays that make them differ.

use serde_json::Value;

use super::{changes, expect_untouched, flowyard, kept, local, small};
use crate::services::prefect::Server;
use crate::support::{Flowyard, Repo};

/// A registration of an environment.
fn registration(repo: &Repo, environment: &str, id: &str) -> Value {
    let path = kept(repo).join(format!("registrations/{environment}/{id}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).expect("a registration is JSON")
}

#[test]
fn an_overlay_counts_in_its_environment() {
    let repo = Repo::with_examples();
    for line in ["deploy", "deploy --env staging", "deploy --env prod"] {
        local(&repo, line).expect_code(0);
    }
    let fields =
        |environment| registration(&repo, environment, "daily-sales/nightly")["fields"].clone();
    let [plain, staging, prod] = ["default", "staging", "prod"].map(fields);
    let cron = |fields: &Value| fields["schedules"]["daily"]["cron"].clone();
    assert_eq!(
        [cron(&plain), cron(&staging), cron(&prod)],
        ["0 12 * * *", "0 4 * * *", "15 2 * * *"]
    );
    assert_eq!(plain["parameters"], serde_json::json!({"dry_run": true}));
    assert_eq!(staging["parameters"]["dataset"], "analytics_staging");
    assert_eq!(prod["parameters"]["dataset"], "analytics");
    assert_eq!(
        prod["job_variables"]["env"],
        serde_json::json!({
            "ALERTS": "data-vakt@example.no",
            "ENVIRONMENT": "prod",
            "WEBHOOK": "{{ prefect.blocks.secret.sales-webhook }}",
        })
    );
    assert!(plain.get("job_variables").is_none_or(Value::is_null));
    // The code is the same, and stored once.
    assert_eq!(plain["code"], prod["code"]);
}

#[test]
fn environments_do_not_touch_each_other() {
    let repo = Repo::with_examples();
    local(&repo, "deploy --env staging").expect_code(0);
    let (lines, _) = changes(&repo, "deploy --env prod", 0);
    assert_eq!(
        lines.len(),
        16,
        "the releases are there already: {lines:#?}"
    );
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("+ registrations/prod/")),
        "{lines:#?}"
    );

    repo.remove("projects/platform/archive_cleanup/cleanup.deployment.yaml");
    repo.replace(
        "projects/warehouse/daily_sales/nightly.deployment.yaml",
        "15 2",
        "45 2",
    );
    let (lines, _) = changes(&repo, "deploy --env prod --prune", 0);
    assert_eq!(
        lines,
        [
            "- registrations/prod/archive-cleanup/half-daily.json",
            "~ registrations/prod/daily-sales/nightly.json",
        ]
    );
    let plan = local(&repo, "plan --env staging").expect_code(0);
    assert!(
        plan.stdout
            .contains("archive-cleanup/half-daily (was in projects/platform/archive_cleanup)"),
        "{}",
        plan.stdout
    );
    assert!(
        !plan.stdout.contains("daily-sales/nightly"),
        "{}",
        plan.stdout
    );
    assert!(
        local(&repo, "status")
            .expect_code(0)
            .stdout
            .contains("0 registered")
    );
    assert!(
        local(&repo, "status --env prod")
            .expect_code(0)
            .stdout
            .contains("15 registered")
    );
}

#[test]
fn an_unknown_environment_is_refused() {
    let repo = Repo::with_examples();
    let run = expect_untouched(&repo, "deploy --env prd", 2);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: unknown environment `prd`; flowyard.toml has: prod, staging
    ");
    let run = expect_untouched(&repo, "deploy --env ../x", 2);
    insta::assert_snapshot!(run.stderr, @"error: `../x` cannot be an environment's name: it is part of a path in the storage and of names at the orchestrator; use letters, digits, `-`, `_`, `.`, `+` and `@`");
    repo.replace(
        "projects/warehouse/daily_sales/nightly.deployment.yaml",
        "  staging:",
        "  stagging:",
    );
    let run = expect_untouched(&repo, "deploy", 3);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    projects/warehouse/daily_sales/nightly.deployment.yaml:15:3: error: unknown environment `stagging`
      15 |   stagging:
         |   ^
      hint: did you mean `staging`?
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
}

#[test]
fn a_variable_that_is_empty_is_none() {
    let repo = small();
    let names = ["ROOT", "ENV", "LOCAL", "JOBS", "RUN_STEPS", "RUN_PYTHON"];
    let mut call = flowyard(&repo, "deploy --local");
    for name in names {
        call = call.env(&format!("FLOWYARD_{name}"), "");
    }
    call.run().expect_code(0);
    for (value, code) in [("1", 0), ("true", 0), ("false", 2), ("0", 2), ("maybe", 2)] {
        // Without the embedded default there is no storage.
        let run = flowyard(&repo, "plan").env("FLOWYARD_LOCAL", value).run();
        run.expect_code(code);
    }
    // What is written is meant.
    let run = flowyard(&repo, "plan --local --env=").env("FLOWYARD_ENV", "dev");
    run.run().expect_code(2);
}

#[tokio::test]
async fn an_environment_takes_the_place_of_another() {
    let server = Server::shared();
    let api = server.api();
    let (repo, storage) = (Repo::new(), tempfile::tempdir().expect("a folder"));
    super::project(&repo, "p", "taken-over");
    let file = "p/taken-over.deployment.yaml";
    let declared = repo.read(file);
    repo.write(
        file,
        format!("{declared}description: text\ntriggers: [{{name: taken-over, expect: [x]}}]\n"),
    );
    repo.write("flowyard.toml", "repository = 'acme/taken-over'\n");
    let call = |line: &str| -> Flowyard {
        let storage = format!("file://{}", storage.path().display());
        flowyard(&repo, line)
            .env("PREFECT_API_URL", server.api_url())
            .env("FLOWYARD_STORAGE_URL", storage)
    };
    call("deploy").run().expect_code(0);
    let before = api.deployments().await["hello/taken-over"].clone();
    api.patch(
        &format!("/deployments/{}", before["id"].as_str().expect("an id")),
        serde_json::json!({"paused": true}),
    )
    .await;

    let toml = repo.read("flowyard.toml");
    repo.write("flowyard.toml", format!("{toml}[environments.prod]\n"));
    let run = call("plan --env prod").run().expect_code(3);
    insta::assert_snapshot!(run.stderr, @r#"
    p/taken-over.deployment.yaml:1:1: error: `hello/taken-over` is already deployed by repository `acme/taken-over`, environment `default`
      1 | entrypoint: flow.py:hello
        | ^
      hint: rename one of the two; where `prod` takes the place of `default`, add `takes-over = "default"` under `[environments.prod]` in flowyard.toml
    1 error in 1 file

    error: 1 fault; nothing was written
    "#);
    repo.write(
        "flowyard.toml",
        format!("{toml}[environments.prod]\ntakes-over = 'default'\n"),
    );
    // What git lets go of at the same time goes, and what was set on the server stays.
    repo.write(file, &declared);
    let plan = call("plan --env prod").run().expect_code(0);
    insta::assert_snapshot!(plan.stdout, @r#"
    p
      ~ update hello/taken-over
        - description: "text"
          owner: "acme/taken-over default p" -> "acme/taken-over prod p"
        - trigger taken-over: on "x"

    Plan for prod: 0 to create, 1 to update, 0 unchanged, 0 to remove.
    "#);
    // A deploy of the other one may be under way.
    let lock = |environment: &str| storage.path().join(".flowyard/lock").join(environment);
    let theirs = r#"{"holder": "kari at laptop", "expires": "2999-01-01T00:00:00Z"}"#;
    let put = || {
        let lock = lock("default");
        std::fs::create_dir_all(lock.parent().expect("a folder")).expect("made");
        std::fs::write(lock, theirs).expect("written");
    };
    put();
    let run = call("deploy --env prod").run().expect_code(4);
    insta::assert_snapshot!(run.stderr, @"error: another deploy of the environment `default` is running: kari at laptop; its lease ends at 2999-01-01T00:00:00Z unless it is renewed");
    assert!(!lock("prod").exists(), "it is given back");
    std::fs::remove_file(lock("default")).expect("deleted");

    call("deploy --env prod").run().expect_code(0);
    assert!(!lock("default").exists() && !lock("prod").exists());
    let now = api.deployments().await["hello/taken-over"].clone();
    assert_eq!(now["id"], before["id"]);
    assert_eq!(
        (&now["paused"], &now["description"]),
        (&Value::Bool(true), &Value::Null)
    );
    assert_eq!(now["labels"]["flowyard.environment"], "prod");
    let id = now["id"].as_str().expect("an id");
    let triggers = format!("/automations/related-to/prefect.deployment.{id}");
    assert_eq!(api.get(&triggers).await, serde_json::json!([]));
    let run = call("deploy --env prod").run().expect_code(0);
    assert!(
        run.stdout.starts_with("Nothing to do"),
        "{}",
        run.snapshot()
    );

    // What it does from now on is none of our business.
    put();
    repo.write(file, format!("{declared}description: ours\n"));
    call("deploy --env prod").run().expect_code(0);

    let run = call("plan").run().expect_code(3);
    assert!(
        run.stderr
            .contains("hint: deploy with `--env prod`, or rename one of the two"),
        "{}",
        run.stderr
    );
}
