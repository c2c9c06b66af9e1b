//! The few functions whose results are known: of `builtins`, `datetime`, `pathlib`, `uuid`, `decimal` and pydantic.

use chrono::{NaiveDate, NaiveTime};
use ruff_text_size::TextSize;

use super::call::{Arguments, is_typing};
use super::moment::{date, datetime, time, timedelta, timezone};
use super::operator::join;
use super::{Evaluator, distinct};
use crate::read::python::value::{Value, compare, sorted, unknown};

impl<'a> Evaluator<'a> {
    /// What a function of this full name gives; `None` where that is not known.
    pub(in crate::read::python) fn known(
        &self,
        full: &str,
        arguments: &Arguments<'a>,
        at: TextSize,
    ) -> Option<Value<'a>> {
        let one = || arguments.bind(&["x"]).and_then(|bound| bound[0]);
        let none = arguments.positional.is_empty() && arguments.keywords.is_empty();
        // These do not look into their arguments.
        match full {
            "pydantic.SecretStr" | "pydantic.SecretBytes" | "pydantic.types.SecretStr" => {
                return Some(Value::Secret);
            }
            "pydantic.Field" | "pydantic.fields.Field" => return Some(field(arguments)),
            "builtins.object" | "builtins.range" | "builtins.slice" | "builtins.type" => {
                return Some(Value::Opaque);
            }
            "builtins.__import__" => {
                return match one()? {
                    Value::Str(module) => Some(Value::Named(module.clone())),
                    _ => None,
                };
            }
            "os.getenv" | "os.environ.get" => {
                return Some(unknown("it comes from the environment", at));
            }
            _ if full.ends_with(".now")
                || full.ends_with(".today")
                || full.ends_with(".utcnow") =>
            {
                return Some(unknown("it changes from run to run", at));
            }
            _ if full.starts_with("prefect.") => {
                return super::schedule::schedule(full, arguments).map(Value::Schedule);
            }
            _ if is_typing(full, "NewType") => return Some(Value::NewType),
            _ if is_typing(full, "TypeVar") => return Some(Value::Opaque),
            _ => {}
        }
        if arguments.gap().is_some() {
            return None;
        }
        match full {
            "datetime.datetime" => datetime(arguments),
            "datetime.date" => {
                let bound = arguments.bind(&["year", "month", "day"])?;
                date(&bound).map(Value::Date)
            }
            "datetime.time" => {
                let bound =
                    arguments.bind(&["hour", "minute", "second", "microsecond", "tzinfo"])?;
                Some(Value::Time(time(&bound[..4])?, timezone(bound[4])?))
            }
            "datetime.timedelta" => timedelta(arguments),
            "datetime.timezone" => match one()? {
                Value::Timedelta(micros) if micros % 1_000_000 == 0 => {
                    let seconds = i32::try_from(micros / 1_000_000).ok()?;
                    (seconds.abs() < 86_400).then_some(Value::Timezone(seconds))
                }
                _ => None,
            },
            "datetime.datetime.fromisoformat" | "datetime.date.fromisoformat" => match one()? {
                Value::Str(text) => {
                    let parsed = NaiveDate::parse_from_str(text, "%Y-%m-%d")
                        .ok()
                        .filter(|_| text.len() == 10)?;
                    Some(if full == "datetime.date.fromisoformat" {
                        Value::Date(parsed)
                    } else {
                        Value::DateTime(parsed.and_time(NaiveTime::MIN), None)
                    })
                }
                _ => None,
            },
            "pathlib.Path" | "pathlib.PurePath" | "pathlib.PosixPath" | "pathlib.PurePosixPath" => {
                if !arguments.keywords.is_empty() {
                    return None;
                }
                let mut parts = Vec::with_capacity(arguments.positional.len());
                for part in &arguments.positional {
                    match part {
                        Value::Str(text) | Value::Path(text) => parts.push(text.as_str()),
                        _ => return None,
                    }
                }
                Some(Value::Path(join(parts)))
            }
            "uuid.UUID" => match arguments.bind(&["hex"])?[0]? {
                Value::Str(text) => uuid(text).map(Value::Uuid),
                _ => None,
            },
            "decimal.Decimal" => match arguments.bind(&["value"])?[0] {
                None => Some(Value::Decimal("0".into())),
                Some(Value::Str(text)) => decimal(text).map(Value::Decimal),
                Some(Value::Int(value)) => Some(Value::Decimal(value.to_string())),
                _ => None,
            },
            "builtins.dict" => {
                let mut items = match arguments.positional.as_slice() {
                    [] => Vec::new(),
                    [Value::Dict(items)] => items.clone(),
                    _ => return None,
                };
                items.extend(
                    arguments
                        .keywords
                        .iter()
                        .map(|(key, value)| (Value::Str(key.clone()), value.clone())),
                );
                Some(self.dict_of(items, at))
            }
            "builtins.list" | "builtins.tuple" | "builtins.set" | "builtins.frozenset"
            | "builtins.sorted" => {
                let items = if none { Vec::new() } else { iterated(one()?)? };
                if !self.charge(items.len()) {
                    return None;
                }
                Some(match full {
                    "builtins.list" => Value::List(items),
                    "builtins.tuple" => Value::Tuple(items),
                    "builtins.sorted" if items.is_empty() => Value::List(items),
                    "builtins.sorted" => Value::List(sorted(&items)?),
                    _ => distinct(items, at),
                })
            }
            "builtins.str" if none => Some(Value::Str(String::new())),
            "builtins.int" if none => Some(Value::Int(0)),
            "builtins.float" if none => Some(Value::Float(0.0)),
            "builtins.bool" if none => Some(Value::Bool(false)),
            "builtins.str" => one()?.text().map(Value::Str),
            "builtins.bool" => one()?.truth().map(Value::Bool),
            "builtins.int" => match one()? {
                Value::Str(text)
                    if text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit()) =>
                {
                    text.parse().ok().map(Value::Int)
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "truncation towards zero is what Python does"
                )]
                Value::Float(value) if value.abs() < 9e15 => Some(Value::Int(*value as i128)),
                other => other.integer().map(Value::Int),
            },
            "builtins.float" => match one()? {
                Value::Str(text)
                    if text
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || byte == b'.') =>
                {
                    text.parse().ok().map(Value::Float)
                }
                other => other.number().map(Value::Float),
            },
            "builtins.abs" => match one()? {
                Value::Float(value) => Some(Value::Float(value.abs())),
                Value::Timedelta(micros) => micros.checked_abs().map(Value::Timedelta),
                other => other.integer().map(|value| Value::Int(value.abs())),
            },
            "builtins.len" => {
                let length = match one()? {
                    Value::Str(text) => text.chars().count(),
                    Value::Bytes(bytes) => bytes.len(),
                    other => iterated(other)?.len(),
                };
                i128::try_from(length).ok().map(Value::Int)
            }
            "builtins.max" | "builtins.min" => {
                if !arguments.keywords.is_empty() {
                    return None;
                }
                let items = match arguments.positional.as_slice() {
                    [single] => iterated(single)?,
                    several => several.to_vec(),
                };
                let mut best = items.first()?.clone();
                for item in &items[1..] {
                    let order = compare(item, &best)?;
                    if (full == "builtins.max" && order.is_gt())
                        || (full == "builtins.min" && order.is_lt())
                    {
                        best = item.clone();
                    }
                }
                Some(best)
            }
            "builtins.sum" => {
                let mut total = Value::Int(0);
                for item in iterated(one()?)? {
                    total = self.binary(ruff_python_ast::Operator::Add, &total, &item, at);
                }
                Some(total)
            }
            "builtins.round" => match one()? {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "below 9e15 every rounded float is an i128"
                )]
                Value::Float(value) if value.abs() < 9e15 => {
                    Some(Value::Int(value.round_ties_even() as i128))
                }
                other => other.integer().map(Value::Int),
            },
            _ => None,
        }
    }
}

fn field<'a>(arguments: &Arguments<'a>) -> Value<'a> {
    let mut keywords: Vec<(String, Value<'a>)> = Vec::with_capacity(arguments.keywords.len() + 1);
    if let Some(default) = arguments.positional.first() {
        keywords.push(("default".to_owned(), default.clone()));
    }
    keywords.extend(arguments.keywords.iter().cloned());
    Value::Field(keywords)
}

fn uuid(text: &str) -> Option<String> {
    let hex = text.replace("urn:", "").replace("uuid:", "");
    let hex = hex
        .trim_matches(['{', '}'])
        .replace('-', "")
        .to_ascii_lowercase();
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}

/// The text of a decimal whose `str` is its own source: plain digits, and none of the cases with an exponent.
fn decimal(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading = whole == "0" || !whole.starts_with('0');
    let tiny = whole == "0"
        && digits.contains('.')
        && (fraction.starts_with("000000")
            || fraction.len() > 6 && fraction.bytes().all(|b| b == b'0'));
    (plain(whole) && plain(fraction) && leading && !tiny).then(|| text.to_owned())
}

/// The items that a loop over a value would see.
pub(super) fn iterated<'a>(value: &Value<'a>) -> Option<Vec<Value<'a>>> {
    match value {
        Value::List(items) | Value::Tuple(items) => Some(items.clone()),
        // A set's own order is the interpreter's secret.
        Value::Set(items) if items.len() < 2 => Some(items.clone()),
        Value::Dict(items) => Some(items.iter().map(|(key, _)| key.clone()).collect()),
        Value::Str(text) if text.len() < 10_000 => {
            Some(text.chars().map(|c| Value::Str(c.into())).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits_or_are_not_known() {
        for text in ["1.10", "-1", "0", "0.5", "0.000001", "100"] {
            assert_eq!(decimal(text).as_deref(), Some(text));
        }
        for text in ["", "1e3", "01", "+1", "1.", ".5", "0.0000001", "nan", "1_0"] {
            assert_eq!(decimal(text), None);
        }
    }
}
