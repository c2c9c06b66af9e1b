//! Prefect as an orchestrator: against a real server, and against a double for what no server can be made to show.

mod access;
mod change;
mod faults;
mod many;
mod others;
mod triggers;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowyard::backend::prefect::{Auth, Options, Pull, Server};
use flowyard::backend::{Orchestrator, Question};
use flowyard::model::{
    DeploymentId, Digest, Fields, LiveDeployment, Owner, Registration, RepoPath, same,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::services::{self, prefect};

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
        http: services::client(),
    })
    .expect("valid options")
}

/// The shared server, which has a work pool `pp`, for one test at a time: SQLite refuses parallel writes, and tests that
/// wrote at once would wear out each other's patience on a busy machine.
struct Shared {
    server: Server,
    _turn: MutexGuard<'static, bool>,
}

impl std::ops::Deref for Shared {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Waits for the shared server.
async fn shared() -> Shared {
    static HAS_POOL: Mutex<bool> = Mutex::const_new(false);
    let mut turn = HAS_POOL.lock().await;
    if !*turn {
        let env = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let template = json!({"job_configuration": {"env": "{{ env }}"}, "variables": {"properties": {"env": env}}});
        let body = json!({"name": "pp", "type": "process", "base_job_template": template});
        api().post("/work_pools/", body).await;
        *turn = true;
    }
    Shared {
        server: client(&shared_url(), Auth::None),
        _turn: turn,
    }
}

fn shared_url() -> String {
    prefect::Server::shared().api_url()
}

/// The shared server past flowyard, as someone else uses it.
fn api() -> prefect::Api {
    prefect::Server::shared().api()
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
    let deployment = live.deployments.remove(id);
    Arc::unwrap_or_clone(deployment.expect("a registered deployment"))
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
    let deployment = api().get(&format!("/deployments/{handle}")).await;
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
