//! Schedules and triggers as rows: several things by name in one field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::rows::{Row, below, is_drift, rebuild};
use super::{schedule, trigger, value};
use crate::model::Field;
use crate::plan::{Change, FieldChange};

/// How the parts of a field are shown.
pub(super) struct Parts {
    field: Field,
    /// One of them.
    word: &'static str,
    /// A whole one in a few words.
    compact: fn(&Value) -> String,
    /// Whether a value is a whole one.
    is_whole: fn(&Value) -> bool,
}

/// [`Field::Schedules`].
pub(super) const SCHEDULES: Parts = Parts {
    field: Field::Schedules,
    word: "schedule",
    compact: schedule::compact,
    is_whole: schedule::has_timing,
};

/// [`Field::Triggers`].
pub(super) const TRIGGERS: Parts = Parts {
    field: Field::Triggers,
    word: "trigger",
    compact: trigger::compact,
    is_whole: trigger::has_form,
};

impl Parts {
    /// One row for a part that comes or goes, one per difference for a part that stays.
    pub(super) fn rows(&self, fields: &[&FieldChange], change: &Change) -> Vec<Row> {
        let mut names: Vec<&String> = [
            change
                .registration
                .as_ref()
                .map(|registration| &registration.fields),
            change.live.as_ref().map(|live| &live.fields),
        ]
        .into_iter()
        .flatten()
        .filter_map(|fields| fields.get(&self.field)?.as_object())
        .flat_map(Map::keys)
        .collect();
        // A name may hold a dot, so the longest that fits is meant.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let mut groups: BTreeMap<&str, Vec<&FieldChange>> = BTreeMap::new();
        let mut rows = Vec::new();
        for field in fields {
            let rest = below(&field.path, self.field.name()).unwrap_or_default();
            let name = names
                .iter()
                .find(|name| rest == name.as_str() || below(rest, name).is_some());
            match name {
                Some(name) => groups.entry(name).or_default().push(field),
                None => rows.push(Row::of(field)),
            }
        }
        for (name, fields) in groups {
            let path = format!("{}.{name}", self.field.name());
            let label = value::cut(
                &format!("{} {}", self.word, value::text(name)),
                value::WIDTH,
            );
            let drift = fields.iter().any(|field| is_drift(field));
            if let [field] = fields.as_slice()
                && field.path == path
                && let (Some(old), None) = (&field.old, &field.new)
            {
                rows.push(Row::new(
                    label,
                    Some((self.compact)(old)),
                    None,
                    is_drift(field),
                ));
                continue;
            }
            let rebuilt = rebuild(&path, &fields);
            if fields.iter().all(|field| field.old.is_none()) && (self.is_whole)(&rebuilt) {
                rows.push(Row::new(label, None, Some((self.compact)(&rebuilt)), drift));
            } else {
                rows.extend(fields.into_iter().map(Row::of));
            }
        }
        rows
    }
}
