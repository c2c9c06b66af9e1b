//! Patterns of a shell, as `${NAME%pattern}` has them: `*`, `?`, and `\` before what stands for itself.

use regex::{NoExpand, Regex};

/// A value without what a pattern matches at its beginning (`#`, the longest with `##`) or at its end (`%`, `%%`), or with that
/// replaced once (`/`) or everywhere (`//`) in `pattern/replacement`; `None` for another form.
pub(super) fn cut(form: &str, value: &str, word: &str) -> Option<String> {
    if let "/" | "//" = form {
        let (pattern, replacement) = halves(word);
        let pattern = Regex::new(&expression(pattern)).ok()?;
        let limit = usize::from(form == "/");
        let replaced = pattern.replacen(value, limit, NoExpand(replacement));
        return Some(replaced.into_owned());
    }
    let whole = Regex::new(&format!("^(?:{})$", expression(word))).ok()?;
    let places = value.char_indices().map(|(at, _)| at);
    let mut places: Vec<usize> = places.chain([value.len()]).collect();
    if let "##" | "%" = form {
        places.reverse();
    }
    let cuts = places.into_iter().map(|at| value.split_at(at));
    let mut rests = cuts.filter_map(|(before, behind)| match form {
        "#" | "##" => whole.is_match(before).then_some(behind),
        _ => whole.is_match(behind).then_some(before),
    });
    matches!(form, "#" | "##" | "%" | "%%").then(|| rests.next().unwrap_or(value).to_owned())
}

/// The pattern and the replacement, which may be missing, of `pattern/replacement`.
fn halves(word: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, one) in word.char_indices() {
        match one {
            '/' if !escaped => return (&word[..at], &word[at + 1..]),
            _ => escaped = one == '\\' && !escaped,
        }
    }
    (word, "")
}

/// A regular expression for a pattern.
fn expression(pattern: &str) -> String {
    let mut expression = "(?s)".to_owned();
    let mut rest = pattern.chars();
    while let Some(one) = rest.next() {
        match one {
            '*' => expression += ".*",
            '?' => expression.push('.'),
            '\\' => expression += &regex::escape(&rest.next().unwrap_or('\\').to_string()),
            one => expression += &regex::escape(&one.to_string()),
        }
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_and_the_longest_are_cut() {
        for (form, word, expected) in [
            ("#", "*.", "12.7-slim"),
            ("##", "*.", "7-slim"),
            ("%", "-*", "3.12.7"),
            ("%%", ".*", "3"),
            ("%", "nothing", "3.12.7-slim"),
            ("#", "", "3.12.7-slim"),
            ("#", "?", ".12.7-slim"),
            ("#", "\\?", "3.12.7-slim"),
            ("/", "./_", "3_12.7-slim"),
            ("//", "./_", "3_12_7-slim"),
            ("//", "-s*", "3.12.7"),
            ("/", "\\//x", "3.12.7-slim"),
            ("/", "7/$0", "3.12.$0-slim"),
        ] {
            let cut = cut(form, "3.12.7-slim", word);
            assert_eq!(cut.as_deref(), Some(expected), "{form}{word}");
        }
        assert_eq!(cut("%", "æøå", "?").as_deref(), Some("æø"));
        assert_eq!(cut("^", "a", "a"), None);
    }
}
