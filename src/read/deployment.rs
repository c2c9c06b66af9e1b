//! One deployment of a file: its keys, checked and brought into the form that is compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::document::{Content, Entry, Node, Position};
use super::faults::{Faults, nearest, present};
use super::schedule;
use super::template::Values;
use crate::model::{Field, Fields, Place, Reference};

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
    "concurrency_limit",
    "enforce_parameter_schema",
    "paused",
    "pull",
    "image",
    "code",
    "requirements",
    "environments",
];

/// Keys of `prefect.yaml` that a deployment file may hold one day, each with what to do until then.
const LATER: &[(&str, &str)] = &[
    (
        "triggers",
        "automations are not managed yet: remove the key, and create them in Prefect",
    ),
    (
        "sla",
        "service levels are not managed yet: remove the key, and create them in Prefect",
    ),
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
    /// See [`Deployment::hidden`](crate::model::Deployment::hidden).
    pub(super) hidden: BTreeMap<String, String>,
    /// Blocks and variables that its values name.
    pub(super) references: BTreeSet<Reference>,
    /// `code.include`.
    pub(super) include: Vec<(String, Position)>,
    /// `code.exclude`.
    pub(super) exclude: Vec<(String, Position)>,
    /// `requirements`.
    pub(super) requirements: Option<(String, Position)>,
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
}

/// Reads one deployment; `None` where it is no mapping at all. Faults are noted, and reading goes on.
pub(super) fn read(
    node: &Node,
    default_name: Option<&str>,
    setting: &Setting<'_>,
    faults: &mut Faults<'_>,
) -> Option<Declared> {
    let Some(entries) = node.entries() else {
        faults.error(
            node.at,
            format!("a deployment is a mapping, not {}", node.kind()),
        );
        return None;
    };
    let at = entries.first().map_or(node.at, |entry| entry.at);
    check_keys(entries, faults);
    let mut node = overlay(node, setting, faults);
    let references = resolve_templates(&mut node, setting.values, faults);

    let mut reading = Reading {
        node: &node,
        faults,
        fields: Fields::new(),
        places: BTreeMap::new(),
    };
    reading.simple_fields();
    reading.schedules();
    reading.work_pool(setting);
    reading.concurrency();
    reading.pull();
    let Reading { fields, places, .. } = reading;

    let mut hidden = BTreeMap::new();
    for (field, key) in [
        (Field::Description, "description"),
        (Field::Version, "version"),
        (Field::Tags, "tags"),
        (Field::Parameters, "parameters"),
        (Field::JobVariables, "job_variables"),
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
    // A schedule's place in the list is not its place among the fields, so all of them are hidden.
    if let Some(schedules) = node.get("schedules").or_else(|| node.get("schedule")) {
        schedules.for_each_hidden("", &mut |_, written| {
            hidden.insert(format!("{}.*", Field::Schedules.name()), written.to_owned());
        });
    }

    let name = name(&node, default_name, faults)?;
    let flow_name = faults
        .text(&node, "flow_name")
        .and_then(|(name, at)| check_name(&name, "flow", at, faults).then_some(name));
    let entrypoint = faults.text(&node, "entrypoint");
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
        parameters: node
            .get("parameters")
            .and_then(Node::entries)
            .map(|entries| {
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.at))
                    .collect()
            })
            .unwrap_or_default(),
        fields,
        places,
        hidden,
        references,
        include,
        exclude,
        requirements: faults.text(&node, "requirements"),
    })
}

fn check_keys(entries: &[Entry], faults: &mut Faults<'_>) {
    let known: Vec<Entry> = entries
        .iter()
        .filter(
            |entry| match LATER.iter().find(|(key, _)| *key == entry.key) {
                Some((key, hint)) => {
                    if !entry.value.is_null() {
                        faults
                            .error(entry.at, format!("`{key}` is not supported yet"))
                            .hint(*hint);
                    }
                    false
                }
                None => true,
            },
        )
        .cloned()
        .collect();
    faults.unknown_keys(&known, KEYS, "a deployment");
}

/// The deployment with the environment's overlay laid on it.
fn overlay(node: &Node, setting: &Setting<'_>, faults: &mut Faults<'_>) -> Node {
    let Some(overlays) = faults.mapping(node, "environments") else {
        return node.clone();
    };
    let mut result = node.clone();
    for entry in overlays.entries().unwrap_or_default() {
        if !setting.environments.is_empty() && !setting.environments.contains(&entry.key) {
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
        check_keys(keys, faults);
        if let Some(nested) = keys.iter().find(|one| one.key == "environments") {
            faults.error(nested.at, "an overlay has no environments of its own");
            continue;
        }
        if setting.environment == Some(entry.key.as_str()) {
            result = without_schedule_alias(&result, keys).overlaid(&entry.value);
        }
    }
    result
}

/// `schedule` and `schedules` are one thing: an overlay of either replaces both.
fn without_schedule_alias(node: &Node, overlay: &[Entry]) -> Node {
    let mut node = node.clone();
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

fn resolve_templates(
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
        let on_worker = entry.key == "pull";
        entry.value.for_each_scalar(&mut |scalar| {
            let Some(text) = scalar.as_str().map(str::to_owned) else {
                return;
            };
            match values.resolve(&text, on_worker) {
                None => {}
                Some(Ok(resolved)) => {
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
    if name.trim().is_empty() {
        faults.error(at, format!("the {of}'s name is empty"));
        return false;
    }
    let bad = |one: char| matches!(one, '/' | '%' | '&' | '<' | '>') || one.is_control();
    if let Some(bad) = name.chars().find(|one| bad(*one)) {
        faults
            .error(at, format!("the {of}'s name {name:?} holds {bad:?}"))
            .hint("Prefect refuses / % & < > and control characters in names");
        return false;
    }
    true
}

/// Brings one key after the other into the form of its field.
struct Reading<'n, 'f, 'p> {
    node: &'n Node,
    faults: &'f mut Faults<'p>,
    fields: Fields,
    places: BTreeMap<Field, Place>,
}

impl Reading<'_, '_, '_> {
    fn set(&mut self, field: Field, value: Value, at: Position) {
        self.places.insert(field, self.faults.place(at));
        self.fields.insert(field, value);
    }

    fn simple_fields(&mut self) {
        for (key, field) in [
            ("description", Field::Description),
            ("version", Field::Version),
        ] {
            if let Some((text, at)) = self.faults.text(self.node, key) {
                self.set(field, text.into(), at);
            }
        }
        for (key, field) in [
            ("enforce_parameter_schema", Field::EnforceParameterSchema),
            ("paused", Field::Paused),
        ] {
            if let Some(one) = self.faults.boolean(self.node, key) {
                self.set(field, one.into(), self.node.at);
            }
        }
        if let Some(tags) = self.faults.texts(self.node, "tags") {
            let at = tags.first().map_or(self.node.at, |(_, at)| *at);
            let tags: BTreeSet<String> = tags.into_iter().map(|(tag, _)| tag).collect();
            self.set(Field::Tags, tags.into_iter().collect(), at);
        }
        if let Some(parameters) = self.faults.mapping(self.node, "parameters") {
            self.set(Field::Parameters, parameters.to_value(), parameters.at);
        }
        self.job_variables();
    }

    fn job_variables(&mut self) {
        let mut all = Map::new();
        let mut at = None;
        let pool = present(self.node, "work_pool");
        for node in [Some(self.node), pool].into_iter().flatten() {
            // A pool that is no mapping is told about where the pool is read.
            if node.entries().is_none() {
                continue;
            }
            if let Some(variables) = self.faults.mapping(node, "job_variables") {
                at = Some(variables.at);
                if let Value::Object(map) = variables.to_value() {
                    all.extend(map);
                }
            }
        }
        if let Some((image, image_at)) = self.faults.text(self.node, "image") {
            if all.contains_key("image") {
                self.faults
                    .error(image_at, "`image` stands here and in `job_variables`");
            }
            all.insert("image".to_owned(), image.into());
            at = at.or(Some(image_at));
        }
        if let Some(at) = at {
            self.set(Field::JobVariables, Value::Object(all), at);
        }
    }

    fn schedules(&mut self) {
        let (many, one) = (
            present(self.node, "schedules"),
            present(self.node, "schedule"),
        );
        let node = match (many, one) {
            (Some(many), Some(_)) => {
                self.faults
                    .error(many.at, "both `schedule` and `schedules`")
                    .hint("keep `schedules`");
                many
            }
            (Some(node), None) | (None, Some(node)) => node,
            (None, None) => return,
        };
        let schedules: Map<String, Value> = schedule::read(node, self.faults)
            .iter()
            .map(|schedule| (schedule.slug.clone(), schedule.to_value()))
            .collect();
        self.set(Field::Schedules, Value::Object(schedules), node.at);
    }

    fn work_pool(&mut self, setting: &Setting<'_>) {
        let default = setting
            .work_pool
            .map(|pool| (pool.to_owned(), self.node.at));
        let Some(node) = present(self.node, "work_pool") else {
            if let Some((pool, at)) = default {
                self.set(Field::WorkPool, pool.into(), at);
                if let Some(queue) = setting.work_queue {
                    self.set(Field::WorkQueue, queue.into(), at);
                }
            }
            return;
        };
        if let Some(name) = node.as_str() {
            let name = name.to_owned();
            self.set(Field::WorkPool, name.into(), node.at);
            return;
        }
        let Some(entries) = node.entries() else {
            let message = format!(
                "`work_pool` is a mapping with a `name`, not {}",
                node.kind()
            );
            self.faults.error(node.at, message);
            return;
        };
        self.faults.unknown_keys(
            entries,
            &["name", "work_queue_name", "job_variables"],
            "`work_pool`",
        );
        match self.faults.text(node, "name").or(default) {
            Some((name, at)) => self.set(Field::WorkPool, name.into(), at),
            None => {
                self.faults.error(node.at, "`work_pool` has no `name`");
            }
        }
        if let Some((queue, at)) = self.faults.text(node, "work_queue_name") {
            self.set(Field::WorkQueue, queue.into(), at);
        }
    }

    fn concurrency(&mut self) {
        let Some(node) = present(self.node, "concurrency_limit") else {
            return;
        };
        let Some(entries) = node.entries() else {
            if let Some(limit) = self
                .faults
                .integer(self.node, "concurrency_limit", 1..=u64::MAX)
            {
                self.set(Field::ConcurrencyLimit, limit.into(), node.at);
            }
            return;
        };
        self.faults.unknown_keys(
            entries,
            &["limit", "collision_strategy"],
            "`concurrency_limit`",
        );
        match self.faults.integer(node, "limit", 1..=u64::MAX) {
            Some(limit) => self.set(Field::ConcurrencyLimit, limit.into(), node.at),
            None if present(node, "limit").is_none() => {
                self.faults
                    .error(node.at, "`concurrency_limit` has no `limit`");
            }
            None => {}
        }
        if let Some((strategy, at)) = self.faults.text(node, "collision_strategy") {
            if matches!(strategy.as_str(), "ENQUEUE" | "CANCEL_NEW") {
                self.set(Field::CollisionStrategy, strategy.into(), at);
            } else {
                self.faults
                    .error(at, format!("unknown collision strategy `{strategy}`"))
                    .hint("ENQUEUE or CANCEL_NEW");
            }
        }
    }

    fn pull(&mut self) {
        let Some(node) = present(self.node, "pull") else {
            return;
        };
        let Content::List(steps) = &node.content else {
            self.faults.error(
                node.at,
                format!("`pull` is a list of steps, not {}", node.kind()),
            );
            return;
        };
        let mut values = Vec::with_capacity(steps.len());
        for step in steps {
            match step.entries() {
                Some([only]) if only.value.entries().is_some() => values.push(step.to_value()),
                Some([only]) if only.value.is_null() => values.push(json!({ &only.key: {} })),
                _ => {
                    self.faults
                        .error(step.at, "a pull step is a mapping of one step to its inputs")
                        .hint("- prefect.deployments.steps.set_working_directory: {directory: /srv/flows}");
                }
            }
        }
        self.set(Field::PullSteps, Value::Array(values), node.at);
    }
}
