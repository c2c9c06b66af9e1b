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

/// Reads a flow of `f/flow.py` in a tree of these files, and gives its schema's properties and its gaps as
/// `parameter: reason @ file:line:column`.
fn read(files: &[(&str, &str)]) -> (Value, Vec<String>) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be written");
        std::fs::write(path, text).expect("it can be written");
    }
    let tree = Tree::work(folder.path()).expect("a tree");
    let modules = Modules::new(&tree);
    let library = Library::new(&modules);
    let file = RepoPath::new("f/flow.py");
    let position = tree.position(&file).expect("the flow is there");
    let roots = Library::roots(&file, &RepoPath::new("f"), &tree);
    let (_, flow) = library.flow(position, "main", &roots, Dialect::Prefect3);
    let flow = flow.expect("a flow");
    let gaps = flow.unknown.iter().map(|gap| {
        let place = gap.cause.map(|(file, offset)| {
            let (path, line, column) = modules.place(file, offset);
            format!(" @ {path}:{line}:{column}")
        });
        format!("{}: {}{}", gap.text, gap.reason, place.unwrap_or_default())
    });
    let gaps = gaps.collect();
    (flow.schema["properties"].clone(), gaps)
}

#[test]
fn relative_imports_lead_to_the_folder_and_those_above() {
    let (properties, gaps) = read(&[
        (
            "f/flow.py",
            "from prefect import flow\nfrom .a import X, Y\nfrom ..top import Z\nfrom . import b, K\n@flow\ndef main(x: int = X, y: int = Y, z: int = Z, k: b.Kind = b.Kind.ONE, l: int = K): pass\n",
        ),
        ("f/__init__.py", "K = 5\n"),
        ("f/a.py", "X = 1\nfrom .inner import Y\n"),
        ("f/inner/__init__.py", "from ..b import Y\n"),
        (
            "f/b.py",
            "import enum\nY = 2\nclass Kind(enum.Enum):\n  ONE = 'one'\n",
        ),
        ("top.py", "Z = 3\n"),
    ]);
    assert_eq!(gaps, [""; 0]);
    for (name, value) in [("x", 1), ("y", 2), ("z", 3), ("l", 5)] {
        assert_eq!(properties[name]["default"], value, "{name}");
    }
    assert_eq!(properties["k"]["default"], "one");
}

#[test]
fn what_is_not_known_in_another_module_is_named_there() {
    let (_, gaps) = read(&[
        (
            "f/flow.py",
            "from prefect import flow\nfrom conf import A, B, Missing, Frame\nimport broken\n@flow\ndef main(a: int = A, b: Missing = None, c: list[Frame] = [], d: int = broken.X, e: 'B' = 1): pass\n",
        ),
        (
            "conf.py",
            "import os\nimport pandas as pd\nA = os.environ['A']\nB = pd.Timestamp\nclass Frame(pd.DataFrame): pass\n",
        ),
        ("broken.py", "x = = 1\n"),
    ]);
    assert_eq!(
        gaps,
        [
            "A: it comes from the environment @ conf.py:3:5",
            "Missing: its module has no `Missing`",
            "list[Frame]: its class inherits from one outside of the repository @ conf.py:5:7",
            "broken.X: the module of `broken` cannot be read",
            "'B': `pandas.Timestamp` is not read from here",
        ]
    );
}

#[test]
fn imports_in_circles_end() {
    let flow = "from prefect import flow\nfrom a import X, Y\nfrom p import Z\nfrom s import *\n@flow\ndef main(x: X = None, y: int = Y, z: Z = None, w: W = None): pass\n";
    let (properties, gaps) = read(&[
        ("f/flow.py", flow),
        ("a.py", "from b import X, Y\n"),
        ("b.py", "from a import X\nfrom a import Y\n"),
        ("p/__init__.py", "from p import Z\nfrom . import Z\n"),
        ("s.py", "from t import *\n"),
        ("t.py", "from s import *\nfrom t import *\n"),
    ]);
    assert_eq!(properties.as_object().map(serde_json::Map::len), Some(4));
    assert_eq!(gaps.len(), 4, "{gaps:?}");
    // A long chain, and models of two modules that hold each other.
    let mut files: Vec<(String, String)> = (0..200)
        .map(|n| {
            let text = format!("from m{} import X\n", n + 1);
            (format!("m{n}.py"), text)
        })
        .collect();
    files.push(("m200.py".to_owned(), "X = 1\n".to_owned()));
    files.push((
        "one.py".to_owned(),
        "from pydantic import BaseModel\nimport two\nclass One(BaseModel):\n  t: 'two.Two'\n"
            .to_owned(),
    ));
    files.push((
        "two.py".to_owned(),
        "from pydantic import BaseModel\nimport one\nclass Two(BaseModel):\n  o: 'list[one.One]'\n"
            .to_owned(),
    ));
    files.push((
        "f/flow.py".to_owned(),
        "from prefect import flow\nfrom m0 import X\nfrom one import One\n@flow\ndef main(o: One, x: int = X): pass\n".to_owned(),
    ));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let (properties, gaps) = read(&files);
    assert_eq!(properties["o"]["$ref"], "#/definitions/One");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
}
