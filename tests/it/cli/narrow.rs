//! A part of the repository: `--since` and `--project`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{changes, expect_untouched, local, small};
use crate::support::Repo;

const ALL: [&str; 8] = [
    "projects/news/headline_digest",
    "projects/news/load_dn",
    "projects/news/load_e24",
    "projects/platform/archive_cleanup",
    "projects/platform/subscriber_report",
    "projects/warehouse/daily_sales",
    "projects/warehouse/exchange_rates",
    "projects/warehouse/table_health",
];

/// The projects that a call looks at.
fn projects(repo: &Repo, narrow: &str) -> BTreeSet<String> {
    let run = local(repo, &format!("list --format json {narrow}")).expect_code(0);
    let list: Value = serde_json::from_str(&run.stdout).expect("one document");
    let projects = list["projects"].as_array().expect("a list").iter();
    projects
        .map(|project| project["path"].as_str().expect("a path").to_owned())
        .collect()
}

fn set(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

#[test]
fn since_finds_what_changed() {
    let repo = Repo::with_examples();
    let since = || projects(&repo, "--since main");
    assert_eq!(since(), set(&[]));

    let change = |path: &str| {
        let text = if repo.path().join(path).exists() {
            repo.read(path)
        } else {
            String::new()
        };
        repo.write(path, format!("{text}\n"));
        text
    };
    let cases: [(&str, &[&str]); 7] = [
        ("projects/news/load_dn/flow.py", &["projects/news/load_dn"]),
        (
            "projects/platform/subscriber_report/report.deployment.yaml",
            &["projects/platform/subscriber_report"],
        ),
        (
            "projects/warehouse/table_health/requirements.txt",
            &["projects/warehouse/table_health"],
        ),
        (
            "lib/rss.py",
            &["projects/news/load_dn", "projects/news/load_e24"],
        ),
        ("flowyard.toml", &ALL),
        ("README.md", &[]),
        ("projects/README.md", &[]),
    ];
    for (path, expected) in cases {
        let before = change(path);
        assert_eq!(since(), set(expected), "{path}");
        repo.write(path, before);
        if path == "projects/README.md" {
            repo.remove(path);
        }
    }
    assert_eq!(since(), set(&[]), "all is as it was");

    // What git has not seen yet counts; what it ignores does not.
    repo.write("projects/news/load_dn/new.py", "");
    assert_eq!(since(), set(&["projects/news/load_dn"]));
    repo.write(".gitignore", "new.py\n");
    assert_eq!(since(), set(&[]));

    // Committed on a branch, and since further back.
    repo.write("projects/news/load_e24/new2.py", "");
    repo.commit("Add a file");
    assert_eq!(since(), set(&[]));
    assert_eq!(
        projects(&repo, "--since HEAD~1"),
        set(&["projects/news/load_e24"])
    );
    repo.remove("projects/news/load_e24/new2.py");
    assert_eq!(since(), set(&["projects/news/load_e24"]));
}

#[test]
fn a_narrowed_deploy_leaves_the_rest_alone() {
    let repo = Repo::with_examples();
    let (lines, _) = changes(&repo, "deploy --project projects/news/load_dn", 0);
    assert!(
        lines.iter().all(|line| line.contains("load_dn")
            || line.contains("Load DN")
            || line == "+ .gitignore"),
        "{lines:#?}"
    );
    repo.write("projects/news/load_dn/new.py", "");
    repo.replace(
        "projects/warehouse/daily_sales/flow.py",
        "would write",
        "would have written",
    );
    let (lines, _) = changes(&repo, "deploy --since HEAD --project **/daily_sales", 0);
    assert!(
        !lines.is_empty()
            && lines
                .iter()
                .all(|line| line.contains("daily_sales") || line.contains("daily-sales")),
        "{lines:#?}"
    );
    let run = expect_untouched(&repo, "deploy --since HEAD --project projects/platform", 0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    Nothing to do. No deployment is in scope.
    ----- stderr -----
    ");
    let run = expect_untouched(&repo, "plan --since HEAD --project projects/platform", 0);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 0
    ----- stdout -----
    no project is reached by the changes since HEAD

    No changes. No deployment is in scope.
    ----- stderr -----
    ");
}

#[test]
fn globs_of_projects() {
    let repo = Repo::with_examples();
    for (glob, expected) in [
        ("projects", &ALL[..]),
        ("projects/news", &ALL[..3]),
        ("projects/news/*", &ALL[..3]),
        ("projects/*/load_*", &ALL[1..3]),
        ("**/load_dn", &ALL[1..2]),
        ("./projects/news/load_dn/", &ALL[1..2]),
        ("projects/platform --project projects/warehouse", &ALL[3..]),
    ] {
        assert_eq!(
            projects(&repo, &format!("--project {glob}")),
            set(expected),
            "{glob}"
        );
    }
    for line in ["list", "check", "plan", "deploy"] {
        expect_untouched(&repo, &format!("{line} --project projects/nws"), 2);
    }
    let run = expect_untouched(&repo, "deploy --project projects/nws", 2);
    insta::assert_snapshot!(run.stderr, @"error: no project matches projects/nws; there are: projects/news/headline_digest, projects/news/load_dn, projects/news/load_e24, projects/platform/archive_cleanup, projects/platform/subscriber_report, projects/warehouse/daily_sales, projects/warehouse/exchange_rates, projects/warehouse/table_health");
    // Each of several has to match, whatever has changed.
    for narrow in ["", " --since HEAD"] {
        let line = format!("plan --project projects/news --project projects/nws{narrow}");
        let run = expect_untouched(&repo, &line, 2);
        assert!(
            run.stderr.contains("no project matches projects/nws;"),
            "{}",
            run.snapshot()
        );
    }
    let run = expect_untouched(&repo, "deploy --project projects/[", 2);
    insta::assert_snapshot!(run.stderr, @"error: read the globs of --project: error parsing glob 'projects/[': unclosed character class; missing ']'");
}

#[test]
fn faults_elsewhere_do_not_concern_a_narrowed_run() {
    let repo = Repo::with_examples();
    repo.write(
        "projects/news/load_dn/broken.deployment.yaml",
        "entrypoint: [\n",
    );
    local(&repo, "deploy --project projects/warehouse").expect_code(0);
    local(&repo, "deploy").expect_code(3);
}

#[test]
fn an_unknown_revision_is_refused() {
    let repo = small();
    for line in ["list", "check", "plan", "deploy"] {
        expect_untouched(&repo, &format!("{line} --since nope"), 2);
    }
    let run = expect_untouched(&repo, "deploy --since nope", 2);
    insta::assert_snapshot!(run.stderr, @"error: unknown revision `nope`");
    std::fs::remove_dir_all(repo.path().join(".git")).expect("it is there");
    let run = expect_untouched(&repo, "deploy --root . --since HEAD", 2);
    insta::assert_snapshot!(run.snapshot(), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: --since needs git; [DIR] is in no git repository
    ");
}
