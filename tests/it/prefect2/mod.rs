//! Prefect 2 as an orchestrator, against a real server.

mod previews;
mod runs;

use std::collections::BTreeSet;
use std::sync::Arc;

use flowyard::backend::prefect::{Auth, Options, Pull, Server};
use flowyard::backend::{Kind, Orchestrator, Question};
use flowyard::model::{
    DeploymentId, Dialect, Digest, Field, Fields, LiveDeployment, Owner, Reference, Registration,
    RepoPath, Timing, same,
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::services;
use crate::services::prefect::{self, Api, Major};

/// The shared server with a pool `pp` and the blocks `azure/flows` and `process/prod`, for one test at a time: SQLite
/// refuses parallel writes.
struct Shared {
    server: Server,
    api: Api,
    _turn: MutexGuard<'static, bool>,
}

impl Shared {
    async fn wait() -> Self {
        static IS_SET: Mutex<bool> = Mutex::const_new(false);
        let mut turn = IS_SET.lock().await;
        let prefect = prefect::Server::shared_of(Major::Two);
        let api = prefect.api();
        if !*turn {
            api.create_process_pool("pp").await;
            let data = json!({"bucket_path": "code/flows/"});
            api.create_block("azure", "flows", data).await;
            let data = json!({"bucket_path": "elsewhere"});
            api.create_block("azure", "elsewhere", data).await;
            api.create_block("process", "prod", json!({"env": {}}))
                .await;
            *turn = true;
        }
        Self {
            server: client(&prefect.api_url()),
            api,
            _turn: turn,
        }
    }

    async fn read(&self, id: &DeploymentId) -> LiveDeployment {
        let question = Question {
            deployments: Some([id.clone()].into()),
            references: BTreeSet::new(),
        };
        let mut live = self.server.read(&question).await.expect("a reading");
        let deployment = live.deployments.remove(id);
        Arc::unwrap_or_clone(deployment.expect("a registered deployment"))
    }

    /// Registers a deployment that is not there yet, as far as the caller knows.
    async fn create(&self, wanted: &Registration) -> String {
        let handle = self.server.register(wanted, None, &BTreeSet::new()).await;
        handle.expect("a registration")
    }

    /// What the server holds, past flowyard.
    async fn raw(&self, handle: &str) -> Value {
        self.api.get(&format!("/deployments/{handle}")).await
    }
}

fn client(url: &str) -> Server {
    Server::new(Options {
        api_url: url.parse().expect("a URL"),
        ui_url: None,
        auth: Auth::None,
        pull: Pull::Azure {
            account_url: "https://acc.blob.core.windows.net".into(),
            container: "code".into(),
            prefix: "flows/prod".into(),
            credentials: Some("{{ prefect.blocks.azure-blob-storage-credentials.prod }}".into()),
        },
        http: services::client(),
    })
    .expect("valid options")
}

fn id(flow: &str, name: &str) -> DeploymentId {
    DeploymentId {
        flow: flow.into(),
        name: name.into(),
    }
}

fn owner() -> Owner {
    Owner {
        repository: "acme/flows".into(),
        environment: "prod".into(),
        project: RepoPath::new("projects/news/load_dn"),
    }
}

fn registration(id: &DeploymentId, fields: Fields) -> Registration {
    Registration {
        id: id.clone(),
        owner: owner(),
        fields,
    }
}

fn code(text: &str) -> Value {
    let digest = Digest::of(text.as_bytes());
    json!(format!("projects/news/load_dn@{digest}"))
}

/// Schedules in the form of the field, by what they say.
fn schedules(all: &[Value]) -> Value {
    let keyed = all.iter().map(|value| {
        let timing = Timing::of_value(value).expect("a schedule");
        (timing.key(), value.clone())
    });
    Value::Object(keyed.collect::<Map<_, _>>())
}

fn cron(text: &str) -> Value {
    json!({"cron": text, "timezone": "Europe/Berlin", "day_or": true, "parameters": {}, "active": true})
}

/// A value for every field that a deployment can have at once.
fn everything() -> Fields {
    let all = [
        json!({"cron": "0  4 * * *", "timezone": "Europe/Berlin", "day_or": false, "parameters": {}, "active": true}),
        json!({"cron": "@daily", "timezone": "UTC", "day_or": true, "parameters": {}, "active": true}),
        json!({"interval": 3600.0, "anchor_date": "2023-12-31T22:00:00Z", "timezone": "Europe/Berlin",
            "parameters": {}, "active": false, "max_scheduled_runs": 5}),
        json!({"interval": 7200.5, "anchor_date": "2024-01-01T00:00:00.500Z", "timezone": "UTC",
            "parameters": {}, "active": true}),
        json!({"rrule": "DTSTART:20240101T000000\nRRULE:FREQ=DAILY;BYHOUR=3", "timezone": "UTC",
            "parameters": {}, "active": true}),
    ];
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
        (Field::Schedules, schedules(&all)),
        (Field::Paused, json!(true)),
        (Field::WorkPool, json!("pp")),
        (Field::WorkQueue, json!("q1")),
        (
            Field::JobVariables,
            json!({"env": {"A": "{{ prefect.blocks.secret.x }}"}}),
        ),
    ])
}

fn assert_same(live: &Fields, wanted: &Fields) {
    for (field, value) in wanted {
        let found = live.get(field).unwrap_or(&Value::Null);
        let name = field.name();
        assert!(
            same(found, value),
            "{name}:\n found {found}\nwanted {value}"
        );
    }
}

#[tokio::test]
async fn every_field_reads_back_as_it_was_written() {
    let shared = Shared::wait().await;
    let dialect = shared.server.dialect().await.expect("a version");
    assert_eq!(dialect, Dialect::Prefect2);
    let id = id("Round Trip", "every field");
    let wanted = registration(&id, everything());
    let handle = shared.create(&wanted).await;
    let live = shared.read(&id).await;
    assert_eq!(live.handle, handle);
    assert_eq!(live.owner, Some(owner()));
    assert_same(&live.fields, &wanted.fields);
    let marks = [
        "a",
        "b",
        "flowyard:acme/flows@prod",
        "flowyard.project:projects/news/load_dn",
    ];
    assert_eq!(shared.raw(&handle).await["tags"], json!(marks));
    assert_eq!(
        shared.create(&wanted).await,
        handle,
        "doing it once more, as after a failure"
    );
    assert_same(&shared.read(&id).await.fields, &wanted.fields);

    // A reset of everything but the pool, which the server never takes away.
    let mut nothing: Fields = everything()
        .into_keys()
        .map(|field| (field, Value::Null))
        .collect();
    let changed = nothing.keys().copied().collect();
    let error = shared
        .server
        .register(&registration(&id, nothing.clone()), Some(&live), &changed)
        .await
        .expect_err("a pool that cannot be taken away");
    assert!(error.message.contains("work pool"), "{error}");
    nothing.insert(Field::WorkPool, json!("pp"));
    let bare = registration(&id, nothing);
    let reset = shared.server.register(&bare, Some(&live), &changed).await;
    reset.expect("a reset");
    let live = shared.read(&id).await;
    for (field, value) in &live.fields {
        let default = match field {
            Field::WorkPool => json!("pp"),
            Field::WorkQueue => json!("default"),
            _ => field.default_value(Dialect::Prefect2),
        };
        assert!(same(value, &default), "{}: {value}", field.name());
    }
    assert!(!live.fields.contains_key(&Field::Code));
    assert_eq!(live.owner, Some(owner()));
}

#[tokio::test]
async fn each_field_changes_alone_and_what_was_paused_stays_so() {
    let shared = Shared::wait().await;
    let id = id("Change", "one by one");
    let mut fields = everything();
    fields.remove(&Field::Paused);
    let first = registration(&id, fields.clone());
    let handle = shared.create(&first).await;
    // Someone pauses it in the UI, and one schedule too.
    let path = format!("/deployments/{handle}");
    shared.api.patch(&path, json!({"paused": true})).await;
    let raw = shared.raw(&handle).await;
    let daily = raw["schedules"].as_array().expect("schedules").iter();
    let mut daily = daily.filter(|one| one["schedule"]["cron"] == "@daily");
    let daily = daily.next().expect("the schedule")["id"].clone();
    let path = format!("{path}/schedules/{}", daily.as_str().expect("an id"));
    shared.api.patch(&path, json!({"active": false})).await;
    let daily = Timing::Cron {
        cron: "@daily".into(),
        timezone: "UTC".into(),
        day_or: true,
    };
    let mut kept = fields[&Field::Schedules].clone();
    kept[daily.key()]["active"] = json!(false);
    fields.insert(Field::Schedules, kept.clone());
    fields.insert(Field::Paused, json!(true));

    let mut edited = kept.as_object().expect("schedules").clone();
    edited.retain(|key, _| !key.starts_with("rrule"));
    let mut limited = cron("0 6 * * 1");
    limited["max_scheduled_runs"] = json!(4);
    if let Value::Object(more) = schedules(&[limited]) {
        edited.extend(more);
    }
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
        (Field::Schedules, Value::Object(edited)),
        (Field::WorkQueue, json!("q2")),
        (Field::JobVariables, json!({"env": {"B": "2"}})),
        (Field::JobVariables, json!({})),
        (Field::Infrastructure, json!("process/prod")),
        (Field::Storage, json!("azure/flows")),
        (Field::Code, code("3")),
        (Field::Storage, Value::Null),
    ];
    for (field, value) in changes {
        let live = shared.read(&id).await;
        assert_same(&live.fields, &fields);
        fields.insert(field, value);
        // As a plan gives it: what is live, and what is wanted over it.
        let mut whole = live.fields.clone();
        whole.extend(fields.clone());
        let next = registration(&id, whole);
        let changed = BTreeSet::from([field]);
        let same_handle = shared.server.register(&next, Some(&live), &changed).await;
        assert_eq!(same_handle.expect("an update"), handle);
        assert_same(&shared.read(&id).await.fields, &fields);
    }
}

#[tokio::test]
async fn a_deployment_of_the_old_kind_has_its_code_by_a_path() {
    let shared = Shared::wait().await;
    let id = id("Legacy", "by path");
    let fields = Fields::from([
        (Field::Code, code("1")),
        (Field::Entrypoint, json!("flow.py:load")),
        (Field::Storage, json!("azure/flows")),
        (Field::Infrastructure, json!("process/prod")),
        (Field::WorkQueue, json!("legacy")),
        (Field::JobVariables, json!({"env.FOO": "bar"})),
    ]);
    let wanted = registration(&id, fields.clone());
    let handle = shared.create(&wanted).await;
    let raw = shared.raw(&handle).await;
    let digest = Digest::of(b"1");
    assert_eq!(raw["path"], format!("prod/projects/news/load_dn/{digest}"));
    assert_eq!(raw["pull_steps"], Value::Null);
    assert_eq!(raw["infra_overrides"], json!({"env.FOO": "bar"}));
    assert!(raw["storage_document_id"].is_string());
    assert!(raw["infrastructure_document_id"].is_string());
    let live = shared.read(&id).await;
    assert_same(&live.fields, &fields);
    assert_eq!(live.fields[&Field::WorkPool], json!("default-agent-pool"));

    // Neither a block that is not there nor one that points elsewhere changes anything.
    for (block, kind, words) in [
        ("azure/nope", Kind::NotFound, ["`azure/nope`", "not found"]),
        (
            "azure/elsewhere",
            Kind::Other,
            ["`azure://elsewhere`", "`azure://code/flows/prod`"],
        ),
    ] {
        let mut other = fields.clone();
        other.insert(Field::Storage, json!(block));
        let other = registration(&id, other);
        let changed = BTreeSet::from([Field::Storage]);
        let error = shared.server.register(&other, Some(&live), &changed).await;
        let error = error.expect_err("a refusal");
        assert_eq!(error.kind, kind);
        assert!(
            words.iter().all(|word| error.message.contains(word)),
            "{error}"
        );
    }
    assert_eq!(shared.raw(&handle).await["updated"], raw["updated"]);

    // What no server of 2 has is never lost in silence.
    let mut more = fields;
    more.insert(Field::ConcurrencyLimit, json!(2));
    let changed = BTreeSet::from([Field::ConcurrencyLimit]);
    let error = shared
        .server
        .register(&registration(&id, more), Some(&live), &changed)
        .await
        .expect_err("a refusal");
    assert!(error.message.contains("no `concurrency_limit`"), "{error}");
}

#[tokio::test]
async fn a_deployment_of_someone_else_is_taken_over_and_removed() {
    let shared = Shared::wait().await;
    let flow = shared.api.post("/flows/", json!({"name": "Adopted"})).await;
    let timing = json!({"cron": "0 1 * * *", "timezone": "Europe/Berlin"});
    let body = json!({"name": "theirs", "flow_id": flow["id"], "tags": ["b", "a", "b"], "paused": true,
        "path": "/srv/flows", "infra_overrides": {"env": {"A": "1"}},
        "schedules": [{"schedule": timing, "active": false}, {"schedule": timing, "active": false},
            {"schedule": {"rrule": "FREQ=DAILY", "timezone": "UTC"}}]});
    let made = shared.api.post("/deployments/", body).await;
    let id = id("Adopted", "theirs");
    let live = shared.read(&id).await;
    assert_eq!(json!(live.handle), made["id"]);
    assert_eq!(live.owner, None);
    assert_eq!(live.fields[&Field::Code], json!("/srv/flows"));
    let keys: Vec<String> = live.fields[&Field::Schedules]
        .as_object()
        .expect("schedules")
        .keys()
        .map(|key| {
            key.chars()
                .take_while(|one| !one.is_ascii_digit())
                .collect()
        })
        .collect();
    assert_eq!(keys.len(), 3, "two that say the same are two: {keys:?}");

    // Only a tag is declared; the rest is what is live.
    let mut fields = live.fields.clone();
    fields.insert(Field::Tags, json!(["c"]));
    let ours = registration(&id, fields.clone());
    let changed = BTreeSet::from([Field::Tags]);
    let handle = shared.server.register(&ours, Some(&live), &changed).await;
    assert_eq!(handle.expect("a takeover"), live.handle);
    let now = shared.read(&id).await;
    assert_eq!(now.owner, Some(owner()));
    let raw = shared.raw(&now.handle).await;
    assert_eq!(raw["path"], "/srv/flows");
    assert_eq!(raw["paused"], true);
    assert_eq!(raw["infra_overrides"], json!({"env": {"A": "1"}}));
    assert_eq!(raw["schedules"].as_array().map(Vec::len), Some(3));

    shared.server.remove(&id, &now).await.expect("a removal");
    shared.server.remove(&id, &now).await.expect("no error");
    let all = shared.server.read(&Question::default()).await;
    assert!(!all.expect("a reading").deployments.contains_key(&id));
}

#[tokio::test]
async fn pools_and_blocks_are_found() {
    let shared = Shared::wait().await;
    let block = |name: &str| Reference::Block {
        kind: "azure".into(),
        name: name.into(),
    };
    let question = Question {
        deployments: Some(BTreeSet::new()),
        references: ["flows", "elsewhere", "nope"].map(block).into(),
    };
    let live = shared.server.read(&question).await.expect("a reading");
    assert_eq!(live.missing, [block("nope")].into());
    let elsewhere: Vec<_> = live.elsewhere.keys().cloned().collect();
    assert_eq!(elsewhere, [block("elsewhere")]);
    let pools = live.pools.expect("pools");
    assert!(pools.contains_key("pp") && pools.contains_key("default-agent-pool"));
    // The server is still there for what flowyard does not do.
    let pool = shared.api.call(Method::GET, "/work_pools/pp", None).await;
    assert_eq!(pool["name"], "pp");
}
