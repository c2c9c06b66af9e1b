//! `action/release.sh`: what the release workflow makes of wheels is what `install.sh` takes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

use super::install::{Runner, target};
use super::root;
use crate::services::process::{run, script};
use crate::support::{Repo, copy};

/// How the wheels of a release are named, as maturin does, and what is the binary in them.
const WHEELS: [(&str, &str); 5] = [
    ("manylinux_2_28_x86_64", "flowyard"),
    ("manylinux_2_28_aarch64", "flowyard"),
    ("macosx_10_12_x86_64", "flowyard"),
    ("macosx_11_0_arm64", "flowyard"),
    ("win_amd64", "flowyard.exe"),
];

/// A folder with the wheels of a release, whose programs print what they were built for. The version is as Python writes it.
fn wheels(version: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (platform, binary) in WHEELS {
        let wheel = folder
            .path()
            .join(format!("flowyard-{version}-py3-none-{platform}.whl"));
        let program =
            "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr(*sys.argv[2:])";
        run(Command::new("python3")
            .args(["-c", program])
            .arg(wheel)
            .arg(format!("flowyard-{version}.data/scripts/{binary}"))
            .arg(format!("#!/bin/sh\necho {platform}\n")));
    }
    folder
}

/// A repository whose sources are of a version, with what `release.sh` packs.
fn sources(version: &str) -> Repo {
    let repo = Repo::new();
    let manifest = format!("[package]\nname = \"flowyard\"\nversion = \"{version}\"\n");
    repo.write("Cargo.toml", manifest);
    repo.write("LICENSE", "Yours.\n");
    repo.write("README.md", "# flowyard\n");
    copy(&root().join("action"), &repo.path().join("action"));
    repo
}

fn release(repo: &Repo, arguments: &[&Path]) -> Output {
    Command::new(repo.path().join("action/release.sh"))
        .args(arguments)
        .output()
        .expect("there is bash")
}

#[track_caller]
fn expect_printed(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("a text")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_can_be_installed() {
    for (version, in_python) in [("1.2.3", "1.2.3"), ("1.0.0-rc.1", "1.0.0rc1")] {
        let (repo, wheels) = (sources(version), wheels(in_python));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let archives = folder.path().join("archives");
        expect_printed(release(
            &repo,
            &["archives".as_ref(), wheels.path(), &archives],
        ));
        assert_eq!(fs::read_dir(&archives).expect("it was made").count(), 5);
        let table = expect_printed(release(&repo, &["table".as_ref(), &archives]));
        let json: serde_json::Value = serde_json::from_str(&table).expect("JSON");
        assert_eq!(json["repository"], "flowyard/flowyard");
        assert_eq!(json["version"], version);
        assert_eq!(json["sha256"].as_object().expect("an object").len(), 5);

        let runner = Runner::start().await;
        runner.sources(version);
        fs::write(runner.path("action/action/release.json"), &table).expect("it can be written");
        let name = format!("flowyard-{version}-{}.tar.gz", target());
        let archive = fs::read(archives.join(&name)).expect("it was made");
        Mock::given(path(format!("/v{version}/{name}")))
            .respond_with(ResponseTemplate::new(200).set_body_bytes(archive))
            .mount(&runner.releases)
            .await;
        let says = format!("manylinux_2_28_{}", std::env::consts::ARCH);
        runner.install().expect_says(&says);

        // The other targets' binaries are those of their own wheels.
        for (target, binary, says) in [
            ("x86_64-apple-darwin", "flowyard", "macosx_10_12_x86_64"),
            ("aarch64-apple-darwin", "flowyard", "macosx_11_0_arm64"),
            ("x86_64-pc-windows-msvc", "flowyard.exe", "win_amd64"),
        ] {
            let name = format!("flowyard-{version}-{target}");
            let output = Command::new("tar")
                .arg("-xzOf")
                .arg(archives.join(format!("{name}.tar.gz")))
                .arg(format!("{name}/{binary}"))
                .output()
                .expect("there is tar");
            assert_eq!(expect_printed(output), format!("#!/bin/sh\necho {says}\n"));
        }
    }
}

#[test]
fn a_release_has_every_target_or_is_none() {
    let (repo, wheels) = (sources("1.2.3"), wheels("1.2.3"));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let archives = folder.path().join("archives");
    let refused = |arguments: &[&Path], expected: &str| {
        let output = release(&repo, arguments);
        assert!(!output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{said}");
    };
    let one = wheels.path().join("flowyard-1.2.3-py3-none-win_amd64.whl");
    let other = wheels.path().join("flowyard-1.2.4-py3-none-win_amd64.whl");
    let pack: [&Path; 3] = ["archives".as_ref(), wheels.path(), &archives];
    // Nobody knows which of two it is.
    fs::copy(&one, &other).expect("it is there");
    refused(&pack, "x86_64-pc-windows-msvc needs one wheel in");
    fs::remove_file(&one).expect("it is there");
    fs::remove_file(&other).expect("it is there");
    refused(&pack, "x86_64-pc-windows-msvc needs one wheel in");
    refused(&["table".as_ref(), &archives], "there is no");
}

/// Moves the tag with a stand-in for `gh`, which there is none of without GitHub; gives the calls.
fn moved(repo: &Repo, answers: &str) -> (bool, Vec<String>) {
    let folder = repo.path();
    let calls = folder.join("calls");
    let _ = fs::remove_file(&calls);
    let text = format!(
        "echo \"$*\" >>'{}'\ncase $* in\n{answers}\nesac",
        calls.display()
    );
    script(&folder.join("gh"), &text);
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let output = Command::new(folder.join("action/release.sh"))
        .args(["move", "table.json", "main"])
        .current_dir(folder)
        .env("PATH", path)
        .env("GITHUB_REPOSITORY", "acme/flowyard")
        .output()
        .expect("there is bash");
    let calls = fs::read_to_string(calls).unwrap_or_default();
    (
        output.status.success(),
        calls.lines().map(str::to_owned).collect(),
    )
}

const COMMITS: &str = "*/trees*) echo tree ;;\n*/commits*) echo commit ;;";

/// What GitHub answers where the tag and the branch have the tables of these versions; without one there is no such tag.
fn tables(tag: &str, at_tag: Option<&str>, at_branch: &str) -> String {
    let table = |version: &str| format!("printf '{{\\n  \"version\": \"{version}\",\\n}}\\n'");
    let at_tag = at_tag.map_or_else(
        || format!("*/ref/tags/{tag}*) exit 1 ;;"),
        |version| format!("*release.json?ref={tag}\\ *) {} ;;", table(version)),
    );
    let at_branch = table(at_branch);
    format!("{COMMITS}\n{at_tag}\n*release.json?ref=main\\ *) {at_branch} ;;")
}

#[test]
fn the_tag_moves_once_the_hashes_are_committed() {
    let repo = sources("1.2.3");
    let head = repo.commit("Release");
    let git = "api repos/acme/flowyard/git";
    let (success, calls) = moved(&repo, &tables("v1", Some("1.2.2"), "1.2.2"));
    assert!(success, "{calls:?}");
    assert_eq!(calls.len(), 7, "{calls:?}");
    assert!(
        calls[0].starts_with(&format!("{git}/trees -f base_tree=")),
        "{calls:?}"
    );
    assert!(calls[0].contains("[path]=action/release.json"), "{calls:?}");
    assert!(calls[0].contains("[content]=@table.json"), "{calls:?}");
    assert_eq!(
        calls[1],
        format!(
            "{git}/commits -f message=Name the hashes of 1.2.3 -f tree=tree -f parents[]={head} --jq .sha"
        )
    );
    assert_eq!(writes(&calls), [MOVES, MERGES]);

    // Without the commit nothing moves.
    let (success, calls) = moved(&repo, "*/trees*) echo tree ;;\n*/commits*) exit 1 ;;");
    assert!(!success, "{calls:?}");
    assert_eq!(calls.len(), 2, "{calls:?}");
    // Nor where nobody knows what is there.
    let unknown = format!("{COMMITS}\n*release.json*) exit 1 ;;");
    let (success, calls) = moved(&repo, &unknown);
    assert!(!success && writes(&calls).is_empty(), "{calls:?}");
}

const MOVES: &str =
    "api --method PATCH repos/acme/flowyard/git/refs/tags/v1 -f sha=commit -F force=true --silent";
const MAKES: &str = "api repos/acme/flowyard/git/refs -f ref=refs/tags/v1 -f sha=commit --silent";
const MERGES: &str = "api repos/acme/flowyard/merges -f base=main -f head=commit --silent";

/// The calls that change a tag or a branch.
fn writes(calls: &[String]) -> Vec<&str> {
    let changes = |call: &&str| ["/refs", "/merges"].iter().any(|one| call.contains(one));
    calls.iter().map(String::as_str).filter(changes).collect()
}

#[test]
fn the_tag_of_a_major_version_moves_forward_only() {
    for (version, tag, expected) in [
        // The first release of a major version makes its tag.
        ("1.0.0", (None, "1.0.0"), &[MAKES, MERGES][..]),
        ("0.9.0", (None, ""), &[MAKES, MERGES]),
        // As often as one likes.
        ("1.2.3", (Some("1.2.3"), "1.2.3"), &[MOVES, MERGES]),
        ("1.10.0", (Some("1.9.0"), "1.9.0"), &[MOVES, MERGES]),
        // A mended older release.
        ("1.2.3", (Some("1.3.0"), "1.3.0"), &[]),
        ("1.2.3", (Some("1.2.2"), "2.0.0"), &[MOVES]),
    ] {
        let repo = sources(version);
        repo.commit("Release");
        let (success, calls) = moved(&repo, &tables("v1", tag.0, tag.1));
        assert!(success, "{version}: {calls:?}");
        assert_eq!(writes(&calls), expected, "{version}: {tag:?}");
    }
    let repo = sources("2.0.0");
    repo.commit("Release");
    let (success, calls) = moved(&repo, &tables("v2", None, "1.3.0"));
    assert!(success, "{calls:?}");
    assert_eq!(writes(&calls), [&MAKES.replace("v1", "v2"), MERGES]);
}

#[test]
fn a_crate_is_published_once() {
    let workflow = fs::read_to_string(root().join(".github/workflows/release.yml"))
        .expect("it is in the repository");
    let (_, step) = workflow
        .split_once("- name: Publish the crate\n")
        .expect("a step of this name");
    let (_, lines) = step.split_once("run: |\n").expect("it runs a script");
    let (script_of_step, _) = lines.split_once("\n\n").expect("another job follows");
    for (is_there, expected) in [
        (true, &["+1.95 info flowyard@1.2.3"][..]),
        (
            false,
            &[
                "+1.95 info flowyard@1.2.3",
                "+1.95 publish --locked --no-verify",
            ],
        ),
    ] {
        let repo = sources("1.2.3");
        let folder = repo.path();
        let text = format!(
            "echo \"$*\" >>'{}'\ncase $* in *info*) {is_there} ;; esac",
            folder.join("calls").display()
        );
        script(&folder.join("cargo"), &text);
        let mut path = folder.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        run(Command::new("bash")
            .args(["-e", "-c", script_of_step])
            .env("PATH", path)
            .env("RUNNER_TEMP", std::env::temp_dir())
            .current_dir(folder));
        let calls = fs::read_to_string(folder.join("calls")).expect("cargo was called");
        assert_eq!(calls.lines().collect::<Vec<_>>(), expected);
    }
}
