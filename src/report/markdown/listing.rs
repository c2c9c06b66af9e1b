//! What git declares, what is wrong with it, and what is registered.

use super::escape::{block, code};
use super::{Options, Parts};
use crate::model::{DeploymentId, Desired, Diagnostic, Field, Live};
use crate::report::{diagnostics, registered, schedule, shown, size_of, value};

/// The projects with their requirements, and their deployments with entrypoint, work pool and schedules.
pub fn list(desired: &Desired) -> String {
    let mut text = format!("### flowyard list\n\n**{}**\n", size_of(desired));
    for project in &desired.projects {
        text += &format!("\n#### {}\n\n", code(&project.path.to_string()));
        text += &match &project.requirements {
            Some(file) => format!("Requirements: {}\n", code(&file.to_string())),
            None => "No requirements file.\n".to_owned(),
        };
        if project.faulty {
            text += "\n**Not all of it could be read.**\n";
        }
        text.push('\n');
        for deployment in &project.deployments {
            text += &format!("- {}", code(&deployment.id.to_string()));
            for (word, field) in [("", Field::Entrypoint), ("work pool ", Field::WorkPool)] {
                let value = shown::declared(deployment, field);
                if let Some(name) = value.as_ref().and_then(|value| value.as_str()) {
                    text += &format!(" · {word}{}", code(&value::cut(name, value::WIDTH)));
                }
            }
            text.push('\n');
            let schedules = shown::declared(deployment, Field::Schedules);
            for line in schedule::lines(schedules.as_ref()) {
                text += &format!("  - {}\n", code(&line));
            }
        }
    }
    if !desired.diagnostics.is_empty() {
        text.push('\n');
        text += &faults(&desired.diagnostics);
    }
    text
}

/// The faults, or that there is none.
pub fn check(desired: &Desired, all: &[Diagnostic], options: &Options) -> String {
    let head = "### flowyard check\n";
    if all.is_empty() {
        return format!("{head}\nNo faults in {}.\n", size_of(desired));
    }
    let mut parts = Parts::after(head.to_owned(), options);
    parts.add(&faults(all));
    parts.finish()
}

/// How many faults there are, and each with its place and hint in one block.
pub(super) fn faults(all: &[Diagnostic]) -> String {
    let mut lines = Vec::new();
    for one in all {
        let word = if one.is_error() { "error" } else { "warning" };
        let line = format!("{}: {word}: {}", one.place, one.message);
        lines.push(value::text(&line));
        if let Some(hint) = &one.hint {
            lines.push(value::escaped(&format!("  hint: {hint}")));
        }
        for (place, role) in &one.related {
            lines.push(value::escaped(&format!("  {place}: {role}")));
        }
    }
    format!("**{}**\n\n{}", diagnostics::sum(all), block("text", &lines))
}

/// What the orchestrator holds of `deployments`, without parameters.
pub fn status(live: &Live, deployments: &[DeploymentId]) -> String {
    let mut text = "### flowyard status\n\n".to_owned();
    let mut count = 0;
    for id in deployments {
        let name = code(&id.to_string());
        let Some(one) = live.deployments.get(id) else {
            text += &format!("- {name} · **not registered**\n");
            continue;
        };
        count += 1;
        text += &format!("- {name}");
        if registered::is_paused(one) {
            text += " · **paused**";
        }
        text += &match registered::release(one) {
            Some(release) => format!(" · release {}", code(&release.digest.short())),
            None => " · not our release".to_owned(),
        };
        for (word, field) in [("version", Field::Version), ("work pool", Field::WorkPool)] {
            if let Some(name) = registered::text(one, field) {
                text += &format!(" · {word} {}", code(&value::cut(&name, value::WIDTH)));
            }
        }
        text.push('\n');
        for line in schedule::lines(registered::schedules(one).as_ref()) {
            text += &format!("  - {}\n", code(&line));
        }
    }
    if !deployments.is_empty() {
        text.push('\n');
    }
    text + &format!(
        "**{count} registered**, {} not.\n",
        deployments.len() - count
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn projects_and_deployments() {
        insta::assert_snapshot!(list(&sample::desired()), @r#"
        ### flowyard list

        **6 deployments in 3 projects**

        #### `projects/news/load_dn`

        Requirements: `projects/news/load_dn/requirements.txt`

        - `load-dn/backfill` · `load.py:load_dn` · work pool `kubernetes`
          - `nightly: cron "0 4 * * *" Europe/Oslo`
          - `often: every 1h30m UTC from 2024-01-01T00:00:00+00:00 (paused)`
        - `load-dn/hourly` · `load.py:load_dn` · work pool `kubernetes`
          - `nightly: cron "0 5 * * *" Europe/Oslo`
          - `weekly: rrule "FREQ=WEEKLY;BYDAY=MO" from 20250106T070000 Europe/Oslo with limit=5`
        - `load-dn/weekly` · `load.py:load_dn`

        #### `projects/warehouse/dbt`

        Requirements: `projects/warehouse/dbt/requirements.txt`

        - `dbt/a` · `dbt.py:run` · work pool `kubernetes`
        - `dbt/b` · `dbt.py:run` · work pool `kubernetes`

        #### ``projects/x`</details>|@all\u{1b}[31m``

        Requirements: ``projects/x`</details>|@all\u{1b}[31m/requirements.txt``

        - ````x```/</details>\n::error::|@all\u{1b}[2J```` · `x.py:main`
        "#);
    }

    #[test]
    fn faults_stand_in_a_block() {
        insta::assert_snapshot!(check(&sample::desired(), &sample::diagnostics(), &Options::default()), @r"
        ### flowyard check

        **2 errors, 1 warning in 2 files**

        ```text
        projects/a/daily.deployment.yaml:2:1: error: unknown key `schedle`
          hint: did you mean `schedules`?
        projects/a/daily.deployment.yaml:4:9: error: `load-dn/daily` is declared twice
          projects/b/x.deployment.yaml:3:7: first declared here
        projects/c: warning: no requirements\u{1b}[2J\nfile
        ```
        ");
        insta::assert_snapshot!(check(&sample::desired(), &[], &Options::default()), @"
        ### flowyard check

        No faults in 6 deployments in 3 projects.
        ");
    }

    #[test]
    fn what_is_registered() {
        let ids = ["load-dn/backfill", "load-dn/hourly"].map(sample::id);
        insta::assert_snapshot!(status(&sample::live(), &ids), @r#"
        ### flowyard status

        - `load-dn/backfill` · **not registered**
        - `load-dn/hourly` · release `a0ad7d2f04fb` · version `a0ad7d2f04fb` · work pool `laptop`
          - `hourly: every 1h UTC from 2024-01-01T00:00:00+00:00`
          - `nightly: cron "0 4 * * *" Europe/Oslo`

        **1 registered**, 1 not.
        "#);
    }
}
