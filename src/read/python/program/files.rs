//! Files of the repository that programs read, and the formats in them.

use super::{Arguments, At, Eval, Fields, Kind, Machine, Origin, Stop, Value};
use crate::read::document::{self, Content, Node, Syntax};
use std::rc::Rc;

impl<'a> Machine<'a> {
    /// `open(…)`: a file of the repository for reading; any other has no effect and is not known.
    pub(super) fn open(&mut self, arguments: &Arguments, at: At) -> Eval {
        if let Some(unknown) = arguments.unknown() {
            return Ok(Value::why(&unknown, at));
        }
        let mode = arguments
            .get(1, "mode")
            .and_then(Value::as_text)
            .unwrap_or("r");
        let Some(path) = arguments.get(0, "file").and_then(Value::as_path) else {
            return Ok(Value::unknown("what is opened is not known", at));
        };
        if mode.contains(['w', 'a', 'x', '+']) {
            return Ok(Value::unknown(
                "a file is written, which planning does not do",
                at,
            ));
        }
        let path = path.to_owned();
        let text = self.read_file(&path, at)?;
        if text.as_unknown().is_some() {
            return Ok(text);
        }
        Ok(self.record("file", Fields(vec![("text".into(), text)]), at))
    }

    pub(super) fn file_method(&mut self, base: &Value, name: &str, at: At) -> Eval {
        let text = self
            .field(base, "text")
            .unwrap_or_else(|| Value::text("", at));
        match name {
            "read" => Ok(Value::text(text.as_text().unwrap_or_default(), at)),
            "readlines" => {
                let lines = text.as_text().unwrap_or_default().split_inclusive('\n');
                let lines = lines.map(|line| Value::text(line, at)).collect();
                self.list(lines, at)
            }
            "close" | "__exit__" => Ok(Value::none(at)),
            "__enter__" => Ok(base.clone()),
            _ => Ok(Value::unknown(
                format!("`.{name}()` of a file is not evaluated"),
                at,
            )),
        }
    }

    /// `json.loads`, `yaml.safe_load`, `tomllib.load` and their like: from a text or an open file.
    pub(super) fn parsed(&mut self, syntax: Syntax, arguments: &Arguments, at: At) -> Eval {
        if let Some(unknown) = arguments.unknown() {
            return Ok(Value::why(&unknown, at));
        }
        let Some(given) = arguments
            .positional
            .first()
            .or(arguments.keywords.first().map(|(_, value)| value))
        else {
            return Ok(Value::unknown("what is read is not known", at));
        };
        let text = match self.record_kind(given) {
            Some("file") => self.field(given, "text"),
            _ => Some(given.clone()),
        };
        let Some(text) = text.as_ref().and_then(Value::as_text).map(str::to_owned) else {
            return Ok(Value::unknown("what is read is not known", at));
        };
        self.charge(1 + text.len() / 4, at)?;
        let origin = given.origin.clone();
        match document::parse(&text, syntax) {
            Ok((node, _)) => self.of_node(&node, origin.as_ref(), at),
            Err(fault) => {
                let class = if syntax == Syntax::Json {
                    "JSONDecodeError"
                } else {
                    "ValueError"
                };
                self.raise(class, fault.message, at)
            }
        }
    }

    /// A document's value; no deeper than documents may be.
    fn of_node(&mut self, node: &Node, origin: Option<&Rc<Origin>>, at: At) -> Eval {
        self.charge(1, at)?;
        let value = match &node.content {
            Content::Scalar(value) => self.of_json(value, at),
            Content::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.push(self.of_node(item, origin, at)?);
                }
                self.list(values, at)?
            }
            Content::Map(entries) => {
                let mut items = Vec::with_capacity(entries.len());
                for entry in entries {
                    let value = self.of_node(&entry.value, origin, at)?;
                    items.push((Value::text(entry.key.as_str(), at), value));
                }
                self.dict(items, at)?
            }
        };
        Ok(value.of(origin.cloned()))
    }

    fn of_json(&mut self, value: &serde_json::Value, at: At) -> Value {
        match value {
            serde_json::Value::Null => Value::none(at),
            serde_json::Value::Bool(one) => Value::bool(*one, at),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Value::new(Kind::Int(i128::from(whole)), at),
                (None, Some(float)) => Value::new(Kind::Float(float), at),
                _ => Value::unknown("the number is too large", at),
            },
            serde_json::Value::String(text) => Value::text(text.as_str(), at),
            _ => Value::unknown("it is no scalar", at),
        }
    }

    /// `json.dumps` in its plain form, or with `indent`, `sort_keys`, `ensure_ascii`, `separators`.
    pub(super) fn dumped(&mut self, arguments: &Arguments, at: At) -> Eval {
        let Some(value) = arguments.positional.first() else {
            return Ok(Value::unknown("what is written is not known", at));
        };
        let known = |name: &str| matches!(name, "ensure_ascii" | "sort_keys" | "default");
        if arguments.keywords.iter().any(|(name, _)| !known(name)) {
            return Ok(Value::unknown("such a form of JSON is not evaluated", at));
        }
        let flag =
            |name: &str, default: bool| match arguments.keyword(name).map(|value| &value.kind) {
                Some(Kind::Bool(one)) => *one,
                _ => default,
            };
        let form = Form {
            ascii: flag("ensure_ascii", true),
            sorted: flag("sort_keys", false),
        };
        let mut out = String::new();
        match self.dump(value, &form, 0, &mut out, at)? {
            Ok(()) => {
                let origin = Value::origins([value]);
                Ok(self.long(out, at)?.of(origin))
            }
            Err(unknown) => Ok(unknown),
        }
    }

    fn dump(
        &mut self,
        value: &Value,
        form: &Form,
        depth: usize,
        out: &mut String,
        at: At,
    ) -> Result<Result<(), Value>, Stop> {
        self.charge(1, at)?;
        self.fits(0, at)?;
        if depth > document::MAX_DEPTH || out.len() > (1 << 22) {
            return Ok(Err(Value::unknown(
                "it is too large to be written as JSON",
                at,
            )));
        }
        let value = self.settled(value);
        let value = self.plain_member(&value).unwrap_or(value);
        match &value.kind {
            Kind::None => out.push_str("null"),
            Kind::Bool(one) => out.push_str(if *one { "true" } else { "false" }),
            Kind::Int(_) | Kind::Float(_) => {
                out.push_str(&self.shown(&value, false).unwrap_or_default());
            }
            Kind::Text(text) => json_text(text, form.ascii, out),
            Kind::List(_) | Kind::Tuple(_) => {
                out.push('[');
                for (place, item) in self.items(&value).unwrap_or_default().iter().enumerate() {
                    if place > 0 {
                        out.push_str(", ");
                    }
                    if let Err(unknown) = self.dump(item, form, depth + 1, out, at)? {
                        return Ok(Err(unknown));
                    }
                }
                out.push(']');
            }
            Kind::Dict(_) => {
                let mut entries = self.entries(&value).unwrap_or_default();
                if form.sorted {
                    entries.sort_by(|a, b| a.0.as_text().cmp(&b.0.as_text()));
                }
                out.push('{');
                for (place, (key, item)) in entries.iter().enumerate() {
                    if place > 0 {
                        out.push_str(", ");
                    }
                    let Some(key) = key.as_text() else {
                        return Ok(Err(Value::unknown("a key of it is no text", at)));
                    };
                    json_text(key, form.ascii, out);
                    out.push_str(": ");
                    if let Err(unknown) = self.dump(item, form, depth + 1, out, at)? {
                        return Ok(Err(unknown));
                    }
                }
                out.push('}');
            }
            _ => {
                return Ok(Err(self.unsure(
                    &value,
                    "how it is written as JSON is not known",
                    at,
                )));
            }
        }
        Ok(Ok(()))
    }
}

struct Form {
    ascii: bool,
    sorted: bool,
}

fn json_text(text: &str, ascii: bool, out: &mut String) {
    use std::fmt::Write as _;
    let plain = serde_json::Value::from(text).to_string();
    if !ascii {
        out.push_str(&plain);
        return;
    }
    let mut units = [0; 2];
    for one in plain.chars() {
        if one.is_ascii() {
            out.push(one);
        } else {
            for unit in one.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}
