//! Fields whose values are several things by name, each of which may be changed by hand: schedules and triggers.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::{AppliedDeployment, Field, Fields, LiveDeployment};

/// Whether a field is compared name by name, and each of its parts only as far as git declares it.
pub(super) fn is_of_parts(field: Field) -> bool {
    matches!(field, Field::Schedules | Field::Triggers)
}

/// Fills in what no file says: from the live part of the same name, so that one paused in the UI stays paused; a new one
/// is active.
pub(super) fn complete(field: Field, parts: &mut Value, live: Option<&Value>) {
    let (on, kept): (&str, &[&str]) = match field {
        Field::Schedules => ("active", &["max_scheduled_runs"]),
        _ => ("enabled", &[]),
    };
    let Some(parts) = parts.as_object_mut() else {
        return;
    };
    for (name, part) in parts {
        let Some(part) = part.as_object_mut() else {
            continue;
        };
        let live = live
            .and_then(|live| live.get(name))
            .and_then(Value::as_object);
        let live_of = |key: &str| {
            live.and_then(|live: &Map<String, Value>| live.get(key))
                .cloned()
        };
        if !part.contains_key(on) {
            part.insert(on.to_owned(), live_of(on).unwrap_or(Value::Bool(true)));
        }
        for key in kept.iter().filter(|key| live_of(key).is_some()) {
            part.entry(*key)
                .or_insert_with(|| live_of(key).unwrap_or_default());
        }
    }
}

/// A live deployment without the triggers that someone made by hand: ours are those that are declared now, and those
/// that we last applied. No server tells whose an automation is.
pub(super) fn ours(
    live: &Arc<LiveDeployment>,
    declared: &Fields,
    last: Option<&AppliedDeployment>,
) -> Arc<LiveDeployment> {
    let declared = declared.get(&Field::Triggers);
    let is_ours = |name: &String| {
        declared.is_some_and(|all| all.get(name).is_some())
            || last.is_some_and(|last| last.triggers.contains_key(name))
    };
    let triggers = live.fields.get(&Field::Triggers).and_then(Value::as_object);
    if triggers.is_none_or(|all| all.keys().all(is_ours)) {
        return Arc::clone(live);
    }
    let mut live = LiveDeployment::clone(live);
    if let Some(all) = live
        .fields
        .get_mut(&Field::Triggers)
        .and_then(Value::as_object_mut)
    {
        all.retain(|name, _| is_ours(name));
    }
    Arc::new(live)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Applied, Refusal};
    use crate::plan::tests::{declares, deployed, deployed_over, diagnostics, lines, registered};

    fn trigger(threshold: u32) -> Value {
        json!({"description": "", "trigger": {"type": "event", "threshold": threshold}, "parameters": null,
               "job_variables": null})
    }

    fn triggers(all: Value) -> crate::model::Desired {
        declares(&[(Field::Triggers, all)])
    }

    #[test]
    fn only_triggers_of_ours_are_compared_and_let_go_of() {
        let both = triggers(json!({"a": trigger(1), "b": trigger(2)}));
        let (mut live, applied) = deployed(&both);
        let fields = &mut registered(&mut live).fields;
        fields.get_mut(&Field::Triggers).expect("triggers")["by hand"] = trigger(9);
        assert_eq!(lines(&both, &live, &applied), [""; 0]);
        let one = triggers(json!({"a": trigger(1)}));
        let gone = lines(&one, &live, &applied);
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert!(gone[0].starts_with("triggers.b: {"), "{gone:?}");
        // No key at all: what we left there goes, in the words of the default.
        let gone = lines(&declares(&[]), &live, &applied);
        assert_eq!(gone.len(), 2, "{gone:?}");
        // Without the state, nobody knows whose they are.
        assert_eq!(lines(&declares(&[]), &live, &Applied::default()), [""; 0]);
    }

    #[test]
    fn one_switched_off_by_hand_stays_so_unless_a_file_says_otherwise() {
        let silent = triggers(json!({"a": trigger(1)}));
        let (mut live, applied) = deployed(&silent);
        let off = |live: &mut crate::model::Live| {
            let fields = &mut registered(live).fields;
            fields.get_mut(&Field::Triggers).expect("triggers")["a"]["enabled"] = json!(false);
        };
        off(&mut live);
        assert_eq!(lines(&silent, &live, &applied), [""; 0]);
        // It is still ours to take away, and its other values are still no drift.
        let changed = lines(&triggers(json!({"a": trigger(2)})), &live, &applied);
        assert_eq!(changed, ["triggers.a.trigger.threshold: 1 -> 2 Git"]);

        let mut said = trigger(1);
        said["enabled"] = json!(true);
        let said = triggers(json!({"a": said}));
        let (mut live, applied) = deployed_over(&said, live, &applied);
        off(&mut live);
        assert_eq!(
            lines(&said, &live, &applied),
            ["triggers.a.enabled: false -> true Drift"]
        );
    }

    #[test]
    fn agreements_that_cannot_be_read_are_remembered() {
        let slas =
            |seconds: u32| declares(&[(Field::Slas, json!({"fast": {"duration": seconds}}))]);
        let (mut live, applied) = deployed(&slas(60));
        registered(&mut live).fields.remove(&Field::Slas);
        assert_eq!(lines(&slas(60), &live, &applied), [""; 0]);
        assert_eq!(
            lines(&slas(90), &live, &applied),
            ["slas.fast.duration: - -> 90 Git"]
        );
        assert_eq!(
            lines(&declares(&[]), &live, &applied),
            ["slas: - -> {} Git"]
        );
        // Said once, it is not said again.
        let (mut live, applied) = deployed_over(&declares(&[]), live, &applied);
        registered(&mut live).fields.remove(&Field::Slas);
        assert_eq!(lines(&declares(&[]), &live, &applied), [""; 0]);
    }

    #[test]
    fn what_cannot_be_held_is_a_fault() {
        let metric = json!({"trigger": {"type": "compound", "triggers": [{"type": "metric"}]}});
        let refusal = |field, kind: Option<&str>| Refusal {
            field,
            kind: kind.map(str::to_owned),
            why: format!("no {}", field.name()),
            hint: "x".into(),
        };
        let live = crate::model::Live {
            refused: vec![
                refusal(Field::Triggers, Some("metric")),
                refusal(Field::Slas, None),
            ],
            ..Default::default()
        };
        assert_eq!(
            diagnostics(&triggers(json!({"a": trigger(1)})), &live),
            [""; 0]
        );
        assert_eq!(
            diagnostics(&triggers(json!({"a": metric})), &live),
            ["no triggers"]
        );
        let slas = |value| declares(&[(Field::Slas, value)]);
        assert_eq!(diagnostics(&slas(json!({})), &live), [""; 0]);
        assert_eq!(
            diagnostics(&slas(json!({"a": {"duration": 1}})), &live),
            ["no slas"]
        );
    }
}
