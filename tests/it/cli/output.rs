//! What each command prints, in each of its formats.

use serde_json::Value;

use super::{local, project, small};
use crate::support::Repo;

/// Two projects: what is deployed, what is new, what changed, and what is gone.
fn everything() -> Repo {
    let repo = small();
    project(&repo, "q", "kept");
    project(&repo, "q", "gone");
    local(&repo, "deploy").expect_code(0);
    repo.remove("q/gone.deployment.yaml");
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [a, b]\nparameters: {n: 3}\nschedule: {cron: \"0 4 * * *\", timezone: Europe/Oslo}\n",
    );
    repo.write(
        "p/new.deployment.yaml",
        "entrypoint: flow.py:hello\nwork_pool: {name: aks}\n",
    );
    repo
}

/// The name of a snapshot.
fn name(whom: &str, line: &str) -> String {
    format!("{whom}_{}", line.replace(" --", "_"))
}

#[test]
fn the_examples_listed() {
    let repo = Repo::with_examples();
    insta::assert_snapshot!(local(&repo, "list").expect_code(0).snapshot(), @r#"
    exit: 0
    ----- stdout -----
    projects/news/headline_digest  requirements: projects/news/headline_digest/requirements.txt
      headline-digest/weekly                digest.py:headline_digest                default-pool  friday: rrule "FREQ=WEEKLY;BYDAY=FR" from 20260102T150000 Europe/Oslo
                                                                                                   month: cron "0 7 1 * *" Europe/Oslo with top=25

    projects/news/load_dn  requirements: projects/news/load_dn/requirements.txt
      Load DN/my-daily                      projects/news/load_dn/flow.py:load_dn    default-pool  morning: cron "30 5 * * *" Europe/Oslo
      Load DN/my-hourly                     projects/news/load_dn/flow.py:load_dn    default-pool  schedule: cron "5 9-16 * * 1-5" Europe/Oslo

    projects/news/load_e24  requirements: projects/news/load_e24/requirements.txt
      load-e24/evening                      projects/news/load_e24/flow.py:load_e24  default-pool  friday: cron "0 16 * * 5" Europe/Oslo with limit=5
                                                                                                   weekday: cron "0 18 * * 1-4" Europe/Oslo
      load-e24/morning                      projects/news/load_e24/flow.py:load_e24  default-pool  schedule: cron "0 6 * * 1-5" Europe/Oslo
      load-e24/weekend                      projects/news/load_e24/flow.py:load_e24  default-pool  weekend: rrule "FREQ=WEEKLY;BYDAY=SA,SU" from 20260103T090000 Europe/Oslo (paused)

    projects/platform/archive_cleanup  requirements: projects/platform/archive_cleanup/requirements.txt
      archive-cleanup/half-daily            flow.py:archive_cleanup                  default-pool  half-daily: every 12h Europe/Oslo from [TIME] at most 3 scheduled ahead
                                                                                                   sunday: cron "0 5 * * 0" Europe/Oslo with dry_run=true, keep_days=365

    projects/platform/subscriber_report  requirements: projects/platform/subscriber_report/requirements.txt
      Subscriber report/all-monthly         report.py:subscriber_report              default-pool  last-of-month: rrule "FREQ=MONTHLY;BYMONTHDAY=-1" from 20260131T070000 Europe/Oslo
      Subscriber report/digital-weekly      report.py:subscriber_report              default-pool  schedule: cron "0 8 * * 1" Europe/Oslo
      subscriber-backfill/by-hand (paused)  report.py:subscriber_backfill            default-pool  not scheduled

    projects/warehouse/daily_sales  requirements: projects/warehouse/daily_sales/requirements.txt
      daily-sales/nightly                   flow.py:daily_sales                      default-pool  daily: cron "0 12 * * *" Europe/Oslo
      daily-sales/one-day                   flow.py:daily_sales                      default-pool  not scheduled

    projects/warehouse/exchange_rates  requirements: projects/warehouse/exchange_rates/requirements.txt
      Exchange rates/daily                  flow.py:exchange_rates                   default-pool  published: cron "15 16 * * 1-5" Europe/Oslo
      Exchange rates/nordic                 flow.py:exchange_rates                   default-pool  schedule: every 6h Europe/Oslo from [TIME]

    projects/warehouse/table_health  requirements: projects/warehouse/table_health/requirements.txt
      table-health/every-quarter            flow.py:table_health                     default-pool  quarter: every 15m Europe/Oslo from [TIME]
      table-health/subscribers-only         flow.py:table_health                     default-pool  schedule: cron "45 5 * * 1-5" Europe/Oslo

    16 deployments in 8 projects.
    ----- stderr -----
    "#);
    insta::assert_snapshot!(local(&repo, "check").expect_code(0).snapshot(), @"
    exit: 0
    ----- stdout -----
    No faults in 16 deployments in 8 projects.
    ----- stderr -----
    ");
}

#[test]
fn the_examples_registered() {
    let repo = Repo::with_examples();
    insta::assert_snapshot!(local(&repo, "status").expect_code(0).snapshot(), @"
    exit: 0
    ----- stdout -----
    0 registered.
    ----- stderr -----
    ");
    local(&repo, "deploy").expect_code(0);
    let status = local(&repo, "status").expect_code(0).snapshot();
    let digests = regex::Regex::new(r"\b[0-9a-f]{12}\b").expect("a pattern");
    insta::assert_snapshot!(digests.replace_all(&status, "[DIGEST]    "), @r#"
    exit: 0
    ----- stdout -----
      DEPLOYMENT                            VERSION       RELEASE       WORK POOL     SCHEDULES
      Exchange rates/daily                  [DIGEST]      [DIGEST]      default-pool  published: cron "15 16 * * 1-5" Europe/Oslo
      Exchange rates/nordic                 [DIGEST]      [DIGEST]      default-pool  schedule: every 6h Europe/Oslo from [TIME]
      Load DN/my-daily                      [DIGEST]      [DIGEST]      default-pool  morning: cron "30 5 * * *" Europe/Oslo
      Load DN/my-hourly                     [DIGEST]      [DIGEST]      default-pool  schedule: cron "5 9-16 * * 1-5" Europe/Oslo
      Subscriber report/all-monthly         [DIGEST]      [DIGEST]      default-pool  last-of-month: rrule "FREQ=MONTHLY;BYMONTHDAY=-1" from 20260131T070000 Europe/Oslo
      Subscriber report/digital-weekly      [DIGEST]      [DIGEST]      default-pool  schedule: cron "0 8 * * 1" Europe/Oslo
      archive-cleanup/half-daily            [DIGEST]      [DIGEST]      default-pool  half-daily: every 12h Europe/Oslo from [TIME] at most 3 scheduled ahead
                                                                                      sunday: cron "0 5 * * 0" Europe/Oslo
      daily-sales/nightly                   [DIGEST]      [DIGEST]      default-pool  daily: cron "0 12 * * *" Europe/Oslo
      daily-sales/one-day                   [DIGEST]      [DIGEST]      default-pool  not scheduled
      headline-digest/weekly                [DIGEST]      [DIGEST]      default-pool  friday: rrule "FREQ=WEEKLY;BYDAY=FR" from 20260102T150000 Europe/Oslo
                                                                                      month: cron "0 7 1 * *" Europe/Oslo
      load-e24/evening                      [DIGEST]      [DIGEST]      default-pool  friday: cron "0 16 * * 5" Europe/Oslo
                                                                                      weekday: cron "0 18 * * 1-4" Europe/Oslo
      load-e24/morning                      [DIGEST]      [DIGEST]      default-pool  schedule: cron "0 6 * * 1-5" Europe/Oslo
      load-e24/weekend                      [DIGEST]      [DIGEST]      default-pool  weekend: rrule "FREQ=WEEKLY;BYDAY=SA,SU" from 20260103T090000 Europe/Oslo (paused)
      subscriber-backfill/by-hand (paused)  [DIGEST]      [DIGEST]      default-pool  not scheduled
      table-health/every-quarter            1             [DIGEST]      default-pool  quarter: every 15m Europe/Oslo from [TIME]
      table-health/subscribers-only         [DIGEST]      [DIGEST]      default-pool  schedule: cron "45 5 * * 1-5" Europe/Oslo

    16 registered.
    ----- stderr -----
    "#);
}

#[test]
fn for_people() {
    let repo = everything();
    for line in ["list", "check", "plan", "plan --prune", "deploy", "status"] {
        let text = local(&repo, line).expect_code(0).stdout;
        insta::assert_snapshot!(name("people", line), text);
    }
}

#[test]
fn for_programs() {
    let repo = everything();
    for line in ["list", "check", "plan", "deploy", "status"] {
        let run = local(&repo, &format!("{line} --format json")).expect_code(0);
        let document: Value = serde_json::from_str(&run.stdout).expect("one document");
        assert_eq!(document["version"], 1, "{line}");
        assert_eq!(run.stderr, "");
        insta::assert_snapshot!(name("programs", line), run.stdout);
    }
}

#[test]
fn for_comments() {
    let repo = everything();
    for line in ["list", "check", "plan", "plan --prune", "deploy", "status"] {
        let run = local(&repo, &format!("{line} --format markdown")).expect_code(0);
        assert_eq!(run.stderr, "");
        insta::assert_snapshot!(name("comments", line), run.stdout);
    }
}

#[test]
fn faults_in_every_format() {
    let repo = small();
    repo.write("p/hello.deployment.yaml", "entrypoint: flow.py:helo\n");
    for line in ["check", "list", "plan"] {
        let run = local(&repo, &format!("{line} --format json")).expect_code(3);
        let document: Value = serde_json::from_str(&run.stdout).expect("one document");
        let diagnostics = document["diagnostics"].as_array().expect("a list");
        assert_eq!(diagnostics.len(), 1, "{line}: {}", run.stdout);
        let run = local(&repo, &format!("{line} --format markdown")).expect_code(3);
        assert!(
            run.stdout.contains("there is no function `helo`"),
            "{line}: {}",
            run.snapshot()
        );
    }
    insta::assert_snapshot!(local(&repo, "check --format markdown").snapshot(), @"
    exit: 3
    ----- stdout -----
    ### flowyard check

    **1 error in 1 file**

    ```text
    p/hello.deployment.yaml:1:13: error: there is no function `helo` in p/flow.py
      hint: did you mean `hello`?
    ```
    ----- stderr -----
    error: 1 fault; nothing was written
    ");
}

#[test]
fn the_same_bytes_every_time() {
    let (one, other) = (Repo::with_examples(), Repo::with_examples());
    for line in [
        "list --format json",
        "plan --format json",
        "plan --format markdown",
        "plan",
    ] {
        let run = |repo| local(repo, line).expect_code(0).stdout;
        assert_eq!(run(&one), run(&other), "{line}");
    }
}

#[test]
fn the_plan_of_the_readme_is_what_comes() {
    let repo = Repo::with_examples();
    local(&repo, "deploy").expect_code(0);
    let daily = ".flowyard/registrations/default/Load DN/my-daily.json";
    repo.replace(daily, "\"dn\",", "\"dn\", \"manual\",");
    let daily = "projects/news/load_dn/my-daily.deployment.yaml";
    repo.replace(daily, "limit: 50", "limit: 80");
    let flow = "projects/news/load_e24/flow.py";
    repo.write(flow, format!("{}# \n", repo.read(flow)));
    let plan = local(&repo, "plan").expect_code(0).stdout;
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&format!("```text\n{plan}```\n")), "{plan}");
}
