//! From a registration to the bodies of requests.
//!
//! `POST /deployments/` takes everything and puts it in the place of what is there: all schedules are made anew (with
//! other ids) and lose their `max_scheduled_runs`; parameters and labels that are not sent are dropped, other fields
//! kept. `PATCH /deployments/{id}` changes what is sent, keeps the ids of schedules, and cannot change labels, remove a
//! schedule, or clear a schedule's `max_scheduled_runs`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::normal::{ENVIRONMENT, PROJECT, REPOSITORY, is_global_limit, is_unnamed};
use super::pull::{Pull, parse_code_text};
use crate::model::{Field, LiveDeployment, Registration, same};

/// What a write starts from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<'a> {
    pub(super) wanted: &'a Registration,
    /// What is there; `None` for a deployment that is to be created.
    pub(super) live: Option<&'a LiveDeployment>,
    /// The fields that differ from `live`.
    pub(super) changed: &'a BTreeSet<Field>,
    pub(super) pull: &'a Pull,
    /// Whether a shared limit can be detached (servers from 3.3 on).
    pub(super) detaches_limits: bool,
}

/// The fields whose names and values in a body are ours.
const PLAIN: [Field; 9] = [
    Field::Entrypoint,
    Field::Version,
    Field::Description,
    Field::Tags,
    Field::Parameters,
    Field::ParameterSchema,
    Field::EnforceParameterSchema,
    Field::Paused,
    Field::JobVariables,
];

impl Write<'_> {
    /// The body of a PATCH with no more than what changed; `None` where only a POST can do it. Empty where there is
    /// nothing to do.
    pub(super) fn patch(&self) -> Result<Option<Value>, String> {
        let Some(live) = self.live else {
            return Ok(None);
        };
        if live.owner.as_ref() != Some(&self.wanted.owner) {
            return Ok(None);
        }
        let mut body = Map::new();
        for field in PLAIN.into_iter().filter(|field| self.changes(*field)) {
            let value = self.value(field);
            // A PATCH would put the meant value in the place of `{"__prefect_kind": …}`.
            if field == Field::Parameters && holds_kinds(&value) {
                return Ok(None);
            }
            body.insert(field.name().to_owned(), value);
        }
        if self.changes(Field::Schedules) {
            let Some(schedules) = self.schedules_to_patch(live) else {
                return Ok(None);
            };
            body.insert("schedules".to_owned(), schedules);
        }
        if self.changes(Field::WorkPool) || self.changes(Field::WorkQueue) {
            // A queue alone would move the deployment to the default pool, a pool alone to its default queue.
            self.put_pool(&mut body);
        }
        self.put_limit(&mut body);
        if self.changes(Field::CollisionStrategy) {
            body.insert("concurrency_options".to_owned(), self.concurrency_options());
        }
        if self.changes(Field::Code) || self.changes(Field::PullSteps) {
            body.insert("pull_steps".to_owned(), self.steps()?.unwrap_or(json!([])));
        }
        Ok(Some(Value::Object(body)))
    }

    /// The body of a POST. `labels` are those that others put on the deployment.
    pub(super) fn post(&self, flow_id: &str, labels: &Map<String, Value>) -> Result<Value, String> {
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(self.wanted.id.name));
        body.insert("flow_id".to_owned(), json!(flow_id));
        body.insert("labels".to_owned(), self.labels(labels));
        for field in PLAIN {
            // A pause made in the UI outlives what is not about pausing.
            let stays = field == Field::Paused && self.live.is_some() && !self.changes(field);
            if self.has(field) && !stays {
                body.insert(field.name().to_owned(), self.value(field));
            }
        }
        if let Value::Object(schedules) = self.value(Field::Schedules) {
            let items = schedules
                .iter()
                .map(|(slug, value)| schedule_item(slug, value));
            body.insert("schedules".to_owned(), items.collect());
        }
        self.put_pool(&mut body);
        self.put_limit(&mut body);
        if self.changes(Field::CollisionStrategy)
            || (self.live.is_none() && self.has(Field::CollisionStrategy))
        {
            body.insert("concurrency_options".to_owned(), self.concurrency_options());
        }
        if let Some(steps) = self.steps()? {
            body.insert("pull_steps".to_owned(), steps);
        }
        Ok(Value::Object(body))
    }

    /// Whether the pool is to be taken away, which a POST cannot.
    pub(super) fn clears_pool(&self) -> bool {
        self.live.is_some()
            && self.changes(Field::WorkPool)
            && self.value(Field::WorkPool).is_null()
    }

    /// The schedules as they should be, by slug.
    pub(super) fn schedules(&self) -> Map<String, Value> {
        match self.value(Field::Schedules) {
            Value::Object(schedules) => schedules,
            _ => Map::new(),
        }
    }

    fn changes(&self, field: Field) -> bool {
        self.changed.contains(&field)
    }

    /// Whether there is a value to send, be it that of a reset.
    fn has(&self, field: Field) -> bool {
        self.changes(field) || self.raw(field).is_some()
    }

    /// What is wanted, or what is live where nothing is.
    fn raw(&self, field: Field) -> Option<&Value> {
        let wanted = self.wanted.fields.get(&field);
        if self.changes(field) {
            return wanted;
        }
        wanted.or_else(|| self.live?.fields.get(&field))
    }

    /// The value to send; for a null where the API has no null, the value of a field that was never set.
    fn value(&self, field: Field) -> Value {
        match self.raw(field) {
            None | Some(Value::Null) => field.default_value(),
            Some(value) => value.clone(),
        }
    }

    fn put_pool(&self, body: &mut Map<String, Value>) {
        for field in [Field::WorkPool, Field::WorkQueue] {
            if self.has(field) {
                body.insert(field.name().to_owned(), self.value(field));
            }
        }
    }

    fn put_limit(&self, body: &mut Map<String, Value>) {
        let creates = self.live.is_none() && self.has(Field::ConcurrencyLimit);
        if !creates && !self.changes(Field::ConcurrencyLimit) {
            return;
        }
        let limit = self.value(Field::ConcurrencyLimit);
        if is_global_limit(&limit) {
            return;
        }
        body.insert("concurrency_limit".to_owned(), limit);
        let live = self
            .live
            .and_then(|live| live.fields.get(&Field::ConcurrencyLimit));
        if self.detaches_limits && live.is_some_and(is_global_limit) {
            // Without it the number would be written into the limit that others share.
            body.insert("global_concurrency_limit_id".to_owned(), Value::Null);
        }
    }

    fn concurrency_options(&self) -> Value {
        match self.value(Field::CollisionStrategy) {
            Value::Null => Value::Null,
            strategy => json!({"collision_strategy": strategy}),
        }
    }

    /// The pull steps to send; `None` where there is nothing to say about them.
    ///
    /// Foreign live steps stand in both fields, so what is declared shows in which of the two changed.
    fn steps(&self) -> Result<Option<Value>, String> {
        let spelled_out = self.raw(Field::PullSteps).filter(|steps| !steps.is_null());
        let replaced = self.changes(Field::Code) && !self.changes(Field::PullSteps);
        if let (Some(steps), false) = (spelled_out, replaced) {
            return Ok(Some(steps.clone()));
        }
        match self.raw(Field::Code) {
            Some(Value::String(text)) => match parse_code_text(text) {
                Some(release) => Ok(Some(self.pull.steps(&release))),
                None => Err(format!("`{text}` names no release")),
            },
            Some(Value::Array(steps)) => Ok(Some(json!(steps))),
            _ if self.live.is_some() => Ok(Some(json!([]))),
            _ => Ok(None),
        }
    }

    fn labels(&self, others: &Map<String, Value>) -> Value {
        let mut labels: Map<String, Value> = others
            .iter()
            .filter(|(key, _)| !key.starts_with("prefect."))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let owner = &self.wanted.owner;
        labels.insert(REPOSITORY.to_owned(), json!(owner.repository));
        labels.insert(ENVIRONMENT.to_owned(), json!(owner.environment));
        labels.insert(PROJECT.to_owned(), json!(owner.project.to_string()));
        Value::Object(labels)
    }

    /// The schedules of a PATCH: those that differ where the server matches them by slug, all where it replaces them
    /// (none yet, or one without a slug). `None` where one has to go, or to lose its `max_scheduled_runs`.
    fn schedules_to_patch(&self, live: &LiveDeployment) -> Option<Value> {
        let empty = Map::new();
        let live = live
            .fields
            .get(&Field::Schedules)
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let wanted = self.schedules();
        if live.is_empty() || live.keys().any(|key| is_unnamed(key)) {
            return Some(
                wanted
                    .iter()
                    .map(|(slug, value)| schedule_item(slug, value))
                    .collect(),
            );
        }
        if live.keys().any(|slug| !wanted.contains_key(slug)) {
            return None;
        }
        let mut items = Vec::new();
        for (slug, value) in &wanted {
            match live.get(slug) {
                Some(old) if same(old, value) => continue,
                Some(old) if runs_of(old).is_some() && runs_of(value).is_none() => return None,
                _ => items.push(schedule_item(slug, value)),
            }
        }
        Some(Value::Array(items))
    }
}

/// `max_scheduled_runs` of a schedule in our form.
pub(super) fn runs_of(schedule: &Value) -> Option<&Value> {
    schedule
        .get("max_scheduled_runs")
        .filter(|runs| !runs.is_null())
}

/// A schedule in the API's form; one without a slug goes without.
fn schedule_item(slug: &str, value: &Value) -> Value {
    let mut timing = Map::new();
    for key in [
        "cron",
        "day_or",
        "interval",
        "anchor_date",
        "rrule",
        "timezone",
    ] {
        if let Some(part) = value.get(key) {
            timing.insert(key.to_owned(), part.clone());
        }
    }
    let mut item = json!({"schedule": timing});
    for key in ["active", "parameters", "max_scheduled_runs"] {
        if let Some(part) = value.get(key).filter(|part| !part.is_null()) {
            item[key] = part.clone();
        }
    }
    if !is_unnamed(slug) {
        item["slug"] = json!(slug);
    }
    item
}

fn holds_kinds(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_kinds),
        Value::Object(map) => map.contains_key("__prefect_kind") || map.values().any(holds_kinds),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
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
        labels: Value,
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
        let body = post(&after, Some(&before), &[Field::Version], labels);
        assert_eq!(
            body,
            json!({
                "name": "d", "flow_id": "F", "version": "v", "parameters": {"n": 1}, "pull_steps": [],
                "labels": {"team": "news", REPOSITORY: "o/r", ENVIRONMENT: "prod", PROJECT: "."},
                "schedules": [{"schedule": {"cron": "0 1 * * *", "timezone": "UTC", "day_or": true},
                    "active": true, "parameters": {}}],
            })
        );
        let paused = post(&after, Some(&before), &[Field::Paused], json!({}));
        assert_eq!(paused["paused"], json!(true));
        assert_eq!(post(&after, None, &[], json!({}))["paused"], json!(true));
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
            post(&with_steps, None, &[], json!({}))["pull_steps"],
            theirs
        );
        assert_eq!(
            post(&wanted(&[(Field::Code, json!(code))]), None, &[], json!({}))["pull_steps"],
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
        let body = post(&wanted(&[]), Some(&shared), &[Field::Version], json!({}));
        assert!(body.get("concurrency_limit").is_none());
        let strategy = wanted(&[(Field::CollisionStrategy, json!("CANCEL_NEW"))]);
        assert_eq!(
            patch(&strategy, &shared, &[Field::CollisionStrategy]),
            Some(json!({"concurrency_options": {"collision_strategy": "CANCEL_NEW"}}))
        );
    }
}
