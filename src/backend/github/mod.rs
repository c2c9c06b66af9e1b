//! GitHub, also on a server of one's own, as the [`Host`] of a repository.
//!
//! The requests are those of <https://docs.github.com/en/rest>, version 2022-11-28. What each needs of `permissions:` in a
//! workflow: comments `pull-requests: write`, statuses `statuses: write`, deployments `deployments: write`, issues
//! `issues: write`, and finding a pull request by its commit `pull-requests: read`.

mod http;
mod sticky;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::{CommitStatus, Error, Host, Kind, Posted, Result, Sticky, Verdict};
use http::Http;
use wire::{Comment, Created, Issue, PullRequest};

/// How many characters GitHub takes as a comment is 65,536; the marks around the text need some of them.
const LONGEST: usize = 65_000;

/// How many characters a description may have; of a commit status and of a deployment's status alike.
const LONGEST_DESCRIPTION: usize = 140;

/// How many entries of a listing come at once; GitHub gives no more.
const PAGE: usize = 100;

/// How many pages of a listing are read: what is further back is not ours, or lost.
const PAGES: usize = 50;

/// How often something is looked for and written, where GitHub failed at its end and may have written it.
const TRIES: u32 = 3;

/// Takes out of a text what nobody may read.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What a [`Repository`] is made from.
pub struct Options {
    /// Where the API is: `https://api.github.com`, `https://github.example.org/api/v3`.
    pub api_url: Url,
    /// `owner/name`.
    pub repository: String,
    /// A token of the workflow, of an app or of a person.
    pub token: SecretString,
    /// Goes over every text that is sent, before it is cut or compared. Not over names and links, by which things are
    /// found: of the repository, an environment, a commit, a run.
    pub redact: Redact,
    /// The client that all backends share.
    pub client: reqwest::Client,
}

/// A repository on GitHub.
pub struct Repository {
    http: Http,
    name: String,
}

impl Repository {
    /// Gets ready; sends nothing. Must be called inside of a Tokio runtime.
    pub fn new(options: Options) -> Result<Self> {
        let subject = format!("GitHub at {}", options.api_url);
        let plain = |text: &str| {
            let known = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
            !text.is_empty() && text != "." && text != ".." && text.chars().all(known)
        };
        match options.repository.split_once('/') {
            Some((owner, name)) if plain(owner) && plain(name) => {}
            _ => {
                let message = format!("`{}` is no repository, owner/name", options.repository);
                return Err(Error::new(Kind::Other, subject, message));
            }
        }
        let name = options.repository.clone();
        Ok(Self {
            http: Http::new(options, subject)?,
            name,
        })
    }

    /// A path below the repository's.
    fn path(&self, below: &str) -> String {
        format!("/repos/{}/{below}", self.name)
    }

    /// Entries of a listing until one is found.
    async fn find<T, F>(&self, below: &str, query: &str, what: &str, is: F) -> Result<Option<T>>
    where
        T: serde::de::DeserializeOwned,
        F: Fn(&T) -> bool,
    {
        for page in 1..=PAGES {
            let path = self.path(&format!("{below}?{query}per_page={PAGE}&page={page}"));
            let entries: Vec<T> = self.http.get(&path, what).await?;
            let last = entries.len() < PAGE;
            if let Some(found) = entries.into_iter().find(&is) {
                return Ok(Some(found));
            }
            if last {
                break;
            }
        }
        Ok(None)
    }

    /// The text as it is sent, and as it is found there again.
    fn without_secrets(&self, sticky: &Sticky) -> Sticky {
        Sticky {
            text: self.http.redacted(&sticky.text),
            ..sticky.clone()
        }
    }

    /// As much of a description as GitHub takes.
    fn description(&self, text: &str) -> String {
        cut(&self.http.redacted(text))
    }

    async fn comment_once(&self, pull_request: u64, comment: &Sticky) -> Result<Posted> {
        let what = format!("comment on pull request {pull_request}");
        let below = format!("issues/{pull_request}/comments");
        let ours =
            |one: &Comment| one.author.is_trusted() && sticky::is_of(&one.body, &comment.key);
        let body = json!({"body": sticky::body(comment)});
        match self.find(&below, "", &what, ours).await? {
            None => {
                let _: Created = self.http.post(&self.path(&below), &body, &what).await?;
                Ok(Posted::Created)
            }
            Some(old) if sticky::is_same(&old.body, comment) => Ok(Posted::Unchanged),
            Some(old) => {
                let path = self.path(&format!("issues/comments/{}", old.id));
                let _: Created = self.http.patch(&path, &body, &what).await?;
                Ok(Posted::Updated)
            }
        }
    }

    async fn issue_once(&self, key: &str, wanted: Option<(&str, &Sticky)>) -> Result<Posted> {
        let what = "report drift in an issue";
        let ours = |one: &Issue| {
            one.pull_request.is_none() && one.author.is_trusted() && sticky::is_of(&one.body, key)
        };
        let query = "state=open&sort=updated&direction=desc&";
        let old = self.find("issues", query, what, ours).await?;
        let (path, body, posted) = match (old, wanted) {
            (None, None) => return Ok(Posted::Unchanged),
            (None, Some((title, text))) => {
                let body = json!({"title": title, "body": sticky::body(text)});
                let _: Created = self.http.post(&self.path("issues"), &body, what).await?;
                return Ok(Posted::Created);
            }
            (Some(old), None) => {
                let body = json!({"state": "closed", "state_reason": "completed"});
                (old.number, body, Posted::Updated)
            }
            (Some(old), Some((title, text))) => {
                if old.title == title && sticky::is_same(&old.body, text) {
                    return Ok(Posted::Unchanged);
                }
                let body = json!({"title": title, "body": sticky::body(text)});
                (old.number, body, Posted::Updated)
            }
        };
        let path = self.path(&format!("issues/{path}"));
        let _: Created = self.http.patch(&path, &body, what).await?;
        Ok(posted)
    }
}

/// Does again what begins with a look at what there is, where GitHub failed at its end.
async fn again<T, F: Future<Output = Result<T>>>(mut once: impl FnMut() -> F) -> Result<T> {
    let mut tries = 1;
    loop {
        match once().await {
            Err(error) if error.kind == Kind::Unavailable && tries < TRIES => {
                tokio::time::sleep(Duration::from_millis(500) * tries).await;
                tries += 1;
            }
            result => return result,
        }
    }
}

#[async_trait]
impl Host for Repository {
    fn subject(&self) -> String {
        self.http.subject().to_owned()
    }

    fn longest(&self) -> usize {
        LONGEST
    }

    async fn pull_request_of(&self, commit: &str) -> Result<Option<u64>> {
        let what = format!("find the pull request of {commit}");
        let path = self.path(&format!("commits/{}/pulls", plain(commit)));
        let found: Vec<PullRequest> = self.http.get(&path, &what).await?;
        let open = found.iter().find(|one| one.state == "open");
        Ok(open.or(found.first()).map(|one| one.number))
    }

    async fn comment(&self, pull_request: u64, comment: &Sticky) -> Result<Posted> {
        let comment = self.without_secrets(comment);
        again(|| self.comment_once(pull_request, &comment)).await
    }

    async fn status(&self, commit: &str, status: &CommitStatus) -> Result<()> {
        let what = format!("set the status `{}`", status.name);
        let mut body = json!({
            "state": match status.verdict {
                Verdict::Pending => "pending",
                Verdict::Success => "success",
                Verdict::Failure => "failure",
                Verdict::Error => "error",
            },
            "context": status.name,
            "description": self.description(&status.description),
        });
        link(&mut body, "target_url", status.link.as_deref());
        let path = self.path(&format!("statuses/{}", plain(commit)));
        // Only the last one of a name counts, so a second copy does no harm.
        again(|| self.http.post::<Created>(&path, &body, &what)).await?;
        Ok(())
    }

    async fn deploying(
        &self,
        commit: &str,
        environment: &str,
        url: Option<&str>,
    ) -> Result<String> {
        let what = format!("show the deployment to `{environment}`");
        let body = json!({
            "ref": commit,
            "environment": environment,
            "description": "flowyard deploy",
            // It is happening already: nothing is merged into it, and no check holds it back.
            "auto_merge": false,
            "required_contexts": [],
        });
        let created: Created = self
            .http
            .post(&self.path("deployments"), &body, &what)
            .await?;
        let mut body = json!({"state": "in_progress", "description": "flowyard is deploying"});
        link(&mut body, "log_url", url);
        let path = self.path(&format!("deployments/{}/statuses", created.id));
        again(|| self.http.post::<Created>(&path, &body, &what)).await?;
        Ok(created.id.to_string())
    }

    async fn deployed(&self, handle: &str, how: &CommitStatus) -> Result<()> {
        let what = format!("show the end of {}", how.name);
        let mut body = json!({
            "state": match how.verdict {
                Verdict::Pending => "in_progress",
                Verdict::Success => "success",
                Verdict::Failure => "failure",
                Verdict::Error => "error",
            },
            "description": self.description(&how.description),
        });
        link(&mut body, "log_url", how.link.as_deref());
        let path = self.path(&format!("deployments/{}/statuses", plain(handle)));
        again(|| self.http.post::<Created>(&path, &body, &what)).await?;
        Ok(())
    }

    async fn issue(&self, key: &str, wanted: Option<(&str, &Sticky)>) -> Result<Posted> {
        let clean =
            wanted.map(|(title, text)| (self.http.redacted(title), self.without_secrets(text)));
        let wanted = clean.as_ref().map(|(title, text)| (title.as_str(), text));
        again(|| self.issue_once(key, wanted)).await
    }
}

/// Part of a path: what is no letter or digit is encoded.
fn plain(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

fn link(body: &mut Value, key: &str, url: Option<&str>) {
    if let Some(url) = url {
        body[key] = url.into();
    }
}

/// The beginning of a text that is too long for a description.
fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_DESCRIPTION {
        return text.to_owned();
    }
    text.chars()
        .take(LONGEST_DESCRIPTION - 1)
        .chain(['…'])
        .collect()
}
