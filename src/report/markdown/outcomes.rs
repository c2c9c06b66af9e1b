//! What was done.

use super::escape::{block, code, link};
use super::{Options, Parts};
use crate::apply::{Item, Outcome, Status};
use crate::model::{DeploymentId, Desired, RepoPath};
use crate::plan::Plan;
use crate::report::done::{Done, subject};
use crate::report::{as_declared, value};

/// What came of a plan, with `desired` for the faults of what was left out: a heading, what it sums up to, the faults, the
/// failures with their reasons, what was skipped, and, folded, what was done.
pub fn outcomes(plan: &Plan, desired: &Desired, outcomes: &[Outcome], options: &Options) -> String {
    let title = match plan.destroys {
        true => "flowyard destroy",
        false => "flowyard deploy",
    };
    let mut head = super::heading(title, &plan.environment);
    let done = Done::of(plan, desired, outcomes);
    if outcomes.is_empty() {
        head += &format!("**Nothing to do.** {}\n", as_declared(plan));
    } else {
        head += &format!("**{}:** {}.\n", done.heading(), done.sum());
    }
    let mut parts = Parts::after(head, options);
    if done.faults > 0 {
        parts.add(&super::listing::faults(&desired.diagnostics));
    }
    for outcome in outcomes {
        if let Status::Failed { message, hint } = &outcome.status {
            parts.add(&failure(&done, outcome, message, hint.as_deref()));
        }
    }
    if done.skipped > 0 {
        parts.add(&skipped(&done, outcomes));
    }
    let all = done_items(plan, &done, outcomes);
    if !all.is_empty() {
        parts.add(&all);
    }
    parts.finish()
}

fn failure(done: &Done<'_>, outcome: &Outcome, message: &str, hint: Option<&str>) -> String {
    let action = done.action(&outcome.item);
    let mut text = format!(
        "❌ **failed to {action}** {}\n\n",
        code(&subject(&outcome.item))
    );
    let mut lines: Vec<String> = message.lines().map(value::text).collect();
    lines.extend(hint.map(|hint| format!("hint: {}", value::escaped(hint))));
    text += &block("text", &lines);
    if let Some(url) = &outcome.link {
        text += &format!("\n{}\n", link("Open it", url));
    }
    text
}

fn skipped(done: &Done<'_>, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        if let Status::Skipped { reason } = &outcome.status {
            let action = done.action(&outcome.item);
            let what = code(&subject(&outcome.item));
            text += &format!("- skipped to {action} {what}: {}\n", code(reason));
        }
    }
    text
}

fn done_items(plan: &Plan, done: &Done<'_>, outcomes: &[Outcome]) -> String {
    let mut list = String::new();
    for outcome in outcomes.iter().filter(|one| one.status == Status::Done) {
        let word = match done.action(&outcome.item) {
            "build" => "built",
            "upload" => "uploaded",
            "create" => "created",
            "update" => "updated",
            _ => "removed",
        };
        list += &format!("- {word} {}", code(&subject(&outcome.item)));
        match &outcome.item {
            Item::Release(_) => list += &done.amount(&outcome.project),
            Item::Registration(id) => {
                list += &runs(plan, &outcome.project, id);
                if let Some(url) = &outcome.link {
                    list += &format!(" · {}", link("open", url));
                }
            }
            Item::Image(_) | Item::Removal(_) => {}
        }
        list.push('\n');
    }
    if list.is_empty() {
        return list;
    }
    format!("<details><summary>What was done</summary>\n\n{list}\n</details>\n")
}

/// What a deployment runs from now on: its release, and the images that are made or named for it.
fn runs(plan: &Plan, project: &RepoPath, id: &DeploymentId) -> String {
    let of_project = plan.projects.iter().find(|one| one.path == *project);
    let mut text = String::new();
    if let Some(project) = of_project {
        text += &format!(" · release {}", code(&project.release.digest.short()));
    }
    for image in plan
        .images
        .iter()
        .filter(|image| image.deployments.contains(id))
    {
        let tag = image.tag.map(|tag| format!(":{}", tag.short()));
        let name = format!("{}{}", image.repository, tag.unwrap_or_default());
        text += &format!(" · image {}", code(&name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn failures_come_first() {
        let plan = sample::plan(true);
        let all = sample::outcomes(&plan, true);
        insta::assert_snapshot!(outcomes(&plan, &Desired::default(), &all, &Options::default()), @r"
        ### flowyard deploy for `prod`

        **Deployed only in part:** 1 created, 1 updated, 2 unchanged, 0 removed; 1 release uploaded; 2 failed, 2 skipped.

        ❌ **failed to update** `load-dn/hourly`

        ```text
        Prefect at http://127.0.0.1:4200/api: register load-dn/hourly: 422 job_variables violate the pool's schema
        ```

        ❌ **failed to upload** ``projects/x`</details>|@all\u{1b}[31m@44498e83cc74``

        ```text
        upload x.py to x: azure://acme/code: the account refuses the key\u{1b}[2J
        hint: check AZURE_STORAGE_CONNECTION_STRING
        ```

        - skipped to create ````x```/</details>\n::error::|@all\u{1b}[2J````: `its release is not complete`
        - skipped to remove `old/one`: `something else failed; nothing is removed then`

        <details><summary>What was done</summary>

        - uploaded `projects/news/load_dn@329214b59301` (8 files, 12.0 KB)
        - created `load-dn/backfill` · release `329214b59301` · [open](http://127.0.0.1:4200/deployments/8)
        - updated `load-dn/weekly` · release `329214b59301` · [open](http://127.0.0.1:4200/deployments/6)

        </details>
        ");
    }

    #[test]
    fn nothing_to_do_is_one_line() {
        let nothing = Desired::default();
        let text = outcomes(&sample::empty_plan(), &nothing, &[], &Options::default());
        insta::assert_snapshot!(text, @"
        ### flowyard deploy for `prod`

        **Nothing to do.** 5 deployments in 3 projects are as the files declare.
        ");
    }

    #[test]
    fn what_was_left_out_is_told() {
        let (plan, mut desired) = (sample::empty_plan(), sample::desired());
        desired.diagnostics = sample::diagnostics();
        insta::assert_snapshot!(outcomes(&plan, &desired, &[], &Options::default()), @r"
        ### flowyard deploy for `prod`

        **Nothing to do.** 5 deployments in 3 projects are as the files declare.

        **2 errors, 1 warning in 2 files**

        ```text
        projects/a/daily.deployment.yaml:2:1: error: unknown key `schedle`
          hint: did you mean `schedules`?
        projects/a/daily.deployment.yaml:4:9: error: `load-dn/daily` is declared twice
          projects/b/x.deployment.yaml:3:7: first declared here
        projects/c: warning: no requirements\u{1b}[2J\nfile
        ```
        ");
        let plan = sample::plan(true);
        let all = sample::outcomes(&plan, false);
        let text = outcomes(&plan, &desired, &all, &Options::default());
        assert!(
            text.contains("**Deployed only in part:** 2 created,"),
            "{text}"
        );
        assert!(
            text.contains("; 2 faults in the deployment files.\n\n**2 errors, 1"),
            "{text}"
        );
        // A warning leaves nothing out.
        desired.diagnostics.retain(|one| !one.is_error());
        let text = outcomes(&plan, &desired, &all, &Options::default());
        assert!(
            text.contains("**Deployed:**") && !text.contains("warning"),
            "{text}"
        );
    }
}
