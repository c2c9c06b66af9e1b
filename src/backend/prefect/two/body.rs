//! The body of a POST for Prefect 2: everything, because what is not named is lost.

use serde_json::{Map, Value, json};

use super::{Documents, owner, storage};
use crate::backend::prefect::body::{PLAIN, Write, timing_of};
use crate::backend::prefect::pull::parse_code_text;
use crate::model::{Dialect, Field, ReleaseRef};

/// Fields that the server has no place for, beside their defaults.
const UNKNOWN: [Field; 5] = [
    Field::ConcurrencyLimit,
    Field::CollisionStrategy,
    Field::GracePeriod,
    Field::Triggers,
    Field::Slas,
];

impl Write<'_> {
    pub(super) fn post_two(&self, flow_id: &str, documents: &Documents) -> Result<Value, String> {
        let lost = |field: &&Field| self.value(**field) != field.default_value(Dialect::Prefect2);
        if let Some(field) = UNKNOWN.iter().find(lost) {
            return Err(format!("Prefect 2 has no `{}`", field.name()));
        }
        if self.clears_pool() {
            return Err(
                "Prefect 2 does not take a work pool away: name another, or remove the deployment first"
                    .to_owned(),
            );
        }
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(self.wanted.id.name));
        body.insert("flow_id".to_owned(), json!(flow_id));
        for field in PLAIN {
            let (name, value) = match field {
                Field::JobVariables => ("infra_overrides", self.value(field)),
                Field::Tags => (field.name(), self.tags()),
                Field::EnforceParameterSchema if self.raw(field).is_none_or(Value::is_null) => {
                    (field.name(), json!(false))
                }
                _ => (field.name(), self.value(field)),
            };
            body.insert(name.to_owned(), value);
        }
        let mut schedules = Vec::new();
        for (key, schedule) in self.schedules() {
            if schedule["parameters"]
                .as_object()
                .is_some_and(|map| !map.is_empty())
            {
                return Err(format!(
                    "Prefect 2 has no parameters of a schedule: `{key}`"
                ));
            }
            let active = schedule.get("active").and_then(Value::as_bool);
            schedules.push(json!({
                "schedule": timing_of(&schedule),
                "active": active.unwrap_or(true),
            }));
        }
        body.insert("schedules".to_owned(), json!(schedules));
        self.put_pool(&mut body);
        body.insert(
            "storage_document_id".to_owned(),
            json!(documents.storage.as_ref().map(|block| &block.id)),
        );
        body.insert(
            "infrastructure_document_id".to_owned(),
            json!(documents.infrastructure.as_ref().map(|block| &block.id)),
        );
        self.put_code(&mut body, documents)?;
        Ok(Value::Object(body))
    }

    /// The path of the release beside a storage block, or the steps that bring it.
    fn put_code(&self, body: &mut Map<String, Value>, documents: &Documents) -> Result<(), String> {
        let steps_declared = self
            .raw(Field::PullSteps)
            .is_some_and(|steps| !steps.is_null())
            && (!self.changes(Field::Code) || self.changes(Field::PullSteps));
        if let (Some(Value::String(text)), false) = (self.raw(Field::Code), steps_declared) {
            let release = parse_code_text(text);
            if let Some(path) = self.path(text, release.as_ref(), documents)? {
                body.insert("path".to_owned(), json!(path));
                return Ok(());
            }
        }
        let steps = self.steps()?.filter(|steps| *steps != json!([]));
        body.insert("pull_steps".to_owned(), json!(steps));
        Ok(())
    }

    /// The path to send; `None` where steps are to be.
    fn path(
        &self,
        text: &str,
        release: Option<&ReleaseRef>,
        documents: &Documents,
    ) -> Result<Option<String>, String> {
        let Some(release) = release else {
            // Code of someone else that stays where it is.
            return Ok(Some(text.to_owned()));
        };
        let Some(block) = &documents.storage else {
            return Ok(None);
        };
        match storage::path(block, release, self.pull) {
            Ok(path) => Ok(Some(path)),
            // A block that nobody declares: steps come before it.
            Err(_) if self.live.is_some() && !self.changes(Field::Storage) => Ok(None),
            Err(message) => Err(message),
        }
    }

    fn tags(&self) -> Value {
        let mut tags = match self.value(Field::Tags) {
            Value::Array(tags) => tags,
            _ => Vec::new(),
        };
        tags.extend(owner::tags(&self.wanted.owner).map(Value::from));
        json!(tags)
    }
}
