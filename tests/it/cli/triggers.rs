//! Triggers from files to a real server: the fewest writes, and nothing that was made by hand is touched.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::{expect_untouched, flowyard, local, project, small};
use crate::services::prefect::{Api, Server};
use crate::services::proxy::Proxy;
use crate::support::{Flowyard, Repo};

const TWO: &str = r#"entrypoint: flow.py:hello
work_pool: {name: pool}
schedule: {cron: "0 4 * * *", slug: daily}
triggers:
  - name: arrival
    expect: [file.arrived]
    match: {prefect.resource.id: "bucket.*"}
    parameters: {n: 2}
  - name: silence
    posture: Proactive
    expect: [heartbeat]
    within: PT1H
"#;

fn two() -> Repo {
    let repo = small();
    repo.write("p/hello.deployment.yaml", TWO);
    project(&repo, "q", "other");
    let triggers = "triggers: [{expect: [x]}]\n";
    repo.write(
        "q/other.deployment.yaml",
        format!("entrypoint: flow.py:hello\n{triggers}"),
    );
    repo.commit("Add triggers");
    repo
}

/// The automations by name, each with the time of its last change.
async fn automations(api: &Api) -> BTreeMap<String, Value> {
    let all = api.post("/automations/filter", json!({"limit": 200})).await;
    let all = all.as_array().expect("a list").iter();
    all.map(|one| {
        let name = one["name"].as_str().expect("a name").to_owned();
        (name, one.clone())
    })
    .collect()
}

#[tokio::test]
async fn triggers_come_change_and_go_and_what_was_made_by_hand_stays() {
    let server = Server::start();
    let api = server.api();
    api.create_process_pool("pool").await;
    let proxy = Proxy::start(server.port());
    let repo = two();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let call = |line: &str| -> Flowyard {
        flowyard(&repo, line)
            .env(
                "PREFECT_API_URL",
                format!("http://127.0.0.1:{}/api", proxy.port()),
            )
            .env(
                "FLOWYARD_STORAGE_URL",
                format!("file://{}", folder.path().display()),
            )
    };
    // What a deploy writes, without ids.
    let writes = |line: &str| -> Vec<String> {
        proxy.take();
        let run = call(line).run().expect_code(0);
        let recorded = proxy.take();
        let line = |one: &crate::services::proxy::Exchange| {
            let ids = regex::Regex::new("[0-9a-f-]{36}").expect("a pattern");
            format!("{} {}", one.method, ids.replace(&one.path, "ID"))
        };
        let mut lines: Vec<String> = recorded.landed().into_iter().map(line).collect();
        lines.sort();
        if lines.is_empty() {
            assert!(run.stdout.contains("Nothing to do"), "{}", run.snapshot());
        }
        lines
    };

    call("deploy").run().expect_code(0);
    let first = automations(&api).await;
    let names: Vec<&String> = first.keys().collect();
    assert_eq!(names, ["arrival", "other__automation_1", "silence"]);
    let deployments = api.deployments().await;
    let hand = |of: &str| {
        json!({"name": format!("by hand of {of}"), "trigger": {"type": "event", "posture": "Reactive", "expect": ["x"]},
               "actions": [{"type": "run-deployment", "source": "selected", "deployment_id": deployments[of]["id"]}]})
    };
    for of in ["hello/hello", "hello/other"] {
        api.post("/automations/", hand(of)).await;
    }
    let runs = api.wait_until_scheduled().await;
    assert!(!runs.is_empty());
    assert_eq!(writes("deploy"), [""; 0]);

    // Switched off in the UI: no file says that it is on.
    let id = first["silence"]["id"].as_str().expect("an id");
    api.patch(&format!("/automations/{id}"), json!({"enabled": false}))
        .await;
    assert_eq!(writes("deploy"), [""; 0]);

    repo.replace("p/hello.deployment.yaml", "file.arrived", "file.changed");
    let plan = call("plan").run().expect_code(0);
    insta::assert_snapshot!(plan.snapshot(), @r##"
    exit: 0
    ----- stdout -----
    p
      ~ update hello/hello
          triggers.arrival.trigger.expect: ["file.arrived"] -> ["file.changed"]

    Plan: 0 to create, 1 to update, 1 unchanged, 0 to remove.
    ----- stderr -----
    "##);
    assert_eq!(writes("deploy"), ["PUT /api/automations/ID"]);

    // Changed in the UI as well, which is drift; and one goes.
    let mut edited = first["arrival"].clone();
    for key in ["id", "created", "updated"] {
        edited.as_object_mut().expect("a mapping").remove(key);
    }
    edited["trigger"]["threshold"] = json!(9);
    let id = first["arrival"]["id"].as_str().expect("an id");
    api.call(Method::PUT, &format!("/automations/{id}"), Some(edited))
        .await;
    let at = TWO.find("  - name: silence").expect("it is there");
    let one = TWO[..at].replace("file.arrived", "file.changed");
    repo.write("p/hello.deployment.yaml", one);
    let plan = call("plan").run().expect_code(0);
    insta::assert_snapshot!(plan.snapshot(), @r##"
    exit: 0
    ----- stdout -----
    p
      ~ update hello/hello
        - trigger silence: without "heartbeat" within 1h (disabled)
          drift: changed on the server since the last deploy
            triggers.arrival.trigger.expect: ["file.arrived"] -> ["file.changed"]
            triggers.arrival.trigger.threshold: 9 -> 1

    Plan: 0 to create, 1 to update, 1 unchanged, 0 to remove.
    Drift: 2 values were changed on the server since the last deploy; deploying sets them back.
    ----- stderr -----
    "##);
    assert_eq!(
        writes("deploy"),
        ["DELETE /api/automations/ID", "PUT /api/automations/ID"]
    );
    assert_eq!(
        runs,
        api.scheduled_runs().await,
        "a change of triggers cost scheduled runs"
    );

    // The other deployment goes, and its own trigger with it.
    repo.remove("q/other.deployment.yaml");
    assert_eq!(
        writes("deploy --prune"),
        [
            "DELETE /api/automations/owned-by/prefect.deployment.ID",
            "DELETE /api/deployments/ID"
        ]
    );
    // The key is taken away: what we made goes.
    let none = TWO[..TWO.find("triggers:").expect("it is there")].to_owned();
    repo.write("p/hello.deployment.yaml", none);
    assert_eq!(writes("deploy"), ["DELETE /api/automations/ID"]);
    assert_eq!(writes("deploy"), [""; 0]);
    let left = automations(&api).await;
    let names: Vec<&String> = left.keys().collect();
    assert_eq!(names, ["by hand of hello/hello", "by hand of hello/other"]);
}

#[tokio::test]
async fn what_only_the_cloud_has_is_a_fault_before_anything_is_written() {
    let repo = small();
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ntriggers:\n  - type: compound\n    require: any\n    triggers: [{posture: Metric, metric: {name: lateness, threshold: 5, operator: '>'}}]\nsla:\n  - {name: fast, duration: 600}\n",
    );
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let run = flowyard(&repo, "plan")
        .env("PREFECT_API_URL", Server::shared().api_url())
        .env(
            "FLOWYARD_STORAGE_URL",
            format!("file://{}", folder.path().display()),
        )
        .run()
        .expect_code(3);
    insta::assert_snapshot!(run.stderr, @r##"
    p/hello.deployment.yaml:3:3: error: Prefect Cloud alone has metric triggers
      3 |   - type: compound
        |   ^
      hint: use a trigger of type `event`, or move it into the environment that is deployed to Prefect Cloud
    p/hello.deployment.yaml:7:3: error: Prefect Cloud alone has service level agreements
      7 |   - {name: fast, duration: 600}
        |   ^
      hint: remove `sla`, or move it into the environment that is deployed to Prefect Cloud
    2 errors in 1 file

    error: 2 faults; nothing was written
    "##);
}

#[test]
fn the_embedded_default_keeps_triggers_and_agreements() {
    let repo = small();
    repo.write(
        "p/hello.deployment.yaml",
        format!("{TWO}sla:\n  - {{name: fast, duration: PT10M, severity: high}}\n"),
    );
    let plan = local(&repo, "plan").expect_code(0);
    insta::assert_snapshot!(plan.snapshot(), @r##"
    exit: 0
    ----- stdout -----
    p
      code: 75ec732ef3f0 (upload 1 file, 69 B)
      + create hello/hello
          entrypoint: "flow.py:hello"
          work_pool_name: "pool"
          slas.fast.duration: 600
          slas.fast.enabled: true
          slas.fast.severity: "high"
          schedule daily: cron "0 4 * * *" UTC
          trigger arrival: on "file.arrived" of prefect.resource.id="bucket.*" with n=2
          trigger silence: without "heartbeat" within 1h

    Plan: 1 to create, 0 to update, 0 unchanged, 0 to remove; 1 release to upload (1 file, 69 B).
    ----- stderr -----
    "##);
    local(&repo, "deploy").expect_code(0);
    expect_untouched(&repo, "plan --check", 0);
    repo.replace("p/hello.deployment.yaml", "PT10M", "PT20M");
    repo.replace("p/hello.deployment.yaml", "heartbeat", "pulse");
    let plan = local(&repo, "plan --format markdown").expect_code(0);
    insta::assert_snapshot!(plan.stdout, @r##"
    ### flowyard plan

    **0 to create, 1 to update, 0 unchanged, 0 to remove.**

    #### `p`

    ```diff
    ! update hello/hello
    !     slas.fast.duration: 600 -> 1200
    !     triggers.silence.trigger.expect: ["heartbeat"] -> ["pulse"]
    ```
    "##);
    let plan = local(&repo, "plan --format json").expect_code(0);
    let json: Value = serde_json::from_str(&plan.stdout).expect("JSON");
    insta::assert_snapshot!(json["projects"][0]["deployments"][0]["fields"].to_string(), @r##"[{"cause":"git","new":["pulse"],"old":["heartbeat"],"path":"triggers.silence.trigger.expect"},{"cause":"git","new":1200,"old":600,"path":"slas.fast.duration"}]"##);
}
