//! Schedules, images, triggers and the other small things that deployments are made of.

use super::library::{bound, unless_unknown};
use crate::read::python::program::{Arguments, At, Machine, Value};

/// Classes whose instances only hold their arguments: name, kind, and the parameters that may stand without a name.
const THINGS: &[(&str, &str, &[&str])] = &[
    ("CronSchedule", "schedule", &["cron", "timezone", "day_or"]),
    (
        "IntervalSchedule",
        "schedule",
        &["interval", "anchor_date", "timezone"],
    ),
    ("RRuleSchedule", "schedule", &["rrule", "timezone"]),
    (
        "Cron",
        "schedule",
        &["cron", "timezone", "day_or", "active", "parameters", "slug"],
    ),
    (
        "Interval",
        "schedule",
        &[
            "interval",
            "anchor_date",
            "timezone",
            "active",
            "parameters",
            "slug",
        ],
    ),
    (
        "RRule",
        "schedule",
        &["rrule", "timezone", "active", "parameters", "slug"],
    ),
    ("Schedule", "schedule", &[]),
    (
        "construct_schedule",
        "schedule",
        &["interval", "anchor_date", "cron", "rrule", "timezone"],
    ),
    (
        "CronClientSchedule",
        "schedule",
        &["cron", "timezone", "day_or"],
    ),
    (
        "IntervalClientSchedule",
        "schedule",
        &["interval", "anchor_date", "timezone"],
    ),
    ("DeploymentScheduleCreate", "schedule-create", &[]),
    ("DeploymentScheduleUpdate", "schedule-create", &[]),
    ("MinimalDeploymentSchedule", "schedule-create", &[]),
    (
        "create_deployment_schedule_create",
        "schedule-create",
        &["schedule", "active"],
    ),
    (
        "create_minimal_deployment_schedule",
        "schedule-create",
        &["schedule", "active"],
    ),
    (
        "normalize_to_deployment_schedule",
        "schedule-create",
        &["schedule"],
    ),
    ("DockerImage", "image", &["name", "tag", "dockerfile"]),
    ("DeploymentImage", "image", &["name", "tag", "dockerfile"]),
    ("ConcurrencyLimitConfig", "concurrency", &[]),
    ("ConcurrencyOptions", "concurrency", &[]),
    ("DeploymentEventTrigger", "event-trigger", &[]),
    ("DeploymentTrigger", "event-trigger", &[]),
    ("DeploymentMetricTrigger", "metric-trigger", &[]),
    ("DeploymentCompoundTrigger", "compound-trigger", &[]),
    ("DeploymentSequenceTrigger", "sequence-trigger", &[]),
    ("EventTrigger", "event-trigger", &[]),
    ("MetricTrigger", "metric-trigger", &[]),
    ("MetricTriggerQuery", "mapping", &[]),
    ("CompoundTrigger", "compound-trigger", &[]),
    ("SequenceTrigger", "sequence-trigger", &[]),
    ("ResourceSpecification", "mapping", &[]),
    ("TimeToCompletionSla", "time-to-completion-sla", &[]),
    ("FrequencySla", "frequency-sla", &[]),
    ("LatenessSla", "lateness-sla", &[]),
    ("FreshnessSla", "freshness-sla", &[]),
    (
        "GitRepository",
        "git",
        &[
            "url",
            "credentials",
            "name",
            "branch",
            "commit_sha",
            "include_submodules",
            "pull_interval",
            "directories",
        ],
    ),
    ("RemoteStorage", "remote", &["url", "pull_interval"]),
    ("LocalStorage", "local", &["path", "pull_interval"]),
];

/// Such a thing, by the name of its class.
pub(super) fn made(
    machine: &mut Machine<'_>,
    class: &str,
    arguments: &Arguments,
    at: At,
) -> Option<Value> {
    let (_, kind, names) = THINGS.iter().find(|(name, ..)| *name == class)?;
    if let Some(more) = arguments.positional.get(names.len()) {
        let reason = format!("{class}() takes no more arguments without their names");
        return Some(Value::unknown(reason, more.at));
    }
    let record = machine.record(kind, bound(names, arguments), at);
    Some(unless_unknown(arguments, record, at))
}

/// Members of Prefect's enumerations, which are texts.
pub(super) fn constant(full: &str, name: &str, at: At) -> Option<Value> {
    let class = full.rsplit('.').next().unwrap_or(full);
    let known = full.starts_with("prefect")
        && matches!(
            class,
            "ConcurrencyLimitStrategy" | "Posture" | "EntrypointType" | "SlaSeverity"
        );
    known.then(|| {
        // The severities are written in lower case.
        let text = if class == "SlaSeverity" {
            name.to_lowercase()
        } else {
            name.to_owned()
        };
        Value::text(text, at)
    })
}
