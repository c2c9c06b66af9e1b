//! The layer of packages, from an index whose content is known.

use flowyard::model::Digest;
use serde_json::json;

use super::index::Index;
use super::{GLIBC, Machine, Project, base, configuration, layers_of, layout, texts_of};

const FLOWS: &str = "registry.example.org/acme/flows";
const BASE: &str = "registry.example.org/base";

fn project(requirements: &str, code: &str) -> Project {
    let project = Project::new(FLOWS, &format!("{BASE}:1"), &[("flow.py", code)]);
    project.require(&[("p/requirements.txt", requirements)])
}

#[tokio::test]
async fn packages_are_found_and_programs_start_with_the_bases_python() {
    let index = Index::start().await;
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let project = project("greet>=2\nnative\nstartup\n", "import greet\n");
    let machine = Machine::with_index(&index);
    let digest = project.make(&machine.local(&layout)).await;
    let flows = layout.named(FLOWS);
    let layers = layers_of(&flows, &digest).await;
    let texts = texts_of(&flows, &layers[1]).await;
    let program = &texts["opt/flowyard/bin/greet"];
    assert!(program.starts_with("#!/usr/bin/python3\n"), "{program}");
    let packages = "opt/flowyard/site-packages";
    let native = &texts[&format!("{packages}/native.py")];
    assert_eq!(native, "PLACE = 'manylinux_2_17_x86_64'\n");
    let record = &texts[&format!("{packages}/greet-2.0.dist-info/RECORD")];
    let row = record.lines().find(|row| row.starts_with("../bin/greet,"));
    let row = row.expect("the program is listed where it is");
    assert!(row.ends_with(&format!(",{}", program.len())), "{row}");
    assert!(texts.contains_key(&format!("{packages}/sitecustomize.py")));
    assert!(
        !texts
            .keys()
            .any(|path| path.ends_with(".pyc") || path.ends_with(".lock"))
    );
    let config = configuration(&flows, &digest).await;
    assert_eq!(
        config["config"]["Env"],
        json!([
            "PATH=/opt/flowyard/bin:/usr/local/bin:/usr/bin",
            "PYTHONPATH=/opt/flowyard/site-packages"
        ])
    );
    let log = project.log();
    assert!(log.contains("packages for linux/amd64"), "{log}");
}

#[tokio::test]
async fn what_changes_is_all_that_changes() {
    let index = Index::start().await;
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let flows = layout.named(FLOWS);
    let machine = Machine::with_index(&index);
    let make = async |requirements: &str, code: &str| -> (Digest, Vec<Digest>) {
        let digest = project(requirements, code)
            .make(&machine.local(&layout))
            .await;
        (digest, layers_of(&flows, &digest).await)
    };
    let (first, one) = make("greet==1.0\n", "1\n").await;
    let (_, code) = make("greet==1.0\n", "2\n").await;
    let (_, package) = make("greet==2.0\n", "1\n").await;
    assert_eq!((one[0], one[1]), (code[0], code[1]));
    assert_ne!(one[2], code[2]);
    assert_eq!((one[0], one[2]), (package[0], package[2]));
    assert_ne!(one[1], package[1]);

    // Another machine, with nothing of all that.
    let (_folder, other, _) = super::layout();
    base(&other, BASE, GLIBC).await;
    let machine = Machine::with_index(&index);
    let again = project("greet==1.0\n", "1\n")
        .make(&machine.local(&other))
        .await;
    assert_eq!(first, again);
}

#[tokio::test]
async fn a_list_with_hashes_asks_no_index_and_a_change_of_code_runs_no_uv() {
    let index = Index::start().await;
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let list = index.pinned("greet", "1.0") + &index.pinned("words", "1.0");
    let machine = Machine::with_index(&index);
    let oci = machine.local(&layout);
    let pinned = project(&list, "1\n").pin(&oci).await.expect("pinned");
    assert_eq!(index.requests().await, 0);
    assert_eq!(pinned.requirements["linux/amd64"], list);
    let digest = project(&list, "1\n").make(&oci).await;
    let asked = index.requests().await;
    assert!(asked > 0);
    let first = layers_of(&layout.named(FLOWS), &digest).await;
    // The same machine, and one that knows nothing but the images.
    for machine in [&machine, &Machine::with_index(&index)] {
        let changed = project(&list, "2\n");
        let digest = changed.make(&machine.local(&layout)).await;
        let second = layers_of(&layout.named(FLOWS), &digest).await;
        assert_eq!(first[1], second[1]);
        assert_ne!(first[2], second[2]);
        assert_eq!(index.requests().await, asked);
        assert_eq!(changed.log(), "", "nothing ran");
    }
}

#[tokio::test]
async fn packages_can_be_compiled_and_give_the_same_image() {
    let index = Index::start().await;
    let mut made = Vec::new();
    for bytecode in [true, true, false] {
        let (_folder, layout, _) = layout();
        base(&layout, BASE, GLIBC).await;
        let mut machine = Machine::with_index(&index);
        machine.bytecode = bytecode;
        let digest = project("greet==1.0\n", "1\n")
            .make(&machine.local(&layout))
            .await;
        let flows = layout.named(FLOWS);
        let texts = texts_of(&flows, &layers_of(&flows, &digest).await[1]).await;
        let compiled = "opt/flowyard/site-packages/__pycache__/greet.cpython-311.pyc";
        assert_eq!(texts.contains_key(compiled), bytecode, "{texts:?}");
        made.push(digest);
    }
    assert_eq!(made[0], made[1]);
    assert_ne!(made[0], made[2]);
}

#[tokio::test]
async fn compiling_needs_a_python_of_the_bases_release() {
    let index = Index::start().await;
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let mut machine = Machine::with_index(&index);
    machine.bytecode = true;
    let mut project = project("greet==1.0\n", "1\n");
    project.layers().python = Some("3.99".to_owned());
    let error = project.build(&machine.local(&layout)).await;
    let error = error.expect_err("there is no such Python");
    let text = error.to_string();
    assert!(text.contains("compiled by a Python 3.99"), "{text}");
    let hint = error.hint.expect("a hint");
    assert!(hint.contains("uv python install 3.99"), "{hint}");
}

#[tokio::test]
async fn the_bases_c_library_decides() {
    let index = Index::start().await;
    let (_folder, layout, _) = layout();
    let musl = [
        "etc/alpine-release",
        "lib/ld-musl-x86_64.so.1",
        GLIBC[1],
        GLIBC[2],
    ];
    base(&layout, BASE, &musl).await;
    let machine = Machine::with_index(&index);
    let digest = project("native\n", "").make(&machine.local(&layout)).await;
    let flows = layout.named(FLOWS);
    let layers = layers_of(&flows, &digest).await;
    let texts = texts_of(&flows, &layers[1]).await;
    let native = &texts["opt/flowyard/site-packages/native.py"];
    assert!(native.starts_with("PLACE = 'musllinux_1_"), "{native}");
}

#[tokio::test]
async fn a_locked_project_is_taken_as_it_is() {
    let index = Index::start().await;
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let machine = Machine::with_index(&index);
    let settings = machine.settings();
    let folder = tempfile::tempdir().expect("a folder");
    let toml = "[project]\nname = \"p\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = [\"greet\"]\n\
                [dependency-groups]\ndev = [\"startup\"]\n";
    std::fs::write(folder.path().join("pyproject.toml"), toml).expect("written");
    super::output(
        std::process::Command::new(&settings.uv.program)
            .envs(&settings.uv.environment)
            .arg("lock")
            .current_dir(folder.path()),
    );
    let lock = std::fs::read_to_string(folder.path().join("uv.lock")).expect("a lock");
    let project = Project::new(FLOWS, &format!("{BASE}:1"), &[("flow.py", "")])
        .require(&[("p/pyproject.toml", toml), ("p/uv.lock", &lock)]);
    let asked = index.requests().await;
    let pinned = project.pin(&machine.local(&layout)).await.expect("pinned");
    assert_eq!(index.requests().await, asked, "a lock needs no index");
    let text = &pinned.requirements["linux/amd64"];
    assert_eq!(
        *text,
        index.pinned("greet", "2.0") + &index.pinned("words", "1.0")
    );
    let digest = project.make(&machine.local(&layout)).await;
    let flows = layout.named(FLOWS);
    let layers = layers_of(&flows, &digest).await;
    let texts = texts_of(&flows, &layers[1]).await;
    assert!(texts.contains_key("opt/flowyard/site-packages/words.py"));
    assert!(!texts.contains_key("opt/flowyard/site-packages/startup.py"));
}

#[tokio::test]
async fn twenty_projects_with_the_same_packages_run_uv_once() {
    let index = Index::start().await;
    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let oci = Machine::with_index(&index).local(&layout);
    let projects: Vec<Project> = (0..20)
        .map(|number| {
            let mut one = project("greet==1.0\nnative\n", &format!("{number}\n"));
            one.image.repository = format!("{FLOWS}-{number}");
            one
        })
        .collect();
    let made = projects.iter().map(|project| project.make(&oci));
    let made = futures::future::join_all(made).await;
    let runs = projects
        .iter()
        .filter(|one| one.log().contains("packages for"));
    assert_eq!(runs.count(), 1);
    let mut packages = Vec::new();
    for (digest, project) in made.iter().zip(&projects) {
        let repository = layout.named(&project.image.repository);
        packages.push(layers_of(&repository, digest).await[1]);
    }
    packages.dedup();
    assert_eq!(packages.len(), 1);
}
