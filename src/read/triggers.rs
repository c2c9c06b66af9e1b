//! `triggers` and `sla`: checked as Prefect checks them, and completed as its API gives them back.
//!
//! What starts a run beside schedules becomes an automation of the deployment's own. The forms are those of
//! <https://docs.prefect.io/v3/how-to-guides/automations/creating-deployment-triggers>.

use serde_json::{Map, Value, json};

use super::document::{Content, Entry, Node, Position};
use super::duration;
use super::faults::{Faults, present};

/// The keys of the automation around a trigger.
const AUTOMATION: &[&str] = &[
    "name",
    "description",
    "enabled",
    "parameters",
    "job_variables",
    "schedule_after",
];

const EVENT: &[&str] = &[
    "type",
    "posture",
    "match",
    "match_related",
    "after",
    "expect",
    "for_each",
    "threshold",
    "within",
];

const METRIC: &[&str] = &["type", "posture", "match", "match_related", "metric"];

const COMPOUND: &[&str] = &["type", "triggers", "within", "require"];

const SEQUENCE: &[&str] = &["type", "triggers", "within"];

/// A proactive trigger looks back at least that long, in seconds.
const SHORTEST_PROACTIVE: f64 = 10.0;

/// The shortest time that a metric is looked at for, and the one without a word.
const METRIC_SECONDS: f64 = 300.0;

/// The triggers of a deployment by their names; one without a name is named as Prefect would.
pub(super) fn read(list: &Node, deployment: &str, faults: &mut Faults<'_>) -> Map<String, Value> {
    let mut all = Map::new();
    for (at, (item, entries)) in items(list, "triggers", faults).into_iter().enumerate() {
        let (name, place) = faults.text(item, "name").unwrap_or_else(|| {
            let name = format!("{deployment}__automation_{}", at + 1);
            (name, item.at)
        });
        let Some(trigger) = trigger(item, entries, AUTOMATION, faults) else {
            continue;
        };
        let object = |key, faults: &mut Faults<'_>| faults.mapping(item, key).map(Node::to_value);
        let mut one = json!({
            "description": faults.text(item, "description").map(|(text, _)| text).unwrap_or_default(),
            "trigger": trigger,
            "parameters": object("parameters", faults),
            "job_variables": object("job_variables", faults),
        });
        // Otherwise one that is switched off in the UI stays so.
        if let Some(enabled) = faults.boolean(item, "enabled") {
            one["enabled"] = enabled.into();
        }
        if let Some(after) = duration::seconds(item, "schedule_after", faults)
            && after.as_f64() != Some(0.0)
        {
            if after.as_f64().is_some_and(|after| after < 0.0) {
                let at = item.get("schedule_after").map_or(item.at, |one| one.at);
                faults.error(at, "`schedule_after` is less than nothing");
            }
            one["schedule_after"] = Value::Number(after);
        }
        put(&mut all, name, one, place, "trigger", faults);
    }
    all
}

/// The service level agreements of a deployment by their names.
pub(super) fn slas(list: &Node, faults: &mut Faults<'_>) -> Map<String, Value> {
    const KINDS: &[&str] = &["duration", "stale_after", "within"];
    const SEVERITIES: &[&str] = &["minor", "low", "moderate", "high", "critical"];
    let mut all = Map::new();
    for (item, entries) in items(list, "sla", faults) {
        let known = [&["name", "severity", "enabled"][..], KINDS].concat();
        faults.unknown_keys(entries, &known, "an SLA");
        let Some((name, place)) = faults.text(item, "name") else {
            faults.error(item.at, "an SLA has no `name`");
            continue;
        };
        let severity = choice(item, "severity", SEVERITIES, "moderate", faults);
        let mut one = json!({
            "enabled": faults.boolean(item, "enabled").unwrap_or(true),
            "severity": severity,
        });
        let kinds: Vec<&&str> = KINDS
            .iter()
            .filter(|key| present(item, key).is_some())
            .collect();
        let [kind] = kinds.as_slice() else {
            faults.error(
                item.at,
                "an SLA has one of `duration`, `stale_after` and `within`",
            );
            continue;
        };
        if let Some(seconds) = duration::seconds(item, kind, faults) {
            one[**kind] = Value::Number(seconds);
        }
        put(&mut all, name, one, place, "SLA", faults);
    }
    all
}

fn put(
    all: &mut Map<String, Value>,
    name: String,
    one: Value,
    at: Position,
    of: &str,
    faults: &mut Faults<'_>,
) {
    if all.contains_key(&name) {
        faults
            .error(at, format!("a second {of} `{name}`"))
            .hint("give each of a deployment a `name` of its own");
        return;
    }
    all.insert(name, one);
}

/// The mappings of a list.
fn items<'n>(list: &'n Node, key: &str, faults: &mut Faults<'_>) -> Vec<(&'n Node, &'n [Entry])> {
    let Content::List(items) = &list.content else {
        faults.error(
            list.at,
            format!("`{key}` is a list of mappings, not {}", list.kind()),
        );
        return Vec::new();
    };
    let mut all = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| !item.is_null()) {
        match item.entries() {
            Some(entries) => all.push((item, entries)),
            None => {
                let message = format!("`{key}` is a list of mappings, and this is {}", item.kind());
                faults.error(item.at, message);
            }
        }
    }
    all
}

/// One trigger as the API gives it back; `more` are keys that stand beside its own.
fn trigger(
    node: &Node,
    entries: &[Entry],
    more: &[&str],
    faults: &mut Faults<'_>,
) -> Option<Value> {
    let has = |key| present(node, key).is_some();
    let named = faults.text(node, "type");
    let kind = match &named {
        Some((kind, _)) => kind.as_str(),
        None if node.get("posture").and_then(Node::as_str) == Some("Metric") => "metric",
        None if has("triggers") && has("require") => "compound",
        None if has("triggers") => "sequence",
        None => "event",
    };
    let mut check = |own: &[&str]| {
        faults.unknown_keys(
            entries,
            &[own, more].concat(),
            &format!("a trigger of type `{kind}`"),
        );
    };
    match kind {
        "event" => {
            check(EVENT);
            Some(event(node, faults))
        }
        "metric" => {
            check(METRIC);
            metric(node, faults)
        }
        "compound" | "sequence" => {
            check(if kind == "compound" {
                COMPOUND
            } else {
                SEQUENCE
            });
            composite(node, kind, faults)
        }
        other => {
            let at = named.as_ref().map_or(node.at, |(_, at)| *at);
            faults
                .error(at, format!("unknown type of trigger `{other}`"))
                .hint("event, metric, compound or sequence");
            None
        }
    }
}

fn event(node: &Node, faults: &mut Faults<'_>) -> Value {
    let posture = choice(
        node,
        "posture",
        &["Reactive", "Proactive"],
        "Reactive",
        faults,
    );
    let given = duration::seconds(node, "within", faults);
    let length = given
        .as_ref()
        .and_then(serde_json::Number::as_f64)
        .unwrap_or(0.0);
    let within = if posture == "Proactive" && length == 0.0 {
        SHORTEST_PROACTIVE
    } else {
        length
    };
    let at = node.get("within").map_or(node.at, |within| within.at);
    if within < 0.0 {
        faults.error(at, "`within` is less than nothing");
    } else if posture == "Proactive" && within < SHORTEST_PROACTIVE {
        faults.error(at, "a proactive trigger looks back 10 seconds at least");
    }
    json!({
        "type": "event",
        "match": labels(node, "match", faults),
        "match_related": labels(node, "match_related", faults),
        "after": set(node, "after", faults),
        "expect": set(node, "expect", faults),
        "for_each": set(node, "for_each", faults),
        "posture": posture,
        "threshold": faults.integer(node, "threshold", 0..=u64::MAX).unwrap_or(1),
        "within": within,
    })
}

fn metric(node: &Node, faults: &mut Faults<'_>) -> Option<Value> {
    let Some(query) = faults.mapping(node, "metric") else {
        faults.error(node.at, "a metric trigger has no `metric`");
        return None;
    };
    faults.unknown_keys(
        query.entries().unwrap_or_default(),
        &["name", "threshold", "operator", "range", "firing_for"],
        "`metric`",
    );
    let mut length = |key| {
        let seconds = duration::seconds(query, key, faults).and_then(|one| one.as_f64());
        let seconds = seconds.unwrap_or(METRIC_SECONDS);
        if seconds < METRIC_SECONDS {
            let at = query.get(key).map_or(query.at, |node| node.at);
            faults.error(at, format!("`{key}` is 300 seconds at least"));
        }
        seconds
    };
    let (range, firing_for) = (length("range"), length("firing_for"));
    for key in ["name", "threshold", "operator"] {
        if present(query, key).is_none() {
            faults.error(query.at, format!("`metric` has no `{key}`"));
        }
    }
    Some(json!({
        "type": "metric",
        "match": labels(node, "match", faults),
        "match_related": labels(node, "match_related", faults),
        "posture": "Metric",
        "metric": {
            "name": choice(query, "name", &["lateness", "duration", "successes"], "", faults),
            "threshold": faults.number(query, "threshold").unwrap_or_default(),
            "operator": choice(query, "operator", &["<", "<=", ">", ">="], "", faults),
            "range": range,
            "firing_for": firing_for,
        },
    }))
}

fn composite(node: &Node, kind: &str, faults: &mut Faults<'_>) -> Option<Value> {
    let Some(list) = present(node, "triggers") else {
        faults.error(node.at, format!("a {kind} trigger has no `triggers`"));
        return None;
    };
    let inner: Vec<Value> = items(list, "triggers", faults)
        .into_iter()
        .filter_map(|(item, entries)| trigger(item, entries, &[], faults))
        .collect();
    let within = duration::seconds(node, "within", faults).and_then(|one| one.as_f64());
    let mut all = json!({"type": kind, "within": within});
    if kind == "compound" {
        let least = inner.len() as u64;
        let require = present(node, "require");
        all["require"] = match require.map(|one| &one.content) {
            Some(Content::Scalar(Value::String(word)))
                if matches!(word.as_str(), "any" | "all") =>
            {
                word.as_str().into()
            }
            Some(Content::Scalar(Value::Number(number)))
                if number
                    .as_u64()
                    .is_some_and(|one| (1..=least).contains(&one)) =>
            {
                number.clone().into()
            }
            _ => {
                faults
                    .error(
                        require.map_or(node.at, |one| one.at),
                        "`require` is `any`, `all` or how many of the triggers",
                    )
                    .hint(format!("a number from 1 to {least}"));
                return None;
            }
        };
    }
    all["triggers"] = Value::Array(inner);
    Some(all)
}

fn choice(
    node: &Node,
    key: &str,
    known: &[&str],
    default: &str,
    faults: &mut Faults<'_>,
) -> String {
    let Some((text, at)) = faults.text(node, key) else {
        return default.to_owned();
    };
    if !known.contains(&text.as_str()) {
        faults
            .error(at, format!("unknown {key} `{text}`"))
            .hint(known.join(", "));
    }
    text
}

/// Labels of resources: a mapping, or for related ones a list of them.
fn labels(node: &Node, key: &str, faults: &mut Faults<'_>) -> Value {
    match present(node, key) {
        None => json!({}),
        Some(value) => match &value.content {
            Content::Map(_) => value.to_value(),
            Content::List(_) if key == "match_related" => value.to_value(),
            _ => {
                faults.error(
                    value.at,
                    format!("`{key}` is a mapping of labels, not {}", value.kind()),
                );
                json!({})
            }
        },
    }
}

/// Texts in the order of the alphabet: for Prefect they are a set.
fn set(node: &Node, key: &str, faults: &mut Faults<'_>) -> Value {
    let texts = faults.texts(node, key).unwrap_or_default();
    let texts: std::collections::BTreeSet<String> =
        texts.into_iter().map(|(text, _)| text).collect();
    texts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RepoPath;
    use crate::read::document::{Syntax, parse};

    fn with(
        text: &str,
        of: impl Fn(&Node, &mut Faults<'_>) -> Map<String, Value>,
    ) -> (Value, Vec<String>) {
        let path = RepoPath::new("prefect.yaml");
        let mut faults = Faults::of(&path);
        let (node, _) = parse(text, Syntax::Yaml).expect("valid YAML");
        let read = Value::Object(of(&node, &mut faults));
        let said = faults.into_parts().0.into_iter();
        (
            read,
            said.map(|one| format!("{}: {}", one.place, one.message))
                .collect(),
        )
    }

    fn triggers(text: &str) -> (Value, Vec<String>) {
        with(text, |node, faults| read(node, "daily", faults))
    }

    #[test]
    fn a_trigger_is_completed_as_the_api_gives_it_back() {
        let (all, faults) = triggers(
            "- {expect: [b, a], match: {prefect.resource.id: x.*}, parameters: {n: '{{ event.id }}'}}\n- {name: late, enabled: false, posture: Proactive, after: a, expect: b, description: d}\n",
        );
        assert_eq!(faults, [""; 0]);
        assert_eq!(
            all["daily__automation_1"],
            json!({"description": "", "parameters": {"n": "{{ event.id }}"}, "job_variables": null,
                   "trigger": {"type": "event", "match": {"prefect.resource.id": "x.*"}, "match_related": {}, "after": [],
                               "expect": ["a", "b"], "for_each": [], "posture": "Reactive", "threshold": 1, "within": 0.0}})
        );
        assert_eq!(all["late"]["trigger"]["within"], json!(10.0));
        assert_eq!(all["late"]["enabled"], json!(false));
    }

    #[test]
    fn triggers_of_triggers() {
        let (all, faults) = triggers(
            "- {type: compound, require: all, within: 01:00:00, triggers: [{expect: [a]}, {type: event, expect: [b]}]}\n- triggers: [{expect: [a]}]\n- {posture: Metric, metric: {name: lateness, threshold: 5, operator: '>', range: PT10M}}\n",
        );
        assert_eq!(faults, [""; 0]);
        let one = &all["daily__automation_1"]["trigger"];
        assert_eq!(
            (&one["require"], &one["within"]),
            (&json!("all"), &json!(3600.0))
        );
        assert_eq!(one["triggers"][1]["expect"], json!(["b"]));
        assert_eq!(all["daily__automation_2"]["trigger"]["type"], "sequence");
        assert_eq!(
            all["daily__automation_3"]["trigger"]["metric"]["range"],
            json!(600.0)
        );
    }

    #[test]
    fn faults_have_places() {
        let (_, faults) = triggers(
            "- {expect: [a], treshold: 2}\n- {type: evnt}\n- {posture: Proactive, within: 5}\n- {type: compound, require: 3, triggers: [{expect: [a]}]}\n- text\n- {name: x}\n- {name: x}\n",
        );
        assert_eq!(
            faults,
            [
                "prefect.yaml:5:3: `triggers` is a list of mappings, and this is text",
                "prefect.yaml:1:17: unknown key `treshold` in a trigger of type `event`",
                "prefect.yaml:2:10: unknown type of trigger `evnt`",
                "prefect.yaml:3:32: a proactive trigger looks back 10 seconds at least",
                "prefect.yaml:4:29: `require` is `any`, `all` or how many of the triggers",
                "prefect.yaml:7:10: a second trigger `x`",
            ]
        );
    }

    #[test]
    fn agreements() {
        let (all, faults) = with(
            "- {name: fast, duration: 600, severity: high}\n- {name: fresh, stale_after: PT1H}\n- {name: none}\n- {duration: 1}\n",
            slas,
        );
        assert_eq!(
            all["fast"],
            json!({"enabled": true, "severity": "high", "duration": 600})
        );
        assert_eq!(all["fresh"]["stale_after"], json!(3600));
        assert_eq!(faults.len(), 2);
    }
}
