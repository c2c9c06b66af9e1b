//! What the action's inputs become: `action.yml`, `action/run.sh` and the README say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;
use tempfile::TempDir;

use super::root;
use crate::services::process::script;

/// What matches in a file of the repository, its first group.
pub(super) fn named(file: &str, pattern: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(file)).expect("it is in the repository");
    let pattern = Regex::new(pattern).expect("the pattern is fixed");
    pattern
        .captures_iter(&text)
        .map(|found| found[1].to_owned())
        .collect()
}

/// A folder in which `run.sh` runs, with a stand-in for flowyard that writes its arguments down.
struct Stage {
    folder: TempDir,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        script(
            &folder.path().join("flowyard"),
            "for one; do printf '%s\\0' \"$one\"; done >arguments\nprintf %s \"${MSYS2_ARG_CONV_EXCL:-}\" >converted",
        );
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self, inputs: &[(&str, &str)]) -> Output {
        let mut command = Command::new("bash");
        command.arg(root().join("action/run.sh"));
        for name in named("action.yml", r"(INPUT_[A-Z_]+):") {
            command.env(name, "");
        }
        command
            .env("INPUT_COMMAND", "plan")
            .envs(inputs.iter().copied())
            .env("FLOWYARD", self.path().join("flowyard"))
            .current_dir(self.path())
            .output()
            .expect("there is bash")
    }

    /// The arguments that flowyard gets.
    #[track_caller]
    fn arguments(&self, inputs: &[(&str, &str)]) -> Vec<String> {
        let output = self.start(inputs);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let bytes = fs::read(self.path().join("arguments")).expect("they were written");
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.split_terminator('\0').map(str::to_owned).collect()
    }
}

#[test]
fn every_input_and_output_is_handed_on_and_told() {
    let declared = named(
        "action.yml",
        r#"(?m)^  "?([a-z-]+)"?:\n    description: .*\n    required"#,
    );
    assert!(declared.len() > 20, "{declared:?}");
    let used = named("action.yml", r"\$\{\{ inputs\.([a-z-]+) \}\}");
    assert_eq!(declared, used);
    let handed = named("action.yml", r"(INPUT_[A-Z_]+): ");
    let mut taken = named("action/run.sh", r"\$(INPUT_[A-Z_]+)");
    taken.extend(named("action/install.sh", r"\$\{?(INPUT_[A-Z_]+)"));
    assert_eq!(handed, taken);
    let outputs = named("action.yml", r"steps\.run\.outputs\.([a-z-]+)");
    let expected = crate::github::OUTPUTS;
    assert_eq!(outputs, expected.map(str::to_owned).into());
    let told = named("README.md", r"`([a-z-]+)`");
    let untold: Vec<_> = declared
        .union(&outputs)
        .filter(|name| !told.contains(*name))
        .collect();
    assert!(untold.is_empty(), "the README does not tell {untold:?}");
    // An expression in a script would be run, whoever wrote what it stands for.
    let text = fs::read_to_string(root().join("action.yml")).expect("it is in the repository");
    for line in text
        .lines()
        .filter(|line| line.trim_start().starts_with("run:"))
    {
        assert!(!line.contains("${{"), "{line}");
    }
}

#[test]
fn inputs_become_arguments() {
    let stage = Stage::set();
    assert_eq!(stage.arguments(&[]), ["plan"]);
    let all = stage.arguments(&[
        ("INPUT_COMMAND", "deploy\n"),
        ("INPUT_ENVIRONMENT", " prod\r\n"),
        ("INPUT_ROOT", "data flows"),
        ("INPUT_LOCAL", "True"),
        ("INPUT_SINCE", "auto"),
        ("INPUT_PLAN_FILE", "plan.json"),
        ("INPUT_PRUNE", "true"),
        ("INPUT_CHECK", "false"),
        ("INPUT_JOBS", "8"),
        ("INPUT_SHARD", "1/3"),
        ("INPUT_COMMIT_STATUS", "true"),
        ("INPUT_ARGS", "--keep-going\n\n  -v\n"),
    ]);
    let expected = [
        "deploy",
        "--env=prod",
        "--root=data flows",
        "--local",
        "--since=auto",
        "--plan=plan.json",
        "--prune",
        "--jobs=8",
        "--shard=1/3",
        "--commit-status",
        "--keep-going",
        "-v",
    ];
    assert_eq!(all, expected);
}

#[test]
fn projects_stand_one_a_line_whatever_they_hold() {
    let stage = Stage::set();
    // What an expansion would find.
    for name in ["a.txt", "b.txt"] {
        fs::write(stage.path().join(name), "").expect("it can be written");
    }
    let text = "projects/news/*\r\n\n  projects/my flows/**  \n*.txt\n--prune\n$(touch pwned)\n`touch pwned`\n\
                ; touch pwned\n${HOME}\n'a\" b\n{x,y}\nlast";
    let expected = [
        "plan",
        "--project=projects/news/*",
        "--project=projects/my flows/**",
        "--project=*.txt",
        "--project=--prune",
        "--project=$(touch pwned)",
        "--project=`touch pwned`",
        "--project=; touch pwned",
        "--project=${HOME}",
        "--project='a\" b",
        "--project={x,y}",
        "--project=last",
    ];
    assert_eq!(stage.arguments(&[("INPUT_PROJECTS", text)]), expected);
    assert!(!stage.path().join("pwned").exists());
}

#[test]
fn outcomes_are_files_and_patterns() {
    let stage = Stage::set();
    for name in [
        "outcome-1.json",
        "outcome-2.json",
        "other file.json",
        "-o.json",
    ] {
        fs::write(stage.path().join(name), "").expect("it can be written");
    }
    let outcomes = |text: &str| {
        let inputs = [("INPUT_COMMAND", "gather"), ("INPUT_OUTCOMES", text)];
        stage.arguments(&inputs)[1..].to_vec()
    };
    assert_eq!(
        outcomes("outcome-*.json\n"),
        ["outcome-1.json", "outcome-2.json"]
    );
    assert_eq!(
        outcomes("other file.json\n-*.json"),
        ["other file.json", "./-o.json"]
    );
    // A file that is named has to be there, which flowyard says; a pattern is whatever there is.
    assert_eq!(outcomes("missing.json"), ["missing.json"]);
    assert_eq!(outcomes("missing-*.json"), [""; 0]);
    assert_eq!(outcomes("$(touch pwned)"), ["$(touch pwned)"]);
    assert!(!stage.path().join("pwned").exists());
}

#[test]
fn what_is_no_input_is_refused_and_not_repeated() {
    let stage = Stage::set();
    for (name, value, said) in [
        (
            "INPUT_COMMAND",
            "plan --local",
            "the input \"command\" is one word",
        ),
        ("INPUT_COMMAND", "$(touch pwned)", "one word"),
        ("INPUT_COMMAND", "--version", "one word"),
        ("INPUT_COMMAND", "", "one word"),
        (
            "INPUT_PRUNE",
            "yes",
            "the input of --prune is true or false",
        ),
        (
            "INPUT_CHECK",
            "::set-env name=PATH::/pwned",
            "true or false",
        ),
        (
            "INPUT_ENVIRONMENT",
            "prod\n::add-path::/pwned",
            "the input of --env takes one line",
        ),
        ("INPUT_SINCE", "a\nb", "takes one line"),
    ] {
        let output = stage.start(&[(name, value)]);
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.starts_with("::error title=flowyard::") && text.contains(said),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains("pwned"), "{text}");
        assert!(
            !stage.path().join("arguments").exists(),
            "flowyard was not run"
        );
    }
    assert!(!stage.path().join("pwned").exists());
}

/// Git's Bash on Windows makes paths of what begins with a slash, unless it is told which arguments are none.
#[test]
fn no_argument_is_converted_on_windows() {
    let stage = Stage::set();
    for (system, unconverted) in [("Windows", "*"), ("Linux", "")] {
        let inputs = [("RUNNER_OS", system), ("INPUT_ARGS", "/x")];
        assert_eq!(stage.arguments(&inputs), ["plan", "/x"]);
        let told = fs::read_to_string(stage.path().join("converted")).expect("it was written");
        assert_eq!(told, unconverted, "{system}");
    }
}
