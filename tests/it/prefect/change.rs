//! Writing to a real server: what is written reads back, and what did not change is not touched.

use std::collections::BTreeSet;

use flowyard::backend::Orchestrator;
use flowyard::model::{Dialect, Field, Fields, same};
use serde_json::{Value, json};

use super::{api, assert_same, code, cron, id, owner, read, registration, schedule_ids, shared};

/// A value for every field that a deployment can have at once.
fn everything() -> Fields {
    Fields::from([
        (Field::Code, code("1")),
        (Field::Entrypoint, json!("flow.py:load")),
        (Field::Version, json!("3f2a91c04b7e")),
        (Field::Description, json!("loads – ünïcode\nand lines")),
        (Field::Tags, json!(["a", "b"])),
        (
            Field::Parameters,
            json!({"n": 7, "when": 1000.5, "nested": {"z": [1, null], "a": "{{ $X }}"}}),
        ),
        (
            Field::ParameterSchema,
            json!({"title": "Parameters", "type": "object", "properties": {
                "n": {"title": "n", "type": "integer", "position": 0, "default": 3},
                "when": {"title": "when", "position": 1}, "nested": {"title": "nested", "position": 2}}}),
        ),
        (Field::EnforceParameterSchema, json!(true)),
        (
            Field::Schedules,
            json!({
                "nightly": {"cron": "0  4 * * *", "timezone": "Europe/Berlin", "day_or": false,
                    "parameters": {"n": 99}, "active": true},
                "daily": {"cron": "@daily", "timezone": "UTC", "day_or": true, "parameters": {}, "active": true},
                "hourly": {"interval": 3600.0, "anchor_date": "2024-01-01T00:00:00+02:00", "timezone": "Europe/Berlin",
                    "parameters": {}, "active": false, "max_scheduled_runs": 5},
                "two-hourly": {"interval": 7200.5, "anchor_date": "2024-01-01T00:00:00.500Z", "timezone": "UTC",
                    "parameters": {}, "active": true},
                "rule": {"rrule": "DTSTART:20240101T000000\nRRULE:FREQ=DAILY;BYHOUR=3", "timezone": "UTC",
                    "parameters": {}, "active": true},
            }),
        ),
        (Field::Paused, json!(true)),
        (Field::WorkPool, json!("pp")),
        (Field::WorkQueue, json!("q1")),
        (
            Field::JobVariables,
            json!({"env": {"A": "{{ prefect.blocks.secret.x }}"}}),
        ),
        (Field::ConcurrencyLimit, json!(2)),
        (Field::CollisionStrategy, json!("CANCEL_NEW")),
        (Field::GracePeriod, json!(120)),
    ])
}

#[tokio::test]
async fn every_field_reads_back_as_it_was_written() {
    let server = shared().await;
    let id = id("Round Trip", "every field");
    let wanted = registration(&id, everything());
    let handle = server
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let live = read(&server, &id).await;
    assert_eq!(live.handle, handle);
    assert_eq!(live.owner, Some(owner()));
    assert_same(&live.fields, &wanted.fields);
    assert!(!live.fields.contains_key(&Field::PullSteps));

    // Doing it once more, as after a failure, changes nothing.
    let again = server
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    assert_eq!(again, handle);
    assert_same(&read(&server, &id).await.fields, &wanted.fields);

    // And a reset of everything gives what was never set.
    let nothing: Fields = everything()
        .into_keys()
        .map(|field| (field, Value::Null))
        .collect();
    let changed = nothing.keys().copied().collect();
    let bare = registration(&id, nothing);
    server
        .register(&bare, Some(&live), &changed)
        .await
        .expect("a reset");
    let live = read(&server, &id).await;
    for (field, value) in &live.fields {
        assert!(
            same(value, &field.default_value(Dialect::Prefect3)),
            "{}: {value}",
            field.name()
        );
    }
    assert!(!live.fields.contains_key(&Field::Code));
    assert_eq!(live.owner, Some(owner()));
}

#[tokio::test]
async fn each_field_changes_alone_and_schedules_keep_their_ids() {
    let server = shared().await;
    let id = id("Change", "one by one");
    let mut fields = everything();
    fields.remove(&Field::Paused);
    let first = registration(&id, fields.clone());
    let handle = server
        .register(&first, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let ids = schedule_ids(&handle).await;
    // Someone pauses it in the UI, and one schedule too.
    let path = format!("/deployments/{handle}");
    api().patch(&path, json!({"paused": true})).await;
    let pause = json!({"active": false, "parameters": {"n": 99}});
    let path = format!("/deployments/{handle}/schedules/{}", ids["nightly"]);
    api().patch(&path, pause).await;

    let mut schedules = fields[&Field::Schedules].clone();
    schedules["nightly"]["active"] = json!(false);
    fields.insert(Field::Schedules, schedules.clone());
    let mut edited = schedules.clone();
    edited["daily"] = cron("0 5 * * 1");
    edited["hourly"]["max_scheduled_runs"] = json!(7);
    edited["weekly"] = cron("0 6 * * 1");
    edited["weekly"]["max_scheduled_runs"] = json!(4);
    let changes = [
        (Field::Code, code("2")),
        (Field::Entrypoint, json!("other.py:load")),
        (Field::Version, Value::Null),
        (Field::Description, json!("other")),
        (Field::Tags, json!(["c"])),
        (Field::Parameters, json!({"n": 8})),
        (
            Field::ParameterSchema,
            json!({"title": "Parameters", "type": "object", "properties": {"n": {"type": "integer"}}}),
        ),
        (Field::EnforceParameterSchema, json!(false)),
        (Field::Schedules, edited),
        (Field::WorkQueue, json!("q2")),
        (Field::JobVariables, json!({"env": {"B": "2"}})),
        (Field::ConcurrencyLimit, json!(3)),
        (Field::CollisionStrategy, json!("ENQUEUE")),
        (Field::ConcurrencyLimit, Value::Null),
    ];
    fields.insert(Field::Paused, json!(true));
    for (field, value) in changes {
        let live = read(&server, &id).await;
        assert_same(&live.fields, &fields);
        fields.insert(field, value);
        let next = registration(&id, fields.clone());
        let same_handle = server
            .register(&next, Some(&live), &BTreeSet::from([field]))
            .await;
        assert_eq!(same_handle.expect("an update"), handle);
        assert_same(&read(&server, &id).await.fields, &fields);
    }
    let now = schedule_ids(&handle).await;
    for (slug, id) in &ids {
        assert_eq!(now.get(slug), Some(id), "{slug}");
    }
}

#[tokio::test]
async fn a_schedule_goes_and_the_rest_stays_as_it_was() {
    let server = shared().await;
    let id = id("Change", "fewer schedules");
    let mut limited = cron("0 3 * * *");
    limited["max_scheduled_runs"] = json!(2);
    limited["active"] = json!(false);
    let mut fields = Fields::from([
        (Field::Code, code("1")),
        (Field::WorkPool, json!("pp")),
        (
            Field::Schedules,
            json!({"a": cron("0 1 * * *"), "b": cron("0 2 * * *"), "c": limited}),
        ),
    ]);
    let first = registration(&id, fields.clone());
    let handle = server
        .register(&first, None, &BTreeSet::new())
        .await
        .expect("a registration");
    api()
        .patch(&format!("/deployments/{handle}"), json!({"paused": true}))
        .await;

    fields.insert(
        Field::Schedules,
        json!({"b": cron("0 2 * * *"), "c": limited}),
    );
    let live = read(&server, &id).await;
    let fewer = registration(&id, fields.clone());
    server
        .register(&fewer, Some(&live), &BTreeSet::from([Field::Schedules]))
        .await
        .expect("fewer schedules");
    let live = read(&server, &id).await;
    assert_same(&live.fields, &fields);
    assert_eq!(
        live.fields[&Field::Paused],
        json!(true),
        "the pause of the UI"
    );
    assert_eq!(live.fields[&Field::WorkQueue], json!("default"));

    // The pool is taken away as well, which a POST alone cannot.
    fields.insert(Field::Schedules, json!({}));
    fields.insert(Field::WorkPool, Value::Null);
    fields.insert(Field::WorkQueue, Value::Null);
    let none = registration(&id, fields.clone());
    let changed = BTreeSet::from([Field::Schedules, Field::WorkPool, Field::WorkQueue]);
    server
        .register(&none, Some(&live), &changed)
        .await
        .expect("no schedules");
    let live = read(&server, &id).await;
    assert_same(&live.fields, &fields);
    assert_eq!(
        live.fields[&Field::Paused],
        json!(true),
        "the pause of the UI"
    );
}
