//! Prefect as an orchestrator: against a real server, and against a double for what no server can be made to show.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use flowyard::backend::prefect::{Auth, Options, Pull, Server};
use flowyard::backend::{Error, Kind, Orchestrator, Question};
use flowyard::model::{
    DeploymentId, Digest, Field, Fields, Live, LiveDeployment, Owner, Reference, Registration,
    ReleaseRef, RepoPath, same,
};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use wiremock::matchers::{header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::services::prefect;
use crate::services::process::{answers, free_port, run, tools_dir};

fn http() -> reqwest::Client {
    // The second test finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

fn pull() -> Pull {
    Pull::Azure {
        account_url: "https://acc.blob.core.windows.net".into(),
        container: "code".into(),
        prefix: "flows".into(),
        credentials: Some("{{ prefect.blocks.azure-blob-storage-credentials.prod }}".into()),
    }
}

fn client(url: &str, auth: Auth) -> Server {
    Server::new(Options {
        api_url: url.parse().expect("a URL"),
        ui_url: None,
        auth,
        pull: pull(),
        http: http(),
    })
    .expect("valid options")
}

/// The shared server, which has a work pool `pp`.
async fn shared() -> Server {
    let server = tokio::task::spawn_blocking(prefect::Server::shared)
        .await
        .expect("a server");
    let url = server.api_url();
    let env = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let template = json!({"job_configuration": {"env": "{{ env }}"}, "variables": {"properties": {"env": env}}});
    let body = json!({"name": "pp", "type": "process", "base_job_template": template});
    let answer = raw(&url, reqwest::Method::POST, "work_pools/", &body).await;
    assert!(
        answer["name"] == "pp"
            || answer["detail"]
                .as_str()
                .is_some_and(|text| text.contains("already exists")),
        "{answer}"
    );
    client(&url, Auth::None)
}

fn shared_url() -> String {
    prefect::Server::shared().api_url()
}

/// A request past flowyard, as someone else would send it.
async fn raw(url: &str, method: reqwest::Method, path: &str, body: &Value) -> Value {
    // The server drops the connection now and then after it was busy.
    for _ in 0..20 {
        let request = http()
            .request(method.clone(), format!("{url}/{path}"))
            .json(body);
        match request.send().await {
            Ok(answer) if answer.status().as_u16() != 503 => {
                let bytes = answer.bytes().await.unwrap_or_default();
                return serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    panic!("{method} {path} does not come through");
}

async fn get(path: &str) -> Value {
    raw(&shared_url(), reqwest::Method::GET, path, &Value::Null).await
}

fn owner() -> Owner {
    Owner {
        repository: "acme/flows".into(),
        environment: "prod".into(),
        project: RepoPath::new("projects/news/load_dn"),
    }
}

fn id(flow: &str, name: &str) -> DeploymentId {
    DeploymentId {
        flow: flow.into(),
        name: name.into(),
    }
}

fn registration(id: &DeploymentId, fields: Fields) -> Registration {
    Registration {
        id: id.clone(),
        owner: owner(),
        fields,
    }
}

fn cron(text: &str) -> Value {
    json!({"cron": text, "timezone": "Europe/Berlin", "day_or": true, "parameters": {}, "active": true})
}

fn code(text: &str) -> Value {
    json!(format!(
        "projects/news/load_dn@{}",
        Digest::of(text.as_bytes())
    ))
}

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
    ])
}

fn of(ids: &[DeploymentId]) -> Question {
    Question {
        deployments: Some(ids.iter().cloned().collect()),
        references: BTreeSet::new(),
    }
}

async fn read(server: &Server, id: &DeploymentId) -> LiveDeployment {
    let mut live = server
        .read(&of(std::slice::from_ref(id)))
        .await
        .expect("a reading");
    assert!(live.deployments.len() <= 1);
    live.deployments
        .remove(id)
        .expect("a registered deployment")
}

fn assert_same(live: &Fields, wanted: &Fields) {
    for (field, value) in wanted {
        let found = live.get(field).unwrap_or(&Value::Null);
        assert!(
            same(found, value),
            "{}:\n found {found}\nwanted {value}",
            field.name()
        );
    }
}

/// The ids of the schedules by slug, past flowyard.
async fn schedule_ids(handle: &str) -> BTreeMap<String, String> {
    let deployment = get(&format!("deployments/{handle}")).await;
    let schedules = deployment["schedules"]
        .as_array()
        .expect("schedules")
        .iter();
    schedules
        .map(|item| {
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            (text("slug"), text("id"))
        })
        .collect()
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
            same(value, &field.default_value()),
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
    let url = shared_url();
    let path = format!("deployments/{handle}");
    raw(
        &url,
        reqwest::Method::PATCH,
        &path,
        &json!({"paused": true}),
    )
    .await;
    let pause = json!({"active": false, "parameters": {"n": 99}});
    let path = format!("deployments/{handle}/schedules/{}", ids["nightly"]);
    raw(&url, reqwest::Method::PATCH, &path, &pause).await;

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
        assert_eq!(same_handle.expect(field.name()), handle);
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
    raw(
        &shared_url(),
        reqwest::Method::PATCH,
        &format!("deployments/{handle}"),
        &json!({"paused": true}),
    )
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

#[tokio::test]
async fn a_deployment_of_someone_else_is_taken_over_with_its_labels() {
    let server = shared().await;
    let url = shared_url();
    let flow = raw(
        &url,
        reqwest::Method::POST,
        "flows/",
        &json!({"name": "Adopted"}),
    )
    .await;
    let steps = json!([{"prefect.deployments.steps.set_working_directory": {"directory": "/srv"}}]);
    let body = json!({"name": "theirs", "flow_id": flow["id"], "labels": {"team": "news"}, "tags": ["b", "a", "b"],
        "paused": true, "pull_steps": steps,
        "schedules": [{"schedule": {"interval": 60, "anchor_date": "2024-01-01T00:00:00Z"}, "active": true},
            {"schedule": {"cron": "0 1 * * *"}, "slug": "s", "active": false}]});
    let made = raw(&url, reqwest::Method::POST, "deployments/", &body).await;
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
    let other = client(&url, Auth::None);
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
    let labels = get(&format!("deployments/{}", live.handle)).await["labels"].clone();
    assert_eq!(labels["team"], "news");
    assert_eq!(labels["flowyard.project"], "projects/news/load_dn");
}

#[tokio::test]
async fn a_shared_concurrency_limit_is_left_to_those_who_share_it() {
    let server = shared().await;
    let url = shared_url();
    let limit = raw(
        &url,
        reqwest::Method::POST,
        "v2/concurrency_limits/",
        &json!({"name": "database", "limit": 9}),
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
    raw(
        &url,
        reqwest::Method::PATCH,
        &format!("deployments/{handle}"),
        &attach,
    )
    .await;
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
        get("v2/concurrency_limits/database").await["limit"],
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
    let url = shared_url();
    raw(
        &url,
        reqwest::Method::POST,
        "work_pools/pp/queues",
        &json!({"name": "high"}),
    )
    .await;
    raw(
        &url,
        reqwest::Method::POST,
        "variables/",
        &json!({"name": "there", "value": 1}),
    )
    .await;
    let kind = get("block_types/slug/secret").await["id"].clone();
    let filter = json!({"block_schemas": {"block_type_id": {"any_": [kind]}}, "limit": 1});
    let schema =
        raw(&url, reqwest::Method::POST, "block_schemas/filter", &filter).await[0]["id"].clone();
    let block = json!({"name": "token", "data": {"value": "x"}, "block_schema_id": schema, "block_type_id": kind});
    raw(&url, reqwest::Method::POST, "block_documents/", &block).await;

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

/// Registers many at once, with as many in flight as a caller may have.
async fn register_all(server: &Server, wanted: &[Registration]) {
    stream::iter(wanted)
        .map(|registration| async move { server.register(registration, None, &BTreeSet::new()).await })
        .buffer_unordered(16)
        .try_collect::<Vec<String>>()
        .await
        .expect("registrations");
}

#[tokio::test]
async fn more_than_a_page_is_read_whole_and_removed() {
    // A server of its own: nobody else's deployments come and go meanwhile.
    let own = tokio::task::spawn_blocking(prefect::Server::start)
        .await
        .expect("a server");
    let server = client(&own.api_url(), Auth::None);
    // The same name in every flow, which is what sorting by name cannot tell apart.
    let wanted: Vec<Registration> = (0..450)
        .map(|index| {
            registration(
                &id(&format!("flow {}", index / 2), ["a", "b"][index % 2]),
                Fields::new(),
            )
        })
        .collect();
    register_all(&server, &wanted).await;

    let ids: BTreeSet<DeploymentId> = wanted
        .iter()
        .map(|registration| registration.id.clone())
        .collect();
    let all = server.read(&Question::default()).await.expect("a reading");
    assert_eq!(
        all.deployments.keys().cloned().collect::<BTreeSet<_>>(),
        ids
    );
    let some: Vec<DeploymentId> = ids.iter().step_by(2).cloned().collect();
    let narrowed: Live = server.read(&of(&some)).await.expect("a reading");
    assert_eq!(narrowed.deployments.into_keys().collect::<Vec<_>>(), some);

    let gone = id("flow 7", "a");
    let live = &all.deployments[&gone];
    server.remove(&gone, live).await.expect("a removal");
    server
        .remove(&gone, live)
        .await
        .expect("what is gone already");
    let left = server
        .read(&of(&[gone.clone(), id("flow 7", "b")]))
        .await
        .expect("a reading");
    assert_eq!(
        left.deployments.into_keys().collect::<Vec<_>>(),
        [id("flow 7", "b")]
    );
    // Removed behind our back: a change makes it anew.
    let again = registration(&gone, Fields::from([(Field::Version, json!("2"))]));
    let handle = server
        .register(&again, Some(live), &BTreeSet::from([Field::Version]))
        .await
        .expect("a registration");
    assert_ne!(handle, live.handle);
}

#[tokio::test]
async fn a_wrong_auth_string_is_denied_and_the_right_one_is_not() {
    let variables = [("PREFECT_SERVER_API_AUTH_STRING", "admin:pass")];
    let own = tokio::task::spawn_blocking(move || prefect::Server::start_with(&variables))
        .await
        .expect("a server");
    let url = own.api_url();
    for auth in [
        Auth::None,
        Auth::Basic("admin:wrong".to_owned().into()),
        Auth::ApiKey("pnu_x".to_owned().into()),
    ] {
        let error = client(&url, auth)
            .read(&Question::default())
            .await
            .expect_err("a refusal");
        assert_eq!(error.kind, Kind::Denied);
        let hint = error.hint.clone().unwrap_or_default();
        assert!(
            hint.contains("PREFECT_API_KEY") && hint.contains("PREFECT_API_AUTH_STRING"),
            "{hint}"
        );
        assert!(
            !format!("{error:?}").contains("wrong\"") && !format!("{error:?}").contains("pnu_x")
        );
    }
    let right = client(&url, Auth::Basic("admin:pass".to_owned().into()));
    right.read(&Question::default()).await.expect("a reading");
    let wanted = registration(&id("Guarded", "d"), Fields::new());
    right
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    // Ended with all of its processes, so that no test leaves one behind.
    drop(own);
    let port = url.parse::<url::Url>().expect("a URL").port();
    assert!(!answers(port.expect("a port")));
}

#[tokio::test]
async fn a_server_with_csrf_protection_is_written_to() {
    let variables = [("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true")];
    let own = tokio::task::spawn_blocking(move || prefect::Server::start_with(&variables))
        .await
        .expect("a server");
    let server = client(&own.api_url(), Auth::None);
    server.read(&Question::default()).await.expect("a reading");
    let wanted = registration(&id("Protected", "d"), Fields::new());
    server
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
}

#[tokio::test]
async fn a_wrong_url_is_told_soon() {
    let url = format!("http://127.0.0.1:{}/api", free_port());
    let start = Instant::now();
    let error = client(&url, Auth::None)
        .read(&Question::default())
        .await
        .expect_err("nobody there");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.service.contains(&url), "{error}");
    assert!(error.hint.expect("a hint").contains("PREFECT_API_URL"));

    shared().await;
    let root = shared_url().trim_end_matches("/api").to_owned();
    let error = client(&root, Auth::None)
        .read(&Question::default())
        .await
        .expect_err("no API there");
    assert!(error.hint.expect("a hint").contains("/api"));
}

/// A worker of the same machine copies a release from a folder, runs it, and leaves the release as it was.
#[tokio::test]
async fn a_worker_runs_a_release_from_a_folder() {
    shared().await;
    let url = shared_url();
    let store = tempfile::tempdir_in(tools_dir()).expect("a folder");
    let release = ReleaseRef {
        project: RepoPath::new("projects/hello"),
        digest: Digest::of(b"hello"),
    };
    let folder = store.path().join(release.folder());
    std::fs::create_dir_all(folder.join("lib")).expect("create the release");
    let flow = "from prefect import flow\nfrom lib.word import WORD\n\n@flow\ndef hello():\n    \
                open('made.txt', 'w').write(WORD)\n    print(WORD)\n";
    std::fs::write(folder.join("flow.py"), flow).expect("write the flow");
    std::fs::write(folder.join("lib/word.py"), "WORD = 'hello'\n").expect("write the library");

    let body = json!({"name": "folders", "type": "process"});
    raw(&url, reqwest::Method::POST, "work_pools/", &body).await;
    let server = Server::new(Options {
        api_url: url.parse().expect("a URL"),
        ui_url: None,
        auth: Auth::None,
        pull: Pull::Folder {
            path: store.path().to_owned(),
        },
        http: http(),
    })
    .expect("valid options");
    let id = id("hello", "from a folder");
    let fields = Fields::from([
        (
            Field::Code,
            json!(format!("projects/hello@{}", release.digest)),
        ),
        (Field::Entrypoint, json!("flow.py:hello")),
        (Field::WorkPool, json!("folders")),
    ]);
    let wanted = registration(&id, fields);
    let handle = server
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    assert_same(&read(&server, &id).await.fields, &wanted.fields);
    let run_of = format!("deployments/{handle}/create_flow_run");
    let started = raw(&url, reqwest::Method::POST, &run_of, &json!({})).await;

    let home = tempfile::tempdir_in(tools_dir()).expect("a folder");
    let api = url.clone();
    let worked = home.path().to_owned();
    tokio::task::spawn_blocking(move || {
        let mut worker: Command = prefect::cli();
        worker
            .args([
                "worker",
                "start",
                "--pool",
                "folders",
                "--type",
                "process",
                "--run-once",
            ])
            .env("PREFECT_API_URL", api)
            .env("PREFECT_HOME", &worked)
            .env("DO_NOT_TRACK", "1")
            .current_dir(&worked);
        run(&mut worker);
    })
    .await
    .expect("a worker");
    let run = get(&format!(
        "flow_runs/{}",
        started["id"].as_str().expect("a run")
    ))
    .await;
    assert_eq!(run["state_type"], "COMPLETED", "{}", run["state"]);
    let mut left: Vec<String> = std::fs::read_dir(&folder)
        .expect("list the release")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    left.sort();
    assert_eq!(left, ["flow.py", "lib"]);
    assert!(!folder.join("lib/__pycache__").exists());
}

/// A double that gives its version, and one answer after the other to `POST /flows/`.
async fn double(answers: Vec<ResponseTemplate>) -> MockServer {
    let double = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/admin/version"))
        .respond_with(ResponseTemplate::new(200).set_body_json("3.8.8"))
        .mount(&double)
        .await;
    for answer in answers {
        Mock::given(method("POST"))
            .and(path("/api/flows/"))
            .respond_with(answer)
            .up_to_n_times(1)
            .mount(&double)
            .await;
    }
    Mock::given(method("POST"))
        .and(path("/api/flows/"))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"id": "F", "name": "f"})))
        .mount(&double)
        .await;
    let made = json!({"id": "D", "name": "d", "flow_id": "F"});
    Mock::given(method("POST"))
        .and(path("/api/deployments/"))
        .respond_with(ResponseTemplate::new(201).set_body_json(made))
        .mount(&double)
        .await;
    double
}

async fn register_at(double: &MockServer) -> Result<Duration, Error> {
    let server = client(&format!("{}/api", double.uri()), Auth::None);
    let start = Instant::now();
    let wanted = registration(&id("f", "d"), Fields::new());
    let handle = server.register(&wanted, None, &BTreeSet::new()).await?;
    assert_eq!(handle, "D");
    Ok(start.elapsed())
}

#[tokio::test]
async fn retry_after_is_kept_to() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "2");
    let double = double(vec![busy]).await;
    let took = register_at(&double).await.expect("a registration");
    assert!(took >= Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_locked_database_and_a_gateway_are_waited_for() {
    let locked = ResponseTemplate::new(503)
        .set_body_json(json!({"exception_message": "Service Unavailable"}));
    let double = double(vec![locked.clone(), locked, ResponseTemplate::new(502)]).await;
    register_at(&double).await.expect("a registration");
}

#[tokio::test]
async fn a_crash_is_not_repeated() {
    let crash = ResponseTemplate::new(500)
        .set_body_json(json!({"exception_message": "Internal Server Error"}));
    let double = double(vec![crash]).await;
    let error = register_at(&double).await.expect_err("a crash");
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(
        error
            .message
            .starts_with("registering the flow `f`: Internal Server Error (500"),
        "{error}"
    );
}

#[tokio::test]
async fn a_web_page_is_told_as_such() {
    let page = ResponseTemplate::new(200).set_body_raw("<!doctype html><html></html>", "text/html");
    let double = double(vec![page]).await;
    let error = register_at(&double).await.expect_err("a page");
    assert!(error.message.contains("web page"), "{error}");
    assert!(error.hint.expect("a hint").contains("/api"));
}

#[tokio::test]
async fn old_servers_are_refused_before_anything_is_written() {
    let double = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/admin/version"))
        .respond_with(ResponseTemplate::new(200).set_body_json("2.20.26"))
        .expect(1)
        .mount(&double)
        .await;
    let error = register_at(&double).await.expect_err("too old");
    assert!(error.message.contains("2.20.26"), "{error}");
}

#[tokio::test]
async fn an_expired_csrf_token_is_replaced_once_for_all() {
    let double = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/admin/version"))
        .respond_with(ResponseTemplate::new(200).set_body_json("3.8.8"))
        .mount(&double)
        .await;
    for token in ["one", "two"] {
        Mock::given(method("GET"))
            .and(path("/api/csrf-token"))
            .respond_with(
                ResponseTemplate::new(200).set_body_json(json!({"token": token, "client": "x"})),
            )
            .up_to_n_times(1)
            .expect(1)
            .mount(&double)
            .await;
    }
    // `one` is good for the flow and has expired by the time of the deployment.
    Mock::given(method("POST"))
        .and(path("/api/flows/"))
        .and(header("Prefect-Csrf-Token", "one"))
        .and(header_exists("Prefect-Csrf-Client"))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"id": "F", "name": "f"})))
        .expect(1)
        .mount(&double)
        .await;
    Mock::given(method("POST"))
        .and(path("/api/deployments/"))
        .and(header("Prefect-Csrf-Token", "two"))
        .respond_with(
            ResponseTemplate::new(201)
                .set_body_json(json!({"id": "D", "name": "d", "flow_id": "F"})),
        )
        .expect(1)
        .mount(&double)
        .await;
    let denied = |text: &str| ResponseTemplate::new(403).set_body_json(json!({"detail": text}));
    Mock::given(method("POST"))
        .and(header_exists("Prefect-Csrf-Token"))
        .respond_with(denied("Invalid CSRF token or client identifier."))
        .mount(&double)
        .await;
    Mock::given(method("POST"))
        .respond_with(denied("Missing CSRF token."))
        .mount(&double)
        .await;
    register_at(&double).await.expect("a registration");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_anew() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind a port");
    let url = format!("http://{}/api", listener.local_addr().expect("an address"));
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.expect("a request");
            let line = String::from_utf8_lossy(&request[..length])
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            let answer = match (seen.len(), line.split(' ').nth(1)) {
                (0, _) => r#""3.8.8""#,
                // The request has been read, and perhaps carried out, when the connection breaks.
                (1, _) => "",
                (_, Some("/api/flows/")) => r#"{"id": "F", "name": "f"}"#,
                _ => r#"{"id": "D", "name": "d", "flow_id": "F"}"#,
            };
            seen.push(line);
            if !answer.is_empty() {
                let length = answer.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                socket
                    .write_all((head + answer).as_bytes())
                    .await
                    .expect("answer");
            }
        }
        seen
    });
    let wanted = registration(&id("f", "d"), Fields::new());
    client(&url, Auth::None)
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let seen = seen.await.expect("requests");
    assert_eq!(seen[1], seen[2], "the same request again");
}

/// Fifty deployments through the limit, and fifty more by a bare client that sends the two requests each, one after the
/// other, to the same server, by turns of ten. Nothing is lost, and the limit is not slower than twice the bare client,
/// which leaves room for a busy machine; the numbers proper are printed.
#[tokio::test]
async fn fifty_deployments_cost_little_more_than_their_requests() {
    const TURNS: usize = 5;
    let own = tokio::task::spawn_blocking(prefect::Server::start)
        .await
        .expect("a server");
    let url = own.api_url();
    let server = client(&url, Auth::None);
    let ours = |turn: usize| -> Vec<Registration> {
        let of = |index| {
            let fields = Fields::from([
                (Field::Code, code("1")),
                (Field::Schedules, json!({"s": cron("0 4 * * *")})),
                (Field::Entrypoint, json!("flow.py:load")),
            ]);
            registration(&id(&format!("ours {turn} {index}"), "d"), fields)
        };
        (0..10).map(of).collect()
    };
    let http = http();
    let bare = async |turn: usize| {
        for index in 0..10 {
            let flow = json!({"name": format!("bare {turn} {index}")});
            let flow = persist(&http, &format!("{url}/flows/"), &flow).await;
            let schedule =
                json!({"cron": "0 4 * * *", "timezone": "Europe/Berlin", "day_or": true});
            let body = json!({"name": "d", "flow_id": flow["id"], "entrypoint": "flow.py:load",
                "labels": {"a": "b", "c": "d", "e": "f"}, "pull_steps": [{"x.y": {"folder": "f"}}],
                "schedules": [{"schedule": schedule, "active": true, "slug": "s", "parameters": {}}]});
            persist(&http, &format!("{url}/deployments/"), &body).await;
        }
    };
    // The first requests of a server are slower than all others.
    bare(TURNS).await;
    server.read(&Question::default()).await.expect("a reading");
    let (mut our_time, mut bare_time) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..TURNS {
        let start = Instant::now();
        bare(turn).await;
        bare_time += start.elapsed();
        let start = Instant::now();
        register_all(&server, &ours(turn)).await;
        our_time += start.elapsed();
    }
    println!("50 deployments: ours {our_time:?}, bare and one by one {bare_time:?}");
    let live = server.read(&Question::default()).await.expect("a reading");
    let ids = live.deployments.keys();
    assert_eq!(ids.filter(|id| id.flow.starts_with("ours")).count(), 50);
    assert!(
        our_time < bare_time * 2,
        "ours {our_time:?}, bare {bare_time:?}"
    );
}

/// Posts until it is taken.
async fn persist(http: &reqwest::Client, url: &str, body: &Value) -> Value {
    loop {
        match http.post(url).json(body).send().await {
            Ok(answer) if answer.status().is_success() => {
                return answer.json().await.expect("an object");
            }
            _ => {}
        }
    }
}
