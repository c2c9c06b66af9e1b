//! Differences between two values, one line each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::model::{awaits_output, same, without_outputs};

/// Why a field differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Git declares something else than before.
    Git,
    /// Someone changed it on the server since the last deploy.
    Drift,
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Where, with dots: `schedules.nightly.cron`.
    pub path: String,
    /// What it is; `None` where there is nothing.
    pub old: Option<Value>,
    /// What it will be; `None` where it goes away.
    pub new: Option<Value>,
    /// Git or drift.
    pub cause: Cause,
}

/// Adds a line for every leaf that differs between two values; objects are compared key by key, arrays as a whole.
pub(super) fn flatten(
    path: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    cause: Cause,
    out: &mut Vec<FieldChange>,
) {
    match (old, new) {
        (Some(old), Some(new)) if same(old, new) => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                flatten(
                    &format!("{path}.{key}"),
                    old.get(key),
                    new.get(key),
                    cause,
                    out,
                );
            }
        }
        (Some(Value::Null) | None, Some(Value::Object(new))) if !new.is_empty() => {
            for (key, value) in new {
                flatten(&format!("{path}.{key}"), None, Some(value), cause, out);
            }
        }
        (old, new) => {
            out.push(FieldChange {
                path: path.to_owned(),
                old: old.cloned(),
                new: new.cloned(),
                cause,
            });
        }
    }
}

/// Puts the text as written in place of values that came from the environment, and hides what they replace, as well as
/// what came from there at the last deploy.
pub(super) fn hide(
    fields: &mut [FieldChange],
    now: &BTreeMap<String, String>,
    before: Option<&BTreeSet<String>>,
) {
    for field in fields {
        let written = now.iter().find(|(path, _)| touches(&field.path, path));
        if let Some((path, written)) = written {
            // A value inside of an array is a part of what is shown.
            let whole = field.path == *path || path.ends_with(".*");
            let shown = if whole {
                written
            } else {
                "(from the environment)"
            };
            field.new = field.new.as_ref().map(|_| Value::String(shown.to_owned()));
        }
        if written.is_some()
            || before
                .into_iter()
                .flatten()
                .any(|path| touches(&field.path, path))
        {
            field.old = field
                .old
                .as_ref()
                .map(|_| Value::String("(hidden)".to_owned()));
        }
    }
}

/// Puts words in place of what only a deploy will know.
pub(super) fn tell_unknown(fields: &mut [FieldChange]) {
    fn tell(value: &mut Value) {
        match value {
            Value::String(text) => *text = without_outputs(text),
            Value::Array(items) => items.iter_mut().for_each(tell),
            Value::Object(map) => map.values_mut().for_each(tell),
            _ => {}
        }
    }
    fields
        .iter_mut()
        .filter_map(|field| field.new.as_mut())
        .filter(|new| awaits_output(new))
        .for_each(tell);
}

/// Whether a hidden path is that of a field, or inside of it, or names everything around it.
fn touches(field: &str, hidden: &str) -> bool {
    match hidden.strip_suffix(".*") {
        Some(all) => below(field, all) || below(all, field),
        None => below(hidden, field),
    }
}

/// Whether a dotted path is another one or below it.
fn below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_line_for_every_leaf() {
        let (old, new) = (
            json!({"a": 1, "b": {"c": [1], "d": null}}),
            json!({"a": 1.0, "b": {"c": [2]}, "e": "x"}),
        );
        let mut out = Vec::new();
        flatten("p", Some(&old), Some(&new), Cause::Git, &mut out);
        let lines: Vec<_> = out
            .iter()
            .map(|one| (one.path.as_str(), one.old.clone(), one.new.clone()))
            .collect();
        assert_eq!(
            lines,
            [
                ("p.b.c", Some(json!([1])), Some(json!([2]))),
                ("p.b.d", Some(json!(null)), None),
                ("p.e", None, Some(json!("x"))),
            ]
        );
    }

    #[test]
    fn values_of_the_environment_are_never_shown() {
        let mut fields = Vec::new();
        let (old, new) = (
            json!({"env": {"T": "old secret"}}),
            json!({"env": {"T": "new secret"}, "l": ["new secret"]}),
        );
        flatten(
            "job_variables",
            Some(&old),
            Some(&new),
            Cause::Git,
            &mut fields,
        );
        let hidden = BTreeMap::from([
            ("job_variables.env.T".to_owned(), "{{ $T }}".to_owned()),
            ("job_variables.l.0".to_owned(), "{{ $T }}".to_owned()),
        ]);
        let before = fields.clone();
        hide(&mut fields, &hidden, None);
        assert!(!format!("{fields:?}").contains("secret"), "{fields:?}");
        assert_eq!(fields[0].new, Some(json!("{{ $T }}")));
        // The files name it no more: what is live is still a secret.
        let mut fields = before;
        fields.retain(|field| field.path == "job_variables.env.T");
        fields[0].new = None;
        hide(
            &mut fields,
            &BTreeMap::new(),
            Some(&["job_variables.env.T".to_owned()].into()),
        );
        assert_eq!(fields[0].old, Some(json!("(hidden)")));
    }
}
