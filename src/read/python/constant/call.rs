//! Calls of the few functions whose results are known: of `builtins`, `datetime`, `pathlib`, `uuid`, `decimal`, and the
//! classes of the file itself.

use chrono::{Duration, NaiveDate, NaiveTime};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::TextSize;

use super::operator::join;
use super::{Context, Evaluator, distinct, gap_or};
use crate::read::python::class;
use crate::read::python::value::{Value, compare, unknown};

/// The arguments of a call, evaluated.
pub(in crate::read::python) struct Arguments<'a> {
    pub(in crate::read::python) positional: Vec<Value<'a>>,
    pub(in crate::read::python) keywords: Vec<(String, Value<'a>)>,
}

impl<'a> Arguments<'a> {
    /// The argument of a parameter by its place or its name.
    fn get(&self, place: usize, name: &str) -> Option<&Value<'a>> {
        self.positional.get(place).or_else(|| {
            self.keywords
                .iter()
                .find(|(keyword, _)| keyword == name)
                .map(|(_, value)| value)
        })
    }

    /// All arguments in the order of `names`; `None` where there are more, or one of another name.
    fn bind(&self, names: &[&str]) -> Option<Vec<Option<&Value<'a>>>> {
        let known = self
            .keywords
            .iter()
            .all(|(keyword, _)| names.contains(&keyword.as_str()));
        (known && self.positional.len() <= names.len()).then(|| {
            names
                .iter()
                .enumerate()
                .map(|(place, name)| self.get(place, name))
                .collect()
        })
    }

    /// The first part that is not known.
    fn gap(&self) -> Option<Value<'a>> {
        let values = self
            .positional
            .iter()
            .chain(self.keywords.iter().map(|(_, value)| value));
        values
            .filter_map(Value::gap)
            .next()
            .map(|gap| Value::Unknown(gap.clone()))
    }
}

impl<'a> Evaluator<'a> {
    pub(super) fn call(
        &self,
        call: &ExprCall,
        context: Context<'_, 'a>,
        at: TextSize,
    ) -> Value<'a> {
        if let Expr::Attribute(method) = &*call.func {
            let base = self.eval(&method.value, context);
            match base {
                Value::Unknown(_) => return base,
                Value::Named(_) | Value::Class(_) => {}
                _ => {
                    let arguments = match self.arguments(call, context) {
                        Ok(arguments) => arguments,
                        Err(gap) => return gap,
                    };
                    return self
                        .method(&base, method.attr.as_str(), &arguments)
                        .unwrap_or_else(|| {
                            unknown(format!("`.{}()` is not evaluated", method.attr), at)
                        });
                }
            }
        }
        let function = self.eval(&call.func, context);
        let arguments = match self.arguments(call, context) {
            Ok(arguments) => arguments,
            Err(gap) => return gap,
        };
        match &function {
            Value::Unknown(_) => function,
            Value::Class(class) => class::instance(self, class, &arguments, at),
            // The callable that `NewType` makes gives its argument back.
            Value::Named(full) => self.known(full, &arguments, at).unwrap_or_else(|| {
                arguments
                    .gap()
                    .unwrap_or_else(|| unknown(format!("`{full}(…)` is not evaluated"), at))
            }),
            Value::Function(function) => {
                unknown(format!("it comes from calling `{}`", function.name), at)
            }
            Value::Opaque
                if arguments.positional.len() == 1 && self.is_new_type(&call.func, context) =>
            {
                arguments
                    .positional
                    .into_iter()
                    .next()
                    .unwrap_or(Value::None)
            }
            _ => unknown("what is called is not known", at),
        }
    }

    fn is_new_type(&self, function: &Expr, context: Context<'_, 'a>) -> bool {
        let Expr::Name(name) = function else {
            return false;
        };
        let place = context.place(function);
        let super::Named::Value {
            expression: Expr::Call(call),
            ..
        } = self.scope.lookup(name.id.as_str(), place)
        else {
            return false;
        };
        matches!(self.value(&call.func), Value::Named(full) if is_typing(&full, "NewType"))
    }

    /// Evaluates the arguments of a call.
    pub(in crate::read::python) fn arguments(
        &self,
        call: &ExprCall,
        context: Context<'_, 'a>,
    ) -> Result<Arguments<'a>, Value<'a>> {
        let positional = self.items(&call.arguments.args, context)?;
        let mut keywords = Vec::with_capacity(call.arguments.keywords.len());
        for keyword in &call.arguments.keywords {
            let value = self.eval(&keyword.value, context);
            match &keyword.arg {
                Some(name) => keywords.push((name.as_str().to_owned(), value)),
                None => match value {
                    Value::Dict(items) => {
                        for (key, value) in items {
                            match key {
                                Value::Str(key) => keywords.push((key, value)),
                                other => {
                                    return Err(gap_or(
                                        &other,
                                        "a keyword is no text",
                                        context.place(&keyword.value),
                                    ));
                                }
                            }
                        }
                    }
                    other => {
                        return Err(gap_or(
                            &other,
                            "what is unpacked is not known",
                            context.place(&keyword.value),
                        ));
                    }
                },
            }
        }
        Ok(Arguments {
            positional,
            keywords,
        })
    }

    fn known(&self, full: &str, arguments: &Arguments<'a>, at: TextSize) -> Option<Value<'a>> {
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
            _ if is_typing(full, "NewType") || is_typing(full, "TypeVar") => {
                return Some(Value::Opaque);
            }
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
                let mut items = if none { Vec::new() } else { iterated(one()?)? };
                if !self.charge(items.len()) {
                    return None;
                }
                Some(match full {
                    "builtins.list" => Value::List(items),
                    "builtins.tuple" => Value::Tuple(items),
                    "builtins.sorted" => {
                        let uniform = items
                            .windows(2)
                            .all(|pair| compare(&pair[0], &pair[1]).is_some());
                        items.sort_by(|a, b| compare(a, b).unwrap_or(std::cmp::Ordering::Equal));
                        if !uniform {
                            return None;
                        }
                        Value::List(items)
                    }
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

    fn method(&self, base: &Value<'a>, name: &str, arguments: &Arguments<'a>) -> Option<Value<'a>> {
        if arguments.gap().is_some() || !arguments.keywords.is_empty() {
            return None;
        }
        let texts: Option<Vec<&str>> = arguments
            .positional
            .iter()
            .map(|value| {
                if let Value::Str(text) = value {
                    Some(text.as_str())
                } else {
                    None
                }
            })
            .collect();
        match (base, name, arguments.positional.as_slice()) {
            (Value::Str(text), "upper", []) if text.is_ascii() => {
                Some(Value::Str(text.to_ascii_uppercase()))
            }
            (Value::Str(text), "lower", []) if text.is_ascii() => {
                Some(Value::Str(text.to_ascii_lowercase()))
            }
            (Value::Str(text), "strip", []) => Some(Value::Str(text.trim().to_owned())),
            (Value::Str(text), "split", [_]) => {
                let separator = *texts?.first()?;
                let parts = text
                    .split(separator)
                    .map(|part| Value::Str(part.to_owned()))
                    .collect();
                (!separator.is_empty() && self.charge(text.len())).then_some(Value::List(parts))
            }
            (Value::Str(text), "replace", [_, _]) => {
                let texts = texts?;
                let replaced = text.len().checked_mul(texts[1].len().max(1))?;
                (!texts[0].is_empty() && self.fits(replaced, 16))
                    .then(|| Value::Str(text.replace(texts[0], texts[1])))
            }
            (Value::Str(separator), "join", [items]) => {
                let mut joined = String::new();
                for (place, item) in iterated(items)?.into_iter().enumerate() {
                    let Value::Str(text) = item else { return None };
                    if !self.fits(joined.len() + separator.len() + text.len(), 16) {
                        return None;
                    }
                    if place > 0 {
                        joined.push_str(separator);
                    }
                    joined.push_str(&text);
                }
                Some(Value::Str(joined))
            }
            (Value::Str(pattern), "format", _) => {
                let mut pieces = pattern.split("{}");
                let mut text = pieces.next()?.to_owned();
                let pieces: Vec<&str> = pieces.collect();
                if pieces.len() != arguments.positional.len() || !self.fits(pattern.len(), 16) {
                    return None;
                }
                for (value, piece) in arguments.positional.iter().zip(pieces) {
                    text.push_str(&value.text()?);
                    text.push_str(piece);
                }
                let braces = pattern.replace("{}", "");
                (!braces.contains(['{', '}'])).then_some(Value::Str(text))
            }
            (Value::Path(path), "joinpath", _) => {
                let mut parts = vec![path.as_str()];
                parts.extend(texts?);
                Some(Value::Path(join(parts)))
            }
            (Value::Path(path), "as_posix", []) => Some(Value::Str(path.clone())),
            (Value::DateTime(..), "isoformat", []) => match base.json()? {
                serde_json::Value::String(text) => Some(Value::Str(match text.strip_suffix('Z') {
                    Some(text) => format!("{text}+00:00"),
                    None => text,
                })),
                _ => None,
            },
            (Value::Date(_), "isoformat", []) => base.text().map(Value::Str),
            (Value::DateTime(moment, _), "date", []) => Some(Value::Date(moment.date())),
            (Value::Dict(items), "get", [key, rest @ ..]) if rest.len() < 2 => {
                for (other, value) in items {
                    if other.equals(key)? {
                        return Some(value.clone());
                    }
                }
                Some(rest.first().cloned().unwrap_or(Value::None))
            }
            (Value::Dict(items), "keys", []) => Some(Value::List(
                items.iter().map(|(key, _)| key.clone()).collect(),
            )),
            _ => None,
        }
    }
}

/// Whether a full name is that of `typing` or its backport.
pub(in crate::read::python) fn is_typing(full: &str, name: &str) -> bool {
    matches!(full.rsplit_once('.'), Some(("typing" | "typing_extensions", last)) if last == name)
}

fn field<'a>(arguments: &Arguments<'a>) -> Value<'a> {
    let mut keywords: Vec<(String, Value<'a>)> = Vec::with_capacity(arguments.keywords.len() + 1);
    if let Some(default) = arguments.positional.first() {
        keywords.push(("default".to_owned(), default.clone()));
    }
    keywords.extend(arguments.keywords.iter().cloned());
    Value::Field(keywords)
}

fn iterated<'a>(value: &Value<'a>) -> Option<Vec<Value<'a>>> {
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

fn number(value: Option<&Value<'_>>, default: Option<u32>) -> Option<u32> {
    match value {
        None => default,
        Some(value) => u32::try_from(value.integer()?).ok(),
    }
}

fn date(bound: &[Option<&Value<'_>>]) -> Option<NaiveDate> {
    let year = number(bound[0], None).filter(|year| (1..=9999).contains(year))?;
    NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        number(bound[1], None)?,
        number(bound[2], None)?,
    )
}

fn time(bound: &[Option<&Value<'_>>]) -> Option<NaiveTime> {
    let micros = number(bound[3], Some(0)).filter(|micros| *micros < 1_000_000)?;
    NaiveTime::from_hms_micro_opt(
        number(bound[0], Some(0))?,
        number(bound[1], Some(0))?,
        number(bound[2], Some(0))?,
        micros,
    )
}

/// A `tzinfo=` argument; the outer `None` where it is not known.
fn timezone(value: Option<&Value<'_>>) -> Option<Option<i32>> {
    match value {
        None | Some(Value::None) => Some(None),
        Some(Value::Timezone(seconds)) if seconds % 60 == 0 => Some(Some(*seconds)),
        Some(Value::Named(full)) if full == "datetime.UTC" || full == "datetime.timezone.utc" => {
            Some(Some(0))
        }
        Some(_) => None,
    }
}

fn datetime<'a>(arguments: &Arguments<'a>) -> Option<Value<'a>> {
    let names = [
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "second",
        "microsecond",
        "tzinfo",
    ];
    let bound = arguments.bind(&names)?;
    Some(Value::DateTime(
        date(&bound[..3])?.and_time(time(&bound[3..7])?),
        timezone(bound[7])?,
    ))
}

fn timedelta<'a>(arguments: &Arguments<'a>) -> Option<Value<'a>> {
    const UNITS: [(&str, i64); 7] = [
        ("days", 86_400_000_000),
        ("seconds", 1_000_000),
        ("microseconds", 1),
        ("milliseconds", 1_000),
        ("minutes", 60_000_000),
        ("hours", 3_600_000_000),
        ("weeks", 604_800_000_000),
    ];
    let bound = arguments.bind(&UNITS.map(|(name, _)| name))?;
    let mut total = 0_i64;
    for (value, (_, unit)) in bound.into_iter().zip(UNITS) {
        let micros = match value {
            None => 0,
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "exact below 2^53, which is checked"
            )]
            Some(Value::Float(value)) => {
                let micros = value * unit as f64;
                if micros.abs() >= 9e15 || micros.fract() != 0.0 {
                    return None;
                }
                micros as i64
            }
            Some(value) => i64::try_from(value.integer()?).ok()?.checked_mul(unit)?,
        };
        total = total.checked_add(micros)?;
    }
    // Python's own bound is 999999999 days, which 64 bits of microseconds do not reach.
    Duration::microseconds(total)
        .num_microseconds()
        .map(Value::Timedelta)
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
