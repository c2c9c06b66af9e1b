//! What is otherwise with Prefect 2.20 and later releases of 2.
//!
//! - **Overrides** are called `infra_overrides`, in requests and in answers.
//! - **No labels**: our mark is two tags, which are hidden from [`Field::Tags`] (see [`owner`]).
//! - **No slugs**: a schedule is known by what it says of when ([`Timing::key`]), on both sides of a comparison. Two live
//!   schedules that say the same are told apart by their ids, and the second is one that no file declares.
//! - **Blocks**: [`Field::Storage`] and [`Field::Infrastructure`] are documents, looked up by name (see [`storage`]).
//!   With a storage block the release is told by `path`.
//! - A POST puts everything that it does not name back to its default, so that every field is sent, and a PATCH takes
//!   neither pull steps nor a parameter schema: every change is one POST. It makes the schedules anew, without their
//!   `max_scheduled_runs` (put back by a PATCH of each), `max_active_runs` and `catchup` (lost, if someone set them).
//! - The server never takes a work pool away from a deployment.
//! - `enforce_parameter_schema` is off unless it is asked for.

mod body;
pub(super) mod owner;
mod storage;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::body::Write;
use super::http::Request;
use super::pull::{Pull, code_text};
use super::{Server, encode, lock, normal, wire};
use crate::backend::{Error, Kind, Result};
use crate::model::{Field, Fields, LiveDeployment, Reference, Timing};

/// Ids in one filter of blocks.
const BLOCKS: usize = 100;

/// Blocks by id.
pub(super) type Blocks = HashMap<String, wire::Block>;

/// The pool that every server makes by itself, where legacy deployments end up that name a queue alone.
pub(super) const DEFAULT_POOL: &str = "default-agent-pool";

/// The blocks that a deployment to be written needs.
#[derive(Debug, Default)]
struct Documents {
    storage: Option<wire::Block>,
    infrastructure: Option<wire::Block>,
}

impl Server {
    /// The blocks that hold the code of `deployments`, or describe where they run.
    pub(super) async fn blocks_of<'a>(
        &self,
        deployments: impl Iterator<Item = &'a wire::Deployment>,
    ) -> Result<Blocks> {
        let ids: BTreeSet<&String> = deployments
            .flat_map(|one| [&one.storage_document_id, &one.infrastructure_document_id])
            .flatten()
            .collect();
        let ids: Vec<&String> = ids.into_iter().collect();
        let pages = ids.chunks(BLOCKS).map(|ids| {
            let filter =
                json!({"block_documents": {"id": {"any_": ids}}, "include_secrets": false});
            self.pages::<wire::Block>("block_documents/filter", filter, "reading blocks")
        });
        let found = try_join_all(pages).await?.into_iter().flatten();
        Ok(found.map(|block| (block.id.clone(), block)).collect())
    }

    /// A block by the text of a field, `azure/flows`; looked up once.
    async fn block(&self, text: &str, what: &str) -> Result<wire::Block> {
        if let Some(block) = lock(&self.blocks).get(text) {
            return Ok(block.clone());
        }
        let Some((kind, name)) = text.split_once('/') else {
            return Err(self.refuse(what, &format!("`{text}` is no type and name of a block")));
        };
        let path = format!(
            "block_types/slug/{}/block_documents/name/{}",
            encode(kind),
            encode(name)
        );
        let block: wire::Block = self
            .http
            .ask(&Request::new(Method::GET, path, what))
            .await
            .map_err(|error| match error.kind {
                Kind::NotFound => Error::new(
                    Kind::NotFound,
                    self.http.subject(),
                    format!("{what}: block `{text}` not found"),
                ),
                _ => error,
            })?;
        lock(&self.blocks).insert(text.to_owned(), block.clone());
        Ok(block)
    }

    /// Makes the server hold a deployment.
    pub(super) async fn register_two(&self, write: &Write<'_>, what: &str) -> Result<String> {
        if let Some(live) = write.live
            && write.changed.is_empty()
            && live.owner.as_ref() == Some(&write.wanted.owner)
        {
            return Ok(live.handle.clone());
        }
        let document = async |field: Field| match write.wanted.fields.get(&field) {
            Some(Value::String(text)) => self.block(text, what).await.map(Some),
            _ => Ok(None),
        };
        let documents = Documents {
            storage: document(Field::Storage).await?,
            infrastructure: document(Field::Infrastructure).await?,
        };
        let flow = self.flow(&write.wanted.id.flow).await?;
        let body = write
            .post_two(&flow, &documents)
            .map_err(|message| self.refuse(what, &message))?;
        let request = Request::new(Method::POST, "deployments/", what).body(body);
        let now: wire::Deployment = self.http.ask(&request).await?;
        let schedules = write.schedules();
        for (key, schedule) in keyed(&now.schedules) {
            let runs = schedules.get(&key).and_then(super::body::runs_of);
            let Some(runs) = runs else { continue };
            let path = format!(
                "deployments/{}/schedules/{}",
                encode(&now.id),
                encode(&schedule.id)
            );
            let body = json!({"max_scheduled_runs": runs});
            let request = Request::new(Method::PATCH, path, what).body(body);
            self.http
                .send(&request)
                .await
                .map_err(|fault| self.http.explain(&fault, &request))?;
        }
        Ok(now.id)
    }
}

/// A deployment in our form.
pub(super) fn live(deployment: &wire::Deployment, pull: &Pull, blocks: &Blocks) -> LiveDeployment {
    let (tags, owner) = owner::split(&deployment.tags);
    let mut fields = normal::fields(deployment, pull);
    for field in [
        Field::ConcurrencyLimit,
        Field::CollisionStrategy,
        Field::GracePeriod,
    ] {
        fields.remove(&field);
    }
    let enforced = deployment.enforce_parameter_schema.unwrap_or(false);
    fields.insert(Field::EnforceParameterSchema, json!(enforced));
    fields.insert(Field::Tags, json!(tags));
    fields.insert(Field::JobVariables, json!(deployment.infra_overrides));
    let schedules: Map<String, Value> = keyed(&deployment.schedules)
        .into_iter()
        .map(|(key, schedule)| (key, value(schedule)))
        .collect();
    fields.insert(Field::Schedules, Value::Object(schedules));
    put_blocks(&mut fields, deployment, pull, blocks);
    LiveDeployment {
        handle: deployment.id.clone(),
        fields,
        owner,
    }
}

fn put_blocks(fields: &mut Fields, deployment: &wire::Deployment, pull: &Pull, blocks: &Blocks) {
    let of = |id: &Option<String>| id.as_ref().and_then(|id| blocks.get(id));
    let text = |block: Option<&wire::Block>| json!(block.and_then(wire::Block::text));
    let storage = of(&deployment.storage_document_id);
    fields.insert(Field::Storage, text(storage));
    let infrastructure = of(&deployment.infrastructure_document_id);
    fields.insert(Field::Infrastructure, text(infrastructure));
    // Steps come before a path, as they do for a run.
    if let (Some(path), true) = (&deployment.path, deployment.pull_steps.is_empty()) {
        let ours = storage.and_then(|block| storage::release(block, path, pull));
        let code = ours.map_or_else(|| path.clone(), |release| code_text(&release));
        fields.insert(Field::Code, json!(code));
    }
}

/// Live schedules by what they say.
fn keyed(schedules: &[wire::Schedule]) -> BTreeMap<String, &wire::Schedule> {
    // The server's order changes from answer to answer.
    let mut sorted: Vec<&wire::Schedule> = schedules.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut keyed = BTreeMap::new();
    for schedule in sorted {
        let (unnamed, _) = normal::schedule(schedule);
        let key = Timing::of_value(&value(schedule)).map(|timing| timing.key());
        match key {
            Some(key) if !keyed.contains_key(&key) => keyed.insert(key, schedule),
            _ => keyed.insert(unnamed, schedule),
        };
    }
    keyed
}

/// A live schedule in our form; its anchor in UTC, as files have it.
fn value(schedule: &wire::Schedule) -> Value {
    let (_, mut value) = normal::schedule(schedule);
    if let Some(anchor) = value.get("anchor_date").and_then(Value::as_str)
        && let Ok(time) = chrono::DateTime::parse_from_rfc3339(anchor)
    {
        let text = time
            .to_utc()
            .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        value["anchor_date"] = json!(text);
    }
    value
}

/// Why code that is uploaded to our storage cannot be reached through each of `blocks`, where it cannot.
pub(super) fn elsewhere(blocks: &[wire::Block], pull: &Pull) -> BTreeMap<Reference, String> {
    blocks
        .iter()
        .filter_map(|block| {
            let reason = storage::root(block, pull).err()?;
            Some((block.reference()?, reason))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_known_by_what_they_say() {
        let schedule = |id: &str, timing: Value| -> wire::Schedule {
            serde_json::from_value(json!({"id": id, "schedule": timing, "active": true}))
                .expect("a schedule")
        };
        let id = |digit: char| {
            let part = |length| digit.to_string().repeat(length);
            format!(
                "{}-{}-{}-{}-{}",
                part(8),
                part(4),
                part(4),
                part(4),
                part(12)
            )
        };
        let cron = json!({"cron": "0 4 * * *", "timezone": null, "day_or": true});
        let every =
            json!({"interval": 60, "anchor_date": "2020-01-01T01:00:00+01:00", "timezone": "UTC"});
        let live = [
            schedule(&id('2'), cron.clone()),
            schedule(&id('1'), cron),
            schedule(&id('3'), every),
        ];
        let keys: Vec<String> = keyed(&live).into_keys().collect();
        let declared = |timing: Timing| timing.key();
        let wanted = [
            format!("#{}", id('2')),
            declared(Timing::Cron {
                cron: "0 4 * * *".into(),
                timezone: "UTC".into(),
                day_or: true,
            }),
            declared(Timing::Interval {
                seconds: 60.0,
                anchor: "2020-01-01T00:00:00Z".into(),
                timezone: "UTC".into(),
            }),
        ];
        assert_eq!(keys, wanted);
    }
}
