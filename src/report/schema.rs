//! What changes in a flow's parameters, instead of in their JSON schema.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::rows::{Row, below, is_drift, rebuild};
use super::value;
use crate::model::Field;
use crate::plan::{Change, FieldChange};

/// Details that people did not write or that say nothing by themselves.
const SILENT: [&str; 2] = ["title", "position"];

/// Rows for the differences of [`Field::ParameterSchema`]; at least one where there is a difference.
pub(super) fn rows(fields: &[&FieldChange], change: &Change) -> Vec<Row> {
    let root = Field::ParameterSchema.name();
    let mut parameters: BTreeMap<&str, Vec<&FieldChange>> = BTreeMap::new();
    let mut definitions: BTreeMap<&str, Vec<&FieldChange>> = BTreeMap::new();
    let mut required = None;
    let mut others = Vec::new();
    for field in fields {
        let rest = below(&field.path, root).unwrap_or_default();
        if let Some(rest) = below(rest, "properties") {
            parameters.entry(first(rest)).or_default().push(field);
        } else if let Some(rest) = below(rest, "definitions").or_else(|| below(rest, "$defs")) {
            definitions.entry(first(rest)).or_default().push(field);
        } else if rest == "required" {
            required = Some(*field);
        } else {
            others.push(*field);
        }
    }
    let (was_required, is_required) = match required {
        Some(field) => (names(field.old.as_ref()), names(field.new.as_ref())),
        None => (BTreeSet::new(), BTreeSet::new()),
    };

    let mut rows = Vec::new();
    for (name, fields) in &parameters {
        rows.extend(parameter(name, fields, change, is_required.contains(*name)));
    }
    let drift = required.is_some_and(is_drift);
    for name in was_required.symmetric_difference(&is_required) {
        // What comes or goes says whether it is required by itself.
        if !stays(name, change) {
            continue;
        }
        let word = |yes: bool| Some(if yes { "required" } else { "optional" }.to_owned());
        let (old, new) = (
            word(was_required.contains(name)),
            word(is_required.contains(name)),
        );
        rows.push(Row::new(label(name), old, new, drift));
    }
    for (name, fields) in definitions {
        let label = value::cut(
            &format!("parameter type {}", value::text(name)),
            value::WIDTH,
        );
        rows.push(changes(label, fields.iter().any(|field| is_drift(field))));
    }
    if rows.is_empty() {
        rows = parameters_order(&parameters)
            .into_iter()
            .chain(others.into_iter().map(Row::of))
            .collect();
    }
    rows
}

fn first(path: &str) -> &str {
    path.split_once('.').map_or(path, |(first, _)| first)
}

fn names(required: Option<&Value>) -> BTreeSet<&str> {
    let items = required.and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn label(name: &str) -> String {
    value::cut(&format!("parameter {}", value::text(name)), value::WIDTH)
}

/// Whether the server knows the parameter already.
fn was_there(name: &str, change: &Change) -> bool {
    change
        .live
        .as_ref()
        .and_then(|live| live.fields.get(&Field::ParameterSchema))
        .is_some_and(|schema| schema["properties"].get(name).is_some())
}

/// Whether the parameter is there before and after.
fn stays(name: &str, change: &Change) -> bool {
    let registration = change.registration.as_ref();
    let schema =
        registration.and_then(|registration| registration.fields.get(&Field::ParameterSchema));
    was_there(name, change) && schema.is_some_and(|schema| schema["properties"].get(name).is_some())
}

fn parameter(name: &str, fields: &[&FieldChange], change: &Change, required: bool) -> Vec<Row> {
    let path = format!("{}.properties.{name}", Field::ParameterSchema.name());
    let drift = fields.iter().any(|field| is_drift(field));
    if let [field] = fields
        && field.path == path
        && let (Some(old), None) = (&field.old, &field.new)
    {
        return vec![Row::new(
            label(name),
            Some(described(old, false)),
            None,
            drift,
        )];
    }
    if !was_there(name, change) {
        let described = described(&rebuild(&path, fields), required);
        return vec![Row::new(label(name), None, Some(described), drift)];
    }
    fields
        .iter()
        .filter_map(|field| {
            let detail = below(&field.path, &path)?;
            let told = !SILENT.contains(&detail);
            let label = format!("{}, {}", label(name), value::text(detail));
            told.then(|| {
                Row::of_values(
                    label,
                    field.old.as_ref(),
                    field.new.as_ref(),
                    is_drift(field),
                )
            })
        })
        .collect()
}

/// Where nothing else is to be told: the parameters were put in another order, or have other titles.
fn parameters_order(parameters: &BTreeMap<&str, Vec<&FieldChange>>) -> Option<Row> {
    let all = || parameters.values().flatten();
    all().next()?;
    let moved = all().any(|field| field.path.ends_with(".position"));
    let what = if moved {
        "the order of the parameters"
    } else {
        "the titles of the parameters"
    };
    let drift = all().any(|field| is_drift(field));
    Some(changes(what.to_owned(), drift))
}

/// A row that says no more than that something changes.
fn changes(label: String, drift: bool) -> Row {
    Row {
        new: Some("changes".to_owned()),
        ..Row::new(label, None, None, drift)
    }
}

/// `integer = 50`, `string, required`, `any`.
fn described(schema: &Value, required: bool) -> String {
    let mut out = kind(schema, 0);
    if let Some(default) = schema.get("default") {
        out += &format!(" = {}", value::show(default));
    } else if required {
        out += ", required";
    }
    value::cut(&out, value::WIDTH)
}

/// The type that a schema describes, as Python's users would say it; no deeper than anybody would read.
fn kind(schema: &Value, depth: usize) -> String {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).map(value::text);
    if depth > 4 {
        return "…".to_owned();
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(kinds) = schema.get(key).and_then(Value::as_array) {
            let kinds: Vec<String> = kinds.iter().map(|one| kind(one, depth + 1)).collect();
            return kinds.join(" or ");
        }
    }
    if let Some(reference) = text("$ref") {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().map(value::show).collect();
        return values.join(" | ");
    }
    match (text("type").as_deref(), text("format")) {
        (Some("array"), _) => match schema.get("items") {
            Some(items) => format!("array of {}", kind(items, depth + 1)),
            None => "array".to_owned(),
        },
        (Some("string"), Some(format)) => format,
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::sample;

    fn shown(old: Value, new: Value) -> String {
        sample::rows(&sample::change(Field::ParameterSchema, old, new))
    }

    fn of(properties: Value) -> Value {
        let mut schema = json!({"title": "Parameters", "type": "object"});
        schema["properties"] = properties;
        schema
    }

    #[test]
    fn a_schema_where_there_was_none() {
        let mut new = of(json!({
            "any": {"title": "any", "position": 0},
            "color": {"title": "color", "position": 1, "allOf": [{"$ref": "#/definitions/Color"}]},
            "mode": {"title": "mode", "position": 2, "enum": ["a", "b"], "type": "string", "default": "a"},
        }));
        new["required"] = json!(["any"]);
        new["definitions"] = json!({"Color": {"enum": ["red"], "type": "string"}});
        insta::assert_snapshot!(shown(json!({}), new), @r#"
        Added parameter any: any, required
        Added parameter color: Color
        Added parameter mode: "a" | "b" = "a"
        Plain parameter type Color: changes
        "#);
    }

    #[test]
    fn parameters_that_stay() {
        let mut old = of(json!({
            "a": {"title": "a", "position": 0, "type": "integer"},
            "b": {"title": "b", "position": 1, "type": "string", "default": "x"},
        }));
        old["required"] = json!(["a"]);
        let new = of(json!({
            "a": {"title": "a", "position": 1, "type": "string", "default": null},
            "b": {"title": "b", "position": 0, "type": "string"},
        }));
        insta::assert_snapshot!(shown(old, new), @r#"
        Added parameter a, default: null
        Plain parameter a, type: "integer" -> "string"
        Removed parameter b, default: "x"
        Plain parameter a: required -> optional
        "#);
    }

    #[test]
    fn there_is_always_a_row() {
        let old =
            of(json!({"a": {"title": "a", "position": 0}, "b": {"title": "b", "position": 1}}));
        let new =
            of(json!({"a": {"title": "a", "position": 1}, "b": {"title": "b", "position": 0}}));
        insta::assert_snapshot!(shown(old.clone(), new), @"Plain the order of the parameters: changes");
        insta::assert_snapshot!(shown(of(json!({})), json!({"title": "Other", "type": "object", "properties": {}})), @r#"Plain parameter_openapi_schema.title: "Parameters" -> "Other""#);
        insta::assert_snapshot!(shown(old, json!({})), @r#"
        Removed parameter_openapi_schema.properties: {"a": {"position": 0, "title": "a"}, "b": {"position": 1, "title": "b"}}
        Removed parameter_openapi_schema.title: "Parameters"
        Removed parameter_openapi_schema.type: "object"
        "#);
    }
}
