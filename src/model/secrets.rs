//! Values that nobody may read, and texts without them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use regex::Regex;

/// Shorter texts may stand in any word by chance: taking them out would spoil a text, and hide nothing.
const SHORTEST: usize = 5;

/// What stands in the place of a secret; the same as in the log of a GitHub runner.
const TAKEN: &str = "***";

/// Secret values in all the forms in which they might get into a text.
///
/// The forms are the value, each of its lines, and these as JSON, percent-encoded (as a URL's path and as a form), in
/// hexadecimal digits and in Base64 of both alphabets, wherever in a longer text that is encoded the value stands.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeSet<String>,
    forms: Option<Regex>,
}

impl Secrets {
    /// Takes values together. Those, and lines of those, with less than five characters are left out.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut secrets = Self::default();
        secrets.add(values);
        secrets
    }

    /// Adds values to those that there are; gives the lines that are new, sorted.
    pub fn add(&mut self, values: impl IntoIterator<Item = String>) -> Vec<String> {
        let before = self.lines();
        for value in values {
            self.values.insert(value.trim().to_owned());
        }
        let lines: Vec<String> = self.lines().difference(&before).cloned().collect();
        if !lines.is_empty() {
            self.forms = pattern(&self.values);
        }
        lines
    }

    /// The text with `***` in the place of every secret.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.forms {
            Some(forms) => forms.replace_all(text, TAKEN),
            None => Cow::Borrowed(text),
        }
    }

    /// The lines of all values; a runner's log is compared line by line.
    pub fn lines(&self) -> BTreeSet<String> {
        self.values
            .iter()
            .flat_map(|value| lines(value))
            .map(str::to_owned)
            .collect()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

fn lines(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| line.chars().count() >= SHORTEST)
}

/// Matches any form of the values, the longest first; `None` where there is nothing to match.
fn pattern(values: &BTreeSet<String>) -> Option<Regex> {
    let texts: BTreeSet<&str> = values
        .iter()
        .flat_map(|value| lines(value).chain([value.as_str()]))
        .filter(|text| text.chars().count() >= SHORTEST)
        .collect();
    let mut forms: BTreeSet<String> = BTreeSet::new();
    for text in texts {
        forms.insert(text.to_owned());
        let json = serde_json::Value::from(text).to_string();
        forms.insert(json[1..json.len() - 1].to_owned());
        forms.insert(text.escape_debug().to_string());
        forms.insert(percent_encoding::utf8_percent_encode(text, EVERY).to_string());
        forms.insert(percent_encoding::utf8_percent_encode(text, COMPONENT).to_string());
        forms.insert(url::form_urlencoded::byte_serialize(text.as_bytes()).collect());
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        forms.insert(hex.to_uppercase());
        forms.insert(hex);
        for shift in 0..3 {
            forms.extend(encoded(text, shift));
        }
    }
    let mut forms: Vec<String> = forms.into_iter().map(|one| regex::escape(&one)).collect();
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    if forms.is_empty() {
        return None;
    }
    // Escaped text is a pattern; only one that is far too large is refused, and then each part serves for itself.
    regex::RegexBuilder::new(&forms.join("|"))
        .size_limit(256 << 20)
        .build()
        .ok()
}

/// What `encodeURIComponent` leaves as it is beside letters and digits.
const COMPONENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

const EVERY: &percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC;

/// The text in Base64 where it stands `shift` bytes after a multiple of three: those characters that no neighbour changes.
fn encoded(text: &str, shift: usize) -> Vec<String> {
    let bytes: Vec<u8> = std::iter::repeat_n(0, shift).chain(text.bytes()).collect();
    let (from, to) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
    if to < from + SHORTEST {
        return Vec::new();
    }
    [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes)]
        .map(|form| form[from..to].to_owned())
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_taken_out() {
        let secrets = Secrets::new([
            "hu/sh+hush ÿ~?".to_owned(),
            "p\"a\nssword-line\n".to_owned(),
        ]);
        for text in [
            "hu/sh+hush ÿ~?".to_owned(),
            "hu%2Fsh%2Bhush%20%C3%BF~%3F".to_owned(),
            "hu%2Fsh%2Bhush+%C3%BF%7E%3F".to_owned(),
            "68752f73682b6875736820c3bf7e3f".to_owned(),
            STANDARD.encode("hu/sh+hush ÿ~?"),
            STANDARD.encode("user:hu/sh+hush ÿ~?"),
            STANDARD.encode("users:hu/sh+hush ÿ~?;more"),
            URL_SAFE.encode("user1:hu/sh+hush ÿ~?;more"),
            r#"p\"a\nssword-line"#.to_owned(),
            "ssword-line".to_owned(),
        ] {
            let shown = secrets.redact(&text);
            assert!(shown.contains("***"), "{text}: {shown}");
            assert!(
                !shown.contains("hush") && !shown.contains("ssword"),
                "{shown}"
            );
        }
    }

    #[test]
    fn short_texts_and_all_others_stay() {
        let mut secrets = Secrets::new(["abc".to_owned(), String::new(), "no\nyes".to_owned()]);
        assert_eq!(secrets.redact("abc no yes"), "abc no yes");
        assert!(secrets.lines().is_empty());
        assert_eq!(
            secrets.add(["abcdef\nshort\nno".to_owned()]),
            ["abcdef", "short"]
        );
        assert!(secrets.add(["abcdef".to_owned()]).is_empty());
        assert_eq!(secrets.redact("abcdef and abcde"), "*** and abcde");
        assert_eq!(format!("{secrets:?}"), "Secrets(5)");
    }

    #[test]
    fn the_longest_is_taken_first() {
        let secrets = Secrets::new(["secret".to_owned(), "secret-longer".to_owned()]);
        assert_eq!(secrets.redact("secret-longer secret"), "*** ***");
    }
}
