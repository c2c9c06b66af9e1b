//! Functions: their definition, and calls of anything that can be called.

use std::collections::HashMap;
use std::rc::Rc;

use ruff_python_ast::statement_visitor::{StatementVisitor, walk_stmt};
use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, ExprLambda, Parameters, Stmt, StmtFunctionDef};

use super::statement::{Leave, Next, is_exception};
use super::value::{Body, Dict, Key, Object};
use super::{Arguments, At, Eval, Fields, Frame, Function, Kind, Machine, Stop, Value};

impl<'a> Machine<'a> {
    pub(super) fn call_expression(
        &mut self,
        call: &'a ExprCall,
        frame: &Frame<'a>,
        at: At,
    ) -> Eval {
        let result = if let Expr::Attribute(method) = &*call.func {
            let base = self.eval(&method.value, frame)?;
            let arguments = self.arguments(call, frame)?;
            self.call_method(&base, method.attr.as_str(), arguments, at)?
        } else {
            if let Expr::Name(name) = &*call.func
                && call.arguments.is_empty()
                && matches!(name.id.as_str(), "super" | "locals" | "globals")
                && self.lookup(name.id.as_str(), frame).is_none()
            {
                return self.of_frame(name.id.as_str(), frame, at);
            }
            let function = self.eval(&call.func, frame)?;
            let arguments = self.arguments(call, frame)?;
            self.call(&function, arguments, at)?
        };
        Ok(self.settled(&result))
    }

    /// Functions whose result depends on where they are called.
    fn of_frame(&mut self, name: &str, frame: &Frame<'a>, at: At) -> Eval {
        if name == "super" {
            let (instance, class) = (
                self.lookup("__self__", frame),
                self.lookup("__class__", frame),
            );
            let (Some(instance), Some(class)) = (instance, class) else {
                return Ok(Value::unknown("`super()` is not evaluated here", at));
            };
            let fields = vec![("instance".into(), instance), ("class".into(), class)];
            return Ok(self.record("super", Fields(fields), at));
        }
        let scope = match name {
            "globals" => frame.scopes.first(),
            _ => frame.scopes.last(),
        };
        let names: Vec<_> = match scope.map(|scope| &self.heap[*scope].object) {
            Some(Object::Scope(names)) => {
                let mut names: Vec<_> = names
                    .iter()
                    .map(|(name, value)| (*name, value.clone()))
                    .collect();
                names.sort_by_key(|(name, _)| *name);
                names
            }
            _ => Vec::new(),
        };
        let items = names
            .into_iter()
            .map(|(name, value)| (Value::text(name, at), value));
        self.dict(items.collect(), at)
    }

    /// Calls anything.
    pub(in crate::read) fn call(&mut self, function: &Value, arguments: Arguments, at: At) -> Eval {
        match &function.kind {
            Kind::Function(id) => match &self.heap[*id].object {
                Object::Function(function) => {
                    let function = Rc::clone(function);
                    self.deeper(at, |machine| {
                        machine.call_function(&function, None, arguments, at)
                    })
                }
                _ => Ok(Value::unknown("what is called is not known", at)),
            },
            Kind::Bound(id) => match &self.heap[*id].object {
                Object::Bound(base, name) => {
                    let (base, name) = (base.clone(), Rc::clone(name));
                    self.deeper(at, |machine| {
                        machine.call_method(&base, &name, arguments, at)
                    })
                }
                _ => Ok(Value::unknown("what is called is not known", at)),
            },
            Kind::Class(_) => {
                self.deeper(at, |machine| machine.instantiate(function, arguments, at))
            }
            Kind::Named(full) => {
                let full = Rc::clone(full);
                self.call_named(&full, arguments, at)
            }
            Kind::Instance(_) => self.deeper(at, |machine| {
                machine.call_method(function, "__call__", arguments, at)
            }),
            Kind::Record(_) => match self.record_method(function, "__call__", &arguments, at) {
                Some(result) => result,
                None => Ok(self.outside(function, &arguments, at)),
            },
            Kind::Unknown(_) => Ok(self.outside(function, &arguments, at)),
            _ => Ok(Value::unknown("what is called is not known", at)),
        }
    }

    /// The result of something that is not known, which may have changed what it was given.
    pub(super) fn outside(&mut self, function: &Value, arguments: &Arguments, at: At) -> Value {
        let result = match &function.kind {
            Kind::Unknown(unknown) => Value::why(unknown, at),
            Kind::Named(full) => {
                Value::unknown(format!("`{full}` is outside of the repository"), at)
            }
            _ => Value::unknown("what is called is not known", at),
        };
        if let Kind::Unknown(unknown) = &result.kind {
            for value in arguments.values() {
                self.lose(value, unknown);
            }
        }
        result
    }

    fn call_named(&mut self, full: &str, arguments: Arguments, at: At) -> Eval {
        self.charge(1, at)?;
        self.charge_texts(arguments.values(), at)?;
        let library = Rc::clone(&self.library);
        if let Some(result) = library.call(self, full, &arguments, at) {
            return result;
        }
        if let Some(name) = full.strip_prefix("builtins.") {
            if is_exception(name) {
                let args = self.tuple(arguments.positional, at)?;
                let fields = vec![
                    ("class".into(), Value::text(name, at)),
                    ("args".into(), args),
                ];
                return Ok(self.record("exception", Fields(fields), at));
            }
            if let Some(result) = self.builtin(name, &arguments, at) {
                return result;
            }
        }
        if let Some(result) = self.standard(full, &arguments, at) {
            return result;
        }
        if let Some(result) = self.constant_call(full, &arguments, at) {
            return Ok(result);
        }
        let function = Value::new(Kind::Named(full.into()), at);
        if self.is_standard(full) {
            return Ok(match arguments.unknown() {
                Some(unknown) => Value::why(&unknown, at),
                None => Value::unknown(format!("`{full}(…)` is not evaluated"), at),
            });
        }
        Ok(self.outside(&function, &arguments, at))
    }

    /// Runs a function of the repository.
    pub(super) fn call_function(
        &mut self,
        function: &Rc<Function<'a>>,
        receiver: Option<Value>,
        mut arguments: Arguments,
        at: At,
    ) -> Eval {
        if let Some(unknown) = &function.altered {
            let unknown = Rc::clone(unknown);
            arguments.rest.get_or_insert_with(|| Rc::clone(&unknown));
            self.doubtful(&unknown, |machine| {
                machine.run_function(function, receiver, arguments, at)
            })?;
            return Ok(Value::why(&unknown, at));
        }
        self.run_function(function, receiver, arguments, at)
    }

    fn run_function(
        &mut self,
        function: &Rc<Function<'a>>,
        receiver: Option<Value>,
        mut arguments: Arguments,
        at: At,
    ) -> Eval {
        self.charge(8, at)?;
        let mut names = HashMap::new();
        if let Some(receiver) = receiver {
            names.insert("__self__", receiver.clone());
            arguments.positional.insert(0, receiver);
        }
        self.bind_parameters(function, arguments, &mut names, at)?;
        let scope = self.push(Object::Scope(names));
        let scopes: Vec<_> = function.scopes.iter().copied().chain([scope]).collect();
        let yields = function
            .generator
            .then(|| self.push(Object::Items(Vec::new())));
        let frame = Frame {
            module: function.at.module,
            scopes: scopes.into(),
            class: false,
            elsewhere: Rc::default(),
            yields,
        };
        let result = match function.body {
            Body::Expression(body) => self.eval(body, &frame)?,
            Body::Statements(body) => match self.block(body, &frame)? {
                Next::Return(value) => value,
                Next::Perhaps(unknown, Leave::Function) => Value::why(&unknown, at),
                _ => Value::none(at),
            },
        };
        Ok(match yields {
            Some(id) => Value::new(Kind::List(id), at),
            None => result,
        })
    }

    fn bind_parameters(
        &mut self,
        function: &Rc<Function<'a>>,
        arguments: Arguments,
        names: &mut HashMap<&'a str, Value>,
        at: At,
    ) -> Result<(), Stop> {
        let Some(parameters) = function.parameters else {
            return Ok(());
        };
        let Arguments {
            positional,
            keywords,
            rest,
        } = arguments;
        let mut positional = positional.into_iter();
        for parameter in parameters.posonlyargs.iter().chain(&parameters.args) {
            if let Some(value) = positional.next() {
                names.insert(parameter.parameter.name.as_str(), value);
            }
        }
        if let Some(many) = &parameters.vararg {
            let many_values = self.tuple(positional.collect(), at)?;
            names.insert(many.name.as_str(), many_values);
        } else if positional.next().is_some() && function.altered.is_none() {
            return self.raise(
                "TypeError",
                format!("too many arguments for {}()", function.name),
                at,
            );
        }
        self.charge(parameters.len() * keywords.len() / 64, at)?;
        let mut others = Dict::default();
        for (keyword, value) in keywords {
            self.charge(1, at)?;
            let known = parameters
                .args
                .iter()
                .chain(&parameters.kwonlyargs)
                .map(|parameter| parameter.parameter.name.as_str())
                .find(|name| **name == *keyword);
            match known {
                Some(name) => {
                    names.insert(name, value);
                }
                None => {
                    let key = Value::text(Rc::clone(&keyword), value.at);
                    others.insert(Key::Text(keyword), key, value);
                }
            }
        }
        if let Some(many) = &parameters.kwarg {
            let id = self.push(Object::Dict(others));
            if let Some(unknown) = &rest {
                self.heap[id].taint = Some(Rc::clone(unknown));
            }
            names.insert(many.name.as_str(), Value::new(Kind::Dict(id), at));
        } else if others.len() > 0 && rest.is_none() {
            return self.raise(
                "TypeError",
                format!("an unexpected argument for {}()", function.name),
                at,
            );
        }
        self.charge(parameters.len() * function.defaults.len() / 64, at)?;
        let all = parameters
            .posonlyargs
            .iter()
            .chain(&parameters.args)
            .chain(&parameters.kwonlyargs);
        for parameter in all {
            let name = parameter.parameter.name.as_str();
            if names.contains_key(name) {
                continue;
            }
            let default = function.defaults.iter().find(|(one, _)| *one == name);
            let value = match (&rest, default) {
                (Some(unknown), _) => Value::why(unknown, at),
                (None, Some((_, value))) => value.clone(),
                (None, None) => {
                    let message = format!("{}() misses the argument `{name}`", function.name);
                    return self.raise("TypeError", message, at);
                }
            };
            names.insert(name, value);
        }
        Ok(())
    }

    pub(super) fn lambda(&mut self, lambda: &'a ExprLambda, frame: &Frame<'a>, at: At) -> Eval {
        let defaults = match &lambda.parameters {
            Some(parameters) => self.defaults(parameters, frame)?,
            None => Vec::new(),
        };
        self.charge(8, at)?;
        let function = Function {
            name: "<lambda>",
            top: false,
            at,
            parameters: lambda.parameters.as_deref(),
            body: Body::Expression(&lambda.body),
            defaults,
            scopes: closure(frame),
            generator: false,
            altered: None,
        };
        let id = self.push(Object::Function(Rc::new(function)));
        Ok(Value::new(Kind::Function(id), at))
    }

    fn defaults(
        &mut self,
        parameters: &'a Parameters,
        frame: &Frame<'a>,
    ) -> Result<Vec<(&'a str, Value)>, Stop> {
        let mut defaults = Vec::new();
        for parameter in parameters.iter_non_variadic_params() {
            if let Some(default) = &parameter.default {
                defaults.push((
                    parameter.parameter.name.as_str(),
                    self.eval(default, frame)?,
                ));
            }
        }
        Ok(defaults)
    }

    /// `def`, with its decorators.
    pub(super) fn define(
        &mut self,
        definition: &'a StmtFunctionDef,
        frame: &Frame<'a>,
    ) -> Result<(), Stop> {
        let at = At {
            module: frame.module,
            range: definition.name.range,
        };
        // Its body is looked through for a `yield`.
        self.charge(8 + definition.range.len().to_usize() / 64, at)?;
        let function = Function {
            name: definition.name.as_str(),
            top: frame.scopes.len() == 1,
            at,
            parameters: Some(&definition.parameters),
            body: Body::Statements(&definition.body),
            defaults: self.defaults(&definition.parameters, frame)?,
            scopes: closure(frame),
            generator: is_generator(&definition.body),
            altered: None,
        };
        let id = self.push(Object::Function(Rc::new(function)));
        let mut value = Value::new(Kind::Function(id), at);
        for decorator in definition.decorator_list.iter().rev() {
            let here = At::of(frame.module, &decorator.expression);
            let with = self.eval(&decorator.expression, frame)?;
            value = self.decorated(&with, value, here)?;
        }
        self.bind(definition.name.as_str(), value, frame);
        Ok(())
    }

    fn decorated(&mut self, with: &Value, value: Value, at: At) -> Eval {
        let result = self.call(with, Arguments::of(vec![value.clone()]), at)?;
        let Kind::Unknown(unknown) = &result.kind else {
            return Ok(result);
        };
        match self.function(&value) {
            // What it does is not known; that it still is this function is what decorators are for.
            Some(function) => {
                let source = self.source(at);
                let unknown = super::Unknown {
                    reason: format!(
                        "what `@{source}` makes of it is not known: {}",
                        unknown.reason
                    ),
                    at,
                    hint: unknown.hint.clone(),
                };
                let altered = Function {
                    name: function.name,
                    top: function.top,
                    at: function.at,
                    parameters: function.parameters,
                    body: function.body,
                    defaults: function.defaults.clone(),
                    scopes: Rc::clone(&function.scopes),
                    generator: function.generator,
                    altered: Some(Rc::new(unknown)),
                };
                let id = self.push(Object::Function(Rc::new(altered)));
                Ok(Value::new(Kind::Function(id), value.at))
            }
            None => Ok(value),
        }
    }

    /// Makes a method of a value, to be called later.
    pub(super) fn method_of(&mut self, base: &Value, name: &str, at: At) -> Value {
        self.spend(8);
        let id = self.push(Object::Bound(base.clone(), name.into()));
        Value::new(Kind::Bound(id), at)
    }
}

/// The scopes that a function defined in `frame` sees: not those of a class's body.
fn closure(frame: &Frame<'_>) -> Rc<[usize]> {
    if frame.class {
        let outer = frame.scopes.len().saturating_sub(1);
        return frame.scopes[..outer].into();
    }
    Rc::clone(&frame.scopes)
}

/// Whether a function's own body holds a `yield`.
fn is_generator(body: &[Stmt]) -> bool {
    struct Yields(bool);
    impl<'s> StatementVisitor<'s> for Yields {
        fn visit_stmt(&mut self, statement: &'s Stmt) {
            if self.0 || matches!(statement, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                return;
            }
            let value = match statement {
                Stmt::Expr(one) => Some(&*one.value),
                Stmt::Assign(one) => Some(&*one.value),
                Stmt::Return(one) => one.value.as_deref(),
                _ => None,
            };
            if let Some(value) = value {
                struct Inside(bool);
                impl<'e> Visitor<'e> for Inside {
                    fn visit_expr(&mut self, expression: &'e Expr) {
                        match expression {
                            Expr::Yield(_) | Expr::YieldFrom(_) => self.0 = true,
                            Expr::Lambda(_) => {}
                            other => walk_expr(self, other),
                        }
                    }
                }
                let mut inside = Inside(false);
                inside.visit_expr(value);
                self.0 |= inside.0;
            }
            walk_stmt(self, statement);
        }
    }
    let mut yields = Yields(false);
    yields.visit_body(body);
    yields.0
}
