//! What happens to one deployment.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::diff::{self, Cause, FieldChange};
use super::parts::{complete, is_of_parts, ours};
use super::{Action, Begin, Change, Options, image, left};
use crate::model::{
    Applied, AppliedDeployment, Deployment, Digest, Field, Fields, Hasher, Live, LiveDeployment,
    Owner, Project, Registration, ReleaseRef, awaits_output, fingerprint, same, without_outputs,
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
    let last = left::at(&deployment.id, live, applied, options.dialect);
    let last = last.as_deref();
    let live = live.map(|live| ours(live, &deployment.fields, last));
    let live = live.as_ref();
    let owner = options.owner(&project.path);
    let current = live.map(|live| live_side(live, &deployment.fields));
    let wanted = wanted(deployment, current.as_deref(), last, options);

    let mut fields = Vec::new();
    let mut changed = BTreeSet::new();
    for (field, new) in &wanted {
        let old = current.as_ref().and_then(|current| current.get(field));
        let default = field.default_value(options.dialect);
        let keeps = match current.as_deref() {
            Some(current) if is_unread(*field, current) => {
                let left = last.and_then(|last| last.fields.get(field));
                left.copied().unwrap_or_else(|| fingerprint(&default)) == fingerprint(new)
            }
            Some(_) => same(old.unwrap_or(&default), new),
            None => false,
        };
        if keeps {
            continue;
        }
        changed.insert(*field);
        // Someone else changed it when the live value is not the one that we left there.
        let known = last.filter(|last| live.is_some() && last.fields.contains_key(field));
        let unread = current
            .as_deref()
            .is_some_and(|current| is_unread(*field, current));
        let cause = |name: Option<&str>| match known {
            // What is not known yet cannot be told from what someone else may have set.
            _ if awaits_output(new) || unread => Cause::Git,
            Some(last) if !last.holds(*field, old.unwrap_or(&default), name) => Cause::Drift,
            _ => Cause::Git,
        };
        if is_of_parts(*field) {
            for name in keys(old).chain(keys(Some(new))).collect::<BTreeSet<_>>() {
                let path = format!("{}.{name}", field.name());
                let (old, new) = (old.and_then(|old| old.get(name)), new.get(name));
                diff::flatten(&path, old, new, cause(Some(name)), &mut fields);
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
    let later: BTreeSet<Field> = later.collect();

    let action = match (live, fields.is_empty()) {
        (None, _) => Action::Create,
        (Some(_), true) => Action::Keep,
        (Some(_), false) => Action::Update,
    };
    let begin =
        (action != Action::Keep).then(|| Begin::of(project, deployment, &wanted, &changed, last));
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
    let mut remembered = AppliedDeployment::of(
        project.path.clone(),
        project.release.digest,
        &deployment.fields,
        deployment.hidden.keys().cloned().collect(),
    );
    let declared = declared(&remembered, &later);
    let states = deployment.images.iter();
    if let Some(state) = states.filter_map(|key| options.images.get(key)).next_back() {
        remembered.image = image::remembered(&state.inputs);
    }
    Change {
        id: deployment.id.clone(),
        action,
        fields,
        changed,
        registration,
        live: live.cloned(),
        declared,
        // What is written is remembered, also where it was in the memory of another environment.
        remember: (action != Action::Keep || !left::is_known(&deployment.id, &remembered, applied))
            .then_some(remembered),
        begin,
        notes: notes(deployment),
        later,
    }
}

/// One digest for what git declares, but for these fields.
fn declared(remembered: &AppliedDeployment, later: &BTreeSet<Field>) -> Digest {
    let mut hasher = Hasher::default();
    let known = remembered.fields.iter();
    for (field, digest) in known.filter(|(field, _)| !later.contains(field)) {
        hasher.update(field.name().as_bytes());
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
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
    options: &Options,
) -> BTreeMap<Field, Cow<'a, Value>> {
    let mut wanted: BTreeMap<Field, Cow<'a, Value>> = deployment
        .fields
        .iter()
        .map(|(field, value)| (*field, Cow::Borrowed(value)))
        .collect();
    if let (Some(last), Some(current)) = (last, current) {
        for field in last.fields.keys() {
            // The code is never let go of: steps that a file spells out take its place.
            if wanted.contains_key(field) || *field == Field::Code {
                continue;
            }
            let as_left = match current.get(field) {
                Some(live) => last.holds(*field, live, None),
                None => is_unread(*field, current),
            };
            if as_left {
                wanted.insert(*field, Cow::Owned(field.default_value(options.dialect)));
            }
        }
    }
    for (field, value) in &mut wanted {
        if is_of_parts(*field) {
            let live = current.and_then(|fields| fields.get(field));
            complete(*field, value.to_mut(), live);
        }
    }
    wanted
}

/// Whether a field cannot be read from where it is registered, so that what was last applied has to do. Prefect Cloud
/// takes SLAs and has no request that gives them.
pub(super) fn is_unread(field: Field, live: &Fields) -> bool {
    field == Field::Slas && !live.contains_key(&field)
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
