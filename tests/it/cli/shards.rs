//! A plan in parts, each carried out by a process of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lease::stop;
use super::{changes, expect_untouched, flowyard, kept, local, project, written};
use crate::support::{Repo, Running};

/// So many projects `p01`, `p02` … of one deployment, some of them with files that take time.
fn projects(count: usize, files: usize) -> Repo {
    let repo = Repo::new();
    for at in 1..=count {
        project(&repo, &format!("p{at:02}"), &format!("d{at:02}"));
        for file in 0..files {
            repo.write(
                &format!("p{at:02}/data/{file}.txt"),
                format!("{file} of {at}\n"),
            );
        }
    }
    repo.commit("Add projects");
    repo
}

/// Four projects to deploy, one that is deployed already, and a deployment that is declared no more.
fn with_one_to_remove() -> Repo {
    let repo = projects(4, 0);
    project(&repo, "idle", "idle");
    project(&repo, "gone", "gone");
    local(&repo, "deploy --project idle --project gone").expect_code(0);
    repo.remove("gone/gone.deployment.yaml");
    repo
}

/// Saves the plan in so many parts.
fn plan(repo: &Repo, shards: usize) {
    local(repo, &format!("plan --shards {shards} --out plan.json")).expect_code(0);
}

fn line(shard: usize, of: usize) -> String {
    format!("deploy --plan plan.json --shard {shard}/{of} --out outcome-{shard}.json")
}

fn start(repo: &Repo, shard: usize, of: usize) -> Running {
    flowyard(repo, &format!("{} --local", line(shard, of))).start()
}

fn json(repo: &Repo, path: &str) -> Value {
    serde_json::from_str(&repo.read(path)).expect("it is JSON")
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|one| one.as_str().expect("text").to_owned())
        .collect()
}

/// The deployments that an outcome file tells.
fn told(repo: &Repo, shard: usize) -> Vec<String> {
    let outcomes = json(repo, &format!("outcome-{shard}.json"));
    let items = outcomes["outcomes"].as_array().expect("a list").iter();
    items
        .filter_map(|one| one["id"].as_str())
        .map(str::to_owned)
        .collect()
}

fn lock(repo: &Repo) -> PathBuf {
    kept(repo).join("storage/.flowyard/lock/default")
}

/// Has every lease end now, as a minute without renewing would.
fn end_leases(repo: &Repo) {
    let text = fs::read_to_string(lock(repo)).expect("there is a lease");
    let mut lease: Value = serde_json::from_str(&text).expect("it is JSON");
    let past = Value::from("2000-01-01T00:00:00Z");
    lease["expires"] = past.clone();
    for part in lease["parts"].as_object_mut().into_iter().flatten() {
        part.1["expires"] = past.clone();
    }
    fs::write(lock(repo), lease.to_string()).expect("it can be written");
}

fn wait_until(running: &mut Running, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() && !running.has_ended() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "not within a minute"
        );
        thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn parts_of_a_plan_make_the_whole_of_it() {
    let repo = with_one_to_remove();
    local(&repo, "plan --prune --shards 3 --out plan.json").expect_code(0);
    let shards = json(&repo, "plan.json")["shards"].clone();
    insta::assert_snapshot!(
        "shards_of_a_plan",
        serde_json::to_string_pretty(&shards).expect("JSON")
    );

    let mut seen = BTreeSet::new();
    for shard in 1..=3 {
        let (lines, run) = changes(&repo, &line(shard, 3), 0);
        assert!(!lines.is_empty(), "{}", run.snapshot());
        let part = &shards[shard - 1];
        let mut wanted = texts(&part["deployments"]);
        wanted.extend(texts(&part["removals"]));
        assert_eq!(told(&repo, shard), wanted);
        for id in wanted {
            assert!(seen.insert(id.clone()), "{id} is done twice");
        }
    }
    assert_eq!(seen.len(), 5, "four to create, one to remove: {seen:?}");
    // Nothing is left to do, also of what is remembered.
    expect_untouched(&repo, "deploy --prune", 0);
    let gather = "gather --plan plan.json outcome-1.json outcome-2.json outcome-3.json";
    let run = expect_untouched(&repo, gather, 0);
    insta::assert_snapshot!("gather", run.snapshot());
    for format in ["json", "markdown"] {
        let run = expect_untouched(&repo, &format!("{gather} --format {format}"), 0);
        insta::assert_snapshot!(format!("gather_{format}"), run.stdout);
    }
    // As one deploy of the same plan would have told it.
    let other = with_one_to_remove();
    local(&other, "plan --prune --out plan.json").expect_code(0);
    let whole = local(&other, "deploy --plan plan.json --out outcome.json").expect_code(0);
    assert_eq!(whole.stdout, local(&repo, gather).stdout);
    let alone = local(&other, "gather --plan plan.json outcome.json").expect_code(0);
    assert_eq!(whole.stdout, alone.stdout);
}

#[test]
fn a_plan_of_nothing_has_no_parts() {
    let repo = projects(1, 0);
    local(&repo, "deploy").expect_code(0);
    plan(&repo, 3);
    assert!(json(&repo, "plan.json").get("shards").is_none());
    let run = expect_untouched(&repo, "gather --plan plan.json", 0);
    assert!(
        run.stdout.starts_with("Nothing to do"),
        "{}",
        run.snapshot()
    );
    let run = expect_untouched(&repo, "deploy --plan plan.json --shard 1/1", 2);
    insta::assert_snapshot!("no_shards", run.snapshot());
}

#[test]
fn bad_shards_are_told() {
    let repo = projects(3, 0);
    plan(&repo, 3);
    let mut said = String::new();
    for shard in ["0/3", "4/3", "x", "1", "1/2", "1/4", "3/9", ""] {
        let run = expect_untouched(
            &repo,
            &format!("deploy --plan plan.json --shard={shard}"),
            2,
        );
        said += &format!("{shard}: {}", run.stderr);
    }
    for line in [
        "deploy --shard 1/3",
        "deploy --plan plan.json --shard 1/3 --comment",
        "deploy --plan plan.json --shard 1/3 --commit-status",
        "deploy --plan plan.json --shard 1/3 --github-deployment",
        "plan --shards 3",
        "plan --shards 0 --out plan.json",
        "plan --shards 257 --out plan.json",
        "plan --shards 2 --out plan.json --against HEAD",
        "gather",
    ] {
        let run = expect_untouched(&repo, line, 2);
        let first = run.stderr.lines().take(2).collect::<Vec<_>>().join(" ");
        said += &format!("{line}: {first}\n");
    }
    // A plan as it was before there were parts.
    local(&repo, "plan --out plan.json").expect_code(0);
    let run = expect_untouched(&repo, "deploy --plan plan.json --shard 1/3", 2);
    said += &run.stderr;
    let old = repo
        .read("plan.json")
        .replace("\"version\": 1", "\"version\": 0");
    repo.write("plan.json", old);
    let run = expect_untouched(&repo, "deploy --plan plan.json --shard 1/3", 2);
    said += &run.stderr;
    let run = expect_untouched(&repo, "gather --plan plan.json", 2);
    said += &run.stderr;
    insta::assert_snapshot!("bad_shards", said);
}

#[test]
fn a_shard_that_is_missing_is_named() {
    let repo = projects(3, 0);
    plan(&repo, 3);
    for shard in [1, 2] {
        local(&repo, &line(shard, 3)).expect_code(0);
    }
    let gather = "gather --plan plan.json outcome-1.json outcome-2.json outcome-3.json";
    let run = expect_untouched(&repo, gather, 1);
    insta::assert_snapshot!("gather_missing", run.snapshot());
    let run = expect_untouched(&repo, &format!("{gather} --format markdown"), 1);
    insta::assert_snapshot!("gather_missing_markdown", run.stdout);
    // One that ended before it did anything tells why.
    repo.replace("p03/flow.py", "print(n)", "print(n + 1)");
    local(&repo, &line(3, 3)).expect_code(2);
    let run = expect_untouched(&repo, gather, 1);
    insta::assert_snapshot!("gather_stale", run.snapshot());
}

#[test]
fn an_outcome_of_something_else_is_refused() {
    let repo = projects(3, 0);
    plan(&repo, 3);
    for shard in 1..=3 {
        local(&repo, &line(shard, 3)).expect_code(0);
    }
    let mut said = String::new();
    let mut refused = |line: &str| {
        let run = expect_untouched(&repo, &format!("gather --plan {line}"), 2);
        said += &run.stderr;
    };
    fs::copy(
        repo.path().join("outcome-1.json"),
        repo.path().join("again.json"),
    )
    .expect("a copy");
    refused("plan.json outcome-1.json again.json");
    refused("plan.json plan.json");
    refused("plan.json p01/flow.py");
    refused("outcome-1.json outcome-1.json");
    refused("plan.json --env prod outcome-1.json");
    let text = repo
        .read("outcome-1.json")
        .replace("\"create\"", "\"create\\u001b[2J\"");
    repo.write("odd.json", text);
    refused("plan.json odd.json");
    insta::assert_snapshot!("gather_refused", said);
}

#[test]
fn an_outcome_of_another_plan_is_passed_over() {
    let repo = projects(3, 0);
    plan(&repo, 3);
    for shard in 1..=3 {
        local(&repo, &line(shard, 3)).expect_code(0);
    }
    let old = fs::read(repo.path().join("outcome-1.json")).expect("it is there");
    repo.replace("p01/flow.py", "print(n)", "print(n + 1)");
    plan(&repo, 3);
    local(&repo, "deploy --plan plan.json --shard 1/1 --out new.json").expect_code(0);
    repo.write("old.json", old);
    // An earlier attempt of the same workflow leaves such a file.
    let run = expect_untouched(&repo, "gather --plan plan.json old.json new.json", 0);
    let warned = "the outcome old.json is of another plan; it is left out";
    assert!(run.stderr.contains(warned), "{}", run.stderr);
    assert!(run.stdout.contains("1 updated"), "{}", run.stdout);
    let run = expect_untouched(&repo, "gather --plan plan.json old.json", 1);
    assert!(
        run.stdout.contains("shard 1/1 has left no outcome"),
        "{}",
        run.stdout
    );
    // One of no plan is no other.
    local(&repo, "deploy --out plain.json").expect_code(0);
    let run = expect_untouched(&repo, "gather --plan plan.json new.json plain.json", 0);
    assert!(
        run.stderr.contains("plain.json is of another plan"),
        "{}",
        run.stderr
    );
}

#[test]
fn many_shards_at_once_lose_nothing() {
    const SHARDS: usize = 12;
    let repo = projects(SHARDS, 3);
    plan(&repo, SHARDS);
    let all: Vec<_> = (1..=SHARDS)
        .map(|shard| start(&repo, shard, SHARDS))
        .collect();
    for running in all {
        running.wait().expect_code(0);
    }
    let state = json(
        &repo,
        ".flowyard/storage/.flowyard/state/default/applied.json",
    );
    assert_eq!(
        state["deployments"].as_object().expect("a mapping").len(),
        SHARDS
    );
    let files: Vec<String> = (1..=SHARDS)
        .map(|shard| format!("outcome-{shard}.json"))
        .collect();
    expect_untouched(
        &repo,
        &format!("gather --plan plan.json {}", files.join(" ")),
        0,
    );
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn shards_share_the_lease_and_keep_all_others_out() {
    let repo = projects(3, 100);
    plan(&repo, 3);
    let mut first = start(&repo, 1, 3);
    let lock = lock(&repo);
    wait_until(&mut first, || lock.exists());
    stop(&repo, &mut first);
    assert!(lock.exists() && !first.has_ended(), "stopped in time");
    for line in [
        "deploy",
        "deploy --plan plan.json",
        "destroy --yes",
        "deploy --plan plan.json --shard 1/3",
    ] {
        let run = local(&repo, line);
        assert!(
            run.code == Some(4) && run.stderr.contains("shard 1/3; its lease ends"),
            "{line}: {}",
            run.snapshot()
        );
    }
    // Also what others have done meanwhile is no reason for a part to refuse.
    for shard in [2, 3] {
        local(&repo, &line(shard, 3)).expect_code(0);
    }
    let run = local(&repo, "deploy").expect_code(4);
    assert!(
        run.stderr.contains("shard 1/3"),
        "the others have left: {}",
        run.snapshot()
    );
    first.signal("CONT");
    first.wait().expect_code(0);
    expect_untouched(
        &repo,
        "gather --plan plan.json outcome-1.json outcome-2.json outcome-3.json",
        0,
    );
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn a_shard_that_was_killed_is_ended_by_its_next_run() {
    let repo = projects(3, 100);
    plan(&repo, 3);
    let mut killed = start(&repo, 2, 3);
    let data = || {
        written(&repo)
            .keys()
            .filter(|path| path.ends_with(".txt"))
            .count()
    };
    wait_until(&mut killed, || lock(&repo).exists() && data() > 20);
    killed.signal("KILL");
    assert_eq!(killed.wait().code, None, "killed in time");
    assert!(!repo.path().join("outcome-2.json").exists());
    for shard in [1, 3] {
        local(&repo, &line(shard, 3)).expect_code(0);
    }
    let gather = "gather --plan plan.json outcome-1.json outcome-2.json outcome-3.json";
    expect_untouched(&repo, gather, 1);
    end_leases(&repo);
    local(&repo, &line(2, 3)).expect_code(0);
    expect_untouched(&repo, gather, 0);
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn what_a_part_has_done_before_is_no_reason_to_refuse_it() {
    let repo = projects(3, 0);
    plan(&repo, 3);
    for shard in 1..=3 {
        local(&repo, &line(shard, 3)).expect_code(0);
    }
    // All of it is done, and told as done once more.
    let before = repo.read("outcome-2.json");
    local(&repo, &line(2, 3)).expect_code(0);
    assert_ne!(
        repo.read("outcome-2.json"),
        before,
        "there was nothing to do"
    );
    let gather = "gather --plan plan.json outcome-1.json outcome-2.json outcome-3.json";
    let run = expect_untouched(&repo, gather, 0);
    assert!(run.stdout.contains("3 created"), "{}", run.snapshot());

    // Half of it, as after a kill between two writes.
    let registration = ".flowyard/registrations/default/hello/d02.json";
    repo.replace(registration, "\"flow.py:hello\"", "\"half.py:hello\"");
    local(&repo, &line(2, 3)).expect_code(0);
    assert!(repo.read(registration).contains("flow.py:hello"));

    // The files may not have moved; and once another deploy has begun, nothing may.
    repo.write(
        "p02/d02.deployment.yaml",
        "entrypoint: flow.py:hello\ntags: [x]\n",
    );
    let stale = local(&repo, &line(2, 3)).expect_code(2);
    insta::assert_snapshot!("shard_stale", stale.snapshot());
    local(&repo, "deploy").expect_code(0);
    repo.write("p02/d02.deployment.yaml", "entrypoint: flow.py:hello\n");
    let stale = local(&repo, &line(2, 3)).expect_code(2);
    insta::assert_snapshot!("shard_overtaken", stale.snapshot());
}

#[test]
fn the_files_of_a_deploy_are_no_code() {
    let repo = Repo::new();
    project(&repo, ".", "root");
    project(&repo, "p", "inner");
    for round in 0..2 {
        repo.write("p/round.txt", round.to_string());
        repo.write("round.txt", round.to_string());
        plan(&repo, 2);
        let plan = json(&repo, "plan.json")["shards"].as_array().map(Vec::len);
        assert_eq!(plan, Some(2));
        // As on machines of their own, which have the plan and what they write themselves.
        local(&repo, &line(1, 2)).expect_code(0);
        repo.remove("outcome-1.json");
        local(&repo, &line(2, 2)).expect_code(0);
        repo.remove("outcome-2.json");
    }
    let release = kept(&repo).join("storage/.flowyard/releases");
    for (path, (content, _)) in crate::support::files(&release) {
        let text = String::from_utf8(content).expect("text");
        assert!(
            !text.contains("plan.json") && !text.contains("outcome"),
            "{path}: {text}"
        );
    }
}

#[test]
fn a_narrowed_plan_is_parted_too() {
    let repo = projects(3, 0);
    repo.write("broken/x.deployment.yaml", "entrypoint: [\n");
    local(&repo, "plan --project p* --shards 2 --out plan.json").expect_code(0);
    for shard in 1..=2 {
        local(&repo, &line(shard, 2)).expect_code(0);
    }
    let run = local(
        &repo,
        "gather --plan plan.json outcome-1.json outcome-2.json",
    )
    .expect_code(0);
    assert!(run.stdout.contains("3 created"), "{}", run.snapshot());
}
