//! A registered deployment as the draft that every format is brought to.

use std::rc::Rc;

use super::image::Docker;
use super::node::Nodes;
use super::registration::{Call, Registration};
use super::{schedule, source};
use crate::model::{RepoPath, nearest};
use crate::read::document::{Content, Entry, Node, Position};
use crate::read::draft::Draft;
use crate::read::image::Defaults;
use crate::read::python::program::{At, Kind, Value};

/// Arguments whose key in a deployment file has their name.
const SAME: &[&str] = &[
    "name",
    "version",
    "description",
    "tags",
    "parameters",
    "enforce_parameter_schema",
    "paused",
    "concurrency_limit",
    "triggers",
    "job_variables",
    "infra_overrides",
    "flow_name",
];

/// Arguments that say how Prefect's client works, and nothing of the deployment.
const NOTHING: &[&str] = &[
    "_call",
    "apply",
    "output",
    "skip_upload",
    "ignore_file",
    "load_existing",
    "upload",
    "ignore_warnings",
    "print_next_steps",
    "print_starting_message",
    "print_next_steps_message",
    "pause_on_shutdown",
    "limit",
    "webserver",
    "global_limit",
    "entrypoint_type",
    "timestamp",
    "manifest_path",
    "parameter_openapi_schema",
    "validate",
    "work_pool",
    "version_type",
    "ignore_none",
];

/// The arguments that are read one by one.
const READ: &[&str] = &[
    "flow",
    "entrypoint",
    "storage",
    "infrastructure",
    "path",
    "work_pool_name",
    "work_queue_name",
    "image",
    "build",
    "push",
    "is_schedule_active",
    "_sla",
    "**",
];

/// Collects the entries of one draft.
struct Drafting<'n, 'm, 'a, 'f, 'p> {
    nodes: &'n mut Nodes<'m, 'a, 'f, 'p>,
    registration: &'n Registration,
    project: &'n RepoPath,
    images: &'n Defaults,
    entries: Vec<Entry>,
    notes: Vec<String>,
}

/// The draft of a registration; `None` where not even its flow and name are known.
pub(super) fn of(
    registration: &Registration,
    project: &RepoPath,
    images: &Defaults,
    nodes: &mut Nodes<'_, '_, '_, '_>,
) -> Option<Draft> {
    let used = registration.at;
    let at = nodes.position(used, used);
    if let Some(doubt) = &registration.doubt {
        let doubt = Rc::clone(doubt);
        nodes.unknown("whether this deployment is made", &doubt, used);
        return None;
    }
    let mut drafting = Drafting {
        nodes,
        registration,
        project,
        images,
        entries: Vec::new(),
        notes: Vec::new(),
    };
    drafting.unpacked();
    let found = drafting.entrypoint(at);
    drafting.plain();
    drafting.pool();
    drafting.legacy();
    drafting.image();
    if let Some(schedules) = schedule::of(&registration.fields, used, drafting.nodes) {
        drafting.put("schedules", schedules.at, schedules);
    }
    drafting.unknown_arguments();
    let named = drafting.entries.iter().any(|entry| entry.key == "name");
    if !found || !named {
        if found && registration.fields.get("name").is_none_or(Value::is_none) {
            let call = drafting.call();
            drafting.nodes.fault(
                at,
                format!("{call}() gives the deployment no name"),
                "write name=\"…\"",
            );
        }
        return None;
    }
    let Drafting { entries, notes, .. } = drafting;
    let node = Node {
        at,
        content: Content::Map(entries),
        hidden: None,
        written: None,
    };
    Some(Draft {
        notes,
        ..Draft::of(node, None)
    })
}

impl Drafting<'_, '_, '_, '_, '_> {
    /// An argument that is given and not `None`.
    fn get(&self, name: &str) -> Option<Value> {
        let value = self.registration.fields.get(name)?;
        (!value.is_none()).then(|| self.nodes.machine().settled(value))
    }

    fn call(&self) -> String {
        let call = self
            .registration
            .fields
            .get("_call")
            .and_then(Value::as_text);
        call.unwrap_or("deploy").to_owned()
    }

    fn put(&mut self, key: &str, at: Position, value: Node) {
        self.entries.retain(|entry| entry.key != key);
        self.entries.push(Entry {
            key: key.to_owned(),
            at,
            value,
        });
    }

    fn used(&self) -> At {
        self.registration.at
    }

    /// An argument as a node.
    fn node(&mut self, name: &str) -> Option<Node> {
        let value = self.get(name)?;
        let used = self.used();
        self.nodes.node(&value, used, &format!("`{name}`"))
    }

    fn unpacked(&mut self) {
        if let Some(Value {
            kind: Kind::Unknown(unknown),
            ..
        }) = self.get("**")
        {
            let used = self.used();
            self.nodes
                .unknown("what is unpacked into the arguments", &unknown, used);
        }
    }

    /// Sets the entrypoint, and the flow's name where it is not the one that is in the flow's file.
    fn entrypoint(&mut self, at: Position) -> bool {
        let used = self.used();
        let Some(source) = source::of(self.registration, self.project, at, self.nodes) else {
            return false;
        };
        self.put("entrypoint", at, Node::scalar(at, source.entrypoint.into()));
        if let Some(name) = source.flow_name
            && let Some(node) = self.nodes.node(&name, used, "the flow's name")
        {
            self.put("flow_name", at, node);
        }
        if let Some(pull) = source.pull {
            self.put("pull", at, pull);
        }
        true
    }

    fn plain(&mut self) {
        for name in SAME {
            if let Some(node) = self.node(name) {
                self.put(name, node.at, node);
            }
        }
        // What `with_options` says of the flow, where the call says nothing.
        for (name, own) in [("description", "_description"), ("version", "_version")] {
            let flow = self.get("flow").filter(|_| self.get(name).is_none());
            let own = flow.and_then(|flow| self.nodes.machine().field(&flow, own));
            let used = self.used();
            if let Some(value) = own
                && let Some(node) = self
                    .nodes
                    .node(&value, used, &format!("the flow's `{name}`"))
            {
                self.put(name, node.at, node);
            }
        }
        if let Some(node) = self.node("_sla") {
            self.put("sla", node.at, node);
        }
        // Prefect 2 knows a deployment's pause as its schedule's.
        if let Some(node) = self.node("is_schedule_active")
            && let Content::Scalar(serde_json::Value::Bool(active)) = node.content
            && self.get("paused").is_none()
        {
            self.put("paused", node.at, Node::scalar(node.at, (!active).into()));
        }
    }

    fn pool(&mut self) {
        let pool = self.node("work_pool_name");
        let queue = self.node("work_queue_name");
        match pool {
            Some(pool) => {
                let pool_at = pool.at;
                let mut inside = vec![Entry {
                    key: "name".to_owned(),
                    at: pool_at,
                    value: pool,
                }];
                if let Some(queue) = queue {
                    inside.push(Entry {
                        key: "work_queue_name".to_owned(),
                        at: queue.at,
                        value: queue,
                    });
                }
                let node = Node {
                    at: pool_at,
                    content: Content::Map(inside),
                    hidden: None,
                    written: None,
                };
                self.put("work_pool", pool_at, node);
            }
            None => {
                if let Some(queue) = queue {
                    self.put("work_queue_name", queue.at, queue);
                }
            }
        }
        if self.call() == Call::Serve.name() {
            self.notes.push(
                "serve() runs flows in a process of its own: here the deployment is registered for a work pool"
                    .to_owned(),
            );
        }
    }

    /// What only Prefect 2 has: storage and infrastructure by the names of their blocks, and `path`.
    fn legacy(&mut self) {
        for name in ["storage", "infrastructure"] {
            let Some(value) = self.get(name) else {
                continue;
            };
            if self.call() == Call::FromStorage.name() && name == "storage" {
                continue;
            }
            let at = self.nodes.position(value.at, self.used());
            let machine = self.nodes.machine();
            match (
                machine.record_kind(&value),
                machine.field(&value, "_slug"),
                machine.field(&value, "_name"),
            ) {
                (Some("block"), Some(slug), Some(block)) => {
                    let used = self.used();
                    if let Some(node) =
                        self.nodes
                            .node(&block, used, &format!("the name of `{name}`'s block"))
                        && let Some(block) = node.as_str()
                    {
                        let text = format!("{}/{block}", slug.as_text().unwrap_or_default());
                        self.put(name, at, Node::scalar(at, text.into()));
                    }
                }
                (Some("block"), ..) => {
                    let message = format!("`{name}` is made in the file, and kept under no name");
                    self.nodes.fault(
                        at,
                        message,
                        "save the block once, and name it here: KubernetesJob.load(\"NAME\")",
                    );
                }
                _ if value.as_text().is_some() => {
                    if let Some(node) = self.node(name) {
                        self.put(name, at, node);
                    }
                }
                _ => {
                    let used = self.used();
                    match &value.kind {
                        Kind::Unknown(unknown) => {
                            self.nodes.unknown(&format!("`{name}`"), unknown, used);
                        }
                        _ => self.nodes.fault(
                            at,
                            format!("`{name}` is no block"),
                            "name a block: Azure.load(\"NAME\")",
                        ),
                    }
                }
            }
        }
        if self.get("path").is_some() {
            self.notes
                .push("`path` yields to the folder of the release".to_owned());
        }
    }

    fn image(&mut self) {
        let Some(value) = self.get("image") else {
            return;
        };
        let Some(docker) = Docker::of(&value, self.used(), self.nodes) else {
            return;
        };
        let builds = !matches!(
            self.get("build").map(|build| build.kind),
            Some(Kind::Bool(false))
        );
        let node = if builds && self.call() == Call::Deploy.name() {
            let machine = self.nodes.machine();
            docker.asked(self.project, self.images, &|path| machine.file_at(path))
        } else {
            docker.named()
        };
        self.put("image", node.at, node);
    }

    fn unknown_arguments(&mut self) {
        let known: Vec<&str> = [SAME, NOTHING, READ, schedule::ARGUMENTS].concat();
        let fields = self.registration.fields.0.iter();
        let strange: Vec<(String, At)> = fields
            .filter(|(name, _)| !known.contains(&&**name))
            .map(|(name, value)| (name.to_string(), value.at))
            .collect();
        for (name, value_at) in strange {
            let position = self.nodes.position(value_at, self.used());
            let message = format!("{}() has no argument `{name}`", self.call());
            let near = nearest(
                &name,
                known
                    .iter()
                    .copied()
                    .filter(|name| !name.starts_with(['_', '*'])),
            );
            let hint = near.map_or("remove it".to_owned(), |near| {
                format!("did you mean `{near}`?")
            });
            self.nodes.fault(position, message, &hint);
        }
    }
}
