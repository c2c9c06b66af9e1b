//! What an expression comes to, as far as it can be told without running anything, and its form in JSON.

mod json;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use ruff_python_ast::StmtFunctionDef;
use ruff_text_size::TextSize;

use super::class::Class;
use super::scope::Scope;

pub(super) use json::Json;

/// A Python value that is known, or the reason why it is not.
///
/// Integers beyond `i128` and other values beyond what the evaluator computes are [`Value::Unknown`], never wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Value<'a>>),
    Tuple(Vec<Value<'a>>),
    /// `set` and `frozenset`, in the order of the source.
    Set(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// With the offset from UTC in seconds, where there is one.
    DateTime(NaiveDateTime, Option<i32>),
    Date(NaiveDate),
    Time(NaiveTime, Option<i32>),
    /// Microseconds.
    Timedelta(i64),
    /// A fixed offset from UTC in seconds.
    Timezone(i32),
    /// A path in `pathlib`'s normal form.
    Path(String),
    /// In lower case with hyphens.
    Uuid(String),
    /// In the form that `str` gives.
    Decimal(String),
    /// `SecretStr` and `SecretBytes`; what is in it is not kept.
    Secret,
    /// A member of an enumeration of this file.
    Member {
        class: Class<'a>,
        name: String,
        value: Box<Value<'a>>,
    },
    /// An instance of a class of this file, as the fields that it serialises to.
    Instance {
        class: Class<'a>,
        fields: Vec<(String, Value<'a>)>,
    },
    /// pydantic's `Field(…)`: keyword arguments, the positional one as `default`.
    Field(Vec<(String, Value<'a>)>),
    /// A schedule of Prefect's, by the keys that a deployment file has for it.
    Schedule(Vec<(String, Value<'a>)>),
    /// A class of the repository.
    Class(Class<'a>),
    /// A module of the repository.
    Module(&'a Scope<'a>),
    /// What `NewType` makes.
    NewType,
    /// A function of the repository.
    Function(&'a StmtFunctionDef),
    /// A module, or something in one, by its full name: `datetime.timezone`, `builtins.print`.
    Named(String),
    /// `...`
    Ellipsis,
    /// Known to be something that JSON has no form for: `object()`, a lambda.
    Opaque,
    Unknown(Unknown),
}

/// Why a value is not known, and where that shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unknown {
    /// A lower-case fragment.
    pub(super) reason: String,
    /// The offset in the source.
    pub(super) at: TextSize,
    /// The module that `at` is in, by its place among the tree's entries, where it is not the flow's own.
    pub(super) file: Option<usize>,
}

impl Unknown {
    pub(super) fn new(reason: impl Into<String>, at: TextSize) -> Self {
        Self {
            reason: reason.into(),
            at,
            file: None,
        }
    }
}

/// Shorthand for a value that is not known.
pub(super) fn unknown<'a>(reason: impl Into<String>, at: TextSize) -> Value<'a> {
    Value::Unknown(Unknown::new(reason, at))
}

impl<'a> Value<'a> {
    /// Whether Python would take it for true; `None` where that is not known.
    pub(super) fn truth(&self) -> Option<bool> {
        Some(match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => !items.is_empty(),
            Self::Dict(items) => !items.is_empty(),
            Self::Timedelta(micros) => *micros != 0,
            Self::DateTime(..) | Self::Date(_) | Self::Time(..) | Self::Path(_) | Self::Uuid(_) => {
                true
            }
            _ => return None,
        })
    }

    /// The first part of it that is not known.
    pub(super) fn gap(&self) -> Option<&Unknown> {
        match self {
            Self::Unknown(unknown) => Some(unknown),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => {
                items.iter().find_map(Self::gap)
            }
            Self::Dict(items) => items
                .iter()
                .find_map(|(key, value)| key.gap().or_else(|| value.gap())),
            Self::Member { value, .. } => value.gap(),
            Self::Instance { fields, .. } | Self::Field(fields) | Self::Schedule(fields) => {
                fields.iter().find_map(|(_, value)| value.gap())
            }
            _ => None,
        }
    }

    /// Notes that a value was worked out in another module.
    pub(super) fn comes_from(&mut self, file: Option<usize>) {
        match self {
            Self::Unknown(unknown) => unknown.file = unknown.file.or(file),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => {
                items.iter_mut().for_each(|item| item.comes_from(file));
            }
            Self::Dict(items) => items
                .iter_mut()
                .for_each(|(_, value)| value.comes_from(file)),
            Self::Instance { fields, .. } | Self::Field(fields) | Self::Schedule(fields) => {
                fields
                    .iter_mut()
                    .for_each(|(_, value)| value.comes_from(file));
            }
            _ => {}
        }
    }

    /// How much a copy of it costs: about one unit an item, or 16 bytes of a text.
    pub(super) fn weight(&self) -> usize {
        1 + match self {
            Self::Str(text) | Self::Path(text) => text.len() / 16,
            Self::Bytes(bytes) => bytes.len() / 16,
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => {
                items.iter().map(Self::weight).sum()
            }
            Self::Dict(items) => items
                .iter()
                .map(|(key, value)| key.weight() + value.weight())
                .sum(),
            Self::Member { value, .. } => value.weight(),
            Self::Instance { fields, .. } | Self::Field(fields) | Self::Schedule(fields) => {
                fields.iter().map(|(_, value)| value.weight()).sum()
            }
            _ => 0,
        }
    }

    /// What `str(value)` gives, for the kinds where that is simple.
    pub(super) fn text(&self) -> Option<String> {
        Some(match self {
            Self::None => "None".to_owned(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => float_text(*value),
            Self::Str(text) | Self::Path(text) | Self::Uuid(text) | Self::Decimal(text) => {
                text.clone()
            }
            Self::Date(_) => self.json_key()?,
            _ => return None,
        })
    }

    /// How Python's `==` sees two values, as far as it is known to this evaluator.
    pub(super) fn equals(&self, other: &Self) -> Option<bool> {
        if self.gap().is_some() || other.gap().is_some() {
            return None;
        }
        Some(match (self.number(), other.number()) {
            (Some(a), Some(b)) => a == b,
            _ => match (self, other) {
                (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                    if a.len() != b.len() {
                        return Some(false);
                    }
                    for (a, b) in a.iter().zip(b) {
                        if !a.equals(b)? {
                            return Some(false);
                        }
                    }
                    true
                }
                (Self::Set(_) | Self::Dict(_) | Self::Opaque, _) | (_, Self::Opaque) => {
                    return None;
                }
                (Self::Member { .. }, Self::Member { .. }) => self == other,
                (Self::Member { .. } | Self::Instance { .. }, _)
                | (_, Self::Member { .. } | Self::Instance { .. }) => {
                    return None;
                }
                _ => self == other,
            },
        })
    }

    /// The value as a number, as Python sees one in a bool too; exact below 2^53.
    pub(super) fn number(&self) -> Option<f64> {
        Some(match self {
            Self::Bool(value) => f64::from(u8::from(*value)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "Python compares such large numbers more exactly; we never get there"
            )]
            Self::Int(value) => *value as f64,
            Self::Float(value) => *value,
            _ => return None,
        })
    }

    /// The value as an integer; a bool is one in Python.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some(i128::from(*value)),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }
}

/// How Python orders two values; `None` where it would refuse.
pub(super) fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::DateTime(a, None), Value::DateTime(b, None)) => Some(a.cmp(b)),
        (Value::Timedelta(a), Value::Timedelta(b)) => Some(a.cmp(b)),
        _ => a.number()?.partial_cmp(&b.number()?),
    }
}

/// The items in Python's order; `None` where it would refuse to sort them, or we cannot tell.
pub(super) fn sorted<'a>(items: &[Value<'a>]) -> Option<Vec<Value<'a>>> {
    let first = items.first()?;
    let float = items.iter().any(|item| matches!(item, Value::Float(_)));
    // Beyond 2^53 an integer and a float do not compare exactly here.
    let exact = |item: &Value<'_>| {
        item.integer()
            .is_none_or(|value| value.unsigned_abs() <= 1 << 53)
    };
    let alike = |item: &Value<'_>| compare(item, first).is_some() && (!float || exact(item));
    if !items.iter().all(alike) {
        return None;
    }
    let mut items = items.to_vec();
    items.sort_by(|a, b| compare(a, b).unwrap_or(std::cmp::Ordering::Equal));
    Some(items)
}

/// What `repr` gives for a float: the shortest digits, an exponent below 1e-4 and from 1e16.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = value.to_string();
    if text.contains('.') {
        text
    } else {
        text + ".0"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        for (value, text) in [
            (1.0, "1.0"),
            (1.5, "1.5"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (1.5e300, "1.5e+300"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }
}
