//! `flowyard init` and `flowyard new`: what people begin with.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{flowyard, local, small};
use crate::services::prefect::{Server, Worker};
use crate::services::process::wait_until;
use crate::support::{Flowyard, Repo, files};

const WRITTEN: [&str; 3] = [
    "flowyard.toml",
    ".github/workflows/flowyard-plan.yml",
    ".github/workflows/flowyard-deploy.yml",
];

/// What is below `projects/news/load_vg` and the like: paths and whether they are there.
fn is_there(repo: &Repo, path: &str) -> bool {
    repo.path().join(path).exists()
}

#[test]
fn init_fits_the_examples() {
    let repo = Repo::with_examples();
    repo.remove("flowyard.toml");
    repo.commit("Forget the configuration");
    // A dry run shows just what a real one writes.
    let before = files(repo.path());
    let dry = flowyard(&repo, "init --dry-run").run().expect_code(0);
    assert_eq!(
        crate::support::changed(&before, &files(repo.path())),
        [""; 0]
    );
    let run = flowyard(&repo, "init").run().expect_code(0);
    assert_eq!(run.stderr, "");
    assert_eq!(dry.stdout.replace("Would write", "Wrote"), run.stdout);
    insta::assert_snapshot!(repo.read("flowyard.toml"));
    for path in WRITTEN {
        assert!(
            run.stdout.contains(&format!("{path}\n  | ")),
            "{}",
            run.stdout
        );
    }
    // What it wrote is right at once, and the library is part of the releases that import it.
    let check = flowyard(&repo, "check").run().expect_code(0);
    assert_eq!(check.stdout, "No faults in 16 deployments in 8 projects.\n");
    let list = local(&repo, "plan --format json").expect_code(0);
    assert!(list.stdout.contains("load-e24"), "{}", list.stdout);
    local(&repo, "deploy").expect_code(0);
    let releases = repo.path().join(".flowyard/storage/projects/news/load_dn");
    let release = fs::read_dir(&releases)
        .expect("a release")
        .next()
        .expect("one")
        .expect("an entry");
    assert!(release.path().join("lib/rss.py").is_file());
}

#[test]
fn init_leaves_what_is_there() {
    let repo = small();
    let own = "# mine\n";
    repo.write("flowyard.toml", own);
    repo.write(".github/workflows/flowyard-plan.yml", own);
    let run = flowyard(&repo, "init").run().expect_code(0);
    for path in &WRITTEN[..2] {
        assert!(
            run.stdout
                .contains(&format!("{path}: is there already, and stays as it is\n")),
            "{}",
            run.stdout
        );
        assert_eq!(repo.read(path), own);
    }
    assert!(run.stdout.contains("\nWrote 1 file.\n"), "{}", run.stdout);
    assert!(is_there(&repo, WRITTEN[2]));
    let again = flowyard(&repo, "init").run().expect_code(0);
    assert!(
        again.stdout.contains("\nWrote 0 files.\n"),
        "{}",
        again.stdout
    );
}

#[test]
fn init_writes_workflows_at_the_top_of_git() {
    let repo = Repo::new();
    super::project(&repo, "data/flows/a", "a");
    repo.commit("Add a flow");
    git2::Repository::open(repo.path())
        .and_then(|git| {
            git.reference_symbolic(
                "refs/remotes/origin/HEAD",
                "refs/remotes/origin/trunk",
                true,
                "",
            )
            .map(|_| ())
        })
        .expect("a reference");
    flowyard(&repo, "init --root data").run().expect_code(0);
    assert!(is_there(&repo, "data/flowyard.toml"));
    for path in &WRITTEN[1..] {
        let text = repo.read(path);
        assert!(text.contains("branches: [trunk]"), "{text}");
        assert!(text.contains("root: \"data\"\n"), "{text}");
    }
    flowyard(&repo, "check --root data").run().expect_code(0);
}

#[test]
fn init_in_an_empty_repository() {
    let repo = Repo::new();
    let run = flowyard(&repo, "init").run().expect_code(0);
    assert!(
        run.stdout.contains("flowyard new projects/hello"),
        "{}",
        run.stdout
    );
    for line in ["check", "plan --local"] {
        flowyard(&repo, line).run().expect_code(0);
    }
}

#[test]
fn init_tells_which_prefect_files_are_for() {
    let repo = small();
    repo.write(
        "p/hello.deployment.yaml",
        "entrypoint: flow.py:hello\ninfrastructure: kubernetes-job/prod\n",
    );
    flowyard(&repo, "check").run().expect_code(3);
    flowyard(&repo, "init").run().expect_code(0);
    assert!(repo.read("flowyard.toml").contains("\nversion = 2\n"));
    flowyard(&repo, "check").run().expect_code(0);
}

#[test]
fn a_new_project_is_right_at_once() {
    let repo = small();
    let run = flowyard(&repo, "new projects/news/load_vg")
        .run()
        .expect_code(0);
    insta::assert_snapshot!(run.snapshot());
    flowyard(&repo, "check --project projects/news/load_vg")
        .run()
        .expect_code(0);
    let plan = local(&repo, "plan").expect_code(0);
    assert!(
        plan.stdout.contains("+ create load-vg/daily"),
        "{}",
        plan.stdout
    );
    // From a folder of the repository, which the path counts from.
    let news = repo.path().join("projects/news");
    Flowyard::new(&news, ["new", "../weather", "--dry-run"])
        .run()
        .expect_code(0);
    assert!(!is_there(&repo, "projects/weather"));
    Flowyard::new(&news, ["new", "../weather"])
        .run()
        .expect_code(0);
    assert!(is_there(&repo, "projects/weather/flow.py"));
}

#[test]
fn a_new_project_overwrites_nothing() {
    let repo = small();
    repo.write("q/flow.py", "# mine\n");
    let run = flowyard(&repo, "new q").run().expect_code(2);
    assert_eq!(
        run.stderr,
        "error: q/flow.py: there already, and no file is overwritten; nothing was written\n"
    );
    assert_eq!(run.stdout, "");
    assert_eq!(repo.read("q/flow.py"), "# mine\n");
    assert!(!is_there(&repo, "q/requirements.txt"));
    let outside = flowyard(&repo, "new ../elsewhere").run().expect_code(2);
    assert!(
        outside.stderr.contains("is outside of the repository"),
        "{}",
        outside.stderr
    );
    #[cfg(unix)]
    {
        let elsewhere = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(elsewhere.path(), repo.path().join("link")).expect("a link");
        let run = flowyard(&repo, "new link/x").run().expect_code(2);
        assert!(
            run.stderr.contains("a symbolic link leads out of"),
            "{}",
            run.stderr
        );
        let left = fs::read_dir(elsewhere.path()).expect("a folder").count();
        assert_eq!(left, 0);
    }
}

/// A template of the repository's own, with a hook that must not run.
fn template(repo: &Repo) {
    let inside = "templates/flow/{{ cookiecutter.slug }}";
    repo.write(
        "templates/flow/cookiecutter.json",
        r#"{"title": "A flow", "slug": "{{ cookiecutter.title|lower|replace(' ', '_') }}", "schedule": ["daily", "hourly"], "docker": false}"#,
    );
    repo.write(
        &format!("{inside}/{{{{ cookiecutter.schedule }}}}.deployment.yaml"),
        "entrypoint: {{ cookiecutter.slug }}.py:run\n",
    );
    repo.write(
        &format!("{inside}/{{{{ cookiecutter.slug }}}}.py"),
        "from prefect import flow\n\n\n@flow(name=\"{{ cookiecutter.title }}\")\ndef run():\n    pass\n",
    );
    repo.write(
        &format!("{inside}/{{% if cookiecutter.docker %}}Dockerfile{{% endif %}}"),
        "FROM scratch\n",
    );
    repo.write(
        &format!("{inside}/data/logo.png"),
        b"\x89PNG\0{{ cookiecutter.nothing }}",
    );
    repo.write(
        "templates/flow/hooks/pre_gen_project.py",
        "open('ran', 'w')\n",
    );
    repo.write("templates/flow/hooks/post_gen_project.sh", "touch ran\n");
}

#[test]
fn a_template_of_the_repository() {
    let repo = small();
    template(&repo);
    // A template is no project itself.
    flowyard(&repo, "check").run().expect_code(0);
    let line = [
        "new",
        "load_vg",
        "--template",
        "templates/flow",
        "--set",
        "title=Load VG",
        "--set",
        "schedule=hourly",
    ];
    let run = Flowyard::new(repo.path(), line).run().expect_code(0);
    insta::assert_snapshot!(run.snapshot());
    assert!(
        repo.read("load_vg/load_vg.py")
            .contains("@flow(name=\"Load VG\")")
    );
    let logo = fs::read(repo.path().join("load_vg/data/logo.png")).expect("a file");
    assert_eq!(logo, b"\x89PNG\0{{ cookiecutter.nothing }}");
    assert!(!is_there(&repo, "load_vg/Dockerfile"));
    assert!(!is_there(&repo, "ran") && !is_there(&repo, "load_vg/ran"));
    flowyard(&repo, "check --project load_vg")
        .run()
        .expect_code(0);
}

#[test]
fn a_template_that_cannot_be_used() {
    let repo = small();
    template(&repo);
    let refused = |arguments: &[&str]| {
        let line = [&["new", "q"], arguments].concat();
        let run = Flowyard::new(repo.path(), line).run().expect_code(2);
        assert!(!is_there(&repo, "q"), "{}", run.snapshot());
        run.stderr
            .replace(&repo.path().display().to_string(), "[DIR]")
    };
    let of = ["--template", "templates/flow"];
    let with = |set| refused(&[&of[..], &["--set", set]].concat());
    let mut all = String::new();
    all += &with("slug=../x");
    all += &with("schedule=../../x");
    all += &with("titel=x");
    all += &with("title");
    all += &refused(&["--template", "p"]);
    repo.write("templates/flow/{{cookiecutter.other}}/x", "");
    all += &refused(&of);
    insta::assert_snapshot!(all);
}

#[test]
fn a_template_that_makes_a_faulty_project() {
    let repo = small();
    let inside = "templates/bad/{{ cookiecutter.name }}";
    repo.write("templates/bad/cookiecutter.json", "{\"name\": \"x\"}");
    repo.write(
        &format!("{inside}/a.deployment.yaml"),
        "entrypoint: nope.py:x\n",
    );
    let run = flowyard(&repo, "new q --template templates/bad")
        .run()
        .expect_code(3);
    assert!(
        run.stdout.contains("\nWrote 1 file.\n"),
        "{}",
        run.snapshot()
    );
    assert!(
        run.stderr
            .ends_with("\nerror: 1 fault in the files that were written\n"),
        "{}",
        run.snapshot()
    );
    assert!(is_there(&repo, "q/a.deployment.yaml"));
}

#[tokio::test]
async fn a_worker_runs_a_new_project() {
    let repo = Repo::new();
    flowyard(&repo, "new projects/greeter").run().expect_code(0);
    let server = Server::shared();
    let api = server.api();
    api.create_process_pool("newcomers").await;
    let storage = tempfile::tempdir().expect("a temporary folder can be made");
    let deploy = |line: &str, folder: &Path| {
        flowyard(&repo, line)
            .env("PREFECT_API_URL", server.api_url())
            .env(
                "FLOWYARD_STORAGE_URL",
                format!("file://{}", folder.display()),
            )
            .env("FLOWYARD_PREFECT_WORK_POOL", "newcomers")
            .env("FLOWYARD_REPOSITORY", "acme/newcomers")
            .run()
            .expect_code(0)
    };
    deploy("deploy", storage.path());
    let deployment = api
        .deployments()
        .await
        .remove("greeter/daily")
        .expect("it is registered");
    let run = api
        .create_run(deployment["id"].as_str().expect("an id"))
        .await;
    let mut worker = Worker::start(server, "newcomers");
    let state = wait_until(Duration::from_secs(900), "the run", async || {
        worker.expect_running();
        let state = api.run_state(&run).await;
        state.is_terminal().then_some(state)
    })
    .await;
    assert_eq!(state.kind, "COMPLETED", "{state:?}\n{}", worker.log());
}

/// What a command says as one document; stdout is nothing else.
fn document(repo: &Repo, line: &str) -> serde_json::Value {
    let run = flowyard(repo, &format!("{line} --format json"))
        .run()
        .expect_code(0);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout))
}

#[test]
fn programs_get_one_document() {
    let repo = Repo::new();
    repo.write("flowyard.toml", "");
    let dry = document(&repo, "init --dry-run");
    let init = document(&repo, "init");
    assert_eq!((&dry["version"], &dry["kind"]), (&1.into(), &"init".into()));
    assert_eq!(
        (&dry["dry_run"], &init["dry_run"]),
        (&true.into(), &false.into())
    );
    assert_eq!(dry["files"], init["files"]);
    let told = |document: &serde_json::Value| -> Vec<String> {
        let files = document["files"].as_array().expect("a list").iter();
        files
            .map(|one| format!("{} {}", one["action"], one["path"]).replace('"', ""))
            .collect()
    };
    assert_eq!(
        told(&init),
        [
            format!("keep {}", WRITTEN[0]),
            format!("write {}", WRITTEN[1]),
            format!("write {}", WRITTEN[2]),
        ]
    );
    for file in init["files"].as_array().expect("a list") {
        let path = file["path"].as_str().expect("a path");
        let content = (file["action"] == "write").then(|| repo.read(path));
        assert_eq!(file["content"], serde_json::json!(content), "{path}");
    }

    let new = document(&repo, "new hello");
    assert_eq!(
        told(&new),
        [
            "write hello/.prefectignore",
            "write hello/daily.deployment.yaml",
            "write hello/flow.py",
            "write hello/requirements.txt",
        ]
    );

    assert_eq!(told(&document(&repo, "convert")), [""; 0]);
    repo.remove("hello/daily.deployment.yaml");
    let python = "from prefect.deployments import Deployment\nfrom flow import main\n\n\
        Deployment.build_from_flow(flow=main, name='daily', work_pool_name='p').apply()\n";
    repo.write("hello/daily.deployment.py", python);
    let convert = document(&repo, "convert");
    assert_eq!(told(&convert), ["write hello/daily.deployment.yaml"]);
    let first = &convert["files"][0];
    assert_eq!(first["from"], "hello/daily.deployment.py");
    assert_eq!(first["content"], repo.read("hello/daily.deployment.yaml"));
    // The same once more, and what was meant.
    let again = document(&repo, "convert");
    assert_eq!(told(&again), ["keep hello/daily.deployment.yaml"]);
    assert_eq!(
        told(&document(&repo, "convert --replace")),
        [
            "keep hello/daily.deployment.yaml",
            "delete hello/daily.deployment.py"
        ]
    );
    flowyard(&repo, "check").run().expect_code(0);
}
