//! `Annotated[…, Field(…)]`, and pydantic's functions that make constrained types.

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::TextSize;
use serde_json::{Map, Value as Json, json};

use super::{Fault, Place, Shape, Types, fault};
use crate::read::python::constant::Context;
use crate::read::python::value::{Unknown, Value};

impl<'a> Types<'a> {
    pub(super) fn annotated(&mut self, arguments: &Expr, place: Place) -> Result<Shape, Fault> {
        let at = place.at(arguments);
        let Expr::Tuple(arguments) = arguments else {
            return fault("`Annotated` has one argument", at);
        };
        let [inner, metadata @ ..] = arguments.elts.as_slice() else {
            return fault("`Annotated` has no arguments", at);
        };
        let mut shape = self.shape(inner, place)?;
        for item in metadata {
            let context = Context {
                within: place.within,
                locals: &[],
            };
            match self.evaluator.eval(item, context) {
                Value::Field(options) => apply(&mut shape, &options, place.at(item))?,
                Value::Unknown(unknown) => return Err(Fault::Unknown(unknown)),
                // pydantic passes over what it does not know; a class or function may be one that it knows.
                Value::Named(_)
                | Value::Class(_)
                | Value::Function(_)
                | Value::Opaque
                | Value::Instance { .. } => {
                    return fault("what annotates the type may change it", place.at(item));
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    /// `constr(…)`, `conint(…)` and their like.
    pub(super) fn constrained(
        &mut self,
        full: &str,
        call: &ExprCall,
        place: Place,
        at: TextSize,
    ) -> Result<Shape, Fault> {
        let name = match full.rsplit_once('.') {
            Some(("pydantic" | "pydantic.types", name)) => name,
            _ => return fault(format!("it comes from calling `{full}`"), at),
        };
        let mut shape = match (name, call.arguments.args.first()) {
            ("conint", None) => Shape::of(json!({"type": "integer"})),
            ("confloat", None) => Shape::of(json!({"type": "number"})),
            ("constr", None) => Shape::of(json!({"type": "string"})),
            ("conlist", Some(item)) => {
                let items = self.shape(item, place)?.whole();
                Shape::of(json!({"type": "array", "items": items}))
            }
            _ => return fault(format!("`{full}(…)` is not evaluated"), at),
        };
        let context = Context {
            within: place.within,
            locals: &[],
        };
        let arguments = self.evaluator.arguments(call, context).map_err(|value| {
            Fault::Unknown(
                value
                    .gap()
                    .cloned()
                    .unwrap_or_else(|| Unknown::new("it is not known", at)),
            )
        })?;
        apply(&mut shape, &arguments.keywords, at)?;
        Ok(shape)
    }
}

/// Adds what `Field(…)` says to a schema.
pub(super) fn apply(
    shape: &mut Shape,
    options: &[(String, Value<'_>)],
    at: TextSize,
) -> Result<(), Fault> {
    for (name, value) in options {
        if let Some(gap) = value.gap()
            && !matches!(name.as_str(), "default" | "default_factory")
        {
            return Err(Fault::Unknown(gap.clone()));
        }
        match (name.as_str(), value) {
            (_, Value::None) if name != "default" => {}
            ("default", Value::Ellipsis) => {}
            ("default", value) => match value.gap() {
                Some(gap) => return Err(Fault::Unknown(gap.clone())),
                None => shape.default = value.json(),
            },
            ("default_factory", _) => return fault("a default comes from a call", at),
            ("title" | "description", Value::Str(text)) => {
                shape.extra.insert(name.clone(), text.clone().into());
            }
            ("deprecated", value) => {
                if value.truth() != Some(false) {
                    shape.extra.insert(name.clone(), true.into());
                }
            }
            ("examples", value) => match value.json() {
                Some(examples) => {
                    shape.extra.insert(name.clone(), examples);
                }
                None => return fault("an example is not known", at),
            },
            ("json_schema_extra", Value::Dict(_)) => match value.json() {
                Some(Json::Object(extra)) => shape.extra.extend(extra),
                _ => return fault("an extra is not known", at),
            },
            (
                "ge" | "gt" | "le" | "lt" | "multiple_of" | "min_length" | "max_length" | "pattern",
                value,
            ) => {
                constrain(&mut shape.json, name, value, at)?;
            }
            // These change how values are read and written, not what a schema says.
            (
                "strict"
                | "frozen"
                | "repr"
                | "exclude"
                | "init"
                | "init_var"
                | "kw_only"
                | "validate_default"
                | "strip_whitespace"
                | "to_lower"
                | "to_upper"
                | "allow_inf_nan"
                | "alias"
                | "validation_alias"
                | "serialization_alias"
                | "alias_priority"
                | "compare"
                | "hash"
                | "metadata",
                _,
            ) => {}
            _ => return fault(format!("`{name}=` is not evaluated"), at),
        }
    }
    Ok(())
}

/// Adds a bound in the words that the schema's type has for it.
fn constrain(
    json: &mut Map<String, Json>,
    name: &str,
    value: &Value<'_>,
    at: TextSize,
) -> Result<(), Fault> {
    let not_known = || fault(format!("`{name}=` is not evaluated here"), at);
    // Of a type or null, the bound is on the type.
    if json.len() == 1
        && let Some(Json::Array(choices)) = json.get_mut("anyOf")
    {
        return match choices.as_mut_slice() {
            [Json::Object(inner), null] if *null == json!({"type": "null"}) => {
                constrain(inner, name, value, at)
            }
            _ => not_known(),
        };
    }
    let kind = json.get("type").and_then(Json::as_str).unwrap_or_default();
    let key = match (kind, name) {
        ("integer" | "number", "ge") => "minimum",
        ("integer" | "number", "gt") => "exclusiveMinimum",
        ("integer" | "number", "le") => "maximum",
        ("integer" | "number", "lt") => "exclusiveMaximum",
        ("integer" | "number", "multiple_of") => "multipleOf",
        ("string", "min_length") if !json.contains_key("format") => "minLength",
        ("string", "max_length") if !json.contains_key("format") => "maxLength",
        ("string", "pattern") if !json.contains_key("format") => "pattern",
        ("array", "min_length") => "minItems",
        ("array", "max_length") => "maxItems",
        ("object", "min_length") => "minProperties",
        ("object", "max_length") => "maxProperties",
        // JSON schema has no bounds for moments and durations.
        ("string", "ge" | "gt" | "le" | "lt") if json.contains_key("format") => return Ok(()),
        _ => return not_known(),
    };
    match value.json() {
        Some(bound) => {
            json.insert(key.to_owned(), bound);
            Ok(())
        }
        None => not_known(),
    }
}
