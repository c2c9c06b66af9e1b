//! `datetime`'s types from their arguments.

use chrono::{Duration, NaiveDate, NaiveTime};

use super::call::Arguments;
use crate::read::python::value::Value;

fn number(value: Option<&Value<'_>>, default: Option<u32>) -> Option<u32> {
    match value {
        None => default,
        Some(value) => u32::try_from(value.integer()?).ok(),
    }
}

pub(super) fn date(bound: &[Option<&Value<'_>>]) -> Option<NaiveDate> {
    let year = number(bound[0], None).filter(|year| (1..=9999).contains(year))?;
    NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        number(bound[1], None)?,
        number(bound[2], None)?,
    )
}

pub(super) fn time(bound: &[Option<&Value<'_>>]) -> Option<NaiveTime> {
    let micros = number(bound[3], Some(0)).filter(|micros| *micros < 1_000_000)?;
    NaiveTime::from_hms_micro_opt(
        number(bound[0], Some(0))?,
        number(bound[1], Some(0))?,
        number(bound[2], Some(0))?,
        micros,
    )
}

/// A `tzinfo=` argument; the outer `None` where it is not known.
pub(super) fn timezone(value: Option<&Value<'_>>) -> Option<Option<i32>> {
    match value {
        None | Some(Value::None) => Some(None),
        Some(Value::Timezone(seconds)) if seconds % 60 == 0 => Some(Some(*seconds)),
        Some(Value::Named(full)) if full == "datetime.UTC" || full == "datetime.timezone.utc" => {
            Some(Some(0))
        }
        Some(_) => None,
    }
}

pub(super) fn datetime<'a>(arguments: &Arguments<'a>) -> Option<Value<'a>> {
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

pub(super) fn timedelta<'a>(arguments: &Arguments<'a>) -> Option<Value<'a>> {
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
