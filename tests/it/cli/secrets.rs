//! A value of the environment reaches the registration, and shows up nowhere else.

use std::path::Path;

use super::{flowyard, kept, small};
use crate::support::{Repo, Run, files};

const SECRET: &str = "hush-a1b2c3";

/// Every key that may hold text, with the variable in it; but for what `status` is asked for: names and the version.
const TEXT: &str = r#"entrypoint: flow.py:hello
description: "see {{ $TOKEN }}"
tags: ["{{ $TOKEN }}", plain]
parameters: {n: "{{ $TOKEN }}"}
job_variables:
  env: {TOKEN: "{{ $TOKEN }}", URL: "https://kari:{{ $TOKEN }}@example.no"}
  list: [["{{ $TOKEN }}"]]
schedules:
  - cron: "0 4 * * *"
    slug: nightly
    parameters: {n: "{{ $TOKEN }}"}
"#;

/// A repository whose flow takes a text, with all of [`TEXT`].
fn texts() -> Repo {
    let repo = small();
    repo.replace("p/flow.py", "n: int = 1", "n: str = \"\"");
    repo.commit("Take a text");
    repo.write("p/hello.deployment.yaml", TEXT);
    repo
}

/// A call with the variable set; panics if its value is printed.
#[track_caller]
fn silent(repo: &Repo, line: &str, code: i32) -> Run {
    let run = flowyard(repo, &format!("{line} --local"))
        .env("TOKEN", SECRET)
        .run()
        .expect_code(code);
    assert!(!run.said().contains(SECRET), "{line}: {}", run.snapshot());
    run
}

/// The files below a folder that hold the value.
fn holding(folder: &Path) -> Vec<String> {
    let holds = |content: &[u8]| {
        let mut windows = content.windows(SECRET.len());
        windows.any(|window| window == SECRET.as_bytes())
    };
    let found = files(folder).into_iter();
    found
        .filter(|(_, (content, _))| holds(content))
        .map(|(path, _)| path)
        .collect()
}

/// All that can be said of the repository as it is.
fn say_all(repo: &Repo) {
    for line in [
        "list",
        "check",
        "plan",
        "plan --prune",
        "plan --against main",
        "status",
    ] {
        for how in ["", "--verbose", "-vv", "--format json", "--format markdown"] {
            silent(repo, &format!("{line} {how}"), 0);
        }
    }
    silent(repo, "plan --out plan.json", 0);
}

#[test]
fn it_is_where_it_belongs_and_nowhere_else() {
    let repo = texts();
    say_all(&repo);
    assert_eq!(holding(repo.path()), [""; 0]);
    silent(&repo, "deploy --plan plan.json -vv --format json", 0);
    assert_eq!(
        holding(repo.path()),
        [".flowyard/registrations/default/hello/hello.json"],
        "the worker needs it"
    );
    say_all(&repo);

    // Another value is a change like any other, of which neither side is shown.
    let other = flowyard(&repo, "plan --local")
        .env("TOKEN", "other-d4e5")
        .run();
    let other = other.expect_code(0);
    assert!(
        other
            .stdout
            .contains("job_variables.env.TOKEN: (hidden) -> \"{{ $TOKEN }}\""),
        "{}",
        other.stdout
    );
    assert!(!other.said().contains(SECRET) && !other.said().contains("other-d4e5"));
}

#[test]
fn the_old_value_is_not_shown_when_the_files_drop_it() {
    let repo = texts();
    silent(&repo, "deploy", 0);
    for text in [
        "entrypoint: flow.py:hello\n".to_owned(),
        TEXT.replace("{{ $TOKEN }}", "plain"),
        TEXT.replace("{{ $TOKEN }}", "{{ flowyard.env }}"),
    ] {
        repo.write("p/hello.deployment.yaml", text);
        say_all(&repo);
    }
    repo.remove("p/hello.deployment.yaml");
    say_all(&repo);
    silent(&repo, "deploy --prune --format json", 0);
    assert_eq!(holding(&kept(&repo)), [""; 0]);
}

#[test]
fn what_is_cut_does_not_tell_a_part_of_it() {
    let repo = small();
    // A literal that happens to be what the job holds as a secret, and too long to be shown.
    let key: String = (0..112).map(|one| char::from(b'a' + one % 26)).collect();
    repo.write(
        "p/hello.deployment.yaml",
        format!("entrypoint: flow.py:hello\njob_variables:\n  env: {{KEY: x{key}}}\n"),
    );
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let summary = folder.path().join("summary.md");
    let run = flowyard(&repo, "plan --local")
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .env("PREFECT_API_KEY", &key)
        .run()
        .expect_code(0);
    let summary = std::fs::read_to_string(summary).expect("it is written");
    for text in [&run.stdout, &summary] {
        assert!(text.contains("x***"), "{text}");
        assert!(!text.contains(&key[..8]), "{text}");
    }
}

#[test]
fn faults_do_not_tell_it() {
    let repo = small();
    let mut all = String::new();
    for text in [
        "schedule: {cron: \"{{ $TOKEN }}\"}",
        "schedule: {cron: \"0 4 * * *\", timezone: \"{{ $TOKEN }}\"}",
        "schedule: {rrule: \"{{ $TOKEN }}\"}",
        "schedule: {interval: \"{{ $TOKEN }}\"}",
        "schedule: {interval: 5, anchor_date: \"{{ $TOKEN }}\"}",
        "paused: \"{{ $TOKEN }}\"",
        "concurrency_limit: \"{{ $TOKEN }}\"",
        "concurrency_limit: {limit: 1, collision_strategy: \"{{ $TOKEN }}\"}",
        "requirements: \"{{ $TOKEN }}\"",
        "code: {include: [\"../{{ $TOKEN }}\"]}",
        "tags: {a: \"{{ $TOKEN }}\"}",
        "parameters: \"{{ $TOKEN }}\"",
    ] {
        repo.write(
            "p/hello.deployment.yaml",
            format!("entrypoint: flow.py:hello\n{text}\n"),
        );
        all += &silent(&repo, "deploy", 3).stderr;
    }
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: \"flow.py:{{ $TOKEN }}\"\n",
    );
    all += &silent(&repo, "deploy", 3).stderr;
    repo.write("p/hello.deployment.yaml", "entrypoint: \"{{ $TOKEN }}\"\n");
    all += &silent(&repo, "deploy", 3).stderr;
    insta::assert_snapshot!(all, @r#"
    p/hello.deployment.yaml:2:18: error: `{{ $TOKEN }}` is no cron expression: one field instead of five
      2 | schedule: {cron: "{{ $TOKEN }}"}
        |                  ^
      hint: five fields: minute hour day-of-month month day-of-week, such as "0 4 * * *"
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:41: error: `{{ $TOKEN }}` is no time zone
      2 | schedule: {cron: "0 4 * * *", timezone: "{{ $TOKEN }}"}
        |                                         ^
      hint: an IANA name, such as `Europe/Oslo`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:19: error: `{{ $TOKEN }}` is no recurrence rule: RRule parsing error: `{{ $TOKEN }}` is a malformed property parameter. Parameter should be specified as `key=value`
      2 | schedule: {rrule: "{{ $TOKEN }}"}
        |                   ^
      hint: as in RFC 5545, such as "FREQ=WEEKLY;BYDAY=MO;BYHOUR=6;BYMINUTE=0"
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:22: error: `interval` is a length of time, not text
      2 | schedule: {interval: "{{ $TOKEN }}"}
        |                      ^
      hint: a number of seconds, `01:30:00`, or `PT1H30M`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:38: error: `{{ $TOKEN }}` is no date and time
      2 | schedule: {interval: 5, anchor_date: "{{ $TOKEN }}"}
        |                                      ^
      hint: write it as 2024-01-31T06:00:00+01:00
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:9: error: `paused` is true or false, not text
      2 | paused: "{{ $TOKEN }}"
        |         ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:20: error: `concurrency_limit` is a whole number from 1, not text
      2 | concurrency_limit: "{{ $TOKEN }}"
        |                    ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:51: error: unknown collision strategy `{{ $TOKEN }}`
      2 | concurrency_limit: {limit: 1, collision_strategy: "{{ $TOKEN }}"}
        |                                                   ^
      hint: ENQUEUE or CANCEL_NEW
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:15: error: the requirements file `{{ $TOKEN }}` does not exist
      2 | requirements: "{{ $TOKEN }}"
        |               ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:18: error: `../{{ $TOKEN }}` matches no file
      2 | code: {include: ["../{{ $TOKEN }}"]}
        |                  ^
      hint: patterns are relative to the project's folder (`/x` to the repository's root), and ignored files cannot be included
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:7: error: `tags` is a list of texts, not a mapping
      2 | tags: {a: "{{ $TOKEN }}"}
        |       ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:13: error: `parameters` is a mapping, not text
      2 | parameters: "{{ $TOKEN }}"
        |             ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:1:13: error: there is no function `{{ $TOKEN }}` in p/flow.py
      1 | entrypoint: "flow.py:{{ $TOKEN }}"
        |             ^
      hint: no flow was found in this file: decorate the function with `@flow`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:1:13: error: `{{ $TOKEN }}` is no entrypoint
      1 | entrypoint: "{{ $TOKEN }}"
        |             ^
      hint: write it as path/to/flow.py:function
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
}
