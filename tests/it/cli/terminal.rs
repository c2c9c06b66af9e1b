//! The binary itself: version, help, completions, colours, pipes.

use std::process::{Command, Stdio};

use super::{local, small};
use crate::support::{Flowyard, Repo};

fn bare(line: &str) -> crate::support::Run {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    Flowyard::new(folder.path(), line.split_whitespace()).run()
}

#[test]
fn version_and_help() {
    let version = bare("--version").expect_code(0);
    let expected = concat!("flowyard ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(
        (version.stdout.as_str(), version.stderr.as_str()),
        (expected, "")
    );
    insta::assert_snapshot!(bare("--help").expect_code(0).stdout, @"
    Plan and deploy the data flows of a monorepo.

    flowyard finds the deployment files of every project folder, shows what a deploy would change,
    uploads the code and registers the deployments with Prefect. Planning runs none of the repository's
    code.

    Usage: flowyard [OPTIONS] <COMMAND>

    Commands:
      list         List the projects and deployments found, with their requirements
      check        Read everything and report every fault; no network
      plan         Show what a deploy would change; changes nothing
      deploy       Upload the code that is missing, and register what differs
      convert      Write what `.deployment.py` and `prefect.yaml` files declare as `.deployment.yaml`
                   beside them
      gather       Report what the shards of a saved plan did as one deploy
      status       Show what is registered for this repository and environment
      destroy      Remove all that is registered for this repository and environment; needs no
                   deployment files
      init         Write flowyard.toml and the workflows for the repository that is found; overwrites
                   nothing
      new          Make a project from a template; overwrites nothing
      completions  Print a shell's completion script
      help         Print this message or the help of the given subcommand(s)

    Options:
          --root <FOLDER>
              The repository's root [default: the git repository around the current folder]
              
              [env: FLOWYARD_ROOT=]

          --env <NAME>
              The environment whose overlays count
              
              [env: FLOWYARD_ENV=]

          --local
              Use the embedded default for everything: storage and registrations as files below
              `.flowyard/`
              
              [env: FLOWYARD_LOCAL=]

          --run-steps
              Let steps of prefect.yaml files through that flowyard does not know; `deploy` runs them in
              Prefect's own Python
              
              [env: FLOWYARD_RUN_STEPS=]

          --run-python
              Run the `.deployment.py` files that reading alone cannot decide, in environments of their
              own and registering nothing; without it no Python of the repository is run
              
              [env: FLOWYARD_RUN_PYTHON=]

          --format <FORMAT>
              How to print the result

              Possible values:
              - terminal: For people
              - json:     One versioned document
              - markdown: For a comment or a summary
              
              [default: terminal]

      -v, --verbose...
              Also show what stays as it is; twice: what is done inside

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
    for command in ["list", "check", "plan", "deploy", "status", "completions"] {
        let help = bare(&format!("{command} --help")).expect_code(0);
        assert!(help.stdout.contains("Usage: flowyard"), "{command}");
    }
    assert!(bare("").expect_code(2).stderr.contains("Usage: flowyard"));
    assert!(bare("deplyo").expect_code(2).stderr.contains("'deploy'"));
}

#[test]
fn completions_are_scripts() {
    for (shell, sign) in [
        ("bash", "complete -F _flowyard"),
        ("zsh", "#compdef flowyard"),
        ("fish", "complete -c flowyard"),
    ] {
        let script = bare(&format!("completions {shell}")).expect_code(0).stdout;
        assert!(script.contains(sign), "{shell}");
        assert!(script.contains("keep-going"), "{shell}");
        if shell == "bash" {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let file = folder.path().join("script");
            std::fs::write(&file, script).expect("it can be written");
            let parsed = Command::new("bash").arg("-n").arg(&file).status();
            assert!(parsed.expect("bash is there").success());
        }
    }
}

/// What a pseudo terminal shows of a call.
fn on_a_terminal(repo: &Repo, line: &str, variable: Option<(&str, &str)>) -> String {
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-c"])
        .arg(format!("{} {line} --local", env!("CARGO_BIN_EXE_flowyard")))
        .arg("/dev/null")
        .current_dir(repo.path())
        // `CI` and the like decide on colours too.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null());
    if let Some((name, value)) = variable {
        command.env(name, value);
    }
    let output = command.output().expect("script is there");
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

/// Whether a text has a code that sets a colour.
fn has_colour(text: &str) -> bool {
    let codes = regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern");
    codes.is_match(text)
}

#[test]
fn colours_are_for_terminals() {
    let repo = small();
    for line in ["plan", "check", "list"] {
        let run = local(&repo, line).expect_code(0);
        assert!(!run.said().contains('\u{1b}'), "{line}: {:?}", run.said());
    }
    assert!(has_colour(&on_a_terminal(&repo, "plan", None)));
    let plain = on_a_terminal(&repo, "plan", Some(("NO_COLOR", "1")));
    assert!(
        plain.contains("+ create hello/hello") && !has_colour(&plain),
        "{plain:?}"
    );
    let dumb = on_a_terminal(&repo, "plan", Some(("TERM", "dumb")));
    assert!(
        dumb.contains("+ create hello/hello") && !has_colour(&dumb),
        "{dumb:?}"
    );

    let deploy = on_a_terminal(&repo, "deploy", None);
    assert!(
        has_colour(&deploy) && deploy.contains("Deployed:"),
        "{deploy:?}"
    );

    repo.write("p/hello.deployment.yaml", "entrypoint: flow.py:helo\n");
    for line in ["plan", "check", "deploy"] {
        let run = local(&repo, line).expect_code(3);
        assert!(!run.said().contains('\u{1b}'), "{line}: {:?}", run.said());
        assert!(has_colour(&on_a_terminal(&repo, line, None)), "{line}");
        assert!(
            !has_colour(&on_a_terminal(&repo, line, Some(("NO_COLOR", "1")))),
            "{line}"
        );
    }
}

#[test]
fn machine_formats_have_no_colour_on_a_terminal_either() {
    let repo = small();
    for format in ["json", "markdown"] {
        let text = on_a_terminal(&repo, &format!("plan --format {format}"), None);
        // The line that says what is being read is wiped out again, which needs no colour.
        assert!(!has_colour(&text), "{text:?}");
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let repo = Repo::with_examples();
    let binary = env!("CARGO_BIN_EXE_flowyard");
    let script = format!("set -o pipefail; '{binary}' list | head -n 1");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(repo.path())
        .output()
        .expect("bash is there");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
    // A disk that is full is one.
    let script = format!("'{binary}' list >/dev/full");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(repo.path())
        .output()
        .expect("bash is there");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"));
}

#[test]
fn from_any_folder_of_the_repository() {
    let repo = small();
    local(&repo, "deploy").expect_code(0);
    let inside = Flowyard::new(&repo.path().join("p"), ["deploy", "--local"]).run();
    assert!(inside.expect_code(0).stdout.starts_with("Nothing to do."));
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    let root = repo.path().to_str().expect("it is UTF-8");
    let given = Flowyard::new(elsewhere.path(), ["deploy", "--local", "--root", root]).run();
    assert!(given.expect_code(0).stdout.starts_with("Nothing to do."));
    let given = Flowyard::new(elsewhere.path(), ["plan"])
        .env("FLOWYARD_ROOT", root)
        .env("FLOWYARD_LOCAL", "true")
        .run();
    assert!(given.expect_code(0).stdout.starts_with("No changes."));
}
