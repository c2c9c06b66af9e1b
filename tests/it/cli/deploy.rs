//! What a deploy of the examples writes: everything once, then only what changed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::{changes, expect_untouched, kept, local, small, written};
use crate::support::Repo;

/// The lines of [`changes`] by what they are about.
#[derive(Debug, Default, PartialEq)]
struct Touched {
    /// `~ flow/name` in the environment without a name.
    deployments: BTreeSet<String>,
    /// `+ project` of complete releases.
    releases: BTreeSet<String>,
    /// The projects that have new files, and anything else.
    others: BTreeSet<String>,
}

fn touched(lines: &[String]) -> Touched {
    let mut touched = Touched::default();
    for line in lines {
        let (sign, path) = line.split_once(' ').expect("a sign and a path");
        if let Some(id) = path.strip_prefix("registrations/default/") {
            let id = id.trim_end_matches(".json");
            touched.deployments.insert(format!("{sign} {id}"));
        } else if let Some(manifest) = path.strip_prefix("storage/.flowyard/releases/") {
            let (project, _) = manifest.rsplit_once('/').expect("a digest at the end");
            touched.releases.insert(format!("{sign} {project}"));
        } else {
            // The digest stands between the project and the file.
            let parts: Vec<_> = path.split('/').collect();
            let project = parts.iter().position(|part| part.len() == 64);
            let project = project.map_or(path.to_owned(), |at| parts[1..at].join("/"));
            touched.others.insert(format!("{sign} {project}"));
        }
    }
    touched
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn the_second_deploy_writes_nothing() {
    let repo = Repo::with_examples();
    local(&repo, "deploy").expect_code(0);
    assert!(repo.path().join(".flowyard/.gitignore").is_file());
    let registrations = repo.path().join(".flowyard/registrations/default");
    assert_eq!(crate::support::files(&registrations).len(), 16);

    let run = expect_untouched(&repo, "deploy", 0);
    assert_eq!(
        run.stdout,
        "Nothing to do. 16 deployments in 8 projects are as the files declare.\n"
    );
    for line in ["plan", "plan --check", "status", "list", "check"] {
        expect_untouched(&repo, line, 0);
    }
}

#[test]
fn a_changed_file_changes_its_project_and_that_alone() {
    let repo = Repo::with_examples();
    local(&repo, "deploy").expect_code(0);
    repo.replace(
        "projects/warehouse/daily_sales/flow.py",
        "would write",
        "would have written",
    );
    let (lines, run) = changes(&repo, "deploy", 0);
    let project = "+ projects/warehouse/daily_sales";
    let expected = Touched {
        deployments: set(&["~ daily-sales/nightly", "~ daily-sales/one-day"]),
        releases: set(&[project]),
        others: set(&[project]),
    };
    assert_eq!(touched(&lines), expected);
    assert!(
        run.stdout.ends_with(
            "Deployed: 0 created, 2 updated, 14 unchanged, 0 removed; 1 release uploaded.\n"
        ),
        "{}",
        run.stdout
    );
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn a_changed_schedule_is_one_field_and_no_release() {
    let repo = Repo::with_examples();
    local(&repo, "deploy").expect_code(0);
    repo.replace(
        "projects/news/load_dn/my-hourly.deployment.yaml",
        "5 9-16 * * 1-5",
        "35 9-16 * * 1-5",
    );
    let plan = local(&repo, "plan --format json").expect_code(0);
    let plan: Value = serde_json::from_str(&plan.stdout).expect("one document");
    let fields: Vec<_> = plan["projects"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|project| project["deployments"].as_array().into_iter().flatten())
        .flat_map(|deployment| deployment["fields"].as_array().into_iter().flatten())
        .map(|field| format!("{}: {} -> {}", field["path"], field["old"], field["new"]))
        .collect();
    assert_eq!(
        fields,
        [r#""schedules.schedule.cron": "5 9-16 * * 1-5" -> "35 9-16 * * 1-5""#]
    );

    let path = kept(&repo).join("registrations/default/Load DN/my-hourly.json");
    let before = std::fs::read_to_string(&path).expect("it is registered");
    let (lines, _) = changes(&repo, "deploy", 0);
    assert_eq!(lines, ["~ registrations/default/Load DN/my-hourly.json"]);
    let after = std::fs::read_to_string(&path).expect("it is registered");
    let different: Vec<_> = before
        .lines()
        .zip(after.lines())
        .filter(|(old, new)| old != new)
        .map(|(_, new)| new.trim())
        .collect();
    assert_eq!(different, [r#""cron": "35 9-16 * * 1-5","#]);
}

#[test]
fn a_changed_library_changes_the_projects_that_import_it() {
    let repo = Repo::with_examples();
    local(&repo, "deploy").expect_code(0);
    let library = repo.read("lib/rss.py");
    repo.write("lib/rss.py", format!("{library}\n# Changed.\n"));
    let (lines, _) = changes(&repo, "deploy", 0);
    let projects = set(&["+ projects/news/load_dn", "+ projects/news/load_e24"]);
    let expected = Touched {
        deployments: set(&[
            "~ Load DN/my-daily",
            "~ Load DN/my-hourly",
            "~ load-e24/evening",
            "~ load-e24/morning",
            "~ load-e24/weekend",
        ]),
        releases: projects.clone(),
        others: projects,
    };
    assert_eq!(touched(&lines), expected);
}

#[test]
fn what_was_deployed_before_comes_back_without_an_upload() {
    let repo = small();
    local(&repo, "deploy").expect_code(0);
    repo.replace("p/flow.py", "print(n)", "print(n + 1)");
    local(&repo, "deploy").expect_code(0);
    repo.replace("p/flow.py", "print(n + 1)", "print(n)");
    let (lines, _) = changes(&repo, "deploy", 0);
    assert_eq!(lines, ["~ registrations/default/hello/hello.json"]);
}

#[test]
fn one_bad_project_does_not_hold_the_others_back_when_told_to_go_on() {
    let repo = Repo::with_examples();
    local(&repo, "deploy").expect_code(0);
    repo.write(
        "projects/news/load_dn/my-hourly.deployment.yaml",
        "name: x\n",
    );
    repo.remove("projects/platform/archive_cleanup/cleanup.deployment.yaml");
    repo.replace(
        "projects/warehouse/daily_sales/one-day.deployment.yml",
        "2026-11-17",
        "2026-11-18",
    );
    expect_untouched(&repo, "deploy", 3);

    let (lines, run) = changes(&repo, "deploy --keep-going", 3);
    assert_eq!(
        lines,
        ["~ registrations/default/daily-sales/one-day.json"],
        "neither the faulty project's nor the removed one's deployments"
    );
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 3
    ----- stdout -----
    projects/warehouse/daily_sales
      updated   daily-sales/one-day

    Deployed only in part: 0 created, 1 updated, 12 unchanged, 0 removed; 1 fault in the deployment files.
    ----- stderr -----
    projects/news/load_dn/my-hourly.deployment.yaml:1:1: error: deployment `x` has no `entrypoint`
      1 | name: x
        | ^
      hint: write `entrypoint: flow.py:my_flow`
    1 error in 1 file
    error: 1 fault; the project that holds it was left out
    ");
    expect_untouched(&repo, "deploy --keep-going", 3);
    expect_untouched(&repo, "deploy --keep-going --prune", 2);
    let plan = expect_untouched(&repo, "plan --keep-going", 3);
    assert!(plan.stdout.contains("archive-cleanup/half-daily"));
}

#[test]
fn lost_state_is_written_anew_and_touches_no_deployment() {
    let repo = small();
    local(&repo, "deploy").expect_code(0);
    let before = written(&repo);
    let state = kept(&repo).join("storage/.flowyard/state/default/applied.json");
    for damage in [None, Some("no JSON")] {
        match damage {
            None => std::fs::remove_file(&state).expect("it is there"),
            Some(text) => std::fs::write(&state, text).expect("it can be written"),
        }
        let run = local(&repo, "deploy").expect_code(0);
        let told = run.stderr.matches("cannot be understood").count();
        assert_eq!(told, usize::from(damage.is_some()), "{}", run.snapshot());
        let after = written(&repo);
        let lines = crate::support::changed(&before, &after);
        assert_eq!(lines, ["= storage/.flowyard/state/default/applied.json"]);
    }
}

/// Takes the manifest of the only release away, as if its deploy had been killed; the path of its `flow.py`.
fn incomplete(repo: &Repo) -> PathBuf {
    let storage = kept(repo).join("storage");
    let manifests = crate::support::files(&storage.join(".flowyard/releases"));
    let manifest = manifests.keys().next().expect("one release");
    let path = storage.join(".flowyard/releases").join(manifest);
    std::fs::remove_file(path).expect("it is there");
    storage
        .join(manifest.trim_end_matches(".json"))
        .join("flow.py")
}

#[test]
fn what_is_there_with_another_length_is_stored_anew() {
    let repo = small();
    local(&repo, "deploy").expect_code(0);
    let flow = incomplete(&repo);
    std::fs::write(&flow, "").expect("it can be written");
    let run = local(&repo, "deploy").expect_code(0);
    assert!(run.stdout.contains("1 release uploaded"), "{}", run.stdout);
    let stored = std::fs::read_to_string(&flow).expect("it is there");
    assert_eq!(stored, repo.read("p/flow.py"));
}

#[cfg(unix)]
#[test]
fn a_release_whose_place_is_taken_is_not_complete() {
    let repo = small();
    local(&repo, "deploy").expect_code(0);
    let flow = incomplete(&repo);
    // No object, which nobody can write over either.
    std::fs::remove_file(&flow).expect("it is there");
    std::os::unix::fs::symlink("elsewhere", &flow).expect("a link can be made");
    let run = local(&repo, "deploy").expect_code(1);
    let stored = run.stdout.contains("is taken by something else than the");
    assert!(stored, "{}", run.snapshot());
    // Nothing says that it is complete.
    local(&repo, "deploy").expect_code(1);
}
