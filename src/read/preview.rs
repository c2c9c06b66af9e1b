//! Previews: the deployments of a pull request beside those of everybody, and out of their way.
//!
//! In such an environment every deployment gets the suffix `-ENV` and the tag `ENV`, and none of them starts by itself: its
//! schedules and triggers are there, switched off. Triggers get the suffix too, as the orchestrator lists all of them
//! together. Images have no tags beside that of their inputs, which would be taken from those of everybody.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::{Deployment, Field, Image, Project};

/// Labels of an event's resource that tell a deployment from anything else of its name.
const ROLE: &str = "prefect.resource.role";
const ID: &str = "prefect.resource.id";
/// The label that is its name.
const NAME: &str = "prefect.resource.name";

/// Makes what the projects declare a preview.
pub(super) fn make(
    projects: &mut [Project],
    images: &mut BTreeMap<String, Image>,
    environment: &str,
) {
    for image in images.values_mut() {
        image.tags.clear();
    }
    let deployments = projects.iter().flat_map(|one| &one.deployments);
    let names: BTreeSet<String> = deployments.map(|one| one.id.name.clone()).collect();
    let suffixed = |name: &str| format!("{name}-{environment}");
    for project in projects {
        for deployment in &mut project.deployments {
            deployment.id.name = suffixed(&deployment.id.name);
            tag(deployment, environment);
            switch_off(deployment);
            triggers(deployment, &names, &suffixed);
        }
        project.deployments.sort_by(|a, b| a.id.cmp(&b.id));
    }
}

fn tag(deployment: &mut Deployment, environment: &str) {
    let tags = deployment.fields.entry(Field::Tags).or_insert(json!([]));
    if let Value::Array(tags) = tags {
        tags.push(environment.into());
        tags.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        tags.dedup();
    }
}

fn switch_off(deployment: &mut Deployment) {
    for (field, switch) in [(Field::Schedules, "active"), (Field::Triggers, "enabled")] {
        let parts = deployment.fields.get_mut(&field);
        let parts = parts.and_then(Value::as_object_mut);
        for part in parts.into_iter().flat_map(Map::values_mut) {
            if let Some(part) = part.as_object_mut() {
                part.insert(switch.to_owned(), false.into());
            }
        }
    }
}

/// Gives the triggers the suffix, and has those that wait for another deployment wait for that of the preview.
fn triggers(
    deployment: &mut Deployment,
    names: &BTreeSet<String>,
    suffixed: &dyn Fn(&str) -> String,
) {
    let all = deployment.fields.get_mut(&Field::Triggers);
    let Some(all) = all.and_then(Value::as_object_mut) else {
        return;
    };
    let parts = std::mem::take(all).into_iter();
    all.extend(parts.map(|(name, mut part)| {
        follow(&mut part["trigger"], names, suffixed);
        (suffixed(&name), part)
    }));
}

/// Puts the suffix to the names of deployments in a trigger, and in those inside of it.
fn follow(trigger: &mut Value, names: &BTreeSet<String>, suffixed: &dyn Fn(&str) -> String) {
    let inner = trigger.get_mut("triggers").and_then(Value::as_array_mut);
    for one in inner.into_iter().flatten() {
        follow(one, names, suffixed);
    }
    for key in ["match", "match_related"] {
        let labels = match trigger.get_mut(key) {
            Some(Value::Array(several)) => several.iter_mut().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        for labels in labels.into_iter().filter(|labels| is_deployment(labels)) {
            let name = match labels.get_mut(NAME) {
                Some(Value::Array(several)) => several.iter_mut().collect(),
                Some(one) => vec![one],
                None => Vec::new(),
            };
            for name in name {
                if let Some(text) = name.as_str().filter(|text| names.contains(*text)) {
                    *name = suffixed(text).into();
                }
            }
        }
    }
}

fn is_deployment(labels: &Value) -> bool {
    let id = labels.get(ID).and_then(Value::as_str).unwrap_or_default();
    labels.get(ROLE) == Some(&json!("deployment")) || id.starts_with("prefect.deployment.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_deployments_are_followed_and_no_others() {
        let names = BTreeSet::from(["daily".to_owned()]);
        let mut trigger = json!({"type": "compound", "triggers": [
            {"match": {"prefect.resource.id": "prefect.deployment.*", "prefect.resource.name": ["daily", "x"]}},
            {"match_related": [{"prefect.resource.role": "deployment", "prefect.resource.name": "daily"},
                {"prefect.resource.role": "flow", "prefect.resource.name": "daily"}]},
            {"match": {"prefect.resource.name": "daily"}},
        ]});
        follow(&mut trigger, &names, &|name| format!("{name}-pr-1"));
        assert_eq!(
            trigger["triggers"],
            json!([
                {"match": {"prefect.resource.id": "prefect.deployment.*", "prefect.resource.name": ["daily-pr-1", "x"]}},
                {"match_related": [{"prefect.resource.role": "deployment", "prefect.resource.name": "daily-pr-1"},
                    {"prefect.resource.role": "flow", "prefect.resource.name": "daily"}]},
                {"match": {"prefect.resource.name": "daily"}},
            ])
        );
    }
}
