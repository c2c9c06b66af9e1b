//! What an expression comes to, as far as it can be told without running anything, and its form in JSON.

use std::fmt::Write;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use ruff_python_ast::{StmtClassDef, StmtFunctionDef};
use ruff_text_size::TextSize;
use serde_json::{Map, Number};

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
        class: &'a StmtClassDef,
        name: String,
        value: Box<Value<'a>>,
    },
    /// An instance of a class of this file, as the fields that it serialises to.
    Instance {
        class: &'a StmtClassDef,
        fields: Vec<(String, Value<'a>)>,
    },
    /// pydantic's `Field(…)`: keyword arguments, the positional one as `default`.
    Field(Vec<(String, Value<'a>)>),
    /// A class of this file.
    Class(&'a StmtClassDef),
    /// A function of this file.
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
}

/// Shorthand for a value that is not known.
pub(super) fn unknown<'a>(reason: impl Into<String>, at: TextSize) -> Value<'a> {
    Value::Unknown(Unknown {
        reason: reason.into(),
        at,
    })
}

/// What a value is in JSON.
#[derive(Debug, PartialEq)]
pub(super) enum Json {
    Value(serde_json::Value),
    /// Python itself could not write it.
    None,
    Unknown(Unknown),
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
            Self::Instance { fields, .. } | Self::Field(fields) => {
                fields.iter().find_map(|(_, value)| value.gap())
            }
            _ => None,
        }
    }

    /// Why its JSON is beyond us although Python may have one, if so.
    fn beyond(&self) -> Option<String> {
        match self {
            Self::Int(value) => (i64::try_from(*value).is_err() && u64::try_from(*value).is_err())
                .then(|| "an integer has more than 64 bits".to_owned()),
            // Built-in functions, types and modules have no JSON; anything else may be a constant.
            Self::Named(full) => {
                let plain = full.starts_with("builtins.")
                    || full.starts_with("typing.")
                    || !full.contains('.');
                (!plain).then(|| format!("`{full}` is not read from here"))
            }
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => {
                items.iter().find_map(Self::beyond)
            }
            Self::Dict(items) => items
                .iter()
                .find_map(|(key, value)| key.beyond().or_else(|| value.beyond())),
            Self::Instance { fields, .. } => fields.iter().find_map(|(_, value)| value.beyond()),
            Self::Member { value, .. } => value.beyond(),
            _ => None,
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
            Self::Instance { fields, .. } | Self::Field(fields) => {
                fields.iter().map(|(_, value)| value.weight()).sum()
            }
            _ => 0,
        }
    }

    /// The default of a parameter as pydantic writes it into a schema: a set's items are sorted there.
    pub(super) fn default_json(&self, at: TextSize) -> Json {
        if let Some(unknown) = self.gap() {
            return Json::Unknown(unknown.clone());
        }
        let sorted = match self {
            Self::Set(items) => {
                let mut items = items.clone();
                // Items that do not compare keep their places, as in pydantic.
                items.sort_by(|a, b| compare(a, b).unwrap_or(std::cmp::Ordering::Equal));
                Some(Self::Set(items))
            }
            _ => None,
        };
        match sorted.as_ref().unwrap_or(self).json() {
            Some(value) => Json::Value(value),
            None => match self.beyond() {
                Some(reason) => Json::Unknown(Unknown { reason, at }),
                None => Json::None,
            },
        }
    }

    /// The value as pydantic's `to_jsonable_python` gives it; `None` where it would fail.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        use serde_json::Value as J;
        Some(match self {
            Self::None => J::Null,
            Self::Bool(value) => J::Bool(*value),
            Self::Int(value) => J::Number(
                u64::try_from(*value)
                    .map(Number::from)
                    .or_else(|_| i64::try_from(*value).map(Number::from))
                    .ok()?,
            ),
            Self::Float(value) => J::Number(Number::from_f64(*value)?),
            Self::Str(text) | Self::Path(text) | Self::Uuid(text) | Self::Decimal(text) => {
                J::String(text.clone())
            }
            Self::Bytes(bytes) => J::String(String::from_utf8(bytes.clone()).ok()?),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => {
                J::Array(items.iter().map(Self::json).collect::<Option<_>>()?)
            }
            Self::Dict(items) => {
                let mut map = Map::new();
                for (key, value) in items {
                    map.insert(key.json_key()?, value.json()?);
                }
                J::Object(map)
            }
            Self::DateTime(value, offset) => J::String(format!(
                "{}{}",
                value.format(if value.and_utc().timestamp_subsec_micros() == 0 {
                    "%Y-%m-%dT%H:%M:%S"
                } else {
                    "%Y-%m-%dT%H:%M:%S%.6f"
                }),
                offset_text(*offset)
            )),
            Self::Date(value) => J::String(value.format("%Y-%m-%d").to_string()),
            Self::Time(value, offset) => {
                use chrono::Timelike;
                let pattern = if value.nanosecond() == 0 {
                    "%H:%M:%S"
                } else {
                    "%H:%M:%S%.6f"
                };
                J::String(format!("{}{}", value.format(pattern), offset_text(*offset)))
            }
            Self::Timedelta(micros) => J::String(duration(*micros)),
            Self::Secret => J::String("**********".to_owned()),
            Self::Member { value, .. } => value.json()?,
            Self::Instance { fields, .. } => {
                let mut map = Map::new();
                for (name, value) in fields {
                    map.insert(name.clone(), value.json()?);
                }
                J::Object(map)
            }
            Self::Timezone(_)
            | Self::Field(_)
            | Self::Class(_)
            | Self::Function(_)
            | Self::Named(_)
            | Self::Ellipsis
            | Self::Opaque
            | Self::Unknown(_) => return None,
        })
    }

    fn json_key(&self) -> Option<String> {
        Some(match self {
            Self::None => "None".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => float_text(*value),
            Self::Member { value, .. } => value.json_key()?,
            other => match other.json()? {
                serde_json::Value::String(text) => text,
                _ => return None,
            },
        })
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

/// `Z`, `+02:00`, or nothing for a time without an offset.
fn offset_text(offset: Option<i32>) -> String {
    match offset {
        None => String::new(),
        Some(0) => "Z".to_owned(),
        Some(seconds) => {
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.abs() / 60;
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    }
}

/// A duration in ISO 8601 as pydantic writes it: years of 365 days, then days.
fn duration(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (days, seconds) = (seconds / 86_400, seconds % 86_400);
    let mut text = format!("{sign}P");
    for (amount, unit) in [(days / 365, 'Y'), (days % 365, 'D')] {
        if amount != 0 {
            let _ = write!(text, "{amount}{unit}");
        }
    }
    if seconds == 0 && fraction == 0 {
        if days == 0 {
            text.push_str("T0S");
        }
        return text;
    }
    text.push('T');
    for (amount, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M')] {
        if amount != 0 {
            let _ = write!(text, "{amount}{unit}");
        }
    }
    let seconds = seconds % 60;
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        let _ = write!(text, "{seconds}.{}S", digits.trim_end_matches('0'));
    } else if seconds != 0 {
        let _ = write!(text, "{seconds}S");
    }
    text
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

    #[test]
    fn an_unserialisable_part_makes_the_whole_unserialisable() {
        let value = Value::Dict(vec![(
            Value::Str("a".into()),
            Value::List(vec![Value::Opaque]),
        )]);
        let at = TextSize::new(0);
        assert_eq!(value.default_json(at), Json::None);
        assert_eq!(Value::Float(f64::NAN).default_json(at), Json::None);
        assert!(matches!(
            Value::Int(1 << 70).default_json(at),
            Json::Unknown(_)
        ));
    }
}
