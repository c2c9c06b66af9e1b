//! What is a cron expression, a recurrence rule, an instant, as Prefect sees it.

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use croner::parser::{CronParser, Seconds};

/// Whether Prefect takes it: what croniter takes, without its `R` and `H`.
pub(super) fn cron(text: &str) -> Result<(), String> {
    let mut fields: Vec<&str> = text.split_whitespace().collect();
    if let Some(field) = fields
        .iter()
        .find(|field| field.eq_ignore_ascii_case("r") || field.eq_ignore_ascii_case("h"))
    {
        return Err(format!(
            "`{field}` (random, hashed) is not supported by Prefect"
        ));
    }
    // croniter has the seconds last, this parser first.
    if fields.len() == 6 {
        fields.rotate_right(1);
    }
    match fields.as_slice() {
        [alias] if alias.starts_with('@') => {}
        [_] => return Err("one field instead of five".to_owned()),
        [_, _, _, _, _] | [_, _, _, _, _, _] => {}
        _ => return Err(format!("{} fields instead of five", fields.len())),
    }
    if is_plain(&fields) {
        return Ok(());
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    let reason =
        |error: croner::errors::CronError| error.to_string().trim_end_matches('.').to_lowercase();
    parser.parse(&fields.join(" ")).map(drop).map_err(reason)
}

/// Whether a sixth field, which croniter reads as the seconds, lets it run many times a minute: that of people who write
/// the seconds first, as other schedulers have them (`0 0 5 * * *`, which is every second of 00:00 on the fifth).
pub(super) fn runs_by_the_second(text: &str) -> bool {
    let sixth = text.split_whitespace().nth(5);
    sixth.is_some_and(|seconds| seconds.starts_with('*'))
}

/// Whether it is five fields, each `*` or a number that its place can have: most of them are, and the parser, which makes
/// a table of each field, would be a tenth of the time of a plan.
fn is_plain(fields: &[&str]) -> bool {
    // Some days are in no month or not in every one: a day and a month together are the parser's to judge.
    const RANGES: [RangeInclusive<u8>; 5] = [0..=59, 0..=23, 1..=31, 1..=12, 0..=6];
    let fits = |(field, range): (&&str, &RangeInclusive<u8>)| {
        let digits = field.bytes().all(|byte| byte.is_ascii_digit());
        *field == "*" || (digits && field.parse().is_ok_and(|number| range.contains(&number)))
    };
    fields.len() == RANGES.len()
        && (fields[2] == "*" || fields[3] == "*")
        && fields.iter().zip(&RANGES).all(fits)
}

/// Whether it is a recurrence rule of RFC 5545, with or without its `DTSTART` and `RRULE:`.
pub(super) fn rrule(text: &str) -> Result<(), String> {
    if text.len() > 6500 {
        return Err("longer than 6,500 characters".to_owned());
    }
    let mut lines: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let named = line
                .split_once([':', ';'])
                .is_some_and(|(name, _)| !name.contains('='));
            if named {
                line.to_owned()
            } else {
                format!("RRULE:{line}")
            }
        })
        .collect();
    if !lines
        .iter()
        .any(|line| line.to_ascii_uppercase().starts_with("DTSTART"))
    {
        lines.insert(0, "DTSTART:20200101T000000Z".to_owned());
    }
    lines
        .join("\n")
        .parse::<rrule::RRuleSet>()
        .map(drop)
        .map_err(|error| error.to_string())
}

/// An instant in one spelling, UTC; a date alone is its midnight, and without an offset UTC is meant, as Prefect has it.
pub(super) fn instant(text: &str) -> Option<String> {
    let text = text.trim();
    let spaced = text.replacen(' ', "T", 1);
    let instant: DateTime<Utc> = DateTime::parse_from_rfc3339(&spaced)
        .map(|instant| instant.to_utc())
        .ok()
        .or_else(|| {
            spaced
                .parse::<NaiveDateTime>()
                .ok()
                .map(|naive| naive.and_utc())
        })
        .or_else(|| {
            text.parse::<NaiveDate>()
                .ok()?
                .and_hms_opt(0, 0, 0)
                .map(|naive| naive.and_utc())
        })?;
    Some(instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
