//! Names in the configuration that nothing answers to.

use super::{expect_untouched, flowyard, local, project, small};

#[test]
fn a_variable_is_held_to_what_the_file_is() {
    let repo = small();
    repo.write("lib/http.py", "");
    project(&repo, "q", "other");
    local(&repo, "deploy").expect_code(0);
    let mut said = String::new();
    for (name, value) in [
        ("INCLUDE", "p,projcts/**"),
        ("SHARED", "libb"),
        ("SHARED", "../lib"),
        ("DEPENDS_ON", "ops/*.json"),
    ] {
        let call = |line: &str| {
            flowyard(&repo, line)
                .env(&format!("FLOWYARD_PROJECTS_{name}"), value)
                .run()
                .expect_code(3)
        };
        let run = call("deploy --local --prune");
        assert_eq!(run.stdout, "");
        said += &run.stderr;
        // It is no project's, that could be left out.
        assert_eq!(call("deploy --local --keep-going").stderr, run.stderr);
    }
    insta::assert_snapshot!(said, @"
    flowyard.toml: error: FLOWYARD_PROJECTS_INCLUDE: `projcts/**` matches no project
      hint: a project is a folder with a deployment file, and globs count from the repository's root
    1 error in 1 file
    error: 1 fault; nothing was written
    flowyard.toml: error: FLOWYARD_PROJECTS_SHARED: there is no folder `libb`
      hint: did you mean `lib`?
    1 error in 1 file
    error: 1 fault; nothing was written
    flowyard.toml: error: FLOWYARD_PROJECTS_SHARED: `../lib` leads out of the repository
      hint: name a folder of the repository, from its root
    1 error in 1 file
    error: 1 fault; nothing was written
    flowyard.toml: error: FLOWYARD_PROJECTS_DEPENDS_ON: `ops/*.json` in `depends-on` matches no file
      hint: patterns count from the repository's root, and ignored files do not count
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
    // What the file says does not count then.
    repo.write(
        "flowyard.toml",
        "[projects]\ninclude = ['projcts/**']\nshared = ['libb']\n",
    );
    let run = flowyard(&repo, "plan --local --check")
        .env("FLOWYARD_PROJECTS_INCLUDE", "p,q")
        .env("FLOWYARD_PROJECTS_SHARED", "lib")
        .env("FLOWYARD_PROJECTS_EXCLUDE", "q")
        .run()
        .expect_code(0);
    // Leaving out nothing is no fault.
    let out = flowyard(&repo, "check --local")
        .env("FLOWYARD_PROJECTS_INCLUDE", "p,q")
        .env("FLOWYARD_PROJECTS_SHARED", "lib")
        .env("FLOWYARD_PROJECTS_EXCLUDE", "projects/nope")
        .run()
        .expect_code(0);
    let told =
        "flowyard.toml: warning: FLOWYARD_PROJECTS_EXCLUDE: `projects/nope` matches no project";
    assert!(out.stdout.contains(told), "{}", out.snapshot());
    // What another run may find is not gone.
    assert!(!run.stdout.contains("hello/other"), "{}", run.snapshot());
}

#[test]
fn leaving_out_what_is_not_there_is_told() {
    let repo = small();
    project(&repo, "old/q", "other");
    repo.write(
        "flowyard.toml",
        "[projects]\nexclude = ['old', 'attic/**']\n",
    );
    let run = expect_untouched(&repo, "plan", 0);
    insta::assert_snapshot!(run.stderr, @"
    flowyard.toml:2:19: warning: `attic/**` matches no project
      2 | exclude = ['old', 'attic/**']
        |                   ^
      hint: a project is a folder with a deployment file, and globs count from the repository's root
    1 warning in 1 file
    ");
    // One that leaves out what is not let in anyway is nobody's mistake.
    let text = "[projects]\ninclude = ['p']\nexclude = ['**/q']\n";
    repo.write("flowyard.toml", text);
    local(&repo, "check").expect_code(0);
}

#[test]
fn what_stands_beside_has_its_place() {
    let repo = small();
    for (text, expected) in [
        (
            "env-files = ['a.env', '../x.env']\n",
            "flowyard.toml:1:23: `../x.env` is outside of the repository",
        ),
        (
            "vars = {}\nterraform-outputs = [\n  'o.json',\n]\n",
            "flowyard.toml:3:3: o.json under `terraform-outputs` does not exist; write it with `terraform output -json > o.json`",
        ),
        (
            "[storage]\nurl = 'azure://acc'\n",
            "flowyard.toml:2:7: `url` names no place in a storage; write it as azure://account/container/prefix",
        ),
        (
            "[environments.prod.storage]\nurl = 's3:///x'\n",
            "flowyard.toml:2:7: `url` names no place in a storage; write it as s3://bucket/prefix",
        ),
    ] {
        repo.write("flowyard.toml", text);
        let run = expect_untouched(&repo, "check", 2);
        assert_eq!(run.stderr, format!("error: {expected}\n"));
    }
}
