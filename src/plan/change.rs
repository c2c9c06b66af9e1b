//! What happens to one deployment.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::diff::{self, Cause, FieldChange};
use super::{Action, Change, Options};
use crate::model::{
    Applied, AppliedDeployment, Deployment, Field, Fields, Live, LiveDeployment, Owner, Project,
    Registration, ReleaseRef, awaits_output, same, without_outputs,
};

/// Compares one deployment.
pub(super) fn of(
    project: &Project,
    deployment: &Deployment,
    live: &Live,
    applied: &Applied,
    options: &Options,
) -> Change {
    let live = live.deployments.get(&deployment.id);
    let last = applied.deployments.get(&deployment.id);
    let owner = Owner {
        repository: options.repository.clone(),
        environment: options.environment.clone(),
        project: project.path.clone(),
    };
    let current = live.map(|live| live_side(live, &deployment.fields));
    let wanted = wanted(deployment, current.as_deref(), last);

    let mut fields = Vec::new();
    let mut changed = BTreeSet::new();
    for (field, new) in &wanted {
        let old = current.as_ref().and_then(|current| current.get(field));
        let default = field.default_value();
        if current.is_some() && same(old.unwrap_or(&default), new) {
            continue;
        }
        changed.insert(*field);
        // Someone else changed it when the live value is not the one that we left there.
        let known = last.filter(|last| live.is_some() && last.fields.contains_key(field));
        let cause = |slug: Option<&str>| match known {
            // What is not known yet cannot be told from what someone else may have set.
            _ if awaits_output(new) => Cause::Git,
            Some(last) if !last.holds(*field, old.unwrap_or(&default), slug) => Cause::Drift,
            _ => Cause::Git,
        };
        if *field == Field::Schedules {
            for slug in keys(old).chain(keys(Some(new))).collect::<BTreeSet<_>>() {
                let path = format!("{}.{slug}", field.name());
                let (old, new) = (old.and_then(|old| old.get(slug)), new.get(slug));
                diff::flatten(&path, old, new, cause(Some(slug)), &mut fields);
            }
        } else {
            diff::flatten(field.name(), old, Some(new), cause(None), &mut fields);
        }
    }
    if let Some(live) = live
        && live.owner.as_ref() != Some(&owner)
    {
        fields.push(handover(live.owner.as_ref(), &owner));
    }
    let hidden_before = last.map(|last| &last.hidden);
    diff::hide(&mut fields, &deployment.hidden, hidden_before);
    diff::tell_unknown(&mut fields);
    let later = deployment.fields.keys().copied().filter(|field| {
        let top = |path: &String| path.split('.').next() == Some(field.name());
        deployment.later.keys().any(top)
    });
    let later = later.collect();

    let action = match (live, fields.is_empty()) {
        (None, _) => Action::Create,
        (Some(_), true) => Action::Keep,
        (Some(_), false) => Action::Update,
    };
    let registration = (action != Action::Keep).then(|| {
        let mut all = current.map(Cow::into_owned).unwrap_or_default();
        all.extend(
            wanted
                .into_iter()
                .map(|(field, value)| (field, value.into_owned())),
        );
        if all.contains_key(&Field::PullSteps) {
            all.remove(&Field::Code);
        }
        Registration {
            id: deployment.id.clone(),
            owner,
            fields: all,
        }
    });
    let remembered = AppliedDeployment::of(
        project.path.clone(),
        project.release.digest,
        &deployment.fields,
        deployment.hidden.keys().cloned().collect(),
    );
    Change {
        id: deployment.id.clone(),
        action,
        fields,
        changed,
        registration,
        live: live.cloned(),
        remember: (last != Some(&remembered)).then_some(remembered),
        notes: notes(deployment),
        later,
    }
}

/// What was decided about a deployment, and what is run for it before it is registered.
fn notes(deployment: &Deployment) -> Vec<String> {
    let run = deployment.steps.iter().map(|step| {
        let shown = without_outputs(&step.shown);
        format!("runs at deploy: {shown}")
    });
    deployment.notes.iter().cloned().chain(run).collect()
}

/// What it should be: what git declares, and for fields that git has let go of their default.
fn wanted<'a>(
    deployment: &'a Deployment,
    current: Option<&Fields>,
    last: Option<&AppliedDeployment>,
) -> BTreeMap<Field, Cow<'a, Value>> {
    let mut wanted: BTreeMap<Field, Cow<'a, Value>> = deployment
        .fields
        .iter()
        .map(|(field, value)| (*field, Cow::Borrowed(value)))
        .collect();
    if let (Some(last), Some(current)) = (last, current) {
        for field in last.fields.keys() {
            // The code is never let go of: steps that a file spells out take its place.
            let gone = !wanted.contains_key(field) && *field != Field::Code;
            if gone
                && current
                    .get(field)
                    .is_some_and(|live| last.holds(*field, live, None))
            {
                wanted.insert(*field, Cow::Owned(field.default_value()));
            }
        }
    }
    if let Some(schedules) = wanted.get_mut(&Field::Schedules) {
        let live = current.and_then(|fields| fields.get(&Field::Schedules));
        complete_schedules(schedules.to_mut(), live);
    }
    wanted
}

/// The line that says that a deployment becomes ours.
fn handover(old: Option<&Owner>, new: &Owner) -> FieldChange {
    let text = |owner: &Owner| {
        json!(format!(
            "{} {} {}",
            owner.repository, owner.environment, owner.project
        ))
    };
    FieldChange {
        path: "owner".to_owned(),
        old: old.map(text),
        new: Some(text(new)),
        cause: Cause::Git,
    }
}

/// The live fields in the words of the desired side: steps that a file spells out are compared with the steps as they
/// are, whoever wrote them.
fn live_side<'a>(live: &'a LiveDeployment, wanted: &Fields) -> Cow<'a, Fields> {
    if !wanted.contains_key(&Field::PullSteps) {
        return Cow::Borrowed(&live.fields);
    }
    let mut fields = live.fields.clone();
    if let Some(steps) = fields.remove(&Field::Code) {
        fields.insert(Field::PullSteps, steps);
    }
    Cow::Owned(fields)
}

/// Fills in what no file says of a schedule: from the live schedule of the same slug, so that one paused in the UI
/// stays paused; a new one is active.
pub(super) fn complete_schedules(schedules: &mut Value, live: Option<&Value>) {
    let Some(schedules) = schedules.as_object_mut() else {
        return;
    };
    for (slug, schedule) in schedules {
        let Some(schedule) = schedule.as_object_mut() else {
            continue;
        };
        let live = live
            .and_then(|live| live.get(slug))
            .and_then(Value::as_object);
        let live_of = |key: &str| {
            live.and_then(|live: &Map<String, Value>| live.get(key))
                .cloned()
        };
        if !schedule.contains_key("active") {
            schedule.insert(
                "active".to_owned(),
                live_of("active").unwrap_or(Value::Bool(true)),
            );
        }
        if let (false, Some(runs)) = (
            schedule.contains_key("max_scheduled_runs"),
            live_of("max_scheduled_runs"),
        ) {
            schedule.insert("max_scheduled_runs".to_owned(), runs);
        }
    }
}

/// Whether a deployment's runs get their code from the release.
pub(super) fn uses(release: &ReleaseRef, deployment: &Deployment) -> bool {
    let digest = release.digest.to_string();
    deployment.fields.iter().any(|(field, value)| match field {
        Field::Code => true,
        Field::PullSteps => value.to_string().contains(&digest),
        _ => false,
    })
}

/// The keys of an object; none of anything else.
fn keys(value: Option<&Value>) -> impl Iterator<Item = &String> {
    value
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
}
