//! What steps give to what stands after them.

use serde_json::{Map, Value};

use crate::model::{listed, nearest};
use crate::read::document::{Content, Node};
use crate::read::faults::Faults;
use crate::read::template::{TEMPLATE, is_ours_or_prefects};

/// The outputs of the steps so far, by id and by their own names.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    values: Map<String, Value>,
    /// The steps whose outputs only they themselves know, by id: how a template for one of them begins.
    open: Vec<(Option<String>, String)>,
}

impl Outputs {
    /// Adds what a step gives.
    pub(super) fn add(&mut self, id: Option<&str>, given: Map<String, Value>) {
        if let Some(id) = id {
            self.values
                .insert(id.to_owned(), Value::Object(given.clone()));
        }
        self.values.extend(given);
    }

    /// Adds a step that may give anything; `template` is what a template of its outputs begins with.
    pub(super) fn add_open(&mut self, id: Option<&str>, template: String) {
        self.open.push((id.map(str::to_owned), template));
    }

    /// The value of a template's name.
    fn get(&self, name: &str) -> Option<Value> {
        let mut parts = name.split('.');
        let first = self.values.get(parts.next()?);
        if let Some(value) = first.and_then(|first| parts.try_fold(first, |at, key| at.get(key))) {
            return Some(value.clone());
        }
        let own = self.open.iter().rev().find_map(|(id, template)| {
            let key = name.strip_prefix(id.as_deref()?)?.strip_prefix('.')?;
            Some((template, key))
        });
        let (template, key) = match own {
            Some(own) => own,
            // Without an id it could be any of them; the last wins.
            None if !name.contains('.') => (&self.open.last()?.1, name),
            None => return None,
        };
        Some(Value::String(format!("{{{{ {template}.{key} }}}}")))
    }

    /// Puts outputs into a value; a name that no step has is a fault.
    pub(super) fn put(&self, scalar: &mut Node, faults: &mut Faults<'_>) {
        let at = scalar.at;
        self.replace(scalar, &mut |name| {
            if faults.are_many() {
                faults.error(at, "");
                return;
            }
            let known = self.values.keys().map(String::as_str);
            let hint = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.values.is_empty() => {
                    "no step before it has an output; known are $VARIABLE, prefect.* and flowyard.*"
                        .to_owned()
                }
                None => {
                    let known: Vec<&str> = self.values.keys().map(String::as_str).collect();
                    format!("the steps give: {}", listed(&known))
                }
            };
            faults
                .error(at, format!("no step gives `{name}`"))
                .hint(hint);
        });
    }

    /// Puts outputs into a value of a pull step, which may name outputs of other pull steps, too.
    pub(super) fn put_known(&self, scalar: &mut Node) {
        self.replace(scalar, &mut |_| {});
    }

    fn replace(&self, scalar: &mut Node, missing: &mut dyn FnMut(&str)) {
        let Some(text) = scalar.as_str().filter(|text| text.contains("{{")) else {
            return;
        };
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for found in TEMPLATE.captures_iter(text) {
            let (whole, name) = (found.get_match(), &found[1]);
            if is_ours_or_prefects(name) {
                continue;
            }
            let Some(value) = self.get(name) else {
                missing(name);
                continue;
            };
            if whole.range() == (0..text.len()) && !value.is_object() && !value.is_array() {
                scalar.content = Content::Scalar(value);
                return;
            }
            out.push_str(&text[from..whole.start()]);
            match value {
                Value::String(value) => out.push_str(&value),
                other => out.push_str(&other.to_string()),
            }
            from = whole.end();
        }
        if from > 0 {
            out.push_str(&text[from..]);
            scalar.content = Content::Scalar(Value::String(out));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::RepoPath;
    use crate::read::document::Position;

    fn put(text: &str) -> (Value, Vec<String>) {
        let mut outputs = Outputs::default();
        let given = |value: Value| value.as_object().cloned().unwrap_or_default();
        outputs.add(Some("sha"), given(json!({"stdout": "abc", "stderr": ""})));
        outputs.add(Some("build"), given(json!({"image": "r/x:1", "tag": 1})));
        outputs.add_open(Some("own"), "flowyard.step.0f".to_owned());
        let path = RepoPath::new("prefect.yaml");
        let mut faults = Faults::of(&path);
        let mut node = Node::scalar(Position { line: 1, column: 1 }, text.into());
        outputs.put(&mut node, &mut faults);
        let said = faults.into_parts().0.into_iter();
        (node.to_value(), said.map(|fault| fault.message).collect())
    }

    #[test]
    fn outputs_go_by_id_and_by_name() {
        for (text, value) in [
            ("{{ sha.stdout }}", json!("abc")),
            ("{{stdout}}-{{ build.image }}", json!("abc-r/x:1")),
            ("{{ build.tag }}", json!(1)),
            (
                "{{ $X }} {{ prefect.blocks.secret.x }} {{ ctx.flow_run.name }}",
                json!("{{ $X }} {{ prefect.blocks.secret.x }} {{ ctx.flow_run.name }}"),
            ),
            (
                "a {{ own.version }}",
                json!("a {{ flowyard.step.0f.version }}"),
            ),
            ("{{ version }}", json!("{{ flowyard.step.0f.version }}")),
        ] {
            assert_eq!(put(text), (value, Vec::new()), "{text}");
        }
        assert_eq!(put("{{ sah.stdout }}").1, ["no step gives `sah.stdout`"]);
    }
}
