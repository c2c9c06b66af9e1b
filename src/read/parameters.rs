//! Parameters against the signature of their flow.
//!
//! The server checks them when a deployment is registered, and a run fails on what it does not take. Here they are
//! checked before anything is written.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::deployment::Declared;
use super::document::Position;
use super::faults::Faults;
use super::python::Flow;
use crate::model::{Field, listed, nearest};

/// Refuses parameters that the flow does not take, and values that its schema does not allow: those of the deployment and
/// those of its schedules. The values are left unchecked where the deployment says `enforce_parameter_schema: false`.
pub(super) fn check(declared: &Declared, flow: &Flow, faults: &mut Faults<'_>) {
    let fields = &declared.fields;
    let enforced = fields.get(&Field::EnforceParameterSchema) != Some(&Value::Bool(false));
    let given = fields.get(&Field::Parameters).and_then(Value::as_object);
    if let Some(given) = given {
        let at = by_name(&declared.parameters, declared.at);
        check_all(given, flow, enforced, at, faults);
    }
    let schedules = fields.get(&Field::Schedules).and_then(Value::as_object);
    let place = declared.places.get(&Field::Schedules);
    let at = place.map_or(declared.at, |place| Position {
        line: place.line,
        column: place.column,
    });
    for (slug, schedule) in schedules.into_iter().flatten() {
        if let Some(given) = schedule.get("parameters").and_then(Value::as_object) {
            let places = declared.schedule_parameters.get(slug);
            let at = by_name(places.map_or(&[], Vec::as_slice), at);
            check_all(given, flow, enforced, at, faults);
        }
    }
}

/// Where a parameter stands; `otherwise` where that is not known.
fn by_name(places: &[(String, Position)], otherwise: Position) -> impl Fn(&str) -> Position {
    let known: HashMap<&str, Position> = places
        .iter()
        .map(|(name, at)| (name.as_str(), *at))
        .collect();
    move |name| known.get(name).copied().unwrap_or(otherwise)
}

fn check_all(
    given: &Map<String, Value>,
    flow: &Flow,
    enforced: bool,
    at: impl Fn(&str) -> Position,
    faults: &mut Faults<'_>,
) {
    let taken: HashSet<&str> = flow.parameters.iter().map(String::as_str).collect();
    for name in given
        .keys()
        .filter(|name| !flow.variadic && !taken.contains(name.as_str()))
    {
        if faults.are_many() {
            faults.error(at(name), "");
            continue;
        }
        let known: Vec<&str> = flow.parameters.iter().map(String::as_str).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "it takes no parameters".to_owned(),
            None => format!("it takes: {}", listed(&known)),
        };
        faults
            .error(
                at(name),
                format!("the flow `{}` has no parameter `{name}`", flow.name),
            )
            .hint(hint);
    }
    // A value that is not known yet, or whose template was refused already, says nothing about its type.
    let known: Map<String, Value> = given
        .iter()
        .filter(|(_, value)| !is_open(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if enforced
        && !known
            .iter()
            .all(|(name, value)| is_plainly_valid(&flow.schema, name, value))
    {
        for (name, message) in violations(&flow.schema, &known) {
            faults.error(
                at(&name),
                format!("the parameter `{name}` does not fit: {message}"),
            );
        }
    }
}

/// Whether a template is still in it, other than those of the orchestrator, which the server checks as they are.
fn is_open(value: &Value) -> bool {
    match value {
        Value::String(text) => text
            .split("{{")
            .skip(1)
            .any(|rest| !rest.trim_start().starts_with("prefect.")),
        Value::Array(items) => items.iter().any(is_open),
        Value::Object(map) => map.values().any(is_open),
        _ => false,
    }
}

/// Most parameters have a plain type, and their values fit: no validator needs to be made for them.
fn is_plainly_valid(schema: &Value, name: &str, value: &Value) -> bool {
    let Some(property) = schema["properties"].get(name).and_then(Value::as_object) else {
        return true;
    };
    let says_more = |key: &String| {
        !matches!(
            key.as_str(),
            "type" | "title" | "position" | "default" | "description"
        )
    };
    if property.keys().any(says_more) {
        return false;
    }
    match property.get("type").and_then(Value::as_str) {
        None => true,
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(_) => false,
    }
}

/// What of `given` the schema does not allow: the parameter's name and why. A missing parameter is none, as on the
/// server: a run may still bring it.
fn violations(schema: &Value, given: &Map<String, Value>) -> Vec<(String, String)> {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.remove("required");
    }
    // A schema that is none (a pattern of another dialect) is the server's to judge.
    let Ok(validator) = jsonschema::draft202012::new(&schema) else {
        return Vec::new();
    };
    let given = Value::Object(given.clone());
    validator
        .iter_errors(&given)
        .filter_map(|error| {
            let path = error.instance_path().to_string();
            let mut parts = path.trim_start_matches('/').splitn(2, '/');
            let name = parts
                .next()
                .filter(|name| !name.is_empty())?
                .replace("~1", "/")
                .replace("~0", "~");
            let inside = parts
                .next()
                .map(|rest| format!("at {}: ", rest.replace('/', ".")))
                .unwrap_or_default();
            // The value may come from the environment.
            Some((name, format!("{inside}{}", error.masked_with("it"))))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::read::python::Module;

    fn messages(given: &Value) -> Vec<String> {
        let source = "from prefect import flow\nfrom typing import Literal\n@flow\ndef f(n: int, s: str = 'x', l: list[int] = [], o: int | None = None, k: Literal['a', 'b'] = 'a', any=1): ...\n";
        let flow = Module::parse(source)
            .expect("valid Python")
            .flow("f", crate::model::Dialect::Prefect3)
            .expect("a flow");
        let given = given.as_object().expect("an object");
        violations(&flow.schema, given)
            .into_iter()
            .map(|(name, why)| format!("{name}: {why}"))
            .collect()
    }

    #[test]
    fn values_are_checked_as_the_server_does() {
        assert_eq!(
            messages(&json!({"n": 1, "s": "y", "l": [1], "o": null, "k": "b", "any": {}})),
            [""; 0]
        );
        assert_eq!(messages(&json!({"s": "n is not required here"})), [""; 0]);
        assert_eq!(
            messages(&json!({"n": "5", "l": [1, "x"], "o": "x", "k": "c"})),
            [
                "k: it is not one of \"a\" or \"b\"",
                "l: at 1: it is not of type \"integer\"",
                "n: it is not of type \"integer\"",
                "o: it is not valid under any of the schemas listed in the 'anyOf' keyword",
            ]
        );
    }

    #[test]
    fn what_is_not_known_yet_is_not_judged() {
        assert!(is_open(&json!({"a": ["x {{ $DAY }}"]})));
        assert!(!is_open(&json!("{{ prefect.variables.day }} and }}")));
    }

    #[test]
    fn plain_values_need_no_validator() {
        let schema = json!({"properties": {"n": {"type": "integer", "title": "n", "position": 0}, "e": {"enum": [1]}}});
        assert!(is_plainly_valid(&schema, "n", &json!(1)));
        assert!(!is_plainly_valid(&schema, "n", &json!("1")));
        assert!(!is_plainly_valid(&schema, "e", &json!(1)));
        assert!(is_plainly_valid(&schema, "other", &json!(1)));
    }
}
