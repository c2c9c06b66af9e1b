//! `action/install.sh`: where the action takes flowyard from, and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::root;
use crate::services::process::{run, script};

/// What the script needs of a machine.
const TOOLS: &[&str] = &[
    "bash",
    "chmod",
    "cp",
    "curl",
    "cut",
    "dirname",
    "find",
    "gzip",
    "head",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "sha256sum",
    "tar",
    "uname",
];

/// A runner with the action, in a folder of its own.
pub(super) struct Runner {
    folder: TempDir,
    pub(super) releases: MockServer,
    variables: Vec<(&'static str, String)>,
}

/// What came of the script.
pub(super) struct Ended {
    output: Output,
    binary: Option<PathBuf>,
}

impl Runner {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let runner = Self {
            folder,
            releases: MockServer::start().await,
            variables: Vec::new(),
        };
        for name in ["action/action", "temp", "tools", "bin"] {
            fs::create_dir_all(runner.path(name)).expect("it can be written");
        }
        fs::copy(
            root().join("action/install.sh"),
            runner.path("action/action/install.sh"),
        )
        .expect("it can be written");
        runner.release(None, "");
        // Nothing else of this machine: no cargo, no gh.
        for tool in TOOLS {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .map(|folder| folder.join(tool))
                .find(|file| file.exists())
                .unwrap_or_else(|| panic!("this machine has no {tool}"));
            std::os::unix::fs::symlink(found, runner.path("bin").join(tool))
                .expect("it can be made");
        }
        runner
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `release.json` says, beside sources of the same version.
    fn release(&self, version: Option<&str>, sha256: &str) {
        self.release_for(&target(), version, sha256);
    }

    pub(super) fn release_for(&self, target: &str, version: Option<&str>, sha256: &str) {
        self.sources(version.unwrap_or("1.2.3"));
        let version = version.map_or("null".to_owned(), |version| format!("\"{version}\""));
        let text = format!(
            "{{\n  \"repository\": \"flowyard/flowyard\",\n  \"version\": {version},\n  \"sha256\": {{\n    \
             \"other\": \"00\",\n    \"{target}\": \"{sha256}\"\n  }}\n}}\n"
        );
        fs::write(self.path("action/action/release.json"), text).expect("it can be written");
    }

    /// Of which version the sources are that the action stands in.
    pub(super) fn sources(&self, version: &str) {
        let text = format!(
            "[package]\nname = \"flowyard\"\nversion = \"{version}\"\n\n[dependencies.x]\nversion = \"9\"\n"
        );
        fs::write(self.path("action/Cargo.toml"), text).expect("it can be written");
    }

    /// Puts a release's archive there, whose flowyard prints `says`; gives its bytes.
    pub(super) async fn publish(&self, version: &str, says: &str) -> Vec<u8> {
        self.publish_for(&target(), version, says).await
    }

    pub(super) async fn publish_for(&self, target: &str, version: &str, says: &str) -> Vec<u8> {
        let name = format!("flowyard-{version}-{target}");
        let folder = self.path(&name);
        fs::create_dir_all(&folder).expect("it can be written");
        let suffix = if target.contains("windows") {
            ".exe"
        } else {
            ""
        };
        script(
            &folder.join(format!("flowyard{suffix}")),
            &format!("echo {says}"),
        );
        let archive = self.path("archive.tar.gz");
        run(Command::new("tar")
            .arg("-czf")
            .arg(&archive)
            .arg("-C")
            .arg(self.folder.path())
            .arg(&name));
        let bytes = fs::read(archive).expect("it was written");
        Mock::given(method("GET"))
            .and(path(format!("/v{version}/{name}.tar.gz")))
            .respond_with(ResponseTemplate::new(200).set_body_bytes(bytes.clone()))
            .mount(&self.releases)
            .await;
        bytes
    }

    /// A program that writes down how it was called, and then runs `text`.
    pub(super) fn stand_in(&self, name: &str, text: &str) {
        let calls = self.path(&format!("{name}.calls"));
        let program = self.path("bin").join(name);
        // Where there is a link to the machine's own, that would be written over.
        let _ = fs::remove_file(&program);
        let text = format!("echo \"$@\" >>'{}'\n{text}", calls.display());
        script(&program, &text);
    }

    pub(super) fn calls(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.calls"))).unwrap_or_default()
    }

    pub(super) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn cached(&self, version: &str) -> PathBuf {
        let target = target();
        self.path(&format!(
            "tools/flowyard/{version}/flowyard-{version}-{target}.tar.gz"
        ))
    }

    pub(super) async fn downloads(&self) -> usize {
        self.releases
            .received_requests()
            .await
            .unwrap_or_default()
            .len()
    }

    pub(super) fn install(&self) -> Ended {
        let output_file = self.path("output");
        let _ = fs::remove_file(&output_file);
        fs::write(&output_file, "").expect("it can be written");
        let output = Command::new(self.path("bin/bash"))
            .arg(self.path("action/action/install.sh"))
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("RUNNER_TEMP", self.path("temp"))
            .env("RUNNER_TOOL_CACHE", self.path("tools"))
            .env("GITHUB_OUTPUT", &output_file)
            .env("INPUT_VERSION", "")
            .env("FLOWYARD_RELEASES_URL", self.releases.uri())
            .envs(self.variables.iter().map(|one| (one.0, &one.1)))
            .current_dir(self.folder.path())
            .output()
            .expect("there is bash");
        let text = fs::read_to_string(&output_file).expect("it is there");
        assert!(text.lines().count() <= 1, "{text}");
        let binary = text.trim_end().strip_prefix("binary=").map(PathBuf::from);
        Ended { output, binary }
    }
}

impl Ended {
    #[track_caller]
    fn expect_binary(self) -> PathBuf {
        assert!(self.output.status.success(), "{:?}", self.output);
        self.binary.expect("an output")
    }

    /// Panics unless the binary prints this; gives the binary.
    #[track_caller]
    pub(super) fn expect_says(self, text: &str) -> PathBuf {
        let binary = self.expect_binary();
        let output = Command::new(&binary)
            .output()
            .unwrap_or_else(|e| panic!("{binary:?}: {e}"));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), text);
        binary
    }

    /// Panics unless it was built, with this notice; gives the binary.
    #[track_caller]
    fn expect_built(self, why: &str) -> PathBuf {
        let said = String::from_utf8_lossy(&self.output.stdout);
        let notice =
            format!("::notice title=flowyard::{why}: it is built with cargo, which takes minutes");
        assert!(said.lines().any(|line| line == notice), "{:?}", self.output);
        self.expect_binary()
    }

    #[track_caller]
    pub(super) fn expect_refused(self, said: &str) {
        assert!(!self.output.status.success(), "{:?}", self.output);
        assert_eq!(self.binary, None);
        let text = String::from_utf8_lossy(&self.output.stdout);
        let error = text
            .lines()
            .find(|line| line.starts_with("::error title=flowyard::"));
        assert!(
            error.is_some_and(|line| line.contains(said)),
            "{:?}",
            self.output
        );
    }
}

pub(super) fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("it can be written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_that_is_there_is_taken() {
    let runner = Runner::start()
        .await
        .env("FLOWYARD_BIN", env!("CARGO_BIN_EXE_flowyard"));
    assert_eq!(
        runner.install().expect_binary(),
        Path::new(env!("CARGO_BIN_EXE_flowyard"))
    );
    for bad in [
        "/nowhere/flowyard",
        "/etc/passwd",
        "/usr",
        "/bin/sh\nbinary=/bin/false",
    ] {
        let runner = Runner::start().await.env("FLOWYARD_BIN", bad);
        runner
            .install()
            .expect_refused("FLOWYARD_BIN names no program");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_is_verified_and_cached() {
    let runner = Runner::start().await;
    let archive = runner.publish("1.2.3", "released").await;
    runner.release(Some("1.2.3"), &sha256(&archive));
    runner.install().expect_says("released");
    assert_eq!(
        fs::read(runner.cached("1.2.3")).expect("it is cached"),
        archive
    );
    runner.install().expect_says("released");
    assert_eq!(
        runner.downloads().await,
        1,
        "the second time it is in the cache"
    );
    // Who wrote into the cache since is not believed, and what was there is mended.
    for wrong in [&b"no archive"[..], &archive[..archive.len() / 2], b""] {
        let before = runner.downloads().await;
        write(&runner.cached("1.2.3"), wrong);
        runner.install().expect_says("released");
        assert_eq!(runner.downloads().await, before + 1);
        assert_eq!(
            fs::read(runner.cached("1.2.3")).expect("it is cached"),
            archive
        );
    }
    // The version may be named, and then is the same release.
    runner
        .env("INPUT_VERSION", "v1.2.3")
        .install()
        .expect_says("released");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_release_is_refused() {
    let runner = Runner::start().await;
    runner.publish("1.2.3", "tampered").await;
    runner.release(Some("1.2.3"), &sha256(b"what was released"));
    runner
        .install()
        .expect_refused("is not the one that was released; nothing of it was run");
    assert!(!runner.cached("1.2.3").exists());
    assert!(!runner.path("temp/flowyard/bin/flowyard").exists());
    runner.release(Some("1.2.4"), &sha256(b"what was released"));
    runner
        .install()
        .expect_refused("flowyard 1.2.4 cannot be downloaded");
    // An archive with another content than a binary has the right hash.
    let folder = runner.path("empty");
    fs::create_dir(&folder).expect("it can be written");
    write(&folder.join("README"), b"");
    let file = runner.path("empty.tar.gz");
    run(Command::new("tar")
        .arg("-czf")
        .arg(&file)
        .arg("-C")
        .arg(&folder)
        .arg("README"));
    let bytes = fs::read(&file).expect("it was written");
    runner.release(Some("1.2.5"), &sha256(&bytes));
    Mock::given(path(format!("/v1.2.5/flowyard-1.2.5-{}.tar.gz", target())))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(bytes))
        .mount(&runner.releases)
        .await;
    runner.install().expect_refused("holds no flowyard");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_needs_its_attestation() {
    let runner = Runner::start().await.env("INPUT_VERSION", "2.0.0");
    runner.publish("2.0.0", "attested").await;
    runner.release(Some("1.2.3"), &sha256(b"what was released"));
    runner
        .install()
        .expect_refused("there is no gh that can verify flowyard 2.0.0: leave out the input");
    assert_eq!(runner.downloads().await, 0);
    runner.stand_in("gh", "exit 1");
    runner
        .install()
        .expect_refused("is not the one that was released");
    assert!(!runner.cached("2.0.0").exists());
    runner.stand_in("gh", "exit 0");
    runner.install().expect_says("attested");
    let line = "attestation verify archive --repo flowyard/flowyard --source-ref refs/tags/v2.0.0 \
                --signer-workflow flowyard/flowyard/.github/workflows/release.yml";
    let calls = runner.calls("gh");
    assert_eq!(calls.lines().collect::<Vec<_>>(), [line, line]);
    // Of the cache it is verified again.
    runner.install().expect_says("attested");
    assert_eq!(runner.calls("gh").lines().count(), 3);
    assert_eq!(runner.downloads().await, 2);
    runner.stand_in("gh", "exit 1");
    runner
        .install()
        .expect_refused("is not the one that was released");
    let runner = runner.env("INPUT_VERSION", "2.0.1");
    runner
        .install()
        .expect_refused("there is no release 2.0.1: leave out the input");
    for bad in [
        "$(touch pwned)",
        "1.0/../../x",
        "1.0\n::add-path::/pwned",
        "a b",
    ] {
        let runner = Runner::start().await.env("INPUT_VERSION", bad);
        runner
            .install()
            .expect_refused("is a version such as 1.2.3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_runs_the_release_of_its_own_version() {
    // That of the tag has the hashes of the release before, or of none.
    for before in [Some("1.2.2"), None] {
        let runner = Runner::start().await;
        runner.release(before, &sha256(b"what was released before"));
        runner.sources("1.2.3");
        runner.publish("1.2.2", "the one before").await;
        runner.publish("1.2.3", "its own").await;
        runner.stand_in("gh", "exit 0");
        runner.install().expect_says("its own");
        let calls = runner.calls("gh");
        assert!(calls.contains(" --source-ref refs/tags/v1.2.3 "), "{calls}");
        runner.stand_in("gh", "exit 1");
        runner
            .install()
            .expect_refused("the archive of flowyard 1.2.3 is not the one that was released");
        // One whose version is not released yet.
        runner.sources("1.3.0-rc.1");
        runner.stand_in("cargo", "exit 0");
        runner
            .install()
            .expect_built("there is no release 1.3.0-rc.1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_release_it_is_built() {
    let runner = Runner::start().await;
    runner
        .install()
        .expect_refused("there is no cargo to build it with");
    runner.stand_in("cargo", "exit 0");
    let work = runner.path("temp/flowyard");
    let binary = runner
        .install()
        .expect_built("there is no gh that can verify flowyard 1.2.3");
    assert_eq!(binary, work.join("cargo/bin/flowyard"));
    let expected = format!(
        "install --locked --path {}/.. --root {work}/cargo --target-dir {work}/target\n",
        runner.path("action/action").display(),
        work = work.display()
    );
    assert_eq!(runner.calls("cargo"), expected);
    // A machine that the release has nothing for.
    runner.stand_in(
        "uname",
        "case $1 in -s) echo Linux ;; *) echo riscv64 ;; esac",
    );
    let archive = runner.publish("1.2.3", "released").await;
    runner.release(Some("1.2.3"), &sha256(&archive));
    let ended = runner.install();
    ended.expect_built("there is no release for this machine");
    assert_eq!(runner.calls("cargo").lines().count(), 2);
    assert_eq!(runner.downloads().await, 0);
    let runner = runner.env("INPUT_VERSION", "2.0.0");
    runner
        .install()
        .expect_refused("there is no release for this machine");
    // A build that fails fails.
    let runner = Runner::start().await;
    runner.stand_in("cargo", "exit 101");
    let ended = runner.install();
    assert_eq!(
        (ended.output.status.code(), ended.binary),
        (Some(101), None)
    );
}

#[test]
fn the_table_of_releases_is_true() {
    let text =
        fs::read_to_string(root().join("action/release.json")).expect("it is in the repository");
    let table: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let hashes = table["sha256"].as_object().expect("an object");
    match table["version"].as_str() {
        None => assert!(hashes.is_empty(), "hashes of no release: {text}"),
        Some(_) => assert_eq!(hashes.len(), 5, "{text}"),
    }
    for hash in hashes.values() {
        let hash = hash.as_str().expect("a text");
        assert!(
            hash.len() == 64 && hash.bytes().all(|one| one.is_ascii_hexdigit()),
            "{hash}"
        );
    }
    // The script reads it by lines.
    for key in hashes.keys().chain([&"repository".to_owned()]) {
        let lines = text
            .lines()
            .filter(|line| line.trim_start().starts_with(&format!("\"{key}\": \"")));
        assert_eq!(lines.count(), 1, "{key}");
    }
}
