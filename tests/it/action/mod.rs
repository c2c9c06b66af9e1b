//! The GitHub Action: its workflows as people copy them, run by `act`, and its scripts.

mod events;
mod hostile;
mod inputs;
mod install;
mod job;
mod lint;
mod machines;
mod release;
mod sharded;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The workflows that people copy.
fn workflows() -> Vec<PathBuf> {
    yaml_files("examples/workflows")
}

/// The YAML files of a folder, sorted; none where there is no such folder.
fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten();
    let files = entries.map(|entry| entry.expect("a folder can be listed").path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "yml" || end == "yaml")
        })
        .collect();
    files.sort();
    files
}
