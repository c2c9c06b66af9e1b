//! Every secret that a run is given, looked for in everything that it writes.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::double::{GitHub, TOKEN};
use super::job::{Ended, Step, pull_request};
use crate::support::{Repo, files};

/// Variables and the secrets in them.
const SECRETS: &[(&str, &str)] = &[
    ("PREFECT_API_KEY", "pnu_4fJq/9+zz~secret"),
    ("PREFECT_API_AUTH_STRING", "admin:correct-horse-battery"),
    (
        "AZURE_STORAGE_CONNECTION_STRING",
        "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=QWNjb3VudEtleU9mQWxsVGhpbmdz+w==;EndpointSuffix=core.windows.net",
    ),
    ("AZURE_CLIENT_SECRET", "8Q~client-secret-of-entra"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"),
    ("FLOWYARD_REGISTRY_PASSWORD", "registry pass=word&more"),
    ("DB_PASSWORD", "first-line-of-it\nsecond \"line\" of it"),
    ("DSN", "postgres://u:hunter-22@db/x"),
];

/// What is looked for: the values, and the parts of them that are secret by themselves.
fn secrets() -> Vec<String> {
    let parts = [
        TOKEN,
        "correct-horse-battery",
        "QWNjb3VudEtleU9mQWxsVGhpbmdz+w==",
        "first-line-of-it",
        "second \"line\" of it",
    ];
    let values = SECRETS.iter().map(|one| one.1);
    let all: Vec<&str> = values.chain(parts).collect();
    forms(&all)
}

/// Secrets as they are, in Base64, percent-encoded, and as JSON writes them.
pub(crate) fn forms(secrets: &[&str]) -> Vec<String> {
    let mut forms = Vec::new();
    for text in secrets {
        forms.push(STANDARD.encode(text));
        forms.push(URL_SAFE_NO_PAD.encode(text));
        forms.push(
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string(),
        );
        forms.push(
            serde_json::Value::from(*text)
                .to_string()
                .trim_matches('"')
                .to_owned(),
        );
        forms.push((*text).to_owned());
    }
    forms
}

#[track_caller]
fn expect_none(text: &str, what: &str) {
    expect_no_form(text, &secrets(), what);
}

/// Panics where a text holds one of the forms of secrets.
#[track_caller]
pub(crate) fn expect_no_form(text: &str, forms: &[String], what: &str) {
    for form in forms {
        assert!(!text.contains(form), "{what} holds {form}:\n{text}");
    }
}

fn repo() -> Repo {
    let repo = Repo::new();
    repo.write("p/flow.py", "from prefect import flow\n\n\n@flow\ndef hello(n: int = 1, dsn: str = \"\"):\n    print(n)\n");
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\nparameters: {dsn: \"{{ $DSN }}\"}\n\
         job_variables: {env: {PASSWORD: \"{{ $DB_PASSWORD }}\", URL: \"x?key={{ $PREFECT_API_KEY }}\"}}\n",
    );
    repo.commit("Add a flow");
    repo
}

fn step(repo: &Repo, github: &GitHub) -> Step {
    let step = Step::new(repo, github, "pull_request", &pull_request("acme/flows"))
        .env("FLOWYARD_REGISTRY_USERNAME", "robot");
    SECRETS
        .iter()
        .fold(step, |step, (name, value)| step.env(name, value))
}

/// What people see of both streams: everything but the masks themselves.
#[track_caller]
fn expect_clean(ended: &Ended, line: &str) {
    expect_none(&ended.runner.shown.join("\n"), line);
    expect_none(&ended.commands(), line);
    expect_none(&ended.summary, line);
    expect_none(&ended.output_file, line);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_that_is_written() {
    let (repo, github) = (repo(), GitHub::start().await);
    let step = step(&repo, &github);
    let lines = [
        "plan --local --comment --commit-status --out plan.json -vv",
        "plan --local --format json",
        "deploy --local --comment --commit-status --github-deployment -vv",
        "plan --local --check --drift-issue",
        "status --local",
        "plan --local --env preview --shards 2 --out plan-2.json",
        "deploy --local --env preview --plan plan-2.json --shard 1/1 --out outcome.json -vv",
        "gather --local --env preview --plan plan-2.json outcome.json --comment",
        "destroy --local --env preview --yes -vv",
    ];
    for line in lines {
        let ended = step.run(&repo, line).expect_code(0);
        expect_clean(&ended, line);
    }
    for file in ["plan.json", "plan-2.json", "outcome.json"] {
        expect_none(&repo.read(file), file);
    }
    // Registrations hold what a server holds, the values with it.
    let kept = files(&repo.path().join(".flowyard"));
    let kept = kept
        .iter()
        .filter(|(name, _)| !name.starts_with("registrations/"));
    for (name, (content, _)) in kept {
        expect_none(&String::from_utf8_lossy(content), name);
    }
    // With the server out of reach, and with a value where it cannot stand.
    let away = step
        .env("FLOWYARD_STORAGE_URL", "file:///nowhere")
        .env("PREFECT_API_URL", "http://127.0.0.1:9/api");
    let ended = away.run(&repo, "plan --comment -vv").expect_code(4);
    expect_clean(&ended, "out of reach");
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\nconcurrency_limit: \"{{ $DSN }}\"\n",
    );
    let ended = away.run(&repo, "plan --local --comment -vv").expect_code(3);
    expect_clean(&ended, "faulty");
    expect_none(&github.state().bodies.join("\n"), "what was sent to GitHub");
    assert!(github.state().bodies.len() > 8);
    github.expect_nothing_refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_secret_is_masked_before_anything_else() {
    let (repo, github) = (repo(), GitHub::start().await);
    let ended = step(&repo, &github)
        .run(&repo, "plan --local")
        .expect_code(0);
    let masks = ended.masks();
    for secret in [
        TOKEN,
        "pnu_4fJq/9+zz~secret",
        "correct-horse-battery",
        "QWNjb3VudEtleU9mQWxsVGhpbmdz+w==",
        "8Q~client-secret-of-entra",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
        "registry pass=word&more",
        "first-line-of-it",
        "second \"line\" of it",
        "postgres://u:hunter-22@db/x",
    ] {
        assert!(
            masks.iter().any(|mask| mask == secret),
            "{secret}: {masks:?}"
        );
    }
    assert!(
        ended.run.stderr.starts_with("::add-mask::"),
        "{}",
        ended.run.stderr
    );
    assert!(
        masks.iter().all(|mask| mask.chars().count() >= 5),
        "{masks:?}"
    );
    // In a file nobody would hide them.
    let log = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let path = log.path().to_str().expect("UTF-8").to_owned();
    let shell = format!("\"$0\" plan --local 2>{path}");
    let run = crate::support::Flowyard::through(&["sh", "-c", &shell], repo.path(), [""; 0])
        .env("GITHUB_ACTIONS", "true")
        .env("DSN", SECRETS[7].1)
        .env("DB_PASSWORD", SECRETS[6].1)
        .env("PREFECT_API_KEY", SECRETS[0].1)
        .run();
    assert_eq!(run.code, Some(0), "{}", run.snapshot());
    expect_none(
        &fs::read_to_string(Path::new(&path)).expect("it is text"),
        "a redirected log",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_programs_print_is_no_command() {
    let (repo, github) = (Repo::new(), GitHub::start().await);
    repo.write(
        "p/flow.py",
        "from prefect import flow\n\n\n@flow\ndef hello(n: int = 1):\n    print(n)\n",
    );
    repo.write(
        "p/prefect.yaml",
        "build:\n- prefect.deployments.steps.run_shell_script:\n    id: said\n    script: |\n      \
         echo ::error::pwned\n      echo x ##[add-mask]pwned\n    stream_output: false\n\
         deployments:\n- name: a\n  entrypoint: flow.py:hello\n  version: \"{{ said.stdout }}\"\n",
    );
    repo.commit("Add a flow");
    let step = Step::new(&repo, &github, "push", &super::job::push());
    let ended = step
        .run(&repo, "deploy --local --run-steps -v")
        .expect_code(0);
    assert_eq!(ended.commands(), "");
    assert!(
        ended.run.stderr.contains("::stop-commands::flowyard-"),
        "{}",
        ended.run.stderr
    );
    let token = |text: &str| {
        let rest = text
            .split("::stop-commands::")
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        rest.lines().next().unwrap_or_default().to_owned()
    };
    let again = step
        .run(&repo, "deploy --local --run-steps -v")
        .expect_code(0);
    assert_ne!(
        token(&ended.run.stderr),
        token(&again.run.stderr),
        "nobody can guess it"
    );
}
