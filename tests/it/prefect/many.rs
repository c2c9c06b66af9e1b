//! Many deployments on a real server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flowyard::backend::prefect::{Auth, Server};
use flowyard::backend::{Kind, Orchestrator, Question};
use flowyard::model::{DeploymentId, Field, Fields, Live, Registration};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::{client, code, cron, id, of, registration};
use crate::services::{self, machine, prefect};

#[tokio::test]
async fn more_than_a_page_is_read_whole_and_removed() {
    // A server of its own: nobody else's deployments come and go meanwhile.
    let own = prefect::Server::start();
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

/// Registers many at once, with as many in flight as a caller may have. What a starved server refuses too often is tried
/// again, as people do it.
async fn register_all(server: &Server, wanted: &[Registration]) {
    const ROUNDS: usize = 5;
    let mut left: Vec<&Registration> = wanted.iter().collect();
    for _ in 0..ROUNDS {
        let register = |one| async move {
            let result = server.register(one, None, &BTreeSet::new()).await;
            (one, result)
        };
        let done: Vec<_> = stream::iter(left)
            .map(register)
            .buffer_unordered(16)
            .collect()
            .await;
        let refused = done.into_iter().filter_map(|(one, result)| {
            let error = result.err()?;
            assert_eq!(error.kind, Kind::Unavailable, "{error}");
            Some(one)
        });
        left = refused.collect();
    }
    assert_eq!(left.len(), 0, "registrations that no round could make");
}

/// Fifty deployments through the limit, and fifty more by a bare client that sends the two requests each, one after the
/// other, to the same server, by turns of ten. Nothing is lost, and in its best turn the limit is not slower than twice the
/// bare client in its own: what else the machine does only ever adds time. The numbers are printed.
#[tokio::test]
#[expect(
    clippy::print_stdout,
    reason = "the numbers, for those who ask with --nocapture"
)]
async fn fifty_deployments_cost_little_more_than_their_requests() {
    const TURNS: usize = 5;
    let own = prefect::Server::start();
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
    let http = services::client();
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
    let _alone = machine::alone();
    let (mut our_time, mut bare_time) = (Duration::MAX, Duration::MAX);
    for turn in 0..TURNS {
        let start = Instant::now();
        bare(turn).await;
        bare_time = bare_time.min(start.elapsed());
        let start = Instant::now();
        register_all(&server, &ours(turn)).await;
        our_time = our_time.min(start.elapsed());
    }
    println!("10 deployments: ours {our_time:?}, bare and one by one {bare_time:?}");
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
