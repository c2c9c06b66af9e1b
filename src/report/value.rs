//! Values, names and numbers as text that is safe to show and short enough to read.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How many columns a value may take.
pub(super) const WIDTH: usize = 80;

/// How much of what two long values have in common is shown before they differ.
const CONTEXT: usize = 16;

/// What was put in place of a value that is not to be shown.
pub(super) const HIDDEN: &str = "(hidden)";
/// What the plan puts in place of what only a deploy will know.
const UNKNOWN: &str = "(known at deploy)";
/// What was put in place of a value that holds one of the environment's.
const FROM_ENVIRONMENT: &str = "(from the environment)";

/// A name or a message as one line: control characters, and what turns the direction of writing or is not seen at all,
/// are written as escapes.
///
/// A CI runner takes commands from its log: lines that begin with `::`, and `##[` anywhere. Neither survives.
pub(super) fn text(raw: &str) -> String {
    let trimmed = raw.trim_start();
    if trimmed.starts_with("::") {
        return format!("\\u{{3a}}{}", escaped(&trimmed[1..]));
    }
    escaped(raw)
}

/// A part of a line: as [`text`], but not as if it stood at the beginning.
pub(super) fn escaped(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    escape_into(raw, &mut out);
    out.replace("##[", "##\\u{5b}")
}

/// A line of a log, colours and all, so that a CI runner takes no command from it: as it is, unless it would be one with
/// its colours taken off.
pub(super) fn inert(line: &str) -> std::borrow::Cow<'_, str> {
    let plain = anstream::adapter::strip_str(line).to_string();
    let body = plain.trim_start();
    if !body.starts_with("::") && !plain.contains("##[") {
        return line.into();
    }
    let mut out = plain[..plain.len() - body.len()].to_owned();
    match body.strip_prefix("::") {
        Some(rest) => out += &format!("\\u{{3a}}:{rest}"),
        None => out += body,
    }
    out.replace("##[", "##\\u{5b}").into()
}

fn escape_into(raw: &str, out: &mut String) {
    for char in raw.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if is_unseen(char) => out.push_str(&format!("\\u{{{:x}}}", u32::from(char))),
            char => out.push(char),
        }
    }
}

/// Whether a character moves the cursor, turns the text around it, or takes no place of its own.
fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A value as one line of JSON with a space after `,` and `:`, whole; keys in the order of the alphabet.
pub(super) fn show(value: &Value) -> String {
    let mut out = String::new();
    show_into(value, &mut out);
    out.replace("##[", "##\\u{5b}")
}

fn show_into(value: &Value, out: &mut String) {
    match value {
        Value::String(text) if [HIDDEN, FROM_ENVIRONMENT, UNKNOWN].contains(&text.as_str()) => {
            out.push_str(text);
        }
        Value::String(text) => quote_into(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                show_into(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                quote_into(key, out);
                out.push_str(": ");
                show_into(item, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn quote_into(text: &str, out: &mut String) {
    out.push('"');
    escape_into(&text.replace('\\', "\\\\").replace('"', "\\\""), out);
    out.push('"');
}

/// How many columns a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Text of at most `columns`, with `…` in place of its middle where it is longer.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let tail = room / 3;
    let head = start_of(text, room - tail);
    format!("{head}…{}", end_of(text, tail))
}

/// As much of the beginning of `text` as fits in `columns`.
pub(super) fn start_of(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, char) in text.char_indices() {
        used += char.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// As much of the end of `text` as fits in `columns`.
pub(super) fn end_of(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, char) in text.char_indices().rev() {
        used += char.width().unwrap_or(0);
        if used > columns {
            return &text[at + char.len_utf8()..];
        }
    }
    text
}

/// Two texts of at most `columns` each, cut so that the place where they begin to differ is seen.
pub(super) fn pair(old: &str, new: &str, columns: usize) -> (String, String) {
    if width(old) <= columns && width(new) <= columns {
        return (old.to_owned(), new.to_owned());
    }
    let common: Vec<usize> = old
        .char_indices()
        .zip(new.chars())
        .take_while(|((_, a), b)| a == b)
        .map(|((at, _), _)| at)
        .collect();
    if common.len() <= columns / 2 {
        return (cut(old, columns), cut(new, columns));
    }
    // The common beginning has the same bytes in both, so one offset serves both.
    let from = common[common.len() - CONTEXT];
    let window = |text: &str| format!("…{}", cut(&text[from..], columns - 1));
    (window(old), window(new))
}

/// Bytes for people, in powers of 1000: `0 B`, `24.1 KB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut amount = bytes as f64 / 1000.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        // 999.95 would print as `1000.0`.
        if amount < 999.95 {
            break;
        }
        amount /= 1000.0;
        unit = larger;
    }
    format!("{amount:.1} {unit}")
}

/// A number and its noun: `1 file`, `7 files`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Text filled up with spaces to `columns`.
pub(super) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_terminal_or_a_runner_would_obey_is_escaped() {
        assert_eq!(
            text("a\u{1b}[31mb\r\n\u{9b}2J"),
            r"a\u{1b}[31mb\r\n\u{9b}2J"
        );
        assert_eq!(text("abc\u{202e}fed\u{200b}"), r"abc\u{202e}fed\u{200b}");
        assert_eq!(text("  ::stop-commands::x"), r"\u{3a}:stop-commands::x");
        assert_eq!(text("x ##[add-mask]1"), r"x ##\u{5b}add-mask]1");
        assert_eq!(text("Nøtt 日本 é"), "Nøtt 日本 é");
    }

    #[test]
    fn values_are_json_on_one_line() {
        let value = json!({"b": [1, 2.5, null], "a": "x\"\\\n\u{1b}", "c": {}});
        assert_eq!(
            show(&value),
            r#"{"a": "x\"\\\n\u{1b}", "b": [1, 2.5, null], "c": {}}"#
        );
    }

    #[test]
    fn cutting_keeps_both_ends_and_whole_characters() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("0123456789abcdef", 10), "012345…def");
        let wide = "日本語".repeat(40);
        let shown = cut(&wide, 31);
        assert!(width(&shown) <= 31 && shown.contains('…'), "{shown}");
        assert_eq!(cut("abc", 0), "…");
    }

    #[test]
    fn a_pair_shows_where_it_differs() {
        let common = "é".repeat(100);
        let (old, new) = pair(&format!("{common}1 and on"), &format!("{common}2"), 40);
        assert_eq!(old, format!("…{}1 and on", "é".repeat(16)));
        assert_eq!(new, format!("…{}2", "é".repeat(16)));
        let (old, new) = pair(&"a".repeat(100), &"b".repeat(100), 20);
        assert!(width(&old) == 20 && width(&new) == 20);
        let (old, new) = pair(&common, &format!("{common}{common}"), 40);
        assert!(width(&old) <= 40 && width(&new) <= 40 && old != new);
    }

    #[test]
    fn sizes_are_decimal() {
        let sizes = [0, 999, 1000, 24_100, 999_949, 999_950, 1_000_000, u64::MAX];
        assert_eq!(
            sizes.map(size),
            [
                "0 B",
                "999 B",
                "1.0 KB",
                "24.1 KB",
                "999.9 KB",
                "1.0 MB",
                "1.0 MB",
                "18446.7 PB"
            ]
        );
    }
}
