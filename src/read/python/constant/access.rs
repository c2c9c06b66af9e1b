//! Attributes, subscripts, f-strings and comparisons.

use ruff_python_ast::{CmpOp, ConversionFlag, ExprFString, FStringPart, InterpolatedStringElement};
use ruff_text_size::TextSize;

use super::{Context, Evaluator, gap_or, operator};
use crate::read::python::class;
use crate::read::python::value::{Value, compare, unknown};

impl<'a> Evaluator<'a> {
    pub(super) fn attribute(&self, base: Value<'a>, name: &str, at: TextSize) -> Value<'a> {
        match (&base, name) {
            (Value::Unknown(_), _) => base,
            (Value::Named(module), _) => match format!("{module}.{name}").as_str() {
                "datetime.timezone.utc" | "datetime.UTC" => Value::Timezone(0),
                "math.pi" => Value::Float(std::f64::consts::PI),
                full => self.bound(name, self.imported(full.to_owned()), at),
            },
            (Value::Module(module), _) => self.bound(name, self.member(module, name), at),
            (Value::Class(class), _) => class::member(self, *class, name)
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

    pub(super) fn subscript(&self, base: Value<'a>, index: &Value<'a>, at: TextSize) -> Value<'a> {
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
            (Value::Class(class), Value::Str(name)) => class::member(self, *class, name)
                .unwrap_or_else(|| unknown(format!("`{}[{name:?}]` is not known", class.name), at)),
            (Value::Named(full), _) if full.starts_with("os.environ") => {
                unknown("it comes from the environment", at)
            }
            _ => unknown("the subscript is not evaluated", at),
        }
    }

    pub(super) fn format(
        &self,
        literal: &ExprFString,
        context: Context<'_, 'a>,
        at: TextSize,
    ) -> Value<'a> {
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
pub(in crate::read::python) fn compared(
    op: CmpOp,
    left: &Value<'_>,
    right: &Value<'_>,
) -> Option<bool> {
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
