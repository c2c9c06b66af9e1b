//! Templates in deployment files: `{{ $VAR }}`, `{{ prefect.blocks.x.y }}`, `{{ prefect.variables.z }}` and ours under
//! `flowyard.`.
//!
//! What belongs to the orchestrator is passed on as written and only noted, so that no secret of it is ever resolved
//! here. A value from the process's environment is put in, and marked so that no report shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::model::{Reference, nearest};

pub(super) static TEMPLATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{\s*([^{}]*?)\s*\}\}").expect("a valid pattern"));

/// The prefix of values that are known only when the code has been hashed; see [`resolve_late`].
const CODE: &str = "flowyard.code.";

/// The deployment's image; see [`resolve_late`].
pub(super) const IMAGE: &str = "flowyard.image";

/// The prefix of what steps give; see [`Step`](crate::model::Step).
const STEP: &str = "flowyard.step.";

/// How the names of a kind begin, and what to do about one that is not known.
const KINDS: &[(&str, &str)] = &[
    (
        "flowyard.vars.",
        "declare it in flowyard.toml under `[vars]` or `[environments.NAME.vars]`",
    ),
    (
        "flowyard.terraform.",
        "it is in none of the files under `terraform-outputs` in flowyard.toml",
    ),
    (
        "flowyard.git.",
        "known are flowyard.git.sha, flowyard.git.short_sha and flowyard.git.branch",
    ),
];

/// Of which kinds templates are.
const KNOWN: &str = "known are $VARIABLE, prefect.blocks.*, prefect.variables.* and flowyard.*";

/// Who resolves what of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All of it here, other than blocks and variables.
    Here,
    /// In a pull step: the worker, whose environment it is that `{{ $VAR }}` names, and whose steps have outputs.
    Worker,
    /// In a trigger: what is not known here is the event's, `{{ event.resource.id }}`.
    Event,
}

/// Whether a template's name is not that of a step's output.
pub(super) fn is_ours_or_prefects(name: &str) -> bool {
    // `ctx.` is what Prefect puts in when a run begins.
    name.starts_with('$')
        || ["prefect.", "flowyard.", "ctx."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// What templates can name.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// The environment of the process; `None` leaves `{{ $VAR }}` as it is, for runs that need no secret.
    pub environment: Option<BTreeMap<String, String>>,
    /// Values by their full name, `flowyard.env` and the like; `flowyard.vars.*` may be any scalar.
    pub known: BTreeMap<String, Value>,
    /// Names that have no value here, with the fault of a template that names them.
    pub withheld: BTreeMap<String, TemplateFault>,
}

/// A text with its templates resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Text, or any scalar where the whole text is one `flowyard.vars` template.
    pub value: Value,
    /// The variables of the process's environment whose values are in it, and those values.
    pub variables: BTreeMap<String, String>,
    /// Blocks and variables of the orchestrator that it names.
    pub references: BTreeSet<Reference>,
}

/// A template that cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Values {
    /// Resolves every template of `text`; `None` where it has none. `pull` steps run on the worker, whose
    /// environment it is then that `{{ $VAR }}` names.
    pub fn resolve(&self, text: &str, place: Place) -> Option<Result<Resolved, TemplateFault>> {
        if !text.contains("{{") {
            return None;
        }
        Some(self.resolve_all(text, place))
    }

    fn resolve_all(&self, text: &str, place: Place) -> Result<Resolved, TemplateFault> {
        let mut resolved = Resolved {
            value: Value::Null,
            variables: BTreeMap::new(),
            references: BTreeSet::new(),
        };
        let mut out = String::with_capacity(text.len());
        let mut rest_from = 0;
        for found in TEMPLATE.captures_iter(text) {
            let (whole, name) = (found.get_match(), &found[1]);
            let piece = if let Some(variable) = name.strip_prefix('$') {
                match &self.environment {
                    Some(environment) if place != Place::Worker => {
                        let value = environment.get(variable).ok_or_else(|| TemplateFault {
                            message: format!("the environment variable `{variable}` is not set"),
                            hint: Some(format!("set {variable}, or put the value under `vars` in flowyard.toml and write {{{{ flowyard.vars.… }}}}")),
                        })?;
                        resolved
                            .variables
                            .insert(variable.to_owned(), value.clone());
                        Value::String(value.clone())
                    }
                    _ => Value::String(whole.as_str().to_owned()),
                }
            } else if let Some(reference) = reference(name) {
                resolved.references.insert(reference?);
                Value::String(whole.as_str().to_owned())
            } else if name.starts_with(CODE)
                || name == IMAGE
                || name.starts_with(STEP)
                || name.starts_with("ctx.")
                || (place != Place::Here && is_output(name))
            {
                Value::String(whole.as_str().to_owned())
            } else {
                self.known
                    .get(name)
                    .cloned()
                    .ok_or_else(|| self.unknown(name))?
            };
            if whole.range() == (0..text.len()) {
                resolved.value = piece;
                return Ok(resolved);
            }
            out.push_str(&text[rest_from..whole.start()]);
            match piece {
                Value::String(piece) => out.push_str(&piece),
                other => out.push_str(&other.to_string()),
            }
            rest_from = whole.end();
        }
        out.push_str(&text[rest_from..]);
        resolved.value = Value::String(out);
        Ok(resolved)
    }

    /// Adds a value.
    pub fn know(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.known.insert(name.into(), value.into());
    }

    /// Adds a name that has no value here: what is wrong with a template that names it, and what to do.
    pub fn withhold(&mut self, name: impl Into<String>, message: &str, hint: &str) {
        let fault = TemplateFault {
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
        };
        self.withheld.insert(name.into(), fault);
    }

    /// Why a name has no value.
    fn unknown(&self, name: &str) -> TemplateFault {
        if let Some(fault) = self.withheld.get(name) {
            return fault.clone();
        }
        let known = self.known.keys().chain(self.withheld.keys());
        let known = known.map(String::as_str);
        // What all names of a kind have in common must not make near misses of them.
        let kind = KINDS.iter().find(|(kind, _)| name.starts_with(kind));
        let (near, otherwise) = match kind {
            Some((kind, otherwise)) => {
                let known = known.filter_map(|known| known.strip_prefix(kind));
                let near = nearest(&name[kind.len()..], known);
                (near.map(|near| format!("{kind}{near}")), *otherwise)
            }
            None => (nearest(name, known).map(str::to_owned), KNOWN),
        };
        TemplateFault {
            message: format!("unknown template `{name}`"),
            hint: Some(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => otherwise.to_owned(),
            }),
        }
    }
}

/// Resolves what is known only when the code has been hashed: `{{ flowyard.code.path }}`, `{{ flowyard.code.digest }}` and
/// `{{ flowyard.image }}`, each where `get` knows its name.
pub fn resolve_late(value: &mut Value, get: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) if text.contains(CODE) || text.contains(IMAGE) => {
            *text = TEMPLATE
                .replace_all(text, |found: &regex::Captures<'_>| {
                    get(&found[1]).unwrap_or_else(|| found[0].to_owned())
                })
                .into_owned();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| resolve_late(item, get)),
        Value::Object(map) => map.values_mut().for_each(|item| resolve_late(item, get)),
        _ => {}
    }
}

/// Whether a template may name an output of an earlier pull step, `clone.directory`: only a worker knows it.
fn is_output(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|one| one.is_alphanumeric() || "_-".contains(one))
    };
    !name.starts_with("flowyard.") && name.split('.').all(part)
}

/// What of the orchestrator a template names; `None` where it is none of the orchestrator's.
fn reference(name: &str) -> Option<Result<Reference, TemplateFault>> {
    if let Some(variable) = name.strip_prefix("prefect.variables.") {
        return Some(Ok(Reference::Variable {
            name: variable.split('.').next()?.to_owned(),
        }));
    }
    let block = name.strip_prefix("prefect.blocks.")?;
    let mut parts = block.split('.').filter(|part| !part.is_empty());
    Some(match (parts.next(), parts.next()) {
        (Some(kind), Some(name)) => Ok(Reference::Block {
            kind: kind.to_owned(),
            name: name.to_owned(),
        }),
        _ => Err(TemplateFault {
            message: format!("`{name}` names no block"),
            hint: Some("write {{ prefect.blocks.TYPE.NAME }}".to_owned()),
        }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Values {
        Values {
            environment: Some(BTreeMap::from([("TOKEN".to_owned(), "hush".to_owned())])),
            known: BTreeMap::from([
                ("flowyard.env".to_owned(), json!("prod")),
                ("flowyard.vars.limit".to_owned(), json!(50)),
            ]),
            withheld: BTreeMap::new(),
        }
    }

    fn resolve(text: &str) -> Result<Resolved, TemplateFault> {
        values().resolve(text, Place::Here).expect("has templates")
    }

    #[test]
    fn values_are_put_in() {
        assert_eq!(values().resolve("plain }} text", Place::Here), None);
        assert_eq!(
            resolve("{{ flowyard.vars.limit }}").expect("known").value,
            json!(50)
        );
        assert_eq!(
            resolve("a {{flowyard.vars.limit}}/{{ flowyard.env }}")
                .expect("known")
                .value,
            json!("a 50/prod")
        );
        let token = resolve("t={{ $TOKEN }}").expect("set");
        let hush = BTreeMap::from([("TOKEN".to_owned(), "hush".to_owned())]);
        assert_eq!((token.value, token.variables), (json!("t=hush"), hush));
    }

    #[test]
    fn the_orchestrators_are_passed_on() {
        let text =
            "{{ prefect.blocks.secret.pw }}-{{ prefect.variables.x }}-{{ flowyard.code.path }}";
        let resolved = resolve(text).expect("passed on");
        assert_eq!(resolved.value, json!(text));
        assert_eq!(resolved.references.len(), 2);
        let on_worker = values()
            .resolve("{{ $TOKEN }}", Place::Worker)
            .expect("template")
            .expect("fine");
        assert_eq!(
            (on_worker.value, on_worker.variables),
            (json!("{{ $TOKEN }}"), BTreeMap::new())
        );
        let mut value = json!(["{{ flowyard.code.path }}x"]);
        let known = |name: &str| match name {
            "flowyard.code.path" => Some("p/d/".to_owned()),
            "flowyard.code.digest" => Some("d".to_owned()),
            _ => None,
        };
        resolve_late(&mut value, &known);
        assert_eq!(value, json!(["p/d/x"]));
    }

    #[test]
    fn what_is_unknown_is_a_fault() {
        assert_eq!(
            resolve("{{ $NOPE }}").expect_err("unset").message,
            "the environment variable `NOPE` is not set"
        );
        let hint = |text: &str| resolve(text).expect_err("unknown").hint.expect("a hint");
        assert_eq!(
            hint("{{ flowyard.vars.limits }}"),
            "did you mean `flowyard.vars.limit`?"
        );
        assert!(hint("{{ flowyard.vars.env }}").starts_with("declare it in flowyard.toml"));
        assert_eq!(hint("{{ flowyard.evn }}"), "did you mean `flowyard.env`?");
        assert_eq!(
            hint("{{ flowyard.var.limit }}"),
            "did you mean `flowyard.vars.limit`?"
        );
        assert!(hint("{{ flowyard.git.vars }}").starts_with("known are flowyard.git.sha"));
        assert!(hint("{{ flowyard.terraform.limit }}").contains("`terraform-outputs`"));
        assert!(resolve("{{ build-image.tag }}").is_err());
        assert!(resolve("{{ prefect.blocks.secret }}").is_err());
    }

    #[test]
    fn what_has_no_value_here_is_told_as_such() {
        let mut values = values();
        values.withhold("flowyard.git.sha", "there is no commit yet", "commit first");
        let resolve = |text| values.resolve(text, Place::Here).expect("has templates");
        let fault = resolve("v{{ flowyard.git.sha }}").expect_err("it has no value");
        assert_eq!(fault.message, "there is no commit yet");
        assert_eq!(fault.hint.as_deref(), Some("commit first"));
        let fault = resolve("{{ flowyard.git.shaa }}").expect_err("it is unknown");
        assert_eq!(
            fault.hint.as_deref(),
            Some("did you mean `flowyard.git.sha`?")
        );
    }
}
