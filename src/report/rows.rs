//! A change as the rows that people read: what drowns the reader is folded, values are escaped and cut.

use serde_json::{Map, Value};

use super::parts::{SCHEDULES, TRIGGERS};
use super::{schema, shown, value};
use crate::model::{Field, ReleaseRef};
use crate::plan::{
    Action, Cause, Change, FieldChange, ImageAction, ImagePlan, ProjectPlan, Upload,
};

/// What a row says of its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is new to a deployment that exists.
    Added,
    /// It goes away.
    Removed,
    /// It changes from one value to another, or, where a deployment is created, has a value.
    Plain,
}

/// One line, or two where the values are long.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// New, gone, or neither.
    pub(super) sign: Sign,
    /// The path of a field, or some words; escaped.
    pub(super) label: String,
    /// What it is, escaped and cut; `None` where there is nothing to show.
    pub(super) old: Option<String>,
    /// What it will be, likewise.
    pub(super) new: Option<String>,
    /// Whether someone changed it on the server.
    pub(super) drift: bool,
}

impl Row {
    /// A row with ready text.
    pub(super) fn new(
        label: impl Into<String>,
        old: Option<String>,
        new: Option<String>,
        drift: bool,
    ) -> Self {
        let sign = match (&old, &new) {
            (None, Some(_)) => Sign::Added,
            (Some(_), None) => Sign::Removed,
            _ => Sign::Plain,
        };
        Self {
            sign,
            label: label.into(),
            old,
            new,
            drift,
        }
    }

    /// A row of two values; null counts as nothing.
    pub(super) fn of_values(
        label: impl Into<String>,
        old: Option<&Value>,
        new: Option<&Value>,
        drift: bool,
    ) -> Self {
        let text = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(value::show);
        let (old, new) = match (text(old), text(new)) {
            (Some(old), Some(new)) => {
                let (old, new) = value::pair(&old, &new, value::WIDTH);
                (Some(old), Some(new))
            }
            (None, None) => (None, Some("null".to_owned())),
            (old, new) => {
                let cut = |text: String| value::cut(&text, value::WIDTH);
                (old.map(cut), new.map(cut))
            }
        };
        Self::new(label, old, new, drift)
    }

    /// A row for one difference.
    pub(super) fn of(field: &FieldChange) -> Self {
        Self::of_values(
            value::cut(&value::text(&field.path), value::WIDTH),
            field.old.as_ref(),
            field.new.as_ref(),
            is_drift(field),
        )
    }

    /// The row as text, in one line or, where that would be too long, two; the second to be indented by `indent`.
    pub(super) fn text(&self, indent: usize) -> String {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => {
                let together = value::width(&self.label) + value::width(old) + value::width(new);
                if together > value::WIDTH + 20 {
                    let below = " ".repeat(indent + value::width(&self.label).saturating_sub(2));
                    format!("{}: {old}\n{below} -> {new}", self.label)
                } else {
                    format!("{}: {old} -> {new}", self.label)
                }
            }
            (Some(one), None) | (None, Some(one)) => format!("{}: {one}", self.label),
            (None, None) => self.label.clone(),
        }
    }
}

/// Whether a difference was made on the server.
pub(super) fn is_drift(field: &FieldChange) -> bool {
    field.cause == Cause::Drift
}

/// The rows of a change, those that git causes before drift; at least one for every update.
pub(super) fn of_change(change: &Change) -> Vec<Row> {
    let create = change.action == Action::Create;
    let fields = shown::fields(change);
    let mut rows = Vec::new();
    let mut schedules = Vec::new();
    let mut triggers = Vec::new();
    let mut parameters = Vec::new();
    let new_code = fields
        .iter()
        .any(|field| top(field) == Field::Code.name() && !is_drift(field));
    for field in &fields {
        let top = top(field);
        if top == Field::Code.name() {
            if !create {
                rows.push(code(field));
            }
        } else if top == Field::Version.name() && follows_code(field, change, new_code || create) {
        } else if top == Field::ParameterSchema.name() {
            parameters.push(field);
        } else if top == Field::Schedules.name() && field.path != top {
            schedules.push(field);
        } else if top == Field::Triggers.name() && field.path != top {
            triggers.push(field);
        } else if !(create && says_nothing(field)) {
            rows.push(Row::of(field));
        }
    }
    if !create {
        rows.extend(schema::rows(&parameters, change));
    }
    rows.extend(SCHEDULES.rows(&schedules, change));
    rows.extend(TRIGGERS.rows(&triggers, change));
    if create {
        for row in &mut rows {
            row.sign = Sign::Plain;
        }
    }
    rows.sort_by_key(|row| row.drift);
    rows
}

/// The name of the field that a difference lies in.
fn top(field: &FieldChange) -> &str {
    field
        .path
        .split_once('.')
        .map_or(field.path.as_str(), |(top, _)| top)
}

/// Whether the version is the digest of the release, which is told already.
fn follows_code(field: &FieldChange, change: &Change, told: bool) -> bool {
    let registration = change.registration.as_ref();
    let code = registration.and_then(|registration| registration.fields.get(&Field::Code));
    let digest = code
        .and_then(release_of)
        .map(|release| release.digest.short());
    let version = field.new.as_ref().and_then(Value::as_str);
    told && !is_drift(field) && digest.is_some() && version == digest.as_deref()
}

/// Whether a new deployment's value is what it would be anyhow.
fn says_nothing(field: &FieldChange) -> bool {
    let default = match top(field) {
        name if name == Field::EnforceParameterSchema.name() => Value::Bool(true),
        name if name == Field::Paused.name() => Value::Bool(false),
        "owner" => return true,
        _ => Value::Null,
    };
    match &field.new {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(new) => *new == default,
    }
}

/// `code: 3f2a91c04b7e -> 8be0d11aa201`, with the project's path where it moved.
fn code(field: &FieldChange) -> Row {
    let release = |value: &Option<Value>| value.as_ref().and_then(release_of);
    let (old, new) = (release(&field.old), release(&field.new));
    let text = |value: &Option<Value>, one: Option<&ReleaseRef>, other: Option<&ReleaseRef>| match (
        one, other,
    ) {
        (Some(one), Some(other)) if one.project == other.project => Some(one.digest.short()),
        (Some(one), _) => Some(value::text(&one.to_string())),
        (None, _) => value
            .as_ref()
            .filter(|value| !value.is_null())
            .map(|value| value::cut(&value::show(value), value::WIDTH)),
    };
    Row::new(
        value::text(&field.path),
        text(&field.old, old.as_ref(), new.as_ref()),
        text(&field.new, new.as_ref(), old.as_ref()),
        is_drift(field),
    )
}

/// The release that a value of [`Field::Code`] names; `None` for a pull step that is not ours.
pub(super) fn release_of(value: &Value) -> Option<ReleaseRef> {
    let (project, digest) = value.as_str()?.rsplit_once('@')?;
    Some(ReleaseRef {
        project: crate::model::RepoPath::new(project),
        digest: digest.parse().ok()?,
    })
}

/// What is left of a dotted path below `parent`.
pub(super) fn below<'a>(path: &'a str, parent: &str) -> Option<&'a str> {
    path.strip_prefix(parent)?.strip_prefix('.')
}

/// The new value at `path` from the differences below it. A key that holds a dot comes out as two.
pub(super) fn rebuild(path: &str, fields: &[&FieldChange]) -> Value {
    fn put(into: &mut Map<String, Value>, path: &str, value: &Value) {
        match path.split_once('.') {
            None => {
                into.insert(path.to_owned(), value.clone());
            }
            Some((key, rest)) => {
                let inner = into.entry(key).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(inner) = inner {
                    put(inner, rest, value);
                }
            }
        }
    }
    let mut out = Map::new();
    for field in fields {
        match (&field.new, below(&field.path, path)) {
            (Some(new), Some(rest)) => put(&mut out, rest, new),
            (Some(new), None) if field.path == path => return new.clone(),
            _ => {}
        }
    }
    Value::Object(out)
}

/// An image that is made or taken up: what happens, and to what, escaped; `None` where it stays as it is.
pub(super) fn of_image(image: &ImagePlan) -> Option<(&'static str, String)> {
    let name = match &image.tag {
        Some(tag) => format!("{}:{}", image.repository, tag.short()),
        None => image.repository.clone(),
    };
    let users = value::count(image.deployments.len(), "deployment");
    let (verb, why) = match (&image.action, &image.builder) {
        (ImageAction::Build { reason }, Some(builder)) => {
            ("build", format!("{builder}: {reason}; for {users}"))
        }
        (ImageAction::Build { reason }, None) => ("build", format!("{reason}; for {users}")),
        (ImageAction::Reuse, None) => ("pin", format!("for {users}")),
        (ImageAction::Reuse, Some(_)) => ("reuse", format!("already in the registry; for {users}")),
        (ImageAction::Keep, _) => return None,
    };
    Some((verb, value::text(&format!("{name} ({why})"))))
}

/// A project's code: `3f2a91c04b7e -> 8be0d11aa201 (upload 7 files, 24.1 KB)`; `None` where it stays as it is.
pub(super) fn project_code(project: &ProjectPlan) -> Option<String> {
    let new = project.release.digest.short();
    let mut old: Vec<String> = project
        .changes
        .iter()
        .filter_map(|change| change.live.as_ref()?.fields.get(&Field::Code))
        .filter_map(release_of)
        .map(|release| release.digest.short())
        .filter(|old| *old != new)
        .collect();
    old.sort();
    old.dedup();
    // One whose code comes from elsewhere, such as its image, needs no release.
    let created = project.changes.iter().any(|change| {
        let registration = change.registration.as_ref();
        let code = registration.and_then(|one| one.fields.get(&Field::Code));
        change.action == Action::Create && code.is_some()
    });
    let upload = match project.upload {
        Upload::Needed { files, bytes } => {
            format!(
                "(upload {}, {})",
                value::count(files, "file"),
                value::size(bytes)
            )
        }
        Upload::Nothing if !old.is_empty() || created => "(already in the store)".to_owned(),
        Upload::Nothing => return None,
    };
    Some(if old.is_empty() {
        format!("{new} {upload}")
    } else {
        format!("{} -> {new} {upload}", old.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_values_stand_below_each_other() {
        let (old, new) = (json!("a".repeat(60)), json!("b".repeat(60)));
        let row = Row::of_values("description", Some(&old), Some(&new), false);
        let text = row.text(6);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        // Both values begin in the same column, as the first line is written with an indent of 6.
        assert_eq!(lines[0].find('"').map(|at| at + 6), lines[1].find('"'));
    }

    #[test]
    fn null_is_nothing() {
        let row = |old: Value, new: Value| Row::of_values("x", Some(&old), Some(&new), false);
        assert_eq!(row(json!(null), json!(1)).sign, Sign::Added);
        assert_eq!(row(json!(1), json!(null)).sign, Sign::Removed);
        assert_eq!(row(json!(null), json!(null)).text(0), "x: null");
    }

    #[test]
    fn a_foreign_pull_step_is_shown_as_it_is() {
        let field = FieldChange {
            path: "code".into(),
            old: Some(json!({"prefect.deployments.steps.git_clone": {"repository": "x"}})),
            new: Some(json!(format!(
                "projects/a@{}",
                crate::model::Digest::of(b"")
            ))),
            cause: Cause::Git,
        };
        assert_eq!(
            code(&field).text(0),
            r#"code: {"prefect.deployments.steps.git_clone": {"repository": "x"}} -> projects/a@e3b0c44298fc"#
        );
    }

    #[test]
    fn schedules_whose_slugs_hold_dots_or_whose_kind_changes() {
        let cron = |cron: &str| json!({"cron": cron, "timezone": "UTC", "day_or": true, "parameters": {}, "active": true});
        let old = json!({"a": cron("0 1 * * *"), "a.b": cron("0 2 * * *"), "c": cron("0 3 * * *")});
        let new = json!({
            "a.b": cron("0 4 * * *"),
            "c": {"interval": 60.0, "anchor_date": "2024-01-01T00:00:00+00:00", "timezone": "UTC", "parameters": {},
                  "active": false},
            "d.e": cron("0 5 * * *"),
        });
        let change = crate::report::sample::change(Field::Schedules, old, new);
        insta::assert_snapshot!(crate::report::sample::rows(&change), @r#"
        Removed schedule a: cron "0 1 * * *" UTC
        Plain schedules.a.b.cron: "0 2 * * *" -> "0 4 * * *"
        Plain schedules.c.active: true -> false
        Added schedules.c.anchor_date: "2024-01-01T00:00:00+00:00"
        Removed schedules.c.cron: "0 3 * * *"
        Removed schedules.c.day_or: true
        Added schedules.c.interval: 60.0
        Added schedule d.e: cron "0 5 * * *" UTC
        "#);
    }

    #[test]
    fn a_version_of_its_own_is_shown() {
        let change = crate::report::sample::change(Field::Version, json!("1"), json!("2"));
        insta::assert_snapshot!(crate::report::sample::rows(&change), @r#"Plain version: "1" -> "2""#);
    }
}
