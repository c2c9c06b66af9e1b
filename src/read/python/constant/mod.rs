//! A small evaluator of expressions: total, bounded, and without effects. It calls nothing of the repository.
//!
//! What it cannot tell is [`Value::Unknown`] with a reason, never a guess.

mod call;
mod operator;

use std::cell::Cell;

use ruff_python_ast::{
    CmpOp, ConversionFlag, Expr, ExprFString, FStringPart, InterpolatedStringElement, Number,
    Operator,
};
use ruff_text_size::{Ranged, TextSize};

use super::class;
use super::scope::{Named, Scope};
use super::value::{Value, compare, unknown};

pub(super) use call::{Arguments, is_typing};

/// Work that one evaluator does in all: about one unit a node, an item of a copied list, or 16 bytes of a text.
const STEPS: usize = 200_000;

/// How deep expressions and the names in them lead into each other.
const DEPTH: u32 = 60;

/// Evaluates expressions of one module.
pub(super) struct Evaluator<'a> {
    pub(super) scope: &'a Scope<'a>,
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
    pub(super) fn new(scope: &'a Scope<'a>) -> Self {
        Self {
            scope,
            steps: Cell::new(STEPS),
            depth: Cell::new(0),
        }
    }

    /// The value of an expression of the module.
    pub(super) fn value(&self, expression: &Expr) -> Value<'a> {
        self.eval(expression, Context::default())
    }

    /// Takes `work` from what is left; false when that is used up.
    pub(super) fn charge(&self, work: usize) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(work));
        left >= work
    }

    /// The value of an expression.
    pub(super) fn eval(&self, expression: &Expr, context: Context<'_, 'a>) -> Value<'a> {
        let at = context.place(expression);
        if !self.charge(1) {
            return unknown("it takes too long to work out", at);
        }
        if self.depth.get() >= DEPTH {
            return unknown("it is nested too deep", at);
        }
        self.depth.set(self.depth.get() + 1);
        let value = self.eval_inner(expression, context, at);
        self.depth.set(self.depth.get() - 1);
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
                    && !matches!(&base, Value::Class(class) if class::is_enum(self, class))
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
        match self.scope.lookup(name, at) {
            Named::Imported(full) if full == "builtins.Ellipsis" => Value::Ellipsis,
            Named::Imported(full) if full == "builtins.__name__" || full == "builtins.__file__" => {
                unknown("it depends on where the file lies", at)
            }
            Named::Imported(full) => Value::Named(full),
            Named::Function(function) => Value::Function(function),
            Named::Class(class) => Value::Class(class),
            Named::Value {
                expression,
                stable: true,
            } => self.eval(expression, Context::default()),
            Named::Value { stable: false, .. } => unknown(
                format!("the value of `{name}` depends on how the module runs"),
                at,
            ),
            Named::Opaque => unknown(format!("the value of `{name}` is not known"), at),
            Named::Undefined => unknown(format!("the name `{name}` is not defined"), at),
        }
    }

    fn attribute(&self, base: Value<'a>, name: &str, at: TextSize) -> Value<'a> {
        match (&base, name) {
            (Value::Unknown(_), _) => base,
            (Value::Named(module), _) => match format!("{module}.{name}").as_str() {
                "datetime.timezone.utc" | "datetime.UTC" => Value::Timezone(0),
                "math.pi" => Value::Float(std::f64::consts::PI),
                full => Value::Named(full.to_owned()),
            },
            (Value::Class(class), _) => class::member(self, class, name)
                .unwrap_or_else(|| unknown(format!("`{}.{name}` is not known", class.name), at)),
            (Value::Member { value, .. }, "value" | "_value_") => (**value).clone(),
            (Value::Member { name, .. }, "name" | "_name_") => Value::Str(name.clone()),
            (Value::Instance { fields, .. }, _) => {
                fields.iter().find(|(field, _)| field == name).map_or_else(
                    || unknown(format!("`.{name}` is not known"), at),
                    |(_, value)| value.clone(),
                )
            }
            _ => operator::attribute(&base, name)
                .unwrap_or_else(|| unknown(format!("`.{name}` is not evaluated"), at)),
        }
    }

    fn subscript(&self, base: Value<'a>, index: &Value<'a>, at: TextSize) -> Value<'a> {
        match (&base, index) {
            (Value::Unknown(_), _) => base,
            (_, Value::Unknown(_)) => index.clone(),
            (Value::List(items) | Value::Tuple(items), Value::Int(index)) => {
                place(*index, items.len()).map_or_else(
                    || unknown("the index is out of range", at),
                    |i| items[i].clone(),
                )
            }
            (Value::Str(text), Value::Int(index)) => {
                let chars: Vec<char> = text.chars().collect();
                if !self.charge(chars.len() / 16) {
                    return unknown("it takes too long to work out", at);
                }
                place(*index, chars.len()).map_or_else(
                    || unknown("the index is out of range", at),
                    |i| Value::Str(chars[i].to_string()),
                )
            }
            (Value::Dict(items), key) => items
                .iter()
                .find(|(other, _)| other.equals(key) == Some(true))
                .map_or_else(
                    || unknown("the key is not there", at),
                    |(_, value)| value.clone(),
                ),
            (Value::Class(class), Value::Str(name)) => class::member(self, class, name)
                .unwrap_or_else(|| unknown(format!("`{}[{name:?}]` is not known", class.name), at)),
            (Value::Named(full), _) if full.starts_with("os.environ") => {
                unknown("it comes from the environment", at)
            }
            _ => unknown("the subscript is not evaluated", at),
        }
    }

    fn format(&self, literal: &ExprFString, context: Context<'_, 'a>, at: TextSize) -> Value<'a> {
        let mut text = String::new();
        for part in &literal.value {
            let fstring = match part {
                FStringPart::Literal(literal) => {
                    text.push_str(literal.as_str());
                    continue;
                }
                FStringPart::FString(fstring) => fstring,
            };
            for element in &fstring.elements {
                let inner = match element {
                    InterpolatedStringElement::Literal(literal) => {
                        text.push_str(literal);
                        continue;
                    }
                    InterpolatedStringElement::Interpolation(inner) => inner,
                };
                if inner.format_spec.is_some() || inner.debug_text.is_some() {
                    return unknown("the format of an f-string is not evaluated", at);
                }
                let value = self.eval(&inner.expression, context);
                let piece = match (inner.conversion, &value) {
                    (ConversionFlag::None | ConversionFlag::Str, _) => value.text(),
                    (ConversionFlag::Repr, Value::Str(inner)) if inner.chars().all(is_plain) => {
                        Some(format!("'{inner}'"))
                    }
                    (
                        ConversionFlag::Repr,
                        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::None,
                    ) => value.text(),
                    _ => None,
                };
                match piece {
                    Some(piece) => text.push_str(&piece),
                    None => return gap_or(&value, "how it is formatted is not known", at),
                }
                if !self.charge(text.len() / 16) {
                    return unknown("it takes too long to work out", at);
                }
            }
        }
        Value::Str(text)
    }
}

/// Whether `repr` gives a character as it is, in single quotes.
fn is_plain(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_control() && c != '\'' && c != '\\'
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

/// A Python index as one from the front, if it is in range.
fn place(index: i128, length: usize) -> Option<usize> {
    let length = i128::try_from(length).ok()?;
    let index = if index < 0 {
        index.checked_add(length)?
    } else {
        index
    };
    (0..length)
        .contains(&index)
        .then(|| usize::try_from(index).ok())
        .flatten()
}

/// What a comparison comes to; `None` where it is not known or fails.
fn compared(op: CmpOp, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    if left.gap().is_some() || right.gap().is_some() {
        return None;
    }
    match op {
        CmpOp::Eq => left.equals(right),
        CmpOp::NotEq => left.equals(right).map(|equal| !equal),
        CmpOp::Lt => compare(left, right).map(|order| order.is_lt()),
        CmpOp::LtE => compare(left, right).map(|order| order.is_le()),
        CmpOp::Gt => compare(left, right).map(|order| order.is_gt()),
        CmpOp::GtE => compare(left, right).map(|order| order.is_ge()),
        CmpOp::Is | CmpOp::IsNot => {
            let singleton = |value: &Value<'_>| matches!(value, Value::None | Value::Bool(_));
            (singleton(left) || singleton(right)).then(|| (left == right) == (op == CmpOp::Is))
        }
        CmpOp::In | CmpOp::NotIn => {
            let found = match (left, right) {
                (Value::Str(part), Value::Str(whole)) => whole.contains(part.as_str()),
                (_, Value::List(items) | Value::Tuple(items) | Value::Set(items)) => {
                    contains(items.iter(), left)?
                }
                (_, Value::Dict(items)) => contains(items.iter().map(|(key, _)| key), left)?,
                _ => return None,
            };
            Some(found == (op == CmpOp::In))
        }
    }
}

fn contains<'v, 'a: 'v>(
    items: impl Iterator<Item = &'v Value<'a>>,
    wanted: &Value<'a>,
) -> Option<bool> {
    for item in items {
        if item.equals(wanted)? {
            return Some(true);
        }
    }
    Some(false)
}
