//! What is ours of what is live, when a deploy may have ended without telling what came of it.
//!
//! A field counts as set by someone on the server unless we remember it. A deploy that is killed after a registration has
//! nobody to remember what it set; if that is taken back in git afterwards, nothing would. So a deploy writes down what
//! it sets out to do ([`Begin`]) before it does it, and the next comparison looks how far it came ([`at`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::change::is_unread;
use crate::model::{
    Applied, AppliedDeployment, Deployment, DeploymentId, Dialect, Digest, Field, Fields,
    LiveDeployment, Project,
};

/// What is written down before a deployment is registered.
#[derive(Clone, Debug)]
pub struct Begin {
    /// What is ours of what is there so far; `None` where it was never registered.
    left: Option<AppliedDeployment>,
    /// What is set, and nothing else.
    sets: AppliedDeployment,
}

impl Begin {
    /// The `changed` ones of the fields that are `wanted`.
    pub(super) fn of(
        project: &Project,
        deployment: &Deployment,
        wanted: &BTreeMap<Field, Cow<'_, Value>>,
        changed: &BTreeSet<Field>,
        left: Option<&AppliedDeployment>,
    ) -> Self {
        // What no file says of a schedule or trigger is filled in, and nobody's word.
        let value = |field: &Field| {
            let declared = deployment.fields.get(field);
            declared.or_else(|| wanted.get(field).map(Cow::as_ref))
        };
        let fields: Fields = changed
            .iter()
            .filter_map(|field| Some((*field, value(field)?.clone())))
            .collect();
        Self {
            left: left.cloned(),
            sets: AppliedDeployment::of(
                project.path.clone(),
                project.release.digest,
                &fields,
                deployment.hidden.keys().cloned().collect(),
            ),
        }
    }

    /// Takes the place of what an earlier deploy had begun: what of that is there is known by now.
    pub(super) fn write_down(&self, id: &DeploymentId, applied: &mut Applied) {
        if let Some(left) = &self.left {
            applied.deployments.insert(id.clone(), left.clone());
        }
        applied.begun.insert(id.clone(), self.sets.clone());
    }
}

/// What we left at a deployment: what was last applied, and as much of what was begun since as is there. `None` where
/// nothing is known.
pub(super) fn at<'a>(
    id: &DeploymentId,
    live: Option<&Arc<LiveDeployment>>,
    applied: &'a Applied,
    dialect: Dialect,
) -> Option<Cow<'a, AppliedDeployment>> {
    let last = applied.deployments.get(id);
    let (Some(begun), Some(live)) = (applied.begun.get(id), live) else {
        return last.map(Cow::Borrowed);
    };
    let nothing = || {
        let (project, release) = (begun.project.clone(), begun.release);
        AppliedDeployment::of(project, release, &Fields::new(), BTreeSet::new())
    };
    let mut left = last.cloned().unwrap_or_else(nothing);
    for (field, digest) in &begun.fields {
        if !is_unread(*field, &live.fields) {
            let default = || field.default_value(dialect);
            let now = live.fields.get(field).cloned().unwrap_or_else(default);
            left.learn(begun, *field, &now);
        } else if left.fields.get(field) != Some(digest) {
            // Either of them may be there, so that no value is known to be.
            left.fields.insert(*field, Digest::of(b"not known"));
        }
    }
    left.hidden.extend(begun.hidden.iter().cloned());
    Some(Cow::Owned(left))
}

/// Whether just this is remembered, and nothing is open.
pub(super) fn is_known(
    id: &DeploymentId,
    remembered: &AppliedDeployment,
    applied: &Applied,
) -> bool {
    applied.deployments.get(id) == Some(remembered) && !applied.begun.contains_key(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Desired, Live};
    use crate::plan::tests::{declares, deployed, deployed_over, lines, options, registered};
    use crate::plan::{Plan, diff};

    fn plan(desired: &Desired, live: &Live, applied: &Applied) -> Plan {
        diff(desired, live, applied, &BTreeSet::new(), &options())
    }

    /// What a deploy of `desired` leaves behind that is killed when it has registered, or when it has not.
    fn killed(desired: &Desired, live: &Live, applied: &Applied, late: bool) -> (Live, Applied) {
        let begun = plan(desired, live, applied).next_begun(applied, |_| true);
        let (done, _) = deployed_over(desired, live.clone(), applied);
        (if late { done } else { live.clone() }, begun)
    }

    fn before() -> Desired {
        declares(&[(Field::Parameters, json!({"n": 1}))])
    }

    fn trigger(threshold: u32) -> Value {
        json!({"trigger": {"threshold": threshold}})
    }

    /// The same with what stops a deployment, or starts it more often.
    fn more() -> Desired {
        declares(&[
            (Field::Parameters, json!({"n": 1})),
            (Field::Schedules, json!({"nightly": {"cron": "0 4 * * *"}})),
            (Field::Paused, json!(true)),
            (Field::ConcurrencyLimit, json!(1)),
            (Field::Triggers, json!({"a": trigger(1), "b": trigger(2)})),
        ])
    }

    #[test]
    fn what_was_set_goes_with_the_commit_that_asked_for_it() {
        for (live, applied) in [deployed(&before()), <(Live, Applied)>::default()] {
            let (live, begun) = killed(&more(), &live, &applied, true);
            let gone = lines(&before(), &live, &begun);
            let paths: Vec<&str> = gone
                .iter()
                .filter_map(|one| one.split(':').next())
                .collect();
            assert_eq!(
                paths,
                [
                    "schedules.nightly",
                    "paused",
                    "concurrency_limit",
                    "triggers.a",
                    "triggers.b"
                ]
            );
            assert!(gone.iter().all(|one| one.ends_with(" Git")), "{gone:?}");
            let (live, applied) = deployed_over(&before(), live, &begun);
            assert_eq!(applied, deployed(&before()).1);
            assert!(plan(&before(), &live, &applied).writes_nothing());
        }
    }

    #[test]
    fn what_was_set_is_no_drift_when_the_deploy_is_run_again() {
        let (live, applied) = deployed(&before());
        let (live, begun) = killed(&more(), &live, &applied, true);
        let again = plan(&more(), &live, &begun);
        assert!(again.is_empty() && !again.writes_nothing(), "{again:?}");
        let (_, applied) = deployed_over(&more(), live, &begun);
        assert_eq!(applied, deployed(&more()).1);
        // Nor where git says something else by now.
        let (live, applied) = deployed(&before());
        let five = declares(&[(Field::Parameters, json!({"n": 5}))]);
        let (live, begun) = killed(&five, &live, &applied, true);
        assert_eq!(
            lines(&before(), &live, &begun),
            ["parameters.n: 5 -> 1 Git"]
        );
        // Nor what was to be let go of.
        let (live, applied) = deployed(&more());
        let (live, begun) = killed(&before(), &live, &applied, true);
        let all = lines(&more(), &live, &begun);
        assert!(all.iter().all(|one| one.ends_with(" Git")), "{all:?}");
    }

    #[test]
    fn what_was_not_set_is_forgotten_and_stays_with_whoever_sets_it() {
        let (live, applied) = deployed(&before());
        let (mut live, begun) = killed(&more(), &live, &applied, false);
        let look = plan(&before(), &live, &begun);
        assert!(look.is_empty() && !look.writes_nothing(), "{look:?}");
        assert_eq!(look.next_applied(&begun, |_| true), applied);
        // As long as nobody has looked, it may have been set late.
        registered(&mut live)
            .fields
            .insert(Field::Paused, json!(true));
        assert_eq!(
            lines(&before(), &live, &begun),
            ["paused: true -> false Git"]
        );
        assert_eq!(lines(&before(), &live, &applied), [""; 0]);
        // What someone has set otherwise is theirs.
        let (live, applied) = deployed(&before());
        let (mut live, begun) = killed(&more(), &live, &applied, false);
        let fields = &mut registered(&mut live).fields;
        fields.insert(Field::ConcurrencyLimit, json!(7));
        assert_eq!(lines(&before(), &live, &begun), [""; 0]);
    }

    #[test]
    fn of_triggers_those_go_that_were_made() {
        let (live, applied) = deployed(&before());
        let (mut live, begun) = killed(&more(), &live, &applied, true);
        let all = registered(&mut live).fields.get_mut(&Field::Triggers);
        let all = all.and_then(Value::as_object_mut).expect("triggers");
        all.remove("b");
        all.insert("by hand".to_owned(), trigger(9));
        let gone = lines(&before(), &live, &begun);
        let gone: Vec<&String> = gone.iter().filter(|one| one.starts_with("trig")).collect();
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert!(gone[0].starts_with("triggers.a: {"), "{gone:?}");
        // One that someone has changed since is theirs, unless git has a say in triggers.
        let all = registered(&mut live).fields.get_mut(&Field::Triggers);
        all.expect("triggers")["a"] = trigger(8);
        let left = lines(&before(), &live, &begun);
        assert!(!left.iter().any(|one| one.starts_with("trig")), "{left:?}");
        let other = declares(&[
            (Field::Parameters, json!({"n": 1})),
            (Field::Triggers, json!({"c": trigger(3)})),
        ]);
        let gone = lines(&other, &live, &begun).join("\n");
        assert!(gone.contains("triggers.a: {"), "{gone}");
        assert!(!gone.contains("by hand"), "{gone}");
    }

    #[test]
    fn what_an_earlier_deploy_had_begun_is_known_to_the_third() {
        let (live, applied) = deployed(&before());
        let (live, begun) = killed(&more(), &live, &applied, true);
        let other = declares(&[
            (Field::Parameters, json!({"n": 2})),
            (Field::Paused, json!(true)),
        ]);
        let (live, begun) = killed(&other, &live, &begun, false);
        assert_eq!(lines(&before(), &live, &begun).len(), 5);
    }

    #[test]
    fn agreements_that_cannot_be_read_are_written_again() {
        let slas =
            |seconds: u32| declares(&[(Field::Slas, json!({"fast": {"duration": seconds}}))]);
        let unread = |mut live: Live| {
            registered(&mut live).fields.remove(&Field::Slas);
            live
        };
        let none = declares(&[]);
        for first in [&none, &slas(60)] {
            let (live, applied) = deployed(first);
            for late in [true, false] {
                let (live, begun) = killed(&slas(90), &unread(live.clone()), &applied, late);
                let live = unread(live);
                for wanted in [&none, &slas(60), &slas(90)] {
                    let lines = lines(wanted, &live, &begun);
                    assert_eq!(lines.len(), 1, "{lines:?}");
                }
            }
        }
    }
}
