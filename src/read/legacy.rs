//! `[legacy]` of `flowyard.toml`: what a Prefect 3 server has in place of the infrastructure blocks and the queues that
//! deployments of Prefect 2 name.

use std::collections::BTreeMap;

use super::configuration::FILE;
use super::document::{Node, Position};
use super::faults::{Faults, present};
use crate::model::{self, Diagnostic, RepoPath};

/// Keys of an entry of `[legacy.infrastructure]`.
const INFRASTRUCTURE: &[&str] = &["work-pool", "work-queue", "job-variables", "drop-overrides"];

/// Keys of an entry of `[legacy.queues]`.
const QUEUE: &[&str] = &["work-pool", "work-queue"];

/// The section, with the environment's overlay laid on it.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    infrastructure: BTreeMap<String, Option<Infrastructure>>,
    queues: BTreeMap<String, Option<Queue>>,
    diagnostics: Vec<Diagnostic>,
}

/// What stands for an infrastructure block.
#[derive(Debug)]
pub(super) struct Infrastructure {
    /// Where its entry is in `flowyard.toml`.
    pub(super) at: Position,
    /// The pool's name.
    pub(super) work_pool: Node,
    /// The queue of deployments that name none.
    pub(super) work_queue: Option<Node>,
    /// Variables of every deployment that named the block, below those of its own overrides.
    pub(super) job_variables: Option<Node>,
    /// The overrides that are left out, because the pool itself says what they said: `customizations`.
    pub(super) drop_overrides: Vec<String>,
}

/// What stands for a queue; one of the two at least.
#[derive(Debug)]
pub(super) struct Queue {
    /// The pool that it is in; `None` for that of the infrastructure.
    pub(super) work_pool: Option<Node>,
    /// Its name there; `None` for the same.
    pub(super) work_queue: Option<Node>,
}

/// What the section says of a name.
#[derive(Debug)]
pub(super) enum Known<'a, T> {
    /// What stands for it.
    As(&'a T),
    /// An entry that is told about already.
    Faulty,
    /// Nothing.
    Not,
}

impl Legacy {
    /// The section of a `flowyard.toml`; empty where there is none.
    pub(super) fn of(document: Option<&Node>, environment: Option<&str>) -> Self {
        let Some(document) = document else {
            return Self::default();
        };
        let path = RepoPath::new(FILE);
        let mut faults = Faults::of(&path);
        let legacy = Self::read(document, environment, &mut faults);
        Self {
            diagnostics: faults.into_parts().0,
            ..legacy
        }
    }

    fn read(document: &Node, environment: Option<&str>, faults: &mut Faults<'_>) -> Self {
        let mut section = Node::scalar(document.at, serde_json::Value::Null);
        if let Some(own) = document.get("legacy") {
            check(own, faults);
            section = own.clone();
        }
        let overlays = document.get("environments").and_then(Node::entries);
        let overlays = overlays.unwrap_or_default();
        // Of several that match, the configuration has told already.
        let declared = || overlays.iter().map(|overlay| overlay.key.as_str());
        let meant = environment.and_then(|name| model::environment(name, declared()).ok()?);
        for overlay in overlays {
            if let Some(over) = overlay.value.get("legacy") {
                check(over, faults);
                if meant == Some(overlay.key.as_str()) {
                    section = section.overlaid(over);
                }
            }
        }
        let mut legacy = Self::default();
        for (name, entry, at) in entries(&section, "infrastructure") {
            let work_pool = text(entry, "work-pool");
            if entry.entries().is_some() && entry.get("work-pool").is_none() {
                faults
                    .error(
                        at,
                        format!("`{name}` of `[legacy.infrastructure]` has no `work-pool`"),
                    )
                    .hint("name the work pool that stands for the block: work-pool = \"…\"");
            }
            let read = |work_pool| Infrastructure {
                at,
                work_pool,
                work_queue: text(entry, "work-queue"),
                job_variables: present(entry, "job-variables").cloned(),
                drop_overrides: texts(entry, "drop-overrides"),
            };
            let sound = work_pool.filter(|_| is_sound(entry)).map(read);
            legacy.infrastructure.insert(name.to_owned(), sound);
        }
        for (name, entry, at) in entries(&section, "queues") {
            let queue = Queue {
                work_pool: text(entry, "work-pool"),
                work_queue: text(entry, "work-queue"),
            };
            let says = queue.work_pool.is_some() || queue.work_queue.is_some();
            if !says && entry.entries().is_some_and(<[_]>::is_empty) {
                faults
                    .error(
                        at,
                        format!("`{name}` of `[legacy.queues]` says nothing of the queue"),
                    )
                    .hint("name the pool that it is in: { work-pool = \"…\" }");
            }
            let sound = (says && is_sound(entry)).then_some(queue);
            legacy.queues.insert(name.to_owned(), sound);
        }
        legacy
    }

    /// What is wrong with it.
    pub(super) fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// What stands for an infrastructure block, by `TYPE/NAME`.
    pub(super) fn infrastructure(&self, block: &str) -> Known<'_, Infrastructure> {
        known(&self.infrastructure, block)
    }

    /// The blocks that have an entry.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &str> {
        self.infrastructure.keys().map(String::as_str)
    }

    /// What stands for a queue of an agent.
    pub(super) fn queue(&self, name: &str) -> Known<'_, Queue> {
        known(&self.queues, name)
    }

    /// The queues that have an entry.
    pub(super) fn queues(&self) -> impl Iterator<Item = &str> {
        self.queues.keys().map(String::as_str)
    }
}

fn known<'a, T>(all: &'a BTreeMap<String, Option<T>>, name: &str) -> Known<'a, T> {
    match all.get(name) {
        Some(Some(one)) => Known::As(one),
        Some(None) => Known::Faulty,
        None => Known::Not,
    }
}

/// The entries of a part of the section, each with its name and its place.
fn entries<'n>(
    section: &'n Node,
    part: &str,
) -> impl Iterator<Item = (&'n str, &'n Node, Position)> {
    let entries = section.get(part).and_then(Node::entries);
    let entries = entries.unwrap_or_default().iter();
    entries.map(|entry| (entry.key.as_str(), &entry.value, entry.at))
}

fn text(node: &Node, key: &str) -> Option<Node> {
    let text = node.get(key)?;
    let named = text.as_str().is_some_and(|text| !text.is_empty());
    named.then(|| text.clone())
}

fn texts(node: &Node, key: &str) -> Vec<String> {
    match node.get(key).map(Node::to_value) {
        Some(serde_json::Value::Array(items)) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Some(serde_json::Value::String(one)) => vec![one],
        _ => Vec::new(),
    }
}

/// Whether the values of an entry are of the kinds that they have to be; what is not was told by [`check`].
fn is_sound(entry: &Node) -> bool {
    let text = |key| {
        entry.get(key).is_none_or(|value| {
            let text = value.as_str();
            text.is_some_and(|text| !text.is_empty())
        })
    };
    let variables = entry.get("job-variables");
    text("work-pool")
        && text("work-queue")
        && variables.is_none_or(|variables| variables.entries().is_some())
}

/// Tells what is wrong with the section or an overlay of it, each by itself: an overlay need not be whole.
fn check(section: &Node, faults: &mut Faults<'_>) {
    let Some(parts) = section.entries() else {
        let message = format!("`legacy` is a table, not {}", section.kind());
        faults.error(section.at, message);
        return;
    };
    faults.unknown_keys(parts, &["infrastructure", "queues"], "`[legacy]`");
    for (part, keys) in [("infrastructure", INFRASTRUCTURE), ("queues", QUEUE)] {
        if faults.mapping(section, part).is_none() {
            continue;
        }
        for (name, entry, at) in entries(section, part) {
            if part == "infrastructure" && block(name).is_none() {
                faults
                    .error(at, format!("`{name}` names no block"))
                    .hint("write its type and its name: \"kubernetes-job/prod\"");
            }
            let Some(given) = entry.entries() else {
                let message = format!(
                    "`{name}` of `[legacy.{part}]` is a table, not {}",
                    entry.kind()
                );
                faults
                    .error(entry.at, message)
                    .hint("{ work-pool = \"…\" }");
                continue;
            };
            faults.unknown_keys(given, keys, &format!("an entry of `[legacy.{part}]`"));
            for key in ["work-pool", "work-queue"] {
                let Some(value) = entry.get(key) else {
                    continue;
                };
                match value.as_str() {
                    Some("") => {
                        faults.error(value.at, format!("`{key}` is empty"));
                    }
                    Some(_) => {}
                    None => {
                        let message = format!("`{key}` is text, not {}", value.kind());
                        faults.error(value.at, message);
                    }
                }
            }
            faults.mapping(entry, "job-variables");
            faults.texts(entry, "drop-overrides");
        }
    }
}

/// The two halves of `TYPE/NAME`.
pub(super) fn block(text: &str) -> Option<(&str, &str)> {
    let (kind, name) = text.split_once('/')?;
    let whole = !kind.is_empty() && !name.is_empty() && !name.contains('/');
    whole.then_some((kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::configuration;

    fn read(text: &str, environment: Option<&str>) -> (Legacy, Vec<String>) {
        let legacy = Legacy::of(configuration::parse(text).as_ref(), environment);
        let lines = legacy.diagnostics.iter().map(|fault| {
            let hint = fault.hint.as_ref();
            let hint = hint.map_or(String::new(), |hint| format!(" ({hint})"));
            format!("{}: {}{hint}", fault.place, fault.message)
        });
        let lines = lines.collect();
        (legacy, lines)
    }

    const TEXT: &str = "[legacy.infrastructure.'kubernetes-job/prod']\nwork-pool = 'aks'\n\
        job-variables = { namespace = 'flows', env = { A = '1' } }\n\
        [legacy.queues]\nold = { work-pool = 'aks', work-queue = 'fast' }\n\
        [environments.prod.legacy]\ninfrastructure.'kubernetes-job/prod' = { work-pool = 'aks-prod', drop-overrides = ['job'] }\n\
        queues.old.work-queue = 'faster'\n";

    #[test]
    fn an_overlay_is_laid_on_entry_by_entry() {
        for (environment, pool, queue, dropped) in [
            (None, "aks", "fast", 0),
            (Some("prod"), "aks-prod", "faster", 1),
        ] {
            let (legacy, faults) = read(TEXT, environment);
            assert_eq!(faults, [""; 0]);
            let Known::As(block) = legacy.infrastructure("kubernetes-job/prod") else {
                panic!("the block is known");
            };
            assert_eq!(block.work_pool.as_str(), Some(pool));
            assert_eq!(block.drop_overrides.len(), dropped);
            let variables = block.job_variables.as_ref().expect("given").to_value();
            assert_eq!(variables["namespace"], "flows");
            let Known::As(old) = legacy.queue("old") else {
                panic!("the queue is known");
            };
            assert_eq!(old.work_queue.as_ref().and_then(Node::as_str), Some(queue));
            assert!(matches!(legacy.queue("other"), Known::Not));
        }
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let (legacy, faults) = read(
            "[legacy.infrastructre]\n[legacy.infrastructure]\nprod = { work-pool = 'a' }\n\
             'process/x' = { work-pol = 'a' }\n'process/y' = 'a'\n\
             'process/z' = { work-pool = '', job-variables = 1, drop-overrides = 2 }\n\
             [legacy.queues]\na = {}\nb = { work-queue = 1 }\n\
             [environments.prod.legacy]\nqueue = 1\n",
            None,
        );
        assert_eq!(
            faults,
            [
                "flowyard.toml:1:9: unknown key `infrastructre` in `[legacy]` (did you mean `infrastructure`?)",
                "flowyard.toml:3:1: `prod` names no block (write its type and its name: \"kubernetes-job/prod\")",
                "flowyard.toml:4:17: unknown key `work-pol` in an entry of `[legacy.infrastructure]` (did you mean `work-pool`?)",
                "flowyard.toml:5:15: `process/y` of `[legacy.infrastructure]` is a table, not text ({ work-pool = \"…\" })",
                "flowyard.toml:6:29: `work-pool` is empty",
                "flowyard.toml:6:49: `job-variables` is a mapping, not a number",
                "flowyard.toml:6:69: `drop-overrides` is a list of texts, not a number",
                "flowyard.toml:9:20: `work-queue` is text, not a number",
                "flowyard.toml:11:1: unknown key `queue` in `[legacy]` (did you mean `queues`?)",
                "flowyard.toml:4:1: `process/x` of `[legacy.infrastructure]` has no `work-pool` (name the work pool that stands for the block: work-pool = \"…\")",
                "flowyard.toml:8:1: `a` of `[legacy.queues]` says nothing of the queue (name the pool that it is in: { work-pool = \"…\" })",
            ]
        );
        for name in ["process/x", "process/y", "process/z"] {
            assert!(
                matches!(legacy.infrastructure(name), Known::Faulty),
                "{name}"
            );
        }
        assert!(matches!(legacy.queue("b"), Known::Faulty));
    }
}
