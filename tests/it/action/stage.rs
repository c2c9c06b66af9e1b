//! Where workflows are run: a repository, a real Prefect server and Azurite, and a double of GitHub's API.

use std::fs;

use regex::Regex;
use serde_json::Value;

use super::job::{Ended, Job, add_workflow};
use super::root;
use crate::github::double::GitHub;
use crate::services::azurite::{self, Azurite};
use crate::services::prefect::Server;
use crate::support::{Repo, git};

/// Of Prefect Cloud; a server that knows nobody takes it too.
pub(super) const API_KEY: &str = "pnu_of-the-action/9+zz~secret";

/// A repository with two projects, and what it is deployed to. Everything has the stage's name in it, because tests share
/// the services.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) repo: Repo,
    pub(super) github: GitHub,
}

impl Stage {
    /// One commit on `main`.
    pub(super) async fn set(name: &'static str) -> Self {
        let api = Server::shared().api();
        api.create_process_pool(name).await;
        Azurite::shared().account().create_container(name).await;
        let stage = Self {
            name,
            repo: Repo::new(),
            github: GitHub::start().await,
        };
        let repo = &stage.repo;
        repo.write(
            "flowyard.toml",
            format!("repository = \"acme/{name}\"\n[prefect]\nwork-pool = \"{name}\"\n"),
        );
        for project in ["feeds", "reports"] {
            repo.write(
                &format!("{project}/flow.py"),
                format!(
                    "from prefect import flow\n\n\n@flow(name=\"{name} {project}\")\ndef load(n: int = 1):\n    print(n)\n"
                ),
            );
            stage.declare(project, "[a]");
        }
        for workflow in ["plan.yml", "deploy.yml", "drift.yml"] {
            add_workflow(repo, workflow);
        }
        repo.commit("Add two projects");
        stage
    }

    pub(super) fn declare(&self, project: &str, tags: &str) {
        self.repo.write(
            &format!("{project}/daily.deployment.yaml"),
            format!("entrypoint: flow.py:load\ntags: {tags}\n"),
        );
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        git(self.repo.path(), arguments)
    }

    /// Commits a change on a branch, and checks out what merges it into `main`, as GitHub does for a pull request.
    pub(super) fn request(&self, change: impl FnOnce()) {
        self.git(&["checkout", "-q", "-b", "changes"]);
        change();
        self.repo.commit("Change it");
        self.git(&["checkout", "-q", "--detach", "main"]);
        self.git(&[
            "merge",
            "-q",
            "--no-ff",
            "-m",
            "Merge changes into main",
            "changes",
        ]);
    }

    /// The payload of a pull request from a branch of `head`.
    pub(super) fn pull_request(&self, fixture: &str, head: &str) -> Value {
        let mut payload = payload(fixture);
        let request = &mut payload["pull_request"];
        for (side, revision, repository) in
            [("base", "HEAD^1", "acme/flows"), ("head", "HEAD^2", head)]
        {
            request[side]["sha"] = self.git(&["rev-parse", revision]).into();
            request[side]["repo"]["full_name"] = repository.into();
        }
        payload
    }

    pub(super) fn push(&self, fixture: &str, before: Option<&str>) -> Value {
        let mut payload = payload(fixture);
        payload["ref"] = "refs/heads/main".into();
        payload["after"] = self.git(&["rev-parse", "HEAD"]).into();
        if let Some(before) = before {
            payload["before"] = before.into();
        }
        payload
    }

    /// A run in the repository itself: with its secrets and variables.
    pub(super) fn job<'a>(&'a self, workflow: &str, event: &'a str, payload: &Value) -> Job<'a> {
        let connection = azurite::connection_string(Azurite::shared().port());
        Job::new(&self.repo, &self.github, workflow, event, payload)
            .variable("PREFECT_API_URL", &Server::shared().api_url())
            .variable(
                "FLOWYARD_STORAGE_URL",
                &format!("azure://{}/{}/flows", azurite::ACCOUNT, self.name),
            )
            .secret("PREFECT_API_KEY", API_KEY)
            .secret("AZURE_STORAGE_CONNECTION_STRING", &connection)
    }

    /// All that one run told: to the runner, and to GitHub so far.
    pub(super) fn told(&self, ended: &Ended) -> String {
        let state = self.github.state();
        let mut text = format!(
            "success: {}\n\n----- commands -----\n{}\n\n----- outputs -----\n{}\n\n----- summary -----\n{}",
            ended.success,
            ended.commands(),
            ended.outputs(),
            ended.summary()
        );
        for (number, comments) in &state.comments {
            for comment in comments {
                let body = comment["body"].as_str().unwrap_or_default();
                text += &format!("\n----- comment on {number} -----\n{body}");
            }
        }
        for (_, status) in &state.statuses {
            text += &format!("\n----- commit status -----\n{status:#}\n");
        }
        for deployment in &state.deployments {
            text += &format!("\n----- deployment -----\n{deployment:#}\n");
        }
        for (_, status) in &state.deployment_statuses {
            text += &format!("\n----- its status -----\n{status:#}\n");
        }
        for issue in &state.issues {
            let of = |key: &str| issue[key].as_str().unwrap_or_default();
            text += &format!(
                "\n----- issue, {} -----\n{}\n\n{}",
                of("state"),
                of("title"),
                of("body")
            );
        }
        for (pattern, name) in [
            (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "[ID]"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
            (r"plan-file = \S+/", "plan-file = [TEMP]/"),
            (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
            // Of the base; it holds the workflows, which change.
            (r"since [0-9a-f]{12}\b", "since [COMMIT]"),
            (r"\b\d+(\.\d+)? ?m?s\b", "[TIME]"),
        ] {
            let pattern = Regex::new(pattern).expect("the pattern is fixed");
            text = pattern.replace_all(&text, name).into_owned();
        }
        text
    }

    /// Forgets what GitHub was told.
    pub(super) fn forget(&self) {
        let mut state = self.github.state();
        state.comments.clear();
        state.statuses.clear();
        state.deployments.clear();
        state.deployment_statuses.clear();
    }
}

/// One of `tests/fixtures/events`.
pub(super) fn payload(fixture: &str) -> Value {
    let path = root().join(format!("tests/fixtures/events/{fixture}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("a fixture is JSON")
}
