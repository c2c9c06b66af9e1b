//! What a `.deployment.py` file registered when it was run, as the drafts that every format is brought to.

use serde_json::Value;

use super::Python;
use super::image::{BUILT, Docker};
use super::source::from;
use crate::discover::Tree;
use crate::model::{Captured, CapturedDeployment, Diagnostic, Place, RepoPath};
use crate::read::document::{Content, Entry, Node, Position};
use crate::read::draft::Draft;
use crate::read::faults::Faults;
use crate::read::image::Defaults;

/// A shorter value of a variable hides only what it is the whole of: it may stand in any text by chance.
const SHORTEST_PART: usize = 4;

/// The drafts of what a file registered; its fault where it failed. Every value stands at the call that registered it.
pub(in crate::read) fn captured(
    captured: &Captured,
    file: &RepoPath,
    settings: &Python,
    images: &Defaults,
    tree: &Tree,
    faults: &mut Faults<'_>,
) -> Vec<Draft> {
    let registered = match captured {
        Captured::Registered(registered) => registered,
        Captured::Failed(fault) => {
            faults.push((**fault).clone());
            return Vec::new();
        }
    };
    if registered.is_empty() {
        let warning = Diagnostic::warning(
            Place::file(file.clone()),
            "the file registers no deployment",
        );
        faults.push(
            warning
                .hint("a deployment that is built and never applied, deployed or served is none"),
        );
    }
    let project = file.parent().unwrap_or_default();
    let variables: Vec<(&str, &str)> = settings
        .environment
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    for (name, value) in &variables {
        faults.secrets.note(name, value);
    }
    registered
        .iter()
        .map(|one| draft(one, &project, (images, tree), &variables))
        .collect()
}

fn draft(
    one: &CapturedDeployment,
    project: &RepoPath,
    (images, tree): (&Defaults, &Tree),
    variables: &[(&str, &str)],
) -> Draft {
    let at = Position {
        line: one.line.max(1),
        column: 1,
    };
    let mut declares = one.declares.clone();
    if let (Some(file), Some(Value::String(function))) = (&one.file, declares.get("entrypoint")) {
        let entrypoint = format!("{}:{function}", from(project, file));
        declares.insert("entrypoint".to_owned(), entrypoint.into());
    }
    let built = declares.remove(BUILT);
    let mut node = node(&Value::Object(declares), at, variables);
    if let (Some(built), Content::Map(entries)) = (&built, &mut node.content)
        && let Some(docker) = Docker::captured(&self::node(built, at, variables))
    {
        let find = |path: &str| {
            [project, &RepoPath::root()]
                .iter()
                .filter_map(|folder| folder.resolve(path))
                .find(|path| tree.position(path).is_some())
        };
        entries.push(Entry {
            key: "image".to_owned(),
            at,
            value: docker.asked(project, images, &find),
        });
    }
    let notes = one.notes.iter().cloned();
    let ran = "the file was run to know what it declares".to_owned();
    Draft {
        notes: notes.chain([ran]).collect(),
        ..Draft::of(node, None)
    }
}

fn node(value: &Value, at: Position, variables: &[(&str, &str)]) -> Node {
    let content = match value {
        Value::Array(items) => {
            Content::List(items.iter().map(|one| node(one, at, variables)).collect())
        }
        Value::Object(map) => Content::Map(
            map.iter()
                .map(|(key, value)| Entry {
                    key: key.clone(),
                    at,
                    value: node(value, at, variables),
                })
                .collect(),
        ),
        scalar => {
            return Node {
                hidden: hidden(scalar, variables),
                ..Node::scalar(at, scalar.clone())
            };
        }
    };
    Node {
        at,
        content,
        hidden: None,
        written: None,
    }
}

/// The variables whose values a text holds: they stand for it wherever it is shown.
fn hidden(scalar: &Value, variables: &[(&str, &str)]) -> Option<String> {
    let text = match scalar {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let named: Vec<String> = variables
        .iter()
        .filter(|(_, value)| {
            text == *value || (value.len() >= SHORTEST_PART && text.contains(value))
        })
        .map(|(name, _)| format!("{{{{ ${name} }}}}"))
        .collect();
    (!named.is_empty()).then(|| named.join(" "))
}
