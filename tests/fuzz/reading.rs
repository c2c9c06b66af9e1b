//! What must hold for any bytes that a repository can have in its files: they read, to deployments or to faults, and
//! every fault lies in a file that is there, in one of its lines.
//!
//! The fuzz targets and an ordinary test share this file, so that the targets always compile and what they found stays
//! mended.

use std::collections::BTreeMap;

use flowyard::discover::{self, Scope, Tree};
use flowyard::model::{Desired, Dialect, RepoPath};
use flowyard::read::{self, Settings};

/// What stands between a deployment file and the file of its flow in the bytes that [`python`] takes.
pub const FLOW_FILE: &[u8] = b"\n# flow.py:\n";

/// The flow of bytes without one of their own.
const FLOW: &[u8] =
    b"from prefect import flow\n\n\n@flow\ndef load(day: str = '', limit: int = 1):\n    pass\n";

/// Reads bytes as a `.deployment.py`; those after the line `# flow.py:` are the file of its flow.
pub fn python(data: &[u8]) {
    let at = data.windows(FLOW_FILE.len()).position(|it| it == FLOW_FILE);
    let (deployment, flow) = match at {
        Some(at) => (&data[..at], &data[at + FLOW_FILE.len()..]),
        None => (data, FLOW),
    };
    check(
        &[("load.deployment.py", deployment), ("flow.py", flow)],
        data,
    );
}

/// Reads bytes as a `prefect.yaml` and, in another project, as a `.deployment.yaml`.
pub fn yaml(data: &[u8]) {
    check(
        &[
            ("a/prefect.yaml", data),
            ("a/flow.py", FLOW),
            ("b/load.deployment.yaml", data),
            ("b/flow.py", FLOW),
        ],
        data,
    );
}

/// Reads a tree of these files alone.
pub fn desired(files: &[(&str, &[u8])], dialect: Dialect) -> Desired {
    let files: BTreeMap<RepoPath, Vec<u8>> = files
        .iter()
        .map(|(path, content)| (RepoPath::new(*path), content.to_vec()))
        .collect();
    let tree = Tree::memory(files);
    let settings = Settings {
        environment: Some("prod".to_owned()),
        work_pool: Some("default".to_owned()),
        run_steps: true,
        dialect,
        ..Settings::default()
    };
    read::desired(&tree, &discover::find(&tree, &Scope::default()), &settings)
}

/// Reads for the release that the length of `data` picks, and looks at the places of all faults.
fn check(files: &[(&str, &[u8])], data: &[u8]) {
    let dialect = if data.len().is_multiple_of(2) {
        Dialect::Prefect3
    } else {
        Dialect::Prefect2
    };
    let lines: BTreeMap<&str, usize> = files
        .iter()
        .map(|(path, content)| {
            let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
            (*path, content.split(ends).count())
        })
        .collect();
    for diagnostic in desired(files, dialect).diagnostics {
        let place = &diagnostic.place;
        let Some(lines) = lines.get(place.path.as_str()) else {
            continue;
        };
        assert!(
            place.line as usize <= *lines,
            "beyond the end: {diagnostic:?}"
        );
        assert!(
            place.line == 0 || place.column >= 1,
            "a line without a column: {diagnostic:?}"
        );
    }
}
