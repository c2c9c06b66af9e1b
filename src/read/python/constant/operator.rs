//! Operators and attributes of known values.

use chrono::{Datelike, Duration, NaiveDateTime, Timelike};
use ruff_python_ast::{Operator, UnaryOp};
use ruff_text_size::TextSize;

use super::{Evaluator, gap_or};
use crate::read::python::value::{Value, unknown};

/// The longest text or list that an operator makes.
const LENGTH: usize = 1 << 20;

/// What a unary operator makes of a value.
pub(in crate::read::python) fn unary<'a>(
    op: UnaryOp,
    operand: &Value<'a>,
    at: TextSize,
) -> Value<'a> {
    let result = match (op, operand) {
        (UnaryOp::Not, _) => operand.truth().map(|truth| Value::Bool(!truth)),
        (UnaryOp::USub, Value::Float(value)) => Some(Value::Float(-value)),
        (UnaryOp::USub, Value::Timedelta(micros)) => micros.checked_neg().map(Value::Timedelta),
        (UnaryOp::UAdd, Value::Float(_) | Value::Timedelta(_)) => Some(operand.clone()),
        (UnaryOp::USub, _) => operand
            .integer()
            .and_then(i128::checked_neg)
            .map(Value::Int),
        (UnaryOp::UAdd, _) => operand.integer().map(Value::Int),
        (UnaryOp::Invert, _) => operand.integer().map(|value| Value::Int(!value)),
    };
    result.unwrap_or_else(|| gap_or(operand, "the operator is not evaluated", at))
}

impl<'a> Evaluator<'a> {
    /// What a binary operator makes of two values.
    pub(in crate::read::python) fn binary(
        &self,
        op: Operator,
        left: &Value<'a>,
        right: &Value<'a>,
        at: TextSize,
    ) -> Value<'a> {
        if let Some(gap) = left.gap().or_else(|| right.gap()) {
            return Value::Unknown(gap.clone());
        }
        let result = match (left, right) {
            (Value::Int(_) | Value::Bool(_), Value::Int(_) | Value::Bool(_)) => {
                match (left.integer(), right.integer()) {
                    (Some(a), Some(b)) => integers(op, a, b),
                    _ => None,
                }
            }
            (
                Value::Int(_) | Value::Bool(_) | Value::Float(_),
                Value::Int(_) | Value::Bool(_) | Value::Float(_),
            ) => match (left.number(), right.number()) {
                (Some(a), Some(b)) => floats(op, a, b).map(Value::Float),
                _ => None,
            },
            _ => self.composite(op, left, right),
        };
        result.unwrap_or_else(|| unknown("the operator is not evaluated", at))
    }

    fn composite(&self, op: Operator, left: &Value<'a>, right: &Value<'a>) -> Option<Value<'a>> {
        use Value as V;
        Some(match (op, left, right) {
            (Operator::Add, V::Str(a), V::Str(b)) if self.fits(a.len() + b.len(), 16) => {
                V::Str(format!("{a}{b}"))
            }
            (Operator::Add, V::Bytes(a), V::Bytes(b)) if self.fits(a.len() + b.len(), 16) => {
                V::Bytes([&a[..], b].concat())
            }
            (Operator::Add, V::List(a), V::List(b))
                if self.fits(left.weight() + right.weight(), 1) =>
            {
                V::List([&a[..], b].concat())
            }
            (Operator::Add, V::Tuple(a), V::Tuple(b))
                if self.fits(left.weight() + right.weight(), 1) =>
            {
                V::Tuple([&a[..], b].concat())
            }
            (Operator::Mult, _, V::Str(_) | V::List(_) | V::Tuple(_))
                if left.integer().is_some() =>
            {
                return self.composite(op, right, left);
            }
            (Operator::Mult, V::Str(text), _) => {
                let count = usize::try_from(right.integer()?.max(0)).ok()?;
                if !self.fits(text.len().checked_mul(count)?, 16) {
                    return None;
                }
                V::Str(text.repeat(count))
            }
            (Operator::Mult, V::List(items) | V::Tuple(items), _) => {
                let count = usize::try_from(right.integer()?.max(0)).ok()?;
                if items.is_empty() || !self.fits(left.weight().checked_mul(count)?, 1) {
                    return items.is_empty().then(|| left.clone());
                }
                let items = std::iter::repeat_n(items, count)
                    .flatten()
                    .cloned()
                    .collect();
                if matches!(left, V::List(_)) {
                    V::List(items)
                } else {
                    V::Tuple(items)
                }
            }
            (Operator::BitOr, V::Dict(a), V::Dict(b))
                if self.fits(left.weight() + right.weight(), 1) =>
            {
                return Some(self.dict_of([&a[..], b].concat(), TextSize::new(0)));
            }
            (Operator::Mod, V::Str(pattern), value) => {
                let single = match value {
                    V::Tuple(items) if items.len() == 1 => items.first()?,
                    V::Tuple(_) | V::Dict(_) => return None,
                    other => other,
                };
                let (before, after) = pattern.split_once("%s")?;
                if before.contains('%') || after.contains('%') || !self.fits(pattern.len(), 16) {
                    return None;
                }
                V::Str(format!("{before}{}{after}", single.text()?))
            }
            (Operator::Div, V::Path(base), V::Path(tail) | V::Str(tail)) => {
                V::Path(join([base.as_str(), tail]))
            }
            (Operator::Div, V::Str(base), V::Path(tail)) => V::Path(join([base.as_str(), tail])),
            (Operator::Add, V::Timedelta(a), V::Timedelta(b)) => V::Timedelta(a.checked_add(*b)?),
            (Operator::Sub, V::Timedelta(a), V::Timedelta(b)) => V::Timedelta(a.checked_sub(*b)?),
            (Operator::Mult, V::Timedelta(micros), factor)
            | (Operator::Mult, factor, V::Timedelta(micros)) => {
                V::Timedelta(micros.checked_mul(i64::try_from(factor.integer()?).ok()?)?)
            }
            (Operator::Add, V::DateTime(moment, offset), V::Timedelta(micros))
            | (Operator::Add, V::Timedelta(micros), V::DateTime(moment, offset)) => {
                V::DateTime(shifted(*moment, *micros)?, *offset)
            }
            (Operator::Sub, V::DateTime(moment, offset), V::Timedelta(micros)) => {
                V::DateTime(shifted(*moment, micros.checked_neg()?)?, *offset)
            }
            (Operator::Sub, V::DateTime(a, None), V::DateTime(b, None)) => {
                V::Timedelta((*a - *b).num_microseconds()?)
            }
            (Operator::Add, V::Date(date), V::Timedelta(micros)) => V::Date(in_range(
                date.checked_add_signed(Duration::days(micros.div_euclid(86_400_000_000)))?,
            )?),
            (Operator::Sub, V::Date(date), V::Timedelta(micros)) => {
                let days = micros.checked_neg()?.div_euclid(86_400_000_000);
                V::Date(in_range(date.checked_add_signed(Duration::days(days))?)?)
            }
            (Operator::Sub, V::Date(a), V::Date(b)) => V::Timedelta((*a - *b).num_microseconds()?),
            _ => return None,
        })
    }

    /// Whether a result of this length may be made.
    pub(super) fn fits(&self, length: usize, per_step: usize) -> bool {
        length <= LENGTH && self.charge(length / per_step)
    }
}

/// A moment moved by some microseconds, within the years of Python's `datetime`.
fn shifted(moment: NaiveDateTime, micros: i64) -> Option<NaiveDateTime> {
    let moment = moment.checked_add_signed(Duration::microseconds(micros))?;
    in_range(moment.date()).map(|_| moment)
}

fn in_range(date: chrono::NaiveDate) -> Option<chrono::NaiveDate> {
    (1..=9999).contains(&date.year()).then_some(date)
}

fn integers<'a>(op: Operator, a: i128, b: i128) -> Option<Value<'a>> {
    let floor = |a: i128, b: i128| {
        let quotient = a.checked_div(b)?;
        Some(if a % b != 0 && (a < 0) != (b < 0) {
            quotient - 1
        } else {
            quotient
        })
    };
    let shift = u32::try_from(b).ok().filter(|shift| *shift < 64);
    Some(Value::Int(match op {
        Operator::Add => a.checked_add(b)?,
        Operator::Sub => a.checked_sub(b)?,
        Operator::Mult => a.checked_mul(b)?,
        #[expect(
            clippy::cast_precision_loss,
            reason = "both are below 2^64, where Python's division rounds alike up to 2^53"
        )]
        Operator::Div => {
            let exact = |value: i128| value.unsigned_abs() <= 1 << 53;
            if b == 0 || !exact(a) || !exact(b) {
                return None;
            }
            return Some(Value::Float(a as f64 / b as f64));
        }
        Operator::FloorDiv => floor(a, b)?,
        Operator::Mod => a.checked_sub(floor(a, b)?.checked_mul(b)?)?,
        Operator::Pow => match u32::try_from(b) {
            Ok(exponent) => a.checked_pow(exponent)?,
            Err(_) if a != 0 => {
                return floats(
                    Operator::Pow,
                    Value::Int(a).number()?,
                    Value::Int(b).number()?,
                )
                .map(Value::Float);
            }
            Err(_) => return None,
        },
        Operator::LShift => a.checked_mul(1_i128 << shift?)?,
        Operator::RShift => a >> shift?,
        Operator::BitOr => a | b,
        Operator::BitXor => a ^ b,
        Operator::BitAnd => a & b,
        Operator::MatMult => return None,
    }))
}

fn floats(op: Operator, a: f64, b: f64) -> Option<f64> {
    let result = match op {
        Operator::Add => a + b,
        Operator::Sub => a - b,
        Operator::Mult => a * b,
        Operator::Div if b != 0.0 => a / b,
        // Exact where the quotient and the remainder are; elsewhere Python's own rounding is not ours.
        Operator::FloorDiv if b != 0.0 && (a / b) * b == a => (a / b).floor(),
        Operator::FloorDiv if b != 0.0 => {
            let remainder = a % b;
            let remainder = if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) {
                remainder + b
            } else {
                remainder
            };
            ((a - remainder) / b).round()
        }
        Operator::Pow if a > 0.0 || b.fract() == 0.0 => a.powf(b),
        _ => return None,
    };
    result.is_finite().then_some(result)
}

/// `pathlib`'s join of POSIX paths, in normal form: no empty components and no `.`, `..` kept.
pub(in crate::read::python) fn join<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let mut joined = String::new();
    for part in parts {
        if part.starts_with('/') {
            joined = part.to_owned();
        } else if !part.is_empty() {
            joined.push('/');
            if joined == "/" {
                joined.clear();
            }
            joined.push_str(part);
        }
    }
    // Two leading slashes, and only two, mean something of their own in POSIX.
    let root = match joined.bytes().take_while(|byte| *byte == b'/').count() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let components: Vec<&str> = joined
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let path = format!("{root}{}", components.join("/"));
    if path.is_empty() {
        ".".to_owned()
    } else {
        path
    }
}

/// An attribute of a known value that is neither a class nor a module.
pub(in crate::read::python) fn attribute<'a>(base: &Value<'a>, name: &str) -> Option<Value<'a>> {
    let int = |value: u32| Some(Value::Int(i128::from(value)));
    match (base, name) {
        (Value::DateTime(moment, _), "year") => Some(Value::Int(i128::from(moment.year()))),
        (Value::DateTime(moment, _), "month") => int(moment.month()),
        (Value::DateTime(moment, _), "day") => int(moment.day()),
        (Value::DateTime(moment, _), "hour") => int(moment.hour()),
        (Value::DateTime(moment, _), "minute") => int(moment.minute()),
        (Value::Date(date), "year") => Some(Value::Int(i128::from(date.year()))),
        (Value::Date(date), "month") => int(date.month()),
        (Value::Date(date), "day") => int(date.day()),
        (Value::Timedelta(micros), "days") => {
            Some(Value::Int(i128::from(micros.div_euclid(86_400_000_000))))
        }
        (Value::Path(path), "name") => {
            let last = path.rsplit('/').next().unwrap_or_default();
            Some(Value::Str(if last == "." {
                String::new()
            } else {
                last.to_owned()
            }))
        }
        (Value::Path(path), "parent") => Some(Value::Path(match path.rsplit_once('/') {
            Some(("", _)) => "/".to_owned(),
            Some((parent, _)) => parent.to_owned(),
            None => ".".to_owned(),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_join_as_in_pathlib() {
        for (parts, path) in [
            (vec![], "."),
            (vec![""], "."),
            (vec!["."], "."),
            (vec!["a//b/./c/"], "a/b/c"),
            (vec!["a", "/b"], "/b"),
            (vec!["//a", "b"], "//a/b"),
            (vec!["///a"], "/a"),
            (vec!["", "a"], "a"),
            (vec!["/"], "/"),
            (vec!["a", "..", "b"], "a/../b"),
        ] {
            assert_eq!(join(parts), path);
        }
    }
}
