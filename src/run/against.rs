//! What a plan is compared with where no server is asked: `--against`, and the pull requests of outsiders.

use anyhow::{Context as _, bail};

use super::{Run, github, narrow, revision};
use crate::cli;

/// The revision whose files a plan is compared with; `None` to compare with what is live.
///
/// The run for the pull request of a fork or of Dependabot has none of the repository's secrets, and what it plans may be a
/// stranger's: without credentials it asks no server, not even one that needs none, and compares with the pull request's
/// base.
pub(super) fn revision(run: &Run, options: &cli::Plan) -> anyhow::Result<Option<String>> {
    match options.against.as_deref() {
        Some(narrow::AUTO) => base(run).map(Some),
        Some(revision) => Ok(Some(revision.to_owned())),
        None if run.config.local || run.config.has_credentials() => Ok(None),
        None => {
            let Some(outsider) = outsider(run)? else {
                return Ok(None);
            };
            let mut told = format!(
                "the pull request is from {outsider}, and there are no credentials: \
                 the plan compares with its base, and no server was asked"
            );
            if options.out.is_some() {
                told += "; no plan was saved, because such a one cannot be deployed";
            }
            github::notice(run, &told);
            base(run).map(Some)
        }
    }
}

fn outsider(run: &Run) -> anyhow::Result<Option<&'static str>> {
    let Some(job) = &run.config.github else {
        return Ok(None);
    };
    let pull_request = job.event()?.pull_request;
    Ok(pull_request.and_then(|one| job.outsider(&one)))
}

/// The commit that the event of this run is about, fetched where a clone is missing it.
fn base(run: &Run) -> anyhow::Result<String> {
    let Some(git) = &run.git else {
        bail!(
            "--against needs git; {} is in no git repository",
            run.path().display()
        );
    };
    let (sha, why) = match revision::of_event("--against", run, git)? {
        Ok(found) => found,
        Err(why) => bail!("there is nothing to plan against: {why}; name a revision"),
    };
    revision::fetch(run, git, &sha).with_context(|| {
        format!("get {why}, which actions/checkout brings with `fetch-depth: 2`")
    })?;
    Ok(sha)
}
