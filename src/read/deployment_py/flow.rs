//! Flow objects: the decorator, `with_options`, `from_source`.

use super::library::bound;
use crate::model::Dialect;
use crate::read::python::program::{Arguments, At, Fields, Kind, Machine, Value};

/// `@flow` or `flow(function, name=…)`; without a function a decorator.
pub(super) fn decorate(machine: &mut Machine<'_>, arguments: &Arguments, at: At) -> Value {
    let mut options = Fields::default();
    for (name, value) in &arguments.keywords {
        options.set(name, value.clone());
    }
    if let Some(unknown) = &arguments.rest {
        options.set("name", Value::why(unknown, at));
    }
    match arguments.positional.first() {
        Some(function) => of(machine, function, &options, at),
        None => machine.record("flow-decorator", options, at),
    }
}

/// A decorator's call with the function.
pub(super) fn decorated(
    machine: &mut Machine<'_>,
    decorator: &Value,
    arguments: &Arguments,
    at: At,
) -> Value {
    let options = machine.fields(decorator);
    match arguments.positional.first() {
        Some(function) => of(machine, function, &options, at),
        None => Value::unknown("what is decorated is not known", at),
    }
}

/// The flow of a function. Its name is the option's, or the function's with `-` for `_`.
fn of(machine: &mut Machine<'_>, function: &Value, options: &Fields, at: At) -> Value {
    let mut fields = Fields::default();
    let named = machine
        .function(function)
        .map(|function| function.name.replace('_', "-"));
    let name = match (options.get("name").filter(|name| !name.is_none()), named) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => Value::text(name, at),
        (None, None) => Value::unknown("what is decorated is not a function of the repository", at),
    };
    fields.set("name", name);
    fields.set("fn", function.clone());
    for option in ["description", "version"] {
        if let Some(value) = options.get(option) {
            fields.set(option, value.clone());
        }
    }
    machine.record("flow", fields, at)
}

/// A copy with other options; what hangs on the flow as attributes stays behind, as in Prefect.
pub(super) fn with_options(
    machine: &mut Machine<'_>,
    base: &Value,
    arguments: &Arguments,
    at: At,
) -> Value {
    if let Some(unknown) = &arguments.rest {
        return Value::why(unknown, at);
    }
    let mut fields = Fields::default();
    let kept = machine.fields(base);
    for name in [
        "name",
        "fn",
        "description",
        "version",
        "_source",
        "_entrypoint",
    ] {
        let new = arguments.keyword(name).filter(|value| !value.is_none());
        if let Some(value) = new.or_else(|| kept.get(name)) {
            fields.set(name, value.clone());
        }
    }
    // The decorator's own are read where the flow is; these stand in no flow's file.
    for (name, own) in [("description", "_description"), ("version", "_version")] {
        let new = arguments.keyword(name).filter(|value| !value.is_none());
        if let Some(value) = new.or_else(|| kept.get(own)) {
            fields.set(own, value.clone());
        }
    }
    if arguments
        .keyword("name")
        .is_some_and(|name| !name.is_none())
    {
        fields.set("_renamed", Value::none(at));
    }
    machine.record("flow", fields, at)
}

/// `flow.from_source(source=…, entrypoint="flow.py:my_flow")`.
pub(super) fn from_source(machine: &mut Machine<'_>, arguments: &Arguments, at: At) -> Value {
    if let Some(unknown) = &arguments.rest {
        return Value::why(unknown, at);
    }
    let given = bound(&["source", "entrypoint"], arguments);
    let missing = || Value::unknown("`from_source` needs `source` and `entrypoint`", at);
    let mut fields = Fields::default();
    fields.set(
        "_source",
        given.get("source").cloned().unwrap_or_else(missing),
    );
    fields.set(
        "_entrypoint",
        given.get("entrypoint").cloned().unwrap_or_else(missing),
    );
    machine.record("flow", fields, at)
}

/// An attribute of a flow that nobody set.
pub(super) fn attribute(
    machine: &mut Machine<'_>,
    base: &Value,
    name: &str,
    at: At,
) -> Option<Value> {
    let function = machine
        .field(base, "fn")
        .and_then(|function| machine.function(&function));
    match (name, function) {
        ("__name__", Some(function)) => Some(Value::text(function.name, at)),
        ("name", None) => Some(name_of_source(machine, base, at)),
        ("description" | "version", _) => Some(Value::unknown(
            format!("the flow's {name} is not evaluated"),
            at,
        )),
        _ => None,
    }
}

/// The name of a flow that `from_source` names, where its file is in the repository.
fn name_of_source(machine: &Machine<'_>, base: &Value, at: At) -> Value {
    let unknown = || Value::unknown("the flow's file is not read for its name", at);
    let (Some(source), Some(entrypoint)) = (
        machine.field(base, "_source"),
        machine.field(base, "_entrypoint"),
    ) else {
        return unknown();
    };
    let (Kind::Text(source) | Kind::Path(source), Some(entrypoint)) =
        (&source.kind, entrypoint.as_text())
    else {
        return unknown();
    };
    let Some((path, function)) = entrypoint.rsplit_once(':') else {
        return unknown();
    };
    let file = machine
        .repository_path(source)
        .and_then(|folder| folder.resolve(path));
    let module = file
        .and_then(|file| machine.modules().tree().position(&file))
        .and_then(|index| machine.modules().get(index).as_ref().ok());
    match module.map(|module| module.flow(function, Dialect::Prefect3)) {
        Some(Ok(flow)) => Value::text(flow.name, at),
        _ => unknown(),
    }
}
