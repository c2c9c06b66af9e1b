//! Values of the process's environment that a project's files name, and must not be told in its faults.

use std::collections::BTreeMap;

use crate::model::Diagnostic;

/// Shorter values may stand in any word by chance, and are taken out only where they are quoted.
const SHORTEST_SECRET: usize = 4;

/// The values, each with the template that stands for it.
#[derive(Clone, Default)]
pub(super) struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Remembers the value of a variable; an empty one hides nothing.
    pub(super) fn note(&mut self, variable: &str, value: &str) {
        if !value.is_empty() {
            let template = format!("{{{{ ${variable} }}}}");
            self.0.insert(value.to_owned(), template);
        }
    }

    /// Adds those of another file.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Puts the templates in the place of the values.
    pub(super) fn redact(&self, diagnostic: &mut Diagnostic) {
        if self.0.is_empty() {
            return;
        }
        diagnostic.message = self.without(&diagnostic.message);
        if let Some(hint) = &mut diagnostic.hint {
            *hint = self.without(hint);
        }
        for (_, role) in &mut diagnostic.related {
            *role = self.without(role);
        }
    }

    fn without(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // A value may hold another one: the longest first.
        let mut values: Vec<_> = self.0.iter().collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        for (value, template) in values {
            // Messages of parsers and validators escape what they quote.
            let json = serde_json::Value::from(value.as_str()).to_string();
            let escaped = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
            for form in [value.clone(), escaped, value.escape_debug().to_string()] {
                if form.len() >= SHORTEST_SECRET {
                    text = text.replace(&form, template);
                    continue;
                }
                for quote in ['`', '"', '\''] {
                    let quoted = format!("{quote}{form}{quote}");
                    text = text.replace(&quoted, &format!("{quote}{template}{quote}"));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Place, RepoPath};

    #[test]
    fn templates_stand_for_values() {
        let mut secrets = Secrets::default();
        for (variable, value) in [
            ("TOKEN", "hush"),
            ("LONG", "hush-hush"),
            ("LINES", "a\n\"b\""),
            ("SHORT", "no"),
            ("EMPTY", ""),
        ] {
            secrets.note(variable, value);
        }
        let without = |text: &str| {
            let place = Place::file(RepoPath::root());
            let mut diagnostic = Diagnostic::error(place, text).hint(text);
            secrets.redact(&mut diagnostic);
            assert_eq!(diagnostic.hint.as_deref(), Some(&*diagnostic.message));
            diagnostic.message
        };
        for (text, expected) in [
            ("`hush` is no number", "`{{ $TOKEN }}` is no number"),
            ("`x-hush-hush` is none", "`x-{{ $LONG }}` is none"),
            (r#""a\n\"b\"" is none"#, r#""{{ $LINES }}" is none"#),
            ("`no` is no text", "`{{ $SHORT }}` is no text"),
            ("nothing of it", "nothing of it"),
        ] {
            assert_eq!(without(text), expected);
        }
    }
}
