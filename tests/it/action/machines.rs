//! `action/install.sh` on every machine that there are releases for, each told by what `uname` says.

use std::collections::BTreeSet;
use std::fs;

use super::inputs::named;
use super::install::{Runner, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn on_a_server_of_ones_own_attestations_need_a_login() {
    let runner = Runner::start()
        .await
        .env("GITHUB_SERVER_URL", "https://ghes.example.org")
        .env("GH_TOKEN", "of-the-server")
        .env("GITHUB_TOKEN", "of-the-server");
    runner.publish("1.2.3", "attested").await;
    let logged_in = runner.path("logged-in");
    let text = format!(
        "[ \"${{GH_TOKEN:-}}${{GITHUB_TOKEN:-}}@$GH_HOST\" = @github.com ] && [ -e '{}' ]",
        logged_in.display()
    );
    runner.stand_in("gh", &text);
    runner
        .install()
        .expect_refused("there is no gh that can verify flowyard 1.2.3, and there is no cargo");
    assert_eq!(runner.downloads().await, 0);
    fs::write(&logged_in, "").expect("it can be written");
    runner.install().expect_says("attested");
    let calls = runner.calls("gh");
    let first = "auth status --hostname github.com\n";
    assert!(
        calls.starts_with(&format!("{first}{first}attestation verify ")),
        "{calls}"
    );
}

/// What `uname` says on the machines that there are releases for, and their targets.
const MACHINES: [(&str, &str, &str); 7] = [
    ("Linux", "x86_64", "x86_64-unknown-linux-gnu"),
    ("Linux", "aarch64", "aarch64-unknown-linux-gnu"),
    ("Linux", "arm64", "aarch64-unknown-linux-gnu"),
    ("Darwin", "x86_64", "x86_64-apple-darwin"),
    ("Darwin", "arm64", "aarch64-apple-darwin"),
    ("MINGW64_NT-10.0-26100", "x86_64", "x86_64-pc-windows-msvc"),
    ("MSYS_NT-10.0-26100", "x86_64", "x86_64-pc-windows-msvc"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_machine_takes_its_own_release() {
    for (system, machine, target) in MACHINES {
        let runner = Runner::start().await;
        let archive = runner.publish_for(target, "1.2.3", target).await;
        runner.release_for(target, Some("1.2.3"), &sha256(&archive));
        let uname = format!("case $* in -s) echo {system} ;; -m) echo {machine} ;; esac");
        runner.stand_in("uname", &uname);
        if system == "Darwin" {
            let tool = runner.path("bin/sha256sum");
            let real = fs::read_link(&tool).expect("it is a link");
            fs::remove_file(&tool).expect("it is there");
            let shasum = format!("[ \"$*\" = '-a 256' ] && exec '{}'", real.display());
            runner.stand_in("shasum", &shasum);
        }
        let binary = runner.install().expect_says(target);
        let suffix = if target.contains("windows") {
            ".exe"
        } else {
            ""
        };
        let expected = format!("temp/flowyard/bin/flowyard{suffix}");
        assert_eq!(binary, runner.path(&expected));
    }
}

#[test]
fn every_target_is_built_packed_and_installed() {
    let installed: BTreeSet<String> = MACHINES.map(|one| one.2.to_owned()).into();
    let packed = named("action/release.sh", r"(?m)^([a-z0-9_-]+) \S+\.whl$");
    assert_eq!(packed, installed);
    let built = named(".github/workflows/release.yml", r"- target: (\S+)");
    assert_eq!(built, installed);
    let known = named("action/install.sh", r"\) echo (\S+) ;;");
    assert_eq!(known, installed);
}
