//! From what a server answers to our fields, such that what was written reads back as it was.
//!
//! The forms, where [`Field`]'s docs leave a choice; a desired value has to have the same form to be equal:
//!
//! - **tags** are sorted, without repetition (the server keeps order and repetition).
//! - **schedules** are keyed by slug; one without a slug by `#<its id>`, which no desired schedule has. `active` is always
//!   there, `max_scheduled_runs` only where it is set. `interval` is in seconds, a float. `anchor_date` is as
//!   [`normal_anchor`] gives it: RFC 3339 with the offset kept, a zero offset as `Z`. A missing `timezone` is `UTC`. Cron
//!   text and rrules are verbatim.
//! - **concurrency limit** is the deployment's own; a shared one that someone attached reads as the string
//!   `global:<its name>`, so that nobody takes its number for the deployment's own and changes it for all.
//! - **code** is the text of our release (`<project>@<64 digits>`), or the list of steps where they are not ours; absent
//!   where there are none. Foreign steps stand in **pull steps** too, to be compared with steps that a file spells out.
//! - **parameter schema** `{}` stands for "never set", also where the server says it as
//!   `{"type": "object", "properties": {}}`.
//! - Everything else is as the server has it, null for what is not set.

use serde_json::{Map, Value, json};

use super::pull::{Pull, code_text};
use super::wire;
use crate::model::{Field, Fields, Owner, RepoPath, normal_anchor};

/// The label with the repository's name.
pub(super) const REPOSITORY: &str = "flowyard.repository";
/// The label with the environment's name.
pub(super) const ENVIRONMENT: &str = "flowyard.environment";
/// The label with the project's path, `.` for the root.
pub(super) const PROJECT: &str = "flowyard.project";

/// How the key of a schedule without a slug begins; the schedule's id follows.
const UNNAMED: char = '#';
/// How a limit that is not the deployment's own begins; its name follows.
const GLOBAL: &str = "global:";

/// A deployment's fields in our form.
pub(super) fn fields(deployment: &wire::Deployment, pull: &Pull) -> Fields {
    let options = deployment.concurrency_options.as_ref();
    let mut fields = Fields::from([
        (Field::Entrypoint, json!(deployment.entrypoint)),
        (Field::Version, json!(deployment.version)),
        (Field::Description, json!(deployment.description)),
        (Field::Tags, tags(&deployment.tags)),
        (Field::Parameters, json!(deployment.parameters)),
        (
            Field::ParameterSchema,
            parameter_schema(&deployment.parameter_openapi_schema),
        ),
        (
            Field::EnforceParameterSchema,
            json!(deployment.enforce_parameter_schema.unwrap_or(true)),
        ),
        (Field::Schedules, schedules(&deployment.schedules)),
        (Field::Paused, json!(deployment.paused)),
        (Field::WorkPool, json!(deployment.work_pool_name)),
        (Field::WorkQueue, json!(deployment.work_queue_name)),
        (Field::JobVariables, json!(deployment.job_variables)),
        (Field::ConcurrencyLimit, concurrency_limit(deployment)),
        (
            Field::CollisionStrategy,
            json!(options.and_then(|options| options.collision_strategy.as_ref())),
        ),
        (
            Field::GracePeriod,
            json!(options.and_then(|options| options.grace_period_seconds)),
        ),
    ]);
    match pull.release(&deployment.pull_steps) {
        Some(release) => {
            fields.insert(Field::Code, json!(code_text(&release)));
        }
        None if !deployment.pull_steps.is_empty() => {
            fields.insert(Field::Code, json!(deployment.pull_steps));
            fields.insert(Field::PullSteps, json!(deployment.pull_steps));
        }
        None => {}
    }
    fields
}

/// Our mark among a deployment's labels; `None` where a part of it is missing.
pub(super) fn owner(labels: &Map<String, Value>) -> Option<Owner> {
    let text = |key| labels.get(key).and_then(Value::as_str);
    Some(Owner {
        repository: text(REPOSITORY)?.to_owned(),
        environment: text(ENVIRONMENT)?.to_owned(),
        project: RepoPath::new(text(PROJECT)?),
    })
}

/// Whether the key of a live schedule stands for one without a slug.
pub(super) fn is_unnamed(key: &str) -> bool {
    // A slug may begin with `#` too; a UUID's 36 characters after it are ours.
    key.strip_prefix(UNNAMED).is_some_and(|id| {
        id.len() == 36
            && id
                .bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
    })
}

/// Whether the value of a live concurrency limit stands for a shared one.
pub(super) fn is_global_limit(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(GLOBAL))
}

/// The key and value of one schedule.
pub(super) fn schedule(schedule: &wire::Schedule) -> (String, Value) {
    let timing = &schedule.schedule;
    let timezone = timing
        .get("timezone")
        .filter(|zone| !zone.is_null())
        .cloned()
        .unwrap_or(json!("UTC"));
    let mut value = if let Some(cron) = timing.get("cron") {
        let day_or = timing
            .get("day_or")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        json!({"cron": cron, "timezone": timezone, "day_or": day_or})
    } else if let Some(interval) = timing.get("interval") {
        let anchor = match timing.get("anchor_date") {
            Some(Value::String(text)) => json!(normal_anchor(text)),
            other => json!(other),
        };
        let seconds = interval
            .as_f64()
            .map_or(interval.clone(), |seconds| json!(seconds));
        json!({"interval": seconds, "anchor_date": anchor, "timezone": timezone})
    } else if let Some(rrule) = timing.get("rrule") {
        json!({"rrule": rrule, "timezone": timezone})
    } else {
        // A kind of schedule that we do not know: shown, and different from all that we would write.
        json!(timing)
    };
    value["parameters"] = json!(schedule.parameters);
    value["active"] = json!(schedule.active);
    if let Some(runs) = schedule.max_scheduled_runs {
        value["max_scheduled_runs"] = json!(runs);
    }
    let key = match &schedule.slug {
        Some(slug) => slug.clone(),
        None => format!("{UNNAMED}{}", schedule.id),
    };
    (key, value)
}

fn schedules(schedules: &[wire::Schedule]) -> Value {
    Value::Object(schedules.iter().map(schedule).collect())
}

fn tags(tags: &[String]) -> Value {
    let mut tags = tags.to_vec();
    tags.sort();
    tags.dedup();
    json!(tags)
}

fn parameter_schema(schema: &Map<String, Value>) -> Value {
    let never_set = json!({"type": "object", "properties": {}});
    let schema = json!(schema);
    if schema == never_set {
        json!({})
    } else {
        schema
    }
}

fn concurrency_limit(deployment: &wire::Deployment) -> Value {
    match &deployment.global_concurrency_limit {
        Some(limit) if limit.name == format!("deployment:{}", deployment.id) => json!(limit.limit),
        Some(limit) => json!(format!("{GLOBAL}{}", limit.name)),
        None => json!(deployment.concurrency_limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dialect, Schedule, Timing};

    fn pull() -> Pull {
        Pull::Folder {
            path: "/srv".into(),
        }
    }

    fn read(answer: &Value) -> wire::Deployment {
        let mut whole = json!({"id": "D", "name": "d", "flow_id": "F"});
        for (key, value) in answer.as_object().expect("an object") {
            whole[key] = value.clone();
        }
        serde_json::from_value(whole).expect("a deployment")
    }

    #[test]
    fn a_bare_deployment_has_the_defaults() {
        // As 3.8.8 answers for a body of a name and a flow alone; older ones say null for the empty ones.
        for empty in [
            json!({"pull_steps": [], "parameter_openapi_schema": {}, "tags": [], "labels": {}}),
            json!({"pull_steps": null, "parameter_openapi_schema": null, "tags": null, "labels": null,
                "schedules": null, "job_variables": null, "parameters": null}),
        ] {
            let fields = fields(&read(&empty), &pull());
            assert!(!fields.contains_key(&Field::Code));
            assert!(!fields.contains_key(&Field::PullSteps));
            for (field, value) in fields {
                assert_eq!(
                    value,
                    field.default_value(Dialect::Prefect3),
                    "{}",
                    field.name()
                );
            }
        }
    }

    #[test]
    fn what_reads_back_differently_is_put_right() {
        let fields = fields(
            &read(&json!({
                "tags": ["b", "a", "b"],
                "parameter_openapi_schema": {"type": "object", "properties": {}},
                "concurrency_limit": null,
                "global_concurrency_limit": {"name": "deployment:D", "limit": 3, "active_slots": 0},
                "concurrency_options": {"collision_strategy": "ENQUEUE", "grace_period_seconds": null},
                "pull_steps": [{"x.y": {}}],
            })),
            &pull(),
        );
        assert_eq!(fields[&Field::Tags], json!(["a", "b"]));
        assert_eq!(fields[&Field::ParameterSchema], json!({}));
        assert_eq!(fields[&Field::ConcurrencyLimit], json!(3));
        assert_eq!(fields[&Field::CollisionStrategy], json!("ENQUEUE"));
        assert_eq!(fields[&Field::Code], json!([{"x.y": {}}]));
        assert_eq!(fields[&Field::PullSteps], json!([{"x.y": {}}]));
    }

    #[test]
    fn a_shared_limit_is_not_taken_for_our_own() {
        let deployment =
            read(&json!({"global_concurrency_limit": {"name": "database", "limit": 3}}));
        let limit = concurrency_limit(&deployment);
        assert_eq!(limit, json!("global:database"));
        assert!(is_global_limit(&limit));
        assert!(!is_global_limit(&json!(3)));
    }

    #[test]
    fn schedules_have_the_form_that_is_declared() {
        let id = "5cc1b0b8-102f-432e-83f0-4c3a8d594e68";
        let of = |slug: Option<&str>, timing: Value| {
            let answer = json!({"id": id, "slug": slug, "schedule": timing, "active": true, "parameters": {},
                "max_scheduled_runs": null, "created": "x"});
            schedule(&serde_json::from_value(answer).expect("a schedule"))
        };
        let declared = |timing| {
            Schedule {
                slug: "s".into(),
                timing,
                active: Some(true),
                parameters: Map::new(),
                max_scheduled_runs: None,
            }
            .to_value()
        };
        let interval = Timing::Interval {
            seconds: 86400.0,
            anchor: "2024-01-01T00:00:00+00:00".into(),
            timezone: "UTC".into(),
        };
        assert_eq!(
            of(
                Some("s"),
                json!({"interval": 86400.0, "anchor_date": "2024-01-01T00:00:00Z", "timezone": null})
            ),
            ("s".into(), declared(interval))
        );
        let cron = Timing::Cron {
            cron: "0  4 * * *".into(),
            timezone: "Europe/Berlin".into(),
            day_or: true,
        };
        assert_eq!(
            of(
                None,
                json!({"cron": "0  4 * * *", "timezone": "Europe/Berlin"})
            ),
            (format!("#{id}"), declared(cron))
        );
        assert!(is_unnamed(&format!("#{id}")));
        assert!(!is_unnamed("#1"));
        let rrule = Timing::Rrule {
            rrule: "DTSTART:20200101T000000\nFREQ=DAILY".into(),
            timezone: "UTC".into(),
        };
        assert_eq!(
            of(
                Some("s"),
                json!({"rrule": "DTSTART:20200101T000000\nFREQ=DAILY", "timezone": "UTC"})
            )
            .1,
            declared(rrule)
        );
    }

    #[test]
    fn the_mark_needs_all_its_parts() {
        let labels =
            json!({REPOSITORY: "o/r", ENVIRONMENT: "prod", PROJECT: ".", "prefect.flow.id": "F"});
        let mut labels = labels.as_object().expect("an object").clone();
        let found = owner(&labels).expect("a mark");
        assert!(found.project.is_root());
        labels.remove(ENVIRONMENT);
        assert_eq!(owner(&labels), None);
    }
}
