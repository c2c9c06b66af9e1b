//! A small evaluator of expressions: total, bounded, and without effects. It calls nothing of the repository.
//!
//! What it cannot tell is [`Value::Unknown`] with a reason, never a guess.

mod access;
mod call;
mod import;
mod known;
mod method;
mod moment;
mod operator;
mod schedule;

use std::cell::Cell;
use std::rc::Rc;

use ruff_python_ast::{Expr, Number, Operator};
use ruff_text_size::{Ranged, TextSize};

use super::class;
use super::library::Imports;
use super::scope::Scope;
use super::value::{Value, unknown};
use crate::model::RepoPath;

pub(super) use access::compared;
pub(super) use call::{Arguments, is_typing};
pub(super) use operator::{attribute, join, unary};

/// Work that one evaluator does in all: about one unit a node, an item of a copied list, or 16 bytes of a text.
const STEPS: usize = 200_000;

/// How deep expressions and the names in them lead into each other.
const DEPTH: u32 = 60;

/// Evaluates expressions of a module.
#[derive(Clone)]
pub(super) struct Evaluator<'a> {
    pub(super) scope: &'a Scope<'a>,
    /// The modules that it can import; `None` where it stands alone.
    view: Option<View<'a>>,
    budget: Rc<Budget>,
}

/// The other modules of the repository, as a file that runs sees them.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) imports: &'a dyn Imports,
    /// The folders where modules are looked for.
    pub(super) roots: &'a [RepoPath],
}

/// What evaluators of all modules share while one flow is read.
struct Budget {
    steps: Cell<usize>,
    depth: Cell<u32>,
}

/// Where an expression stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context<'v, 'a> {
    /// The place of the string literal that holds the expression; `None` for an expression of the module itself.
    pub(super) within: Option<TextSize>,
    /// Names of an enclosing class body, over those of the module.
    pub(super) locals: &'v [(String, Value<'a>)],
}

impl Context<'_, '_> {
    /// The place of an expression in the module's source.
    pub(super) fn place(&self, expression: &Expr) -> TextSize {
        self.within.unwrap_or_else(|| expression.start())
    }
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(scope: &'a Scope<'a>, view: Option<View<'a>>) -> Self {
        let budget = Budget {
            steps: Cell::new(STEPS),
            depth: Cell::new(0),
        };
        Self {
            scope,
            view,
            budget: Rc::new(budget),
        }
    }

    /// The same work in another module.
    pub(super) fn within(&self, scope: &'a Scope<'a>) -> Self {
        Self {
            scope,
            ..self.clone()
        }
    }

    /// The value of an expression of the module.
    pub(super) fn value(&self, expression: &Expr) -> Value<'a> {
        self.eval(expression, Context::default())
    }

    /// Takes `work` from what is left; false when that is used up.
    pub(super) fn charge(&self, work: usize) -> bool {
        let left = self.budget.steps.get();
        self.budget.steps.set(left.saturating_sub(work));
        left >= work
    }

    /// The value of an expression.
    pub(super) fn eval(&self, expression: &Expr, context: Context<'_, 'a>) -> Value<'a> {
        let at = context.place(expression);
        if !self.charge(1) {
            return unknown("it takes too long to work out", at);
        }
        if self.budget.depth.get() >= DEPTH {
            return unknown("it is nested too deep", at);
        }
        self.budget.depth.set(self.budget.depth.get() + 1);
        let value = self.eval_inner(expression, context, at);
        self.budget.depth.set(self.budget.depth.get() - 1);
        value
    }

    fn eval_inner(&self, expression: &Expr, context: Context<'_, 'a>, at: TextSize) -> Value<'a> {
        match expression {
            Expr::NoneLiteral(_) => Value::None,
            Expr::BooleanLiteral(literal) => Value::Bool(literal.value),
            Expr::EllipsisLiteral(_) => Value::Ellipsis,
            Expr::NumberLiteral(literal) => match &literal.value {
                Number::Int(int) => match int.as_u64() {
                    Some(value) => Value::Int(i128::from(value)),
                    None => unknown("the integer has more than 64 bits", at),
                },
                Number::Float(value) => Value::Float(*value),
                Number::Complex { .. } => unknown("complex numbers are not evaluated", at),
            },
            Expr::StringLiteral(literal) => {
                let text = literal.value.to_str();
                if self.charge(text.len() / 16) {
                    Value::Str(text.to_owned())
                } else {
                    unknown("it takes too long to work out", at)
                }
            }
            Expr::BytesLiteral(literal) => Value::Bytes(literal.value.bytes().collect()),
            Expr::FString(literal) => self.format(literal, context, at),
            Expr::List(list) => self
                .items(&list.elts, context)
                .map_or_else(|gap| gap, Value::List),
            Expr::Tuple(tuple) => self
                .items(&tuple.elts, context)
                .map_or_else(|gap| gap, Value::Tuple),
            Expr::Set(set) => self
                .items(&set.elts, context)
                .map_or_else(|gap| gap, |items| distinct(items, at)),
            Expr::Dict(dict) => self.dict(dict, context, at),
            Expr::UnaryOp(unary) => {
                operator::unary(unary.op, &self.eval(&unary.operand, context), at)
            }
            Expr::BinOp(binary) => {
                let left = self.eval(&binary.left, context);
                let right = self.eval(&binary.right, context);
                if binary.op == Operator::BitOr && (is_type(&left) || is_type(&right)) {
                    return Value::Opaque;
                }
                self.binary(binary.op, &left, &right, at)
            }
            Expr::BoolOp(chain) => {
                let or = chain.op == ruff_python_ast::BoolOp::Or;
                let mut last = Value::None;
                for operand in &chain.values {
                    last = self.eval(operand, context);
                    match last.truth() {
                        Some(truth) if truth == or => return last,
                        Some(_) => {}
                        None => return gap_or(&last, "whether it holds is not known", at),
                    }
                }
                last
            }
            Expr::Compare(chain) => {
                let mut left = self.eval(&chain.left, context);
                for (op, right) in chain.ops.iter().zip(&chain.comparators) {
                    let right = self.eval(right, context);
                    match compared(*op, &left, &right) {
                        Some(true) => left = right,
                        Some(false) => return Value::Bool(false),
                        None => return gap_or(&left, "the comparison is not known", at),
                    }
                }
                Value::Bool(true)
            }
            Expr::If(choice) => {
                let test = self.eval(&choice.test, context);
                match test.truth() {
                    Some(true) => self.eval(&choice.body, context),
                    Some(false) => self.eval(&choice.orelse, context),
                    None => gap_or(&test, "whether the condition holds is not known", at),
                }
            }
            Expr::Name(name) => self.name(name.id.as_str(), context, at),
            Expr::Attribute(attribute) => {
                let base = self.eval(&attribute.value, context);
                self.attribute(base, attribute.attr.as_str(), at)
            }
            Expr::Subscript(subscript) => {
                let base = self.eval(&subscript.value, context);
                if is_type(&base)
                    && !matches!(&base, Value::Class(class) if class::is_enum(self, *class))
                {
                    // `list[int]` as a value
                    return Value::Opaque;
                }
                let index = self.eval(&subscript.slice, context);
                self.subscript(base, &index, at)
            }
            Expr::Call(call) => self.call(call, context, at),
            Expr::Lambda(_) => Value::Opaque,
            Expr::Starred(_) => unknown("it is unpacked", at),
            _ => unknown("it is more than a constant", at),
        }
    }

    /// The items of a list, tuple, set or of positional arguments, with `*` unpacked.
    pub(super) fn items(
        &self,
        items: &[Expr],
        context: Context<'_, 'a>,
    ) -> Result<Vec<Value<'a>>, Value<'a>> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            if let Expr::Starred(starred) = item {
                match self.eval(&starred.value, context) {
                    Value::List(inner) | Value::Tuple(inner) | Value::Set(inner) => {
                        values.extend(inner);
                    }
                    other => {
                        return Err(gap_or(
                            &other,
                            "what is unpacked is not known",
                            context.place(item),
                        ));
                    }
                }
            } else {
                values.push(self.eval(item, context));
            }
        }
        Ok(values)
    }

    fn dict(
        &self,
        dict: &ruff_python_ast::ExprDict,
        context: Context<'_, 'a>,
        at: TextSize,
    ) -> Value<'a> {
        let mut items: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(dict.len());
        for item in dict {
            match &item.key {
                Some(key) => items.push((self.eval(key, context), self.eval(&item.value, context))),
                None => match self.eval(&item.value, context) {
                    Value::Dict(inner) => items.extend(inner),
                    other => return gap_or(&other, "what is unpacked is not known", at),
                },
            }
        }
        self.dict_of(items, at)
    }

    /// A dict of items of which the last of each key counts, at the place of the first.
    pub(super) fn dict_of(&self, items: Vec<(Value<'a>, Value<'a>)>, at: TextSize) -> Value<'a> {
        let mut places = std::collections::HashMap::new();
        let mut distinct: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(items.len());
        for (key, value) in items {
            // Equal numbers are one key in Python, whatever their kind.
            let identity = match (&key, key.number()) {
                (Value::Str(text), _) => format!("s{text}"),
                (_, Some(number)) => format!("n{number}"),
                (Value::Unknown(_), _) => return key,
                (Value::List(_) | Value::Dict(_) | Value::Set(_), _) => {
                    return unknown("a key is not hashable", at);
                }
                _ => format!("o{key:?}"),
            };
            if !self.charge(1 + identity.len() / 16) {
                return unknown("it takes too long to work out", at);
            }
            match places.entry(identity) {
                std::collections::hash_map::Entry::Occupied(place) => {
                    let index: usize = *place.get();
                    distinct[index].1 = value;
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(distinct.len());
                    distinct.push((key, value));
                }
            }
        }
        Value::Dict(distinct)
    }

    fn name(&self, name: &str, context: Context<'_, 'a>, at: TextSize) -> Value<'a> {
        if let Some((_, value)) = context.locals.iter().rev().find(|(local, _)| local == name) {
            return if self.charge(value.weight()) {
                value.clone()
            } else {
                unknown("it takes too long to work out", at)
            };
        }
        self.bound(name, self.lookup(name, at), at)
    }
}

/// Whether a value is a type, or a form of `typing`.
fn is_type(value: &Value<'_>) -> bool {
    match value {
        Value::Class(_) => true,
        Value::Named(full) => full.rsplit_once('.').is_some_and(|(module, _)| {
            matches!(
                module,
                "builtins" | "typing" | "typing_extensions" | "collections.abc"
            )
        }),
        _ => false,
    }
}

/// A set of the items, each once.
fn distinct(items: Vec<Value<'_>>, at: TextSize) -> Value<'_> {
    let mut set: Vec<Value<'_>> = Vec::with_capacity(items.len());
    if items.len() > 2_000 {
        return unknown("the set has more than 2000 items", at);
    }
    for item in items {
        if !set.iter().any(|other| other.equals(&item) == Some(true)) {
            set.push(item);
        }
    }
    Value::Set(set)
}

/// The value if it tells itself why it is not known, otherwise an unknown one with `reason`.
pub(super) fn gap_or<'a>(value: &Value<'a>, reason: &str, at: TextSize) -> Value<'a> {
    match value.gap() {
        Some(gap) => Value::Unknown(gap.clone()),
        None => unknown(reason, at),
    }
}
