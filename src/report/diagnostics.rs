//! Faults, each with its place, what to do, and the line that it is about.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::style::{BOLD, DIM, ERROR, HINT, WARNING, paint};
use super::value;
use crate::model::{Diagnostic, Place, RepoPath, Severity};

/// How many columns of a source line are shown.
const EXCERPT: usize = 100;

/// Columns of a tab in an excerpt.
const TAB: &str = "    ";

/// Gives the text of a file of the repository, for excerpts; `None` where there is none to show.
pub type Source<'a> = dyn Fn(&RepoPath) -> Option<String> + 'a;

/// Writes the faults in the order given, and how many they are; nothing at all where there are none.
pub fn render(all: &[Diagnostic], source: &Source<'_>, out: &mut dyn Write) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    // Diagnostics come sorted by place: one file's text is asked for once.
    let mut last: Option<(&RepoPath, Option<String>)> = None;
    for diagnostic in all {
        let (style, word) = match diagnostic.severity {
            Severity::Error => (ERROR, "error"),
            Severity::Warning => (WARNING, "warning"),
        };
        let place = &diagnostic.place;
        writeln!(
            out,
            "{}: {}: {}",
            paint(BOLD, value::text(&place.to_string())),
            paint(style, word),
            value::text(&diagnostic.message)
        )?;
        if place.line > 0 {
            if last.as_ref().is_none_or(|(path, _)| *path != &place.path) {
                last = Some((&place.path, source(&place.path)));
            }
            if let Some((_, Some(text))) = &last {
                excerpt(text, place, style, out)?;
            }
        }
        if let Some(hint) = &diagnostic.hint {
            writeln!(out, "  {} {}", paint(HINT, "hint:"), value::text(hint))?;
        }
        for (place, role) in &diagnostic.related {
            let place = value::text(&place.to_string());
            writeln!(out, "  {place}: {}", value::text(role))?;
        }
    }
    writeln!(out, "{}", sum(all))
}

/// `2 errors, 1 warning in 2 files`; what there is none of is left out.
pub fn sum(all: &[Diagnostic]) -> String {
    let errors = all.iter().filter(|one| one.is_error()).count();
    let warnings = all.len() - errors;
    let files: BTreeSet<_> = all.iter().map(|one| &one.place.path).collect();
    let mut counts = Vec::new();
    if errors > 0 || warnings == 0 {
        counts.push(value::count(errors, "error"));
    }
    if warnings > 0 {
        counts.push(value::count(warnings, "warning"));
    }
    format!(
        "{} in {}",
        counts.join(", "),
        value::count(files.len(), "file")
    )
}

/// The line that a place is in, with a caret under its column.
fn excerpt(
    text: &str,
    place: &Place,
    style: anstyle::Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (Ok(line), Ok(column)) = (usize::try_from(place.line), usize::try_from(place.column))
    else {
        return Ok(());
    };
    let Some(line) = text.lines().nth(line.saturating_sub(1)) else {
        return Ok(());
    };
    let shown = |part: &str| {
        part.split('\t')
            .map(value::escaped)
            .collect::<Vec<_>>()
            .join(TAB)
    };
    let at = line
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(line.len(), |(at, _)| at);
    let (mut before, mut after) = (shown(&line[..at]), shown(&line[at..]));
    if before.trim().is_empty() && after.trim().is_empty() {
        return Ok(());
    }
    if value::width(&before) > EXCERPT / 2 {
        before = format!("…{}", value::end_of(&before, EXCERPT / 2));
    }
    let room = EXCERPT - value::width(&before);
    if value::width(&after) > room {
        after = format!("{}…", value::start_of(&after, room));
    }
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let bar = paint(DIM, "|");
    writeln!(out, "  {} {bar} {before}{after}", paint(DIM, &number))?;
    if column > 0 {
        let indent = " ".repeat(value::width(&before));
        writeln!(out, "  {gutter} {bar} {indent}{}", paint(style, "^"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn rendered(all: &[Diagnostic], text: Option<&str>) -> String {
        sample::plain(|out| render(all, &|_| text.map(str::to_owned), out))
    }

    #[test]
    fn every_fault_has_place_line_and_hint() {
        let text = "name: daily\nschedle: nightly\n\n\tflow: 日本 load-dn\n";
        insta::assert_snapshot!(rendered(&sample::diagnostics(), Some(text)), @r"
        projects/a/daily.deployment.yaml:2:1: error: unknown key `schedle`
          2 | schedle: nightly
            | ^
          hint: did you mean `schedules`?
        projects/a/daily.deployment.yaml:4:9: error: `load-dn/daily` is declared twice
          4 |     flow: 日本 load-dn
            |             ^
          projects/b/x.deployment.yaml:3:7: first declared here
        projects/c: warning: no requirements\u{1b}[2J\nfile
        2 errors, 1 warning in 2 files
        ");
    }

    #[test]
    fn nothing_is_written_of_nothing() {
        assert_eq!(rendered(&[], None), "");
    }

    #[test]
    fn a_caret_stands_under_its_column() {
        let at = |column| {
            let place = Place::at(RepoPath::new("x.yaml"), 1, column);
            vec![Diagnostic::error(place, "here")]
        };
        let wide = "日本\u{1b}[2J: x";
        insta::assert_snapshot!(rendered(&at(7), Some(wide)), @r"
        x.yaml:1:7: error: here
          1 | 日本\u{1b}[2J: x
            |              ^
        1 error in 1 file
        ");
        let long = format!("{}HERE{}", "x".repeat(500), "y".repeat(500));
        insta::assert_snapshot!(rendered(&at(501), Some(&long)), @"
        x.yaml:1:501: error: here
          1 | …xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxHEREyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…
            |                                                    ^
        1 error in 1 file
        ");
        // The end of the line, and places that are not there (the file changed meanwhile).
        insta::assert_snapshot!(rendered(&at(4), Some("abc")), @"
        x.yaml:1:4: error: here
          1 | abc
            |    ^
        1 error in 1 file
        ");
        assert_eq!(rendered(&at(1), Some("")).lines().count(), 2);
        assert_eq!(rendered(&at(9), Some("abc")).lines().count(), 4);
    }
}
