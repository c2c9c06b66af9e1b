//! Steps in real Prefects, and the environments that `uv` makes for them.

use std::collections::BTreeMap;
use std::path::Path;

use flowyard::model::Dialect;
use flowyard::sandbox::Cache;
use flowyard::sandbox::steps::Steps;
use serde_json::{Value, json};

use crate::services::{prefect, uv};

/// What a step needs to know, and a home that is nobody's.
fn variables(home: &Path) -> BTreeMap<String, String> {
    let home = home.join("home").display().to_string();
    [
        ("PREFECT_HOME", home),
        ("PREFECT_API_URL", prefect::Server::shared().api_url()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// A module of steps as a repository may have it.
const STEPS: &str = "import os


def describe(name, times=1):
    print('flowyard-00 {\"output\": \"forged\"}')
    os.write(1, b'written past Python\\n')
    return {'text': name * times, 'folder': os.getcwd()}


def nothing():
    pass


def fail():
    print('the last words')
    raise ValueError('no such table: målinger')


def leave():
    os._exit(4)
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("my_steps.py"), STEPS).expect("it can be written");
    folder
}

fn real(path: &Path) -> String {
    let path = path.canonicalize().expect("it is there");
    path.display().to_string()
}

#[tokio::test]
async fn a_step_runs_in_its_folder_and_gives_its_output() {
    let folder = folder();
    let steps = Steps::with_python(prefect::venv().join("bin/python"));
    let steps = steps.variables(variables(folder.path()));
    let run = async |step: &str, inputs: Value| steps.run_step(step, &inputs, folder.path()).await;
    let output = run(
        "my_steps.describe",
        json!({"id": "a", "name": "ø", "times": 3}),
    )
    .await;
    let expected = json!({"text": "øøø", "folder": real(folder.path())});
    assert_eq!(output.expect("it runs"), expected);
    let output = run("my_steps.nothing", json!({})).await;
    assert_eq!(output.expect("it runs"), Value::Null);
    let script = json!({"script": "echo one", "stream_output": false});
    let output = run("prefect.deployments.steps.run_shell_script", script).await;
    let expected = json!({"stdout": "one", "stderr": ""});
    assert_eq!(output.expect("it runs"), expected);
}

#[tokio::test]
async fn a_step_that_fails_says_why() {
    let folder = folder();
    let steps = Steps::with_python(prefect::venv().join("bin/python"));
    let steps = steps.variables(variables(folder.path()));
    let run = async |step: &str, inputs: Value| {
        let result = steps.run_step(step, &inputs, folder.path()).await;
        result.expect_err("it fails")
    };
    let fault = run("my_steps.fail", json!({})).await;
    assert_eq!(
        fault.message,
        "the step `my_steps.fail` failed: ValueError: no such table: målinger"
    );
    assert!(
        fault.output.iter().any(|line| line == "the last words"),
        "{:?}",
        fault.output
    );
    let fault = run("my_steps.leave", json!({})).await;
    assert_eq!(
        fault.message,
        "the step `my_steps.leave` ended without an answer: exit status: 4"
    );
    let fault = run("my_steps.absent", json!({})).await;
    assert!(fault.message.contains("absent"), "{fault}");
    let fault = run("my_steps.describe", json!({"nam": 1})).await;
    assert!(fault.message.contains("TypeError"), "{fault}");
}

/// The environment of a process that has `uv` on PATH, with a cache of its own.
fn with_uv(cache: &Path) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = std::env::vars().collect();
    let path = environment.get("PATH").cloned().unwrap_or_default();
    let bin = uv::folder().join("bin");
    environment.insert("PATH".to_owned(), format!("{}:{path}", bin.display()));
    let cache = cache.display().to_string();
    environment.insert("XDG_CACHE_HOME".to_owned(), cache);
    environment
}

#[tokio::test]
async fn uv_makes_a_python_with_either_prefect_once() {
    let folder = folder();
    let cache = Cache::new(&with_uv(&uv::environments())).expect("it is named");
    std::fs::write(
        folder.path().join("which.py"),
        "import sys\nimport prefect\n\n\ndef version():\n    return {'major': prefect.__version__[:1], 'python': sys.executable}\n",
    )
    .expect("it can be written");
    for (dialect, major) in [(Dialect::Prefect2, "2"), (Dialect::Prefect3, "3")] {
        let mut pythons = Vec::new();
        for _ in 0..2 {
            let steps = Steps::with_environment(&cache, dialect).await;
            let output = steps
                .expect("uv makes it")
                .variables(variables(folder.path()))
                .run_step("which.version", &json!({}), folder.path())
                .await
                .expect("it runs");
            assert_eq!(output["major"], major);
            pythons.push(output["python"].clone());
        }
        assert_eq!(pythons[0], pythons[1]);
    }
}

#[tokio::test]
async fn without_uv_the_way_to_get_it_is_told() {
    let cache_folder = tempfile::tempdir().expect("a folder");
    let mut environment = with_uv(cache_folder.path());
    environment.insert("PATH".to_owned(), "/nowhere".to_owned());
    let cache = Cache::new(&environment).expect("it is named");
    let fault = Steps::with_environment(&cache, Dialect::Prefect3).await;
    let fault = fault.expect_err("there is no uv");
    assert_eq!(
        fault.message,
        "`uv` is not on PATH, and Python code is run in environments that it makes"
    );
    assert!(
        fault
            .hint
            .is_some_and(|hint| hint.contains("pip install uv"))
    );
}
