//! What a Prefect server answers, as far as we read it.
//!
//! Every key that some release leaves out or sends as null has a default, and unknown keys are passed over: a newer
//! server must not break reading.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::model::Reference;

/// One item of `POST /deployments/filter`, and the answer of `POST /deployments/` and `GET /deployments/{id}`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Deployment {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) flow_id: String,
    pub(super) version: Option<String>,
    pub(super) description: Option<String>,
    pub(super) entrypoint: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) paused: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) labels: Map<String, Value>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) parameters: Map<String, Value>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) parameter_openapi_schema: Map<String, Value>,
    pub(super) enforce_parameter_schema: Option<bool>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) schedules: Vec<Schedule>,
    pub(super) work_pool_name: Option<String>,
    pub(super) work_queue_name: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) job_variables: Map<String, Value>,
    /// Always null on the servers that were tried; the limit proper is the next field.
    pub(super) concurrency_limit: Option<u64>,
    pub(super) global_concurrency_limit: Option<GlobalLimit>,
    pub(super) concurrency_options: Option<ConcurrencyOptions>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) pull_steps: Vec<Value>,
    /// Prefect 2's name for job variables.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) infra_overrides: Map<String, Value>,
    pub(super) path: Option<String>,
    pub(super) storage_document_id: Option<String>,
    pub(super) infrastructure_document_id: Option<String>,
}

/// A schedule as it comes back: its own id, and null for what is not set.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Schedule {
    pub(super) id: String,
    pub(super) slug: Option<String>,
    pub(super) schedule: Map<String, Value>,
    #[serde(default)]
    pub(super) active: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) parameters: Map<String, Value>,
    pub(super) max_scheduled_runs: Option<u64>,
}

/// A named limit; a deployment's own one is called `deployment:<id>`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct GlobalLimit {
    pub(super) name: String,
    pub(super) limit: u64,
}

/// What happens to runs beyond the limit.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ConcurrencyOptions {
    pub(super) collision_strategy: Option<String>,
    pub(super) grace_period_seconds: Option<u32>,
}

/// One item of `POST /automations/filter` or `GET /automations/related-to/{resource}`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Automation {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) created: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) description: String,
    #[serde(default)]
    pub(super) enabled: bool,
    #[serde(default)]
    pub(super) trigger: Value,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) actions: Vec<Map<String, Value>>,
}

/// One item of `POST /flows/filter`, and the answer of `POST /flows/`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Flow {
    pub(super) id: String,
    pub(super) name: String,
}

/// One item of `POST /work_pools/filter` or `POST /variables/filter`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// One item of `POST /work_queues/filter`; the pool's name is null for a queue of no pool.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) work_pool_name: Option<String>,
}

/// One item of `POST /block_documents/filter`, and the answer to one by name; the name is null for an anonymous one.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Block {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) block_type: Option<BlockType>,
    /// What it holds, secrets masked.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) data: Map<String, Value>,
}

impl Block {
    /// Type and name, as a value names it; `None` where it has none.
    pub(super) fn reference(&self) -> Option<Reference> {
        Some(Reference::Block {
            kind: self.block_type.as_ref()?.slug.clone(),
            name: self.name.clone()?,
        })
    }

    /// `azure/flows`.
    pub(super) fn text(&self) -> Option<String> {
        let kind = &self.block_type.as_ref()?.slug;
        Some(format!("{kind}/{}", self.name.as_ref()?))
    }
}

/// The type of a block.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct BlockType {
    pub(super) slug: String,
}

/// The answer of `GET /csrf-token`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CsrfToken {
    pub(super) token: String,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
