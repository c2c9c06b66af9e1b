//! What only Prefect 2 has: storage and infrastructure by the names of their blocks, queues of agents, and overrides of
//! an infrastructure block. Prefect 2 gets them as they are; for Prefect 3 `[legacy]` of `flowyard.toml` says what stands
//! for them, and what nothing stands for is a fault.

mod overrides;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Setting, overlay};
use crate::model::{Dialect, Reference, nearest};
use crate::read::configuration::FILE;
use crate::read::document::{Content, Entry, Node, Position};
use crate::read::faults::{Faults, present};
use crate::read::legacy::{Infrastructure, Known, block};

/// The keys of a deployment that Prefect 3 does not have.
const KEYS: &[&str] = &[
    "storage",
    "infrastructure",
    "infra_overrides",
    "work_queue_name",
];

/// A name as written, to be looked up and shown.
struct Name {
    text: String,
    /// The template, where a value of the process's environment is in it.
    shown: String,
    at: Position,
}

/// Brings a deployment into the form of the release that it is read for, after its templates are resolved.
pub(super) fn translate(
    node: &mut Node,
    setting: &Setting<'_>,
    references: &mut BTreeSet<Reference>,
    notes: &mut Vec<String>,
    faults: &mut Faults<'_>,
) {
    if KEYS.iter().all(|key| present(node, key).is_none()) {
        return;
    }
    let mut translation = Translation {
        setting,
        references,
        notes,
        faults,
    };
    translation.exclusive(node);
    match setting.dialect {
        Dialect::Prefect2 => translation.as_it_is(node),
        Dialect::Prefect3 => {
            let parts = translation.pool_and_variables(node);
            remove(node, KEYS);
            lay_below(node, parts);
        }
    }
}

struct Translation<'t, 's, 'f, 'p> {
    setting: &'t Setting<'s>,
    references: &'t mut BTreeSet<Reference>,
    notes: &'t mut Vec<String>,
    faults: &'f mut Faults<'p>,
}

impl Translation<'_, '_, '_, '_> {
    /// A work pool takes the place of an agent's queue and of an infrastructure block; Prefect has no use for both.
    fn exclusive(&mut self, node: &mut Node) {
        if present(node, "work_pool").is_none() {
            return;
        }
        for (key, hint) in [
            (
                "infrastructure",
                "keep `work_pool`, whose workers know where runs run",
            ),
            ("work_queue_name", "write it inside of `work_pool`"),
        ] {
            if let Some(value) = present(node, key) {
                self.faults
                    .error(value.at, format!("both `{key}` and `work_pool`"))
                    .hint(hint);
                remove(node, &[key]);
            }
        }
    }

    /// For Prefect 2: overrides are its job variables by another name, dots and all.
    fn as_it_is(&mut self, node: &mut Node) {
        for key in ["storage", "infrastructure"] {
            match self.block(node, key) {
                Some((kind, name, _)) => {
                    self.references.insert(Reference::Block { kind, name });
                }
                None => remove(node, &[key]),
            }
        }
        let overrides = self
            .faults
            .mapping(node, "infra_overrides")
            .map(|map| entry("job_variables", map.clone()));
        if let Some(overrides) = overrides {
            self.same_key_twice(node, &overrides.value);
            lay_below(node, vec![overrides]);
        }
        remove(node, &["infra_overrides"]);
    }

    /// For Prefect 3: the work pool and the job variables that stand for what the deployment says.
    fn pool_and_variables(&mut self, node: &Node) -> Vec<Entry> {
        if let Some((_, _, storage)) = self.block(node, "storage") {
            self.notes.push(format!(
                "storage `{}` yields to the release: the code is in flowyard's own storage",
                storage.shown
            ));
        }
        let block = self.block(node, "infrastructure");
        let legacy = self.setting.legacy;
        let infrastructure = match &block {
            None => None,
            Some((_, _, name)) => match legacy.infrastructure(&name.text) {
                Known::As(one) => Some((name, one)),
                Known::Faulty => {
                    let message = format!(
                        "the entry of infrastructure `{}` in {FILE} is faulty",
                        name.shown
                    );
                    self.faults.error(name.at, message);
                    None
                }
                Known::Not => {
                    self.no_infrastructure(name);
                    None
                }
            },
        };
        let queue = self.name(node, "work_queue_name");
        let pool = self.pool(infrastructure, block.is_some(), queue.as_ref());
        let variables = self.variables(node, block.as_ref(), infrastructure, pool.is_some());
        let mut parts = Vec::new();
        parts.extend(pool.map(|pool| entry("work_pool", pool)));
        parts.extend(variables.map(|variables| entry("job_variables", variables)));
        parts
    }

    fn no_infrastructure(&mut self, name: &Name) {
        let pool = self.setting.work_pool.unwrap_or("NAME");
        let message = format!(
            "infrastructure `{}` is of Prefect 2, and nothing says which work pool stands for it",
            name.shown
        );
        let hint = match nearest(&name.text, self.setting.legacy.blocks()) {
            Some(near) => format!("did you mean `{near}`, which {FILE} has?"),
            None => format!(
                "write in {FILE} under `[legacy.infrastructure]`: {} = {{ work-pool = {} }}; or deploy to Prefect 2 \
                 (`version = 2` under `[prefect]`)",
                quoted(&name.text),
                quoted(pool)
            ),
        };
        self.faults.error(name.at, message).hint(hint);
    }

    /// The work pool with its queue. `named` says whether the deployment names a block at all.
    fn pool(
        &mut self,
        infrastructure: Option<(&Name, &Infrastructure)>,
        named: bool,
        queue: Option<&Name>,
    ) -> Option<Node> {
        let own = match queue {
            None => None,
            Some(queue) => match self.setting.legacy.queue(&queue.text) {
                Known::As(own) => Some(own),
                Known::Faulty => {
                    let message = format!(
                        "the entry of work queue `{}` in {FILE} is faulty",
                        queue.shown
                    );
                    self.faults.error(queue.at, message);
                    return None;
                }
                Known::Not if named => None,
                Known::Not => {
                    self.no_queue(queue);
                    return None;
                }
            },
        };
        // Without its block nothing is known of the pool, and that was told.
        if named && infrastructure.is_none() {
            return None;
        }
        let of_queue = own.and_then(|own| own.work_pool.as_ref());
        let (pool, at) = match (infrastructure, of_queue, queue) {
            (Some((name, one)), None, _) => (&one.work_pool, name.at),
            (None, Some(pool), Some(queue)) => (pool, queue.at),
            (Some((name, one)), Some(pool), Some(queue)) => {
                if pool.as_str() != one.work_pool.as_str() {
                    let text = |node: &Node| node.as_str().unwrap_or_default().to_owned();
                    let message = format!(
                        "work queue `{}` is in work pool `{}`, and infrastructure `{}` becomes `{}`",
                        queue.shown,
                        text(pool),
                        name.shown,
                        text(&one.work_pool)
                    );
                    self.faults.error(queue.at, message).hint(format!(
                        "name one pool in {FILE}, or leave `work-pool` out under `[legacy.queues]`"
                    ));
                }
                (&one.work_pool, name.at)
            }
            (None, None, Some(queue)) => {
                let message = format!(
                    "work queue `{}` is in no work pool: neither its entry in {FILE} nor an infrastructure names one",
                    queue.shown
                );
                let pool = self.setting.work_pool.unwrap_or("NAME");
                self.faults
                    .error(queue.at, message)
                    .hint(format!("add `work-pool = {}` to it", quoted(pool)));
                return None;
            }
            _ => return None,
        };
        let renamed = own.and_then(|own| own.work_queue.clone());
        let queue_node = match queue {
            Some(queue) => Some(match renamed {
                Some(mut renamed) => {
                    renamed.move_to(queue.at);
                    renamed
                }
                None => Node::scalar(queue.at, queue.text.clone().into()),
            }),
            None => infrastructure.and_then(|(name, one)| {
                let mut queue = one.work_queue.clone()?;
                queue.move_to(name.at);
                Some(queue)
            }),
        };
        let mut pool = pool.clone();
        pool.move_to(at);
        let mut inside = vec![entry("name", pool)];
        inside.extend(queue_node.map(|queue| entry("work_queue_name", queue)));
        let mut pool = map(at, vec![entry("work_pool", map(at, inside))]);
        self.references.extend(overlay::resolve(
            &mut pool,
            self.setting.values,
            self.faults,
        ));
        let pool = pool.get("work_pool")?.clone();
        self.tell(infrastructure, queue, &pool);
        Some(pool)
    }

    /// Notes what became of the names.
    fn tell(
        &mut self,
        infrastructure: Option<(&Name, &Infrastructure)>,
        queue: Option<&Name>,
        pool: &Node,
    ) {
        let part = |key| pool.get(key).and_then(Node::as_str).unwrap_or_default();
        let name = part("name");
        if let Some((block, one)) = infrastructure {
            self.notes.push(format!(
                "infrastructure `{}` becomes work pool `{name}`, by `[legacy]` in {FILE}, line {}",
                block.shown, one.at.line
            ));
        }
        if let Some(queue) = queue {
            self.notes.push(format!(
                "work queue `{}` becomes queue `{}` of work pool `{name}`",
                queue.shown,
                part("work_queue_name")
            ));
        }
    }

    fn no_queue(&mut self, queue: &Name) {
        let pool = self.setting.work_pool.unwrap_or("NAME");
        let message = format!(
            "work queue `{}` is one of Prefect 2's agents, and nothing says which work pool stands for it",
            queue.shown
        );
        let hint = match nearest(&queue.text, self.setting.legacy.queues()) {
            Some(near) => format!("did you mean `{near}`, which {FILE} has?"),
            None => format!(
                "write in {FILE} under `[legacy.queues]`: {} = {{ work-pool = {} }}; or deploy to Prefect 2 \
                 (`version = 2` under `[prefect]`)",
                quoted(&queue.text),
                quoted(pool)
            ),
        };
        self.faults.error(queue.at, message).hint(hint);
    }

    /// The job variables that stand for the overrides, on those that stand for the block.
    fn variables(
        &mut self,
        node: &Node,
        block: Option<&(String, String, Name)>,
        infrastructure: Option<(&Name, &Infrastructure)>,
        pooled: bool,
    ) -> Option<Node> {
        let base = infrastructure.and_then(|(name, one)| {
            let mut variables = one.job_variables.clone()?;
            variables.move_to(name.at);
            let mut variables = map(name.at, vec![entry("job_variables", variables)]);
            self.references.extend(overlay::resolve(
                &mut variables,
                self.setting.values,
                self.faults,
            ));
            variables.get("job_variables").cloned()
        });
        let Some(given) = self.faults.mapping(node, "infra_overrides") else {
            return base;
        };
        let somewhere = pooled
            || block.is_some()
            || present(node, "work_pool").is_some()
            || present(node, "work_queue_name").is_some()
            || self.setting.work_pool.is_some();
        if !somewhere {
            self.faults
                .error(given.at, "`infra_overrides` without a work pool that they could be for")
                .hint(format!("name the pool of deployments that name none, in {FILE}: `work-pool` under `[prefect]`"));
        }
        let rules = overrides::Rules {
            kind: block.map(|(kind, _, _)| kind.as_str()),
            block: block.map(|(_, _, name)| name.text.as_str()),
            dropped: infrastructure.map_or(&[], |(_, one)| one.drop_overrides.as_slice()),
        };
        let over = overrides::nested(given, &rules, self.notes, self.faults);
        self.same_key_twice(node, &over);
        let at = over.at;
        let mut variables = match base {
            Some(base) => base.overlaid(&over),
            None => over,
        };
        variables.at = at;
        Some(variables)
    }

    /// Refuses what `job_variables` say as well: one of the two would be lost.
    fn same_key_twice(&mut self, node: &Node, overrides: &Node) {
        let Some(variables) = present(node, "job_variables") else {
            return;
        };
        for entry in overrides.entries().unwrap_or_default() {
            if variables.get(&entry.key).is_some() {
                let message = format!("`{}` stands here and in `job_variables`", entry.key);
                self.faults.error(entry.at, message);
            }
        }
    }

    /// Type and name of the block that a key names.
    fn block(&mut self, node: &Node, key: &str) -> Option<(String, String, Name)> {
        let name = self.name(node, key)?;
        let Some((kind, block)) = block(&name.text) else {
            let example = match key {
                "storage" => "azure/flows",
                _ => "kubernetes-job/prod",
            };
            let message = format!("`{key}` is a block's type and name, not `{}`", name.shown);
            self.faults
                .error(name.at, message)
                .hint(format!("write `{key}: {example}`"));
            return None;
        };
        Some((kind.to_owned(), block.to_owned(), name))
    }

    fn name(&mut self, node: &Node, key: &str) -> Option<Name> {
        let hidden = node.get(key).and_then(|value| value.hidden.clone());
        let (text, at) = self.faults.text(node, key)?;
        let shown = hidden.unwrap_or_else(|| text.clone());
        Some(Name { text, shown, at })
    }
}

/// A text in TOML.
fn quoted(text: &str) -> String {
    // What JSON escapes, TOML's basic strings escape in the same way.
    Value::from(text).to_string()
}

fn entry(key: &str, value: Node) -> Entry {
    Entry {
        key: key.to_owned(),
        at: value.at,
        value,
    }
}

fn map(at: Position, entries: Vec<Entry>) -> Node {
    Node::new(at, Content::Map(entries))
}

/// Adds what a deployment says unless it says so itself.
fn lay_below(node: &mut Node, parts: Vec<Entry>) {
    if let Content::Map(entries) = &mut node.content {
        let nothing =
            |entry: &Entry| entry.value.is_null() && parts.iter().any(|part| part.key == entry.key);
        entries.retain(|entry| !nothing(entry));
    }
    *node = map(node.at, parts).overlaid(node);
}

fn remove(node: &mut Node, keys: &[&str]) {
    if let Content::Map(entries) = &mut node.content {
        entries.retain(|entry| !keys.contains(&entry.key.as_str()));
    }
}
