//! `[[flows]]` of `flowyard.toml`: decorated flows become deployments without a deployment file.

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use serde_json::{Value, json};

use super::configuration::{self, FILE};
use super::deployment::{self, Setting};
use super::document::{Content, Entry, Node, Position};
use super::draft::Draft;
use super::faults::Faults;
use super::python::{Attribute, Flow};
use crate::discover::Tree;
use crate::model::{Diagnostic, RepoPath};

/// Keys of an entry that are not those of a deployment.
const OWN: &[&str] = &["files", "exclude", "flow"];

/// Keys of a deployment that no entry can give, because every flow has its own.
const NOT_HERE: &[&str] = &["entrypoint", "flow_name"];

/// The name of a deployment where nothing gives one.
const NAME: &str = "{{ flowyard.flow.name }}";

/// Attributes of a flow that say how it is deployed, and the keys of a deployment that they are.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("deployment_name", "name"),
    ("schedule", "schedules"),
    ("schedules", "schedules"),
    ("job_variables", "job_variables"),
    ("infra_overrides", "job_variables"),
    ("tags", "tags"),
    ("parameters", "parameters"),
    ("work_pool", "work_pool"),
    ("work_pool_name", "work_pool"),
    ("work_queue_name", "work_queue_name"),
    ("concurrency_limit", "concurrency_limit"),
    ("paused", "paused"),
    ("version", "version"),
    ("description", "description"),
    ("enforce_parameter_schema", "enforce_parameter_schema"),
];

/// All entries, in the order of the file.
#[derive(Debug, Default)]
pub struct FlowRules {
    rules: Vec<Rule>,
    diagnostics: Vec<Diagnostic>,
}

#[derive(Debug)]
struct Rule {
    files: GlobSet,
    /// The globs of `files` and their places, in the order of the set.
    written: Vec<(String, Position)>,
    exclude: GlobSet,
    /// On a flow's name or its function's; `None` for all.
    flow: Option<GlobMatcher>,
    /// What its deployments say unless the flow says otherwise.
    defaults: Node,
    at: Position,
    /// Its own faults: no deployment comes of it then.
    faulty: bool,
}

/// What a rule makes a deployment of.
pub(super) struct Candidate<'a> {
    /// The file that defines the flow.
    pub(super) file: &'a RepoPath,
    /// What leads to it from the project.
    pub(super) entrypoint: String,
    pub(super) function: &'a str,
    pub(super) flow: &'a Flow,
    pub(super) attributes: &'a [Attribute],
}

impl FlowRules {
    /// The rules of the tree's own `flowyard.toml`; none where it has no such file.
    pub fn of(tree: &Tree) -> Self {
        let path = RepoPath::new(FILE);
        let document = configuration::of(tree);
        let mut faults = Faults::of(&path);
        let rules = match document.as_ref().and_then(|node| node.get("flows")) {
            Some(Node {
                content: Content::List(items),
                ..
            }) => items
                .iter()
                .filter_map(|item| Rule::read(item, &mut faults))
                .collect(),
            Some(other) => {
                faults
                    .error(other.at, format!("`flows` is a list, not {}", other.kind()))
                    .hint("start each entry with `[[flows]]`");
                Vec::new()
            }
            None => Vec::new(),
        };
        let (diagnostics, _) = faults.into_parts();
        Self { rules, diagnostics }
    }

    /// Whether any entry takes a file's flows.
    pub fn holds(&self, file: &RepoPath) -> bool {
        self.rules.iter().any(|rule| rule.holds(file))
    }

    /// Reads what the entries say of deployments once, and looks for their files, so that a fault is told at its place in
    /// `flowyard.toml`.
    pub(super) fn check(&mut self, setting: &Setting<'_>, tree: &Tree) -> Vec<Diagnostic> {
        let path = RepoPath::new(FILE);
        for rule in &mut self.rules {
            let mut faults = Faults::of(&path);
            rule.find_files(tree, &mut faults);
            let mut node = rule.defaults.clone();
            for_flow(&mut node, "flow", "flow", "file");
            put(&mut node, "entrypoint", text(rule.at, "file.py:flow"));
            let draft = Draft {
                node,
                default_name: Some("flow".to_owned()),
                notes: Vec::new(),
                images: Vec::new(),
                steps: Vec::new(),
            };
            deployment::read(draft, setting, &mut faults);
            let (found, secrets) = faults.into_parts();
            rule.faulty |= found.iter().any(Diagnostic::is_error);
            self.diagnostics.extend(found.into_iter().map(|mut one| {
                secrets.redact(&mut one);
                one
            }));
        }
        self.diagnostics.clone()
    }

    /// The drafts of a flow's deployments, one for each entry that takes it, with their places in the flow's file; and
    /// whether one more would be there but for a fault in `flowyard.toml`.
    pub(super) fn drafts(
        &self,
        candidate: &Candidate<'_>,
        faults: &mut Faults<'_>,
    ) -> (Vec<Draft>, bool) {
        let mut missed = false;
        let mut drafts = Vec::new();
        for rule in &self.rules {
            if !rule.takes(candidate) {
                continue;
            }
            if rule.faulty {
                missed = true;
                continue;
            }
            drafts.push(rule.draft(candidate, faults));
        }
        (drafts, missed)
    }
}

impl Rule {
    fn read(node: &Node, faults: &mut Faults<'_>) -> Option<Self> {
        let Some(entries) = node.entries() else {
            faults.error(node.at, format!("an entry is a table, not {}", node.kind()));
            return None;
        };
        let at = entries.first().map_or(node.at, |entry| entry.at);
        let mut defaults = Vec::with_capacity(entries.len());
        let mut sound = true;
        for entry in entries {
            let mut entry = entry.clone();
            entry.key = entry.key.replace('-', "_");
            if OWN.contains(&entry.key.as_str()) {
                continue;
            }
            if NOT_HERE.contains(&entry.key.as_str()) {
                let message = format!("`{}` cannot be given here", entry.key);
                faults
                    .error(entry.at, message)
                    .hint("each flow has its own; use `files` and `flow` to say which are meant");
                sound = false;
                continue;
            }
            if entry.key == "work_pool"
                && let Content::Map(keys) = &mut entry.value.content
            {
                for key in keys {
                    key.key = key.key.replace('-', "_");
                }
            }
            defaults.push(entry);
        }
        let mut globs = |key: &str| {
            let mut set = GlobSetBuilder::new();
            let mut written = Vec::new();
            for (glob, at) in faults.texts(node, key).unwrap_or_default() {
                match file_glob(&glob) {
                    Ok(compiled) => {
                        set.add(compiled);
                        written.push((glob, at));
                    }
                    Err(error) => {
                        faults.error(at, format!("`{glob}` is no glob: {}", error.kind()));
                        sound = false;
                    }
                }
            }
            (set.build().unwrap_or_default(), written)
        };
        let (files, written) = globs("files");
        let (exclude, _) = globs("exclude");
        let flow = faults
            .text(node, "flow")
            .and_then(|(glob, at)| match Glob::new(&glob) {
                Ok(glob) => Some(glob.compile_matcher()),
                Err(error) => {
                    faults.error(at, format!("`{glob}` is no glob: {}", error.kind()));
                    sound = false;
                    None
                }
            });
        if files.is_empty() && sound {
            faults
                .error(at, "an entry of `flows` has no `files`")
                .hint("write `files = [\"flows/**/*.py\"]`");
            return None;
        }
        Some(Self {
            files,
            written,
            exclude,
            flow,
            defaults: Node {
                at,
                content: Content::Map(defaults),
                hidden: None,
                written: None,
            },
            at,
            faulty: !sound,
        })
    }

    /// Refuses globs that match no Python file.
    fn find_files(&self, tree: &Tree, faults: &mut Faults<'_>) {
        let mut matched = vec![false; self.written.len()];
        let files = tree.entries().iter().map(|entry| entry.path.as_str());
        for file in files.filter(|file| file.ends_with(".py")) {
            for glob in self.files.matches(file) {
                matched[glob] = true;
            }
        }
        for ((glob, at), _) in self.written.iter().zip(matched).filter(|one| !one.1) {
            faults
                .error(*at, format!("`{glob}` matches no Python file"))
                .hint("globs count from the repository's root, and ignored files do not count");
        }
    }

    fn holds(&self, file: &RepoPath) -> bool {
        self.files.is_match(file.as_str()) && !self.exclude.is_match(file.as_str())
    }

    fn takes(&self, candidate: &Candidate<'_>) -> bool {
        self.holds(candidate.file)
            && self.flow.as_ref().is_none_or(|glob| {
                glob.is_match(&candidate.flow.name) || glob.is_match(candidate.function)
            })
    }

    fn draft(&self, candidate: &Candidate<'_>, faults: &mut Faults<'_>) -> Draft {
        let at = Position {
            line: candidate.flow.line,
            column: candidate.flow.column,
        };
        let mut node = self.defaults.clone();
        node.move_to(at);
        put(&mut node, "entrypoint", text(at, &candidate.entrypoint));
        if node.get("name").is_none_or(Node::is_null) {
            put(&mut node, "name", text(at, NAME));
        }
        let stem = candidate.file.file_name().trim_end_matches(".py");
        for_flow(&mut node, &candidate.flow.name, candidate.function, stem);
        let mut notes = vec![format!(
            "by the entry of `[[flows]]` in {FILE}, line {}",
            self.at.line
        )];
        let mut hung = Vec::new();
        for attribute in candidate.attributes {
            let Some((_, key)) = ATTRIBUTES.iter().find(|(name, _)| *name == attribute.name) else {
                continue;
            };
            let at = Position {
                line: attribute.line,
                column: attribute.column,
            };
            let written = format!("{}.{}", candidate.function, attribute.name);
            match &attribute.value {
                Ok(Value::Null) => {}
                Ok(value) => {
                    attach(&mut node, key, value, at);
                    hung.push(format!("`{written}`"));
                }
                Err(reason) => {
                    faults
                        .error(at, format!("`{written}` is not known: {reason}"))
                        .hint("write it as a constant, or leave the flow to a deployment file");
                }
            }
        }
        if !hung.is_empty() {
            notes.push(format!("with {}", hung.join(", ")));
        }
        Draft {
            node,
            default_name: None,
            notes,
            images: Vec::new(),
            steps: Vec::new(),
        }
    }
}

fn file_glob(glob: &str) -> Result<Glob, globset::Error> {
    let glob = glob.trim_start_matches("./").trim_start_matches('/');
    GlobBuilder::new(glob).literal_separator(true).build()
}

/// Lays an attribute's value on a deployment.
fn attach(node: &mut Node, key: &str, value: &Value, at: Position) {
    match key {
        "schedules" => {
            let schedule = |one: &Value| match one {
                Value::String(cron) => json!({ "cron": cron }),
                Value::Number(seconds) => json!({ "interval": seconds }),
                other => other.clone(),
            };
            let schedules: Value = match value {
                Value::Array(items) => items.iter().map(schedule).collect(),
                one => json!([schedule(one)]),
            };
            if let Content::Map(entries) = &mut node.content {
                entries.retain(|entry| entry.key != "schedule");
            }
            put(node, key, of_value(&schedules, at));
        }
        "work_pool" | "work_queue_name" => {
            // A pool may be written as its name alone.
            let given = node.get("work_pool").cloned();
            let mut pool = match given {
                Some(pool) if pool.as_str().is_some() => map(at, vec![("name".to_owned(), pool)]),
                Some(pool) if pool.entries().is_some() => pool,
                _ => map(at, Vec::new()),
            };
            match value {
                Value::Object(_) => pool = pool.overlaid(&of_value(value, at)),
                _ if key == "work_pool" => put(&mut pool, "name", of_value(value, at)),
                _ => put(&mut pool, key, of_value(value, at)),
            }
            put(node, "work_pool", pool);
        }
        _ => {
            let value = of_value(value, at);
            let value = match node.get(key) {
                Some(below) => below.overlaid(&value),
                None => value,
            };
            put(node, key, value);
        }
    }
}

/// Puts in what templates call `flowyard.flow.name`, `flowyard.flow.function` and `flowyard.flow.file`.
fn for_flow(node: &mut Node, name: &str, function: &str, file: &str) {
    let known = [("name", name), ("function", function), ("file", file)];
    node.for_each_scalar(&mut |scalar| {
        let Some(text) = scalar.as_str().filter(|text| text.contains("{{")) else {
            return;
        };
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inner, tail)) = after.split_once("}}") else {
                break;
            };
            result.push_str(before);
            let value = inner
                .trim()
                .strip_prefix("flowyard.flow.")
                .and_then(|key| known.iter().find(|(known, _)| *known == key));
            match value {
                Some((_, value)) => result.push_str(value),
                None => {
                    result.push_str("{{");
                    result.push_str(inner);
                    result.push_str("}}");
                }
            }
            rest = tail;
        }
        result.push_str(rest);
        scalar.content = Content::Scalar(Value::String(result));
    });
}

fn put(node: &mut Node, key: &str, value: Node) {
    let Content::Map(entries) = &mut node.content else {
        return;
    };
    match entries.iter_mut().find(|entry| entry.key == key) {
        Some(entry) => entry.value = value,
        None => entries.push(Entry {
            key: key.to_owned(),
            at: value.at,
            value,
        }),
    }
}

fn text(at: Position, text: &str) -> Node {
    Node::scalar(at, text.into())
}

fn map(at: Position, entries: Vec<(String, Node)>) -> Node {
    let entries = entries
        .into_iter()
        .map(|(key, value)| Entry { key, at, value });
    Node {
        at,
        content: Content::Map(entries.collect()),
        hidden: None,
        written: None,
    }
}

/// A value of which every part has one place.
fn of_value(value: &Value, at: Position) -> Node {
    match value {
        Value::Array(items) => Node {
            at,
            content: Content::List(items.iter().map(|item| of_value(item, at)).collect()),
            hidden: None,
            written: None,
        },
        Value::Object(object) => {
            let entries = object
                .iter()
                .map(|(key, value)| (key.clone(), of_value(value, at)));
            map(at, entries.collect())
        }
        scalar => Node::scalar(at, scalar.clone()),
    }
}
