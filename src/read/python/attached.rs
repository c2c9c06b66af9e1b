//! What a module hangs on a flow as attributes: `my_flow.schedule = CronSchedule(…)`.

use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;
use serde_json::{Map, Value as Json};

use super::constant::{Context, Evaluator};
use super::value::{Json as Form, Unknown, Value};

/// Attributes set on a flow, in order: the name, the expression, and its value in JSON or why that is not known.
pub(super) fn attached<'a>(
    evaluator: &Evaluator<'a>,
    body: &'a [Stmt],
    flow: &str,
) -> Vec<(String, &'a Expr, Result<Json, Unknown>)> {
    let mut search = Search {
        evaluator,
        flow,
        found: Vec::new(),
    };
    search.body(body, false);
    search.found
}

struct Search<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    flow: &'e str,
    found: Vec<(String, &'a Expr, Result<Json, Unknown>)>,
}

impl<'a> Search<'_, 'a> {
    fn body(&mut self, body: &'a [Stmt], conditional: bool) {
        for statement in body {
            self.statement(statement, conditional);
        }
    }

    fn statement(&mut self, statement: &'a Stmt, conditional: bool) {
        match statement {
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    self.target(target, &assign.value, conditional);
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.target(&assign.target, value, conditional);
                }
            }
            Stmt::AugAssign(assign) => {
                if let Some(name) = self.attribute(&assign.target) {
                    self.changed(name, &assign.value);
                }
            }
            Stmt::Expr(statement) => self.call(&statement.value, conditional),
            Stmt::If(branch) => {
                let decided = self.evaluator.scope.decided(&branch.test);
                if decided != Some(false) {
                    self.body(&branch.body, conditional || decided.is_none());
                }
                if decided != Some(true) {
                    for clause in &branch.elif_else_clauses {
                        let certain = decided == Some(false)
                            && clause.test.is_none()
                            && branch.elif_else_clauses.len() == 1;
                        self.body(&clause.body, conditional || !certain);
                    }
                }
            }
            Stmt::With(with) => self.body(&with.body, conditional),
            Stmt::For(iteration) => self.body(&iteration.body, true),
            Stmt::While(iteration) => self.body(&iteration.body, true),
            Stmt::Try(attempt) => {
                self.body(&attempt.body, true);
                self.body(&attempt.orelse, true);
                self.body(&attempt.finalbody, conditional);
            }
            _ => {}
        }
    }

    /// `setattr(flow, "name", value)`, and methods that change an attribute's value.
    fn call(&mut self, expression: &'a Expr, conditional: bool) {
        let Expr::Call(call) = expression else { return };
        match (&*call.func, &*call.arguments.args) {
            (Expr::Name(function), [Expr::Name(object), Expr::StringLiteral(name), value])
                if function.id == "setattr" && object.id == self.flow =>
            {
                self.note(name.value.to_str(), value, conditional);
            }
            (Expr::Attribute(method), _) => {
                if let Some(name) = self.attribute(&method.value) {
                    self.changed(name, expression);
                }
            }
            _ => {}
        }
    }

    fn target(&mut self, target: &'a Expr, value: &'a Expr, conditional: bool) {
        if let Some(name) = self.attribute(target) {
            self.note(name, value, conditional);
        } else if let Expr::Subscript(subscript) = target
            && let Some(name) = self.attribute(&subscript.value)
        {
            self.changed(name, value);
        }
    }

    /// The name of an attribute of the flow.
    fn attribute(&self, target: &'a Expr) -> Option<&'a str> {
        match target {
            Expr::Attribute(attribute) => match &*attribute.value {
                Expr::Name(name) if name.id == self.flow => Some(attribute.attr.as_str()),
                _ => None,
            },
            _ => None,
        }
    }

    fn changed(&mut self, name: &str, at: &'a Expr) {
        // A method of something that was never set is no change of ours: `flow.visualize()`.
        if let Some(found) = self.found.iter_mut().find(|(other, ..)| other == name) {
            let reason = "it is changed after it was set";
            *found = (name.to_owned(), at, Err(Unknown::new(reason, at.start())));
        }
    }

    fn note(&mut self, name: &str, value: &'a Expr, conditional: bool) {
        let json = if conditional {
            let reason = "whether it is set depends on how the module runs";
            Err(Unknown::new(reason, value.start()))
        } else {
            plain(&self.evaluator.eval(value, Context::default()), value)
        };
        self.found.retain(|(other, ..)| other != name);
        self.found.push((name.to_owned(), value, json));
    }
}

/// A value as a deployment file would have it.
fn plain(value: &Value<'_>, expression: &Expr) -> Result<Json, Unknown> {
    let at = expression.start();
    if let Some(gap) = value.gap() {
        return Err(gap.clone());
    }
    match value {
        Value::Schedule(keys) => {
            let mut map = Map::new();
            for (key, value) in keys {
                map.insert(key.clone(), plain(value, expression)?);
            }
            Ok(Json::Object(map))
        }
        Value::Timedelta(micros) if micros % 1_000_000 == 0 => Ok((micros / 1_000_000).into()),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            items.iter().map(|item| plain(item, expression)).collect()
        }
        Value::Dict(items) => {
            let mut map = Map::new();
            for (key, value) in items {
                let Value::Str(key) = key else {
                    return Err(Unknown::new("a key of it is no text", at));
                };
                map.insert(key.clone(), plain(value, expression)?);
            }
            Ok(Json::Object(map))
        }
        other => match other.default_json(at) {
            Form::Value(json) => Ok(json),
            Form::None => Err(Unknown::new("it has no form in JSON", at)),
            Form::Unknown(unknown) => Err(unknown),
        },
    }
}
