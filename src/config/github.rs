//! What a job of GitHub Actions tells its steps: variables, and the payload of the event that started it.
//!
//! The variables are those of
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>; the payload's form is that of the
//! webhooks, <https://docs.github.com/en/webhooks/webhook-events-and-payloads>.

use std::path::PathBuf;

use anyhow::Context as _;
use secrecy::SecretString;
use serde::Deserialize;

use super::Environment;

/// A job of GitHub Actions.
#[derive(Clone, Debug, Default)]
pub struct GitHub {
    /// `GITHUB_REPOSITORY`: `owner/name` of the repository that the workflow is in.
    pub repository: Option<String>,
    /// `GITHUB_API_URL`, without a slash at its end; another one on a server of one's own.
    pub api_url: String,
    /// `GITHUB_SERVER_URL`, likewise; for links.
    pub server_url: String,
    /// `GITHUB_TOKEN`, which a workflow has to hand to the step.
    pub token: Option<SecretString>,
    /// Where the job gets tokens of its own; `None` without the permission `id-token: write`.
    pub id_token: Option<IdToken>,
    /// `GITHUB_ACTOR`: who started the run; whoever repeats it has that one's rights.
    pub actor: Option<String>,
    /// `GITHUB_SHA`: the commit that started the run; of a pull request, the one that merges it.
    pub sha: Option<String>,
    /// `GITHUB_REF`: `refs/heads/main`, `refs/pull/7/merge`.
    pub reference: Option<String>,
    /// `GITHUB_RUN_ID`.
    pub run: Option<String>,
    /// `GITHUB_RUN_ATTEMPT`; 1 where it is not told.
    pub attempt: u32,
    /// `GITHUB_EVENT_NAME`: `pull_request`, `push`, `schedule`.
    pub event_name: Option<String>,
    /// `GITHUB_EVENT_PATH`: the file with the event's payload.
    pub event_path: Option<PathBuf>,
    /// `GITHUB_WORKSPACE`: the folder of the checkout, from which annotations count.
    pub workspace: Option<PathBuf>,
    /// `GITHUB_OUTPUT`: the file that takes the step's outputs.
    pub output: Option<PathBuf>,
    /// `GITHUB_STEP_SUMMARY`: the file that takes the step's summary.
    pub summary: Option<PathBuf>,
}

/// Where a job gets tokens that tell others who it is.
/// <https://docs.github.com/en/actions/reference/security/oidc>
#[derive(Clone, Debug)]
pub struct IdToken {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`, which proves that it is the job that asks.
    pub token: SecretString,
}

impl GitHub {
    /// Reads the variables; `None` outside of a job, that is without `GITHUB_ACTIONS=true`.
    pub(super) fn new(environment: &Environment) -> Option<Self> {
        let variable = |name: &str| {
            let value = environment.get(name).filter(|value| !value.is_empty());
            value.cloned()
        };
        if variable("GITHUB_ACTIONS").as_deref() != Some("true") {
            return None;
        }
        let url = |name: &str, usual: &str| {
            let url = variable(name).unwrap_or_else(|| usual.to_owned());
            url.trim_end_matches('/').to_owned()
        };
        Some(Self {
            repository: variable("GITHUB_REPOSITORY"),
            api_url: url("GITHUB_API_URL", "https://api.github.com"),
            server_url: url("GITHUB_SERVER_URL", "https://github.com"),
            token: variable("GITHUB_TOKEN").map(SecretString::from),
            id_token: variable("ACTIONS_ID_TOKEN_REQUEST_URL")
                .zip(variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN").map(SecretString::from))
                .map(|(url, token)| IdToken { url, token }),
            actor: variable("GITHUB_ACTOR"),
            sha: variable("GITHUB_SHA"),
            reference: variable("GITHUB_REF"),
            run: variable("GITHUB_RUN_ID"),
            attempt: variable("GITHUB_RUN_ATTEMPT")
                .and_then(|text| text.parse().ok())
                .unwrap_or(1),
            event_name: variable("GITHUB_EVENT_NAME"),
            event_path: variable("GITHUB_EVENT_PATH").map(PathBuf::from),
            workspace: variable("GITHUB_WORKSPACE").map(PathBuf::from),
            output: variable("GITHUB_OUTPUT").map(PathBuf::from),
            summary: variable("GITHUB_STEP_SUMMARY").map(PathBuf::from),
        })
    }

    /// The run's page; `None` where the runner did not tell which run it is.
    pub fn run_url(&self) -> Option<String> {
        let (repository, run) = (self.repository.as_ref()?, self.run.as_ref()?);
        let (server, attempt) = (&self.server_url, self.attempt);
        Some(format!(
            "{server}/{repository}/actions/runs/{run}/attempts/{attempt}"
        ))
    }

    /// From whom a pull request is whose runs have no secrets of the repository, and a token that may only read: "a fork", or
    /// Dependabot, whose branches are the repository's own. `None` for every other.
    ///
    /// <https://docs.github.com/en/code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions>
    pub fn outsider(&self, request: &PullRequest) -> Option<&'static str> {
        if request.is_from_fork() {
            Some("a fork")
        } else if self.actor.as_deref() == Some("dependabot[bot]") {
            Some("Dependabot")
        } else {
            None
        }
    }

    /// The event that started the run; one that tells nothing where the runner gave no payload.
    pub fn event(&self) -> anyhow::Result<Event> {
        let Some(path) = &self.event_path else {
            return Ok(Event::default());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read GITHUB_EVENT_PATH, {}", path.display()))?;
        Event::parse(&text).with_context(|| format!("read GITHUB_EVENT_PATH, {}", path.display()))
    }
}

/// Whether this is a step of a job at all; for what goes wrong before there is a configuration.
pub fn is_a_job(environment: &Environment) -> bool {
    GitHub::new(environment).is_some()
}

/// Whether a job was started to show what it does inside, which a person asks for with "Enable debug logging".
pub fn is_debugged(environment: &Environment) -> bool {
    let is = |name: &str, value: &str| environment.get(name).is_some_and(|one| one == value);
    is("GITHUB_ACTIONS", "true") && is("RUNNER_DEBUG", "1")
}

/// The payload of an event, as far as it matters here. All of it was written by someone else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// The pull request that the event is about.
    pub pull_request: Option<PullRequest>,
}

/// A pull request in an event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// What is to be merged.
    pub head: Side,
    /// Into what.
    pub base: Side,
}

/// One side of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Side {
    /// Its commit.
    pub sha: String,
    /// Its repository; `None` where that was deleted.
    pub repo: Option<Repository>,
}

/// A repository in an event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// `owner/name`.
    pub full_name: String,
}

impl Event {
    /// Reads a payload. One without what matters here is an event about something else.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(serde_json::from_str(text)?)
    }
}

impl PullRequest {
    /// Whether it comes from another repository.
    fn is_from_fork(&self) -> bool {
        let name = |side: &Side| Some(side.repo.as_ref()?.full_name.to_lowercase());
        name(&self.head).is_none() || name(&self.head) != name(&self.base)
    }
}

/// The branch that a job of GitHub Actions is for. For a pull request it is the one that this is merged into, because that
/// is where it will be deployed from; for the preview of one, its own.
pub(super) fn branch_of_job(environment: &Environment, preview: bool) -> Option<String> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    get("GITHUB_ACTIONS").filter(|value| *value == "true")?;
    let of_request = if preview {
        "GITHUB_HEAD_REF"
    } else {
        "GITHUB_BASE_REF"
    };
    let of_push = || get("GITHUB_REF")?.strip_prefix("refs/heads/");
    get(of_request)
        .map(String::as_str)
        .or_else(of_push)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(of: &[(&str, &str)]) -> Environment {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        of.iter().map(pair).collect()
    }

    #[test]
    fn only_a_job_is_one() {
        assert!(GitHub::new(&environment(&[("GITHUB_REPOSITORY", "acme/flows")])).is_none());
        assert!(GitHub::new(&environment(&[("GITHUB_ACTIONS", "false")])).is_none());
        let bare = GitHub::new(&environment(&[("GITHUB_ACTIONS", "true")])).expect("a job");
        assert_eq!(bare.api_url, "https://api.github.com");
        assert_eq!(bare.run_url(), None);
        assert_eq!(bare.event().expect("no payload"), Event::default());
        let job = GitHub::new(&environment(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/flows"),
            ("GITHUB_API_URL", "https://ghes.example.org/api/v3/"),
            ("GITHUB_SERVER_URL", "https://ghes.example.org"),
            ("GITHUB_RUN_ID", "77"),
            ("GITHUB_RUN_ATTEMPT", "2"),
            ("GITHUB_OUTPUT", ""),
        ]))
        .expect("a job");
        assert_eq!(job.api_url, "https://ghes.example.org/api/v3");
        assert_eq!(job.output, None);
        assert_eq!(
            job.run_url().as_deref(),
            Some("https://ghes.example.org/acme/flows/actions/runs/77/attempts/2")
        );
    }

    #[test]
    fn debugging_is_asked_for_in_a_job_only() {
        assert!(!is_debugged(&environment(&[("RUNNER_DEBUG", "1")])));
        let both = environment(&[("GITHUB_ACTIONS", "true"), ("RUNNER_DEBUG", "1")]);
        assert!(is_debugged(&both));
    }

    #[test]
    fn forks_are_told_from_branches() {
        let pull = |head: &str| {
            let text = format!(
                r#"{{"action": "opened", "pull_request": {{"number": 7, "title": "x",
                    "head": {{"sha": "a", "repo": {head}}},
                    "base": {{"sha": "b", "repo": {{"full_name": "acme/flows"}}}}}}}}"#
            );
            let event = Event::parse(&text).expect("a payload");
            event.pull_request.expect("a pull request")
        };
        let outsider = |actor: &str, head: &str| {
            let actor = Some(actor.to_owned());
            let job = GitHub {
                actor,
                ..GitHub::default()
            };
            job.outsider(&pull(head))
        };
        let ours = r#"{"full_name": "Acme/Flows"}"#;
        assert_eq!(outsider("kari", ours), None);
        assert_eq!(outsider("dependabot[bot]", ours), Some("Dependabot"));
        let fork = r#"{"full_name": "eve/flows"}"#;
        assert_eq!(outsider("kari", fork), Some("a fork"));
        assert_eq!(outsider("dependabot[bot]", "null"), Some("a fork"));
        let push = Event::parse(r#"{"before": "0", "after": "1"}"#).expect("a payload");
        assert_eq!(push.pull_request, None);
        assert!(Event::parse("[]").is_err());
    }
}
