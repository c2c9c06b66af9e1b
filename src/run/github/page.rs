//! What a run tells on GitHub's pages, where it was asked to: a comment, a commit status, a deployment, an issue.
//!
//! Nothing here decides how the command ends. What GitHub refuses, as it does in the pull request of a fork, is said in the
//! log, and stands in the step's summary anyway.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use super::Run;
use crate::apply::{Outcome, Status};
use crate::backend::{self, CommitStatus, Host, Posted, Sticky, Verdict};
use crate::cli::{Command, Tell};
use crate::config::{GitHub, PullRequest};
use crate::connect;
use crate::error::Failure;
use crate::model::{Desired, Diagnostic, RepoPath};
use crate::plan::Plan;
use crate::report;
use crate::report::actions::{self, Outputs};
use crate::report::markdown::{self, Options};

/// What a command was asked to tell.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::run) struct Wishes {
    /// Its name.
    pub(in crate::run) command: &'static str,
    pub(in crate::run) comment: bool,
    pub(in crate::run) status: bool,
    pub(in crate::run) deployment: bool,
    pub(in crate::run) issue: bool,
}

/// GitHub's pages about one run.
pub(in crate::run) struct Page<'r> {
    run: &'r Run,
    wishes: Wishes,
    host: Option<Arc<dyn Host>>,
    job: GitHub,
    pull_request: Option<PullRequest>,
    /// The deployment that was begun.
    deployment: Mutex<Option<String>>,
    told: AtomicBool,
}

impl<'r> Page<'r> {
    /// Does what is told on the page, and tells how it ended.
    pub(in crate::run) async fn during(
        run: &'r Run,
        wishes: Wishes,
        what: impl AsyncFnOnce(&Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let page = Self::open(run, wishes)?;
        let result = what(&page).await;
        if let Err(failure) = &result {
            page.end(failure).await;
        }
        result
    }

    /// Tells how a command ended that could not begin.
    pub(in crate::run) async fn unopened(run: &Run, wishes: Wishes, failure: &Failure) {
        match Page::open(run, wishes) {
            Ok(page) => page.end(failure).await,
            Err(why) => tracing::warn!("{why}"),
        }
    }

    /// Gets ready for what was asked for; sends nothing. An error says which option needs what.
    fn open(run: &'r Run, wishes: Wishes) -> Result<Self, Failure> {
        let mut page = Self {
            run,
            wishes,
            host: None,
            job: run.config.github.clone().unwrap_or_default(),
            pull_request: None,
            deployment: Mutex::new(None),
            told: AtomicBool::new(false),
        };
        let Some(option) = wishes.first() else {
            return Ok(page);
        };
        page.pull_request = page.job.event()?.pull_request;
        if let (Some(outsider), None) = (page.outsider(), &page.job.token) {
            tracing::warn!(
                "{option} tells nothing: the pull request is from {outsider}, and there is no GITHUB_TOKEN"
            );
            return Ok(page);
        }
        let secrets = Arc::clone(&run.secrets);
        let redact = move |text: &str| {
            let secrets = secrets.lock().unwrap_or_else(PoisonError::into_inner);
            secrets.redact(text).into_owned()
        };
        let host = connect::host(&run.config, Arc::new(redact))
            .with_context(|| format!("{option} cannot tell GitHub anything"))?;
        page.host = Some(host);
        Ok(page)
    }

    fn outsider(&self) -> Option<&'static str> {
        let request = self.pull_request.as_ref()?;
        self.job.outsider(request)
    }

    /// The commit that is looked at: of a pull request its own last one, not the one that GitHub merged for the run.
    fn commit(&self) -> Option<&str> {
        let head = self.pull_request.as_ref().map(|one| one.head.sha.as_str());
        head.or(self.job.sha.as_deref())
    }

    /// Tells a plan, how many faults forbid to deploy it, and whether it was to be `checked` that it is empty.
    pub(in crate::run) async fn planned(
        &self,
        plan: &Plan,
        desired: &Desired,
        faults: usize,
        checked: bool,
    ) {
        let Some(host) = self.host() else { return };
        let well = faults == 0 && (plan.is_empty() || !checked);
        let summary = match faults {
            0 => line(&actions::planned(plan, None, None)),
            _ => report::faults_of_files(faults),
        };
        let verdict = verdict(well);
        self.status(host, verdict, &summary).await;
        let report = |limit| markdown::plan(plan, desired, &Options { limit: Some(limit) });
        self.comment(host, self.wishes.command, report).await;
        if self.wishes.issue && faults == 0 {
            let text = (!plan.is_empty()).then(|| report(host.longest()));
            self.issue(host, text).await;
        }
    }

    /// Tells that a deploy begins to write.
    pub(in crate::run) async fn deploying(&self) {
        let (Some(host), true, Some(commit)) = (&self.host, self.wishes.deployment, self.commit())
        else {
            return;
        };
        let (environment, url) = (&self.run.config.environment, self.job.run_url());
        match host.deploying(commit, environment, url.as_deref()).await {
            Ok(handle) => {
                let mut deployment = self
                    .deployment
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *deployment = Some(handle);
            }
            Err(error) => note("the deployment is not shown", &error),
        }
    }

    /// Tells what a deploy did, and the faults of what was left out.
    pub(in crate::run) async fn deployed(
        &self,
        plan: &Plan,
        desired: &Desired,
        outcomes: &[Outcome],
    ) {
        let Some(host) = self.host() else { return };
        let done = outcomes.iter().all(|one| one.status == Status::Done);
        let verdict = verdict(done && !desired.diagnostics.iter().any(Diagnostic::is_error));
        let summary = line(&actions::deployed(plan, desired, outcomes));
        self.status(host, verdict, &summary).await;
        self.end_deployment(host, verdict, &summary).await;
        let report =
            |limit| markdown::outcomes(plan, desired, outcomes, &Options { limit: Some(limit) });
        // What a deploy has told is over with what is destroyed.
        let about = match self.wishes.command {
            "destroy" => "deploy",
            command => command,
        };
        self.comment(host, about, report).await;
    }

    /// Tells faults in the log, and refuses to go on where one is an error: then the summary and the pages have them too.
    pub(in crate::run) async fn refuse(
        &self,
        desired: &Desired,
        faults: &[Diagnostic],
    ) -> Result<(), Failure> {
        let refused = crate::run::faulty(self.run, faults);
        if refused.is_err() {
            super::faulty(self.run, desired, faults);
            self.faulty(desired, faults).await;
        }
        refused
    }

    /// Tells the faults that kept a deploy from beginning.
    async fn faulty(&self, desired: &Desired, faults: &[Diagnostic]) {
        let Some(host) = self.host() else { return };
        let number = faults.iter().filter(|one| one.is_error()).count();
        let summary = format!("{}; nothing was deployed", report::faults_of_files(number));
        self.status(host, Verdict::Failure, &summary).await;
        let report = |limit| markdown::check(desired, faults, &Options { limit: Some(limit) });
        self.comment(host, self.wishes.command, report).await;
    }

    /// Tells how the command ended, where it did not come as far as anything else.
    async fn end(&self, failure: &Failure) {
        let (Some(host), false) = (&self.host, self.told.load(Ordering::Relaxed)) else {
            return;
        };
        let message = super::redacted(self.run, &failure.to_string());
        let environment = &self.run.config.environment;
        self.status(&**host, Verdict::Error, &message).await;
        self.end_deployment(&**host, Verdict::Error, &message).await;
        let command = self.wishes.command;
        self.comment(&**host, command, |limit| {
            let options = Options { limit: Some(limit) };
            actions::failure(command, environment, &message, &options)
        })
        .await;
    }

    fn host(&self) -> Option<&dyn Host> {
        self.told.store(true, Ordering::Relaxed);
        self.host.as_deref()
    }

    /// Writes the comment that is `about` a command, or writes it anew.
    async fn comment(&self, host: &dyn Host, about: &str, report: impl FnOnce(usize) -> String) {
        if !self.wishes.comment {
            return;
        }
        let number = match (&self.pull_request, self.commit()) {
            (Some(pull), _) => Ok(Some(pull.number)),
            (None, Some(commit)) => host.pull_request_of(commit).await,
            (None, None) => Ok(None),
        };
        let done = match number {
            Ok(Some(number)) => {
                let footer = self.footer();
                let text = report(host.longest() - footer.len());
                let sticky = Sticky {
                    key: self.key(about),
                    text,
                    footer,
                };
                host.comment(number, &sticky)
                    .await
                    .map(|posted| (number, posted))
            }
            Ok(None) => {
                tracing::warn!(
                    "--comment has nowhere to comment: the commit belongs to no pull request"
                );
                return;
            }
            Err(error) => Err(error),
        };
        match done {
            Ok((number, posted)) => {
                tracing::info!("the comment on pull request {number} was {}", word(posted));
            }
            Err(error) => note(
                "there is no comment; the step's summary has the same",
                &error,
            ),
        }
    }

    async fn status(&self, host: &dyn Host, verdict: Verdict, summary: &str) {
        let (true, Some(commit)) = (self.wishes.status, self.commit()) else {
            return;
        };
        let status = self.line(verdict, summary);
        if let Err(error) = host.status(commit, &status).await {
            note("the commit status is not set", &error);
        }
    }

    async fn end_deployment(&self, host: &dyn Host, verdict: Verdict, summary: &str) {
        let begun = self
            .deployment
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(handle) = begun
            && let Err(error) = host.deployed(&handle, &self.line(verdict, summary)).await
        {
            note("the end of the deployment is not shown", &error);
        }
    }

    /// Opens, updates or closes the issue about drift.
    async fn issue(&self, host: &dyn Host, text: Option<String>) {
        let (key, environment) = (self.key("drift"), &self.run.config.environment);
        let title = format!("flowyard: `{environment}` is not as the repository declares");
        let sticky = text.map(|text| Sticky {
            key: key.clone(),
            text,
            footer: self.footer(),
        });
        let wanted = sticky.as_ref().map(|sticky| (title.as_str(), sticky));
        match host.issue(&key, wanted).await {
            Ok(posted) => tracing::info!("the issue about drift was {}", word(posted)),
            Err(error) => note("there is no issue about drift", &error),
        }
    }

    fn line(&self, verdict: Verdict, summary: &str) -> CommitStatus {
        let first = summary.lines().next().unwrap_or_default();
        CommitStatus {
            name: format!("flowyard/{} ({})", self.wishes.command, self.place()),
            verdict,
            description: first.to_owned(),
            link: self.job.run_url(),
        }
    }

    /// What tells our texts about this repository and environment from those of others.
    fn key(&self, what: &str) -> String {
        format!("{what} {} {}", self.run.repository(), self.place())
    }

    /// The environment, and the root in it where that is a folder of the repository: others have their own.
    fn place(&self) -> String {
        let (environment, root) = (&self.run.config.environment, self.run.root_in_git());
        if root == RepoPath::root() {
            environment.clone()
        } else {
            format!("{environment}, {root}")
        }
    }

    fn footer(&self) -> String {
        match self.job.run_url() {
            Some(url) => format!("[The run]({url}) has the log and the whole of it.",),
            None => String::new(),
        }
    }
}

impl Wishes {
    /// What the command line asks for.
    pub(in crate::run) fn of(command: &Command) -> Self {
        let silent = |command| Self {
            command,
            ..Self::default()
        };
        let telling = |command, tell: &Tell| Self {
            comment: tell.comment,
            status: tell.commit_status,
            ..silent(command)
        };
        match command {
            Command::Plan(options) => Self {
                issue: options.drift_issue,
                ..telling("plan", &options.tell)
            },
            Command::Deploy(options) => Self {
                deployment: options.github_deployment,
                ..telling("deploy", &options.tell)
            },
            // It stands for the one deploy that it sums up.
            Command::Gather(options) => Self {
                deployment: options.github_deployment,
                ..telling("deploy", &options.tell)
            },
            Command::Destroy(options) => telling("destroy", &options.tell),
            Command::List(_) => silent("list"),
            Command::Check(_) => silent("check"),
            Command::Convert(_) => silent("convert"),
            Command::Status => silent("status"),
            Command::Init(_) => silent("init"),
            Command::New(_) => silent("new"),
            Command::Completions { .. } => silent("completions"),
        }
    }

    /// The first of the options that were given.
    fn first(&self) -> Option<&'static str> {
        let options = [
            (self.comment, "--comment"),
            (self.status, "--commit-status"),
            (self.deployment, "--github-deployment"),
            (self.issue, "--drift-issue"),
        ];
        options.iter().find(|one| one.0).map(|one| one.1)
    }
}

fn verdict(well: bool) -> Verdict {
    if well {
        Verdict::Success
    } else {
        Verdict::Failure
    }
}

fn line(outputs: &Outputs) -> String {
    outputs.0.get("summary").cloned().unwrap_or_default()
}

fn word(posted: Posted) -> &'static str {
    match posted {
        Posted::Created => "written",
        Posted::Updated => "brought up to date",
        Posted::Unchanged => "left as it is",
    }
}

fn note(what: &str, error: &backend::Error) {
    match &error.hint {
        Some(hint) => tracing::warn!("{what}: {error}; {hint}"),
        None => tracing::warn!("{what}: {error}"),
    }
}
