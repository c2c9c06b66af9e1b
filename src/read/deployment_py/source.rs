//! Where the flow of a deployment is: the file and the function in it.

use std::rc::Rc;

use super::node::Nodes;
use super::registration::Registration;
use crate::model::RepoPath;
use crate::read::document::{Content, Entry, Node, Position};
use crate::read::python::program::{At, Kind, Value};

/// What a deployment runs.
pub(super) struct Source {
    /// `path.py:function`, the path from the project's folder.
    pub(super) entrypoint: String,
    /// The flow's name, where the file gives it another than its function has.
    pub(super) flow_name: Option<Value>,
    /// How the worker gets the code, where that is not our release.
    pub(super) pull: Option<Node>,
}

/// Finds it; `None` after a fault.
pub(super) fn of(
    registration: &Registration,
    project: &RepoPath,
    at: Position,
    nodes: &mut Nodes<'_, '_, '_, '_>,
) -> Option<Source> {
    let fields = &registration.fields;
    let used = registration.at;
    let given = |name: &str| fields.get(name).filter(|value| !value.is_none()).cloned();
    if let Some(entrypoint) = given("entrypoint") {
        let storage = given("storage").filter(|value| {
            matches!(
                nodes.machine().record_kind(value),
                Some("git" | "remote" | "local")
            )
        });
        return located(storage.as_ref(), &entrypoint, project, used, nodes);
    }
    let Some(flow) = given("flow") else {
        nodes.fault(
            at,
            "the deployment has no flow".to_owned(),
            "pass `flow=my_flow`, or `entrypoint=\"flow.py:my_flow\"`",
        );
        return None;
    };
    let flow = nodes.machine().settled(&flow);
    match &flow.kind {
        Kind::Unknown(unknown) => {
            let unknown = Rc::clone(unknown);
            nodes.unknown("the flow of this deployment", &unknown, used);
            return None;
        }
        Kind::Record(_) if nodes.machine().record_kind(&flow) == Some("flow") => {}
        _ => {
            nodes.fault(
                at,
                "what is deployed is not a flow".to_owned(),
                "decorate the function with `@flow` from Prefect",
            );
            return None;
        }
    }
    if let (Some(source), Some(entrypoint)) = (
        nodes.machine().field(&flow, "_source"),
        nodes.machine().field(&flow, "_entrypoint"),
    ) {
        return located(Some(&source), &entrypoint, project, used, nodes);
    }
    let function = nodes.machine().field(&flow, "fn");
    let function = function.and_then(|function| nodes.machine().function(&function));
    let Some(function) = function else {
        nodes.fault(
            at,
            "the function of this deployment's flow is not known".to_owned(),
            "declare the deployment in NAME.deployment.yaml",
        );
        return None;
    };
    if !function.top {
        let position = nodes.position(function.at, used);
        let message = format!(
            "the flow `{}` is made inside of a function, where no worker finds it",
            function.name
        );
        nodes.fault(position, message, "define it at the top level of its file");
        return None;
    }
    let file = nodes.machine().modules().path(function.at.module);
    let entrypoint = format!("{}:{}", from(project, file), function.name);
    // The decorator's own name is read where the flow is; here counts only what another call says.
    let renamed = nodes.machine().field(&flow, "_renamed").is_some();
    let flow_name = nodes.machine().field(&flow, "name").filter(|_| renamed);
    Some(Source {
        entrypoint,
        flow_name,
        pull: None,
    })
}

/// The path of a file as it is written from a folder.
pub(super) fn from(folder: &RepoPath, file: &RepoPath) -> String {
    let mut above = folder.clone();
    let mut up = String::new();
    loop {
        if let Some(inside) = file.below(&above) {
            return format!("{up}{inside}");
        }
        match above.parent() {
            Some(parent) => above = parent,
            None => return file.to_string(),
        }
        up.push_str("../");
    }
}

/// A flow by its entrypoint in a source: a folder of the repository, a git repository, or a remote storage.
fn located(
    source: Option<&Value>,
    entrypoint: &Value,
    project: &RepoPath,
    used: At,
    nodes: &mut Nodes<'_, '_, '_, '_>,
) -> Option<Source> {
    let entrypoint = nodes.machine().settled(entrypoint);
    if let Kind::Unknown(unknown) = &entrypoint.kind {
        nodes.unknown("`entrypoint`", &Rc::clone(unknown), used);
        return None;
    }
    let at = nodes.position(entrypoint.at, used);
    let Some((path, function)) = entrypoint.as_text().and_then(|text| text.rsplit_once(':')) else {
        nodes.fault(
            at,
            "`entrypoint` is no `path/to/flow.py:function`".to_owned(),
            "write it as path/to/flow.py:function",
        );
        return None;
    };
    let mut source = source.map(|source| nodes.machine().settled(source));
    if let Some(one) = &source
        && nodes.machine().record_kind(one) == Some("local")
    {
        source = nodes.machine().field(one, "path");
    }
    let simple = |entrypoint: String| {
        Some(Source {
            entrypoint,
            flow_name: None,
            pull: None,
        })
    };
    let Some(source) = source else {
        if !path.starts_with('/') {
            return simple(format!("{path}:{function}"));
        }
        let file = nodes.machine().repository_path(path);
        return match file {
            Some(file) => simple(format!("{}:{function}", from(project, &file))),
            None => {
                nodes.fault(
                    at,
                    format!("`{path}` is outside of the repository"),
                    "write the path from the repository's root",
                );
                None
            }
        };
    };
    match &source.kind {
        Kind::Unknown(unknown) => {
            nodes.unknown("`source`", &Rc::clone(unknown), used);
            None
        }
        Kind::Text(text) | Kind::Path(text) if !is_address(text) => {
            let folder = nodes.machine().repository_path(text);
            match folder.and_then(|folder| folder.resolve(path)) {
                Some(file) => simple(format!("{}:{function}", from(project, &file))),
                None => {
                    let at = nodes.position(source.at, used);
                    nodes.fault(
                        at,
                        format!("the source `{text}` is outside of the repository"),
                        "name a folder of the repository",
                    );
                    None
                }
            }
        }
        _ => {
            let pull = pull(&source, used, nodes)?;
            Some(Source {
                entrypoint: format!("{path}:{function}"),
                flow_name: None,
                pull: Some(pull),
            })
        }
    }
}

fn is_address(text: &str) -> bool {
    text.contains("://") || text.starts_with("git@")
}

/// The pull steps of a source outside of the repository.
fn pull(source: &Value, used: At, nodes: &mut Nodes<'_, '_, '_, '_>) -> Option<Node> {
    let at = nodes.position(source.at, used);
    let entry = |key: &str, value: Node| Entry {
        key: key.to_owned(),
        at,
        value,
    };
    let step = |name: &str, inputs: Vec<Entry>| {
        let inputs = Node {
            at,
            content: Content::Map(inputs),
            hidden: None,
            written: None,
        };
        let step = Node {
            at,
            content: Content::Map(vec![entry(name, inputs)]),
            hidden: None,
            written: None,
        };
        Node {
            at,
            content: Content::List(vec![step]),
            hidden: None,
            written: None,
        }
    };
    match nodes.machine().record_kind(source) {
        None => {
            let node = nodes.node(source, used, "`source`")?;
            let url = node.as_str().unwrap_or_default();
            // As Prefect tells a git repository from other storage.
            if url.ends_with(".git") || url.starts_with("git@") {
                let branch = entry("branch", Node::scalar(at, serde_json::Value::Null));
                let inputs = vec![entry("repository", node), branch];
                return Some(step("prefect.deployments.steps.git_clone", inputs));
            }
            let requires = required(url).map(|package| Node::scalar(at, package.into()));
            let mut inputs = vec![entry("url", node)];
            inputs.extend(requires.map(|package| entry("requires", package)));
            Some(step(REMOTE, inputs))
        }
        Some("git") => {
            let mut inputs = Vec::new();
            for (key, name) in [
                ("repository", "url"),
                ("branch", "branch"),
                ("clone_directory_name", "name"),
                ("directories", "directories"),
                ("include_submodules", "include_submodules"),
                ("commit_sha", "commit_sha"),
            ] {
                let value = nodes.machine().field(source, name);
                if let Some(value) = value.filter(|value| !is_default(name, value)) {
                    let node = nodes.node(&value, used, &format!("the source's `{name}`"))?;
                    inputs.push(entry(key, node));
                } else if name == "branch" {
                    // Which Prefect writes down in any case.
                    inputs.push(entry(key, Node::scalar(at, serde_json::Value::Null)));
                }
            }
            let text = |key: &str| {
                let found = inputs.iter().find(|entry| entry.key == key);
                found
                    .and_then(|entry| entry.value.as_str())
                    .map(str::to_owned)
            };
            let usual = usual_folder(&text("repository").unwrap_or_default(), text("branch"));
            inputs.retain(|entry| {
                entry.key != "clone_directory_name" || entry.value.as_str() != Some(&usual)
            });
            if let Some(credentials) = nodes
                .machine()
                .field(source, "credentials")
                .filter(|value| !value.is_none())
            {
                inputs.push(entry("credentials", credential(&credentials, used, nodes)?));
            }
            Some(step("prefect.deployments.steps.git_clone", inputs))
        }
        Some("block") => {
            let part = |name: &str| nodes.machine().field(source, name);
            let (Some(slug), Some(name)) = (part("_slug"), part("_name")) else {
                nodes.fault(
                    at,
                    "the source is a block that is kept under no name".to_owned(),
                    "save the block once, and load it here",
                );
                return None;
            };
            let inputs = [("block_type_slug", slug), ("block_document_name", name)];
            let mut entries = Vec::new();
            for (key, value) in inputs {
                entries.push(entry(key, nodes.node(&value, used, "the source's block")?));
            }
            Some(step("prefect.deployments.steps.pull_with_block", entries))
        }
        _ => {
            let mut inputs = Vec::new();
            for (name, value) in nodes.named(source) {
                let node = nodes.node(&value, used, "`source`")?;
                match name.as_text().unwrap_or_default() {
                    // How often a process that serves looks for new code, which a worker does for each run.
                    "pull_interval" => {}
                    name => inputs.push(entry(name, node)),
                }
            }
            let url = inputs.iter().find(|entry| entry.key == "url");
            let requires = url.and_then(|entry| required(entry.value.as_str()?));
            inputs.extend(
                requires.map(|package| entry("requires", Node::scalar(at, package.into()))),
            );
            Some(step(REMOTE, inputs))
        }
    }
}

const REMOTE: &str = "prefect.deployments.steps.pull_from_remote_storage";

/// Whether Prefect leaves an argument of a git repository out of the step.
fn is_default(name: &str, value: &Value) -> bool {
    match &value.kind {
        Kind::None | Kind::Bool(false) => true,
        Kind::Text(text) => name != "url" && text.is_empty(),
        _ => false,
    }
}

/// The folder that git clones into, where nobody names it.
fn usual_folder(url: &str, branch: Option<String>) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path.rsplit('/').next().unwrap_or(path).replace(".git", "");
    match branch {
        Some(branch) => format!("{name}-{}", branch.replace('/', "-")),
        None => name,
    }
}

/// The package that a worker needs for an address, as Prefect guesses it.
fn required(url: &str) -> Option<&'static str> {
    match url.split("://").next()? {
        "s3" => Some("s3fs"),
        "gs" | "gcs" => Some("gcsfs"),
        "abfs" | "az" => Some("adlfs"),
        _ => None,
    }
}

/// The credentials of a git repository: a block by its template, or a mapping whose values may be such blocks.
fn credential(value: &Value, used: At, nodes: &mut Nodes<'_, '_, '_, '_>) -> Option<Node> {
    let value = nodes.machine().settled(value);
    let at = nodes.position(value.at, used);
    let machine = nodes.machine();
    if machine.record_kind(&value) == Some("block") {
        let part = |name: &str| machine.field(&value, name);
        if let (Some(slug), Some(name)) = (part("_slug"), part("_name"))
            && let (Some(slug), Some(name)) = (slug.as_text(), name.as_text())
        {
            let template = format!("{{{{ prefect.blocks.{slug}.{name} }}}}");
            return Some(Node::scalar(at, template.into()));
        }
    }
    let Some(entries) = machine.entries(&value) else {
        return nodes.node(&value, used, "the source's `credentials`");
    };
    let mut map = Vec::new();
    for (key, value) in entries {
        let inner = if nodes.machine().record_kind(&value) == Some("block") {
            credential(&value, used, nodes)?
        } else {
            nodes.node(&value, used, "the source's `credentials`")?
        };
        map.push(Entry {
            key: key.as_text().unwrap_or_default().to_owned(),
            at,
            value: inner,
        });
    }
    Some(Node {
        at,
        content: Content::Map(map),
        hidden: None,
        written: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_from_the_project() {
        for (folder, file, expected) in [
            ("p", "p/flow.py", "flow.py"),
            ("p", "lib/flow.py", "../lib/flow.py"),
            ("a/b/c", "a/x/f.py", "../../x/f.py"),
            ("", "f.py", "f.py"),
        ] {
            assert_eq!(from(&RepoPath::new(folder), &RepoPath::new(file)), expected);
        }
    }
}
