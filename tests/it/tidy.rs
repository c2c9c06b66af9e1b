//! The structure of the sources: who may import whom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each module may import of the crate, as DESIGN has it. A folder's parts may import each other.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["backend", "cli", "error", "report", "run"]),
    ("lib", &[]),
    ("model", &[]),
    ("error", &[]),
    ("cli", &[]),
    ("process", &[]),
    ("config", &["cli", "model"]),
    ("backend", &["model", "process"]),
    ("discover", &["model"]),
    ("read", &["discover", "model"]),
    ("sandbox", &["model", "process"]),
    ("scaffold", &["model"]),
    ("state", &["backend", "model"]),
    ("observe", &["backend", "model", "state"]),
    ("plan", &["model"]),
    ("apply", &["backend", "model", "plan"]),
    ("report", &["apply", "model", "plan"]),
    ("connect", &["backend", "config", "model", "process"]),
    (
        "run",
        &[
            "apply", "backend", "cli", "config", "connect", "discover", "error", "model",
            "observe", "plan", "read", "report", "sandbox", "scaffold", "state",
        ],
    ),
];

/// Vendors know the seams and the model, not each other.
const VENDORS: &[&str] = &[
    "azure",
    "docker",
    "folder",
    "github",
    "object_store",
    "oci",
    "prefect",
];

/// Lines beyond which a file becomes a folder.
const LONGEST: usize = 600;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 40, "the sources were found");
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("UTF-8 source");
            (
                path.strip_prefix(&root).expect("below src").to_owned(),
                text,
            )
        })
        .collect()
}

/// The names that follow `crate::` or, in `main`, `flowyard::`.
fn imports(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(number, line)| {
        let code = line.split("//").next().unwrap_or("");
        ["crate::", "flowyard::"].into_iter().flat_map(move |root| {
            code.match_indices(root).map(move |(at, _)| {
                let rest = &code[at + root.len()..];
                let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_');
                (number + 1, &rest[..end.unwrap_or(rest.len())])
            })
        })
    })
}

#[test]
fn every_import_points_down() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let first = path
            .iter()
            .next()
            .and_then(|one| one.to_str())
            .expect("a name");
        let module = first.strip_suffix(".rs").unwrap_or(first);
        let Some(may) = allowed.get(module) else {
            wrong.push(format!(
                "{}: module `{module}` is not in the list",
                path.display()
            ));
            continue;
        };
        for (line, name) in imports(&text) {
            if name != module && !may.contains(&name) && allowed.contains_key(name) {
                wrong.push(format!(
                    "{}:{line}: `{module}` imports `{name}`",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn vendors_do_not_know_each_other() {
    for (path, text) in sources() {
        let mut parts = path.iter().filter_map(|one| one.to_str());
        if parts.next() != Some("backend") {
            continue;
        }
        let vendor = parts
            .next()
            .map(|one| one.trim_end_matches(".rs"))
            .unwrap_or_default();
        for other in VENDORS
            .iter()
            .filter(|other| VENDORS.contains(&vendor) && **other != vendor)
        {
            for spelling in [format!("backend::{other}"), format!("super::{other}")] {
                assert!(
                    !text.contains(&spelling),
                    "{}: {vendor} uses {spelling}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_file_is_endless() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(_, text)| text.lines().count() > LONGEST)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
