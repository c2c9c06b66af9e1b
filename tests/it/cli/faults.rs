//! Everything that can be wrong with the files: its exit code, its message, and that nothing is written.

use super::{expect_untouched, kept, local, project, small};
use crate::support::{Repo, git};

const FILE: &str = "p/hello.deployment.yaml";

/// Deploys after each change of a new small repository, and gives what was said, one after the other.
fn said(code: i32, cases: &[(&str, &[u8])]) -> String {
    let mut all = String::new();
    for (path, content) in cases {
        let repo = small();
        repo.write(path, content);
        all += &refused(&repo, code);
    }
    all
}

/// What a deploy says that must fail before it writes anything; `check` and `plan` find the same.
#[track_caller]
fn refused(repo: &Repo, code: i32) -> String {
    let run = local(repo, "deploy").expect_code(code);
    assert!(!kept(repo).exists(), "{}", run.snapshot());
    assert_eq!(run.stdout, "", "what is for people is on stderr");
    local(repo, "plan").expect_code(code);
    local(repo, "check").expect_code(code);
    assert!(!kept(repo).exists());
    run.stderr
}

#[test]
fn unknown_keys() {
    let cases: [(&str, &[u8]); 4] = [
        (FILE, b"entrypoint: flow.py:hello\nschedulse:\n  - cron: 0 4 * * *\n"),
        ("p/a.deployment.toml", b"entrypoint = \"flow.py:hello\"\n\n[work_pool]\nnmae = \"x\"\n"),
        ("p/a.deployment.json", b"{\n  \"entrypoint\": \"flow.py:hello\",\n  \"zzz\": 1\n}\n"),
        (FILE, b"deployments:\n  - entrypoint: flow.py:hello\n    schedules:\n      - cron: 0 4 * * *\n        timezon: UTC\n"),
    ];
    insta::assert_snapshot!(said(3, &cases), @r#"
    p/hello.deployment.yaml:2:1: error: unknown key `schedulse` in a deployment
      2 | schedulse:
        | ^
      hint: did you mean `schedules`?
    1 error in 1 file
    error: 1 fault; nothing was written
    p/a.deployment.toml:3:1: error: `work_pool` has no `name`
      3 | [work_pool]
        | ^
    p/a.deployment.toml:4:1: error: unknown key `nmae` in `work_pool`
      4 | nmae = "x"
        | ^
      hint: did you mean `name`?
    2 errors in 1 file
    error: 2 faults; nothing was written
    p/a.deployment.json:3:3: error: unknown key `zzz` in a deployment
      3 |   "zzz": 1
        |   ^
      hint: known are: name, flow_name, entrypoint, description, version, tags, parameters, schedule, schedules, work_pool, job_variables, storage, infrastructure, infra_overrides, work_queue_name, concurrency_limit, enforce_parameter_schema, paused, triggers, sla, pull, image, code, requirements, depends_on, environments
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:5:9: error: unknown key `timezon` in a schedule
      5 |         timezon: UTC
        |         ^
      hint: did you mean `timezone`?
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
}

#[test]
fn syntax() {
    let cases: [(&str, &[u8]); 5] = [
        (FILE, b"entrypoint: flow.py:hello\n  tags: [\n"),
        ("p/a.deployment.yml", b"entrypoint: \"flow.py:hello\n"),
        ("p/a.deployment.toml", b"entrypoint = flow.py\n"),
        (
            "p/a.deployment.json",
            b"{\"entrypoint\": \"flow.py:hello\",\n",
        ),
        (
            "p/flow.py",
            b"from prefect import flow\n\n@flow\ndef hello(n: int = 1:\n    pass\n",
        ),
    ];
    insta::assert_snapshot!(said(3, &cases), @r#"
    p/hello.deployment.yaml:2:7: error: not valid YAML: mapping values are not allowed in this context
      2 |   tags: [
        |       ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/a.deployment.yml:1:13: error: not valid YAML: while scanning a quoted scalar, found unexpected end of stream
      1 | entrypoint: "flow.py:hello
        |             ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/a.deployment.toml:1:14: error: not valid TOML: invalid boolean, expected `false`
      1 | entrypoint = flow.py
        |              ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/a.deployment.json:1:1: error: not valid JSON: unterminated object
      1 | {"entrypoint": "flow.py:hello",
        | ^
    1 error in 1 file
    error: 1 fault; nothing was written
    p/flow.py:4:21: error: not valid Python: expected `,`, found `:`
      4 | def hello(n: int = 1:
        |                     ^
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
}

#[test]
fn content() {
    let cases: [(&str, &[u8]); 6] = [
        (FILE, b""),
        (FILE, b"entrypoint: flow.py:hello\ndescription: \xff\xfe\n"),
        ("p/a.deployment.py", b"name = '\xff'\n"),
        ("p/flow.py", b"name = '\xff'\n"),
        ("p/a.deployment.json", b""),
        ("p/a.deployment.toml", b"# Nothing.\n"),
    ];
    insta::assert_snapshot!(said(3, &cases), @"
    p/hello.deployment.yaml:1:1: error: the file is empty
      hint: it needs at least an `entrypoint`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml: error: not UTF-8 text
      hint: save the file as UTF-8
    1 error in 1 file
    error: 1 fault; nothing was written
    p/a.deployment.py: error: not UTF-8 text
      hint: save the file as UTF-8
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:1:13: error: p/flow.py: not UTF-8 text
      1 | entrypoint: flow.py:hello
        |             ^
      hint: save the file as UTF-8
    1 error in 1 file
    error: 1 fault; nothing was written
    p/a.deployment.json:1:1: error: the file is empty
      hint: it needs at least an `entrypoint`
    1 error in 1 file
    error: 1 fault; nothing was written
    p/a.deployment.toml:1:1: error: deployment `a` has no `entrypoint`
      1 | # Nothing.
        | ^
      hint: write `entrypoint: flow.py:my_flow`
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
}

#[test]
fn schedules() {
    let cases: [(&str, &[u8]); 3] = [
        (FILE, b"entrypoint: flow.py:hello\nschedule:\n  cron: \"0 25 * * *\"\n"),
        (FILE, b"entrypoint: flow.py:hello\nschedule:\n  cron: \"0 4 * * *\"\n  timezone: Europe/Olso\n"),
        (FILE, b"entrypoint: flow.py:hello\nschedule:\n  interval: soon\n"),
    ];
    insta::assert_snapshot!(said(3, &cases), @r#"
    p/hello.deployment.yaml:3:9: error: `0 25 * * *` is no cron expression: component error: number out of bounds
      3 |   cron: "0 25 * * *"
        |         ^
      hint: five fields: minute hour day-of-month month day-of-week, such as "0 4 * * *"
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:4:13: error: `Europe/Olso` is no time zone
      4 |   timezone: Europe/Olso
        |             ^
      hint: did you mean `Europe/Oslo`?
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:3:13: error: `interval` is a length of time, not text
      3 |   interval: soon
        |             ^
      hint: a number of seconds, `01:30:00`, or `PT1H30M`
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
}

#[test]
fn entrypoints() {
    let cases: [(&str, &[u8]); 5] = [
        (FILE, b"entrypoint: flow.py:helo\n"),
        (FILE, b"entrypoint: flo.py:hello\n"),
        (FILE, b"entrypoint: hello\n"),
        ("p/flow.py", b"def hello():\n    pass\n"),
        ("p/flow.py", b""),
    ];
    insta::assert_snapshot!(said(3, &cases), @"
    p/hello.deployment.yaml:1:13: error: there is no function `helo` in p/flow.py
      1 | entrypoint: flow.py:helo
        |             ^
      hint: did you mean `hello`?
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:1:13: error: the entrypoint's file `flo.py` does not exist
      1 | entrypoint: flo.py:hello
        |             ^
      hint: did you mean `flow.py`?
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:1:13: error: `hello` is no entrypoint
      1 | entrypoint: hello
        |             ^
      hint: write it as path/to/flow.py:function
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:1:13: error: `hello` in p/flow.py is not a flow: it is not decorated with `@flow`
      1 | entrypoint: flow.py:hello
        |             ^
      hint: decorate it with `@flow` from Prefect
      p/flow.py:1:5: it is defined here
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:1:13: error: there is no function `hello` in p/flow.py
      1 | entrypoint: flow.py:hello
        |             ^
      hint: no flow was found in this file: decorate the function with `@flow`
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
}

#[test]
fn templates() {
    let cases: [(&str, &[u8]); 3] = [
        (
            FILE,
            b"entrypoint: flow.py:hello\ntags: [\"{{ flowyard.evn }}\"]\n",
        ),
        (
            FILE,
            b"entrypoint: flow.py:hello\ntags: [\"{{ prefcet.variables.n }}\"]\n",
        ),
        (
            FILE,
            b"entrypoint: flow.py:hello\ntags: [\"{{ flowyard.vars.n }}\"]\n",
        ),
    ];
    insta::assert_snapshot!(said(3, &cases), @r#"
    p/hello.deployment.yaml:2:8: error: unknown template `flowyard.evn`
      2 | tags: ["{{ flowyard.evn }}"]
        |        ^
      hint: did you mean `flowyard.env`?
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:8: error: unknown template `prefcet.variables.n`
      2 | tags: ["{{ prefcet.variables.n }}"]
        |        ^
      hint: known are $VARIABLE, prefect.blocks.*, prefect.variables.* and flowyard.*
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:2:8: error: unknown template `flowyard.vars.n`
      2 | tags: ["{{ flowyard.vars.n }}"]
        |        ^
      hint: declare it in flowyard.toml under `[vars]` or `[environments.NAME.vars]`
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
}

#[test]
fn what_git_does_not_know() {
    let text = "entrypoint: flow.py:hello\ntags: [\"{{ flowyard.git.branch }}\"]\n";
    let repo = Repo::new();
    project(&repo, "p", "hello");
    repo.write(FILE, text);
    repo.write("flowyard.toml", "[vars]\nt = 1\n");
    insta::assert_snapshot!(refused(&repo, 3), @r#"
    p/hello.deployment.yaml:2:8: error: `flowyard.git.branch` is not known: there is no commit yet
      2 | tags: ["{{ flowyard.git.branch }}"]
        |        ^
      hint: commit first
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
    repo.commit("Add a flow");
    local(&repo, "plan").expect_code(0);

    // A commit that is checked out by itself is on no branch; what registers nothing does not mind.
    git(repo.path(), &["checkout", "-q", "--detach"]);
    let run = expect_untouched(&repo, "deploy", 3);
    insta::assert_snapshot!(run.stderr, @r#"
    p/hello.deployment.yaml:2:8: error: `flowyard.git.branch` is not known: a commit is checked out by itself
      2 | tags: ["{{ flowyard.git.branch }}"]
        |        ^
      hint: check out a branch, or give the value by a variable, such as {{ $BRANCH }}
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
    for line in ["check", "list", "plan --against HEAD"] {
        local(&repo, line).expect_code(0);
    }
    // A job knows what it is for.
    let plan = |name: &str, value: &str| {
        super::flowyard(&repo, "plan --local")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_REF", "refs/pull/7/merge")
            .env(name, value)
            .run()
            .expect_code(0)
    };
    for (name, value, branch) in [
        ("GITHUB_BASE_REF", "main", "main"),
        ("GITHUB_REF", "refs/heads/feature", "feature"),
    ] {
        let run = plan(name, value);
        let tags = format!("tags: [\"{branch}\"]");
        assert!(run.stdout.contains(&tags), "{}", run.snapshot());
    }

    std::fs::remove_dir_all(repo.path().join(".git")).expect("it is there");
    let run = expect_untouched(&repo, "deploy --root .", 3);
    insta::assert_snapshot!(run.stderr, @r#"
    p/hello.deployment.yaml:2:8: error: `flowyard.git.branch` is not known: this is no git repository
      2 | tags: ["{{ flowyard.git.branch }}"]
        |        ^
      hint: give the value by a variable, such as {{ $VERSION }}
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
}

#[test]
fn outputs_of_terraform_that_no_template_can_name() {
    let repo = small();
    repo.write("flowyard.toml", "terraform-outputs = [\"o.json\"]\n");
    repo.write(
        "o.json",
        r#"{"key": {"sensitive": true, "value": "hush-hush"}, "zones": {"value": ["a"]}, "pool": {"value": "aks"}}"#,
    );
    repo.write(
        FILE,
        "entrypoint: flow.py:hello\ntags:\n  - \"{{ flowyard.terraform.key }}\"\n  - \"{{ flowyard.terraform.zones }}\"\n  - \"{{ flowyard.terraform.pol }}\"\n  - \"{{ flowyard.terraform.region }}\"\n",
    );
    let said = refused(&repo, 3);
    assert!(!said.contains("hush-hush"), "{said}");
    insta::assert_snapshot!(said, @r#"
    p/hello.deployment.yaml:3:5: error: Terraform's output `key` is sensitive, so no template can name it
      3 |   - "{{ flowyard.terraform.key }}"
        |     ^
      hint: hand it over as a variable, {{ $NAME }}, or keep it in a block, {{ prefect.blocks.TYPE.NAME }}
    p/hello.deployment.yaml:4:5: error: Terraform's output `zones` is a list or an object, so no template can name it
      4 |   - "{{ flowyard.terraform.zones }}"
        |     ^
      hint: make an output of what is needed of it, such as `value = join(",", var.zones)`
    p/hello.deployment.yaml:5:5: error: unknown template `flowyard.terraform.pol`
      5 |   - "{{ flowyard.terraform.pol }}"
        |     ^
      hint: did you mean `flowyard.terraform.pool`?
    p/hello.deployment.yaml:6:5: error: unknown template `flowyard.terraform.region`
      6 |   - "{{ flowyard.terraform.region }}"
        |     ^
      hint: it is in none of the files under `terraform-outputs` in flowyard.toml
    4 errors in 1 file
    error: 4 faults; nothing was written
    "#);
}

#[test]
fn a_variable_that_is_not_set() {
    let repo = small();
    repo.write(
        FILE,
        "entrypoint: flow.py:hello\njob_variables: {env: {A: \"{{ $ABSENT }}\"}}\n",
    );
    let run = expect_untouched(&repo, "deploy", 3);
    insta::assert_snapshot!(run.stderr, @r#"
    p/hello.deployment.yaml:2:26: error: the environment variable `ABSENT` is not set
      2 | job_variables: {env: {A: "{{ $ABSENT }}"}}
        |                          ^
      hint: set ABSENT, or put the value under `vars` in flowyard.toml and write {{ flowyard.vars.… }}
    1 error in 1 file
    error: 1 fault; nothing was written
    "#);
    // Reading the files needs none.
    local(&repo, "check").expect_code(0);
    local(&repo, "list").expect_code(0);
}

#[test]
fn a_parameter_that_the_flow_has_not() {
    let cases: [(&str, &[u8]); 2] = [
        (FILE, b"entrypoint: flow.py:hello\nparameters: {m: 1}\n"),
        (
            FILE,
            b"entrypoint: flow.py:hello\nschedules:\n  - cron: 0 4 * * *\n    parameters:\n      n: soon\n      m: 1\n",
        ),
    ];
    insta::assert_snapshot!(said(3, &cases), @r#"
    p/hello.deployment.yaml:2:14: error: the flow `hello` has no parameter `m`
      2 | parameters: {m: 1}
        |              ^
      hint: it takes: n
    1 error in 1 file
    error: 1 fault; nothing was written
    p/hello.deployment.yaml:5:7: error: the parameter `n` does not fit: it is not of type "integer"
      5 |       n: soon
        |       ^
    p/hello.deployment.yaml:6:7: error: the flow `hello` has no parameter `m`
      6 |       m: 1
        |       ^
      hint: it takes: n
    2 errors in 1 file
    error: 2 faults; nothing was written
    "#);
}

#[test]
fn deployments_that_share_a_release_exclude_the_same() {
    let repo = small();
    repo.write("p/data/x.csv", "1\n");
    let list = |b: &str| {
        format!(
            "deployments:\n  - name: a\n    entrypoint: flow.py:hello\n    code: {{exclude: [data/**]}}\n  - name: b\n    entrypoint: flow.py:hello\n{b}"
        )
    };
    repo.write(FILE, list(""));
    insta::assert_snapshot!(refused(&repo, 3), @"
    p/hello.deployment.yaml:4:22: error: `code.exclude` of `a` would take files away from `b`, which does not say the same
      4 |     code: {exclude: [data/**]}
        |                      ^
      hint: the deployments of a project share one release: say it in all of them, or name the files in a .prefectignore
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
    // One that has steps of its own gets no release.
    for b in [
        "    code: {exclude: [data/**]}\n",
        "    pull: [{a.b.c: {}}]\n",
    ] {
        repo.write(FILE, list(b));
        local(&repo, "check").expect_code(0);
    }
}

#[test]
fn one_id_in_two_projects_is_told_with_both_places() {
    let repo = small();
    project(&repo, "q/r", "hello");
    insta::assert_snapshot!(refused(&repo, 3), @"
    q/r/hello.deployment.yaml:1:1: error: a second deployment `hello/hello`
      1 | entrypoint: flow.py:hello
        | ^
      hint: flow and deployment name together are unique in the repository; rename one
      p/hello.deployment.yaml:1:1: the first one is here
    1 error in 1 file
    error: 1 fault; nothing was written
    ");
    // Also where only one of the two is looked at.
    local(&repo, "deploy --project q").expect_code(3);
}

#[test]
fn all_faults_are_told_together() {
    let repo = small();
    repo.write(
        FILE,
        "entrypoint: flow.py:helo\ntagz: []\nschedule: {cron: often}\n",
    );
    repo.write("q/a.deployment.toml", "entrypoint = \"flow.py:hello\"\n");
    repo.write("r/b.deployment.json", "[]");
    insta::assert_snapshot!(refused(&repo, 3), @r#"
    p/hello.deployment.yaml:1:13: error: there is no function `helo` in p/flow.py
      1 | entrypoint: flow.py:helo
        |             ^
      hint: did you mean `hello`?
    p/hello.deployment.yaml:2:1: error: unknown key `tagz` in a deployment
      2 | tagz: []
        | ^
      hint: did you mean `tags`?
    p/hello.deployment.yaml:3:18: error: `often` is no cron expression: one field instead of five
      3 | schedule: {cron: often}
        |                  ^
      hint: five fields: minute hour day-of-month month day-of-week, such as "0 4 * * *"
    q/a.deployment.toml:1:14: error: the entrypoint's file `flow.py` does not exist
      1 | entrypoint = "flow.py:hello"
        |              ^
      hint: it counts from the deployment file's folder, or from the repository's root; ignored files do not count
    r/b.deployment.json:1:1: error: a deployment is a mapping, not a list
      1 | []
        | ^
    5 errors in 3 files
    error: 5 faults; nothing was written
    "#);
}

#[test]
fn the_configuration() {
    let cases: [(&str, &[u8]); 8] = [
        (
            "flowyard.toml",
            b"[projects]\ninclude = [\"p[\"]\n[image]\nplatforms = [\"foo\"]\n[vars]\nzones = [1]\n",
        ),
        (
            "flowyard.toml",
            b"[storage]\nurl = \"s3://{{ flowyard.terraform.bucket }}\"\n",
        ),
        ("flowyard.toml", b"[prefect]\nwork-pol = \"x\"\n"),
        ("flowyard.toml", b"[prefect]\napi-key = \"pnu_hush\"\n"),
        (
            "flowyard.toml",
            b"[storage]\nconnection-string = \"AccountKey=hush\"\n",
        ),
        ("flowyard.toml", b"[prefect\n"),
        ("flowyard.toml", b"[prefect]\nwork-pool = 5\n"),
        ("flowyard.toml", b"\xff"),
    ];
    let mut all = String::new();
    for (path, content) in cases {
        let repo = small();
        repo.write(path, content);
        let run = expect_untouched(&repo, "deploy", 2);
        assert!(!kept(&repo).exists());
        assert!(!run.said().contains("hush"), "{}", run.snapshot());
        let stderr = run.snapshot();
        all += stderr.split_once("stderr -----\n").expect("a heading").1;
    }
    insta::assert_snapshot!(all, @"
    error: flowyard.toml:2:12: `p[` is no glob: unclosed character class; missing ']'
           flowyard.toml:4:14: `foo` is no platform; such as linux/amd64 or linux/arm64
           flowyard.toml:6:9: `zones` under `vars` is a list, not a text, number, boolean or date
    error: flowyard.toml:2:7: `s3://{{ flowyard.terraform.bucket }}` names Terraform's output `bucket`, which is in none of the files under `terraform-outputs`
    error: flowyard.toml:2:1: unknown key `work-pol`; did you mean `work-pool`?
    error: flowyard.toml:2:1: a secret does not belong into a file; set PREFECT_API_KEY instead of `api-key`
    error: flowyard.toml:2:1: a secret does not belong into a file; set AZURE_STORAGE_CONNECTION_STRING instead of `connection-string`
    error: flowyard.toml:1:9: unclosed table, expected `]`
    error: flowyard.toml:2:13: invalid type: integer `5`, expected a string
    error: read [DIR]/flowyard.toml: stream did not contain valid UTF-8
    ");
}

#[test]
fn what_the_configuration_names_and_is_not_there() {
    let repo = small();
    repo.write("lib/x.py", "");
    let text = "[projects]\ninclude = [\"p\", \"projekts/**\"]\nshared = [\"libs\", \"../x\", \"./lib/\"]\n\
                depends-on = [\"nope.json\", \"lib\"]\n\n[[flows]]\nfiles = [\"nope/**\", \"lib/*.py\"]\n";
    repo.write("flowyard.toml", text);
    insta::assert_snapshot!(refused(&repo, 3), @r#"
    flowyard.toml:2:17: error: `projekts/**` matches no project
      2 | include = ["p", "projekts/**"]
        |                 ^
      hint: a project is a folder with a deployment file, and globs count from the repository's root
    flowyard.toml:3:11: error: there is no folder `libs`
      3 | shared = ["libs", "../x", "./lib/"]
        |           ^
      hint: did you mean `lib`?
    flowyard.toml:3:19: error: `../x` leads out of the repository
      3 | shared = ["libs", "../x", "./lib/"]
        |                   ^
      hint: name a folder of the repository, from its root
    flowyard.toml:4:15: error: `nope.json` in `depends-on` matches no file
      4 | depends-on = ["nope.json", "lib"]
        |               ^
      hint: patterns count from the repository's root, and ignored files do not count
    flowyard.toml:7:10: error: `nope/**` matches no Python file
      7 | files = ["nope/**", "lib/*.py"]
        |          ^
      hint: globs count from the repository's root, and ignored files do not count
    5 errors in 1 file
    error: 5 faults; nothing was written
    "#);
    repo.write(
        "flowyard.toml",
        "[projects]\ninclude = [\"p\"]\nshared = [\"lib/x.py\"]\n",
    );
    local(&repo, "check").expect_code(0);
    // Where nothing is deployed yet there is nothing to match.
    let repo = Repo::new();
    repo.write("flowyard.toml", "[projects]\ninclude = [\"projects/**\"]\n");
    local(&repo, "check").expect_code(0);
}

#[test]
fn nothing_configured_and_not_local() {
    let repo = small();
    for line in ["plan", "deploy", "status"] {
        super::flowyard(&repo, line).run().expect_code(2);
    }
    let run = super::flowyard(&repo, "deploy").run().expect_code(2);
    insta::assert_snapshot!(run.stderr, @"error: no storage is configured: set FLOWYARD_STORAGE_URL, or `url` under `[storage]` in flowyard.toml (azure://account/container/prefix, s3://, gs://, file://), or use --local");
    let run = super::flowyard(&repo, "deploy")
        .env("FLOWYARD_STORAGE_URL", "file:///nowhere")
        .run()
        .expect_code(2);
    insta::assert_snapshot!(run.stderr, @"error: no Prefect server is configured: set PREFECT_API_URL, or `api-url` under `[prefect]` in flowyard.toml, or use --local");
    assert!(!kept(&repo).exists());
    // What needs no service needs no configuration.
    super::flowyard(&repo, "check").run().expect_code(0);
    super::flowyard(&repo, "list").run().expect_code(0);
}

#[test]
fn not_in_a_git_repository() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for line in [&["deploy", "--local"][..], &["list"], &["check"]] {
        let run = crate::support::Flowyard::new(folder.path(), line)
            .run()
            .expect_code(2);
        insta::allow_duplicates! {
            insta::assert_snapshot!(run.stderr, @"error: not inside a git repository; give the folder with --root");
        }
    }
    let repo = small();
    std::fs::remove_dir_all(repo.path().join(".git")).expect("it is there");
    expect_untouched(&repo, "deploy", 2);
    local(&repo, "deploy --root .").expect_code(0);
    expect_untouched(&repo, "deploy --root absent", 2);
    expect_untouched(&repo, "deploy --root p/flow.py", 2);
}

#[test]
fn an_empty_repository_has_nothing_to_do() {
    let repo = Repo::new();
    for line in ["list", "check", "plan", "deploy", "status"] {
        let run = local(&repo, line).expect_code(0);
        assert!(!kept(&repo).exists(), "{}", run.snapshot());
    }
}
