//! Prefect 3 and 2, over their REST API.
//!
//! A server of 2.20 or a later 2 (`two` says what is otherwise there), of 3.2 or later, or Prefect Cloud: from 3.2 on
//! schedules have slugs, deployments have labels (our mark), and a PATCH takes pull steps, which is what "only what
//! changed is touched" rests on. The API is described at <https://docs.prefect.io/v3/api-ref/rest-api>; where it behaves
//! otherwise, the code says so.

mod automation;
mod beside;
mod body;
mod check;
mod fault;
mod http;
mod limit;
mod normal;
mod pull;
mod read;
mod two;
mod version;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use url::Url;

pub use self::http::Auth;
pub use self::pull::Pull;

use self::body::{Write, runs_of};
use self::check::check;
use self::http::{Http, Request};
use self::version::Version;
use super::{Error, Kind, Orchestrator, Question, Result};
use crate::model::{DeploymentId, Dialect, Field, Live, LiveDeployment, Registration};

/// What stays as it is in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// How to reach a server, and how its workers reach releases.
#[derive(Clone, Debug)]
pub struct Options {
    /// `PREFECT_API_URL`: `http://127.0.0.1:4200/api`, or
    /// `https://api.prefect.cloud/api/accounts/<id>/workspaces/<id>`.
    pub api_url: Url,
    /// Where people look at it, if not where it can be guessed from `api_url` (`PREFECT_UI_URL`).
    pub ui_url: Option<Url>,
    /// Who we are.
    pub auth: Auth,
    /// How a worker gets a release.
    pub pull: Pull,
    /// The client that all backends share; its connection timeout holds here too.
    pub http: reqwest::Client,
}

/// A Prefect server.
#[derive(Debug)]
pub struct Server {
    http: Http,
    /// Where people look at it, without a slash at its end.
    ui: String,
    cloud: bool,
    pull: Pull,
    version: OnceCell<Version>,
    /// Ids by name; a cell for each, so that a flow is posted once however many of its deployments are under way.
    flows: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    /// The labels of the deployments that were read, by handle: a POST has to send them all.
    labels: Mutex<HashMap<String, Map<String, Value>>>,
    /// The blocks that were looked up, by type and name.
    blocks: Mutex<HashMap<String, wire::Block>>,
}

impl Server {
    /// Makes a client; sends nothing yet.
    ///
    /// # Errors
    ///
    /// [`Kind::Denied`] where the key cannot be sent in a header.
    pub fn new(options: Options) -> Result<Self> {
        let base = options.api_url.as_str().trim_end_matches('/').to_owned();
        let mut shown = options.api_url.clone();
        // Fails only for URLs that cannot have them.
        let _ = shown.set_password(None);
        let _ = shown.set_username("");
        let subject = format!("Prefect at {}", shown.as_str().trim_end_matches('/'));
        let cloud = options
            .api_url
            .host_str()
            .is_some_and(|host| host.ends_with("prefect.cloud"));
        let ui = match &options.ui_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => guess_ui(&shown, cloud),
        };
        Ok(Self {
            http: Http::new(options.http, base, subject, &options.auth)?,
            ui,
            cloud,
            pull: options.pull,
            version: OnceCell::new(),
            flows: Mutex::default(),
            labels: Mutex::default(),
            blocks: Mutex::default(),
        })
    }

    /// The server's version, asked for once; refuses those that are too old. Prefect Cloud is always the newest.
    async fn version(&self) -> Result<Version> {
        let version = self.version.get_or_try_init(|| async {
            if self.cloud {
                return Ok(Version::NEWEST);
            }
            let request = Request::new(Method::GET, "admin/version", "asking for the version");
            let text: String = self.http.ask(&request).await?;
            Version::supported(&text).map_err(|message| {
                Error::new(Kind::Other, self.http.subject(), message)
                    .hint("upgrade the server to Prefect 2.20 or 3.2, or later")
            })
        });
        version.await.copied()
    }

    /// A flow's id; registers the flow where it is new, and changes nothing about one that is there.
    async fn flow(&self, name: &str) -> Result<String> {
        let cell = Arc::clone(lock(&self.flows).entry(name.to_owned()).or_default());
        let id = cell.get_or_try_init(|| async {
            let request = Request::new(
                Method::POST,
                "flows/",
                format!("registering the flow `{name}`"),
            )
            .body(json!({"name": name}));
            self.http
                .ask::<wire::Flow>(&request)
                .await
                .map(|flow| flow.id)
        });
        id.await.cloned()
    }

    async fn deployment(&self, handle: &str, what: &str) -> Result<wire::Deployment> {
        let path = format!("deployments/{}", encode(handle));
        self.http.ask(&Request::new(Method::GET, path, what)).await
    }

    /// The labels of a deployment that is there; none where it is gone meanwhile.
    async fn labels(&self, handle: &str, what: &str) -> Result<Map<String, Value>> {
        if let Some(labels) = lock(&self.labels).get(handle) {
            return Ok(labels.clone());
        }
        match self.deployment(handle, what).await {
            Ok(deployment) => Ok(deployment.labels),
            Err(error) if error.kind == Kind::NotFound => Ok(Map::new()),
            Err(error) => Err(error),
        }
    }

    /// Sends a PATCH; `false` where the deployment is gone meanwhile.
    async fn patch(&self, handle: &str, body: Value, what: &str) -> Result<bool> {
        let pool = body
            .get("work_pool_name")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let path = format!("deployments/{}", encode(handle));
        let request = Request::new(Method::PATCH, path, what).body(body);
        let fault = match self.http.send(&request).await {
            Ok(_) => return Ok(true),
            Err(fault) => fault,
        };
        match (fault.code(), pool) {
            (Some(StatusCode::NOT_FOUND), _) => Ok(false),
            // A PATCH crashes on a pool that does not exist, where a POST says so.
            (Some(StatusCode::INTERNAL_SERVER_ERROR), Some(pool))
                if !self.has_pool(&pool).await? =>
            {
                let message = format!("{what}: work pool `{pool}` not found");
                Err(Error::new(Kind::NotFound, self.http.subject(), message))
            }
            _ => Err(self.http.explain(&fault, &request)),
        }
    }

    async fn has_pool(&self, name: &str) -> Result<bool> {
        let path = format!("work_pools/{}", encode(name));
        let request = Request::new(
            Method::GET,
            path,
            format!("looking for the work pool `{name}`"),
        );
        match self.http.ask::<wire::Named>(&request).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates or replaces a deployment, and gives it as it is then, apart from what a POST cannot do.
    async fn post(&self, write: &Write<'_>, what: &str) -> Result<wire::Deployment> {
        let labels = async {
            match write.live {
                Some(live) => self.labels(&live.handle, what).await,
                None => Ok(Map::new()),
            }
        };
        let (flow, labels) = tokio::try_join!(self.flow(&write.wanted.id.flow), labels)?;
        let body = write
            .post(&flow, &labels)
            .map_err(|message| self.refuse(what, &message))?;
        let request = Request::new(Method::POST, "deployments/", what).body(body);
        let deployment: wire::Deployment = self.http.ask(&request).await?;
        if write.clears_pool() {
            let body = json!({"work_pool_name": null, "work_queue_name": null});
            self.patch(&deployment.id, body, what).await?;
        }
        Ok(deployment)
    }

    /// Sets `max_scheduled_runs` of schedules that were made anew: neither a POST nor a PATCH that creates one does.
    async fn limit_runs(
        &self,
        now: &wire::Deployment,
        wanted: &Map<String, Value>,
        what: &str,
    ) -> Result<()> {
        for schedule in &now.schedules {
            let (key, value) = normal::schedule(schedule);
            let declared = wanted.get(&key).or_else(|| {
                // One without a slug has another id now; it is known by what it says.
                let alike = |other: &&Value| {
                    let mut other = (*other).clone();
                    other
                        .as_object_mut()
                        .is_some_and(|map| map.remove("max_scheduled_runs").is_some())
                        && crate::model::same(&other, &value)
                };
                wanted
                    .iter()
                    .filter(|(key, _)| normal::is_unnamed(key))
                    .map(|(_, value)| value)
                    .find(alike)
            });
            let Some(runs) = declared.and_then(runs_of) else {
                continue;
            };
            if runs_of(&value) == Some(runs) {
                continue;
            }
            let path = format!(
                "deployments/{}/schedules/{}",
                encode(&now.id),
                encode(&schedule.id)
            );
            // Parameters that are not sent would be emptied.
            let body = json!({"max_scheduled_runs": runs, "parameters": schedule.parameters});
            let request = Request::new(Method::PATCH, path, what).body(body);
            self.http
                .send(&request)
                .await
                .map_err(|fault| self.http.explain(&fault, &request))?;
        }
        Ok(())
    }

    fn refuse(&self, what: &str, message: &str) -> Error {
        Error::new(
            Kind::Other,
            self.http.subject(),
            format!("{what}: {message}"),
        )
    }
}

#[async_trait]
impl Orchestrator for Server {
    fn subject(&self) -> String {
        self.http.subject().to_owned()
    }

    async fn dialect(&self) -> Result<Dialect> {
        self.version().await.map(Version::dialect)
    }

    fn link(&self, live: &LiveDeployment) -> Option<String> {
        (!live.handle.is_empty())
            .then(|| format!("{}/deployments/deployment/{}", self.ui, live.handle))
    }

    async fn read(&self, question: &Question) -> Result<Live> {
        // First and alone: a wrong URL, key or version is then told once and in its own words.
        self.version().await?;
        self.read_all(question).await
    }

    async fn register(
        &self,
        registration: &Registration,
        live: Option<&LiveDeployment>,
        changed: &BTreeSet<Field>,
    ) -> Result<String> {
        let what = format!("registering `{}`", registration.id);
        check(registration).map_err(|message| self.refuse(&what, &message))?;
        let version = self.version().await?;
        let mut write = Write {
            wanted: registration,
            live,
            changed,
            pull: &self.pull,
            detaches_limits: version.detaches_limits(),
        };
        if version.dialect() == Dialect::Prefect2 {
            return self.register_two(&write, &what).await;
        }
        let patch = write
            .patch()
            .map_err(|message| self.refuse(&what, &message))?;
        if let (Some(live), Some(body)) = (live, patch) {
            // Triggers are no part of the deployment, and any write to it costs it its scheduled runs.
            if body.as_object().is_none_or(Map::is_empty) {
                self.put_beside(&write, &live.handle, &what).await?;
                return Ok(live.handle.clone());
            }
            let limits = body["schedules"]
                .as_array()
                .is_some_and(|items| items.iter().any(|item| runs_of(item).is_some()));
            if self.patch(&live.handle, body, &what).await? {
                if limits {
                    let now = self.deployment(&live.handle, &what).await?;
                    self.limit_runs(&now, &write.schedules(), &what).await?;
                }
                self.put_beside(&write, &live.handle, &what).await?;
                return Ok(live.handle.clone());
            }
            // Removed by someone since it was read: made anew, with all that we know of it.
            write.live = None;
        }
        let now = self.post(&write, &what).await?;
        self.limit_runs(&now, &write.schedules(), &what).await?;
        self.put_beside(&write, &now.id, &what).await?;
        Ok(now.id)
    }

    async fn remove(&self, id: &DeploymentId, live: &LiveDeployment) -> Result<()> {
        let what = format!("removing `{id}`");
        let triggers = live.fields.get(&Field::Triggers).and_then(Value::as_object);
        if triggers.is_some_and(|all| !all.is_empty()) {
            // First: nothing would find them again once the deployment is gone.
            self.remove_owned(&live.handle, &what).await?;
        }
        let path = format!("deployments/{}", encode(&live.handle));
        let request = Request::new(Method::DELETE, path, what);
        match self.http.send(&request).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.code() == Some(StatusCode::NOT_FOUND) => Ok(()),
            Err(fault) => Err(self.http.explain(&fault, &request)),
        }
    }
}

/// Where the UI of an API most likely is: at the same host, or at `app.prefect.cloud`.
fn guess_ui(api: &Url, cloud: bool) -> String {
    let text = api.as_str().trim_end_matches('/');
    let ids = cloud.then(|| {
        let (_, rest) = text.split_once("/accounts/")?;
        let (account, workspace) = rest.split_once("/workspaces/")?;
        Some(format!(
            "https://app.prefect.cloud/account/{account}/workspace/{workspace}"
        ))
    });
    match ids.flatten() {
        Some(url) => url,
        None => text.strip_suffix("/api").unwrap_or(text).to_owned(),
    }
}

fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The maps are only ever inserted into, whole entries at a time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_ui() {
        let ui = |url: &str, cloud| guess_ui(&url.parse().expect("a URL"), cloud);
        assert_eq!(
            ui("http://127.0.0.1:4200/api/", false),
            "http://127.0.0.1:4200"
        );
        assert_eq!(
            ui("https://prefect.corp/x/api", false),
            "https://prefect.corp/x"
        );
        assert_eq!(
            ui(
                "https://api.prefect.cloud/api/accounts/A/workspaces/W",
                true
            ),
            "https://app.prefect.cloud/account/A/workspace/W"
        );
    }
}
