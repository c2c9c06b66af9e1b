//! Methods of known values.

use super::Evaluator;
use super::call::Arguments;
use super::known::iterated;
use super::operator::join;
use crate::read::python::value::Value;

impl<'a> Evaluator<'a> {
    /// What a method gives; `None` where that is not known.
    pub(in crate::read::python) fn method(
        &self,
        base: &Value<'a>,
        name: &str,
        arguments: &Arguments<'a>,
    ) -> Option<Value<'a>> {
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
