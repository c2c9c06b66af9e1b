//! Values in JSON, as pydantic writes them.

use std::fmt::Write;

use ruff_text_size::TextSize;
use serde_json::{Map, Number};

use super::{Unknown, Value, float_text, sorted};

/// What a value is in JSON.
#[derive(Debug, PartialEq)]
pub(in crate::read::python) enum Json {
    Value(serde_json::Value),
    /// Python itself could not write it.
    None,
    Unknown(Unknown),
}

impl Value<'_> {
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
            Self::Schedule(_) => Some("a schedule is no value of a parameter".to_owned()),
            Self::Set(items) if items.len() > 1 => {
                Some("the order of a set's items changes from run to run".to_owned())
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

    /// The default of a parameter as pydantic writes it into a schema: a set's items are sorted there.
    pub(in crate::read::python) fn default_json(&self, at: TextSize) -> Json {
        if let Some(unknown) = self.gap() {
            return Json::Unknown(unknown.clone());
        }
        let ordered = match self {
            Self::Set(items) => sorted(items).map(Self::List),
            _ => None,
        };
        let value = ordered.as_ref().unwrap_or(self);
        if let Some(reason) = value.beyond() {
            return Json::Unknown(Unknown::new(reason, at));
        }
        value.json().map_or(Json::None, Json::Value)
    }

    /// The value as pydantic's `to_jsonable_python` gives it; `None` where it would fail.
    pub(in crate::read::python) fn json(&self) -> Option<serde_json::Value> {
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
            | Self::Schedule(_)
            | Self::Module(_)
            | Self::NewType
            | Self::Function(_)
            | Self::Named(_)
            | Self::Ellipsis
            | Self::Opaque
            | Self::Unknown(_) => return None,
        })
    }

    pub(super) fn json_key(&self) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
