//! What each kind of change sends.

use super::*;
use crate::model::{DeploymentId, Digest, Fields, Owner, RepoPath};

const ID: &str = "#5cc1b0b8-102f-432e-83f0-4c3a8d594e68";

fn owner() -> Owner {
    Owner {
        repository: "o/r".into(),
        environment: "prod".into(),
        project: RepoPath::root(),
    }
}

fn wanted(fields: &[(Field, Value)]) -> Registration {
    Registration {
        id: DeploymentId {
            flow: "f".into(),
            name: "d".into(),
        },
        owner: owner(),
        fields: fields.iter().cloned().collect(),
    }
}

fn live(fields: &[(Field, Value)]) -> LiveDeployment {
    LiveDeployment {
        handle: "D".into(),
        fields: fields.iter().cloned().collect::<Fields>(),
        owner: Some(owner()),
    }
}

fn pull() -> Pull {
    Pull::Folder {
        path: "/srv".into(),
    }
}

fn patch(wanted: &Registration, live: &LiveDeployment, changed: &[Field]) -> Option<Value> {
    let write = Write {
        wanted,
        live: Some(live),
        changed: &changed.iter().copied().collect(),
        pull: &pull(),
        detaches_limits: true,
    };
    write.patch().expect("a valid registration")
}

fn post(
    wanted: &Registration,
    live: Option<&LiveDeployment>,
    changed: &[Field],
    labels: &Value,
) -> Value {
    let write = Write {
        wanted,
        live,
        changed: &changed.iter().copied().collect(),
        pull: &pull(),
        detaches_limits: true,
    };
    let labels = labels.as_object().cloned().unwrap_or_default();
    write.post("F", &labels).expect("a valid registration")
}

fn cron(text: &str) -> Value {
    json!({"cron": text, "timezone": "UTC", "day_or": true, "parameters": {}, "active": true})
}

#[test]
fn a_patch_holds_only_what_changed() {
    let before = live(&[
        (Field::Description, json!("a")),
        (Field::Tags, json!(["x"])),
        (Field::WorkPool, json!("pp")),
        (Field::WorkQueue, json!("default")),
    ]);
    let after = wanted(&[
        (Field::Description, Value::Null),
        (Field::Tags, json!(["x"])),
        (Field::WorkPool, json!("pp")),
        (Field::WorkQueue, json!("q1")),
    ]);
    assert_eq!(
        patch(&after, &before, &[Field::Description]),
        Some(json!({"description": null}))
    );
    assert_eq!(
        patch(&after, &before, &[Field::WorkQueue]),
        Some(json!({"work_pool_name": "pp", "work_queue_name": "q1"}))
    );
    assert_eq!(patch(&after, &before, &[]), Some(json!({})));
    let nulls = wanted(&[
        (Field::JobVariables, Value::Null),
        (Field::Tags, Value::Null),
    ]);
    assert_eq!(
        patch(&nulls, &before, &[Field::JobVariables, Field::Tags]),
        Some(json!({"job_variables": {}, "tags": []}))
    );
}

#[test]
fn schedules_are_patched_by_slug_where_the_server_can() {
    let schedules = |value: Value| [(Field::Schedules, value)];
    let two = live(&schedules(
        json!({"a": cron("0 1 * * *"), "b": cron("0 2 * * *")}),
    ));
    let changed = wanted(&schedules(
        json!({"a": cron("0 1 * * *"), "b": cron("0 3 * * *"), "c": cron("0 4 * * *")}),
    ));
    let body = patch(&changed, &two, &[Field::Schedules]).expect("a patch");
    let slugs: Vec<_> = body["schedules"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["slug"].clone())
        .collect();
    assert_eq!(slugs, [json!("b"), json!("c")]);
    assert_eq!(
        body["schedules"][0]["schedule"],
        json!({"cron": "0 3 * * *", "timezone": "UTC", "day_or": true})
    );
    // One that goes, and one that loses its limit, take a POST.
    let removed = wanted(&schedules(json!({"a": cron("0 1 * * *")})));
    assert_eq!(patch(&removed, &two, &[Field::Schedules]), None);
    let mut limited = cron("0 1 * * *");
    limited["max_scheduled_runs"] = json!(3);
    let one = live(&schedules(json!({"a": limited})));
    assert_eq!(patch(&removed, &one, &[Field::Schedules]), None);
    // Where one has no slug the server replaces all.
    let unnamed = live(&schedules(
        json!({ID: cron("0 1 * * *"), "a": cron("0 1 * * *")}),
    ));
    let body = patch(&removed, &unnamed, &[Field::Schedules]).expect("a patch");
    assert_eq!(body["schedules"].as_array().map(Vec::len), Some(1));
}

#[test]
fn labels_and_unhydrated_parameters_take_a_post() {
    let mut foreign = live(&[]);
    foreign.owner = None;
    assert_eq!(patch(&wanted(&[]), &foreign, &[Field::Version]), None);
    let kinds = wanted(&[(
        Field::Parameters,
        json!({"x": [{"__prefect_kind": "json", "value": "1"}]}),
    )]);
    assert_eq!(patch(&kinds, &live(&[]), &[Field::Parameters]), None);
}

#[test]
fn a_post_keeps_labels_and_leaves_the_pause_alone() {
    let before = live(&[
        (Field::Paused, json!(true)),
        (Field::Schedules, json!({ID: cron("0 1 * * *")})),
        (Field::Parameters, json!({"n": 1})),
    ]);
    let after = wanted(&[(Field::Paused, json!(true)), (Field::Version, json!("v"))]);
    let labels = json!({"team": "news", "prefect.flow.id": "F", REPOSITORY: "old"});
    let body = post(&after, Some(&before), &[Field::Version], &labels);
    assert_eq!(
        body,
        json!({
            "name": "d", "flow_id": "F", "version": "v", "parameters": {"n": 1}, "pull_steps": [],
            "labels": {"team": "news", REPOSITORY: "o/r", ENVIRONMENT: "prod", PROJECT: "."},
            "schedules": [{"schedule": {"cron": "0 1 * * *", "timezone": "UTC", "day_or": true},
                "active": true, "parameters": {}}],
        })
    );
    let paused = post(&after, Some(&before), &[Field::Paused], &json!({}));
    assert_eq!(paused["paused"], json!(true));
    assert_eq!(post(&after, None, &[], &json!({}))["paused"], json!(true));
}

#[test]
fn steps_follow_what_is_declared() {
    let digest = Digest::of(b"x");
    let code = format!("p@{digest}");
    let ours = json!([{"shutil.copytree": {"src": format!("/srv/p/{digest}/"), "dst": ".", "dirs_exist_ok": true}}]);
    let theirs = json!([{"x.y": {}}]);
    let steps = |wanted: &Registration, live: &LiveDeployment, changed: &[Field]| {
        patch(wanted, live, changed).expect("a patch")["pull_steps"].clone()
    };
    let foreign = live(&[
        (Field::Code, theirs.clone()),
        (Field::PullSteps, theirs.clone()),
    ]);
    // Code is declared; the pull steps are only carried along from what is live.
    let with_code = wanted(&[
        (Field::Code, json!(code)),
        (Field::PullSteps, theirs.clone()),
    ]);
    assert_eq!(steps(&with_code, &foreign, &[Field::Code]), ours);
    let with_steps = wanted(&[
        (Field::Code, json!(code)),
        (Field::PullSteps, theirs.clone()),
    ]);
    let released = live(&[(Field::Code, json!(code))]);
    assert_eq!(steps(&with_steps, &released, &[Field::PullSteps]), theirs);
    assert_eq!(
        post(&with_steps, None, &[], &json!({}))["pull_steps"],
        theirs
    );
    assert_eq!(
        post(
            &wanted(&[(Field::Code, json!(code))]),
            None,
            &[],
            &json!({})
        )["pull_steps"],
        ours
    );
    let wrong = wanted(&[(Field::Code, json!("nonsense"))]);
    let write = Write {
        wanted: &wrong,
        live: None,
        changed: &BTreeSet::new(),
        pull: &pull(),
        detaches_limits: true,
    };
    assert!(write.post("F", &Map::new()).is_err());
}

#[test]
fn a_shared_limit_is_detached_and_never_written_to() {
    let shared = live(&[(Field::ConcurrencyLimit, json!("global:db"))]);
    let own = wanted(&[(Field::ConcurrencyLimit, json!(2))]);
    assert_eq!(
        patch(&own, &shared, &[Field::ConcurrencyLimit]),
        Some(json!({"concurrency_limit": 2, "global_concurrency_limit_id": null}))
    );
    let body = post(&wanted(&[]), Some(&shared), &[Field::Version], &json!({}));
    assert!(body.get("concurrency_limit").is_none());
    let strategy = wanted(&[(Field::CollisionStrategy, json!("CANCEL_NEW"))]);
    assert_eq!(
        patch(&strategy, &shared, &[Field::CollisionStrategy]),
        Some(json!({"concurrency_options": {"collision_strategy": "CANCEL_NEW"}}))
    );
}
