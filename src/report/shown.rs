//! What of a plan's values may be shown.
//!
//! The plan has already replaced values that come from the environment. What it cannot know is that a value on the
//! server came from there at an earlier deploy, when no file says so any more; so live values that look like secrets
//! are left out here, once for all formats.

use serde_json::{Map, Value};

use super::value::HIDDEN;
use crate::model::{Deployment, Field};
use crate::plan::{Change, FieldChange};

/// Where a run's environment variables are, whose live values are not shown when they go away.
const ENVIRONMENT: &str = "job_variables.env";

/// Words in a name that say that its value is a secret.
const SECRETIVE: [&str; 9] = [
    "token",
    "secret",
    "password",
    "passwd",
    "api_key",
    "apikey",
    "account_key",
    "credential",
    "connection_string",
];

/// The differences of a change, as they may be shown.
pub(super) fn fields(change: &Change) -> Vec<FieldChange> {
    change
        .fields
        .iter()
        .map(|field| {
            let gone = field.new.is_none();
            let old = field
                .old
                .as_ref()
                .map(|old| guarded(&field.path, old, gone));
            FieldChange {
                path: field.path.clone(),
                old,
                new: field.new.clone(),
                cause: field.cause,
            }
        })
        .collect()
}

fn guarded(path: &str, value: &Value, gone: bool) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), guarded(&format!("{path}.{key}"), value, gone)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) => value.clone(),
        _ if gone && is_environment(path) => HIDDEN.into(),
        // A number is no secret: `max_tokens`.
        Value::Number(_) => value.clone(),
        _ if looks_secret(path) => HIDDEN.into(),
        _ => value.clone(),
    }
}

fn is_environment(path: &str) -> bool {
    // A trigger has some of its own: `triggers.x.job_variables.env.DSN`.
    let path = path.find(ENVIRONMENT).map(|at| &path[at..]);
    path.and_then(|path| path.strip_prefix(ENVIRONMENT))
        .is_some_and(|rest| rest.starts_with('.'))
}

fn looks_secret(path: &str) -> bool {
    // Only what a deployment hands to its runs; `schedules.rotate_token.cron` is no secret.
    let handed = ["parameters.", "job_variables."].iter().any(|part| {
        path.starts_with(part) || (path.starts_with("triggers.") && path.contains(part))
    });
    let name = path.to_lowercase().replace('-', "_");
    handed && SECRETIVE.iter().any(|word| name.contains(word))
}

/// A declared field with the text as written in place of what came from the environment; `None` where it is not
/// declared.
pub(super) fn declared(deployment: &Deployment, field: Field) -> Option<Value> {
    let value = deployment.fields.get(&field)?;
    if deployment.hidden.is_empty() {
        return Some(value.clone());
    }
    Some(as_written(field.name(), value, deployment))
}

fn as_written(path: &str, value: &Value, deployment: &Deployment) -> Value {
    if let Some(written) = deployment.hidden.get(path) {
        return Value::String(written.clone());
    }
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let value = as_written(&format!("{path}.{key}"), value, deployment);
                (key.clone(), value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, value)| as_written(&format!("{path}.{at}"), value, deployment))
            .collect(),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn live_values_that_may_be_secret_are_left_out() {
        let guard = |path: &str, gone| guarded(path, &json!("s3cr3t"), gone);
        assert_eq!(guard("job_variables.env.DSN", true), json!(HIDDEN));
        assert_eq!(guard("job_variables.env.DSN", false), json!("s3cr3t"));
        assert_eq!(guard("parameters.Api-Key", false), json!(HIDDEN));
        assert_eq!(guard("triggers.x.parameters.api_key", false), json!(HIDDEN));
        assert_eq!(
            guard("triggers.x.job_variables.env.DSN", true),
            json!(HIDDEN)
        );
        assert_eq!(guard("schedules.rotate_token.cron", true), json!("s3cr3t"));
        let tokens = guarded("parameters.max_tokens", &json!(100), true);
        assert_eq!(tokens, json!(100));
        let whole = guarded("job_variables.env", &json!({"DSN": "s3cr3t", "N": 1}), true);
        assert_eq!(whole, json!({"DSN": HIDDEN, "N": HIDDEN}));
    }
}
