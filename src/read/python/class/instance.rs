//! Instances of the repository's classes, as far as making them runs no code of the file.

use ruff_python_ast::{Expr, Stmt, StmtClassDef};
use ruff_text_size::TextSize;

use super::{Class, Kind, fields, kind, members};
use crate::read::python::constant::{Arguments, Evaluator, is_typing};
use crate::read::python::value::{Value, unknown};

/// What a factory makes when it is called without arguments.
fn made<'a>(evaluator: &Evaluator<'a>, factory: &'a Expr, at: TextSize) -> Value<'a> {
    let empty = Arguments {
        positional: Vec::new(),
        keywords: Vec::new(),
    };
    match factory {
        Expr::Lambda(lambda) if lambda.parameters.is_none() => evaluator.value(&lambda.body),
        _ => match evaluator.value(factory) {
            Value::Named(full) => match full.as_str() {
                "builtins.list" => Value::List(Vec::new()),
                "builtins.dict" => Value::Dict(Vec::new()),
                "builtins.set" => Value::Set(Vec::new()),
                "builtins.tuple" => Value::Tuple(Vec::new()),
                "builtins.str" => Value::Str(String::new()),
                _ => unknown(format!("it comes from calling `{full}`"), at),
            },
            Value::Class(class) => instance(evaluator, class, &empty, at),
            _ => unknown("it comes from calling a function", at),
        },
    }
}

/// What calling a class of the repository gives.
pub(in crate::read::python) fn instance<'a>(
    evaluator: &Evaluator<'a>,
    class: Class<'a>,
    arguments: &Arguments<'a>,
    at: TextSize,
) -> Value<'a> {
    let not_known = |reason: &str| {
        unknown(
            format!("`{}(…)` is not evaluated: {reason}", class.name),
            at,
        )
    };
    let kind = kind(evaluator, class);
    match kind {
        Kind::Unknown(reason) => return not_known(reason),
        Kind::Plain => return Value::Opaque,
        Kind::Enum(_) => {
            let found = match arguments.positional.as_slice() {
                [wanted] => members(evaluator, class).and_then(|members| {
                    members
                        .into_iter()
                        .find(|(_, value)| value.equals(wanted) == Some(true))
                }),
                _ => None,
            };
            return match found {
                Some((name, value)) => Value::Member {
                    class,
                    name,
                    value: Box::new(value),
                },
                None => not_known("no member has this value"),
            };
        }
        Kind::TypedDict => {
            let items = arguments
                .keywords
                .iter()
                .map(|(key, value)| (Value::Str(key.clone()), value.clone()));
            return evaluator.dict_of(items.collect(), at);
        }
        Kind::Model | Kind::Dataclass | Kind::NamedTuple => {}
    }
    if kind != Kind::NamedTuple && changes_instances(class.definition) {
        return not_known("its class has methods that take part in making it");
    }
    let fields = match fields(evaluator, class) {
        Ok(fields) => fields,
        Err(reason) => return not_known(reason),
    };
    if arguments.positional.len() > fields.len()
        || (kind == Kind::Model && !arguments.positional.is_empty())
    {
        return not_known("it has too many arguments");
    }
    if arguments
        .keywords
        .iter()
        .any(|(keyword, _)| fields.iter().all(|field| field.name != keyword))
    {
        return not_known("it has an argument that is no field");
    }
    let mut values = Vec::with_capacity(fields.len());
    for (place, field) in fields.into_iter().enumerate() {
        if field
            .options
            .iter()
            .any(|(name, _)| name.contains("alias") || name == "init" || name == "exclude")
            && kind == Kind::Model
        {
            return not_known("a field has an alias");
        }
        let given = arguments.positional.get(place).or_else(|| {
            arguments
                .keywords
                .iter()
                .find(|(keyword, _)| keyword == field.name)
                .map(|(_, value)| value)
        });
        let evaluator = &field.class.evaluator(evaluator);
        let value = match (given, field.default, field.factory) {
            (Some(given), ..) => {
                if kind == Kind::Model && !accepts(evaluator, field.annotation, given, 0) {
                    return not_known("pydantic may convert an argument");
                }
                given.clone()
            }
            (None, Some(default), _) => default,
            (None, None, Some(factory)) => made(evaluator, factory, at),
            (None, None, None) => return not_known("a field has no value"),
        };
        values.push((field.name.to_owned(), value));
    }
    if kind == Kind::NamedTuple {
        return Value::Tuple(values.into_iter().map(|(_, value)| value).collect());
    }
    Value::Instance {
        class,
        fields: values,
    }
}

/// Whether a class body takes part in making or writing its instances, beyond its fields.
fn changes_instances(class: &StmtClassDef) -> bool {
    class.body.iter().any(|statement| match statement {
        Stmt::FunctionDef(function) => {
            matches!(
                function.name.as_str(),
                "__init__" | "__post_init__" | "__new__" | "model_post_init"
            ) || function.decorator_list.iter().any(|decorator| {
                let name = match &decorator.expression {
                    Expr::Call(call) => &call.func,
                    other => other,
                };
                let name = match name {
                    Expr::Name(name) => name.id.as_str(),
                    Expr::Attribute(attribute) => attribute.attr.as_str(),
                    _ => return true,
                };
                name.ends_with("validator")
                    || name.ends_with("serializer")
                    || name == "computed_field"
            })
        }
        _ => false,
    })
}

/// Whether pydantic takes a value for an annotation as it is, without converting it; false where that is not sure.
fn accepts<'a>(
    evaluator: &Evaluator<'a>,
    annotation: &Expr,
    value: &Value<'a>,
    depth: u32,
) -> bool {
    if depth > 8 {
        return false;
    }
    match annotation {
        Expr::NoneLiteral(_) => *value == Value::None,
        Expr::BinOp(union) => {
            accepts(evaluator, &union.left, value, depth + 1)
                || accepts(evaluator, &union.right, value, depth + 1)
        }
        Expr::Subscript(generic) => match evaluator.value(&generic.value) {
            Value::Named(full) if is_typing(&full, "Optional") => {
                *value == Value::None || accepts(evaluator, &generic.slice, value, depth + 1)
            }
            Value::Named(full) if full == "builtins.list" || is_typing(&full, "List") => {
                match value {
                    Value::List(items) => items
                        .iter()
                        .all(|item| accepts(evaluator, &generic.slice, item, depth + 1)),
                    _ => false,
                }
            }
            Value::Named(full) if full == "builtins.dict" || is_typing(&full, "Dict") => {
                match (value, &*generic.slice) {
                    (Value::Dict(items), Expr::Tuple(types)) if types.elts.len() == 2 => {
                        items.iter().all(|(key, value)| {
                            accepts(evaluator, &types.elts[0], key, depth + 1)
                                && accepts(evaluator, &types.elts[1], value, depth + 1)
                        })
                    }
                    _ => false,
                }
            }
            Value::Named(full) if is_typing(&full, "Literal") => {
                let choices = match &*generic.slice {
                    Expr::Tuple(choices) => choices.elts.as_slice(),
                    other => std::slice::from_ref(other),
                };
                choices
                    .iter()
                    .any(|choice| evaluator.value(choice) == *value)
            }
            _ => false,
        },
        _ => match (evaluator.value(annotation), value) {
            (Value::Class(wanted), Value::Instance { class, .. } | Value::Member { class, .. }) => {
                wanted == *class
            }
            (Value::Named(full), value) => match (full.as_str(), value) {
                ("builtins.str", Value::Str(_))
                | ("builtins.int", Value::Int(_))
                | ("builtins.bool", Value::Bool(_))
                | ("builtins.float", Value::Float(_) | Value::Int(_))
                | ("builtins.list", Value::List(_))
                | ("builtins.dict", Value::Dict(_))
                | ("datetime.datetime", Value::DateTime(..))
                | ("datetime.date", Value::Date(_))
                | ("datetime.timedelta", Value::Timedelta(_))
                | ("pathlib.Path", Value::Path(_))
                | ("uuid.UUID", Value::Uuid(_))
                | ("pydantic.SecretStr", Value::Secret) => true,
                (full, _) => is_typing(full, "Any"),
            },
            _ => false,
        },
    }
}
