//! What is refused before it is sent.

use serde_json::Value;

use crate::model::Registration;

/// Refuses what a server does not refuse properly: it crashes on some names, and says "unavailable" of NUL.
pub(super) fn check(registration: &Registration) -> Result<(), String> {
    fn nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(nul),
            Value::Object(map) => map
                .iter()
                .any(|(key, value)| key.contains('\0') || nul(value)),
            _ => false,
        }
    }
    for (what, name) in [
        ("flow", &registration.id.flow),
        ("deployment", &registration.id.name),
    ] {
        if name.is_empty() {
            return Err(format!("the {what}'s name is empty"));
        }
        if let Some(bad) = name.chars().find(|c| "/%&<>\0".contains(*c)) {
            return Err(format!(
                "the {what}'s name holds {bad:?}, which Prefect cannot have in names"
            ));
        }
    }
    match registration.fields.iter().find(|(_, value)| nul(value)) {
        Some((field, _)) => Err(format!("`{}` holds a NUL character", field.name())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{DeploymentId, Field, Fields, Owner, RepoPath};

    fn registration(flow: &str, name: &str, fields: Fields) -> Registration {
        Registration {
            id: DeploymentId {
                flow: flow.into(),
                name: name.into(),
            },
            owner: Owner {
                repository: "o/r".into(),
                environment: "prod".into(),
                project: RepoPath::root(),
            },
            fields,
        }
    }

    #[test]
    fn names_and_text_that_would_crash_a_server_are_refused() {
        assert!(check(&registration("Load DN", "my daily", Fields::new())).is_ok());
        for bad in ["a/b", "a%b", "a&b", "a<b", "a>b", "a\0b", ""] {
            assert!(
                check(&registration(bad, "d", Fields::new())).is_err(),
                "{bad:?}"
            );
            assert!(
                check(&registration("f", bad, Fields::new())).is_err(),
                "{bad:?}"
            );
        }
        let fields = Fields::from([(Field::Parameters, json!({"a": ["x\0"]}))]);
        let message = check(&registration("f", "d", fields)).expect_err("a refusal");
        assert_eq!(message, "`parameters` holds a NUL character");
    }
}
