//! Collects the faults of one file, and reads typed values out of its tree while doing so.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::document::{Content, Entry, Node, Position};
use super::secrets::Secrets;
use crate::model::{Diagnostic, Place, RepoPath, nearest};

/// How many faults of one file are told. Nobody reads more, and a file of a megabyte could have a hundred thousand.
const TOLD: usize = 1_000;

/// The faults of one file so far.
pub(super) struct Faults<'a> {
    path: &'a RepoPath,
    found: Vec<Diagnostic>,
    /// How many more there are, which are only counted.
    untold: usize,
    /// The last of those, and whether any of them is an error.
    last: Option<(Diagnostic, bool)>,
    /// Whether one of them is that reading alone cannot tell, which running the file could.
    pub(super) undecided: bool,
    /// The files elsewhere that were looked at to read it, and the folders that were listed, which are true.
    pub(super) looked: BTreeMap<RepoPath, bool>,
    /// What no fault may tell.
    pub(super) secrets: Secrets,
}

/// A fault that was just noted, to add a hint to.
pub(super) struct Noted<'a>(&'a mut Diagnostic);

impl Noted<'_> {
    /// Says what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) {
        self.0.hint = Some(hint.into());
    }
}

impl<'a> Faults<'a> {
    pub(super) fn of(path: &'a RepoPath) -> Self {
        Self {
            path,
            found: Vec::new(),
            untold: 0,
            last: None,
            undecided: false,
            looked: BTreeMap::new(),
            secrets: Secrets::default(),
        }
    }

    /// The faults, with the values that none of them may tell; see [`Secrets::redact`].
    pub(super) fn into_parts(mut self) -> (Vec<Diagnostic>, Secrets) {
        if let Some((_, error)) = self.last {
            let place = Place::file(self.path.clone());
            let message = format!("{} more faults than the first {TOLD}", self.untold);
            self.found.push(if error {
                Diagnostic::error(place, message)
            } else {
                Diagnostic::warning(place, message)
            });
        }
        (self.found, self.secrets)
    }

    /// Whether there are so many that one more is only counted: what it would say needs no working out.
    pub(super) fn are_many(&self) -> bool {
        self.found.len() >= TOLD
    }

    pub(super) fn place(&self, at: Position) -> Place {
        Place::at(self.path.clone(), at.line, at.column)
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.add(diagnostic);
    }

    fn add(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        if self.are_many() {
            self.untold += 1;
            let error = diagnostic.is_error() || self.last.as_ref().is_some_and(|last| last.1);
            return &mut self.last.insert((diagnostic, error)).0;
        }
        self.found.push_mut(diagnostic)
    }

    pub(super) fn error(&mut self, at: Position, message: impl Into<String>) -> Noted<'_> {
        let place = self.place(at);
        Noted(self.add(Diagnostic::error(place, message)))
    }

    /// Refuses every key that is not in `known`, with the nearest that is.
    pub(super) fn unknown_keys<'e>(
        &mut self,
        entries: impl IntoIterator<Item = &'e Entry>,
        known: &[&str],
        of: &str,
    ) {
        for entry in entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            if self.are_many() {
                self.error(entry.at, "");
                continue;
            }
            let near = nearest(&entry.key, known.iter().copied());
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are: {}", known.join(", ")),
            };
            self.error(entry.at, format!("unknown key `{}` in {of}", entry.key))
                .hint(hint);
        }
    }

    /// The text of a key; a number or boolean is taken as written. `None` where it is absent, null, or a fault.
    pub(super) fn text(&mut self, node: &Node, key: &str) -> Option<(String, Position)> {
        let value = present(node, key)?;
        match value.text() {
            Some(text) => Some((text, value.at)),
            None => self.wrong(value, key, "text"),
        }
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, node: &Node, key: &str) -> Option<bool> {
        let value = present(node, key)?;
        match &value.content {
            Content::Scalar(Value::Bool(one)) => Some(*one),
            _ => self.wrong(value, key, "true or false"),
        }
    }

    /// A number.
    pub(super) fn number(&mut self, node: &Node, key: &str) -> Option<f64> {
        let value = present(node, key)?;
        match &value.content {
            Content::Scalar(Value::Number(one)) => one.as_f64(),
            _ => self.wrong(value, key, "a number"),
        }
    }

    /// A whole number within a range.
    pub(super) fn integer(
        &mut self,
        node: &Node,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = present(node, key)?;
        match &value.content {
            Content::Scalar(Value::Number(one))
                if one.as_u64().is_some_and(|one| range.contains(&one)) =>
            {
                one.as_u64()
            }
            _ if *range.end() == u64::MAX => self.wrong(
                value,
                key,
                &format!("a whole number from {}", range.start()),
            ),
            _ => self.wrong(
                value,
                key,
                &format!("a whole number from {} to {}", range.start(), range.end()),
            ),
        }
    }

    /// A mapping.
    pub(super) fn mapping<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n Node> {
        let value = present(node, key)?;
        match &value.content {
            Content::Map(_) => Some(value),
            _ => self.wrong(value, key, "a mapping"),
        }
    }

    /// A list of texts; one text alone is a list of one.
    pub(super) fn texts(&mut self, node: &Node, key: &str) -> Option<Vec<(String, Position)>> {
        let value = present(node, key)?;
        let items = match &value.content {
            Content::List(items) => items.as_slice(),
            Content::Scalar(Value::String(_)) => std::slice::from_ref(value),
            _ => return self.wrong(value, key, "a list of texts"),
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.text() {
                Some(text) => texts.push((text, item.at)),
                None => return self.wrong(item, key, "a list of texts"),
            }
        }
        Some(texts)
    }

    fn wrong<T>(&mut self, value: &Node, key: &str, wanted: &str) -> Option<T> {
        self.error(
            value.at,
            format!("`{key}` is {wanted}, not {}", value.kind()),
        );
        None
    }
}

/// The value of a key that is there and not null: people leave keys empty, and Prefect takes that as not set.
pub(super) fn present<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faults_beyond_those_that_are_told_are_counted() {
        let path = RepoPath::new("prefect.yaml");
        let place = || Place::at(path.clone(), 1, 1);
        for error in [false, true] {
            let mut faults = Faults::of(&path);
            for _ in 0..TOLD + 2 {
                faults.push(Diagnostic::warning(place(), "odd"));
            }
            if error {
                faults
                    .error(Position { line: 1, column: 1 }, "wrong")
                    .hint("mend it");
            }
            faults.push(Diagnostic::warning(place(), "odd"));
            let (found, _) = faults.into_parts();
            let last = found.last().expect("the count");
            let more = if error { 4 } else { 3 };
            assert_eq!(found.len(), TOLD + 1);
            assert_eq!(
                last.message,
                format!("{more} more faults than the first {TOLD}")
            );
            // What is not told holds a deploy back all the same.
            assert_eq!(last.is_error(), error);
        }
    }
}
