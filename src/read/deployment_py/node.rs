//! Values of a program as the nodes of a deployment file, each with its place; what is not known is a fault here.

use std::rc::Rc;

use serde_json::Value as Json;

use crate::model::{Diagnostic, Place};
use crate::read::document::{Content, Entry, MAX_DEPTH, Node, Position};
use crate::read::faults::Faults;
use crate::read::python::program::{ABOVE, At, Kind, Machine, Unknown, Value};

/// What helps where nothing more special does.
const HINT: &str = "declare it in NAME.deployment.yaml";

/// Likewise where only reading cannot tell.
const UNKNOWN_HINT: &str = "declare it in NAME.deployment.yaml, or run the file with --run-python";

/// More values than this in one file are refused, as in a document.
const NODES: usize = crate::read::document::MAX_NODES;

/// Makes nodes of the values of one file.
pub(super) struct Nodes<'m, 'a, 'f, 'p> {
    machine: &'m Machine<'a>,
    pub(super) faults: &'f mut Faults<'p>,
    left: usize,
}

impl<'m, 'a, 'f, 'p> Nodes<'m, 'a, 'f, 'p> {
    pub(super) fn new(machine: &'m Machine<'a>, faults: &'f mut Faults<'p>) -> Self {
        Self {
            machine,
            faults,
            left: NODES,
        }
    }

    pub(super) fn machine(&self) -> &'m Machine<'a> {
        self.machine
    }

    /// The position of a value; one that was made in another file stands where this one uses it.
    pub(super) fn position(&self, at: At, used: At) -> Position {
        let main = self.machine.main();
        let at = [at, used].into_iter().find(|at| at.module == main);
        at.map_or(Position { line: 1, column: 1 }, |at| {
            let (_, line, column) = self.machine.modules().place(main, at.range.start());
            Position { line, column }
        })
    }

    /// A fault about a value.
    pub(super) fn fault(&mut self, at: Position, message: String, hint: &str) {
        self.faults.error(at, message).hint(hint);
    }

    /// Says why something is not known.
    pub(super) fn unknown(&mut self, what: &str, unknown: &Unknown, used: At) {
        let modules = self.machine.modules();
        let at = self.position(unknown.at, used);
        let expression = shortened(&self.machine.source(unknown.at));
        let message = if expression.is_empty() {
            format!("{what} is not known: {}", unknown.reason)
        } else {
            format!("{what} is not known: `{expression}`: {}", unknown.reason)
        };
        let hint = unknown
            .hint
            .clone()
            .unwrap_or_else(|| UNKNOWN_HINT.to_owned());
        self.faults.undecided = true;
        let mut fault = Diagnostic::error(self.faults.place(at), message).hint(hint);
        if unknown.at.module != self.machine.main() {
            let (path, line, column) = modules.place(unknown.at.module, unknown.at.range.start());
            let place = Place::at(path.clone(), line, column);
            fault = fault.related(place, "it comes from here");
        }
        self.faults.push(fault);
    }

    /// A value as a node; `None` after a fault. `what` names it in messages.
    pub(super) fn node(&mut self, value: &Value, used: At, what: &str) -> Option<Node> {
        self.deep(value, used, what, 0)
    }

    fn deep(&mut self, value: &Value, used: At, what: &str, depth: usize) -> Option<Node> {
        let value = self.machine.settled(value);
        let at = self.position(value.at, used);
        if self.left == 0 || depth >= MAX_DEPTH {
            self.fault(
                at,
                format!("{what} holds too many values, or nests too deep"),
                HINT,
            );
            return None;
        }
        self.left -= 1;
        let content = match &value.kind {
            Kind::Unknown(unknown) => {
                let unknown = Rc::clone(unknown);
                self.unknown(what, &unknown, used);
                return None;
            }
            Kind::None => Content::Scalar(Json::Null),
            Kind::Bool(one) => Content::Scalar((*one).into()),
            Kind::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => Content::Scalar(number.into()),
                (_, Ok(number)) => Content::Scalar(number.into()),
                _ => return self.refuse(at, what, "a number of more than 64 bits"),
            },
            Kind::Float(number) => match serde_json::Number::from_f64(*number) {
                Some(number) => Content::Scalar(Json::Number(number)),
                None => return self.refuse(at, what, "a number that JSON has no form for"),
            },
            Kind::Text(text) | Kind::Path(text) | Kind::Zone(text) => {
                return self.text(&value, text, at, what);
            }
            // As Prefect writes spans in parameters, which a flow reads as well as ISO 8601.
            Kind::Constant(_) if let Some(seconds) = value.timedelta_seconds() => {
                Content::Scalar(seconds.into())
            }
            Kind::Constant(constant) => match constant.json() {
                Some(json @ (Json::String(_) | Json::Number(_))) => Content::Scalar(json),
                _ => return self.refuse(at, what, "a value that JSON has no form for"),
            },
            Kind::List(_) | Kind::Tuple(_) | Kind::Set(_) => {
                let mut items = Vec::new();
                let mut whole = true;
                for item in self.machine.items(&value).unwrap_or_default() {
                    match self.deep(&item, used, what, depth + 1) {
                        Some(item) => items.push(item),
                        None => whole = false,
                    }
                    if self.left == 0 {
                        return None;
                    }
                }
                if !whole {
                    return None;
                }
                Content::List(items)
            }
            Kind::Dict(_) => {
                let entries = self.machine.entries(&value).unwrap_or_default();
                return self.map(entries, at, used, what, depth);
            }
            Kind::Instance(_) => match self.machine.plain(&value) {
                Some(plain) => return self.deep(&plain, used, what, depth + 1),
                None => return self.refuse(at, what, "an object, which JSON has no form for"),
            },
            Kind::Record(_) => return self.record(&value, at, used, what, depth),
            Kind::Named(full) => {
                let reason = format!("`{full}` is outside of the repository");
                let unknown = Unknown {
                    reason,
                    at: value.at,
                    hint: None,
                };
                self.unknown(what, &unknown, used);
                return None;
            }
            Kind::Function(_) | Kind::Bound(_) | Kind::Class(_) | Kind::Module(_) => {
                return self.refuse(at, what, "a function, class or module");
            }
        };
        let mut node = Node {
            at,
            content,
            hidden: None,
            written: None,
        };
        if let Content::Scalar(scalar) = &node.content {
            let shown = scalar.to_string();
            node.hidden = self.hidden(&value, &shown);
        }
        Some(node)
    }

    /// The variables that a value was computed from, which stand for it wherever it is shown.
    fn hidden(&mut self, value: &Value, shown: &str) -> Option<String> {
        let origin = value.origin.as_ref()?;
        for name in &origin.variables {
            self.faults.secrets.note(name, shown);
        }
        let templates = origin
            .variables
            .iter()
            .map(|name| format!("{{{{ ${name} }}}}"));
        Some(templates.collect::<Vec<_>>().join(" "))
    }

    fn refuse(&mut self, at: Position, what: &str, kind: &str) -> Option<Node> {
        self.fault(at, format!("{what} holds {kind}"), HINT);
        None
    }

    fn text(&mut self, value: &Value, text: &str, at: Position, what: &str) -> Option<Node> {
        if text.contains(ABOVE) {
            let message = format!(
                "{what} holds the path of the checkout, which differs from machine to machine"
            );
            self.fault(
                at,
                message,
                "cut it off: `Path(__file__).relative_to(…)`, or name the path from the root",
            );
            return None;
        }
        let origin = value.origin.as_ref();
        let template = origin.and_then(|origin| origin.template.as_deref());
        if let (Some(template), Kind::Text(_)) = (template, &value.kind) {
            return Some(Node::scalar(at, template.into()));
        }
        let mut node = Node::scalar(at, text.into());
        node.hidden = self.hidden(value, text);
        Some(node)
    }

    /// The entries of a mapping; keys that are no text are written as JSON has them.
    pub(super) fn map(
        &mut self,
        entries: Vec<(Value, Value)>,
        at: Position,
        used: At,
        what: &str,
        depth: usize,
    ) -> Option<Node> {
        let mut map: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut whole = true;
        for (key, value) in entries {
            let key = self.machine.plain(&key).unwrap_or(key);
            let name = match &key.kind {
                Kind::Text(text) | Kind::Path(text) => text.to_string(),
                Kind::Int(number) => number.to_string(),
                Kind::Bool(one) => one.to_string(),
                Kind::None => "null".to_owned(),
                Kind::Unknown(unknown) => {
                    let unknown = Rc::clone(unknown);
                    self.unknown(what, &unknown, used);
                    whole = false;
                    continue;
                }
                _ => {
                    self.refuse(at, what, "a key that is no text");
                    whole = false;
                    continue;
                }
            };
            let key_at = self.position(key.at, used);
            match self.deep(&value, used, what, depth + 1) {
                Some(value) => map.push(Entry {
                    key: name,
                    at: key_at,
                    value,
                }),
                None => whole = false,
            }
            if self.left == 0 {
                return None;
            }
        }
        whole.then_some(Node {
            at,
            content: Content::Map(map),
            hidden: None,
            written: None,
        })
    }

    /// An object of Prefect's as the mapping that `prefect.yaml` has for it.
    fn record(
        &mut self,
        value: &Value,
        at: Position,
        used: At,
        what: &str,
        depth: usize,
    ) -> Option<Node> {
        let kind = self.machine.record_kind(value).unwrap_or_default();
        let typed = kind
            .strip_suffix("-trigger")
            .or(kind.ends_with("-sla").then_some(""));
        match (kind, typed) {
            (_, Some(trigger)) => {
                let kind = kind.strip_suffix("-sla").map_or(trigger, |_| match kind {
                    "time-to-completion-sla" => "TimeToCompletionSla",
                    "frequency-sla" => "FrequencySla",
                    "lateness-sla" => "LatenessSla",
                    _ => "FreshnessSla",
                });
                let key = if kind.ends_with("Sla") {
                    "sla_type"
                } else {
                    "type"
                };
                let mut entries = vec![(Value::text(key, value.at), Value::text(kind, value.at))];
                entries.extend(self.named(value));
                self.map(entries, at, used, what, depth)
            }
            ("mapping" | "namespace" | "concurrency", _) => {
                let entries = self.named(value);
                self.map(entries, at, used, what, depth)
            }
            ("moment", _) => {
                let moment = self.machine.field(value, "moment")?;
                self.deep(&moment, used, what, depth + 1)
            }
            ("block", _) => {
                let message = format!("{what} holds a block, which only the server can read");
                self.fault(at, message, "write \"{{ prefect.blocks.TYPE.NAME }}\" where the worker shall put it in, or pass the block's name");
                None
            }
            _ => self.refuse(at, what, "an object, which JSON has no form for"),
        }
    }

    /// The fields of a record that are set, as entries.
    pub(super) fn named(&self, value: &Value) -> Vec<(Value, Value)> {
        let fields = self.machine.fields(value).0.into_iter();
        fields
            .filter(|(name, value)| !value.is_none() && !name.starts_with('_'))
            .map(|(name, field)| (Value::text(name, field.at), field))
            .collect()
    }
}

/// A source's first line, not too long for a message.
fn shortened(source: &str) -> String {
    let line = source.lines().next().unwrap_or("").trim();
    let cut: String = line.chars().take(60).collect();
    if cut.len() < line.len() || source.lines().count() > 1 {
        format!("{cut}…")
    } else {
        cut
    }
}
