//! Expressions.

use std::rc::Rc;

use ruff_python_ast::{
    BoolOp, Expr, ExprBoolOp, ExprCompare, ExprFString, ExprIf, ExprName, FStringPart,
    InterpolatedStringElement, Number, UnaryOp,
};

use super::operator::Compared;
use super::statement::is_exception;
use super::value::{Object, Scalar};
use super::{Arguments, At, Eval, Frame, Kind, Machine, Stop, Unknown, Value};
use crate::read::python::constant::Evaluator;
use crate::read::python::scope::{BUILTINS, Scope};
use crate::read::python::value::Value as Constant;

impl<'a> Machine<'a> {
    pub(super) fn eval(&mut self, expression: &'a Expr, frame: &Frame<'a>) -> Eval {
        let at = At::of(frame.module, expression);
        match expression {
            // The cheap and frequent ones without another level.
            Expr::Name(name) => {
                self.charge(1, at)?;
                Ok(self.name(name, frame, at))
            }
            Expr::StringLiteral(literal) => {
                let text = literal.value.to_str();
                self.charge(1 + text.len() / 16, at)?;
                Ok(Value::text(text, at))
            }
            Expr::NoneLiteral(_) => Ok(Value::none(at)),
            Expr::BooleanLiteral(literal) => Ok(Value::bool(literal.value, at)),
            Expr::NumberLiteral(literal) => Ok(number(&literal.value, at)),
            _ => self.deeper(at, |machine| machine.eval_inner(expression, frame, at)),
        }
    }

    fn eval_inner(&mut self, expression: &'a Expr, frame: &Frame<'a>, at: At) -> Eval {
        match expression {
            Expr::EllipsisLiteral(_) => Ok(constant(Constant::Ellipsis, at)),
            Expr::BytesLiteral(literal) => {
                let bytes: Vec<u8> = literal.value.bytes().collect();
                self.charge(1 + bytes.len() / 16, at)?;
                Ok(constant(Constant::Bytes(bytes), at))
            }
            Expr::FString(literal) => self.f_string(literal, frame, at),
            Expr::List(list) => {
                let items = self.sequence(&list.elts, frame)?;
                match items {
                    Ok(items) => self.list(items, at),
                    Err(unknown) => Ok(Value::why(&unknown, at)),
                }
            }
            Expr::Tuple(tuple) => {
                let items = self.sequence(&tuple.elts, frame)?;
                match items {
                    Ok(items) => self.tuple(items, at),
                    Err(unknown) => Ok(Value::why(&unknown, at)),
                }
            }
            Expr::Set(set) => {
                let items = self.sequence(&set.elts, frame)?;
                match items {
                    Ok(items) => self.set(items, at),
                    Err(unknown) => Ok(Value::why(&unknown, at)),
                }
            }
            Expr::Dict(dict) => self.dict_literal(dict, frame, at),
            Expr::UnaryOp(unary) => {
                let operand = self.eval(&unary.operand, frame)?;
                if unary.op == UnaryOp::Not {
                    return Ok(match self.truth(&operand) {
                        Ok(truth) => Value::bool(!truth, at),
                        Err(unknown) => Value::why(&unknown, at),
                    });
                }
                Ok(self.unary(unary.op, &operand, at))
            }
            Expr::BinOp(binary) => {
                let left = self.eval(&binary.left, frame)?;
                let right = self.eval(&binary.right, frame)?;
                self.binary(binary.op, &left, &right, at)
            }
            Expr::BoolOp(chain) => self.bool_op(chain, frame, at),
            Expr::Compare(chain) => self.comparison(chain, frame, at),
            Expr::If(choice) => self.choice(choice, frame, at),
            Expr::Attribute(attribute) => {
                let base = self.eval(&attribute.value, frame)?;
                self.attribute(&base, attribute.attr.as_str(), at)
            }
            Expr::Subscript(subscript) => {
                let base = self.eval(&subscript.value, frame)?;
                let index = self.index(&subscript.slice, frame)?;
                self.subscript(&base, &index, at)
            }
            Expr::Call(call) => self.call_expression(call, frame, at),
            Expr::Await(inner) => self.eval(&inner.value, frame),
            Expr::Lambda(lambda) => self.lambda(lambda, frame, at),
            Expr::Named(named) => {
                let value = self.eval(&named.value, frame)?;
                self.assign(&named.target, value.clone(), frame)?;
                Ok(value)
            }
            Expr::ListComp(one) => {
                self.comprehension(&[&one.elt], &one.generators, &Kind::List(0), frame, at)
            }
            Expr::SetComp(one) => {
                self.comprehension(&[&one.elt], &one.generators, &Kind::Set(0), frame, at)
            }
            Expr::Generator(one) => {
                self.comprehension(&[&one.elt], &one.generators, &Kind::List(0), frame, at)
            }
            Expr::DictComp(one) => match &one.key {
                Some(key) => self.comprehension(
                    &[key, &one.value],
                    &one.generators,
                    &Kind::Dict(0),
                    frame,
                    at,
                ),
                None => Ok(Value::unknown("such an expression is not evaluated", at)),
            },
            Expr::Yield(one) => {
                let value = match &one.value {
                    Some(value) => self.eval(value, frame)?,
                    None => Value::none(at),
                };
                self.give(vec![value], frame, at)?;
                Ok(Value::none(at))
            }
            Expr::YieldFrom(one) => {
                let value = self.eval(&one.value, frame)?;
                match self.iterate(&value, at)? {
                    Ok(items) => self.give(items, frame, at)?,
                    Err(unknown) => self.give(vec![Value::why(&unknown, at)], frame, at)?,
                }
                Ok(Value::none(at))
            }
            Expr::Starred(one) => self.eval(&one.value, frame),
            _ => Ok(Value::unknown("such an expression is not evaluated", at)),
        }
    }

    /// What a generator gives.
    fn give(&mut self, items: Vec<Value>, frame: &Frame<'a>, at: At) -> Result<(), Stop> {
        self.charge(1 + items.len(), at)?;
        if let Some(id) = frame.yields {
            self.touched(id);
            if let Object::Items(given) = &mut self.heap[id].object {
                given.extend(items);
            }
        }
        Ok(())
    }

    fn name(&mut self, name: &'a ExprName, frame: &Frame<'a>, at: At) -> Value {
        let name = name.id.as_str();
        if let Some(value) = self.lookup(name, frame) {
            let mut value = self.settled(&value);
            // `__file__` and the like stand nowhere but where they are used.
            if value.at.range.is_empty() {
                value.at = at;
            }
            return value;
        }
        if BUILTINS.binary_search(&name).is_ok() || is_exception(name) {
            return Value::new(Kind::Named(format!("builtins.{name}").into()), at);
        }
        match self.lookup("*", frame) {
            Some(star) => match star.kind {
                Kind::Unknown(unknown) => Value::why(&unknown, at),
                _ => Value::unknown(format!("the name `{name}` is not defined"), at),
            },
            None => Value::unknown(format!("the name `{name}` is not defined"), at),
        }
    }

    /// What a name is bound to.
    pub(super) fn lookup(&self, name: &str, frame: &Frame<'a>) -> Option<Value> {
        let elsewhere = frame.elsewhere.borrow();
        if let Some(scope) = elsewhere.get(name) {
            return self.bound_in(*scope, name);
        }
        frame
            .scopes
            .iter()
            .rev()
            .find_map(|scope| self.bound_in(*scope, name))
    }

    pub(super) fn bound_in(&self, scope: usize, name: &str) -> Option<Value> {
        match &self.heap[scope].object {
            Object::Scope(names) => names.get(name).cloned(),
            _ => None,
        }
    }

    /// The items of a display, with `*` unpacked.
    fn sequence(
        &mut self,
        items: &'a [Expr],
        frame: &Frame<'a>,
    ) -> Result<Result<Vec<Value>, Rc<Unknown>>, Stop> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            if let Expr::Starred(starred) = item {
                let value = self.eval(&starred.value, frame)?;
                match self.iterate(&value, At::of(frame.module, item))? {
                    Ok(inner) => values.extend(inner),
                    Err(unknown) => return Ok(Err(unknown)),
                }
            } else {
                values.push(self.eval(item, frame)?);
            }
        }
        Ok(Ok(values))
    }

    fn dict_literal(
        &mut self,
        dict: &'a ruff_python_ast::ExprDict,
        frame: &Frame<'a>,
        at: At,
    ) -> Eval {
        let mut items = Vec::with_capacity(dict.items.len());
        for item in &dict.items {
            let value = self.eval(&item.value, frame)?;
            match &item.key {
                Some(key) => items.push((self.eval(key, frame)?, value)),
                None => match self.entries(&value) {
                    Some(inner) => {
                        self.charge(inner.len(), at)?;
                        items.extend(inner);
                    }
                    None => return Ok(self.unsure(&value, "what is unpacked is not known", at)),
                },
            }
        }
        self.dict(items, at)
    }

    /// Why `value` is not known, or that something about it is not.
    pub(super) fn unsure(&self, value: &Value, reason: &str, at: At) -> Value {
        match self.settled(value).kind {
            Kind::Unknown(unknown) => Value::why(&unknown, at),
            _ => Value::unknown(reason, at),
        }
    }

    fn bool_op(&mut self, chain: &'a ExprBoolOp, frame: &Frame<'a>, at: At) -> Eval {
        let or = chain.op == BoolOp::Or;
        let mut last = Value::none(at);
        for operand in &chain.values {
            last = self.eval(operand, frame)?;
            match self.truth(&last) {
                Ok(truth) if truth == or => return Ok(last),
                Ok(_) => {}
                Err(unknown) => return Ok(Value::why(&unknown, at)),
            }
        }
        Ok(last)
    }

    fn comparison(&mut self, chain: &'a ExprCompare, frame: &Frame<'a>, at: At) -> Eval {
        let mut left = self.eval(&chain.left, frame)?;
        let mut origins = Vec::new();
        for (op, right) in chain.ops.iter().zip(&chain.comparators) {
            let right = self.eval(right, frame)?;
            origins.extend([left.origin.clone(), right.origin.clone()]);
            match self.compared(*op, &left, &right, at)? {
                Compared::Known(true) => left = right,
                Compared::Known(false) => return Ok(Value::bool(false, at)),
                Compared::Unknown(unknown) => return Ok(Value::why(&unknown, at)),
            }
        }
        Ok(Value::bool(true, at))
    }

    fn choice(&mut self, choice: &'a ExprIf, frame: &Frame<'a>, at: At) -> Eval {
        let test = self.eval(&choice.test, frame)?;
        match self.truth(&test) {
            Ok(true) => self.eval(&choice.body, frame),
            Ok(false) => self.eval(&choice.orelse, frame),
            Err(unknown) => {
                let before = self.begin_doubt(&unknown);
                for branch in [&choice.body, &choice.orelse] {
                    if let Err(Stop::Halt(halt)) = self.eval(branch, frame) {
                        return Err(Stop::Halt(halt));
                    }
                }
                self.end_doubt(before, &unknown);
                Ok(Value::why(&unknown, at))
            }
        }
    }

    fn f_string(&mut self, literal: &'a ExprFString, frame: &Frame<'a>, at: At) -> Eval {
        let mut pieces = Vec::new();
        for part in &literal.value {
            match part {
                FStringPart::Literal(literal) => {
                    pieces.push(Value::text(literal.as_str(), at));
                }
                FStringPart::FString(inner) => {
                    self.f_elements(inner.elements.iter(), &mut pieces, frame, at)?;
                }
            }
        }
        self.concatenate(&pieces, at)
    }

    /// The texts that the elements of an f-string, or of a format in it, come to.
    fn f_elements(
        &mut self,
        elements: impl Iterator<Item = &'a InterpolatedStringElement>,
        pieces: &mut Vec<Value>,
        frame: &Frame<'a>,
        at: At,
    ) -> Result<(), Stop> {
        for element in elements {
            let inner = match element {
                InterpolatedStringElement::Literal(literal) => {
                    pieces.push(Value::text(&*literal.value, at));
                    continue;
                }
                InterpolatedStringElement::Interpolation(inner) => inner,
            };
            if let Some(debug) = &inner.debug_text {
                let here = At::of(frame.module, &*inner.expression);
                let source = self.source(here);
                let text = format!("{}{source}{}", debug.leading(), debug.trailing());
                pieces.push(Value::text(text, at));
            }
            let value = self.eval(&inner.expression, frame)?;
            let spec = match &inner.format_spec {
                None => None,
                Some(spec) => {
                    let mut parts = Vec::new();
                    self.deeper(at, |machine| {
                        machine.f_elements(spec.elements.iter(), &mut parts, frame, at)
                    })?;
                    let joined = self.concatenate(&parts, at)?;
                    if joined.as_unknown().is_some() {
                        pieces.push(joined);
                        continue;
                    }
                    joined.as_text().map(str::to_owned)
                }
            };
            let repr = matches!(
                inner.conversion,
                ruff_python_ast::ConversionFlag::Repr | ruff_python_ast::ConversionFlag::Ascii
            ) || (inner.debug_text.is_some()
                && inner.conversion == ruff_python_ast::ConversionFlag::None
                && spec.is_none());
            pieces.push(self.formatted(&value, repr, spec.as_deref().unwrap_or(""), at)?);
        }
        Ok(())
    }

    /// Texts put together, with their template where all of them have one.
    pub(super) fn concatenate(&mut self, pieces: &[Value], at: At) -> Eval {
        let mut joined = String::new();
        let origin = Value::origins(pieces);
        let mut template = origin.as_ref().map(|_| String::new());
        for piece in pieces {
            self.charge_texts([piece], at)?;
            match &piece.kind {
                Kind::Text(text) => joined.push_str(text),
                Kind::Unknown(unknown) => return Ok(Value::why(unknown, at)),
                _ => return Ok(Value::unknown("how it is written as text is not known", at)),
            }
            if let (Some(template), Some(written)) = (&mut template, piece.written()) {
                template.push_str(&written);
            } else {
                template = None;
            }
            self.room(joined.len(), at)?;
        }
        let origin = origin.map(|origin| {
            let mut origin = (*origin).clone();
            origin.template = template;
            Rc::new(origin)
        });
        Ok(self.long(joined, at)?.of(origin))
    }

    /// Whether Python takes a value for true.
    pub(super) fn truth(&self, value: &Value) -> Result<bool, Rc<Unknown>> {
        let settled = self.settled(value);
        Ok(match &settled.kind {
            Kind::None => false,
            Kind::Bool(one) => *one,
            Kind::Int(value) => *value != 0,
            Kind::Float(value) => *value != 0.0,
            Kind::Text(text) => !text.is_empty(),
            Kind::List(id) | Kind::Tuple(id) | Kind::Set(id) | Kind::Dict(id) => {
                match &self.heap[*id].object {
                    Object::Items(items) => !items.is_empty(),
                    Object::Dict(dict) => dict.len() != 0,
                    _ => true,
                }
            }
            Kind::Constant(constant) => constant.0.truth().unwrap_or(true),
            Kind::Named(full) if !full.starts_with("builtins.") && !self.is_standard(full) => {
                return Err(Rc::new(Unknown {
                    reason: format!("`{full}` is outside of the repository"),
                    at: value.at,
                    hint: None,
                }));
            }
            Kind::Unknown(unknown) => return Err(Rc::clone(unknown)),
            _ => true,
        })
    }

    /// The items that a loop over a value sees, in their order.
    pub(super) fn iterate(
        &mut self,
        value: &Value,
        at: At,
    ) -> Result<Result<Vec<Value>, Rc<Unknown>>, Stop> {
        if let Some(items) = self.items(value) {
            self.charge(1 + items.len() / 4, at)?;
            return Ok(Ok(items));
        }
        if let Some(entries) = self.entries(value) {
            self.charge(1 + entries.len() / 4, at)?;
            return Ok(Ok(entries.into_iter().map(|(key, _)| key).collect()));
        }
        let settled = self.settled(value);
        Ok(match &settled.kind {
            Kind::Text(text) => {
                self.charge(1 + text.len(), at)?;
                Ok(text
                    .chars()
                    .map(|one| Value::text(one.to_string(), at))
                    .collect())
            }
            Kind::Class(_) => match self.members(&settled) {
                Some(members) => Ok(members),
                None => Err(reason("the class cannot be iterated over", at)),
            },
            Kind::Record(_) if self.record_kind(&settled) == Some("file") => {
                let text = self.field(&settled, "text");
                match text.as_ref().and_then(Value::as_text) {
                    Some(text) => {
                        self.charge(1 + text.len() / 8, at)?;
                        let lines = text.split_inclusive('\n');
                        Ok(lines.map(|line| Value::text(line, at)).collect())
                    }
                    None => Err(reason("the file is not known", at)),
                }
            }
            Kind::Unknown(unknown) => Err(Rc::clone(unknown)),
            Kind::None | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => {
                return self.raise("TypeError", "the object is not iterable", at);
            }
            _ => Err(reason("what is iterated over is not known", at)),
        })
    }

    /// Calls `function`, whatever it is, with some values.
    pub(super) fn apply(&mut self, function: &Value, values: Vec<Value>, at: At) -> Eval {
        self.call(function, Arguments::of(values), at)
    }
}

pub(super) fn reason(text: impl Into<String>, at: At) -> Rc<Unknown> {
    Rc::new(Unknown {
        reason: text.into(),
        at,
        hint: None,
    })
}

pub(super) fn constant(constant: Constant<'static>, at: At) -> Value {
    let kind = match constant {
        Constant::None => Kind::None,
        Constant::Bool(one) => Kind::Bool(one),
        Constant::Int(value) => Kind::Int(value),
        Constant::Float(value) => Kind::Float(value),
        Constant::Str(text) => Kind::Text(text.into()),
        Constant::Path(path) => Kind::Path(path.into()),
        Constant::Named(full) => Kind::Named(full.into()),
        Constant::Unknown(unknown) => return Value::unknown(unknown.reason, at),
        other => Kind::Constant(Rc::new(Scalar(other))),
    };
    Value::new(kind, at)
}

fn number(number: &Number, at: At) -> Value {
    match number {
        Number::Int(int) => match int.as_u64() {
            Some(value) => Value::new(Kind::Int(i128::from(value)), at),
            None => Value::unknown("the integer has more than 64 bits", at),
        },
        Number::Float(value) => Value::new(Kind::Float(*value), at),
        Number::Complex { .. } => Value::unknown("complex numbers are not evaluated", at),
    }
}

/// Runs something of the evaluator of expressions, which knows scalar values and needs no module for them.
pub(super) fn with_evaluator<T>(run: impl FnOnce(&Evaluator<'static>) -> T) -> T {
    static NOTHING: std::sync::LazyLock<Scope<'static>> = std::sync::LazyLock::new(Scope::default);
    run(&Evaluator::new(&NOTHING, None))
}
