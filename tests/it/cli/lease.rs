//! Deploys that meet each other, and deploys that are killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{expect_untouched, flowyard, kept, local, project, small};
use crate::support::{Flowyard, Repo, Running, files};

const PROJECTS: [&str; 3] = ["a", "b/c", "d"];
const DATA_FILES: usize = 100;

/// Three projects with so many files that a deploy can be caught in the middle of its work.
fn large() -> Repo {
    let repo = Repo::new();
    for path in PROJECTS {
        let name = path.replace('/', "-");
        project(&repo, path, &name);
        for at in 0..DATA_FILES {
            repo.write(
                &format!("{path}/data/{at}.txt"),
                format!("{at} of {path}\n"),
            );
        }
    }
    repo.commit("Add projects");
    repo
}

fn lock(repo: &Repo, environment: &str) -> PathBuf {
    kept(repo).join("storage/.flowyard/lock").join(environment)
}

/// Puts somebody else's lease there, which ends so many seconds from now.
fn lease(repo: &Repo, environment: &str, seconds: i64) {
    let expires = Utc::now() + TimeDelta::seconds(seconds);
    let expires = expires.to_rfc3339_opts(SecondsFormat::Millis, true);
    let text = json!({"holder": "kari at laptop", "expires": expires}).to_string();
    let path = lock(repo, environment);
    fs::create_dir_all(path.parent().expect("a folder")).expect("it can be written");
    fs::write(path, text).expect("it can be written");
}

/// Starts a deploy and stops it while it holds the lease.
fn stopped_in_the_middle(repo: &Repo) -> Running {
    stopped(repo, flowyard(repo, "deploy --local"))
}

fn stopped(repo: &Repo, deploy: Flowyard) -> Running {
    let mut running = deploy.start();
    let lock = lock(repo, "default");
    wait_until(&mut running, || lock.exists());
    stop(repo, &mut running);
    assert!(lock.exists() && !running.has_ended(), "stopped in time");
    running
}

/// Stops a deploy, but not in its turn to write below a lock of the store, which would keep all others waiting.
pub(super) fn stop(repo: &Repo, running: &mut Running) {
    let turn = kept(repo).join("storage/.flowyard/staging/lock");
    let start = Instant::now();
    while !running.has_ended() {
        running.signal("STOP");
        // Its threads stop one by one.
        thread::sleep(Duration::from_millis(10));
        if fs::File::open(&turn).is_ok_and(|turn| turn.try_lock().is_ok()) {
            return;
        }
        running.signal("CONT");
        assert!(start.elapsed() < Duration::from_secs(60), "always its turn");
    }
}

/// Looks again and again, until it is so or the process has ended.
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

/// How many files are in the storage and registered, but for our own notes.
fn count(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let entries = entries.filter_map(Result::ok);
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() && entry.file_name() != ".flowyard" => count(&entry.path()),
            Ok(kind) if kind.is_file() => 1,
            _ => 0,
        })
        .sum()
}

/// Panics if a manifest names a file that is not there or has other content, or a registration a release that is not
/// complete.
fn expect_sound(repo: &Repo) {
    let storage = kept(repo).join("storage");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    for (path, (content, _)) in files(&storage.join(".flowyard/releases")) {
        let manifest: Value = serde_json::from_slice(&content).expect("a manifest is JSON");
        let folder = storage
            .join(text(&manifest["project"]))
            .join(text(&manifest["digest"]));
        let listed = manifest["files"].as_array().expect("a list");
        assert!(listed.len() > DATA_FILES, "{path}");
        for file in listed {
            let file_path = folder.join(text(&file["path"]));
            let content = fs::read(&file_path)
                .unwrap_or_else(|e| panic!("{path} names {}: {e}", file_path.display()));
            let digest: String = Sha256::digest(&content)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(digest, text(&file["sha256"]), "{}", file_path.display());
        }
    }
    for (path, (content, _)) in files(&kept(repo).join("registrations")) {
        // What was being written has a name of its own until it is whole.
        if !path.ends_with(".json") {
            continue;
        }
        let registration: Value = serde_json::from_slice(&content).expect("it is JSON");
        let code = text(&registration["fields"]["code"]);
        let (project, digest) = code.split_once('@').expect("project@digest");
        let manifest = storage.join(format!(".flowyard/releases/{project}/{digest}.json"));
        assert!(
            manifest.is_file(),
            "{path} points at {code}, which is not complete"
        );
    }
}

#[test]
fn the_second_of_two_deploys_is_told_who_is_first() {
    let repo = large();
    let mut first = stopped_in_the_middle(&repo);
    let second = local(&repo, "deploy").expect_code(4);
    insta::assert_snapshot!(second.snapshot(), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: another deploy of the environment `default` is running: someone at this machine, process [PID] begun at [TIME]; its lease ends at [TIME] unless it is renewed
    ");
    // Looking is no deploying.
    local(&repo, "plan").expect_code(0);
    local(&repo, "deploy --env other").expect_code(0);
    first.signal("CONT");
    first.wait().expect_code(0);
    assert!(!lock(&repo, "default").exists(), "it is given back");
    expect_sound(&repo);
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn many_deploys_at_once_end_well() {
    let repo = large();
    let all: Vec<_> = (0..4)
        .map(|_| flowyard(&repo, "deploy --local").start())
        .collect();
    let runs: Vec<_> = all.into_iter().map(Running::wait).collect();
    assert!(runs.iter().any(|run| run.code == Some(0)), "{runs:#?}");
    for run in runs.iter().filter(|run| run.code != Some(0)) {
        assert_eq!(run.code, Some(4), "{}", run.snapshot());
        assert!(
            run.stderr.contains("another deploy of the environment"),
            "{}",
            run.stderr
        );
    }
    expect_sound(&repo);
    expect_untouched(&repo, "deploy", 0);
}

#[test]
fn a_lease_that_was_taken_over_stays_with_the_other() {
    let repo = large();
    let mut first = stopped_in_the_middle(&repo);
    lease(&repo, "default", 60);
    first.signal("CONT");
    first.wait();
    let text = fs::read_to_string(lock(&repo, "default")).expect("it is there");
    assert!(text.contains("kari at laptop"), "{text}");
}

#[test]
fn a_lease_ends_by_itself() {
    let repo = small();
    lease(&repo, "default", 60);
    let run = local(&repo, "deploy").expect_code(4);
    assert!(run.stderr.contains("kari at laptop"), "{}", run.stderr);
    assert!(!kept(&repo).join("registrations").exists());
    lease(&repo, "default", 1);
    thread::sleep(Duration::from_secs(2));
    local(&repo, "deploy").expect_code(0);
    assert!(!lock(&repo, "default").exists());

    // With nothing to do nobody needs it, and one of another environment is in nobody's way.
    lease(&repo, "default", 60);
    local(&repo, "deploy").expect_code(0);
    local(&repo, "deploy --env other").expect_code(0);
    // One that nobody can understand does not hold for ever.
    fs::write(lock(&repo, "default"), "{").expect("it can be written");
    repo.replace("p/flow.py", "print(n)", "print(n + 1)");
    local(&repo, "deploy").expect_code(0);
}

#[test]
fn a_deploy_that_is_asked_to_stop_ends_what_it_is_at_and_gives_the_lease_back() {
    for signals in [&["INT"][..], &["TERM"], &["INT", "TERM"]] {
        let repo = large();
        let running = stopped_in_the_middle(&repo);
        expect_stops(&repo, running, signals);
        local(&repo, "deploy").expect_code(0);
        expect_sound(&repo);
    }
}

/// Sends the signals to one that is stopped, all of them before it can do anything, and lets it go on.
#[track_caller]
fn expect_stops(repo: &Repo, mut running: Running, signals: &[&str]) {
    for signal in signals {
        running.signal(signal);
    }
    running.signal("CONT");
    let run = running.wait();
    assert_eq!(run.code, Some(1), "{signals:?}: {}", run.snapshot());
    assert!(
        run.stdout.contains("the deploy was stopped"),
        "{signals:?}: {}",
        run.snapshot()
    );
    assert!(!lock(repo, "default").exists(), "{signals:?}");
    expect_sound(repo);
}

#[test]
fn a_step_of_the_action_that_is_cancelled_ends_likewise() {
    let repo = large();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (step, summary) = (folder.path().join("step.sh"), folder.path().join("summary"));
    let action = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/action.yml"))
        .expect("it is in the repository");
    let script = action
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("run: "))
        .find(|script| script.contains("/run.sh"))
        .expect("a step runs it");
    fs::write(&step, script).expect("it can be written");
    let step = step.to_str().expect("UTF-8");
    // As the runner starts what says `shell: bash`. It sends signals to that process alone.
    let shell = [
        "bash",
        "--noprofile",
        "--norc",
        "-e",
        "-o",
        "pipefail",
        step,
    ];
    let inputs = action
        .lines()
        .filter_map(|line| line.trim_start().split_once(": "))
        .filter(|(name, _)| name.starts_with("INPUT_"));
    let mut deploy = Flowyard::through(&shell, repo.path(), [""; 0]);
    for (name, _) in inputs {
        deploy = deploy.env(name, "");
    }
    let deploy = deploy
        .env("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR"))
        .env("FLOWYARD", env!("CARGO_BIN_EXE_flowyard"))
        .env("INPUT_COMMAND", "deploy")
        .env("INPUT_LOCAL", "true")
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary);
    let running = stopped(&repo, deploy);
    expect_stops(&repo, running, &["INT", "TERM"]);
    let told = fs::read_to_string(summary).expect("it was written");
    assert!(told.contains("the deploy was stopped"), "{told}");
}

#[test]
fn a_deploy_that_is_killed_anywhere_is_mended_by_the_next() {
    const TRIES: usize = 10;
    let repo = large();
    let folder = kept(&repo);
    let mut killed = 0;
    for at in 0..TRIES {
        for path in PROJECTS {
            repo.write(&format!("{path}/round.txt"), at.to_string());
        }
        // Spread over the whole of a deploy: the files of three projects, and a registration each.
        let work = PROJECTS.len() * (DATA_FILES + 3) + PROJECTS.len();
        let point = count(&folder) + work * at / TRIES;
        let mut running = flowyard(&repo, "deploy --local").start();
        let lock = lock(&repo, "default");
        wait_until(&mut running, || lock.exists() && count(&folder) >= point);
        running.signal("KILL");
        if running.wait().code.is_none() {
            killed += 1;
        }
        expect_sound(&repo);

        if lock.exists() {
            // Between its last write and its end nothing is to do any more, which takes no lease.
            let blocked = local(&repo, "deploy");
            let nothing = blocked.stdout.starts_with("Nothing to do.");
            blocked.expect_code(if nothing { 0 } else { 4 });
            lease(&repo, "default", -1);
        }
        local(&repo, "deploy").expect_code(0);
        expect_sound(&repo);
        let again = local(&repo, "deploy").expect_code(0);
        assert!(
            again.stdout.starts_with("Nothing to do."),
            "{}",
            again.snapshot()
        );
    }
    assert!(
        killed > TRIES / 2,
        "only {killed} deploys were killed in time"
    );
}

#[test]
fn what_a_killed_deploy_has_registered_goes_with_the_commit_that_asked_for_it() {
    let repo = large();
    local(&repo, "deploy").expect_code(0);
    let path = kept(&repo).join("registrations/default/hello/a.json");
    let registered = || -> Value {
        let text = fs::read(&path).expect("it is registered");
        serde_json::from_slice::<Value>(&text).expect("it is JSON")["fields"].clone()
    };
    let (before, file) = (registered(), "a/a.deployment.yaml");
    let declared = repo.read(file);
    let more = "paused: true\nconcurrency_limit: 1\nschedule: {cron: '0 4 * * *', slug: nightly}\n";
    let more = format!("{declared}{more}triggers: [{{name: arrival, expect: [x]}}]\n");
    repo.write(file, more);
    // Two other projects keep the deploy at work when this one is registered.
    for path in &PROJECTS[1..] {
        for at in 0..DATA_FILES {
            repo.write(&format!("{path}/data/{at}.txt"), format!("{at}, new\n"));
        }
    }
    let mut running = flowyard(&repo, "deploy --local --jobs 1").start();
    wait_until(&mut running, || registered() != before);
    running.signal("KILL");
    assert_eq!(running.wait().code, None, "killed in time");

    repo.write(file, declared);
    lease(&repo, "default", -1);
    local(&repo, "plan --check --project a").expect_code(5);
    local(&repo, "deploy").expect_code(0);
    let now = registered();
    for (field, value) in [
        ("paused", json!(false)),
        ("concurrency_limit", json!(null)),
        ("schedules", json!({})),
        ("triggers", json!({})),
    ] {
        assert_eq!(now[field], value, "{field}");
    }
    expect_untouched(&repo, "deploy", 0);
}
