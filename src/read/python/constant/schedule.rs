//! Prefect's schedules, by all the names that it gave them.

use super::call::Arguments;
use crate::read::python::value::Value;

/// What the classes and functions of schedules take first, under the last part of their names.
const FIRST: &[(&str, &str)] = &[
    ("CronSchedule", "cron"),
    ("Cron", "cron"),
    ("IntervalSchedule", "interval"),
    ("Interval", "interval"),
    ("RRuleSchedule", "rrule"),
    ("RRule", "rrule"),
    ("Schedule", "interval"),
];

/// Classes that hold a schedule beside what a deployment says of it.
const HOLDERS: &[&str] = &[
    "DeploymentScheduleCreate",
    "DeploymentSchedule",
    "MinimalDeploymentSchedule",
];

/// The keys of a schedule that a call makes; `None` where it makes none.
pub(super) fn schedule<'a>(
    full: &str,
    arguments: &Arguments<'a>,
) -> Option<Vec<(String, Value<'a>)>> {
    let name = full.rsplit('.').next()?;
    let mut keys: Vec<(String, Value<'a>)> = Vec::new();
    if HOLDERS.contains(&name) {
        for (keyword, value) in &arguments.keywords {
            match (keyword.as_str(), value) {
                ("schedule", Value::Schedule(inner)) => keys.extend(inner.iter().cloned()),
                ("schedule", _) => return None,
                _ => keys.push((keyword.clone(), value.clone())),
            }
        }
        return arguments.positional.is_empty().then_some(keys);
    }
    let (_, first) = FIRST.iter().find(|(known, _)| *known == name)?;
    match arguments.positional.as_slice() {
        [] => {}
        [one] => keys.push(((*first).to_owned(), one.clone())),
        _ => return None,
    }
    keys.extend(
        arguments
            .keywords
            .iter()
            .filter(|(_, value)| *value != Value::None)
            .cloned(),
    );
    Some(keys)
}
