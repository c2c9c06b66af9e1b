//! Flows whose types and defaults are in other modules of the repository.

use serde_json::Value;

use super::{differences, fixture};
use crate::discover::Tree;
use crate::model::{Dialect, RepoPath};
use crate::read::python::{Library, Modules};

fn compare(dialect: Dialect, recorded: &str) {
    let root = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/python/packages"
    );
    let tree = Tree::work(root.as_ref()).expect("the fixture is there");
    let modules = Modules::new(&tree);
    let library = Library::new(&modules);
    let file = RepoPath::new("flows/etl.py");
    let position = tree.position(&file).expect("the flows are there");
    let roots = Library::roots(&file, &RepoPath::root(), &tree);
    let recorded: Value = serde_json::from_str(&fixture(recorded)).expect("valid");
    let mut report = String::new();
    for (function, theirs) in recorded.as_object().expect("an object") {
        if function == "_meta" {
            continue;
        }
        let (home, read) = library.flow(position, function, &roots, dialect);
        let read = read.expect(function);
        assert_eq!(home, position);
        for gap in &read.unknown {
            report += &format!("--- {function}: {gap:?}\n");
        }
        let found = differences(
            &read,
            &theirs["flow_name"],
            &theirs["description"],
            &theirs["schema"],
        );
        if !found.is_empty() {
            report += &format!("--- {function}\n{found}");
        }
    }
    assert_eq!(
        library.flows(position, &roots).len(),
        recorded.as_object().map_or(0, |flows| flows.len() - 1)
    );
    assert!(report.is_empty(), "{report}");
}

#[test]
fn types_of_other_modules_read_as_in_prefect_3() {
    compare(Dialect::Prefect3, "python/packages/prefect3.json");
}

#[test]
fn types_of_other_modules_read_as_in_prefect_2() {
    compare(Dialect::Prefect2, "python/packages/prefect2.json");
}
