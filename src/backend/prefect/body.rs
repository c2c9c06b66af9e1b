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
use crate::model::{Dialect, Field, LiveDeployment, Registration, same};

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
pub(super) const PLAIN: [Field; 9] = [
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
        if self.changes(Field::CollisionStrategy) || self.changes(Field::GracePeriod) {
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
            || self.changes(Field::GracePeriod)
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

    pub(super) fn changes(&self, field: Field) -> bool {
        self.changed.contains(&field)
    }

    /// Whether there is a value to send, be it that of a reset.
    fn has(&self, field: Field) -> bool {
        self.changes(field) || self.raw(field).is_some()
    }

    /// What is wanted, or what is live where nothing is.
    pub(super) fn raw(&self, field: Field) -> Option<&Value> {
        let wanted = self.wanted.fields.get(&field);
        if self.changes(field) {
            return wanted;
        }
        wanted.or_else(|| self.live?.fields.get(&field))
    }

    /// The value to send; for a null where the API has no null, the value of a field that was never set.
    pub(super) fn value(&self, field: Field) -> Value {
        match self.raw(field) {
            None | Some(Value::Null) => field.default_value(Dialect::Prefect3),
            Some(value) => value.clone(),
        }
    }

    pub(super) fn put_pool(&self, body: &mut Map<String, Value>) {
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
        match (
            self.value(Field::CollisionStrategy),
            self.value(Field::GracePeriod),
        ) {
            (Value::Null, _) => Value::Null,
            // Older servers do not know the second key.
            (strategy, Value::Null) => json!({"collision_strategy": strategy}),
            (strategy, grace) => {
                json!({"collision_strategy": strategy, "grace_period_seconds": grace})
            }
        }
    }

    /// The pull steps to send; `None` where there is nothing to say about them.
    ///
    /// Foreign live steps stand in both fields, so what is declared shows in which of the two changed.
    pub(super) fn steps(&self) -> Result<Option<Value>, String> {
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

/// What a schedule says of when, in the API's form.
pub(super) fn timing_of(value: &Value) -> Map<String, Value> {
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
    timing
}

/// A schedule in the API's form; one without a slug goes without.
fn schedule_item(slug: &str, value: &Value) -> Value {
    let mut item = json!({"schedule": timing_of(value)});
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
mod tests;
