//! The wheel, which `uvx flowyard` and `pip install flowyard` take.
//!
//! A test binary of its own: building the wheel puts another `flowyard` into the target folder, and cargo runs test
//! binaries one after another, so that no other test looks for the program meanwhile.

#[path = "../services/process.rs"]
#[allow(dead_code, unreachable_pub)]
mod process;

use std::path::Path;
use std::process::Command;

use process::run;

/// Takes away what cargo sets for a test: to the build scripts below a second cargo it would be a change, and all that
/// depends on them would be compiled anew, now and at the next test run.
fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// What an installed program prints.
fn printed(command: &mut Command) -> String {
    let output = command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .unwrap_or_else(|e| panic!("failed to start {command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("a text")
}

#[test]
fn it_installs_flowyard() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("cargo's tmp folder is in the target folder");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name);
    let maturin = process::venv("maturin", "maturin==1.16.0\n").join("bin/maturin");
    // With the profile and the target folder of the tests: most of what it needs is compiled already.
    run(without_package(&mut Command::new(maturin))
        .args(["build", "--profile", "dev", "--compatibility", "linux"])
        .args(["--locked", "--out"])
        .arg(path("wheels"))
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target));

    let venv = path("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    run(Command::new(venv.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--no-index", "--find-links"])
        .arg(path("wheels"))
        .arg("flowyard"));
    let flowyard = venv.join("bin/flowyard");
    assert_eq!(
        printed(Command::new(&flowyard).arg("--version")),
        format!("flowyard {}\n", env!("CARGO_PKG_VERSION"))
    );

    let repository = path("repository");
    run(Command::new("cp")
        .arg("-R")
        .arg(root.join("examples"))
        .arg(&repository));
    run(Command::new("git").arg("init").arg(&repository));
    let plan = printed(
        Command::new(&flowyard)
            .args(["plan", "--local"])
            .current_dir(&repository),
    );
    assert!(plan.contains("+ create headline-digest/weekly"), "{plan}");
    assert!(plan.contains("Plan: 16 to create, 0 to update"), "{plan}");
}
