//! What would be done.

use super::escape::{block, code};
use super::{Options, Parts};
use crate::model::Desired;
use crate::plan::{Action, ImagePlan, Plan, ProjectPlan, Upload};
use crate::report::rows::{self, Row, Sign};
use crate::report::{all_diagnostics, as_declared, drift_note, reach, to_do, value, was_in};

/// Blocks of more lines than this are folded.
const FOLD: usize = 24;

/// A plan, with `desired` for the faults of its files: a heading, what it sums up to, the faults, then what changes by
/// project as a diff, and what is or would be removed.
pub fn plan(plan: &Plan, desired: &Desired, options: &Options) -> String {
    let counts = plan.counts();
    let title = match plan.destroys {
        true => "flowyard destroy",
        false => "flowyard plan",
    };
    let mut head = super::heading(title, &plan.environment);
    if plan.is_empty() {
        head += &format!("**No changes.** {}\n", as_declared(plan));
    } else {
        head += &format!("**{}.**\n", to_do(plan));
    }
    if let Some(note) = drift_note(counts.drifted) {
        head += &format!("\n**Drift:** {note}.\n");
    }
    let mut parts = Parts::after(head, options);
    let diagnostics = all_diagnostics(desired, plan);
    if !diagnostics.is_empty() {
        parts.add(&super::listing::faults(&diagnostics));
    }
    if let Some(reached) = reach::of(plan) {
        parts.add(&chains(&reached));
    }
    let images: Vec<String> = plan.images.iter().filter_map(image).collect();
    if !images.is_empty() {
        parts.add(&format!("#### Images\n\n{}", block("diff", &images)));
    }
    if !plan.orphans.is_empty() {
        parts.add(&orphans(plan));
    }
    for one in &plan.projects {
        let changes = one
            .changes
            .iter()
            .any(|change| change.action != Action::Keep);
        if changes || one.upload != Upload::Nothing {
            parts.add(&project(one));
        }
    }
    parts.finish()
}

/// How changes reach the projects of a narrowed run.
fn chains(reached: &reach::Reached) -> String {
    let mut letters = reached.heading.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let heading = first.unwrap_or_default() + letters.as_str();
    if reached.chains.is_empty() {
        return format!("{}\n", code(&heading));
    }
    let chains = block("text", &reached.chains);
    if reached.chains.len() > FOLD {
        let count = value::count(reached.chains.len(), "project");
        return format!(
            "{}\n\n<details><summary>{count}</summary>\n\n{chains}\n</details>\n",
            code(&heading)
        );
    }
    format!("{}\n\n{chains}", code(&heading))
}

/// An image as a line of a diff; `None` where it stays as it is.
fn image(image: &ImagePlan) -> Option<String> {
    let (verb, text) = rows::of_image(image)?;
    let sign = if verb == "build" { '+' } else { '!' };
    Some(format!("{sign} {verb} {text}"))
}

fn project(project: &ProjectPlan) -> String {
    let mut text = format!("#### {}\n\n", code(&project.path.to_string()));
    if let Some(release) = rows::project_code(project) {
        text += &format!("Code {}\n\n", code(&release));
    }
    let mut lines = Vec::new();
    let count = |action| {
        let of = project.changes.iter();
        of.filter(|change| change.action == action).count()
    };
    for change in &project.changes {
        let id = value::escaped(&change.id.to_string());
        let create = match change.action {
            Action::Create => true,
            Action::Update => false,
            Action::Keep => continue,
        };
        lines.push(if create {
            format!("+ create {id}")
        } else {
            format!("! update {id}")
        });
        let mut drift = false;
        for row in rows::of_change(change) {
            if row.drift && !drift {
                drift = true;
                lines.push("!     drift: changed on the server since the last deploy".to_owned());
            }
            diff_lines(&row, create, &mut lines);
        }
        for note in &change.notes {
            lines.push(format!("      note: {}", value::escaped(note)));
        }
    }
    if lines.is_empty() {
        return text;
    }
    let kept = count(Action::Keep);
    if kept > 0 {
        lines.push(format!("  {kept} unchanged"));
    }
    let shown = block("diff", &lines);
    if lines.len() > FOLD {
        let (create, update) = (count(Action::Create), count(Action::Update));
        text += &format!(
            "<details><summary>{create} to create, {update} to update, {kept} unchanged</summary>\n\n{shown}\n</details>\n"
        );
    } else {
        text += &shown;
    }
    text
}

/// A row as lines of a diff: `+` and `-` where something comes or goes, `!` where it changes.
fn diff_lines(row: &Row, create: bool, lines: &mut Vec<String>) {
    let sign = match row.sign {
        Sign::Added => '+',
        Sign::Removed => '-',
        Sign::Plain if create => '+',
        Sign::Plain => '!',
    };
    let indent = if row.drift { 8 } else { 6 };
    for line in row.text(indent).lines() {
        // The second line of a row has its indent already.
        let line = match line.strip_prefix("      ") {
            Some(rest) => format!("{sign}     {rest}"),
            None => format!("{sign}{}{line}", " ".repeat(indent - 1)),
        };
        lines.push(line);
    }
}

fn orphans(plan: &Plan) -> String {
    let mut text = if plan.destroys {
        "#### Registered\n\n".to_owned()
    } else if plan.prune {
        "#### Declared nowhere any more\n\n".to_owned()
    } else {
        "#### Registered, but declared nowhere\n\n`deploy --prune` removes them.\n\n".to_owned()
    };
    let sign = if plan.prune { "- remove " } else { "  " };
    let lines: Vec<String> = plan
        .orphans
        .iter()
        .map(|orphan| {
            let line = format!("{sign}{} ({} {})", orphan.id, was_in(plan), orphan.project);
            value::escaped(&line)
        })
        .collect();
    text += &block("diff", &lines);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_plan_with_something_of_everything() {
        let mut desired = sample::desired();
        desired.diagnostics = sample::diagnostics();
        insta::assert_snapshot!(plan(&sample::plan(true), &desired, &Options::default()), @r#"
        ### flowyard plan for `prod`

        **2 to create, 2 to update, 2 unchanged, 1 to remove; 2 releases to upload (9 files, 13.0 KB).**

        **Drift:** 2 values were changed on the server since the last deploy; deploying sets them back.

        **2 errors, 1 warning in 2 files**

        ```text
        projects/a/daily.deployment.yaml:2:1: error: unknown key `schedle`
          hint: did you mean `schedules`?
        projects/a/daily.deployment.yaml:4:9: error: `load-dn/daily` is declared twice
          projects/b/x.deployment.yaml:3:7: first declared here
        projects/c: warning: no requirements\u{1b}[2J\nfile
        ```

        #### Declared nowhere any more

        ```diff
        - remove old/one (was in projects/old)
        ```

        #### `projects/news/load_dn`

        Code `a0ad7d2f04fb -> 329214b59301 (upload 8 files, 12.0 KB)`

        <details><summary>1 to create, 2 to update, 0 unchanged</summary>

        ```diff
        + create load-dn/backfill
        +     entrypoint: "load.py:load_dn"
        +     tags: ["backfill", "news"]
        +     parameters.limit: 10000
        +     parameters.since: "2024-01-01"
        +     work_pool_name: "kubernetes"
        +     work_queue_name: "low"
        +     concurrency_limit: 1
        +     collision_strategy: "CANCEL_NEW"
        +     schedule nightly: cron "0 4 * * *" Europe/Oslo
        +     schedule often: every 1h30m UTC from 2024-01-01T00:00:00+00:00 (paused)
              note: the entrypoint counts from the repository's root
        ! update load-dn/hourly
        !     code: a0ad7d2f04fb -> 329214b59301
        !     parameters.limit: 50 -> 80
        !     parameters.query: …t select select a" -> …t select select b"
        +     work_queue_name: "high"
        -     job_variables.env.DSN: (hidden)
        !     job_variables.env.TOKEN: (hidden) -> "{{ $DN_TOKEN }}"
        +     parameter day: date or null = null
        !     parameter limit, default: 50 -> 80
        -     parameter old: string
        +     parameter source: array of string, required
        -     schedule hourly: every 1h UTC from 2024-01-01T00:00:00+00:00
        !     schedules.nightly.cron: "0 4 * * *" -> "0 5 * * *"
        +     schedule weekly: rrule "FREQ=WEEKLY;BYDAY=MO" from 20250106T070000 Europe/Oslo with limit=5
        !     drift: changed on the server since the last deploy
        !       tags: ["manual", "news"] -> ["news"]
        !       work_pool_name: "laptop" -> "kubernetes"
        ! update load-dn/weekly
        !     code: a0ad7d2f04fb -> 329214b59301
        ```

        </details>

        #### ``projects/x`</details>|@all\u{1b}[31m``

        Code `44498e83cc74 (upload 1 file, 1.0 KB)`

        ````diff
        + create x```/</details>\n::error::|@all\u{1b}[2J
        +     entrypoint: "x.py:main"
        +     description: "```\n</details> <img src=x> @everyone | `a` \u{1b}]0;t\u{7}\u{202e}x"
        ````
        "#);
    }

    #[test]
    fn a_narrowed_plan_tells_how_changes_reach_its_projects() {
        let mut of = sample::narrowed_plan();
        let render = |of: &Plan| plan(of, &Desired::default(), &Options::default());
        insta::assert_snapshot!(render(&of), @r#"
        ### flowyard plan for `prod`

        **No changes.** 4 deployments in 2 projects are as the files declare.

        `Reached by the changes since 0123456789ab (main before this push)`

        ```text
        projects/news/load_dn ← lib/rss.py ← lib/http.py
        projects/warehouse/dbt ← odd\n::error::x/`a`.py
        ```
        "#);
        of.since = sample::everything();
        insta::assert_snapshot!(render(&of), @r#"
        ### flowyard plan for `prod`

        **No changes.** 4 deployments in 2 projects are as the files declare.

        `Everything counts as changed: this is the first push of its branch`
        "#);
    }

    #[test]
    fn nothing_to_do_is_one_line() {
        let text = plan(
            &sample::empty_plan(),
            &Desired::default(),
            &Options::default(),
        );
        insta::assert_snapshot!(text, @"
        ### flowyard plan for `prod`

        **No changes.** 5 deployments in 3 projects are as the files declare.
        ");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let (of, desired) = (sample::plan(false), sample::desired());
        let whole = plan(&of, &desired, &Options::default());
        for limit in (500..whole.len() + 400).step_by(50) {
            let options = Options { limit: Some(limit) };
            let text = plan(&of, &desired, &options);
            assert!(text.len() <= limit, "{limit}: {text}");
            let fences = text.lines().filter(|line| line.starts_with("```")).count();
            assert_eq!(fences % 2, 0, "{limit}: {text}");
            let tags = ["<details>", "</details>\n"].map(|tag| text.matches(tag).count());
            assert_eq!(tags[0], tags[1], "{limit}: {text}");
            assert!(text == whole || text.contains("too long to show here"));
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let text = plan(&sample::plan(true), &sample::desired(), &Options::default());
        assert!(
            text.contains("{{ $DN_TOKEN }}") && !text.contains("-secret"),
            "{text}"
        );
    }
}
