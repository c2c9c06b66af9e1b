//! What a change reaches, as a table of small repositories.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::discover::{Scope, find};
use crate::read::{Settings, desired};

mod files;
mod imports;

/// A small repository, an edit, and what it reaches.
///
/// Every folder with a `flow.py` is a project: the file gets a flow, and a deployment file is put beside it unless there
/// is one. An edit is `~path` (its text changes), `+path` (a new, empty file), `-path` or `>old new`. What is expected is
/// the chain of each project that is reached: `a ← lib/x.py`.
struct Case {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    edits: &'static [&'static str],
    expected: &'static [&'static str],
}

const FLOW: &str = "\nfrom prefect import flow\n@flow\ndef main():\n    pass\n";

type Files = BTreeMap<RepoPath, Vec<u8>>;

fn files_of(case: &Case) -> Files {
    let mut files = Files::new();
    for (path, text) in case.files {
        let path = RepoPath::new(*path);
        let mut text = (*text).to_owned();
        if path.file_name() == "flow.py" {
            text += FLOW;
            let folder = path.parent().unwrap_or_default();
            let deployment = "name: d\nentrypoint: flow.py:main\n".as_bytes().to_vec();
            let name = folder.join("d.deployment.yaml");
            let flow_name = format!("flow_name: {}\n", folder.as_str().replace('/', "-"));
            let deployment = [flow_name.into_bytes(), deployment].concat();
            files.entry(name).or_insert(deployment);
        }
        files.insert(path, text.into_bytes());
    }
    files
}

fn edited(before: &Files, edits: &[&str]) -> Files {
    let mut after = before.clone();
    for edit in edits {
        let (kind, path) = edit.split_at(1);
        match kind {
            "~" => {
                let file = after.get_mut(&RepoPath::new(path)).expect("it is there");
                file.extend_from_slice(b"\n");
            }
            "+" => {
                assert!(after.insert(RepoPath::new(path), Vec::new()).is_none());
            }
            "-" => assert!(after.remove(&RepoPath::new(path)).is_some(), "{edit}"),
            _ => {
                let (old, new) = path.split_once(' ').expect("two paths");
                let text = after.remove(&RepoPath::new(old)).expect("it is there");
                after.insert(RepoPath::new(new), text);
            }
        }
    }
    after
}

fn changes(before: &Files, after: &Files) -> Changes {
    let all: BTreeSet<&RepoPath> = before.keys().chain(after.keys()).collect();
    let differ = all
        .into_iter()
        .filter(|path| before.get(path) != after.get(path));
    let paths: BTreeSet<RepoPath> = differ.cloned().collect();
    Changes {
        before: paths
            .iter()
            .filter(|path| before.contains_key(path))
            .cloned()
            .collect(),
        paths,
        ignored: BTreeSet::new(),
    }
}

/// The chains of a case, with these settings of the configuration.
fn reached(case: &Case, settings: &Settings, depends_on: &[&str]) -> Vec<String> {
    let before = files_of(case);
    let after = edited(&before, case.edits);
    let changes = changes(&before, &after);
    let tree = Tree::memory(after);
    let found = find(&tree, &Scope::default());
    let desired = desired(&tree, &found, settings);
    let depends_on: Vec<String> = depends_on.iter().map(|one| (*one).to_owned()).collect();
    let question = Question {
        tree: &tree,
        changes: &changes,
        shared: &settings.shared,
        configuration: &[RepoPath::new("flowyard.toml")],
        depends_on: &depends_on,
    };
    let reached = reach(&desired, &question).expect("patterns");
    assert_eq!(reached.len(), desired.projects.len());
    let chains = desired.projects.iter().zip(reached);
    chains
        .filter_map(|(project, reach)| Some(format!("{} ← {}", project.path, reach?)))
        .collect()
}

fn check(cases: &[Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let mut settings = Settings::default();
            "flows".clone_into(&mut settings.python.root_name);
            let reached = reached(case, &settings, &[]);
            let right = reached == case.expected;
            (!right).then(|| format!("{}: {reached:?}, not {:?}", case.name, case.expected))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
