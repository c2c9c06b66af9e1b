//! Schedules: checked as Prefect would check them, and completed so that they mean the same at every deploy.

mod check;

use std::str::FromStr as _;

use chrono_tz::Tz;
use serde_json::Value;

use super::document::{Entry, Node, Position};
use super::duration;
use super::faults::Faults;
use crate::model::{Diagnostic, Dialect, Schedule, Timing, nearest};

const KEYS: &[&str] = &[
    "cron",
    "interval",
    "rrule",
    "timezone",
    "anchor_date",
    "day_or",
    "slug",
    "active",
    "parameters",
    "max_scheduled_runs",
];

/// Counted from when nothing else is said, so that an interval keeps its phase from deploy to deploy. (Prefect would
/// count from the moment of registration.)
const ANCHOR: &str = "2020-01-01T00:00:00Z";

/// What Prefect puts before a rule without a start; always ours, because for rules by the minute it would take the
/// current time.
const RRULE_START: &str = "DTSTART:20200101T000000\n";

/// The slug of a deployment's only schedule: it stays when the schedule is edited, and a pause with it.
const ONLY: &str = "schedule";

/// A schedule as read.
#[derive(Debug)]
pub(super) struct Declared {
    /// What it says.
    pub(super) schedule: Schedule,
    /// Where each of its parameters stands.
    pub(super) parameters: Vec<(String, Position)>,
}

/// Reads the schedules of a deployment: a list, or one mapping. In Prefect 2 their slugs count for nothing: there a
/// schedule is known by what it says.
pub(super) fn read(node: &Node, dialect: Dialect, faults: &mut Faults<'_>) -> Vec<Declared> {
    let items: Vec<&Node> = match &node.content {
        super::document::Content::List(items) => items.iter().collect(),
        super::document::Content::Map(_) => vec![node],
        super::document::Content::Scalar(_) => {
            faults.error(
                node.at,
                format!("schedules are a list of mappings, not {}", node.kind()),
            );
            return Vec::new();
        }
    };
    let only = items.len() == 1;
    let mut schedules: Vec<Declared> = Vec::new();
    for item in items {
        let Some(schedule) = one(item, only, dialect, faults) else {
            continue;
        };
        let slug = &schedule.slug;
        let twice = schedules.iter().any(|other| other.schedule.slug == *slug);
        if twice && dialect == Dialect::Prefect2 {
            faults
                .error(item.at, "a second schedule that says the same")
                .hint("Prefect 2 keeps no slugs, so that nothing would tell the two apart");
            continue;
        }
        if twice {
            faults
                .error(item.at, format!("a second schedule with the slug `{slug}`"))
                .hint("give each schedule of a deployment a `slug` of its own");
            continue;
        }
        schedules.push(Declared {
            schedule,
            parameters: item.get("parameters").map(Node::keys).unwrap_or_default(),
        });
    }
    schedules
}

fn one(node: &Node, only: bool, dialect: Dialect, faults: &mut Faults<'_>) -> Option<Schedule> {
    let Some(entries) = node.entries() else {
        faults.error(
            node.at,
            format!("a schedule is a mapping, not {}", node.kind()),
        );
        return None;
    };
    faults.unknown_keys(entries, KEYS, "a schedule");
    let timing = timing(node, entries, faults)?;
    let slug = match faults.text(node, "slug") {
        Some((slug, at)) if slug.trim().is_empty() => {
            faults.error(at, "a schedule's slug is empty");
            return None;
        }
        _ if dialect == Dialect::Prefect2 => timing.key(),
        Some((slug, _)) => slug,
        None if only => ONLY.to_owned(),
        None => timing.key(),
    };
    let max_scheduled_runs = faults.integer(node, "max_scheduled_runs", 1..=50);
    Some(Schedule {
        slug,
        timing,
        active: faults.boolean(node, "active"),
        parameters: faults
            .mapping(node, "parameters")
            .map(Node::to_value)
            .and_then(into_map)
            .unwrap_or_default(),
        max_scheduled_runs: max_scheduled_runs.and_then(|runs| u32::try_from(runs).ok()),
    })
}

fn into_map(value: Value) -> Option<serde_json::Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

fn timing(node: &Node, entries: &[Entry], faults: &mut Faults<'_>) -> Option<Timing> {
    let kinds: Vec<&Entry> = entries
        .iter()
        .filter(|entry| {
            matches!(entry.key.as_str(), "cron" | "interval" | "rrule") && !entry.value.is_null()
        })
        .collect();
    let kind = match kinds.as_slice() {
        [kind] => *kind,
        [] => {
            faults.error(
                node.at,
                "a schedule needs one of `cron`, `interval` or `rrule`",
            );
            return None;
        }
        [_, second, ..] => {
            faults.error(
                second.at,
                "a schedule has only one of `cron`, `interval` and `rrule`",
            );
            return None;
        }
    };
    for (key, of) in [("day_or", "cron"), ("anchor_date", "interval")] {
        if let Some(entry) = entries
            .iter()
            .find(|entry| entry.key == key && kind.key != of && !entry.value.is_null())
        {
            faults.error(
                entry.at,
                format!("`{key}` belongs to `{of}`, not to `{}`", kind.key),
            );
        }
    }
    let timezone = timezone(node, faults);
    match kind.key.as_str() {
        "cron" => {
            let (cron, at) = faults.text(node, "cron")?;
            if let Err(reason) = check::cron(&cron) {
                faults
                    .error(at, format!("`{cron}` is no cron expression: {reason}"))
                    .hint("five fields: minute hour day-of-month month day-of-week, such as \"0 4 * * *\"");
                return None;
            }
            if check::runs_by_the_second(&cron) {
                let message = format!(
                    "`{cron}` runs by the second: Prefect reads the last of six fields as the seconds"
                );
                let warning = Diagnostic::warning(faults.place(at), message);
                faults.push(warning.hint("leave the seconds away, or write them last"));
            }
            let day_or = faults.boolean(node, "day_or").unwrap_or(true);
            Some(Timing::Cron {
                cron,
                timezone: timezone?,
                day_or,
            })
        }
        "interval" => {
            let seconds = duration::seconds(node, "interval", faults)?.as_f64()?;
            if seconds <= 0.0 {
                faults.error(kind.value.at, "an interval is a number of seconds above 0");
                return None;
            }
            let anchor = match faults.text(node, "anchor_date") {
                None => ANCHOR.to_owned(),
                Some((text, at)) => match check::instant(&text) {
                    Some(instant) => instant,
                    None => {
                        faults
                            .error(at, format!("`{text}` is no date and time"))
                            .hint("write it as 2024-01-31T06:00:00+01:00");
                        return None;
                    }
                },
            };
            Some(Timing::Interval {
                seconds,
                anchor,
                timezone: timezone?,
            })
        }
        _ => {
            let (rrule, at) = faults.text(node, "rrule")?;
            if let Err(reason) = check::rrule(&rrule) {
                faults
                    .error(
                        at,
                        format!("`{}` is no recurrence rule: {reason}", rrule.trim()),
                    )
                    .hint("as in RFC 5545, such as \"FREQ=WEEKLY;BYDAY=MO;BYHOUR=6;BYMINUTE=0\"");
                return None;
            }
            let start = if rrule.to_ascii_uppercase().contains("DTSTART") {
                ""
            } else {
                RRULE_START
            };
            Some(Timing::Rrule {
                rrule: format!("{start}{rrule}"),
                timezone: timezone?,
            })
        }
    }
}

fn timezone(node: &Node, faults: &mut Faults<'_>) -> Option<String> {
    let Some((name, at)) = faults.text(node, "timezone") else {
        return Some("UTC".to_owned());
    };
    if Tz::from_str(&name).is_ok() {
        return Some(name);
    }
    if faults.are_many() {
        faults.error(at, "");
        return None;
    }
    let near = nearest(&name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "an IANA name, such as `Europe/Oslo`".to_owned(),
    };
    faults
        .error(at, format!("`{name}` is no time zone"))
        .hint(hint);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RepoPath;
    use crate::read::document::{Syntax, parse};

    fn read_text(text: &str) -> (Vec<Schedule>, Vec<String>) {
        read_for(Dialect::Prefect3, text)
    }

    fn read_for(dialect: Dialect, text: &str) -> (Vec<Schedule>, Vec<String>) {
        let path = RepoPath::new("p/x.deployment.yaml");
        let mut faults = Faults::of(&path);
        let (node, _) = parse(text, Syntax::Yaml).expect("valid YAML");
        let schedules = read(&node, dialect, &mut faults);
        let messages = faults.into_parts().0;
        (
            schedules.into_iter().map(|one| one.schedule).collect(),
            messages
                .iter()
                .map(|one| format!("{}: {}", one.place, one.message))
                .collect(),
        )
    }

    #[test]
    fn cron_is_checked_as_prefect_does() {
        for good in [
            "0 4 * * *",
            "*/15 6-18 * * MON-FRI",
            "@daily",
            "0 0 1,15 * *",
            "0 4 * * * 30",
            "0 0 * * 7",
            "0 0 L * *",
            "59 23 * 12 6",
            "00 07 31 * 0",
        ] {
            assert_eq!(check::cron(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "0 4 * *",
            "60 4 * * *",
            "0 4 0 * *",
            "0 4 * 13 *",
            "0 4 * * 8",
            "x",
            "0 25 * * *",
            "R 4 * * *",
            "0 4 * * * 30 2026 1",
            "0 4 * * FOO",
            "7",
        ] {
            assert!(check::cron(bad).is_err(), "{bad}");
        }
        let few = check::cron("0 4 * *").expect_err("too few");
        assert_eq!(few, "4 fields instead of five");
    }

    #[test]
    fn seconds_in_front_are_told() {
        let (schedules, faults) =
            read_text("- cron: 0 0 5 * * *\n- cron: 0 4 * * * 30\n- cron: 0 4 * * * */10\n");
        assert_eq!(schedules.len(), 3, "Prefect takes them");
        let seconds = "runs by the second: Prefect reads the last of six fields as the seconds";
        assert_eq!(
            faults,
            [
                format!("p/x.deployment.yaml:1:9: `0 0 5 * * *` {seconds}"),
                format!("p/x.deployment.yaml:3:9: `0 4 * * * */10` {seconds}"),
            ]
        );
    }

    #[test]
    fn prefect_2_knows_schedules_by_what_they_say() {
        let text =
            "- {cron: 0 4 * * *, slug: a}\n- {interval: 3600}\n- {cron: 0 4 * * *, slug: b}\n";
        let (schedules, faults) = read_for(Dialect::Prefect2, text);
        let keys: Vec<String> = schedules.iter().map(|one| one.timing.key()).collect();
        assert!(keys[0].starts_with("cron-") && keys[1].starts_with("interval-"));
        let slugs: Vec<&str> = schedules.iter().map(|one| one.slug.as_str()).collect();
        assert_eq!(slugs, keys);
        let twice = "p/x.deployment.yaml:3:3: a second schedule that says the same";
        assert_eq!(faults, [twice]);
        for schedule in schedules {
            assert_eq!(
                Timing::of_value(&schedule.to_value()),
                Some(schedule.timing)
            );
        }
        assert_eq!(read_text(text).1, [""; 0]);
    }

    #[test]
    fn rules_and_intervals_are_completed() {
        let (schedules, faults) = read_text(
            "- {rrule: FREQ=DAILY;BYHOUR=3, slug: a}\n- {interval: 3600, slug: b}\n- {interval: 60, anchor_date: 2024-01-31T06:00:00+01:00, timezone: Europe/Oslo, slug: c}\n",
        );
        assert_eq!(faults, [""; 0]);
        assert_eq!(
            schedules[0].timing,
            Timing::Rrule {
                rrule: "DTSTART:20200101T000000\nFREQ=DAILY;BYHOUR=3".into(),
                timezone: "UTC".into()
            }
        );
        assert_eq!(
            schedules[1].timing,
            Timing::Interval {
                seconds: 3600.0,
                anchor: ANCHOR.into(),
                timezone: "UTC".into()
            }
        );
        assert_eq!(
            schedules[2].timing,
            Timing::Interval {
                seconds: 60.0,
                anchor: "2024-01-31T05:00:00Z".into(),
                timezone: "Europe/Oslo".into()
            }
        );
    }

    #[test]
    fn slugs_stay() {
        let slug = |text| read_text(text).0[0].slug.clone();
        assert_eq!(slug("cron: 0 4 * * *\n"), slug("[{cron: 0 5 * * *}]"));
        let two = read_text("- cron: 0 4 * * *\n- cron: 0 5 * * *\n").0;
        let swapped = read_text("- cron: 0 5 * * *\n- cron: 0 4 * * *\n").0;
        assert_eq!(
            (&two[0].slug, &two[1].slug),
            (&swapped[1].slug, &swapped[0].slug)
        );
        assert_eq!(
            read_text("- cron: 0 4 * * *\n- cron: 0 4 * * *\n").1.len(),
            1
        );
    }

    #[test]
    fn every_fault_has_its_place() {
        let (_, faults) = read_text(
            "- cron: 0 4 * * *\n  timezone: Europe/Olso\n- cron: 99 * * * *\n- {}\n- {interval: -1}\n- {cron: '@daily', rrule: x}\n- {rrule: FREQ=NOW}\n- {interval: 5, anchor_date: soon}\n- {crn: x}\n",
        );
        let places: Vec<&str> = faults
            .iter()
            .map(|fault| fault.split(": ").next().unwrap_or(""))
            .collect();
        assert_eq!(
            places,
            [
                "p/x.deployment.yaml:2:13",
                "p/x.deployment.yaml:3:9",
                "p/x.deployment.yaml:4:3",
                "p/x.deployment.yaml:5:14",
                "p/x.deployment.yaml:6:20",
                "p/x.deployment.yaml:7:11",
                "p/x.deployment.yaml:8:30",
                "p/x.deployment.yaml:9:4",
                "p/x.deployment.yaml:9:3"
            ]
        );
    }
}
