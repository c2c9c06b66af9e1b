//! One deployment of a file: its keys, checked and brought into the form that is compared.

mod dialect;
mod fields;
mod legacy;
mod overlay;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::document::{Entry, Node, Position};
use super::draft::Draft;
use super::faults::Faults;
use super::image::{self, Asked, Build};
use super::legacy::Legacy;
use super::template::Values;
use crate::model::{Dialect, Field, Fields, Place, Reference, Step, awaits_output};

/// The keys of a deployment.
pub(super) const KEYS: &[&str] = &[
    "name",
    "flow_name",
    "entrypoint",
    "description",
    "version",
    "tags",
    "parameters",
    "schedule",
    "schedules",
    "work_pool",
    "job_variables",
    "storage",
    "infrastructure",
    "infra_overrides",
    "work_queue_name",
    "concurrency_limit",
    "enforce_parameter_schema",
    "paused",
    "triggers",
    "sla",
    "pull",
    "image",
    "code",
    "requirements",
    "depends_on",
    "environments",
];

/// Keys of `prefect.yaml` that a deployment file may hold one day, each with what to do until then.
const LATER: &[(&str, &str)] = &[
    (
        "build",
        "flowyard builds by itself; name a ready image with `image: repository:tag`",
    ),
    (
        "push",
        "flowyard uploads the code by itself; remove the key",
    ),
];

/// A deployment as declared, before its flow and its code are known.
#[derive(Debug)]
pub(super) struct Declared {
    /// Where it begins.
    pub(super) at: Position,
    /// The deployment's name.
    pub(super) name: String,
    /// The flow's name, where the file gives it.
    pub(super) flow_name: Option<String>,
    /// `path.py:function` as written, and where.
    pub(super) entrypoint: Option<(String, Position)>,
    /// Everything that needs neither flow nor code.
    pub(super) fields: Fields,
    /// Where each field stands.
    pub(super) places: BTreeMap<Field, Place>,
    /// Where each parameter stands.
    pub(super) parameters: Vec<(String, Position)>,
    /// Where each parameter of each schedule stands, by the schedule's slug.
    pub(super) schedule_parameters: BTreeMap<String, Vec<(String, Position)>>,
    /// See [`Deployment::hidden`](crate::model::Deployment::hidden).
    pub(super) hidden: BTreeMap<String, String>,
    /// Blocks and variables that its values name.
    pub(super) references: BTreeSet<Reference>,
    /// `code.include`.
    pub(super) include: Vec<(String, Position)>,
    /// `code.exclude`.
    pub(super) exclude: Vec<(String, Position)>,
    /// `depends_on`.
    pub(super) depends_on: Vec<(String, Position)>,
    /// `requirements`.
    pub(super) requirements: Option<(String, Position)>,
    /// See [`Deployment::notes`](crate::model::Deployment::notes).
    pub(super) notes: Vec<String>,
    /// What it says of its image.
    pub(super) image: Asked,
    /// The images that its file builds for it.
    pub(super) images: Vec<Build>,
    /// See [`Deployment::steps`](crate::model::Deployment::steps).
    pub(super) steps: Vec<Step>,
}

/// What holds for every deployment of a run.
pub(super) struct Setting<'a> {
    /// The name of the environment whose overlay counts.
    pub(super) environment: Option<&'a str>,
    /// The environments that the configuration knows; empty where it names none.
    pub(super) environments: &'a BTreeSet<String>,
    /// What templates can name.
    pub(super) values: &'a Values,
    /// The work pool of deployments that name none.
    pub(super) work_pool: Option<&'a str>,
    /// Likewise the queue, where the pool is the default one.
    pub(super) work_queue: Option<&'a str>,
    /// The release that deployments are read for.
    pub(super) dialect: Dialect,
    /// What stands for the blocks and queues of Prefect 2.
    pub(super) legacy: &'a Legacy,
}

/// Reads one deployment; `None` where it is no mapping at all. Faults are noted, and reading goes on.
pub(super) fn read(
    draft: Draft,
    setting: &Setting<'_>,
    faults: &mut Faults<'_>,
) -> Option<Declared> {
    let Draft {
        node,
        default_name,
        notes,
        mut images,
        steps,
    } = draft;
    for image in &mut images {
        image.resolve(setting.values, faults);
    }
    let Some(entries) = node.entries() else {
        faults.error(
            node.at,
            format!("a deployment is a mapping, not {}", node.kind()),
        );
        return None;
    };
    let at = entries.first().map_or(node.at, |entry| entry.at);
    check_keys(entries, faults);
    let mut node = overlay::lay(node, setting, faults);
    let mut references = overlay::resolve(&mut node, setting.values, faults);
    let mut notes: Vec<String> = notes
        .into_iter()
        .map(
            |note| match setting.values.resolve(&note, super::template::Place::Here) {
                // A value of the process's environment is shown nowhere.
                Some(Ok(resolved)) if resolved.variables.is_empty() => text_of(&resolved.value),
                _ => note,
            },
        )
        .collect();
    legacy::translate(&mut node, setting, &mut references, &mut notes, faults);

    dialect::check(&mut node, setting.dialect, faults);
    let fields::Read {
        fields,
        places,
        schedule_parameters,
    } = fields::read(&node, default_name.as_deref(), setting, faults);
    let hidden = overlay::hidden(&node);
    let name = name(&node, default_name.as_deref(), faults)?;
    let flow_name = faults
        .text(&node, "flow_name")
        .and_then(|(name, at)| check_name(&name, "flow", at, faults).then_some(name));
    let entrypoint = faults.text(&node, "entrypoint");
    let named = fields
        .get(&Field::JobVariables)
        .is_some_and(|variables| !variables["image"].is_null());
    let image = match image::read(&node, faults) {
        Asked::Unsaid if named => Asked::None,
        asked => asked,
    };
    if entrypoint.is_none() && node.get("entrypoint").is_none_or(Node::is_null) {
        faults
            .error(at, format!("deployment `{name}` has no `entrypoint`"))
            .hint("write `entrypoint: flow.py:my_flow`");
    }
    let code = faults.mapping(&node, "code");
    let (mut include, mut exclude) = (Vec::new(), Vec::new());
    if let Some(code) = code {
        faults.unknown_keys(
            code.entries().unwrap_or_default(),
            &["include", "exclude"],
            "`code`",
        );
        include = faults.texts(code, "include").unwrap_or_default();
        exclude = faults.texts(code, "exclude").unwrap_or_default();
    }
    Some(Declared {
        at,
        name,
        flow_name,
        entrypoint,
        parameters: node.get("parameters").map(Node::keys).unwrap_or_default(),
        schedule_parameters,
        fields,
        places,
        hidden,
        references,
        include,
        exclude,
        depends_on: faults.texts(&node, "depends_on").unwrap_or_default(),
        requirements: faults.text(&node, "requirements"),
        notes,
        image,
        images,
        steps,
    })
}

fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn check_keys(entries: &[Entry], faults: &mut Faults<'_>) {
    let later = |entry: &Entry| LATER.iter().find(|(key, _)| *key == entry.key);
    for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
        if let Some((key, hint)) = later(entry) {
            faults
                .error(entry.at, format!("`{key}` is not supported yet"))
                .hint(*hint);
        }
    }
    let now = entries.iter().filter(|entry| later(entry).is_none());
    faults.unknown_keys(now, KEYS, "a deployment");
}

fn name(node: &Node, default: Option<&str>, faults: &mut Faults<'_>) -> Option<String> {
    let (name, at) = match (faults.text(node, "name"), default) {
        (Some(named), _) => named,
        (None, Some(default)) => (default.to_owned(), node.at),
        (None, None) => {
            faults
                .error(node.at, "a deployment in a list has no `name`")
                .hint("only a file with a single deployment lends it its own name");
            return None;
        }
    };
    check_name(&name, "deployment", at, faults).then_some(name)
}

/// Prefect's servers fail on these characters in a name, some of them with a bare 500.
fn check_name(name: &str, of: &str, at: Position, faults: &mut Faults<'_>) -> bool {
    if awaits_output(&name.into()) {
        faults
            .error(at, format!("the {of}'s name is the output of a step"))
            .hint("a name has to be known before anything is run");
        return false;
    }
    if name.trim().is_empty() {
        faults.error(at, format!("the {of}'s name is empty"));
        return false;
    }
    let bad = |one: char| matches!(one, '/' | '%' | '&' | '<' | '>') || one.is_control();
    if let Some(bad) = name.chars().find(|one| bad(*one)) {
        faults
            .error(at, format!("the {of}'s name {name:?} holds {bad:?}"))
            .hint("Prefect refuses / % & < > in names, and its own commands fail on control characters");
        return false;
    }
    true
}
