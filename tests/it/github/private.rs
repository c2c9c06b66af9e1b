//! A shallow clone of a repository that nobody reads without a token.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use super::double::{GitHub, TOKEN};
use super::job::{Ended, Step, pull_request};
use super::pages::small;
use super::secrets::{expect_no_form, forms};
use crate::services::process::script;
use crate::support::{Repo, git};

/// git's own server, behind the authentication that GitHub demands for a private repository.
struct Gate {
    folder: PathBuf,
    /// The `Authorization` headers of every request.
    shown: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Respond for Gate {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let all = request.headers.get_all("authorization").into_iter();
        let shown: Vec<String> = all
            .map(|one| one.to_str().expect("ASCII").to_owned())
            .collect();
        self.shown
            .lock()
            .expect("no test fails while it holds it")
            .push(shown.clone());
        let right = STANDARD.encode(format!("x-access-token:{TOKEN}"));
        match shown.as_slice() {
            [one] if *one == format!("basic {right}") => serve(&self.folder, request),
            [] | [_] => ResponseTemplate::new(401)
                .insert_header("www-authenticate", "Basic realm=\"GitHub\""),
            // As GitHub does: "Duplicate header: Authorization".
            _ => ResponseTemplate::new(400),
        }
    }
}

/// What `git http-backend`, a program for CGI, says of the repository in a folder.
fn serve(folder: &Path, request: &Request) -> ResponseTemplate {
    let header = |name: &str| {
        let value = request.headers.get(name);
        value.map_or("", |one| one.to_str().expect("ASCII"))
    };
    let path = request.url.path().strip_prefix("/acme/flows.git");
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env(
            "PATH_INFO",
            format!("/.git{}", path.expect("the one that is there")),
        )
        .env("QUERY_STRING", request.url.query().unwrap_or_default())
        .env("REQUEST_METHOD", request.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git is installed");
    let mut stdin = backend.stdin.take().expect("it is piped");
    stdin.write_all(&request.body).expect("it reads all of it");
    drop(stdin);
    let output = backend.wait_with_output().expect("the child is ours");
    let end = output
        .stdout
        .windows(4)
        .position(|four| four == b"\r\n\r\n");
    let (head, body) = output.stdout.split_at(end.expect("headers"));
    let head = String::from_utf8_lossy(head);
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let code = value("Status: ").map_or(200, |text| text[..3].parse().expect("a number"));
    let kind = value("Content-Type: ").unwrap_or("text/plain");
    ResponseTemplate::new(code).set_body_raw(&body[4..], kind)
}

/// A pull request's job with a clone of one commit, as `actions/checkout` leaves it with `persist-credentials: false`.
struct Job {
    repo: Repo,
    github: GitHub,
    server: MockServer,
    shown: Arc<Mutex<Vec<Vec<String>>>>,
    base: String,
    clone: TempDir,
    /// Where a `git` is that writes down its arguments.
    programs: TempDir,
}

impl Job {
    async fn new() -> Self {
        let repo = small();
        let base = git(repo.path(), &["rev-parse", "HEAD"]);
        repo.write(
            "p/hello.deployment.yaml",
            "entrypoint: flow.py:hello\ntags: [b]\n",
        );
        repo.commit("Tag it");
        git(
            repo.path(),
            &["config", "uploadpack.allowAnySHA1InWant", "true"],
        );
        let shown = Arc::default();
        let gate = Gate {
            folder: repo.path().to_owned(),
            shown: Arc::clone(&shown),
        };
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(gate).mount(&server).await;
        let [clone, programs] =
            [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
        let address = format!("file://{}", repo.path().display());
        git(clone.path(), &["clone", "-q", "--depth=1", &address, "."]);
        let address = format!("{}/acme/flows.git", server.uri());
        git(clone.path(), &["remote", "set-url", "origin", &address]);
        let path = std::env::var("PATH").expect("UTF-8");
        let program = programs.path().join("git");
        let log = programs.path().join("log");
        let text = format!(
            "printf '%s\\n' \"$*\" >>'{}'\nPATH='{path}' exec git \"$@\"\n",
            log.display()
        );
        script(&program, &text);
        Self {
            repo,
            github: GitHub::start().await,
            server,
            shown,
            base,
            clone,
            programs,
        }
    }

    fn step(&self) -> Step {
        let mut payload = pull_request("acme/flows");
        payload["pull_request"]["base"]["sha"] = self.base.as_str().into();
        let path = std::env::var("PATH").expect("UTF-8");
        Step::new(&self.repo, &self.github, "pull_request", &payload)
            .env("GITHUB_SERVER_URL", &self.server.uri())
            .env(
                "GITHUB_SHA",
                &git(self.clone.path(), &["rev-parse", "HEAD"]),
            )
            .env(
                "PATH",
                &format!("{}:{path}", self.programs.path().display()),
            )
    }

    fn plan(&self, step: &Step) -> Ended {
        step.run_in(self.clone.path(), "plan --against auto")
    }

    fn shown(&self) -> Vec<Vec<String>> {
        let shown = self.shown.lock().expect("no test fails while it holds it");
        shown.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_token_gets_the_commit_that_is_missing() {
    let job = Job::new().await;
    let ended = job.plan(&job.step()).expect_code(0);
    assert!(
        ended.run.stdout.contains(r#"["a"] -> ["b"]"#),
        "{}",
        ended.run.stdout
    );
    // In no argument, and nowhere that people look.
    let log = job.programs.path().join("log");
    let log = std::fs::read_to_string(log).expect("git was run");
    assert!(log.contains("fetch --quiet"), "{log}");
    let pair = format!("x-access-token:{TOKEN}");
    let forms = forms(&[TOKEN, &pair]);
    expect_no_form(&log, &forms, "the arguments");
    expect_no_form(&ended.runner.shown.join("\n"), &forms, "the log");
    let config = std::fs::read_to_string(job.clone.path().join(".git/config"));
    expect_no_form(&config.expect("it is text"), &forms, "git's configuration");

    // By `--since auto` likewise, and by name.
    for line in ["plan --local --since auto", "plan --local --since BASE"] {
        let job = Job::new().await;
        let line = line.replace("BASE", &job.base);
        let ended = job.step().run_in(job.clone.path(), &line).expect_code(0);
        let shown = &ended.run.stdout;
        assert!(shown.contains("p ← p/hello.deployment.yaml"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_checkout_has_kept_is_tried_first() {
    let keep = |job: &Job, header: &str| {
        let key = format!("http.{}/.extraheader", job.server.uri());
        let header = format!("AUTHORIZATION: basic {header}");
        git(job.clone.path(), &["config", &key, &header]);
    };
    let job = Job::new().await;
    let right = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    keep(&job, &right);
    job.plan(&job.step().without("GITHUB_TOKEN")).expect_code(0);

    // One that does not serve any more; two at once would be refused.
    let job = Job::new().await;
    keep(&job, "c3RhbGU=");
    job.plan(&job.step()).expect_code(0);
    let shown = job.shown();
    assert_eq!(shown[0], ["basic c3RhbGU="]);
    assert!(shown.iter().all(|one| one.len() == 1), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_server_is_shown_the_token() {
    let job = Job::new().await;
    let elsewhere = job
        .step()
        .env("GITHUB_SERVER_URL", "https://github.example.org");
    let without = job.step().without("GITHUB_TOKEN");
    for step in [elsewhere, without] {
        let ended = job.plan(&step).expect_code(2);
        assert!(
            ended.run.stderr.contains("`git fetch origin "),
            "{}",
            ended.run.stderr
        );
    }
    let shown = job.shown();
    assert!(
        !shown.is_empty() && shown.iter().all(Vec::is_empty),
        "{shown:?}"
    );
}
