//! What was done.

use std::io::{self, Write};

use crate::apply::{Item, Outcome, Status};
use crate::model::Desired;
use crate::plan::Plan;
use crate::report::done::{Done, subject};
use crate::report::style::{BOLD, CREATE, DIM, ERROR, HINT, REMOVE, UPDATE, WARNING, paint};
use crate::report::{as_declared, for_environment, value};

/// Writes what came of a plan: what was done by project, then what was skipped, then every failure with its reason, and
/// one line that sums it up, which counts the faults of `desired` too.
pub fn outcomes(
    plan: &Plan,
    desired: &Desired,
    outcomes: &[Outcome],
    out: &mut dyn Write,
) -> io::Result<()> {
    let environment = for_environment(&plan.environment);
    if outcomes.is_empty() {
        let heading = paint(BOLD, format!("Nothing to do{environment}."));
        return writeln!(out, "{heading} {}", as_declared(plan));
    }
    let done = Done::of(plan, desired, outcomes);
    let mut project = None;
    for outcome in outcomes.iter().filter(|one| one.status == Status::Done) {
        if project != Some(&outcome.project) {
            let path = value::text(&outcome.project.to_string());
            writeln!(out, "{}", paint(BOLD, path))?;
            project = Some(&outcome.project);
        }
        one(&done, outcome, out)?;
    }
    if project.is_some() {
        writeln!(out)?;
    }
    for outcome in outcomes {
        if let Status::Skipped { reason } = &outcome.status {
            head(&done, outcome, &paint(WARNING, "skipped"), out)?;
            writeln!(out, "  {}", value::text(reason))?;
        }
    }
    if done.skipped > 0 {
        writeln!(out)?;
    }
    for outcome in outcomes {
        if let Status::Failed { message, hint } = &outcome.status {
            head(&done, outcome, &paint(ERROR, "failed"), out)?;
            // What a build printed last is in it.
            for line in message.lines() {
                writeln!(out, "  {}", value::text(line))?;
            }
            if let Some(hint) = hint {
                writeln!(out, "  {} {}", paint(HINT, "hint:"), value::text(hint))?;
            }
            if let Some(link) = &outcome.link {
                writeln!(out, "  {}", value::text(link))?;
            }
        }
    }
    if done.failed > 0 {
        writeln!(out)?;
    }
    let style = if done.left() > 0 { ERROR } else { BOLD };
    let environment = match plan.destroys {
        true => environment.replacen(" for", "", 1),
        false => environment,
    };
    let heading = format!("{}{environment}:", done.heading());
    writeln!(out, "{} {}.", paint(style, heading), done.sum())
}

/// `failed to update load-dn/hourly (projects/news/load_dn)`.
fn head(done: &Done<'_>, outcome: &Outcome, word: &str, out: &mut dyn Write) -> io::Result<()> {
    let action = done.action(&outcome.item);
    let what = value::text(&subject(&outcome.item));
    let project = match outcome.item {
        // A release's name has the project in it.
        Item::Release(_) => String::new(),
        _ => format!(" ({})", value::text(&outcome.project.to_string())),
    };
    writeln!(
        out,
        "{word} to {action} {}{}",
        paint(BOLD, what),
        if project.is_empty() {
            project
        } else {
            paint(DIM, project)
        }
    )
}

fn one(done: &Done<'_>, outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let (style, verb, subject) = match &outcome.item {
        Item::Image(name) => (CREATE, "built   ", name.clone()),
        Item::Release(release) => {
            let amount = done.amount(&release.project);
            (
                DIM,
                "uploaded",
                format!("{}{amount}", release.digest.short()),
            )
        }
        Item::Registration(id) if done.is_create(id) => (CREATE, "created ", id.to_string()),
        Item::Registration(id) => (UPDATE, "updated ", id.to_string()),
        Item::Removal(id) => (REMOVE, "removed ", id.to_string()),
    };
    writeln!(out, "  {}  {}", paint(style, verb), value::text(&subject))?;
    if let (Some(link), Item::Registration(id)) = (&outcome.link, &outcome.item)
        && done.is_create(id)
    {
        writeln!(out, "            {}", paint(DIM, value::text(link)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn rendered(plan: &Plan, failing: bool) -> String {
        let all = sample::outcomes(plan, failing);
        sample::plain(|out| outcomes(plan, &Desired::default(), &all, out))
    }

    #[test]
    fn what_was_done() {
        insta::assert_snapshot!(rendered(&sample::plan(true), false), @r"
        projects/news/load_dn
          uploaded  329214b59301 (8 files, 12.0 KB)
          created   load-dn/backfill
                    http://127.0.0.1:4200/deployments/8
          updated   load-dn/hourly
          updated   load-dn/weekly
        projects/x`</details>|@all\u{1b}[31m
          uploaded  44498e83cc74 (1 file, 1.0 KB)
          created   x```/</details>\n::error::|@all\u{1b}[2J
                    http://127.0.0.1:4200/deployments/29
        projects/old
          removed   old/one

        Deployed for prod: 2 created, 2 updated, 2 unchanged, 1 removed; 2 releases uploaded.
        ");
    }

    #[test]
    fn failures_come_last_with_their_reasons() {
        insta::assert_snapshot!(rendered(&sample::plan(true), true), @r"
        projects/news/load_dn
          uploaded  329214b59301 (8 files, 12.0 KB)
          created   load-dn/backfill
                    http://127.0.0.1:4200/deployments/8
          updated   load-dn/weekly

        skipped to create x```/</details>\n::error::|@all\u{1b}[2J (projects/x`</details>|@all\u{1b}[31m)
          its release is not complete
        skipped to remove old/one (projects/old)
          something else failed; nothing is removed then

        failed to update load-dn/hourly (projects/news/load_dn)
          Prefect at http://127.0.0.1:4200/api: register load-dn/hourly: 422 job_variables violate the pool's schema
        failed to upload projects/x`</details>|@all\u{1b}[31m@44498e83cc74
          upload x.py to x: azure://acme/code: the account refuses the key\u{1b}[2J
          hint: check AZURE_STORAGE_CONNECTION_STRING

        Deployed only in part for prod: 1 created, 1 updated, 2 unchanged, 0 removed; 1 release uploaded; 2 failed, 2 skipped.
        ");
    }

    #[test]
    fn nothing_done_says_so() {
        insta::assert_snapshot!(rendered(&sample::empty_plan(), false), @"Nothing to do for prod. 5 deployments in 3 projects are as the files declare.");
    }
}
