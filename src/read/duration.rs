//! Lengths of time, in the forms that Prefect takes: seconds, `HH:MM:SS`, `2 days, 01:00:00`, ISO 8601 (`PT1H`).

use serde_json::{Number, Value};

use super::document::{Content, Node};
use super::faults::{Faults, present};

/// The seconds of a key; `None` where it is absent, null, or a fault.
pub(super) fn seconds(node: &Node, key: &str, faults: &mut Faults<'_>) -> Option<Number> {
    let value = present(node, key)?;
    let seconds = match &value.content {
        Content::Scalar(Value::Number(number)) => Some(number.clone()),
        Content::Scalar(Value::String(text)) => parse(text.trim()),
        _ => None,
    };
    if seconds.is_none() {
        faults
            .error(
                value.at,
                format!("`{key}` is a length of time, not {}", value.kind()),
            )
            .hint("a number of seconds, `01:30:00`, or `PT1H30M`");
    }
    seconds
}

fn parse(text: &str) -> Option<Number> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let seconds = sign
        * text
            .parse()
            .ok()
            .or_else(|| iso(text))
            .or_else(|| clock(text))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only where it is whole and small"
    )]
    if seconds.fract() == 0.0 && f64::abs(seconds) < 1e15 {
        return Some((seconds as i64).into());
    }
    Number::from_f64(seconds)
}

/// `[D day[s][,] ]HH:MM[:SS[.f]]`.
fn clock(text: &str) -> Option<f64> {
    let (days, time) = match text.split_once("day") {
        Some((days, rest)) => (
            days.trim().parse::<u32>().ok()?,
            rest.trim_start_matches('s').trim_start_matches(',').trim(),
        ),
        None => (0, text),
    };
    let mut total = 0.0;
    if !time.is_empty() || !text.contains("day") {
        let parts: Vec<&str> = time.split(':').collect();
        if !(2..=3).contains(&parts.len()) {
            return None;
        }
        for (part, weight) in parts.iter().zip([3600.0, 60.0, 1.0]) {
            if !part.starts_with(|one: char| one.is_ascii_digit()) {
                return None;
            }
            total += part.parse::<f64>().ok()? * weight;
        }
    }
    Some(total + f64::from(days) * 86_400.0)
}

/// `P[nW][nD][T[nH][nM][nS]]`.
fn iso(text: &str) -> Option<f64> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, time)) => (days, time),
        None => (text.strip_prefix('P')?, ""),
    };
    let mut total = 0.0;
    let mut parts = 0;
    for (text, units) in [
        (days, &[('W', 604_800.0), ('D', 86_400.0)][..]),
        (time, &[('H', 3600.0), ('M', 60.0), ('S', 1.0)]),
    ] {
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
            let unit = rest[end..].chars().next()?;
            let (_, weight) = units.iter().find(|(one, _)| *one == unit)?;
            total += rest[..end].parse::<f64>().ok()? * weight;
            parts += 1;
            rest = &rest[end + unit.len_utf8()..];
        }
    }
    (parts > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_prefect_takes() {
        for (text, seconds) in [
            ("90", "90"),
            ("0.5", "0.5"),
            ("01:30:00", "5400"),
            ("00:00:01.5", "1.5"),
            ("2 days, 01:00:00", "176400"),
            ("1 day", "86400"),
            ("PT1H30M", "5400"),
            ("P1DT1S", "86401"),
            ("P2W", "1209600"),
            ("-PT1M", "-60"),
        ] {
            assert_eq!(
                parse(text).map(|one| one.to_string()).as_deref(),
                Some(seconds),
                "{text}"
            );
        }
        for text in [
            "", "soon", "P", "PT", "P1H", "1:2:3:4", "inf:00", "æ", "P1æ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
