//! The wheel, which `uvx flowyard` and `pip install flowyard` take.

use std::path::Path;
use std::process::Command;

use crate::services::maturin;
use crate::services::process::run;
use crate::support::Repo;

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
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("cargo's tmp folder is in the target folder");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name);
    let tools = maturin::folder().join("bin");
    // With the profile and the target folder of the tests: most of what it needs is compiled already.
    run(Command::new(tools.join("maturin"))
        .args(["build", "--profile", "dev", "--compatibility", "linux"])
        .args(["--locked", "--offline", "--out"])
        .arg(path("wheels"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target));

    let venv = path("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    run(Command::new(venv.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--no-index",
        ])
        .arg("--find-links")
        .arg(path("wheels"))
        .arg("flowyard"));
    let flowyard = venv.join("bin/flowyard");
    assert_eq!(
        printed(Command::new(&flowyard).arg("--version")),
        format!("flowyard {}\n", env!("CARGO_PKG_VERSION"))
    );
    let repo = Repo::with_examples();
    let plan = printed(
        Command::new(&flowyard)
            .args(["plan", "--local"])
            .current_dir(repo.path()),
    );
    assert!(plan.contains("+ create"), "{plan}");
    assert!(plan.contains("Plan: "), "{plan}");
}
