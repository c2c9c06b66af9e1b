//! When a deployment runs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Digest;

/// One schedule of a deployment, as an orchestrator would hold it.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// A name that stays the same from deploy to deploy, so that a pause made in the UI outlives an edit.
    pub slug: String,
    /// When.
    pub timing: Timing,
    /// Whether it runs; `None` where no file says so and the server's word counts.
    pub active: Option<bool>,
    /// Parameters of the runs of this schedule, over those of the deployment.
    pub parameters: Map<String, Value>,
    /// How many runs are scheduled ahead at the most; `None` leaves it to the server.
    pub max_scheduled_runs: Option<u32>,
}

/// The rhythm of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Cron text, as written.
    Cron {
        /// Five fields, or six with the seconds last, or `@daily` and its like.
        cron: String,
        /// An IANA name.
        timezone: String,
        /// Whether day of month and day of week are joined by "or".
        day_or: bool,
    },
    /// A fixed distance between runs.
    Interval {
        /// Seconds, above 0.
        seconds: f64,
        /// RFC 3339 with an offset; without one an orchestrator would count from the moment of registration.
        anchor: String,
        /// An IANA name.
        timezone: String,
    },
    /// An iCalendar recurrence rule with its `DTSTART`.
    Rrule {
        /// `DTSTART:…\nRRULE…` as in RFC 5545; the start is always there.
        rrule: String,
        /// An IANA name.
        timezone: String,
    },
}

impl Timing {
    /// A name made of what it says: that of one of several schedules without a slug, so that swapping two in a file swaps
    /// no pause; and of every schedule in Prefect 2, which keeps no slugs.
    pub fn key(&self) -> String {
        let (kind, text) = match self {
            Self::Cron {
                cron,
                timezone,
                day_or,
            } => ("cron", format!("{cron}\n{timezone}\n{day_or}")),
            Self::Interval {
                seconds,
                anchor,
                timezone,
            } => ("interval", format!("{seconds}\n{anchor}\n{timezone}")),
            Self::Rrule { rrule, timezone } => ("rrule", format!("{rrule}\n{timezone}")),
        };
        format!("{kind}-{}", &Digest::of(text.as_bytes()).to_string()[..6])
    }

    /// The timing in what [`Schedule::to_value`] gives; `None` for any other value.
    pub fn of_value(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key)?.as_str().map(str::to_owned);
        let timezone = text("timezone")?;
        if let Some(cron) = text("cron") {
            let day_or = value.get("day_or")?.as_bool()?;
            return Some(Self::Cron {
                cron,
                timezone,
                day_or,
            });
        }
        if let Some(seconds) = value.get("interval").and_then(Value::as_f64) {
            let anchor = text("anchor_date")?;
            return Some(Self::Interval {
                seconds,
                anchor,
                timezone,
            });
        }
        let rrule = text("rrule")?;
        Some(Self::Rrule { rrule, timezone })
    }
}

impl Schedule {
    /// The schedule as the value of its slug in [`Field::Schedules`](super::Field::Schedules): an object with `cron`,
    /// `interval` or `rrule` and their companions, `parameters`, and, only where they are declared, `active` and
    /// `max_scheduled_runs`.
    pub fn to_value(&self) -> Value {
        let mut value = match &self.timing {
            Timing::Cron {
                cron,
                timezone,
                day_or,
            } => json!({"cron": cron, "timezone": timezone, "day_or": day_or}),
            Timing::Interval {
                seconds,
                anchor,
                timezone,
            } => {
                json!({"interval": seconds, "anchor_date": normal_anchor(anchor), "timezone": timezone})
            }
            Timing::Rrule { rrule, timezone } => json!({"rrule": rrule, "timezone": timezone}),
        };
        value["parameters"] = Value::Object(self.parameters.clone());
        if let Some(active) = self.active {
            value["active"] = active.into();
        }
        if let Some(runs) = self.max_scheduled_runs {
            value["max_scheduled_runs"] = runs.into();
        }
        value
    }
}

/// The one spelling of an anchor: RFC 3339 with its offset kept, a zero offset as `Z`, and no more of a fraction than
/// it has; text that is no such time stays as it is. Both sides of a comparison use it, because a server may answer
/// `2024-01-01T00:00:00Z` to `2024-01-01T00:00:00+00:00`.
pub fn normal_anchor(text: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_has_one_spelling() {
        for (text, normal) in [
            ("2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00Z"),
            ("2024-01-01 00:00:00.500000Z", "2024-01-01T00:00:00.500Z"),
            ("2024-01-01T00:00:00+02:00", "2024-01-01T00:00:00+02:00"),
            ("soon", "soon"),
        ] {
            assert_eq!(normal_anchor(text), normal);
        }
    }
}
