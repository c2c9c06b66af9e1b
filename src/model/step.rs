//! What a file has run before its deployments are registered, and values that are known only then.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Place, RepoPath};

/// A step whose output is known only once a deploy has run it.
///
/// Until then `{{ flowyard.step.KEY.NAME }}` stands in the fields for what it gives under `NAME`.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it is called in templates: the same for the same step of several deployments of a file.
    pub key: String,
    /// The dotted path of its function, `prefect.deployments.steps.run_shell_script`.
    pub function: String,
    /// Its keyword arguments, an object; outputs of earlier steps are templates in it.
    pub inputs: Value,
    /// The folder that it is run in.
    pub folder: RepoPath,
    /// The script, or the function's name: what people are shown.
    pub shown: String,
    /// Where the file says so.
    pub place: Place,
}

/// What steps gave, by their keys: an object each.
pub type Outputs = BTreeMap<String, Value>;

const BEGIN: &str = "{{ flowyard.step.";
const END: &str = " }}";

/// What people see in the place of an output that is not known yet.
const UNKNOWN: &str = "(known at deploy)";

/// Puts the outputs of steps into every text of a value; what no step gave stays. Adds the dotted path of every text that
/// named one, below `path`, with the key of the step, to `found`.
pub fn put_outputs(
    value: &mut Value,
    path: &str,
    outputs: &Outputs,
    found: &mut BTreeMap<String, String>,
) {
    match value {
        Value::String(text) => {
            if let Some((new, key)) =
                replaced(text, |key, name| outputs.get(key)?.get(name).cloned())
            {
                found.insert(path.to_owned(), key);
                *value = new;
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                put_outputs(item, &format!("{path}.{at}"), outputs, found);
            }
        }
        Value::Object(map) => put_into(map, path, outputs, found),
        _ => {}
    }
}

fn put_into(
    map: &mut Map<String, Value>,
    path: &str,
    outputs: &Outputs,
    found: &mut BTreeMap<String, String>,
) {
    for (key, item) in map {
        put_outputs(item, &format!("{path}.{key}"), outputs, found);
    }
}

/// A text with words in place of the outputs that are not known yet.
pub fn without_outputs(text: &str) -> String {
    match replaced(text, |_, _| Some(UNKNOWN.into())) {
        Some((Value::String(text), _)) => text,
        _ => text.to_owned(),
    }
}

/// Whether a value still waits for the output of a step.
pub fn awaits_output(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(BEGIN),
        Value::Array(items) => items.iter().any(awaits_output),
        Value::Object(map) => map.values().any(awaits_output),
        _ => false,
    }
}

/// The text with its templates replaced, and the key of the last of them; `None` where it has none.
fn replaced(text: &str, get: impl Fn(&str, &str) -> Option<Value>) -> Option<(Value, String)> {
    let mut rest = text.split_once(BEGIN)?.1;
    let mut out = text[..text.len() - rest.len() - BEGIN.len()].to_owned();
    let mut last;
    loop {
        let (inner, after) = rest.split_once(END)?;
        let (key, name) = inner.split_once('.')?;
        last = key.to_owned();
        let value = get(key, name);
        if out.is_empty() && after.is_empty() {
            let value = value.unwrap_or_else(|| text.into());
            return Some((value, last));
        }
        match value {
            Some(Value::String(value)) => out += &value,
            Some(value) => out += &value.to_string(),
            None => out += &format!("{BEGIN}{inner}{END}"),
        }
        match after.split_once(BEGIN) {
            Some((before, next)) => {
                out += before;
                rest = next;
            }
            None => {
                out += after;
                return Some((out.into(), last));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outputs_are_put_in_and_their_places_told() {
        let outputs = Outputs::from([("0f".to_owned(), json!({"stdout": "abc", "n": 3}))]);
        let mut value = json!({
            "image": "r/x:{{ flowyard.step.0f.stdout }}-{{ flowyard.step.0f.n }}!",
            "n": ["{{ flowyard.step.0f.n }}", "plain {{ $X }}"],
            "open": "{{ flowyard.step.1a.stdout }}",
        });
        let mut found = BTreeMap::new();
        put_outputs(&mut value, "f", &outputs, &mut found);
        assert_eq!(
            value,
            json!({"image": "r/x:abc-3!", "n": [3, "plain {{ $X }}"], "open": "{{ flowyard.step.1a.stdout }}"})
        );
        let paths: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(paths, ["f.image", "f.n.0", "f.open"]);
        assert!(awaits_output(&value));
        assert_eq!(
            without_outputs("x:{{ flowyard.step.1a.stdout }}"),
            "x:(known at deploy)"
        );
        assert_eq!(
            without_outputs("{{ flowyard.step.1a"),
            "{{ flowyard.step.1a"
        );
    }
}
