//! What would be done.

use std::io::{self, Write};

use crate::plan::{Action, Change, ImageAction, ImagePlan, Plan, ProjectPlan, Upload};
use crate::report::rows::{self, Row, Sign};
use crate::report::style::{BOLD, CREATE, DIM, DRIFT, REMOVE, UPDATE, paint};
use crate::report::{
    Options, as_declared, drift_note, for_environment, reach, to_do, value, was_in,
};

/// Writes a plan: how changes reach the projects of a narrowed run, what changes by project and deployment, field by field, what is or would be removed, and one line
/// that sums it up. The plan's diagnostics are not in it; see [`all_diagnostics`](crate::report::all_diagnostics).
pub fn plan(plan: &Plan, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    reached(plan, out)?;
    images(plan, options, out)?;
    for one in &plan.projects {
        if !options.verbose && !changes(one) {
            continue;
        }
        project(one, options, out)?;
        writeln!(out)?;
    }
    if !plan.orphans.is_empty() {
        orphans(plan, out)?;
        writeln!(out)?;
    }
    summary(plan, out)
}

fn reached(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let Some(reached) = reach::of(plan) else {
        return Ok(());
    };
    writeln!(out, "{}", paint(BOLD, reached.heading))?;
    for chain in &reached.chains {
        writeln!(out, "  {chain}")?;
    }
    writeln!(out)
}

fn images(plan: &Plan, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let told = |image: &&ImagePlan| options.verbose || image.action != ImageAction::Keep;
    let mut images = plan.images.iter().filter(told).peekable();
    if images.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "{}", paint(BOLD, "images"))?;
    for image in images {
        match rows::of_image(image) {
            Some((verb @ "build", text)) => {
                writeln!(out, "  {} {text}", paint(CREATE, format!("+ {verb}")))?;
            }
            Some((verb, text)) => writeln!(out, "  {} {text}", paint(UPDATE, format!("~ {verb}")))?,
            None => {
                let text = value::text(&image.repository);
                writeln!(out, "    {}", paint(DIM, format!("keep  {text}")))?;
            }
        }
    }
    writeln!(out)
}

/// Whether there is anything to tell of a project.
fn changes(project: &ProjectPlan) -> bool {
    project.upload != Upload::Nothing
        || project
            .changes
            .iter()
            .any(|change| change.action != Action::Keep)
}

fn project(project: &ProjectPlan, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let path = value::text(&project.path.to_string());
    writeln!(out, "{}", paint(BOLD, path))?;
    if let Some(code) = rows::project_code(project) {
        writeln!(out, "  code: {code}")?;
    }
    let mut kept = 0;
    for change in &project.changes {
        let id = value::text(&change.id.to_string());
        match change.action {
            Action::Create => {
                writeln!(out, "  {} {}", paint(CREATE, "+ create"), paint(BOLD, id))?;
                fields(change, out)?;
            }
            Action::Update => {
                writeln!(out, "  {} {}", paint(UPDATE, "~ update"), paint(BOLD, id))?;
                fields(change, out)?;
            }
            Action::Keep if options.verbose => {
                writeln!(out, "    {}", paint(DIM, format!("keep   {id}")))?;
            }
            Action::Keep => kept += 1,
        }
    }
    if kept > 0 {
        writeln!(out, "    {}", paint(DIM, format!("{kept} unchanged")))?;
    }
    Ok(())
}

fn fields(change: &Change, out: &mut dyn Write) -> io::Result<()> {
    let mut drift = false;
    for row in rows::of_change(change) {
        if row.drift && !drift {
            drift = true;
            let words = "drift: changed on the server since the last deploy";
            writeln!(out, "      {}", paint(DRIFT, words))?;
        }
        line(&row, out)?;
    }
    for note in &change.notes {
        let note = value::text(note);
        writeln!(out, "      {}", paint(DIM, format!("note: {note}")))?;
    }
    Ok(())
}

fn line(row: &Row, out: &mut dyn Write) -> io::Result<()> {
    let indent = if row.drift { 8 } else { 6 };
    let margin = " ".repeat(indent - 2);
    let text = row.text(indent);
    match row.sign {
        Sign::Added => writeln!(out, "{margin}{} {text}", paint(CREATE, "+")),
        Sign::Removed => writeln!(out, "{margin}{} {text}", paint(REMOVE, "-")),
        Sign::Plain => writeln!(out, "{margin}  {text}"),
    }
}

fn orphans(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let heading = if plan.destroys {
        "registered"
    } else if plan.prune {
        "declared nowhere any more"
    } else {
        "registered, but declared nowhere (deploy --prune removes them)"
    };
    writeln!(out, "{}", paint(BOLD, heading))?;
    for orphan in &plan.orphans {
        let id = value::text(&orphan.id.to_string());
        let project = value::text(&orphan.project.to_string());
        let from = paint(DIM, format!("({} {project})", was_in(plan)));
        if plan.prune {
            writeln!(
                out,
                "  {} {} {from}",
                paint(REMOVE, "- remove"),
                paint(BOLD, id)
            )?;
        } else {
            writeln!(out, "    {id} {from}")?;
        }
    }
    Ok(())
}

fn summary(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let counts = plan.counts();
    let environment = for_environment(&plan.environment);
    if !plan.is_empty() {
        let heading = paint(BOLD, format!("Plan{environment}:"));
        writeln!(out, "{heading} {}.", to_do(plan))?;
    } else {
        let heading = paint(BOLD, format!("No changes{environment}."));
        writeln!(out, "{heading} {}", as_declared(plan))?;
    }
    if let Some(note) = drift_note(counts.drifted) {
        writeln!(out, "{} {note}.", paint(DRIFT, "Drift:"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn rendered(of: &Plan, verbose: bool) -> String {
        sample::plain(|out| plan(of, &Options { verbose }, out))
    }

    #[test]
    fn a_plan_with_something_of_everything() {
        insta::assert_snapshot!(rendered(&sample::plan(true), false), @r#"
        projects/news/load_dn
          code: a0ad7d2f04fb -> 329214b59301 (upload 8 files, 12.0 KB)
          + create load-dn/backfill
              entrypoint: "load.py:load_dn"
              tags: ["backfill", "news"]
              parameters.limit: 10000
              parameters.since: "2024-01-01"
              work_pool_name: "kubernetes"
              work_queue_name: "low"
              concurrency_limit: 1
              collision_strategy: "CANCEL_NEW"
              schedule nightly: cron "0 4 * * *" Europe/Oslo
              schedule often: every 1h30m UTC from 2024-01-01T00:00:00+00:00 (paused)
              note: the entrypoint counts from the repository's root
          ~ update load-dn/hourly
              code: a0ad7d2f04fb -> 329214b59301
              parameters.limit: 50 -> 80
              parameters.query: …t select select a" -> …t select select b"
            + work_queue_name: "high"
            - job_variables.env.DSN: (hidden)
              job_variables.env.TOKEN: (hidden) -> "{{ $DN_TOKEN }}"
            + parameter day: date or null = null
              parameter limit, default: 50 -> 80
            - parameter old: string
            + parameter source: array of string, required
            - schedule hourly: every 1h UTC from 2024-01-01T00:00:00+00:00
              schedules.nightly.cron: "0 4 * * *" -> "0 5 * * *"
            + schedule weekly: rrule "FREQ=WEEKLY;BYDAY=MO" from 20250106T070000 Europe/Oslo with limit=5
              drift: changed on the server since the last deploy
                tags: ["manual", "news"] -> ["news"]
                work_pool_name: "laptop" -> "kubernetes"
          ~ update load-dn/weekly
              code: a0ad7d2f04fb -> 329214b59301

        projects/x`</details>|@all\u{1b}[31m
          code: 44498e83cc74 (upload 1 file, 1.0 KB)
          + create x```/</details>\n::error::|@all\u{1b}[2J
              entrypoint: "x.py:main"
              description: "```\n</details> <img src=x> @everyone | `a` \u{1b}]0;t\u{7}\u{202e}x"

        declared nowhere any more
          - remove old/one (was in projects/old)

        Plan for prod: 2 to create, 2 to update, 2 unchanged, 1 to remove; 2 releases to upload (9 files, 13.0 KB).
        Drift: 2 values were changed on the server since the last deploy; deploying sets them back.
        "#);
    }

    #[test]
    fn without_pruning_orphans_are_a_note() {
        let shown = rendered(&sample::plan(false), false);
        let (_, end) = shown
            .rsplit_once("\n\nregistered")
            .expect("the note is there");
        insta::assert_snapshot!(end, @"
        , but declared nowhere (deploy --prune removes them)
            old/one (was in projects/old)

        Plan for prod: 2 to create, 2 to update, 2 unchanged, 0 to remove; 2 releases to upload (9 files, 13.0 KB).
        Drift: 2 values were changed on the server since the last deploy; deploying sets them back.
        ");
    }

    #[test]
    fn nothing_to_do_is_one_line() {
        insta::assert_snapshot!(rendered(&sample::empty_plan(), false), @"No changes for prod. 5 deployments in 3 projects are as the files declare.");
        insta::assert_snapshot!(rendered(&Plan::default(), false), @"No changes. No deployment is in scope.");
        insta::assert_snapshot!(rendered(&sample::empty_plan(), true), @"
        projects/news/load_dn
            keep   load-dn/hourly
            keep   load-dn/weekly

        projects/warehouse/dbt
            keep   dbt/a
            keep   dbt/b

        projects/old
            keep   old/one

        No changes for prod. 5 deployments in 3 projects are as the files declare.
        ");
    }

    #[test]
    fn a_narrowed_plan_tells_how_changes_reach_its_projects() {
        let mut of = sample::narrowed_plan();
        insta::assert_snapshot!(rendered(&of, false), @r#"
        reached by the changes since 0123456789ab (main before this push)
          projects/news/load_dn ← lib/rss.py ← lib/http.py
          projects/warehouse/dbt ← odd\n::error::x/`a`.py

        No changes for prod. 4 deployments in 2 projects are as the files declare.
        "#);
        of.projects.clear();
        insta::assert_snapshot!(rendered(&of, false), @r#"
        no project is reached by the changes since 0123456789ab (main before this push)

        No changes for prod. No deployment is in scope.
        "#);
        of.since = sample::everything();
        insta::assert_snapshot!(rendered(&of, false), @r#"
        everything counts as changed: this is the first push of its branch

        No changes for prod. No deployment is in scope.
        "#);
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = rendered(&sample::plan(true), true);
        assert!(shown.contains("{{ $DN_TOKEN }}"), "{shown}");
        assert!(!shown.contains("-secret"), "{shown}");
    }
}
