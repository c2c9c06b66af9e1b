//! Finding the flows of a module, and their names.

use ruff_python_ast::{Expr, ExprCall, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};

use super::constant::{Context, Evaluator};
use super::scope::{END, Named, Scope};
use super::value::{Unknown, Value};

/// How far names of flows and decorators lead into each other.
const DEPTH: u32 = 20;

/// A function that is a flow.
#[derive(Clone)]
pub(super) struct Definition<'a> {
    pub(super) function: &'a StmtFunctionDef,
    /// The calls whose arguments configure it, the last of them first in effect: `flow(…)`, `.with_options(…)`; each
    /// with the evaluator of its module.
    pub(super) calls: Vec<(Evaluator<'a>, &'a ExprCall)>,
}

/// What an entrypoint's name leads to.
#[derive(Clone)]
pub(super) enum Found<'a> {
    Flow(Definition<'a>),
    /// Something else, at a place; with the decorator that could make it a flow, for all we know.
    Other(TextSize, Option<&'a Expr>),
    Missing,
}

/// A configured text of a flow.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Configured<'a> {
    /// The text, the module that the expression is in, and the expression.
    Text(String, &'a Scope<'a>, &'a Expr),
    /// Not given, or given as `None` or empty.
    Absent,
    /// The expression, and the module that it is in.
    Unknown(&'a Scope<'a>, &'a Expr, Unknown),
}

/// Finds a flow by the name after the `:` of an entrypoint: a function, or `Class.method`.
pub(super) fn find<'a>(evaluator: &Evaluator<'a>, name: &str) -> Found<'a> {
    if let Some((class, method)) = name.split_once('.') {
        let Named::Class(class) = evaluator.scope.lookup(class, END) else {
            return Found::Missing;
        };
        let methods = class
            .body
            .iter()
            .rev()
            .find_map(|statement| match statement {
                Stmt::FunctionDef(function) if function.name.as_str() == method => Some(function),
                _ => None,
            });
        return methods.map_or(Found::Missing, |function| decorated(evaluator, function));
    }
    match evaluator.scope.lookup(name, END) {
        Named::Function(function) => decorated(evaluator, function),
        Named::Class(class) => Found::Other(class.name.start(), None),
        Named::Value { expression, .. } => match assigned(evaluator, expression, 0) {
            Some(definition) => Found::Flow(definition),
            None => Found::Other(expression.start(), None),
        },
        _ => Found::Missing,
    }
}

/// The module of the repository that binds a name, and the name there: another one where the name is imported.
pub(super) fn home<'a>(evaluator: &Evaluator<'a>, name: &str) -> Option<(&'a Scope<'a>, String)> {
    let (first, rest) = match name.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    let (there, named) = evaluator.lookup(first, END);
    if !evaluator.is_elsewhere(&there) {
        return None;
    }
    let bound = match named {
        Named::Function(function) => function.name.as_str(),
        Named::Class(class) => class.name.as_str(),
        Named::Value { expression, .. } => there.scope.name_of(expression)?,
        _ => return None,
    };
    let name = match rest {
        Some(rest) => format!("{bound}.{rest}"),
        None => bound.to_owned(),
    };
    Some((there.scope, name))
}

/// All names of the module that are flows of its own.
pub(super) fn all<'a>(evaluator: &Evaluator<'a>) -> Vec<(&'a str, Definition<'a>)> {
    let mut flows: Vec<(&str, Definition<'_>)> = evaluator
        .scope
        .names()
        .filter_map(|name| match find(evaluator, name) {
            Found::Flow(definition) => Some((name, definition)),
            _ => None,
        })
        .collect();
    flows.sort_by_key(|(name, definition)| (definition.function.start(), *name));
    flows
}

fn decorated<'a>(evaluator: &Evaluator<'a>, function: &'a StmtFunctionDef) -> Found<'a> {
    for decorator in &function.decorator_list {
        if let Some(calls) = flow_calls(evaluator, &decorator.expression, 0) {
            return Found::Flow(Definition { function, calls });
        }
    }
    // A decorator from elsewhere may well make a flow; one of Prefect's, or a built-in one, does not.
    let foreign = function
        .decorator_list
        .iter()
        .map(|decorator| &decorator.expression)
        .find(|decorator| {
            let name = super::class::callee(evaluator, decorator);
            name.is_none_or(|full| !full.starts_with("prefect.") && !full.starts_with("builtins."))
        });
    Found::Other(function.name.start(), foreign)
}

/// The calls that configure a decorator which makes flows; `None` for any other expression.
fn flow_calls<'a>(
    evaluator: &Evaluator<'a>,
    decorator: &'a Expr,
    depth: u32,
) -> Option<Vec<(Evaluator<'a>, &'a ExprCall)>> {
    if depth > DEPTH || !evaluator.charge(1) {
        return None;
    }
    match decorator {
        Expr::Call(call) => {
            let partial = matches!(evaluator.value(&call.func), Value::Named(full) if full == "functools.partial");
            let inner = if partial {
                call.arguments.args.first()?
            } else {
                &*call.func
            };
            let mut calls = flow_calls(evaluator, inner, depth + 1)?;
            calls.push((evaluator.clone(), call));
            // `flow(function)` is a flow and no decorator.
            (partial || call.arguments.args.is_empty()).then_some(calls)
        }
        Expr::Name(name) => {
            let (there, named) = evaluator.lookup(name.id.as_str(), name.start());
            flow_calls_of(&there, named, depth)
        }
        Expr::Attribute(attribute) => match evaluator.value(&attribute.value) {
            Value::Named(module) => {
                let (there, named) = evaluator.imported(format!("{module}.{}", attribute.attr));
                flow_calls_of(&there, named, depth)
            }
            Value::Module(module) => {
                let (there, named) = evaluator.member(module, attribute.attr.as_str());
                flow_calls_of(&there, named, depth)
            }
            _ => None,
        },
        _ => None,
    }
}

fn flow_calls_of<'a>(
    there: &Evaluator<'a>,
    named: Named<'a>,
    depth: u32,
) -> Option<Vec<(Evaluator<'a>, &'a ExprCall)>> {
    match named {
        Named::Imported(full) => is_flow(&full).then(Vec::new),
        Named::Value { expression, .. } => flow_calls(there, expression, depth + 1),
        _ => None,
    }
}

fn is_flow(full: &str) -> bool {
    matches!(
        full,
        "prefect.flow" | "prefect.flows.flow" | "prefect.main.flow"
    )
}

/// The flow that an assignment's value is: `flow(function, …)`, `flow(…)(function)`, `other.with_options(…)`, or
/// another flow's name.
fn assigned<'a>(evaluator: &Evaluator<'a>, value: &'a Expr, depth: u32) -> Option<Definition<'a>> {
    if depth > DEPTH || !evaluator.charge(1) {
        return None;
    }
    match value {
        Expr::Name(name) => match evaluator.scope.lookup(name.id.as_str(), name.start()) {
            Named::Function(function) => match decorated(evaluator, function) {
                Found::Flow(definition) => Some(definition),
                _ => None,
            },
            Named::Value { expression, .. } => assigned(evaluator, expression, depth + 1),
            _ => None,
        },
        Expr::Call(call) => {
            if let Expr::Attribute(method) = &*call.func
                && method.attr.as_str() == "with_options"
            {
                let mut definition = assigned(evaluator, &method.value, depth + 1)?;
                definition.calls.push((evaluator.clone(), call));
                return Some(definition);
            }
            let mut calls = flow_calls(evaluator, &call.func, depth + 1)?;
            calls.push((evaluator.clone(), call));
            let [Expr::Name(name)] = &*call.arguments.args else {
                return None;
            };
            match evaluator.scope.lookup(name.id.as_str(), name.start()) {
                Named::Function(function) => Some(Definition { function, calls }),
                _ => None,
            }
        }
        _ => None,
    }
}

impl<'a> Definition<'a> {
    /// A keyword argument of the flow as text: the last call that gives it counts.
    pub(super) fn configured(&self, option: &str) -> Configured<'a> {
        for (evaluator, call) in self.calls.iter().rev() {
            for keyword in call.arguments.keywords.iter().rev() {
                let expression = &keyword.value;
                let value = match &keyword.arg {
                    Some(name) if name.as_str() == option => evaluator.value(expression),
                    Some(_) => continue,
                    None => match evaluator.eval(expression, Context::default()) {
                        Value::Dict(items) => {
                            match items
                                .into_iter()
                                .rev()
                                .find(|(key, _)| *key == Value::Str(option.to_owned()))
                            {
                                Some((_, value)) => value,
                                None => continue,
                            }
                        }
                        other => other,
                    },
                };
                match value {
                    Value::None => {}
                    Value::Str(text) if text.is_empty() => {}
                    Value::Str(text) => return Configured::Text(text, evaluator.scope, expression),
                    Value::Unknown(unknown) => {
                        return Configured::Unknown(evaluator.scope, expression, unknown);
                    }
                    _ => {
                        let unknown = Unknown::new("it is not a text", expression.start());
                        return Configured::Unknown(evaluator.scope, expression, unknown);
                    }
                }
            }
        }
        Configured::Absent
    }
}
