//! The parameters of a flow, and the schema that Prefect makes of them (`parameter_openapi_schema`).

use std::collections::HashMap;

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, Parameter, StmtFunctionDef};
use ruff_python_parser::parse_expression;
use ruff_text_size::{Ranged, TextSize};
use serde_json::{Map, Value as Json};

use super::annotation::{Fault, Names, Place, Shape, Types};
use super::constant::Evaluator;
use super::depth;
use super::docstring;
use super::scope::Named;
use super::value::{Json as Default, Unknown, Value};
use crate::model::Dialect;

/// What of a parameter could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Annotation,
    Default,
}

/// The parameters of a flow.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    /// Their names in order.
    pub(super) parameters: Vec<String>,
    pub(super) variadic: bool,
    pub(super) schema: Json,
    /// What could not be read: of which parameter, what, the expression, why.
    pub(super) gaps: Vec<(String, Part, &'a Expr, Unknown)>,
    /// A name that is not defined where an annotation that is a string has it, and the annotation.
    pub(super) undefined: Option<(String, &'a Expr)>,
}

/// One parameter as Python's `inspect` orders them.
struct Entry<'a> {
    parameter: &'a Parameter,
    default: Option<&'a Expr>,
}

fn entries(function: &StmtFunctionDef) -> Vec<Entry<'_>> {
    let parameters = &function.parameters;
    let mut entries = Vec::with_capacity(parameters.len());
    let with_default = parameters.posonlyargs.iter().chain(&parameters.args);
    entries.extend(with_default.map(|with| Entry {
        parameter: &with.parameter,
        default: with.default.as_deref(),
    }));
    entries.extend(parameters.vararg.as_deref().map(|parameter| Entry {
        parameter,
        default: None,
    }));
    entries.extend(parameters.kwonlyargs.iter().map(|with| Entry {
        parameter: &with.parameter,
        default: with.default.as_deref(),
    }));
    entries.extend(parameters.kwarg.as_deref().map(|parameter| Entry {
        parameter,
        default: None,
    }));
    entries
}

/// Reads the parameters of a flow.
pub(super) fn signature<'a>(
    evaluator: &Evaluator<'a>,
    function: &'a StmtFunctionDef,
    dialect: Dialect,
) -> Signature<'a> {
    let descriptions = match docstring_of(function) {
        Some(text) => docstring::parameters(&text),
        None => HashMap::new(),
    };
    let undefined = undefined(evaluator, function);
    let strings = if undefined.is_none() {
        Names::Module
    } else {
        Names::Prefect
    };
    let mut types = Types::new(evaluator.clone(), dialect);
    let mut signature = Signature {
        parameters: Vec::new(),
        variadic: function.parameters.kwarg.is_some(),
        schema: Json::Null,
        gaps: Vec::new(),
        undefined,
    };
    // What Prefect 2 reads with pydantic 1 where a block is among the types: all but plain types have other words then.
    let mut worded = Vec::new();
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (position, entry) in entries(function).into_iter().enumerate() {
        let name = entry.parameter.name.as_str();
        if matches!(name, "self" | "cls") && dialect == Dialect::Prefect3 {
            continue;
        }
        signature.parameters.push(name.to_owned());
        let mut shape = Shape::default();
        if let Some(annotation) = entry.parameter.annotation.as_deref() {
            let before = types.so_far();
            match of_parameter(&mut types, annotation, strings) {
                Ok(found) => shape = found,
                Err(fault) => {
                    types.back_to(before);
                    if let Fault::Unknown(unknown) = fault {
                        signature.gaps.push((
                            name.to_owned(),
                            Part::Annotation,
                            annotation,
                            unknown,
                        ));
                    }
                }
            }
        }
        if let Some(annotation) = entry.parameter.annotation.as_deref()
            && !is_plain(&shape)
        {
            worded.push((name, annotation));
        }
        let mut property = shape.json;
        // Prefect gives every parameter a title and a description of its own, over those of an annotation.
        property.extend(shape.extra);
        property.remove("description");
        property.insert("title".to_owned(), name.into());
        property.insert("position".to_owned(), position.into());
        let mut description = descriptions.get(name).cloned();
        let value = entry.default.map(|default| evaluator.value(default));
        let default = match value {
            // To Prefect 2, it has no form in JSON.
            Some(Value::Field(_)) if dialect == Dialect::Prefect2 => Some(Value::Opaque),
            Some(Value::Field(options)) => {
                field(&options, &mut property, &mut description);
                match options.into_iter().find(|(option, _)| option == "default") {
                    None | Some((_, Value::Ellipsis)) => None,
                    Some((_, value)) => Some(value),
                }
            }
            Some(Value::Ellipsis) | None => None,
            Some(value) => Some(value),
        };
        if let Some(description) = description {
            property.insert("description".to_owned(), description.into());
        }
        match (default, entry.default, shape.default) {
            (Some(value), Some(expression), _) => match value.default_json(expression.start()) {
                Default::Value(json) => {
                    property.insert("default".to_owned(), json);
                }
                Default::None => {}
                Default::Unknown(unknown) => {
                    signature
                        .gaps
                        .push((name.to_owned(), Part::Default, expression, unknown));
                }
            },
            (None, None, Some(json)) => {
                property.insert("default".to_owned(), json);
            }
            _ => required.push(Json::from(name)),
        }
        properties.insert(name.to_owned(), Json::Object(property));
    }
    if dialect == Dialect::Prefect2 && types.blocks {
        for (name, annotation) in worded {
            let Some(Json::Object(property)) = properties.get_mut(name) else {
                continue;
            };
            if property.contains_key("allOf") {
                continue;
            }
            property.retain(|key, _| matches!(key.as_str(), "title" | "position" | "default"));
            let unknown = Unknown::new(
                "beside a block, Prefect 2 describes it in words of pydantic 1",
                annotation.start(),
            );
            let gap = (name.to_owned(), Part::Annotation, annotation, unknown);
            signature.gaps.push(gap);
        }
    }
    let mut schema = Map::new();
    schema.insert("title".to_owned(), "Parameters".into());
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), Json::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if !types.definitions.is_empty() {
        schema.insert("definitions".to_owned(), Json::Object(types.definitions));
    }
    signature.schema = Json::Object(schema);
    signature
}

/// A function's docstring as `inspect.getdoc` gives it.
pub(super) fn docstring_of(function: &StmtFunctionDef) -> Option<String> {
    super::class::docstring(&function.body).map(docstring::clean)
}

/// Takes from `Field(…)` as a default what Prefect takes from it: the description and the extras, no bounds.
fn field(
    options: &[(String, Value<'_>)],
    property: &mut Map<String, Json>,
    description: &mut Option<String>,
) {
    for (option, value) in options {
        match (option.as_str(), value) {
            ("description", Value::Str(text)) if !text.is_empty() => {
                *description = Some(text.clone());
            }
            ("json_schema_extra", value) => {
                if let Some(Json::Object(extra)) = value.json() {
                    property.extend(extra);
                }
            }
            _ => {}
        }
    }
}

/// The schema of a parameter's annotation.
fn of_parameter(types: &mut Types<'_>, annotation: &Expr, strings: Names) -> Result<Shape, Fault> {
    let string = |at| Place {
        names: strings,
        within: Some(at),
        ..Place::PARAMETER
    };
    match annotation {
        Expr::StringLiteral(literal) if !types.evaluator.scope.postponed => {
            types.text(literal.value.to_str(), string(annotation.start()))
        }
        // A postponed annotation that is itself a string stays one when Python has evaluated it once.
        Expr::StringLiteral(_) => types.shape(annotation, Place::PARAMETER),
        _ if types.evaluator.scope.postponed => types.shape(annotation, string(annotation.start())),
        _ => types.shape(annotation, Place::PARAMETER),
    }
}

/// Whether a type reads alike in the words of pydantic 1 and 2.
fn is_plain(shape: &Shape) -> bool {
    shape.extra.is_empty()
        && shape.json.iter().all(|(key, value)| {
            key == "type"
                && matches!(
                    value.as_str(),
                    Some("string" | "integer" | "number" | "boolean")
                )
        })
}

/// The first name that is not defined in the annotations that are strings: Python leaves all of them as they are then.
fn undefined<'a>(
    evaluator: &Evaluator<'a>,
    function: &'a StmtFunctionDef,
) -> Option<(String, &'a Expr)> {
    let postponed = evaluator.scope.postponed;
    let annotations = entries(function)
        .into_iter()
        .filter_map(|entry| entry.parameter.annotation.as_deref())
        .chain(function.returns.as_deref());
    for annotation in annotations {
        let mut names = Undefined {
            evaluator,
            at: annotation.start(),
            found: None,
        };
        match annotation {
            Expr::StringLiteral(literal) if !postponed => {
                let text = literal.value.to_str();
                if depth::refuse(text).is_none()
                    && let Ok(parsed) = parse_expression(text.trim_matches([' ', '\t']))
                {
                    names.visit_expr(parsed.expr());
                }
            }
            annotation if postponed => names.visit_expr(annotation),
            _ => {}
        }
        if let Some(name) = names.found {
            return Some((name, annotation));
        }
    }
    None
}

/// Looks for a name that is not defined.
struct Undefined<'s, 'a> {
    evaluator: &'s Evaluator<'a>,
    at: TextSize,
    found: Option<String>,
}

impl<'v> Visitor<'v> for Undefined<'_, '_> {
    fn visit_expr(&mut self, expression: &'v Expr) {
        if self.found.is_some() {
            return;
        }
        match expression {
            Expr::Name(name) => {
                let name = name.id.as_str();
                if let (_, Named::Undefined) = self.evaluator.lookup(name, self.at) {
                    self.found = Some(name.to_owned());
                }
            }
            // Their variables are their own.
            Expr::Lambda(_)
            | Expr::ListComp(_)
            | Expr::SetComp(_)
            | Expr::DictComp(_)
            | Expr::Generator(_) => {}
            other => walk_expr(self, other),
        }
    }
}
