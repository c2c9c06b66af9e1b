//! What git declares.

use std::io::{self, Write};

use serde_json::Value;

use super::WIDEST;
use crate::model::{Deployment, Desired, Field, Project};
use crate::report::style::{BOLD, DIM, WARNING, paint};
use crate::report::{schedule, shown, size_of, value};

/// Writes the projects with their requirements, and their deployments with entrypoint, work pool and schedules. The
/// diagnostics are not in it.
pub fn list(desired: &Desired, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Vec<[String; 3]>> = desired
        .projects
        .iter()
        .map(|project| project.deployments.iter().map(columns).collect())
        .collect();
    let widest = |column: usize| {
        let cells = rows.iter().flatten().map(|row| value::width(&row[column]));
        // One very long name must not push everything else out of sight.
        cells.max().unwrap_or(0).min(WIDEST)
    };
    let widths = [widest(0), widest(1), widest(2)];
    for (project, rows) in desired.projects.iter().zip(&rows) {
        heading(project, out)?;
        for (deployment, row) in project.deployments.iter().zip(rows) {
            let schedules = schedule::lines(shown::declared(deployment, Field::Schedules).as_ref());
            super::row(row, &widths, &schedules, out)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{}.", size_of(desired))
}

fn heading(project: &Project, out: &mut dyn Write) -> io::Result<()> {
    let path = value::text(&project.path.to_string());
    let requirements = match &project.requirements {
        Some(file) => format!("requirements: {}", value::text(&file.to_string())),
        None => "no requirements file".to_owned(),
    };
    write!(out, "{}  {}", paint(BOLD, path), paint(DIM, requirements))?;
    if project.faulty {
        write!(out, "  {}", paint(WARNING, "(not all of it could be read)"))?;
    }
    writeln!(out)
}

fn columns(deployment: &Deployment) -> [String; 3] {
    let text = |field| match shown::declared(deployment, field) {
        Some(Value::String(text)) => value::cut(&value::text(&text), value::WIDTH),
        _ => "-".to_owned(),
    };
    let paused = shown::declared(deployment, Field::Paused) == Some(Value::Bool(true));
    let mark = if paused { " (paused)" } else { "" };
    let id = value::text(&deployment.id.to_string());
    [
        format!("{id}{mark}"),
        text(Field::Entrypoint),
        text(Field::WorkPool),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn projects_and_deployments_in_columns() {
        insta::assert_snapshot!(sample::plain(|out| list(&sample::desired(), out)), @r#"
    projects/news/load_dn  requirements: projects/news/load_dn/requirements.txt
      load-dn/backfill                          load.py:load_dn  kubernetes  nightly: cron "0 4 * * *" Europe/Oslo
                                                                             often: every 1h30m UTC from 2024-01-01T00:00:00+00:00 (paused)
      load-dn/hourly                            load.py:load_dn  kubernetes  nightly: cron "0 5 * * *" Europe/Oslo
                                                                             weekly: rrule "FREQ=WEEKLY;BYDAY=MO" from 20250106T070000 Europe/Oslo with limit=5
      load-dn/weekly                            load.py:load_dn  -           not scheduled

    projects/warehouse/dbt  requirements: projects/warehouse/dbt/requirements.txt
      dbt/a                                     dbt.py:run       kubernetes  not scheduled
      dbt/b                                     dbt.py:run       kubernetes  not scheduled

    projects/x`</details>|@all\u{1b}[31m  requirements: projects/x`</details>|@all\u{1b}[31m/requirements.txt
      x```/</details>\n::error::|@all\u{1b}[2J  x.py:main        -           not scheduled

    6 deployments in 3 projects.
    "#);
        insta::assert_snapshot!(sample::plain(|out| list(&Desired::default(), out)), @"0 deployments in 0 projects.");
    }
}
