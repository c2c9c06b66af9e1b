//! The members of enumerations.

use ruff_python_ast::{Expr, Stmt};

use super::{Class, Kind, Mixin, callee, kind};
use crate::read::python::constant::{Context, Evaluator};
use crate::read::python::value::Value;

/// The members of an enumeration with their values, aliases too; `None` where they are not known.
pub(in crate::read::python) fn members<'a>(
    evaluator: &Evaluator<'a>,
    class: Class<'a>,
) -> Option<Vec<(String, Value<'a>)>> {
    let evaluator = &class.evaluator(evaluator);
    let Kind::Enum(mixin) = kind(evaluator, class) else {
        return None;
    };
    let mut members: Vec<(String, Value<'a>)> = Vec::new();
    for statement in &class.definition.body {
        let (target, value) = match statement {
            Stmt::Assign(assign) => match assign.targets.as_slice() {
                [Expr::Name(name)] => (name.id.as_str(), &*assign.value),
                _ => return None,
            },
            Stmt::AnnAssign(assign) => match (&*assign.target, &assign.value) {
                (Expr::Name(name), Some(value)) => (name.id.as_str(), &**value),
                _ => continue,
            },
            Stmt::FunctionDef(function)
                if matches!(function.name.as_str(), "__new__" | "_generate_next_value_") =>
            {
                return None;
            }
            Stmt::FunctionDef(_) | Stmt::Expr(_) | Stmt::Pass(_) => continue,
            _ => return None,
        };
        if target.starts_with('_') {
            if target == "_ignore_" {
                return None;
            }
            continue;
        }
        let given = if callee(evaluator, value).as_deref() == Some("enum.auto")
            && matches!(value, Expr::Call(_))
        {
            next(mixin, target, &members)?
        } else {
            evaluator.eval(
                value,
                Context {
                    within: None,
                    locals: &members,
                },
            )
        };
        let value = match (mixin, given) {
            (_, Value::Unknown(_) | Value::Opaque | Value::Named(_) | Value::Function(_)) => {
                return None;
            }
            (Mixin::Str | Mixin::StrEnum, value @ Value::Str(_)) => value,
            (Mixin::Str, Value::Int(value)) => Value::Str(value.to_string()),
            (Mixin::Float, Value::Int(_) | Value::Bool(_)) => return None,
            (Mixin::Float, value @ Value::Float(_)) => value,
            (Mixin::Int | Mixin::Flag, value @ Value::Int(_)) => value,
            (Mixin::None, value) => value,
            _ => return None,
        };
        if !evaluator.charge(1 + members.len() / 16) {
            return None;
        }
        members.push((target.to_owned(), value));
    }
    Some(members)
}

/// What `auto()` gives.
fn next<'a>(mixin: Mixin, name: &str, members: &[(String, Value<'a>)]) -> Option<Value<'a>> {
    if mixin == Mixin::StrEnum {
        return Some(Value::Str(name.to_lowercase()));
    }
    let mut last = 0_i128;
    for (_, value) in members {
        let value = match value {
            Value::Str(text) if mixin == Mixin::Str => text.parse().ok()?,
            other => other.integer()?,
        };
        // Python versions differ in what follows a member that is not the largest.
        if value < last {
            return None;
        }
        last = value;
    }
    Some(Value::Int(match mixin {
        Mixin::Flag if last > 0 => 1_i128
            .checked_shl(128 - last.leading_zeros())
            .filter(|value| *value > 0)?,
        _ => last.checked_add(1)?,
    }))
}

/// `Class.name`: a member of an enumeration, or a constant of a plain class.
pub(in crate::read::python) fn member<'a>(
    evaluator: &Evaluator<'a>,
    class: Class<'a>,
    name: &str,
) -> Option<Value<'a>> {
    let evaluator = &class.evaluator(evaluator);
    match kind(evaluator, class) {
        Kind::Enum(_) => {
            let members = members(evaluator, class)?;
            let (_, value) = members.iter().find(|(other, _)| other == name)?;
            let first = members
                .iter()
                .find(|(_, other)| other.equals(value) == Some(true));
            Some(Value::Member {
                class,
                name: first.map_or(name, |(first, _)| first).to_owned(),
                value: Box::new(value.clone()),
            })
        }
        Kind::Plain => class.definition.body.iter().rev().find_map(|statement| {
            let value = match statement {
                Stmt::Assign(assign) => match assign.targets.as_slice() {
                    [Expr::Name(target)] if target.id == name => &assign.value,
                    _ => return None,
                },
                Stmt::AnnAssign(assign) => match (&*assign.target, &assign.value) {
                    (Expr::Name(target), Some(value)) if target.id == name => value,
                    _ => return None,
                },
                _ => return None,
            };
            Some(evaluator.value(value))
        }),
        _ => None,
    }
}
