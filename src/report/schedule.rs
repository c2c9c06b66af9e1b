//! A schedule in a few words.

use serde_json::{Map, Value};

use super::value;

/// A schedule as [`Schedule::to_value`](crate::model::Schedule::to_value) gives it, in one line:
/// `cron "0 4 * * *" Europe/Oslo`, `every 1h30m UTC (paused)`. What is not known is left out, so it serves for values
/// of a server as well.
pub(super) fn compact(schedule: &Value) -> String {
    let text = |key: &str| schedule.get(key).and_then(Value::as_str).map(value::text);
    let mut words = Vec::new();
    if schedule.get("cron").is_some_and(|cron| !cron.is_null()) {
        words.push(format!("cron {}", quoted(schedule, "cron")));
    } else if let Some(interval) = schedule.get("interval").filter(|one| !one.is_null()) {
        words.push(match interval.as_f64() {
            Some(seconds) => format!("every {}", distance(seconds)),
            None => format!("every {}", value::show(interval)),
        });
    } else if let Some(rrule) = schedule.get("rrule").and_then(Value::as_str) {
        words.push(recurrence(rrule));
    }
    words.extend(text("timezone").filter(|zone| !zone.is_empty()));
    if let Some(anchor) = text("anchor_date") {
        words.push(format!("from {anchor}"));
    }
    if schedule.get("cron").is_some() && schedule.get("day_or") == Some(&Value::Bool(false)) {
        words.push("where day of month and of week both match".to_owned());
    }
    if let Some(Value::Object(parameters)) = schedule.get("parameters")
        && !parameters.is_empty()
    {
        words.push(format!("with {}", assignments(parameters)));
    }
    if let Some(runs) = schedule.get("max_scheduled_runs").and_then(Value::as_u64) {
        words.push(format!("at most {runs} scheduled ahead"));
    }
    if schedule.get("active") == Some(&Value::Bool(false)) {
        words.push("(paused)".to_owned());
    }
    words.join(" ")
}

/// Every schedule of a [`Field::Schedules`](crate::model::Field::Schedules) value with its slug, one line each.
pub(super) fn lines(schedules: Option<&Value>) -> Vec<String> {
    let Some(Value::Object(schedules)) = schedules else {
        return Vec::new();
    };
    schedules
        .iter()
        .map(|(slug, schedule)| format!("{}: {}", value::text(slug), compact(schedule)))
        .collect()
}

/// Whether a value says when to run, and is not just one of its companions.
pub(super) fn has_timing(schedule: &Value) -> bool {
    ["cron", "interval", "rrule"]
        .iter()
        .any(|key| schedule.get(key).is_some_and(|one| !one.is_null()))
}

fn quoted(schedule: &Value, key: &str) -> String {
    value::cut(
        &schedule.get(key).map(value::show).unwrap_or_default(),
        value::WIDTH,
    )
}

/// `day="x", limit=5`.
pub(super) fn assignments(parameters: &Map<String, Value>) -> String {
    let all: Vec<String> = parameters
        .iter()
        .map(|(name, given)| format!("{}={}", value::text(name), value::show(given)))
        .collect();
    value::cut(&all.join(", "), value::WIDTH)
}

/// `DTSTART:20250106T070000\nRRULE:FREQ=DAILY` as `rrule "FREQ=DAILY" from 20250106T070000`.
fn recurrence(rrule: &str) -> String {
    let mut rules = Vec::new();
    let mut start = None;
    for line in rrule.lines() {
        match line.split_once(':') {
            Some((name, rest)) if name.starts_with("DTSTART") && start.is_none() => {
                start = Some(rest);
            }
            Some(("RRULE", rest)) => rules.push(rest),
            _ => rules.push(line),
        }
    }
    let rule = value::show(&Value::String(rules.join(" ")));
    let rule = format!("rrule {}", value::cut(&rule, value::WIDTH));
    match start {
        Some(start) => format!("{rule} from {}", value::text(start)),
        None => rule,
    }
}

/// Seconds for people: `45s`, `1h30m`, `7d`, `0.5s`.
pub(super) fn distance(seconds: f64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    if seconds.fract() != 0.0 || !(1.0..1e12).contains(&seconds) {
        return format!("{seconds}s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 1 to 1e12"
    )]
    let mut rest = seconds as u64;
    let mut out = String::new();
    for (unit, name) in UNITS {
        if rest >= unit {
            out += &format!("{}{name}", rest / unit);
            rest %= unit;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_line_says_when() {
        let cases = [
            (
                json!({"cron": "0 4 * * *", "timezone": "Europe/Oslo", "day_or": true, "parameters": {}}),
                r#"cron "0 4 * * *" Europe/Oslo"#,
            ),
            (
                json!({"cron": "0 4 1 * 1", "timezone": "UTC", "day_or": false, "active": false}),
                r#"cron "0 4 1 * 1" UTC where day of month and of week both match (paused)"#,
            ),
            (
                json!({"interval": 5400.0, "anchor_date": "2024-01-01T00:00:00+00:00", "timezone": "UTC",
                       "parameters": {"limit": 5, "day": "x"}, "max_scheduled_runs": 3, "active": true}),
                r#"every 1h30m UTC from 2024-01-01T00:00:00+00:00 with day="x", limit=5 at most 3 scheduled ahead"#,
            ),
            (
                json!({"rrule": "DTSTART:20250106T070000\nRRULE:FREQ=WEEKLY;BYDAY=MO", "timezone": "Asia/Tokyo"}),
                r#"rrule "FREQ=WEEKLY;BYDAY=MO" from 20250106T070000 Asia/Tokyo"#,
            ),
            (
                json!({"cron": "{{ $CRON }}\u{1b}[2J"}),
                r#"cron "{{ $CRON }}\u{1b}[2J""#,
            ),
            (json!("nonsense"), ""),
        ];
        for (schedule, expected) in cases {
            assert_eq!(compact(&schedule), expected);
        }
    }

    #[test]
    fn distances_read_naturally() {
        let seconds = [45.0, 60.0, 5400.0, 604_800.0, 90_061.0, 0.5, 1e15, -3.0];
        assert_eq!(
            seconds.map(distance),
            [
                "45s",
                "1m",
                "1h30m",
                "7d",
                "1d1h1m1s",
                "0.5s",
                "1000000000000000s",
                "-3s"
            ]
        );
    }
}
