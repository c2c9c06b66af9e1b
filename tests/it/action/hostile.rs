//! A repository and an event whose every text tries to be a command, through the workflows that people copy.

use serde_json::{Value, json};

use super::job::{Job, add_workflow};
use crate::github::double::{GitHub, TOKEN};
use crate::github::hostile::{TEXTS, expect_whole, hostile};

/// What started a run; everything that can hold a text holds one of them.
fn payload(text: &str) -> Value {
    json!({
        "action": "synchronize",
        "number": 7,
        "ref": "refs/heads/main",
        "before": "0000000000000000000000000000000000000000",
        "head_commit": {"message": text},
        "pull_request": {
            "number": 7,
            "title": text,
            "body": text,
            "head": {"sha": "1111111111111111111111111111111111111111", "ref": text, "repo": {"full_name": "acme/flows"}},
            "base": {"sha": "0000000000000000000000000000000000000000", "ref": "main", "repo": {"full_name": "acme/flows"}},
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_is_run() {
    for faulty in [false, true] {
        let (repo, github) = (hostile(faulty), GitHub::start().await);
        for workflow in ["plan.yml", "deploy.yml"] {
            add_workflow(&repo, workflow);
        }
        // All of the repository, not what the last commit reaches.
        repo.replace(".github/workflows/plan.yml", "          since: auto\n", "");
        repo.commit("$(touch pwned)\n::error::pwned");
        let run = |workflow: &str, event: &str, text: &str| {
            let ended = Job::new(&repo, &github, workflow, event, &payload(text))
                .env("FLOWYARD_LOCAL", "true")
                .secret("PREFECT_API_KEY", TOKEN)
                .run();
            assert_eq!(ended.success, !faulty, "{}", ended.told());
            let taken = ended.taken();
            let ours = ["add-mask", "error", "stop-commands", "warning"];
            // What was stopped is begun again by a word of ours that nobody can guess.
            let is_ours = |name: &str| ours.contains(&name) || name.starts_with("flowyard-");
            let strange: Vec<_> = taken.iter().filter(|name| !is_ours(name)).collect();
            assert!(strange.is_empty(), "{strange:?}: {}", ended.told());
            let runner = ended.runner();
            for command in &runner.commands {
                let mask = command.name == "add-mask" && command.data != "pwned";
                let fault = ["error", "warning"].contains(&command.name.as_str())
                    && command.properties["title"] == "flowyard";
                assert!(mask || (fault && faulty), "{command:?}");
            }
            assert_eq!(runner.held, [""; 0]);
            expect_whole(&ended.summary(), workflow);
            for line in ended.outputs().lines() {
                let (name, _) = line.split_once(" =").unwrap_or_else(|| panic!("{line}"));
                assert!(crate::github::OUTPUTS.contains(&name), "{line}");
            }
        };
        for (at, text) in TEXTS.iter().enumerate() {
            // One run of each workflow is for all of the repository; the event's texts take turns.
            match at % 4 {
                0 => run("plan.yml", "pull_request", text),
                1 if at < 4 => run("deploy.yml", "push", text),
                _ => {}
            }
        }
        for comment in github.comments(7) {
            expect_whole(&comment, "the comment");
        }
        assert!(!github.comments(7).is_empty());
        github.expect_nothing_refused();
        let left = std::fs::read_dir(repo.path()).expect("a folder");
        for entry in left {
            assert_ne!(entry.expect("an entry").file_name(), "pwned");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_of_an_event_are_texts() {
    let github = GitHub::start().await;
    let repo = hostile(false);
    repo.write(
        ".github/workflows/plan.yml",
        "on: pull_request\njobs:\n  plan:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v6\n      \
         - uses: flowyard/flowyard@v1\n        with:\n          local: true\n          \
         environment: ${{ github.event.pull_request.head.ref }}\n          projects: ${{ github.event.pull_request.title }}\n",
    );
    repo.commit("Hand on what the event says");
    for text in [
        "$(touch pwned)",
        "`touch pwned`",
        "x\"; touch pwned; \"",
        "a\n::error::pwned",
        "--out=pwned",
    ] {
        let ended = Job::new(&repo, &github, "plan.yml", "pull_request", &payload(text)).run();
        // No project is called so, or no environment.
        assert!(!ended.success, "{text:?}: {}", ended.told());
        for command in ended.runner().commands {
            let mask = command.name == "add-mask" && command.data != "pwned";
            let fault = command.name == "error" && command.properties["title"] == "flowyard";
            assert!(mask || fault, "{text:?}: {command:?}");
        }
        assert!(!repo.path().join("pwned").exists());
    }
}
