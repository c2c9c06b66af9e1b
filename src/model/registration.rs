//! A deployment as an orchestrator holds it, field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DeploymentId, Dialect, Digest, Owner};

/// A field of a registered deployment; the order is the order of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The release that a run gets: a string, `projects/news/load_dn@<64 digits>`. A pull step that we did not write
    /// reads as the foreign step itself.
    Code,
    /// String: `path/of/flow.py:function`, relative to the release.
    Entrypoint,
    /// String: the short digest of the release, or what the file says.
    Version,
    /// String or null.
    Description,
    /// Array of strings, sorted, without repetition.
    Tags,
    /// Object.
    Parameters,
    /// Object: the JSON schema of the flow's parameters.
    #[serde(rename = "parameter_openapi_schema")]
    ParameterSchema,
    /// Boolean.
    EnforceParameterSchema,
    /// Object: slug -> what [`Schedule::to_value`](super::Schedule::to_value) gives.
    Schedules,
    /// Boolean.
    Paused,
    /// String or null.
    #[serde(rename = "work_pool_name")]
    WorkPool,
    /// String or null.
    #[serde(rename = "work_queue_name")]
    WorkQueue,
    /// Object.
    JobVariables,
    /// Positive integer or null.
    ConcurrencyLimit,
    /// `ENQUEUE`, `CANCEL_NEW` or null.
    CollisionStrategy,
    /// Seconds from 60 to 86,400 that a run which holds a slot may be silent before the slot is free again; or null.
    #[serde(rename = "grace_period_seconds")]
    GracePeriod,
    /// Array of steps that a file spells out instead of [`Field::Code`].
    PullSteps,
    /// String, `azure/flows`: type and name of the block that a Prefect 2 run loads its code from; or null.
    #[serde(rename = "storage_document")]
    Storage,
    /// String, `kubernetes-job/prod`: type and name of the block that describes where a Prefect 2 run runs; or null.
    #[serde(rename = "infrastructure_document")]
    Infrastructure,
    /// Object: name -> what starts a run beside schedules, in the form of Prefect's automations: `enabled`,
    /// `description`, `trigger`, `parameters`, `job_variables`, `schedule_after` in seconds where it is not 0. Declared
    /// ones have `enabled` only where a file says so.
    Triggers,
    /// Object: name -> a service level agreement, in Prefect Cloud's form.
    Slas,
}

impl Field {
    /// The name in files and reports, as Prefect spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Entrypoint => "entrypoint",
            Self::Version => "version",
            Self::Description => "description",
            Self::Tags => "tags",
            Self::Parameters => "parameters",
            Self::ParameterSchema => "parameter_openapi_schema",
            Self::EnforceParameterSchema => "enforce_parameter_schema",
            Self::Schedules => "schedules",
            Self::Paused => "paused",
            Self::WorkPool => "work_pool_name",
            Self::WorkQueue => "work_queue_name",
            Self::JobVariables => "job_variables",
            Self::ConcurrencyLimit => "concurrency_limit",
            Self::CollisionStrategy => "collision_strategy",
            Self::GracePeriod => "grace_period_seconds",
            Self::PullSteps => "pull_steps",
            Self::Storage => "storage_document",
            Self::Infrastructure => "infrastructure_document",
            Self::Triggers => "triggers",
            Self::Slas => "slas",
        }
    }

    /// The value of a field that nobody ever set, at a server of this release.
    pub fn default_value(self, dialect: Dialect) -> Value {
        match self {
            Self::Tags => Value::Array(Vec::new()),
            Self::Parameters
            | Self::ParameterSchema
            | Self::Schedules
            | Self::JobVariables
            | Self::Triggers
            | Self::Slas => Value::Object(serde_json::Map::new()),
            Self::EnforceParameterSchema => Value::Bool(dialect == Dialect::Prefect3),
            Self::Paused => Value::Bool(false),
            _ => Value::Null,
        }
    }
}

/// Field values; an absent field is one that nobody declares (desired) or that the orchestrator does not have (live).
pub type Fields = BTreeMap<Field, Value>;

/// A deployment to be written, complete: what git declares, and for the rest what is live.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The flow's and the deployment's name.
    pub id: DeploymentId,
    /// Our mark on it.
    pub owner: Owner,
    /// All fields that have a value.
    pub fields: Fields,
}

/// Whether two values mean the same: objects regardless of key order, numbers by value (`1` is `1.0`).
///
/// PostgreSQL reorders the keys of stored JSON and rewrites numbers, so text must not be compared.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// A digest that is equal for values that are [`same`]; what we remember of an applied value without keeping it.
pub fn fingerprint(value: &Value) -> Digest {
    // Into one text first: the pieces are shorter than what a hash takes at a time.
    fn feed(value: &Value, text: &mut String) {
        match value {
            Value::Number(number) => {
                text.push('n');
                // An integer beyond 2^53 has no exact float; its own digits are its only spelling then.
                match number.as_f64() {
                    Some(float) if float.abs() < 9_007_199_254_740_992.0 => {
                        text.push_str(&float.to_string());
                    }
                    _ => text.push_str(&number.to_string()),
                }
                text.push(';');
            }
            Value::Array(items) => {
                text.push('[');
                items.iter().for_each(|item| feed(item, text));
                text.push(']');
            }
            Value::Object(map) => {
                text.push('{');
                let mut sorted: Vec<_> = map.iter().collect();
                sorted.sort_unstable_by_key(|(key, _)| *key);
                for (key, value) in sorted {
                    measured('k', key, text);
                    feed(value, text);
                }
                text.push('}');
            }
            Value::String(string) => measured('s', string, text),
            Value::Bool(one) => text.push_str(if *one { "true" } else { "false" }),
            Value::Null => text.push_str("null"),
        }
    }
    fn measured(kind: char, string: &str, text: &mut String) {
        text.push(kind);
        text.push_str(&string.len().to_string());
        text.push(':');
        text.push_str(string);
    }
    let mut text = String::with_capacity(256);
    feed(value, &mut text);
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_key_order_do_not_differ() {
        let a = json!({"a": 1, "b": [1000.0, {"x": null}]});
        let b = json!({"b": [1e3, {"x": null}], "a": 1.0});
        assert!(same(&a, &b));
        assert_eq!(fingerprint(&a), fingerprint(&b));
        for other in [
            json!({"a": 1}),
            json!({"a": "1", "b": [1000, {"x": null}]}),
            json!({"a": 1, "b": []}),
        ] {
            assert!(!same(&a, &other));
            assert_ne!(fingerprint(&a), fingerprint(&other));
        }
    }
}
