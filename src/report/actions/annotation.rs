//! Faults on the very lines of the files that hold them.

use super::command::command;
use crate::model::{Diagnostic, RepoPath};
use crate::report::value;

/// How many annotations of one kind a step may make; what is beyond is dropped without a word.
const MOST: usize = 10;

/// How long a message may be, in characters; GitHub cuts it after 4,096 bytes.
const LONGEST: usize = 1_000;

/// Takes out of a text what nobody may read.
type Redact<'a> = dyn Fn(&str) -> String + 'a;

/// The commands that annotate faults, one a line, in the order given, errors first; all of them, or the first nine of a
/// kind and how many more there are. `folder` is where the files' root is in the repository's checkout; `redact` goes over
/// each text before it is cut, as half of a secret would not be found any more.
pub fn annotations(all: &[Diagnostic], folder: &RepoPath, redact: &Redact<'_>) -> Vec<String> {
    let (errors, warnings): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.is_error());
    let mut lines = of_kind("error", &errors, folder, redact);
    lines.extend(of_kind("warning", &warnings, folder, redact));
    lines
}

fn of_kind(kind: &str, all: &[&Diagnostic], folder: &RepoPath, redact: &Redact<'_>) -> Vec<String> {
    let shown = if all.len() > MOST {
        MOST - 1
    } else {
        all.len()
    };
    let mut lines: Vec<String> = all[..shown]
        .iter()
        .map(|one| annotation(kind, one, folder, redact))
        .collect();
    if all.len() > shown {
        let more = value::count(all.len() - shown, kind);
        let text = format!("{more} more: see the step's summary or its log");
        lines.push(command(kind, &[("title", "flowyard")], &text));
    }
    lines
}

fn annotation(kind: &str, one: &Diagnostic, folder: &RepoPath, redact: &Redact<'_>) -> String {
    let number = |number: u32| match number {
        0 => String::new(),
        number => number.to_string(),
    };
    let place = &one.place;
    let (line, column) = (number(place.line), number(place.column));
    let mut text = value::text(&one.message);
    if let Some(hint) = &one.hint {
        text += &format!("\nhint: {}", value::text(hint));
    }
    for (place, role) in &one.related {
        text += &format!(
            "\n{}: {}",
            value::text(&place.to_string()),
            value::text(role)
        );
    }
    text = redact(&text);
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST).chain(['…']).collect();
    }
    let mut file = redact(&folder.join(place.path.as_str()).to_string());
    if file.contains("##[") {
        // No escape of properties hides it; better on no line than a command.
        file = value::escaped(&file);
    }
    let properties = [
        ("file", file.as_str()),
        ("line", line.as_str()),
        ("col", column.as_str()),
        ("title", "flowyard"),
    ];
    command(kind, &properties, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Place;
    use crate::report::sample;

    #[test]
    fn faults_stand_on_their_lines() {
        let lines = annotations(
            &sample::diagnostics(),
            &RepoPath::new("flows"),
            &str::to_owned,
        );
        insta::assert_snapshot!(lines.join("\n"), @r"
        ::error file=flows/projects/a/daily.deployment.yaml,line=2,col=1,title=flowyard::unknown key `schedle`%0Ahint: did you mean `schedules`?
        ::error file=flows/projects/a/daily.deployment.yaml,line=4,col=9,title=flowyard::`load-dn/daily` is declared twice%0Aprojects/b/x.deployment.yaml:3:7: first declared here
        ::warning file=flows/projects/c,title=flowyard::no requirements\u{1b}[2J\nfile
        ");
    }

    #[test]
    fn of_too_many_the_worst_are_told() {
        let fault = |at: u32| {
            let place = Place::at(RepoPath::new("a.yaml"), at, 1);
            if at.is_multiple_of(2) {
                Diagnostic::warning(place, "odd")
            } else {
                Diagnostic::error(place, "wrong")
            }
        };
        let all: Vec<Diagnostic> = (1..=21).map(fault).collect();
        let lines = annotations(&all, &RepoPath::root(), &str::to_owned);
        assert_eq!(lines.len(), 20, "10 errors of 11, and 10 warnings");
        assert_eq!(
            lines[0],
            "::error file=a.yaml,line=1,col=1,title=flowyard::wrong"
        );
        assert_eq!(
            lines[9],
            "::error title=flowyard::2 errors more: see the step's summary or its log"
        );
        assert!(
            lines[10..]
                .iter()
                .all(|line| line.starts_with("::warning file="))
        );
        let long = Diagnostic::error(Place::file(RepoPath::new("x")), "ø".repeat(9000));
        let line = &annotations(&[long], &RepoPath::root(), &str::to_owned)[0];
        assert!(line.chars().count() < LONGEST + 100, "{line}");
    }

    #[test]
    fn a_secret_is_taken_out_before_the_text_is_cut() {
        let secret = "50%-of-it-and-the-rest";
        for at in 960..1010 {
            let text = format!("{}{secret}", "x".repeat(at));
            let one = Diagnostic::error(Place::file(RepoPath::new("x")), text);
            let lines = annotations(&[one], &RepoPath::root(), &|text| {
                text.replace(secret, "***")
            });
            assert!(!lines[0].contains("50"), "{at}: {}", lines[0]);
        }
    }
}
