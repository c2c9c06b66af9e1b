//! What is registered.

use std::io::{self, Write};

use super::WIDEST;
use crate::model::{DeploymentId, Field, Live, LiveDeployment};
use crate::report::style::{BOLD, DIM, WARNING, paint};
use crate::report::{registered, schedule, value};

/// Writes what the orchestrator holds of `deployments`: version, release, work pool and schedules of each, and which of
/// them are not registered. Parameters are left out: they may hold what came from a secret.
pub fn status(live: &Live, deployments: &[DeploymentId], out: &mut dyn Write) -> io::Result<()> {
    let mut found: Vec<(&DeploymentId, &LiveDeployment)> = Vec::new();
    let mut absent = Vec::new();
    for id in deployments {
        match live.deployments.get(id) {
            Some(one) => found.push((id, one)),
            None => absent.push(id),
        }
    }
    let rows: Vec<[String; 4]> = found.iter().map(|(id, one)| columns(id, one)).collect();
    let titles = ["DEPLOYMENT", "VERSION", "RELEASE", "WORK POOL"].map(str::to_owned);
    let mut widths = titles.clone().map(|title| title.len());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = value::width(cell).min(WIDEST).max(*width);
        }
    }
    if !rows.is_empty() {
        let cells: Vec<String> = titles
            .iter()
            .zip(&widths)
            .map(|(title, width)| value::pad(title, *width))
            .collect();
        let line = format!("  {}  SCHEDULES", cells.join("  "));
        writeln!(out, "{}", paint(DIM, line))?;
    }
    for ((_, one), row) in found.iter().zip(&rows) {
        let schedules = registered::schedules(one);
        super::row(row, &widths, &schedule::lines(schedules.as_ref()), out)?;
    }
    for id in &absent {
        let id = value::text(&id.to_string());
        writeln!(out, "  {id}  {}", paint(WARNING, "not registered"))?;
    }
    if !deployments.is_empty() {
        writeln!(out)?;
    }
    let count = paint(BOLD, format!("{} registered", found.len()));
    if absent.is_empty() {
        writeln!(out, "{count}.")
    } else {
        writeln!(out, "{count}, {} not.", absent.len())
    }
}

fn columns(id: &DeploymentId, live: &LiveDeployment) -> [String; 4] {
    let text = |field| {
        registered::text(live, field).map_or_else(
            || "-".to_owned(),
            |text| value::cut(&value::text(&text), 40),
        )
    };
    let mark = if registered::is_paused(live) {
        " (paused)"
    } else {
        ""
    };
    let release = registered::release(live)
        .map_or_else(|| "not ours".to_owned(), |release| release.digest.short());
    [
        format!("{}{mark}", value::text(&id.to_string())),
        text(Field::Version),
        release,
        text(Field::WorkPool),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_is_registered_in_columns() {
        let mut live = sample::live();
        let hourly = sample::id("load-dn/hourly");
        let one = sample::registered(&mut live, &hourly);
        one.fields.insert(Field::Paused, true.into());
        let foreign = sample::registered(&mut live, &sample::id("dbt/b"));
        foreign.fields.remove(&Field::Code);
        let ids = [
            "dbt/b",
            "load-dn/backfill",
            "load-dn/hourly",
            "load-dn/weekly",
        ]
        .map(sample::id);
        insta::assert_snapshot!(sample::plain(|out| status(&live, &ids, out)), @r#"
          DEPLOYMENT               VERSION       RELEASE       WORK POOL   SCHEDULES
          dbt/b                    06621a129c19  not ours      kubernetes  not scheduled
          load-dn/hourly (paused)  a0ad7d2f04fb  a0ad7d2f04fb  laptop      hourly: every 1h UTC from 2024-01-01T00:00:00+00:00
                                                                           nightly: cron "0 4 * * *" Europe/Oslo
          load-dn/weekly           a0ad7d2f04fb  a0ad7d2f04fb  -           not scheduled
          load-dn/backfill  not registered

        3 registered, 1 not.
        "#);
        insta::assert_snapshot!(sample::plain(|out| status(&live, &[], out)), @"0 registered.");
    }

    #[test]
    fn parameters_of_schedules_are_left_out() {
        let mut live = sample::live();
        let id = sample::id("load-dn/hourly");
        let one = sample::registered(&mut live, &id);
        let schedules =
            serde_json::json!({"a": {"cron": "0 4 * * *", "parameters": {"token": "s3cr3t"}}});
        one.fields.insert(Field::Schedules, schedules);
        let shown = sample::plain(|out| status(&live, &[id], out));
        assert!(
            shown.contains("a: cron") && !shown.contains("s3cr3t"),
            "{shown}"
        );
    }
}
