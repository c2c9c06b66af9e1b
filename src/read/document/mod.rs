//! Documents of any of the three formats, as one tree in which every value knows its place.
//!
//! YAML, TOML and JSON end up as the same [`Node`]s, so that there is one reader of deployment files, and every fault of
//! it has a line and a column.

mod json;
mod toml;
mod yaml;

use serde_json::{Map, Value};

use super::lines::Lines;

/// A format of deployment files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// YAML 1.2, core schema, with anchors, aliases and merge keys.
    Yaml,
    /// YAML as PyYAML reads it, and so Prefect and most Python: with the scalars of YAML 1.1.
    PyYaml,
    /// TOML 1.1.
    Toml,
    /// JSON, strictly.
    Json,
}

/// Deeper nesting than this is refused in every format: no file of people needs it, and everything that walks a tree
/// may then recurse.
pub(super) const MAX_DEPTH: usize = 64;

/// More values than this are refused; aliases of aliases could otherwise make gigabytes of a kilobyte.
pub(super) const MAX_NODES: usize = 200_000;

/// A position, both from 1, the column in characters; both 0 by default, which is no place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Line.
    pub(in crate::read) line: u32,
    /// Column.
    pub(in crate::read) column: u32,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Where it begins.
    pub(in crate::read) at: Position,
    /// What it is.
    pub(in crate::read) content: Content,
    /// The text as written, where the value came from the process's environment and is not to be shown.
    pub(in crate::read) hidden: Option<String>,
    /// The text as written of a number or boolean that prints otherwise: `1.10`, `010`.
    pub(in crate::read) written: Option<Box<str>>,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// Null, a boolean, a number or a string; never an array or an object.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file; no key twice.
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The key.
    pub(in crate::read) key: String,
    /// Where the key is.
    pub(in crate::read) at: Position,
    /// Its value.
    pub(in crate::read) value: Node,
}

/// A fault of a document as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where.
    pub(in crate::read) at: Position,
    /// What.
    pub(in crate::read) message: String,
    /// What to do.
    pub(in crate::read) hint: Option<String>,
}

impl Fault {
    fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            hint: None,
        }
    }
}

/// Parses a document; an empty one is null. Faults after which reading goes on (a key that stands twice) come with the
/// tree, the others alone.
pub(super) fn parse(text: &str, syntax: Syntax) -> Result<(Node, Vec<Fault>), Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match syntax {
        Syntax::Yaml => yaml::parse(text, yaml::Schema::Core),
        Syntax::PyYaml => yaml::parse(text, yaml::Schema::PyYaml),
        Syntax::Toml => toml::parse(text),
        Syntax::Json => json::parse(text),
    }
}

impl Node {
    pub(in crate::read) fn new(at: Position, content: Content) -> Self {
        Self {
            at,
            content,
            hidden: None,
            written: None,
        }
    }

    /// A value that stands nowhere: a default.
    pub(in crate::read) fn scalar(at: Position, value: Value) -> Self {
        Self::new(at, Content::Scalar(value))
    }

    /// A scalar that is written as `text` without quotes.
    pub(in crate::read) fn plain(at: Position, value: Value, text: &str) -> Self {
        let printed = (value.is_number() || value.is_boolean()).then(|| value.to_string());
        let mut node = Self::scalar(at, value);
        node.written = printed
            .filter(|printed| printed != text)
            .map(|_| text.into());
        node
    }

    /// The text of a scalar where a text is wanted: a number or boolean as it is written. `None` for null, lists and
    /// mappings.
    pub(in crate::read) fn text(&self) -> Option<String> {
        match (&self.content, &self.written) {
            (Content::Scalar(Value::String(text)), _) => Some(text.clone()),
            (Content::Scalar(Value::Null) | Content::List(_) | Content::Map(_), _) => None,
            (Content::Scalar(_), Some(written)) => Some(written.to_string()),
            (Content::Scalar(value), None) => Some(value.to_string()),
        }
    }

    /// Whether it is null.
    pub(in crate::read) fn is_null(&self) -> bool {
        self.content == Content::Scalar(Value::Null)
    }

    /// The text of a string.
    pub(in crate::read) fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub(in crate::read) fn entries(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The keys of a mapping and where they stand; none of anything else.
    pub(in crate::read) fn keys(&self) -> Vec<(String, Position)> {
        let entries = self.entries().unwrap_or_default().iter();
        entries.map(|entry| (entry.key.clone(), entry.at)).collect()
    }

    /// The value of a key of a mapping.
    pub(in crate::read) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The kind of value, for messages.
    pub(in crate::read) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "a boolean",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    /// The value without places.
    pub(in crate::read) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Node::to_value).collect(),
            Content::Map(entries) => {
                let pairs = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// This value with `over` laid on it: mappings are joined key by key, everything else is replaced.
    #[must_use]
    pub(in crate::read) fn overlaid(&self, over: &Node) -> Node {
        let (Content::Map(below), Content::Map(above)) = (&self.content, &over.content) else {
            return over.clone();
        };
        let mut entries = below.clone();
        for entry in above {
            match entries.iter_mut().find(|one| one.key == entry.key) {
                Some(one) => {
                    one.value = one.value.overlaid(&entry.value);
                    one.at = entry.at;
                }
                None => entries.push(entry.clone()),
            }
        }
        Node::new(self.at, Content::Map(entries))
    }

    /// Gives it, and all that is in it, one place.
    pub(in crate::read) fn move_to(&mut self, at: Position) {
        self.at = at;
        match &mut self.content {
            Content::Scalar(_) => {}
            Content::List(items) => items.iter_mut().for_each(|item| item.move_to(at)),
            Content::Map(entries) => {
                for entry in entries {
                    entry.at = at;
                    entry.value.move_to(at);
                }
            }
        }
    }

    /// Calls `change` on every scalar, depth first.
    pub(in crate::read) fn for_each_scalar(&mut self, change: &mut dyn FnMut(&mut Node)) {
        match &mut self.content {
            Content::Scalar(_) => change(self),
            Content::List(items) => items
                .iter_mut()
                .for_each(|item| item.for_each_scalar(change)),
            Content::Map(entries) => {
                entries
                    .iter_mut()
                    .for_each(|entry| entry.value.for_each_scalar(change));
            }
        }
    }

    /// How many values it is, itself among them.
    pub(in crate::read) fn count(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::count).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
        }
    }

    /// Whether any scalar in it is hidden.
    pub(in crate::read) fn holds_hidden(&self) -> bool {
        self.hidden.is_some()
            || match &self.content {
                Content::Scalar(_) => false,
                Content::List(items) => items.iter().any(Self::holds_hidden),
                Content::Map(entries) => entries.iter().any(|entry| entry.value.holds_hidden()),
            }
    }

    /// Calls `see` on every hidden scalar with its dotted path below `path`.
    pub(in crate::read) fn for_each_hidden(&self, path: &str, see: &mut dyn FnMut(&str, &str)) {
        if let Some(written) = &self.hidden {
            see(path, written);
        }
        match &self.content {
            Content::Scalar(_) => {}
            Content::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    item.for_each_hidden(&format!("{path}.{at}"), see);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    entry
                        .value
                        .for_each_hidden(&format!("{path}.{}", entry.key), see);
                }
            }
        }
    }
}

/// The position of a byte offset, for the formats whose parsers give offsets.
fn position(lines: &Lines, text: &str, offset: usize) -> Position {
    let (line, column) = lines.position(text, offset);
    Position { line, column }
}

/// A file of more than four billion lines is beyond what the tree's bounds let through.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_three_formats_give_the_same_tree() {
        let (yaml, _) = parse("a: 1\nb: [x, {c: null}]\nd: true\n", Syntax::Yaml).expect("yaml");
        let (json, _) = parse(
            "{\"a\": 1,\n \"b\": [\"x\", {\"c\": null}], \"d\": true}",
            Syntax::Json,
        )
        .expect("json");
        let (toml, _) = parse("a = 1\nb = [\"x\", {c = 1}]\nd = true", Syntax::Toml).expect("toml");
        assert_eq!(
            yaml.to_value(),
            json!({"a": 1, "b": ["x", {"c": null}], "d": true})
        );
        assert_eq!(json.to_value(), yaml.to_value());
        assert_eq!(
            toml.to_value(),
            json!({"a": 1, "b": ["x", {"c": 1}], "d": true})
        );
        assert_eq!(
            json.get("b").expect("b").at,
            Position { line: 2, column: 7 }
        );
        assert_eq!(
            yaml.get("b").expect("b").at,
            Position { line: 2, column: 4 }
        );
        assert_eq!(
            toml.get("b").expect("b").at,
            Position { line: 2, column: 5 }
        );
    }

    #[test]
    fn where_a_text_is_wanted_it_is_what_is_written() {
        let text = |text, syntax| {
            let (node, _) = parse(text, syntax).expect("valid");
            node.get("a").expect("a").text()
        };
        for (written, syntax, expected) in [
            ("a: 1.10", Syntax::Yaml, "1.10"),
            ("a: 010", Syntax::Yaml, "010"),
            ("a: 0x10", Syntax::Yaml, "0x10"),
            ("a: True", Syntax::Yaml, "True"),
            ("a: 2", Syntax::Yaml, "2"),
            ("a: '1.10'", Syntax::Yaml, "1.10"),
            ("a: 12:30", Syntax::PyYaml, "12:30"),
            ("a: no", Syntax::PyYaml, "no"),
            ("a = 1.10", Syntax::Toml, "1.10"),
            ("a = 0x1F", Syntax::Toml, "0x1F"),
            (r#"{"a": 1.10}"#, Syntax::Json, "1.10"),
        ] {
            assert_eq!(
                text(written, syntax).as_deref(),
                Some(expected),
                "{written}"
            );
        }
        assert_eq!(text("a: ~", Syntax::Yaml), None);
        assert_eq!(text("a: [1]", Syntax::Yaml), None);
    }

    #[test]
    fn an_overlay_joins_mappings_and_replaces_the_rest() {
        let read = |text| parse(text, Syntax::Yaml).expect("yaml").0;
        let base = read("p: {a: 1, b: {c: 2}}\nl: [1, 2]\n");
        let over = read("p: {b: {d: 3}}\nl: [9]\nn: x\n");
        assert_eq!(
            base.overlaid(&over).to_value(),
            json!({"p": {"a": 1, "b": {"c": 2, "d": 3}}, "l": [9], "n": "x"})
        );
    }
}
