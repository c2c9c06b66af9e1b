//! The environment's overlay and the templates: what a deployment says once both are applied.

use std::collections::{BTreeMap, BTreeSet};

use super::Setting;
use crate::model::{Field, Reference, check_declared, environment, nearest};
use crate::read::document::{Content, Entry, Node};
use crate::read::faults::Faults;
use crate::read::template::{Place, Values};

/// The deployment with the environment's overlay laid on it.
pub(super) fn lay(node: Node, setting: &Setting<'_>, faults: &mut Faults<'_>) -> Node {
    let Some(overlays) = faults.mapping(&node, "environments").cloned() else {
        return node;
    };
    let mut result = node;
    let entries = overlays.entries().unwrap_or_default();
    let meant = meant(entries, setting, faults);
    for entry in entries {
        if let Err(why) = check_declared(&entry.key) {
            faults.error(entry.at, format!("`{}` is no glob: {why}", entry.key));
            continue;
        }
        if !is_known(&entry.key, setting) {
            let known = setting.environments.iter().map(String::as_str);
            let hint = match nearest(&entry.key, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it to flowyard.toml under `[environments]`".to_owned(),
            };
            faults
                .error(entry.at, format!("unknown environment `{}`", entry.key))
                .hint(hint);
            continue;
        }
        let Some(keys) = entry.value.entries() else {
            if !entry.value.is_null() {
                let message = format!(
                    "an environment's overlay is a mapping, not {}",
                    entry.value.kind()
                );
                faults.error(entry.value.at, message);
            }
            continue;
        };
        super::check_keys(keys, faults);
        if let Some(nested) = keys.iter().find(|one| one.key == "environments") {
            faults.error(nested.at, "an overlay has no environments of its own");
            continue;
        }
        if meant == Some(entry.key.as_str()) {
            result = without_schedule_alias(result, keys).overlaid(&entry.value);
        }
    }
    result
}

/// The key of the overlay that counts: the environment's own, else the glob that matches it.
fn meant<'n>(
    entries: &'n [Entry],
    setting: &Setting<'_>,
    faults: &mut Faults<'_>,
) -> Option<&'n str> {
    let name = setting.environment?;
    match environment(name, entries.iter().map(|entry| entry.key.as_str())) {
        Ok(meant) => meant,
        Err(several) => {
            let last = entries.iter().rfind(|one| several.globs.contains(&one.key));
            let at = last.map_or_else(Default::default, |entry| entry.at);
            faults
                .error(at, format!("{several} both match the environment `{name}`"))
                .hint("add one of just that name, or part the globs");
            None
        }
    }
}

/// Whether the configuration declares an environment: as it is written, or by a glob that matches it.
fn is_known(name: &str, setting: &Setting<'_>) -> bool {
    let declared = || setting.environments.iter().map(String::as_str);
    setting.environments.is_empty() || !matches!(environment(name, declared()), Ok(None))
}

/// `schedule` and `schedules` are one thing: an overlay of either replaces both.
fn without_schedule_alias(mut node: Node, overlay: &[Entry]) -> Node {
    let both = ["schedule", "schedules"];
    if let Content::Map(entries) = &mut node.content
        && overlay
            .iter()
            .any(|entry| both.contains(&entry.key.as_str()))
    {
        entries.retain(|entry| !both.contains(&entry.key.as_str()));
    }
    node
}

/// Resolves the templates of every value; gives what of the orchestrator they name.
pub(super) fn resolve(
    node: &mut Node,
    values: &Values,
    faults: &mut Faults<'_>,
) -> BTreeSet<Reference> {
    let mut references = BTreeSet::new();
    let Content::Map(entries) = &mut node.content else {
        return references;
    };
    for entry in entries
        .iter_mut()
        .filter(|entry| entry.key != "environments")
    {
        let place = match entry.key.as_str() {
            "pull" => Place::Worker,
            "triggers" => Place::Event,
            _ => Place::Here,
        };
        entry.value.for_each_scalar(&mut |scalar| {
            let Some(text) = scalar.as_str() else {
                return;
            };
            match values.resolve(text, place) {
                None => {}
                Some(Ok(resolved)) => {
                    let text = text.to_owned();
                    references.extend(resolved.references);
                    for (variable, value) in &resolved.variables {
                        faults.secrets.note(variable, value);
                    }
                    scalar.content = Content::Scalar(resolved.value);
                    scalar.hidden = (!resolved.variables.is_empty()).then_some(text);
                }
                Some(Err(fault)) => {
                    let noted = faults.error(scalar.at, fault.message);
                    if let Some(hint) = fault.hint {
                        noted.hint(hint);
                    }
                }
            }
        });
    }
    references
}

/// The dotted paths of the values that came from the process's environment, with the text as written.
pub(super) fn hidden(node: &Node) -> BTreeMap<String, String> {
    let mut hidden = BTreeMap::new();
    if !node.holds_hidden() {
        return hidden;
    }
    for (field, key) in [
        (Field::Description, "description"),
        (Field::Version, "version"),
        (Field::Tags, "tags"),
        (Field::Parameters, "parameters"),
        (Field::JobVariables, "job_variables"),
        (Field::Storage, "storage"),
        (Field::Infrastructure, "infrastructure"),
    ] {
        let mut note = |path: &str, written: &str| {
            hidden.insert(path.to_owned(), written.to_owned());
        };
        if let Some(value) = node.get(key) {
            value.for_each_hidden(field.name(), &mut note);
        }
        if let (Field::JobVariables, Some(value)) = (
            field,
            node.get("work_pool")
                .and_then(|pool| pool.get("job_variables")),
        ) {
            value.for_each_hidden(field.name(), &mut note);
        }
    }
    if let Some(written) = node.get("image").and_then(|image| image.hidden.clone()) {
        hidden.insert("job_variables.image".to_owned(), written);
    }
    // Nor is a trigger's.
    for (field, key) in [(Field::Triggers, "triggers"), (Field::Slas, "sla")] {
        if let Some(list) = node.get(key) {
            list.for_each_hidden("", &mut |_, written| {
                hidden.insert(format!("{}.*", field.name()), written.to_owned());
            });
        }
    }
    // A schedule's place in the list is not its place among the fields, so all of them are hidden.
    if let Some(schedules) = node.get("schedules").or_else(|| node.get("schedule")) {
        schedules.for_each_hidden("", &mut |_, written| {
            hidden.insert(format!("{}.*", Field::Schedules.name()), written.to_owned());
        });
    }
    hidden
}
