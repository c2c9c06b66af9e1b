//! A trigger in a few words.

use serde_json::{Map, Value};

use super::schedule::{assignments, distance};
use super::value;

/// A value of [`Field::Triggers`](crate::model::Field::Triggers) in one line: `on "a.b" of prefect.resource.id="x.*"`,
/// `all of 2 triggers within 1h (disabled)`. What is not known is left out, so it serves for values of a server as well.
pub(super) fn compact(one: &Value) -> String {
    let mut words = vec![cause(&one["trigger"])];
    if let Value::Object(parameters) = &one["parameters"]
        && !parameters.is_empty()
    {
        words.push(format!("with {}", assignments(parameters)));
    }
    if let Value::Object(variables) = &one["job_variables"]
        && !variables.is_empty()
    {
        words.push(format!("and job variables {}", assignments(variables)));
    }
    if let Some(seconds) = one["schedule_after"].as_f64() {
        words.push(format!("after {}", distance(seconds)));
    }
    if one["enabled"] == false {
        words.push("(disabled)".to_owned());
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

/// Whether a value says what starts a run, and is not just one of its companions.
pub(super) fn has_form(one: &Value) -> bool {
    one["trigger"]["type"].is_string()
}

/// What has to happen.
fn cause(trigger: &Value) -> String {
    let within = match trigger["within"].as_f64() {
        Some(seconds) if seconds != 0.0 => format!(" within {}", distance(seconds)),
        _ => String::new(),
    };
    match trigger["type"].as_str() {
        Some("event") => event(trigger, &within),
        Some("metric") => {
            let metric = &trigger["metric"];
            let text = |key: &str| metric[key].as_str().map(value::text).unwrap_or_default();
            let over = metric["range"].as_f64().map(distance).unwrap_or_default();
            let threshold = value::show(&metric["threshold"]);
            let compared = format!("{} {} {threshold}", text("name"), text("operator"));
            format!("{compared} over {over}{}", of(trigger))
        }
        Some(kind) => {
            let inner = trigger["triggers"].as_array().map_or(0, Vec::len);
            let inner = value::count(inner, "trigger");
            let how_many = match &trigger["require"] {
                Value::String(word) => format!("{} of ", value::text(word)),
                Value::Number(number) => format!("{number} of "),
                _ if kind == "sequence" => "in this order ".to_owned(),
                _ => String::new(),
            };
            format!("{how_many}{inner}{within}")
        }
        None => String::new(),
    }
}

fn event(trigger: &Value, within: &str) -> String {
    let list = |key: &str| {
        let all = trigger[key].as_array().into_iter().flatten();
        let all: Vec<String> = all.map(value::show).collect();
        (!all.is_empty()).then(|| value::cut(&all.join(", "), value::WIDTH))
    };
    let expected = list("expect").unwrap_or_else(|| "any event".to_owned());
    let on = match trigger["posture"].as_str() {
        Some("Proactive") => "without",
        _ => "on",
    };
    let times = match trigger["threshold"].as_u64() {
        None | Some(1) => String::new(),
        Some(times) => format!(" {times} times"),
    };
    let after = list("after").map_or_else(String::new, |after| format!(" after {after}"));
    let each = list("for_each").map_or_else(String::new, |each| format!(" for each {each}"));
    format!("{on} {expected}{times}{within}{after}{}{each}", of(trigger))
}

/// The resources that it is about.
fn of(trigger: &Value) -> String {
    let mut out = String::new();
    for (key, word) in [("match", "of"), ("match_related", "related to")] {
        match &trigger[key] {
            Value::Object(labels) if !labels.is_empty() => {
                let mut flat = Map::new();
                flatten("", labels, &mut flat);
                out += &format!(" {word} {}", assignments(&flat));
            }
            Value::Array(several) if !several.is_empty() => {
                let shown = value::show(&trigger[key]);
                out += &format!(" {word} {}", value::cut(&shown, value::WIDTH));
            }
            _ => {}
        }
    }
    out
}

/// Joins the names of labels again, which a plan's paths have taken apart at their dots. A label is never a mapping.
fn flatten(before: &str, labels: &Map<String, Value>, out: &mut Map<String, Value>) {
    for (key, value) in labels {
        match value {
            Value::Object(inner) => flatten(&format!("{before}{key}."), inner, out),
            value => {
                out.insert(format!("{before}{key}"), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_line_says_what_starts_a_run() {
        let event = json!({"type": "event", "match": {"prefect.resource.id": "x.*"}, "match_related": {}, "after": [],
            "expect": ["a.b"], "for_each": [], "posture": "Reactive", "threshold": 1, "within": 0.0});
        let mut late = event.clone();
        late["posture"] = json!("Proactive");
        late["within"] = json!(3600.0);
        late["after"] = json!(["start"]);
        late["threshold"] = json!(2);
        late["match_related"] = json!([{"role": "flow"}]);
        late["for_each"] = json!(["id"]);
        let cases = [
            (
                json!({"enabled": true, "trigger": event, "parameters": {"n": "{{ event.id }}"}, "job_variables": null}),
                r#"on "a.b" of prefect.resource.id="x.*" with n="{{ event.id }}""#,
            ),
            (
                json!({"enabled": false, "trigger": late, "parameters": null, "schedule_after": 90}),
                r#"without "a.b" 2 times within 1h after "start" of prefect.resource.id="x.*" related to [{"role": "flow"}] for each "id" after 1m30s (disabled)"#,
            ),
            (
                json!({"trigger": {"type": "compound", "require": "all", "within": 60.0, "triggers": [event, event]}}),
                "all of 2 triggers within 1m",
            ),
            (
                json!({"trigger": {"type": "sequence", "within": null, "triggers": [event]}}),
                "in this order 1 trigger",
            ),
            (
                json!({"trigger": {"type": "metric", "match": {}, "metric": {"name": "lateness", "operator": ">",
                    "threshold": 5.0, "range": 600.0}}}),
                "lateness > 5.0 over 10m",
            ),
            (
                json!({"trigger": {"type": "event", "expect": [], "match": {"prefect": {"resource": {"id": "x"}}}}}),
                r#"on any event of prefect.resource.id="x""#,
            ),
            (json!({"enabled": true}), ""),
        ];
        for (one, expected) in cases {
            assert_eq!(compact(&one), expected);
        }
    }
}
