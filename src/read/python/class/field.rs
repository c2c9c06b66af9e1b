//! The fields of models, dataclasses, `TypedDict`s and `NamedTuple`s.

use ruff_python_ast::{Expr, Stmt};

use super::{ANCESTORS, Class, Kind, callee, kind};
use crate::read::python::constant::{Context, Evaluator, is_typing};
use crate::read::python::value::Value;

/// A field of a model, dataclass, `TypedDict` or `NamedTuple`.
#[derive(Clone, Debug)]
pub(in crate::read::python) struct Field<'a> {
    pub(in crate::read::python) name: &'a str,
    /// The class whose body has it: the one that was asked for, or an ancestor.
    pub(in crate::read::python) class: Class<'a>,
    pub(in crate::read::python) annotation: &'a Expr,
    /// `None` without one, or with a factory.
    pub(in crate::read::python) default: Option<Value<'a>>,
    /// The argument of `default_factory=`.
    pub(in crate::read::python) factory: Option<&'a Expr>,
    /// The keyword arguments of `Field(…)`.
    pub(in crate::read::python) options: Vec<(String, Value<'a>)>,
    /// For a `TypedDict`: whether its class body is total.
    pub(in crate::read::python) total: bool,
}

/// The fields of a class and of its ancestors in the repository, those of ancestors first; an error says what is not known.
pub(in crate::read::python) fn fields<'a>(
    evaluator: &Evaluator<'a>,
    class: Class<'a>,
) -> Result<Vec<Field<'a>>, &'static str> {
    let mut fields = Vec::new();
    gather(evaluator, class, 0, &mut fields)?;
    Ok(fields)
}

fn gather<'a>(
    evaluator: &Evaluator<'a>,
    class: Class<'a>,
    depth: u32,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), &'static str> {
    if depth > ANCESTORS || !evaluator.charge(1) {
        return Err("it has too many ancestors");
    }
    let evaluator = &class.evaluator(evaluator);
    let bases = class
        .definition
        .arguments
        .iter()
        .flat_map(|arguments| arguments.args.iter().rev());
    for base in bases {
        if let Value::Class(parent) = evaluator.value(base) {
            gather(evaluator, parent, depth + 1, fields)?;
        }
    }
    let total = class
        .arguments
        .as_ref()
        .and_then(|arguments| arguments.find_keyword("total"))
        .is_none_or(|keyword| evaluator.value(&keyword.value).truth() != Some(false));
    for statement in &class.definition.body {
        let assign = match statement {
            Stmt::AnnAssign(assign) => assign,
            Stmt::If(_) | Stmt::For(_) | Stmt::With(_) | Stmt::Try(_) => {
                return Err("its class body has statements");
            }
            _ => continue,
        };
        let Expr::Name(name) = &*assign.target else {
            continue;
        };
        let name = name.id.as_str();
        if name == "model_config"
            || (name.starts_with('_') && kind(evaluator, class) == Kind::Model)
        {
            continue;
        }
        let plain = match &*assign.annotation {
            Expr::Subscript(subscript) => &subscript.value,
            other => other,
        };
        match evaluator.value(plain) {
            Value::Named(full) if is_typing(&full, "ClassVar") => continue,
            Value::Named(full) if full == "dataclasses.KW_ONLY" => continue,
            Value::Named(full) if full == "dataclasses.InitVar" => {
                return Err("it has an `InitVar`");
            }
            _ => {}
        }
        if !evaluator.charge(1 + fields.len() / 8) {
            return Err("it has too many fields");
        }
        let mut field = Field {
            name,
            class,
            annotation: &assign.annotation,
            default: None,
            factory: None,
            options: Vec::new(),
            total,
        };
        if let Some(value) = &assign.value {
            assigned(evaluator, value, &mut field);
        }
        match fields.iter_mut().find(|other| other.name == name) {
            Some(inherited) => *inherited = field,
            None => fields.push(field),
        }
    }
    Ok(())
}

/// The default of a field: a value, or the arguments of `Field(…)` or `field(…)`.
fn assigned<'a>(evaluator: &Evaluator<'a>, value: &'a Expr, field: &mut Field<'a>) {
    let options = match value {
        Expr::Call(call) => match callee(evaluator, value).as_deref() {
            Some("dataclasses.field") => evaluator
                .arguments(call, Context::default())
                .ok()
                .map(|given| given.keywords),
            Some("pydantic.Field" | "pydantic.fields.Field") => match evaluator.value(value) {
                Value::Field(options) => Some(options),
                _ => None,
            },
            _ => None,
        }
        .map(|options| (call, options)),
        _ => None,
    };
    let Some((call, options)) = options else {
        field.default = match evaluator.value(value) {
            Value::Ellipsis => None,
            value => Some(value),
        };
        return;
    };
    field.factory = call
        .arguments
        .find_keyword("default_factory")
        .map(|keyword| &keyword.value);
    field.default = options
        .iter()
        .find(|(name, value)| name == "default" && *value != Value::Ellipsis)
        .map(|(_, value)| value.clone());
    field.options = options;
}
