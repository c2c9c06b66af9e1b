//! Triggers on a real server, and service level agreements at a double of Prefect Cloud, which no test can have.

use std::collections::BTreeSet;
use std::time::Duration;

use flowyard::backend::Orchestrator;
use flowyard::backend::prefect::{Auth, Options, Server};
use flowyard::model::{Field, Fields, LiveDeployment, same};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{
    api, assert_same, client, code, cron, id, of, owner, pull, read, registration, shared,
};
use crate::services::prefect;
use crate::services::process::wait_until;
use crate::services::proxy::{Fault, Proxy};

fn event(expect: &[&str]) -> Value {
    json!({"type": "event", "match": {}, "match_related": {}, "after": [], "expect": expect, "for_each": [],
           "posture": "Reactive", "threshold": 1, "within": 0.0})
}

fn trigger(of: impl Into<Value>) -> Value {
    let of = of.into();
    json!({"enabled": true, "description": "", "trigger": of, "parameters": null, "job_variables": null})
}

/// One of every kind that a self-hosted server takes.
fn kinds() -> Value {
    let mut reactive = event(&["a.b", "c.*"]);
    reactive["match"] = json!({"prefect.resource.id": "x.*", "several": ["b", "a"]});
    reactive["match_related"] =
        json!([{"prefect.resource.role": "flow"}, {"prefect.resource.name": ["d"]}]);
    reactive["for_each"] = json!(["prefect.resource.id"]);
    reactive["threshold"] = json!(3);
    reactive["within"] = json!(90.5);
    let mut proactive = event(&["done", "again"]);
    proactive["expect"] = json!(["again", "done"]);
    proactive["posture"] = json!("Proactive");
    proactive["after"] = json!(["start"]);
    proactive["within"] = json!(86400.0);
    let mut reactive = trigger(reactive);
    reactive["parameters"] =
        json!({"n": "{{ event.resource.id }}", "deep": {"z": [1, null, 2.5], "a": true}});
    reactive["job_variables"] = json!({"env": {"A": "1"}});
    reactive["schedule_after"] = json!(120);
    reactive["description"] = json!("ünïcode\nand lines");
    let mut off = trigger(proactive);
    off["enabled"] = json!(false);
    off["parameters"] = json!({});
    let sequence =
        json!({"type": "sequence", "within": null, "triggers": [event(&["z"]), event(&["y"])]});
    // Of any resource at all, it would start runs because of the events of the runs that it starts.
    let mut any = event(&[]);
    any["match"] = json!({"prefect.resource.id": "nothing"});
    json!({
        "reactive": reactive,
        "off": off,
        "of two": trigger(json!({"type": "compound", "require": 2, "within": 3600.0,
            "triggers": [event(&["q"]), event(&["p"]), sequence]})),
        "all": trigger(json!({"type": "compound", "require": "all", "within": 60.0, "triggers": [event(&["q"])]})),
        "in order": trigger(sequence),
        "any event": trigger(any),
    })
}

fn fields(triggers: &Value) -> Fields {
    Fields::from([
        (Field::Code, code("1")),
        (Field::WorkPool, json!("pp")),
        (Field::Schedules, json!({"daily": cron("0 4 * * *")})),
        (Field::Triggers, triggers.clone()),
    ])
}

async fn automations(handle: &str) -> Vec<Value> {
    let path = format!("/automations/related-to/prefect.deployment.{handle}");
    let all = api().get(&path).await;
    let mut all = all.as_array().expect("a list").clone();
    all.sort_by_key(|one| one["name"].to_string());
    all
}

fn by_hand(handle: &str, name: &str) -> Value {
    json!({"name": name, "trigger": {"type": "event", "posture": "Reactive", "expect": ["by.hand"]},
           "actions": [{"type": "run-deployment", "source": "selected", "deployment_id": handle}]})
}

/// Registers a change of the triggers alone through a proxy, and gives the writes.
async fn change(live: &LiveDeployment, name: &str, triggers: &Value) -> Vec<String> {
    let proxy = Proxy::start(prefect::Server::shared().port());
    let server = client(
        &format!("http://127.0.0.1:{}/api", proxy.port()),
        Auth::None,
    );
    let wanted = registration(&id("Triggers", name), fields(triggers));
    server
        .register(&wanted, Some(live), &BTreeSet::from([Field::Triggers]))
        .await
        .expect("a registration");
    let recorded = proxy.take();
    let line = |one: &&crate::services::proxy::Exchange| {
        let end = one.path.find("/automations").expect("an automation");
        let kind = one.path[end..]
            .split('/')
            .take(2)
            .collect::<Vec<_>>()
            .join("/");
        format!("{} {kind}", one.method)
    };
    recorded.landed().iter().map(line).collect()
}

#[tokio::test]
async fn every_kind_reads_back_as_it_was_written_and_changes_alone() {
    let server = shared().await;
    let id = id("Triggers", "kinds");
    let mut triggers = kinds();
    let first = registration(&id, fields(&triggers));
    let handle = server
        .register(&first, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let live = read(&server, &id).await;
    assert_same(&live.fields, &first.fields);
    // As after a crash: nothing is made twice.
    server
        .register(&first, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let before = automations(&handle).await;
    assert_eq!(before.len(), 6);
    let scheduled = api().get(&format!("/deployments/{handle}")).await;

    assert_eq!(change(&live, "kinds", &triggers).await, [""; 0]);
    // One is switched off by hand in between, and stays so: the plan hands on what is live.
    triggers["all"]["enabled"] = json!(false);
    assert_eq!(
        change(&live, "kinds", &triggers).await,
        ["PATCH /automations"]
    );
    triggers["reactive"]["parameters"]["n"] = json!("{{ event.id }}");
    triggers.as_object_mut().expect("a mapping").remove("off");
    triggers["new"] = trigger(event(&["new"]));
    let live = read(&server, &id).await;
    assert_eq!(
        change(&live, "kinds", &triggers).await,
        [
            "DELETE /automations",
            "POST /automations",
            "PUT /automations"
        ]
    );
    let live = read(&server, &id).await;
    assert_same(&live.fields, &fields(&triggers));
    let after = automations(&handle).await;
    for one in &before {
        let same_id = after.iter().any(|other| other["id"] == one["id"]);
        assert_eq!(same_id, one["name"] != "off", "{}", one["name"]);
    }
    let now = api().get(&format!("/deployments/{handle}")).await;
    assert_eq!(
        now["updated"], scheduled["updated"],
        "the deployment itself was written"
    );

    assert_eq!(change(&live, "kinds", &json!({})).await.len(), 6);
    assert_eq!(automations(&handle).await, [json!(null); 0]);
}

#[tokio::test]
async fn what_was_made_by_hand_is_left_alone_and_a_copy_goes() {
    let server = shared().await;
    let id = id("Triggers", "by hand");
    let triggers = json!({"ours": trigger(event(&["a"]))});
    let first = registration(&id, fields(&triggers));
    let handle = server
        .register(&first, None, &BTreeSet::new())
        .await
        .expect("a registration");
    for name in ["theirs", "ours"] {
        api().post("/automations/", by_hand(&handle, name)).await;
    }
    let live = read(&server, &id).await;
    // The older one of a name is it.
    assert!(same(
        &live.fields[&Field::Triggers]["ours"],
        &triggers["ours"]
    ));
    assert_eq!(live.fields[&Field::Triggers]["theirs"]["enabled"], true);
    // As after a POST whose answer was lost.
    let ours = automations(&handle).await;
    let ours = ours
        .iter()
        .find(|one| one["trigger"]["expect"] == json!(["a"]));
    let mut copy = ours.expect("ours").clone();
    for key in ["id", "created", "updated"] {
        copy.as_object_mut().expect("a mapping").remove(key);
    }
    api().post("/automations/", copy).await;
    let mut live = read(&server, &id).await;
    assert_eq!(live.fields[&Field::Triggers]["ours"]["copies"], 2);
    // The plan leaves out what is not ours.
    let known = live
        .fields
        .get_mut(&Field::Triggers)
        .and_then(Value::as_object_mut);
    known.expect("triggers").remove("theirs");
    assert_eq!(
        change(&live, "by hand", &triggers).await,
        ["DELETE /automations"]
    );
    assert_eq!(
        change(&live, "by hand", &json!({})).await,
        ["DELETE /automations"]
    );
    let left: Vec<Value> = automations(&handle).await;
    let names: Vec<&Value> = left.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["ours", "theirs"]);
    assert!(
        left.iter()
            .all(|one| one["trigger"]["expect"] == json!(["by.hand"]))
    );
}

#[tokio::test]
async fn one_whose_answer_was_lost_is_there_once() {
    let server = shared().await;
    let id = id("Triggers", "lost");
    let first = registration(&id, fields(&json!({})));
    let handle = server
        .register(&first, None, &BTreeSet::new())
        .await
        .expect("a registration");
    let live = read(&server, &id).await;
    let proxy = Proxy::start(prefect::Server::shared().port());
    let lost = Fault::Lose(StatusCode::SERVICE_UNAVAILABLE);
    proxy.disturb(1, Method::POST, 0, lost);
    let through = format!("http://127.0.0.1:{}/api", proxy.port());
    let triggers = json!({"a": trigger(event(&["a"])), "b": trigger(event(&["b"]))});
    let wanted = registration(&id, fields(&triggers));
    client(&through, Auth::None)
        .register(&wanted, Some(&live), &BTreeSet::from([Field::Triggers]))
        .await
        .expect("a registration");
    let sent = proxy.take();
    let posts = sent.landed().into_iter();
    let posts = posts.filter(|one| one.path.ends_with("/automations/"));
    assert_eq!(posts.count(), 3, "one of the two landed twice");
    let left = automations(&handle).await;
    let names: Vec<&Value> = left.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn the_triggers_of_a_removed_deployment_go_with_it() {
    let server = shared().await;
    let id = id("Triggers", "removed");
    let triggers = json!({"a": trigger(event(&["a"])), "b": trigger(event(&["b"]))});
    let first = registration(&id, fields(&triggers));
    let handle = server
        .register(&first, None, &BTreeSet::new())
        .await
        .expect("a registration");
    api()
        .post("/automations/", by_hand(&handle, "theirs"))
        .await;
    let live = read(&server, &id).await;
    for _ in 0..2 {
        server.remove(&id, &live).await.expect("a removal");
    }
    let left = automations(&handle).await;
    let names: Vec<&Value> = left.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["theirs"]);
    let path = format!("/automations/{}", left[0]["id"].as_str().expect("an id"));
    api().call(Method::DELETE, &path, None).await;
}

#[tokio::test]
async fn an_event_and_the_lack_of_one_start_a_run() {
    let server = shared().await;
    let id = id("Triggers", "fires");
    let mut late = event(&["fires.never"]);
    late["posture"] = json!("Proactive");
    late["after"] = json!(["fires.start"]);
    late["within"] = json!(10.0);
    let mut now = trigger(event(&["fires.now"]));
    now["parameters"] = json!({"what": "{{ event.resource.id }}"});
    let mut late = trigger(late);
    late["parameters"] = json!({"what": "late"});
    let mut fields = fields(&json!({"now": now, "late": late}));
    fields.remove(&Field::Schedules);
    let wanted = registration(&id, fields);
    let handle = server
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    for name in ["fires.now", "fires.start"] {
        let event = json!([{"occurred": chrono::Utc::now().to_rfc3339(), "event": name, "payload": {},
            "id": uuid_of(name), "resource": {"prefect.resource.id": "the.resource"}, "related": []}]);
        api().post("/events", event).await;
    }
    let filter = json!({"deployments": {"id": {"any_": [handle]}}});
    let runs = wait_until(
        Duration::from_secs(90),
        "both triggers to fire",
        async || {
            let runs = api().post("/flow_runs/filter", filter.clone()).await;
            let mut runs: Vec<String> = runs
                .as_array()
                .expect("a list")
                .iter()
                .map(|run| run["parameters"]["what"].to_string())
                .collect();
            runs.sort();
            (runs.len() >= 2).then_some(runs)
        },
    )
    .await;
    assert_eq!(runs, [r#""late""#, r#""the.resource""#]);
}

/// An id for an event, which this server has not seen.
fn uuid_of(name: &str) -> String {
    let digest = flowyard::model::Digest::of(name.as_bytes()).to_string();
    format!(
        "{}-{}-4{}-8{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[12..15],
        &digest[15..18],
        &digest[18..30]
    )
}

#[tokio::test]
async fn what_only_the_cloud_has_is_refused_by_a_server() {
    let server = shared().await;
    let live = server.read(&of(&[])).await.expect("a reading");
    let refused: Vec<(Field, Option<&str>)> = live
        .refused
        .iter()
        .map(|one| (one.field, one.kind.as_deref()))
        .collect();
    assert_eq!(
        refused,
        [(Field::Triggers, Some("metric")), (Field::Slas, None)]
    );
}

/// A double that answers as Prefect's client expects of the Cloud, and a client that takes it for that.
async fn cloud() -> (MockServer, Server) {
    let double = MockServer::start().await;
    let base = "/api/accounts/A/workspaces/W";
    for (verb, end, status, answer) in [
        ("POST", "/automations/filter", 200, json!([])),
        (
            "POST",
            "/(deployments|flows|work_pools|work_queues)/filter",
            200,
            json!([]),
        ),
        ("POST", "/flows/", 201, json!({"id": "F", "name": "f"})),
        (
            "POST",
            "/deployments/",
            201,
            json!({"id": "D", "name": "d", "flow_id": "F"}),
        ),
        (
            "POST",
            "/slas/apply-resource-slas/prefect.deployment.D",
            200,
            json!({"created": [{"name": "fast"}], "updated": [], "deleted": []}),
        ),
    ] {
        Mock::given(method(verb))
            .and(path_regex(format!("^{base}{end}$")))
            .respond_with(ResponseTemplate::new(status).set_body_json(answer))
            .mount(&double)
            .await;
    }
    let http = reqwest::Client::builder()
        .no_proxy()
        .resolve("api.prefect.cloud", *double.address())
        .build()
        .expect("a client");
    let port = double.address().port();
    let server = Server::new(Options {
        api_url: format!("http://api.prefect.cloud:{port}{base}")
            .parse()
            .expect("a URL"),
        ui_url: None,
        auth: Auth::ApiKey("pnu_x".to_owned().into()),
        pull: pull(),
        http,
    })
    .expect("valid options");
    (double, server)
}

#[tokio::test]
async fn agreements_are_sent_to_the_cloud() {
    let (double, server) = cloud().await;
    let live = server.read(&of(&[])).await.expect("a reading");
    assert_eq!(live.refused, []);
    let id = id("f", "d");
    let slas = json!({"fast": {"enabled": true, "severity": "high", "duration": 600},
                      "fresh": {"enabled": true, "severity": "moderate", "stale_after": 3600}});
    let wanted = registration(&id, Fields::from([(Field::Slas, slas)]));
    let handle = server
        .register(&wanted, None, &BTreeSet::new())
        .await
        .expect("a registration");
    // Changed alone, they are all that is written.
    let live = LiveDeployment {
        handle,
        fields: Fields::new(),
        owner: Some(owner()),
    };
    let none = registration(&id, Fields::from([(Field::Slas, json!({}))]));
    server
        .register(&none, Some(&live), &BTreeSet::from([Field::Slas]))
        .await
        .expect("a registration");
    let requests = double.received_requests().await.expect("recorded");
    let sent: Vec<Value> = requests
        .iter()
        .filter(|one| one.url.path().contains("/slas/"))
        .map(|one| serde_json::from_slice(&one.body).expect("JSON"))
        .collect();
    assert_eq!(
        sent,
        [
            json!([
                {"name": "fast", "enabled": true, "severity": "high", "duration": 600,
                 "owner_resource": "prefect.deployment.D"},
                {"name": "fresh", "enabled": true, "severity": "moderate", "stale_after": 3600,
                 "owner_resource": "prefect.deployment.D"},
            ]),
            json!([])
        ]
    );
    let posts = requests
        .iter()
        .filter(|one| one.url.path().ends_with("/deployments/"));
    assert_eq!(posts.count(), 1);
}

#[tokio::test]
async fn a_server_without_automations_refuses_triggers() {
    let double = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/admin/version"))
        .respond_with(ResponseTemplate::new(200).set_body_json("3.8.8"))
        .mount(&double)
        .await;
    for end in ["deployments", "flows", "work_pools", "work_queues"] {
        Mock::given(method("POST"))
            .and(path(format!("/api/{end}/filter")))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!([])))
            .mount(&double)
            .await;
    }
    let server = client(&format!("{}/api", double.uri()), Auth::None);
    let live = server.read(&of(&[])).await.expect("a reading");
    assert_eq!(live.refused[0].field, Field::Triggers);
    assert_eq!(live.refused[0].kind, None);
}
