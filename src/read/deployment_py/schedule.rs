//! Schedules as a deployment file has them.

use serde_json::Value as Json;

use super::node::Nodes;
use crate::read::document::{Content, Entry, Node};
use crate::read::python::program::{At, Fields, Kind, Value};

/// Arguments of a deployment that are schedules.
pub(super) const ARGUMENTS: &[&str] = &["schedules", "schedule", "cron", "interval", "rrule"];

/// The schedules of a deployment, as a list; `None` where it says nothing of schedules.
pub(super) fn of(fields: &Fields, used: At, nodes: &mut Nodes<'_, '_, '_, '_>) -> Option<Node> {
    let given = ARGUMENTS
        .iter()
        .filter_map(|name| Some((*name, fields.get(name)?)))
        .filter(|(_, value)| !value.is_none());
    let mut list: Option<Node> = None;
    for (name, value) in given {
        let value = nodes.machine().settled(value);
        let at = nodes.position(value.at, used);
        let list = list.get_or_insert_with(|| Node {
            at,
            content: Content::List(Vec::new()),
            hidden: None,
            written: None,
        });
        let several = nodes
            .machine()
            .items(&value)
            .filter(|_| !matches!(value.kind, Kind::Text(_)));
        for one in several.unwrap_or_else(|| vec![value.clone()]) {
            let node = match name {
                "cron" | "interval" | "rrule" => timing(name, &one, used, nodes),
                _ => schedule(&one, used, nodes),
            };
            if let (Some(node), Content::List(items)) = (node, &mut list.content) {
                items.push(node);
            }
        }
    }
    list
}

/// `cron="…"`, `interval=timedelta(…)`, `rrule="…"`; a schedule object stands there too.
fn timing(name: &str, value: &Value, used: At, nodes: &mut Nodes<'_, '_, '_, '_>) -> Option<Node> {
    let value = nodes.machine().settled(value);
    if nodes
        .machine()
        .record_kind(&value)
        .is_some_and(|kind| kind.starts_with("schedule"))
    {
        return schedule(&value, used, nodes);
    }
    let at = nodes.position(value.at, used);
    let mut map = Vec::new();
    field(name, &value, used, nodes, &mut map)?;
    Some(Node {
        at,
        content: Content::Map(map),
        hidden: None,
        written: None,
    })
}

/// A schedule object, one with its settings around it, a mapping of them, or a pair of a schedule and whether it is
/// active.
fn schedule(value: &Value, used: At, nodes: &mut Nodes<'_, '_, '_, '_>) -> Option<Node> {
    let value = nodes.machine().settled(value);
    let at = nodes.position(value.at, used);
    let fields: Vec<(String, Value)> = match &value.kind {
        Kind::Unknown(unknown) => {
            let unknown = unknown.clone();
            nodes.unknown("a schedule", &unknown, used);
            return None;
        }
        Kind::Record(_) => {
            let fields = nodes.machine().fields(&value).0.into_iter();
            fields
                .map(|(name, value)| (name.to_string(), value))
                .collect()
        }
        Kind::Dict(_) => {
            let entries = nodes
                .machine()
                .entries(&value)
                .unwrap_or_default()
                .into_iter();
            entries
                .filter_map(|(key, value)| Some((key.as_text()?.to_owned(), value)))
                .collect()
        }
        Kind::Tuple(_) => {
            let items = nodes.machine().items(&value).unwrap_or_default();
            ["schedule", "active"]
                .map(str::to_owned)
                .into_iter()
                .zip(items)
                .collect()
        }
        Kind::Text(_) => return timing("cron", &value, used, nodes),
        _ => {
            nodes.fault(
                at,
                "what is given as a schedule is none".to_owned(),
                "write Cron(\"0 4 * * *\"), Interval(…) or RRule(…)",
            );
            return None;
        }
    };
    let mut map = Vec::new();
    let mut whole = true;
    for (name, value) in fields {
        if value.is_none() {
            continue;
        }
        if name == "schedule" {
            match schedule(&value, used, nodes).map(|node| node.content) {
                Some(Content::Map(inner)) => map.extend(inner),
                _ => whole = false,
            }
        } else if !matches!(name.as_str(), "max_active_runs" | "catchup") {
            whole &= field(&name, &value, used, nodes, &mut map).is_some();
        }
    }
    whole.then_some(Node {
        at,
        content: Content::Map(map),
        hidden: None,
        written: None,
    })
}

/// One setting of a schedule.
fn field(
    name: &str,
    value: &Value,
    used: At,
    nodes: &mut Nodes<'_, '_, '_, '_>,
    map: &mut Vec<Entry>,
) -> Option<()> {
    let value = nodes.machine().settled(value);
    let what = format!("the schedule's `{name}`");
    // A moment with a time zone brings the zone along.
    if name == "anchor_date"
        && let Some(zone) = nodes.machine().field(&value, "timezone")
        && !map.iter().any(|entry| entry.key == "timezone")
    {
        field("timezone", &zone, used, nodes, map);
    }
    let node = match value.timedelta_seconds() {
        Some(seconds) if name == "interval" => {
            let at = nodes.position(value.at, used);
            Node::scalar(at, number(seconds))
        }
        _ => nodes.node(&value, used, &what)?,
    };
    map.retain(|entry| entry.key != name);
    map.push(Entry {
        key: name.to_owned(),
        at: node.at,
        value: node,
    });
    Some(())
}

/// A whole number of seconds without a fraction.
fn number(seconds: f64) -> Json {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and far below 2^63, which is checked"
    )]
    if seconds.fract() == 0.0 && seconds.abs() < 1e15 {
        return (seconds as i64).into();
    }
    seconds.into()
}
