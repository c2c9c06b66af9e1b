//! A Prefect server on SQLite, of 3 or 2, its REST API as far as tests need it, and what runs flows: a worker or an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::machine;
use super::process::{self, Service, wait_until};

/// A major release of Prefect, each with an environment and servers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Major {
    /// 2.20, the last line of it.
    Two,
    /// 3.
    Three,
}

impl Major {
    fn name(self) -> &'static str {
        match self {
            Self::Two => "prefect2",
            Self::Three => "prefect3",
        }
    }

    /// The frozen list of packages.
    fn pins(self) -> &'static str {
        match self {
            Self::Two => include_str!("prefect2.txt"),
            Self::Three => include_str!("prefect3.txt"),
        }
    }

    /// The variable that says how often runs are added as time passes.
    fn scheduler_loop(self) -> &'static str {
        match self {
            Self::Two => "PREFECT_API_SERVICES_SCHEDULER_LOOP_SECONDS",
            Self::Three => "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS",
        }
    }

    /// A virtual environment with Prefect and prefect-azure, made on first use.
    pub(crate) fn venv(self) -> PathBuf {
        process::venv(self.name(), self.pins())
    }

    /// The database of a server that was never used, made on first use: its migrations cost as much as all else that a
    /// server does when it starts.
    fn database(self) -> PathBuf {
        process::installed(
            &format!("{}-database", self.name()),
            self.pins(),
            |folder| {
                process::run(
                    self.command(folder)
                        .args(["server", "database", "upgrade", "--yes"]),
                );
            },
        )
        .join("prefect.db")
    }

    /// A command of Prefect's that knows nothing of the settings of who runs the tests.
    pub(crate) fn command(self, home: &Path) -> Command {
        let mut command = Command::new(self.venv().join("bin/prefect"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PREFECT_") {
                command.env_remove(name);
            }
        }
        command
            .env("PREFECT_HOME", home)
            .env("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
            // The first servers of a release copy its files into the environment, one over the other's.
            .env("PREFECT_UI_ENABLED", "false")
            .env("DO_NOT_TRACK", "1")
            .current_dir(home);
        command
    }
}

/// Prefect 3's virtual environment.
pub(crate) fn venv() -> PathBuf {
    Major::Three.venv()
}

/// A command of Prefect 3's.
pub(crate) fn prefect(home: &Path) -> Command {
    Major::Three.command(home)
}

/// A running Prefect server.
pub(crate) struct Server {
    major: Major,
    port: u16,
    auth: Option<String>,
    _service: Service,
}

impl Server {
    /// Starts one that everybody may use.
    pub(crate) fn start() -> Self {
        Self::start_of(Major::Three)
    }

    /// Likewise, of a release.
    pub(crate) fn start_of(major: Major) -> Self {
        Self::start_with(major, None, &[])
    }

    /// Starts one that asks for `user:password`.
    pub(crate) fn start_with_auth(auth: &str) -> Self {
        Self::start_with(
            Major::Three,
            Some(auth),
            &[("PREFECT_SERVER_API_AUTH_STRING", auth)],
        )
    }

    /// Starts one that takes a write only with a CSRF token.
    pub(crate) fn start_with_csrf_protection() -> Self {
        Self::start_with(
            Major::Three,
            None,
            &[("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true")],
        )
    }

    fn start_with(major: Major, auth: Option<&str>, settings: &[(&str, &str)]) -> Self {
        let port = process::free_port();
        let folder = process::folder("prefect");
        fs::copy(major.database(), folder.join("prefect.db"))
            .expect("the target folder can be written");
        let mut command = major.command(&folder);
        command
            .args(["server", "start", "--host", "127.0.0.1", "--port"])
            .arg(port.to_string())
            // What a deploy touches is scheduled within seconds by another loop of the server; this one adds runs as
            // time passes, and a test that compares the scheduled runs before and after must not see them.
            .env(major.scheduler_loop(), "3600")
            .envs(settings.iter().copied());
        let _share = machine::share();
        let service = Service::start("prefect", folder, &mut command)
            .ready_when(Duration::from_secs(180), || {
                process::answers(port, "/api/health", "true")
            });
        Self {
            major,
            port,
            auth: auth.map(str::to_owned),
            _service: service,
        }
    }

    /// The one without authentication that tests of this process share; each uses names of its own.
    pub(crate) fn shared() -> &'static Self {
        Self::shared_of(Major::Three)
    }

    /// Likewise, of a release.
    pub(crate) fn shared_of(major: Major) -> &'static Self {
        static TWO: OnceLock<Server> = OnceLock::new();
        static THREE: OnceLock<Server> = OnceLock::new();
        let shared = match major {
            Major::Two => &TWO,
            Major::Three => &THREE,
        };
        shared.get_or_init(|| Self::start_of(major))
    }

    /// The release that it is of.
    pub(crate) fn major(&self) -> Major {
        self.major
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What `PREFECT_API_URL` is set to.
    pub(crate) fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }

    /// The API, for one test.
    pub(crate) fn api(&self) -> Api {
        self.at(self.port)
    }

    /// The API through the port of a proxy.
    pub(crate) fn at(&self, port: u16) -> Api {
        Api {
            url: format!("http://127.0.0.1:{port}/api"),
            auth: self.auth.clone(),
            client: super::client(),
        }
    }
}

/// A scheduled run as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScheduledRun {
    /// The run's id; a run that was deleted and scheduled again has another.
    pub(crate) id: String,
    /// When it is to start, as the server prints it.
    pub(crate) expected_start: String,
    /// The id of its deployment.
    pub(crate) deployment: String,
}

/// A run's state.
#[derive(Clone, Debug)]
pub(crate) struct RunState {
    /// `SCHEDULED`, `PENDING`, `RUNNING`, `COMPLETED`, `FAILED`, `CRASHED` …
    pub(crate) kind: String,
    /// What Prefect says about it, if anything.
    pub(crate) message: String,
}

impl RunState {
    /// Whether the run has ended, well or not.
    pub(crate) fn is_terminal(&self) -> bool {
        ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"].contains(&self.kind.as_str())
    }
}

/// Prefect's REST API, without any of flowyard's code.
pub(crate) struct Api {
    url: String,
    auth: Option<String>,
    client: reqwest::Client,
}

impl Api {
    /// A request and its answer; panics unless the answer is a success. An empty answer is `null`.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        // As long as flowyard has patience, and longer.
        const ATTEMPTS: u64 = 40;
        let mut attempt = 0;
        loop {
            let mut request = self
                .client
                .request(method.clone(), format!("{}{path}", self.url));
            if let Some(auth) = &self.auth {
                let (user, password) = auth.split_once(':').expect("auth is user:password");
                request = request.basic_auth(user, Some(password));
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            attempt += 1;
            let response = match request.send().await {
                // SQLite lets one write at a time, and the server then answers 503 or hangs up.
                Ok(response)
                    if response.status() == StatusCode::SERVICE_UNAVAILABLE
                        && attempt < ATTEMPTS =>
                {
                    None
                }
                Err(_) if attempt < ATTEMPTS => None,
                other => Some(other),
            };
            let Some(response) = response else {
                tokio::time::sleep(Duration::from_millis((200 * attempt).min(3000))).await;
                continue;
            };
            let response = response.unwrap_or_else(|e| panic!("{method} {path}: {e}"));
            let status = response.status();
            let text = response.text().await.expect("Prefect speaks UTF-8");
            // What was made, or removed, by a request whose answer got lost is so when it is repeated.
            let done_before = attempt > 1
                && (status == StatusCode::CONFLICT
                    || method == Method::DELETE && status == StatusCode::NOT_FOUND);
            assert!(
                status.is_success() || done_before,
                "{method} {path}: {status}: {text}"
            );
            if text.is_empty() {
                return Value::Null;
            }
            return serde_json::from_str(&text).expect("Prefect answers in JSON");
        }
    }

    /// The answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    /// The answer to a POST.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    /// The answer to a PATCH, which is `null` where there is nothing to say.
    pub(crate) async fn patch(&self, path: &str, body: Value) -> Value {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// Makes a work pool whose worker starts a process for each run.
    pub(crate) async fn create_process_pool(&self, name: &str) {
        let workers = self
            .get("/collections/views/aggregate-worker-metadata")
            .await;
        let template = &workers["prefect"]["process"]["default_base_job_configuration"];
        assert!(template.is_object(), "no template for process workers");
        let body = json!({"name": name, "type": "process", "base_job_template": template});
        self.post("/work_pools/", body).await;
    }

    /// Makes a block of a type that the server knows.
    pub(crate) async fn create_block(&self, kind: &str, name: &str, data: Value) {
        let block_type = self.get(&format!("/block_types/slug/{kind}")).await["id"].clone();
        let filter =
            json!({"block_schemas": {"block_type_id": {"any_": [block_type]}}, "limit": 1});
        let schema = self.post("/block_schemas/filter", filter).await[0]["id"].clone();
        let body = json!({
            "name": name,
            "data": data,
            "block_type_id": block_type,
            "block_schema_id": schema,
        });
        self.post("/block_documents/", body).await;
    }

    /// Makes the block that a worker reads the storage's connection string from.
    pub(crate) async fn create_azure_credentials(&self, name: &str, connection_string: &str) {
        let data = json!({"connection_string": connection_string});
        self.create_block("azure-blob-storage-credentials", name, data)
            .await;
    }

    /// Every deployment in full, by `flow/name`.
    pub(crate) async fn deployments(&self) -> BTreeMap<String, Value> {
        // Flows last: others may add some at the same time, and every deployment that was seen has one then.
        let deployments = self.all("/deployments/filter", json!({})).await;
        let mut names = BTreeMap::new();
        for flow in self.all("/flows/filter", json!({})).await {
            names.insert(text(&flow["id"]), text(&flow["name"]));
        }
        deployments
            .into_iter()
            .map(|one| {
                (
                    format!("{}/{}", names[&text(&one["flow_id"])], text(&one["name"])),
                    one,
                )
            })
            .collect()
    }

    /// Every run that waits for its time, of the deployments' schedules and made by hand.
    pub(crate) async fn scheduled_runs(&self) -> BTreeSet<ScheduledRun> {
        let filter = json!({"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}});
        let runs = self.all("/flow_runs/filter", filter).await;
        runs.into_iter()
            .map(|run| ScheduledRun {
                id: text(&run["id"]),
                expected_start: text(&run["expected_start_time"]),
                deployment: text(&run["deployment_id"]),
            })
            .collect()
    }

    /// Waits until every deployment that has an active schedule and is not paused has runs, and no more come.
    pub(crate) async fn wait_until_scheduled(&self) -> BTreeSet<ScheduledRun> {
        let deployments = self.deployments().await;
        let due: BTreeSet<_> = deployments
            .values()
            .filter(|one| one["paused"] == false)
            .filter(|one| {
                let schedules = one["schedules"].as_array();
                schedules.is_some_and(|all| all.iter().any(|schedule| schedule["active"] == true))
            })
            .map(|one| text(&one["id"]))
            .collect();
        let mut last = BTreeSet::new();
        let mut quiet = 0;
        wait_until(Duration::from_secs(180), "scheduling", async || {
            let runs = self.scheduled_runs().await;
            let served: BTreeSet<_> = runs.iter().map(|run| run.deployment.clone()).collect();
            quiet = if runs == last { quiet + 1 } else { 0 };
            last = runs;
            // Longer than the five seconds of the server's loop over what was touched lately.
            if quiet <= 28 {
                return None;
            }
            if due.is_subset(&served) {
                return Some(last.clone());
            }
            // That loop looks at what was touched in the last six seconds: late once, or with its database locked, it
            // never comes back to a deployment. Asked for them, the server makes the same runs.
            for missed in due.difference(&served) {
                self.post(&format!("/deployments/{missed}/schedule"), json!({}))
                    .await;
            }
            quiet = 0;
            None
        })
        .await
    }

    /// Makes a run of a deployment that is due now, and gives its id.
    pub(crate) async fn create_run(&self, deployment_id: &str) -> String {
        let path = format!("/deployments/{deployment_id}/create_flow_run");
        let run = self
            .post(&path, json!({"state": {"type": "SCHEDULED"}}))
            .await;
        text(&run["id"])
    }

    /// A run's state.
    pub(crate) async fn run_state(&self, run_id: &str) -> RunState {
        let state = &self.get(&format!("/flow_runs/{run_id}")).await["state"];
        RunState {
            kind: text(&state["type"]),
            message: state["message"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// All pages of a `filter` request.
    async fn all(&self, path: &str, mut filter: Value) -> Vec<Value> {
        const PAGE: usize = 200;
        let mut found = BTreeMap::new();
        for offset in (0..).step_by(PAGE) {
            filter["limit"] = PAGE.into();
            filter["offset"] = offset.into();
            let page = self.post(path, filter.clone()).await;
            let page = page.as_array().expect("a filter gives a list");
            for item in page {
                // Pages overlap where the sorting is not unique.
                found.insert(text(&item["id"]), item.clone());
            }
            if page.len() < PAGE {
                break;
            }
        }
        found.into_values().collect()
    }
}

/// The text of a JSON string.
fn text(value: &Value) -> String {
    let text = value.as_str();
    text.unwrap_or_else(|| panic!("{value} is no string"))
        .to_owned()
}

/// A process that takes runs, up to four at a time.
pub(crate) struct Worker {
    service: Service,
    _share: machine::Share,
}

impl Worker {
    /// Starts a process worker that takes the runs of all queues of a pool.
    pub(crate) fn start(server: &Server, pool: &str) -> Self {
        let arguments = ["worker", "start", "--type", "process", "--pool", pool];
        let quiet = ["--limit", "4", "--install-policy", "never"];
        let settings = [("PREFECT_WORKER_QUERY_SECONDS", "2")];
        Self::run(server, &[&arguments[..], &quiet[..]].concat(), &settings)
    }

    /// Starts an agent, as there were in Prefect 2, that takes the runs of a queue of the default pool.
    pub(crate) fn start_agent(server: &Server, queue: &str) -> Self {
        let arguments = ["agent", "start", "--work-queue", queue, "--limit", "4"];
        let settings = [("PREFECT_AGENT_QUERY_INTERVAL", "2")];
        Self::run(server, &arguments, &settings)
    }

    fn run(server: &Server, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let share = machine::share();
        let folder = process::folder("worker");
        let mut command = server.major.command(&folder);
        command
            .args(arguments)
            .envs(settings.iter().copied())
            .env("PREFECT_API_URL", server.api_url());
        if let Some(auth) = &server.auth {
            command.env("PREFECT_API_AUTH_STRING", auth);
        }
        Self {
            service: Service::start("worker", folder, &mut command),
            _share: share,
        }
    }

    /// Panics with the log if the worker has ended.
    pub(crate) fn expect_running(&mut self) {
        self.service.expect_running();
    }

    /// All that the worker and its runs wrote so far.
    pub(crate) fn log(&self) -> String {
        self.service.log()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_with_a_password_asks_for_it() {
        let server = Server::start_with_auth("kari:hemmelig");
        server.api().create_process_pool("behind-a-password").await;
        let url = format!("{}/work_pools/behind-a-password", server.api_url());
        let stranger = crate::services::client()
            .get(url)
            .send()
            .await
            .expect("it answers");
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn each_major_release_has_servers_of_its_own() {
        for (major, begins) in [(Major::Two, "2.20."), (Major::Three, "3.")] {
            let version = Server::shared_of(major).api().get("/admin/version").await;
            let version = version.as_str().expect("a text").to_owned();
            assert!(version.starts_with(begins), "{version}");
        }
    }
}
