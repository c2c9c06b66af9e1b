//! Drafts of deployments as the text of a `.deployment.yaml`, whatever format they were read from.

use std::borrow::Cow;

use saphyr::{Scalar, ScalarStyle, Yaml, YamlEmitter};
use serde_json::Value;

use super::deployment::KEYS;
use super::document::{Content, Node};
use super::draft::Draft;

/// The text of a deployment file that declares `drafts`, with their keys in the order of the reference: one deployment
/// by itself, several as a list under `deployments`. Reading it gives the same drafts, apart from places, comments,
/// and keys that were null.
pub(super) fn text(drafts: &[Draft]) -> String {
    let mut items: Vec<Yaml<'_>> = drafts.iter().map(deployment).collect();
    let document = match items.len() {
        1 => items.remove(0),
        _ => mapping([("deployments", Yaml::Sequence(items))]),
    };
    let mut text = String::new();
    let mut emitter = YamlEmitter::new(&mut text);
    emitter.multiline(true);
    // Writing to a text does not fail, and a tree without tags and references has nothing else that could.
    let written = emitter.dump(&document);
    debug_assert!(written.is_ok(), "{written:?}");
    let body = text.strip_prefix("---\n").unwrap_or(&text);
    format!("{body}\n")
}

/// The keys whose values are texts: a number there is one as it is written.
const TEXTS: &[&str] = &["name", "flow_name", "description", "version", "tags"];

/// Those of the mappings, and of the lists of mappings, below its keys.
const BELOW: &[(&str, &[&str])] = &[
    ("work_pool", &["name", "work_queue_name"]),
    ("schedules", &["slug", "cron", "timezone", "rrule"]),
    ("triggers", &["name", "description"]),
    ("sla", &["name"]),
];

/// A deployment with its name, without what is null: a key left empty says nothing.
fn deployment(draft: &Draft) -> Yaml<'_> {
    let mut entries: Vec<(&str, Yaml<'_>)> = Vec::new();
    if let Some(name) = draft.default_name.as_deref()
        && draft.node.get("name").is_none_or(Node::is_null)
    {
        entries.push(("name", scalar(&Value::from(name))));
    }
    let given = draft.node.entries().unwrap_or_default();
    entries.extend(
        given
            .iter()
            .filter(|entry| !entry.value.is_null())
            .map(|entry| {
                let key = entry.key.as_str();
                let below = BELOW.iter().find(|one| one.0 == key);
                let below = below.map_or(&[][..], |one| one.1);
                (key, yaml(&entry.value, TEXTS.contains(&key), below))
            }),
    );
    // Stable: keys that the reference does not have keep their order, after all others.
    entries.sort_by_key(|(key, _)| {
        let known = KEYS.iter().position(|known| known == key);
        known.unwrap_or(KEYS.len())
    });
    mapping(entries)
}

/// A value, as a text where a text is wanted; `below` are the keys of the mapping, or of those in the list, that want one.
fn yaml<'a>(node: &'a Node, as_text: bool, below: &[&str]) -> Yaml<'a> {
    match &node.content {
        // A value of the process's environment goes on as the template that it came from.
        Content::Scalar(value) => match &node.hidden {
            Some(written) => Yaml::Value(Scalar::String(Cow::Borrowed(written))),
            None => match node.text() {
                Some(text) if as_text => string(&text),
                _ => scalar(value),
            },
        },
        Content::List(items) => {
            let items = items.iter().map(|item| yaml(item, as_text, below));
            Yaml::Sequence(items.collect())
        }
        Content::Map(entries) => mapping(entries.iter().map(|entry| {
            let key = entry.key.as_str();
            (key, yaml(&entry.value, below.contains(&key), &[]))
        })),
    }
}

fn mapping<'a>(entries: impl IntoIterator<Item = (&'a str, Yaml<'a>)>) -> Yaml<'a> {
    let key = |key| Yaml::Value(Scalar::String(Cow::Borrowed(key)));
    Yaml::Mapping(
        entries
            .into_iter()
            .map(|(name, value)| (key(name), value))
            .collect(),
    )
}

fn scalar(value: &Value) -> Yaml<'static> {
    match value {
        Value::Bool(value) => Yaml::Value(Scalar::Boolean(*value)),
        // In the digits of our own reader, so that it reads the same number.
        Value::Number(number) => {
            Yaml::Representation(number.to_string().into(), ScalarStyle::Plain, None)
        }
        Value::String(text) => string(text),
        _ => Yaml::Value(Scalar::Null),
    }
}

fn string(text: &str) -> Yaml<'static> {
    Yaml::Value(Scalar::String(text.to_owned().into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::read::document::{self, Syntax};

    fn draft(yaml: &str) -> Draft {
        Draft::of(document::parse(yaml, Syntax::Yaml).expect("valid").0, None)
    }

    fn back(text: &str) -> Value {
        let (node, faults) = document::parse(text, Syntax::Yaml).expect(text);
        assert!(faults.is_empty(), "{faults:?}");
        node.to_value()
    }

    #[test]
    fn keys_are_in_the_order_of_the_reference_and_nulls_are_left_out() {
        let mut one = draft(
            "tags: [a, b]\nversion: null\nentrypoint: f.py:f\nparameters: {n: null, l: []}\n",
        );
        one.default_name = Some("daily".to_owned());
        insta::assert_snapshot!(text(&[one]), @r#"
        name: daily
        entrypoint: "f.py:f"
        tags:
          - a
          - b
        parameters:
          n: ~
          l: []
        "#);
        let both = text(&[draft("name: a\n"), draft("name: b\n")]);
        assert_eq!(
            back(&both),
            json!({"deployments": [{"name": "a"}, {"name": "b"}]})
        );
    }

    #[test]
    fn a_number_that_is_a_text_becomes_one() {
        let numbers = draft(
            "version: 1.10\ntags: [010, a]\nparameters: {n: 1.10, name: 1.10}\n\
             work_pool: {name: 010, job_variables: {name: 1.10}}\n\
             schedules: [{slug: 1.10, interval: 60, parameters: {slug: 1.10}}]\n",
        );
        insta::assert_snapshot!(text(&[numbers]), @r#"
        version: "1.10"
        tags:
          - "010"
          - a
        parameters:
          n: 1.1
          name: 1.1
        schedules:
          - slug: "1.10"
            interval: 60
            parameters:
              slug: 1.1
        work_pool:
          name: "010"
          job_variables:
            name: 1.1
        "#);
    }

    #[test]
    fn every_text_and_number_reads_back() {
        let texts = [
            "",
            " ",
            "no",
            "Yes",
            "true",
            "null",
            "~",
            "1",
            "1.0",
            "1e3",
            "0x1f",
            ".5",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#",
            "0 4 * * *",
            "*/5 * * * *",
            "{{ $TOKEN }}",
            "{a}",
            "[a]",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            "'a'",
            "\"a\"",
            "a\\nb",
            "æøå ção",
            "😀",
            "a\tb",
            "\t",
            "two\nlines",
            "ends\n",
            "\nstarts",
            "a\n\nb\n\n",
            "  indented\nless",
            "a\r\nb",
            "\u{7}",
            "2024-01-01",
            "12:30",
            "<<",
            "=",
            "---",
            "...",
            "? a",
            "key:",
            ":",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "trailing ",
            "a\n \n b",
            "{{ prefect.blocks.secret.x }}/{{ y }}",
        ];
        let numbers = [
            json!(0),
            json!(-1),
            json!(1.0),
            json!(1e300),
            json!(18446744073709551615u64),
            json!(0.1),
        ];
        for value in texts.iter().map(|text| json!(text)).chain(numbers) {
            let inner = Node::scalar(document::Position { line: 1, column: 1 }, value.clone());
            let mut one = draft("parameters: {p: x, l: [x], x: 1}\n");
            let written = {
                let parameters = match &mut one.node.content {
                    Content::Map(entries) => &mut entries[0].value,
                    _ => unreachable!("a mapping"),
                };
                if let Content::Map(entries) = &mut parameters.content {
                    entries[0].value = inner.clone();
                    entries[1].value.content = Content::List(vec![inner]);
                    if let Value::String(text) = &value {
                        entries[2].key = format!("k{text}");
                    }
                }
                text(std::slice::from_ref(&one))
            };
            assert_eq!(back(&written), one.node.to_value(), "{written}");
        }
    }
}
