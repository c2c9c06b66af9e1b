//! The keys of a deployment, each in the form of its field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Setting;
use crate::model::{Field, Fields, Place};
use crate::read::document::{Content, Node, Position};
use crate::read::faults::{Faults, present};
use crate::read::{schedule, triggers};

/// Brings one key after the other into the form of its field.
struct Reading<'n, 'f, 'p> {
    node: &'n Node,
    faults: &'f mut Faults<'p>,
    read: Read,
}

/// The fields of a deployment that need neither its flow nor its code.
#[derive(Default)]
pub(super) struct Read {
    pub(super) fields: Fields,
    /// Where each stands.
    pub(super) places: BTreeMap<Field, Place>,
    /// Where each parameter of each schedule stands, by the schedule's slug.
    pub(super) schedule_parameters: BTreeMap<String, Vec<(String, Position)>>,
}

/// Reads the fields.
pub(super) fn read(
    node: &Node,
    default_name: Option<&str>,
    setting: &Setting<'_>,
    faults: &mut Faults<'_>,
) -> Read {
    let mut reading = Reading {
        node,
        faults,
        read: Read::default(),
    };
    reading.simple_fields();
    reading.schedules(setting);
    reading.work_pool(setting);
    reading.concurrency();
    reading.triggers(default_name.unwrap_or_default());
    reading.pull();
    reading.read
}

impl Reading<'_, '_, '_> {
    fn set(&mut self, field: Field, value: Value, at: Position) {
        self.read.places.insert(field, self.faults.place(at));
        self.read.fields.insert(field, value);
    }

    fn simple_fields(&mut self) {
        for (key, field) in [
            ("description", Field::Description),
            ("version", Field::Version),
            ("storage", Field::Storage),
            ("infrastructure", Field::Infrastructure),
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
        // A mapping, true and false say what is built, not what is there.
        let named = present(self.node, "image").is_some_and(|image| image.as_str().is_some());
        if let Some((image, image_at)) = named
            .then(|| self.faults.text(self.node, "image"))
            .flatten()
        {
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

    fn schedules(&mut self, setting: &Setting<'_>) {
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
        let mut schedules = Map::new();
        for declared in schedule::read(node, setting.dialect, self.faults) {
            let schedule = declared.schedule;
            schedules.insert(schedule.slug.clone(), schedule.to_value());
            let parameters = &mut self.read.schedule_parameters;
            parameters.insert(schedule.slug, declared.parameters);
        }
        self.set(Field::Schedules, Value::Object(schedules), node.at);
    }

    fn work_pool(&mut self, setting: &Setting<'_>) {
        let default = setting
            .work_pool
            .map(|pool| (pool.to_owned(), self.node.at));
        let Some(node) = present(self.node, "work_pool") else {
            // Prefect 2: an agent takes the run from a queue of its own, and the block says where it runs.
            if let Some((queue, at)) = self.faults.text(self.node, "work_queue_name") {
                self.set(Field::WorkQueue, queue.into(), at);
                return;
            }
            if self.read.fields.contains_key(&Field::Infrastructure) {
                return;
            }
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
            &["limit", "collision_strategy", "grace_period_seconds"],
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
        if let Some(seconds) = self
            .faults
            .integer(node, "grace_period_seconds", 60..=86_400)
        {
            self.set(Field::GracePeriod, seconds.into(), node.at);
            // Prefect's default; a grace period alone is nothing that a server takes.
            self.set(Field::CollisionStrategy, "ENQUEUE".into(), node.at);
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

    fn triggers(&mut self, default_name: &str) {
        let name = self.node.get("name").and_then(Node::text);
        let name = name.unwrap_or_else(|| default_name.to_owned());
        if let Some(list) = present(self.node, "triggers") {
            let all = triggers::read(list, &name, self.faults);
            self.set(Field::Triggers, Value::Object(all), list.at);
        }
        if let Some(list) = present(self.node, "sla") {
            let all = triggers::slas(list, self.faults);
            self.set(Field::Slas, Value::Object(all), list.at);
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
