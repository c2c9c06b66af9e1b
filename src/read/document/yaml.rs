//! YAML, from the parser's events.
//!
//! A [`Schema`] decides what a plain scalar is. Aliases are copies, merge keys (`<<`) are followed.

mod scalar;

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

pub(super) use scalar::Schema;

use super::{Content, Entry, Fault, MAX_DEPTH, MAX_NODES, Node, Position, narrow};

/// A list or mapping that is not closed yet.
struct Open {
    at: Position,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    /// The entries, values of `<<` keys, and a key that waits for its value.
    Map {
        entries: Vec<Entry>,
        /// The line of each key.
        lines: HashMap<String, u32>,
        merges: Vec<Node>,
        key: Option<(String, Position)>,
    },
}

pub(super) fn parse(text: &str, schema: Schema) -> Result<(Node, Vec<Fault>), Fault> {
    let builder = Builder {
        schema,
        end: Some(end(text)),
        ..Builder::default()
    };
    builder.build(text)
}

#[derive(Default)]
struct Builder {
    schema: Schema,
    end: Option<Position>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    done: Option<Node>,
    faults: Vec<Fault>,
}

impl Builder {
    fn build(mut self, text: &str) -> Result<(Node, Vec<Fault>), Fault> {
        let mut documents = 0;
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let at = self.within(error.marker());
                Fault::new(at, format!("not valid YAML: {}", error.info()))
            })?;
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
                if documents > 1 {
                    let mut fault = Fault::new(
                        self.within(&span.start),
                        "a second YAML document begins here",
                    );
                    fault.hint =
                        Some("put several deployments into a list under `deployments:`".into());
                    return Err(fault);
                }
            }
            self.take(event, span)?;
        }
        let nothing = Node::scalar(Position { line: 1, column: 1 }, Value::Null);
        Ok((self.done.unwrap_or(nothing), self.faults))
    }

    /// A position that is in the text: what is missing at its end the parser places in a line that it does not have.
    fn within(&self, marker: &saphyr_parser::Marker) -> Position {
        let at = position(marker);
        self.end.map_or(at, |end| at.min(end))
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let at = self.within(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag =
                    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let node = if style == ScalarStyle::Plain && !text_tag {
                    let value = self.schema.plain(&text).ok_or_else(|| {
                        Fault::new(
                            at,
                            format!("`{text}` is no number that a deployment can hold"),
                        )
                    })?;
                    Node::plain(at, value, &text)
                } else {
                    Node::scalar(at, Value::String(text.into_owned()))
                };
                self.node(node, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.begin(at, anchor, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let map = Kind::Map {
                    entries: Vec::new(),
                    lines: HashMap::new(),
                    merges: Vec::new(),
                    key: None,
                };
                self.begin(at, anchor, map)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(Fault::new(at, "an alias inside of its own anchor"));
                };
                self.node(node, 0, size)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: Position, anchor: usize, kind: Kind) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::new(
                at,
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.open.push(Open { at, anchor, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let content = match open.kind {
            Kind::List(items) => Content::List(items),
            Kind::Map {
                mut entries,
                mut lines,
                merges,
                ..
            } => {
                for merged in merges {
                    self.merge(&mut entries, &mut lines, merged);
                }
                Content::Map(entries)
            }
        };
        let node = Node::new(open.at, content);
        let size = if open.anchor == 0 { 0 } else { node.count() };
        self.node_of_size(node, open.anchor, 1, size)
    }

    /// Keys that stand in the mapping itself win over merged ones; of several merged mappings the first wins.
    fn merge(&mut self, entries: &mut Vec<Entry>, keys: &mut HashMap<String, u32>, merged: Node) {
        match merged.content {
            Content::Map(below) => {
                for entry in below {
                    if !keys.contains_key(&entry.key) {
                        keys.insert(entry.key.clone(), entry.at.line);
                        entries.push(entry);
                    }
                }
            }
            Content::List(maps) => {
                for map in maps {
                    self.merge(entries, keys, map);
                }
            }
            Content::Scalar(_) => {
                self.faults.push(Fault::new(
                    merged.at,
                    "`<<` takes a mapping or a list of them",
                ));
            }
        }
    }

    fn node(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Fault> {
        self.node_of_size(node, anchor, size, size)
    }

    /// A node is complete: `added` values more in the tree, of which an alias of it would add `size`.
    fn node_of_size(
        &mut self,
        node: Node,
        anchor: usize,
        added: usize,
        size: usize,
    ) -> Result<(), Fault> {
        // An anchor keeps a copy: counted, or anchors inside of anchors would keep one for each level.
        self.nodes += if anchor == 0 { added } else { added + size };
        if self.nodes > MAX_NODES {
            return Err(Fault::new(
                node.at,
                format!("more than {MAX_NODES} values in one file"),
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.done = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            Kind::List(items) => items.push(node),
            Kind::Map {
                entries,
                lines,
                merges,
                key,
            } => match key.take() {
                None => *key = Some((key_of(&node)?, node.at)),
                Some((name, _)) if name == "<<" => merges.push(node),
                Some((name, at)) => {
                    if let Some(first) = lines.get(&name) {
                        let message = format!("`{name}` stands here twice, first in line {first}");
                        self.faults.push(Fault::new(at, message));
                    } else {
                        lines.insert(name.clone(), at.line);
                        entries.push(Entry {
                            key: name,
                            at,
                            value: node,
                        });
                    }
                }
            },
        }
        Ok(())
    }
}

fn key_of(node: &Node) -> Result<String, Fault> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Ok(text.clone()),
        Content::Scalar(Value::Null) => Err(Fault::new(node.at, "a key is missing")),
        Content::Scalar(value) => Ok(value.to_string()),
        // `name: {{ $X }}` without quotes is, to YAML, a mapping whose key is a mapping.
        Content::Map(_) | Content::List(_) => {
            let mut fault = Fault::new(node.at, "a template that is not quoted");
            fault.hint = Some("write it as text: \"{{ … }}\"".to_owned());
            Err(fault)
        }
    }
}

/// Where a text ends.
fn end(text: &str) -> Position {
    let lines = text.replace("\r\n", "\n");
    let lines = lines
        .split(['\n', '\r'])
        .map(|line| line.chars().count() + 1);
    let (line, column) = lines.enumerate().last().unwrap_or((0, 1));
    Position {
        line: narrow(line + 1),
        column: narrow(column),
    }
}

fn position(marker: &saphyr_parser::Marker) -> Position {
    Position {
        line: narrow(marker.line()).max(1),
        column: narrow(marker.col() + 1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        let (node, faults) = parse(text, Schema::Core).expect("valid YAML");
        assert_eq!(faults, []);
        node.to_value()
    }

    #[test]
    fn anchors_and_merge_keys() {
        let text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\na: {<<: *b, y: 9}\nb:\n  <<: [*b, *o]\nc: *b\n";
        let all = value(text);
        assert_eq!(all["a"], json!({"x": 1, "y": 9}));
        assert_eq!(all["b"], json!({"x": 1, "y": 2, "z": 4}));
        assert_eq!(all["c"], json!({"x": 1, "y": 2}));
    }

    #[test]
    fn faults_have_places() {
        let fault = |text: &str| parse(text, Schema::Core).expect_err("a fault");
        assert_eq!(
            fault("a: 1\nname: {{ $X }}\n").message,
            "a template that is not quoted"
        );
        assert_eq!(fault("a: [1,\nb: 2").at.line, 2);
        assert_eq!(
            fault("a: 1\n---\nb: 2\n").message,
            "a second YAML document begins here"
        );
        let (_, faults) = parse("a: 1\nb: 2\na: 3\n", Schema::Core).expect("goes on");
        assert_eq!(faults[0].at, Position { line: 3, column: 1 });
    }

    #[test]
    fn bombs_are_defused() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let refs = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs += &format!("a{level}: &a{level} [{refs}]\n");
        }
        assert!(
            parse(&laughs, Schema::Core)
                .expect_err("refused")
                .message
                .contains("more than")
        );
        let deep = "[".repeat(100_000);
        assert!(parse(&deep, Schema::Core).is_err());
        let mut nested = "a0: &a0 [x]\n".to_owned();
        for level in 1..200 {
            nested += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        // Shallow where written, deep where expanded: either refused or small enough to walk.
        let _ = parse(&nested, Schema::Core).map(|(node, _)| node.to_value());
    }
}
