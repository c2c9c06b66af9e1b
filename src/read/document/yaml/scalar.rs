//! What a plain scalar is.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Number, Value};

/// The rules by which a scalar without quotes is a number, a truth value, nothing, or text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::read::document) enum Schema {
    /// YAML 1.2's core schema (<https://yaml.org/spec/1.2.2/#103-core-schema>): `on` and `no` are text.
    #[default]
    Core,
    /// YAML 1.1 as PyYAML's safe loader reads it, and so Prefect: `on` is true, `010` is 8, `1e3` is text, `12:30` is
    /// 750. A date stays text: Prefect cannot deploy one.
    PyYaml,
}

impl Schema {
    /// The value of a plain scalar; `None` for a number that JSON cannot hold.
    pub(super) fn plain(self, text: &str) -> Option<Value> {
        let numeric = text
            .starts_with(|first: char| first.is_ascii_digit() || matches!(first, '.' | '+' | '-'));
        let number = match text {
            "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
            "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
            "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" if self == Self::PyYaml => {
                return Some(Value::Bool(true));
            }
            "no" | "No" | "NO" | "off" | "Off" | "OFF" if self == Self::PyYaml => {
                return Some(Value::Bool(false));
            }
            ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
            | "-.inf" | "-.Inf" | "-.INF" => return None,
            _ if !numeric => None,
            _ => match self {
                Self::Core => core_number(text),
                Self::PyYaml if INTEGER.is_match(text) => return integer(text).map(Value::Number),
                Self::PyYaml if FLOAT.is_match(text) => return float(text).map(Value::Number),
                Self::PyYaml => None,
            },
        };
        Some(number.map_or_else(|| Value::String(text.to_owned()), Value::Number))
    }
}

fn core_number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| {
        let digits_only = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        digits_only
            .then(|| u64::from_str_radix(digits, radix).ok())
            .flatten()
            .map(Number::from)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        || !unsigned.contains(|one: char| one.is_ascii_digit())
        || unsigned.contains(|one: char| {
            !one.is_ascii_digit() && !matches!(one, '.' | 'e' | 'E' | '+' | '-')
        })
    {
        return None;
    }
    decimal(text.strip_prefix('+').unwrap_or(text))
}

fn decimal(text: &str) -> Option<Number> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    text.parse().ok().and_then(Number::from_f64)
}

/// The integers and floats of YAML 1.1 as PyYAML's resolver knows them: a float's exponent has a dot before it and a
/// sign (<https://github.com/yaml/pyyaml/blob/6.0.2/lib/yaml/resolver.py>).
static INTEGER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
    )
});
static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)$",
    )
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// Sign, and digits without underscores.
fn digits(text: &str) -> (bool, String) {
    let negative = text.starts_with('-');
    (
        negative,
        text.trim_start_matches(['+', '-']).replace('_', ""),
    )
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = digits(text);
    let magnitude = if let Some(binary) = digits.strip_prefix("0b") {
        u64::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()?
    } else if digits.contains(':') {
        digits.split(':').try_fold(0_u64, |sum, part| {
            sum.checked_mul(60)?.checked_add(part.parse().ok()?)
        })?
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(&digits, 8).ok()?
    } else {
        let sign = if negative { "-" } else { "" };
        return decimal(&format!("{sign}{digits}"));
    };
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Number::from);
    }
    Some(magnitude.into())
}

fn float(text: &str) -> Option<Number> {
    let (negative, digits) = digits(text);
    let magnitude: f64 = digits.split(':').try_fold(0.0, |sum, part| {
        let part: f64 = part.parse().ok()?;
        Some(sum * 60.0 + part)
    })?;
    Number::from_f64(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(schema: Schema, texts: &[&str]) -> Value {
        texts
            .iter()
            .map(|text| schema.plain(text).expect("a value"))
            .collect()
    }

    #[test]
    fn the_core_schema() {
        let texts = [
            "1",
            "-2",
            "0x1F",
            "0o17",
            "1.5",
            "1e3",
            ".5",
            "on",
            "no",
            "~",
            "null",
            "True",
            "1.2.3",
            "2024-01-01",
            "08",
            "1_000",
            "12:30",
            "-",
            ".",
            "",
        ];
        assert_eq!(
            read(Schema::Core, &texts),
            json!([
                1,
                -2,
                31,
                15,
                1.5,
                1000.0,
                0.5,
                "on",
                "no",
                null,
                null,
                true,
                "1.2.3",
                "2024-01-01",
                8,
                "1_000",
                "12:30",
                "-",
                ".",
                null
            ])
        );
        assert_eq!(Schema::Core.plain(".inf"), None);
    }

    /// Each pair as `yaml.safe_load` of PyYAML 6.0.3 gives it.
    #[test]
    fn what_pyyaml_reads() {
        let texts = [
            "yes",
            "No",
            "ON",
            "off",
            "y",
            "n",
            "010",
            "-010",
            "08",
            "0o17",
            "0b101",
            "0x1F",
            "1_000",
            "1e3",
            "1.0e3",
            "1.0e+3",
            "1.5",
            ".5",
            "-.5",
            "+1.5",
            "1.",
            "12:30",
            "12:30:45",
            "1:1.5",
            "-1:30",
            "1:99",
            "190:20:30.15",
            "0",
            "-0",
            "0_",
            "_1",
            "1_",
            "+12",
            "1.2.3",
            "~",
            "",
            "2024-01-01",
            "0x",
            "1__0.0_5",
            "0.1_5",
            "00",
            "007",
            "12e03",
            "685.230_15e+03",
            "0:30",
            "9:05",
        ];
        assert_eq!(
            read(Schema::PyYaml, &texts),
            json!([
                true,
                false,
                true,
                false,
                "y",
                "n",
                8,
                -8,
                "08",
                "0o17",
                5,
                31,
                1000,
                "1e3",
                "1.0e3",
                1000.0,
                1.5,
                0.5,
                "-.5",
                1.5,
                1.0,
                750,
                45045,
                61.5,
                -90,
                "1:99",
                685_230.15,
                0,
                0,
                0,
                "_1",
                1,
                12,
                "1.2.3",
                null,
                null,
                "2024-01-01",
                "0x",
                10.05,
                0.15,
                0,
                7,
                "12e03",
                685_230.15,
                "0:30",
                545
            ])
        );
        for text in [".inf", "-.INF", ".NaN"] {
            assert_eq!(Schema::PyYaml.plain(text), None);
        }
    }
}
