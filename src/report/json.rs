//! Reports for programs: versioned documents, apart from the types inside, so that those may change and these not.
//!
//! Every document is one JSON object with `version` (1) and `kind`; it is pretty-printed, ends with a newline, has
//! its lists in plan order and its keys always in the same order. What is absent is `null`. New keys may come with the
//! same version; a key never changes its meaning.

mod files;
mod gather;
mod listing;
mod outcome;
mod plan;
mod saved;

use serde::Serialize;

use crate::model::{Diagnostic, Severity};

pub use files::{Action, File, files};
pub use gather::{SavedOutcomes, load_outcomes, planned};
pub use listing::{check, list, status};
pub use outcome::{OutcomesOf, outcomes, save_outcomes};
pub use plan::plan;
pub use saved::{SavedOptions, SavedPlan, load_plan, save_plan};

/// The version of all documents.
const VERSION: u32 = 1;

/// A document with its heading.
#[derive(Serialize)]
struct Document<'a, T> {
    version: u32,
    kind: &'a str,
    #[serde(flatten)]
    content: T,
}

/// A place in a file; `line` and `column` are `null` where the whole file is meant.
#[derive(Serialize)]
struct Place<'a> {
    path: &'a str,
    line: Option<u32>,
    column: Option<u32>,
}

/// One fault.
#[derive(Serialize)]
struct Fault<'a> {
    place: Place<'a>,
    severity: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    related: Vec<Related<'a>>,
}

/// Another place that belongs to a fault.
#[derive(Serialize)]
struct Related<'a> {
    place: Place<'a>,
    role: &'a str,
}

impl<'a> Place<'a> {
    fn of(place: &'a crate::model::Place) -> Self {
        let known = |number| (number > 0).then_some(number);
        Self {
            path: path(&place.path),
            line: known(place.line),
            column: known(place.column),
        }
    }
}

impl<'a> Fault<'a> {
    fn of(diagnostic: &'a Diagnostic) -> Self {
        Self {
            place: Place::of(&diagnostic.place),
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: &diagnostic.message,
            hint: diagnostic.hint.as_deref(),
            related: diagnostic
                .related
                .iter()
                .map(|(place, role)| Related {
                    place: Place::of(place),
                    role,
                })
                .collect(),
        }
    }

    fn all(diagnostics: &'a [Diagnostic]) -> Vec<Self> {
        diagnostics.iter().map(Self::of).collect()
    }
}

/// A path as in reports: the root is `.`, so that no path is empty.
pub(super) fn path(path: &crate::model::RepoPath) -> &str {
    if path.is_root() { "." } else { path.as_str() }
}

/// The text of a document.
fn document(kind: &str, content: impl Serialize) -> String {
    let document = Document {
        version: VERSION,
        kind,
        content,
    };
    let mut text = serde_json::to_string_pretty(&document)
        .expect("wire structs have text keys and no serializer of their own");
    text.push('\n');
    // Only a text can hold it, where a CI runner would take it for the beginning of a command.
    text.replace("##[", "##\\u005b")
}
