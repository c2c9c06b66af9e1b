//! A real server that others use too: what they made, and what is not there.

use std::collections::BTreeSet;

use flowyard::backend::prefect::Auth;
use flowyard::backend::{Error, Kind, Orchestrator, Question};
use flowyard::model::{Field, Fields, Reference, Registration};
use serde_json::{Value, json};

use super::{api, client, code, cron, id, owner, read, registration, shared, shared_url};

#[tokio::test]
async fn a_deployment_of_someone_else_is_taken_over_with_its_labels() {
    let server = shared().await;
    let flow = api().post("/flows/", json!({"name": "Adopted"})).await;
    let steps = json!([{"prefect.deployments.steps.set_working_directory": {"directory": "/srv"}}]);
    let body = json!({"name": "theirs", "flow_id": flow["id"], "labels": {"team": "news"}, "tags": ["b", "a", "b"],
        "paused": true, "pull_steps": steps,
        "schedules": [{"schedule": {"interval": 60, "anchor_date": "2024-01-01T00:00:00Z"}, "active": true},
            {"schedule": {"cron": "0 1 * * *"}, "slug": "s", "active": false}]});
    let made = api().post("/deployments/", body).await;
    let id = id("Adopted", "theirs");
    let live = read(&server, &id).await;
    assert_eq!(json!(live.handle), made["id"]);
    assert_eq!(live.owner, None);
    assert_eq!(live.fields[&Field::Code], steps);
    assert_eq!(live.fields[&Field::Tags], json!(["a", "b"]));
    let schedules = live.fields[&Field::Schedules]
        .as_object()
        .expect("schedules");
    assert_eq!(schedules.len(), 2);
    assert!(schedules.keys().any(|key| key.starts_with('#')));

    // Only code is declared; the rest is what is live.
    let mut fields = live.fields.clone();
    fields.insert(Field::Code, code("1"));
    let ours = registration(&id, fields.clone());
    let other = client(&shared_url(), Auth::None);
    // A client that has read nothing, as when a saved plan is carried out.
    other
        .register(&ours, Some(&live), &BTreeSet::from([Field::Code]))
        .await
        .expect("a takeover");
    let now = read(&server, &id).await;
    assert_eq!(now.handle, live.handle);
    assert_eq!(now.owner, Some(owner()));
    assert_eq!(now.fields[&Field::Code], code("1"));
    assert_eq!(now.fields[&Field::Paused], json!(true));
    let values = |fields: &Fields| {
        let mut values: Vec<String> = fields[&Field::Schedules]
            .as_object()
            .expect("schedules")
            .values()
            .map(Value::to_string)
            .collect();
        values.sort();
        values
    };
    assert_eq!(values(&now.fields), values(&live.fields));
    let labels = api().get(&format!("/deployments/{}", live.handle)).await["labels"].clone();
    assert_eq!(labels["team"], "news");
    assert_eq!(labels["flowyard.project"], "projects/news/load_dn");
}

#[tokio::test]
async fn a_shared_concurrency_limit_is_left_to_those_who_share_it() {
    let server = shared().await;
    let limit = api()
        .post(
            "/v2/concurrency_limits/",
            json!({"name": "database", "limit": 9}),
        )
        .await;
    let id = id("Limits", "shared");
    let fields = Fields::from([(Field::Code, code("1"))]);
    let first = registration(&id, fields.clone());
    let handle = server
        .register(&first, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let attach = json!({"global_concurrency_limit_id": limit["id"]});
    api().patch(&format!("/deployments/{handle}"), attach).await;
    let live = read(&server, &id).await;
    assert_eq!(
        live.fields[&Field::ConcurrencyLimit],
        json!("global:database")
    );

    let own = registration(
        &id,
        Fields::from([
            (Field::Code, code("1")),
            (Field::ConcurrencyLimit, json!(2)),
        ]),
    );
    server
        .register(
            &own,
            Some(&live),
            &BTreeSet::from([Field::ConcurrencyLimit]),
        )
        .await
        .expect("an own limit");
    assert_eq!(
        read(&server, &id).await.fields[&Field::ConcurrencyLimit],
        json!(2)
    );
    assert_eq!(
        api().get("/v2/concurrency_limits/database").await["limit"],
        json!(9)
    );
}

#[tokio::test]
async fn what_a_server_refuses_is_told_in_words() {
    let server = shared().await;
    let wanted = |field, value| registration(&id("Refused", "d"), Fields::from([(field, value)]));
    let fails = async |registration: Registration| -> Error {
        server
            .register(&registration, None, &BTreeSet::new())
            .await
            .expect_err("a refusal")
    };
    let pool = fails(wanted(Field::WorkPool, json!("nope"))).await;
    assert_eq!(pool.kind, Kind::NotFound);
    assert!(
        pool.message.contains("Work pool \"nope\" not found"),
        "{pool}"
    );

    let cron = fails(wanted(Field::Schedules, json!({"s": cron("x y")}))).await;
    assert_eq!(cron.kind, Kind::Other);
    assert!(
        cron.message
            .contains("schedules.0.schedule.cron: Invalid cron string"),
        "{cron}"
    );
    assert!(!cron.message.contains("Field required"), "{cron}");

    let mut secret = wanted(Field::WorkPool, json!("pp"));
    secret
        .fields
        .insert(Field::JobVariables, json!({"env": {"TOKEN": ["hunter22"]}}));
    let secret = fails(secret).await;
    assert!(
        secret.message.contains("TOKEN") || secret.message.contains("env"),
        "{secret}"
    );
    assert!(!secret.message.contains("hunter22"), "{secret}");

    // A PATCH with an unknown pool crashes the server; it is looked up then.
    let id = id("Refused", "patched");
    let good = registration(&id, Fields::from([(Field::WorkPool, json!("pp"))]));
    server
        .register(&good, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let live = read(&server, &id).await;
    let bad = registration(&id, Fields::from([(Field::WorkPool, json!("nope"))]));
    let error = server
        .register(&bad, Some(&live), &BTreeSet::from([Field::WorkPool]))
        .await
        .expect_err("a refusal");
    assert_eq!(error.kind, Kind::NotFound);
    assert!(
        error.message.contains("work pool `nope` not found"),
        "{error}"
    );
}

#[tokio::test]
async fn pools_queues_and_references_are_found() {
    let server = shared().await;
    api()
        .post("/work_pools/pp/queues", json!({"name": "high"}))
        .await;
    api()
        .post("/variables/", json!({"name": "there", "value": 1}))
        .await;
    api()
        .create_block("secret", "token", json!({"value": "x"}))
        .await;

    let block = |kind: &str, name: &str| Reference::Block {
        kind: kind.into(),
        name: name.into(),
    };
    let variable = |name: &str| Reference::Variable { name: name.into() };
    let missing = [
        block("secret", "nope"),
        block("json", "token"),
        variable("nope"),
    ];
    let mut references = BTreeSet::from([block("secret", "token"), variable("there")]);
    references.extend(missing.iter().cloned());
    let question = Question {
        deployments: Some(BTreeSet::new()),
        references,
    };
    let live = server.read(&question).await.expect("a reading");
    assert_eq!(live.missing, BTreeSet::from(missing));
    assert!(live.deployments.is_empty());
    let pools = live.pools.expect("pools");
    assert!(
        pools["pp"].contains("default") && pools["pp"].contains("high"),
        "{pools:?}"
    );
}
