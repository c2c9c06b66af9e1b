//! Docstrings: cleaned as Python's `inspect.cleandoc` does, and the descriptions of parameters in Google's style as
//! Prefect's docstring parser (griffe) finds them.

use std::collections::HashMap;

/// A docstring without its common indentation, tabs expanded to eight columns, empty lines at both ends removed.
pub(super) fn clean(text: &str) -> String {
    let expanded = expand_tabs(text);
    let lines: Vec<&str> = expanded.split('\n').collect();
    let margin = lines
        .iter()
        .skip(1)
        .filter(|line| !line.trim_start().is_empty())
        .map(|line| indent(line))
        .min();
    let mut cleaned: Vec<&str> = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        cleaned.push(match (number, margin) {
            (0, _) => line.trim_start(),
            (_, Some(margin)) => skip(line, margin),
            (_, None) => line,
        });
    }
    let first = cleaned
        .iter()
        .position(|line| !line.is_empty())
        .unwrap_or(cleaned.len());
    let last = cleaned
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(first, |last| last + 1);
    cleaned[first..last].join("\n")
}

fn expand_tabs(text: &str) -> String {
    if !text.contains('\t') {
        return text.to_owned();
    }
    let mut expanded = String::with_capacity(text.len() + 64);
    let mut column = 0_usize;
    for c in text.chars() {
        match c {
            '\t' => {
                let width = 8 - column % 8;
                expanded.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            '\n' | '\r' => {
                expanded.push(c);
                column = 0;
            }
            _ => {
                expanded.push(c);
                column += 1;
            }
        }
    }
    expanded
}

/// Leading whitespace in characters.
fn indent(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).count()
}

/// The line without its first characters.
fn skip(line: &str, count: usize) -> &str {
    line.char_indices()
        .nth(count)
        .map_or("", |(start, _)| &line[start..])
}

/// The descriptions of parameters in a cleaned docstring: of the last section of parameters that there is.
pub(super) fn parameters(docstring: &str) -> HashMap<String, String> {
    let mut parameters = HashMap::new();
    if !docstring.contains(':') {
        return parameters;
    }
    let lines: Vec<&str> = docstring.split('\n').collect();
    let mut fenced = false;
    let mut number = 0;
    while number < lines.len() {
        let line = lines[number];
        number += 1;
        if line.trim_start_matches(' ').starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let Some(heading) = heading(line).filter(|_| !fenced) else {
            continue;
        };
        let blank = |line: Option<&&str>| line.is_none_or(|line| line.trim().is_empty());
        let indented =
            |line: Option<&&str>| !blank(line) && line.is_some_and(|line| line.starts_with(' '));
        let (below, further) = (lines.get(number), lines.get(number + 1));
        let above_blank = number < 2 || blank(lines.get(number - 2));
        let blank_below = below.is_some() && blank(below);
        if !(indented(below) || indented(further))
            || !above_blank
            || (indented(further) && blank_below)
        {
            continue;
        }
        let heading = heading.to_lowercase();
        match heading.as_str() {
            "args" | "arguments" | "params" | "parameters" => {
                let (items, end) = items(&lines, number);
                parameters = items
                    .into_iter()
                    .filter_map(|item| parameter(&item))
                    .collect();
                number = end;
            }
            _ if ITEMISED.contains(&heading.as_str()) => number = items(&lines, number).1,
            _ => number = block(&lines, number),
        }
    }
    parameters
}

/// Sections whose content is a list of items; others are blocks of text.
const ITEMISED: &[&str] = &[
    "keyword args",
    "keyword arguments",
    "other args",
    "other arguments",
    "other params",
    "other parameters",
    "type args",
    "type arguments",
    "type params",
    "type parameters",
    "raises",
    "exceptions",
    "returns",
    "yields",
    "receives",
    "attributes",
    "functions",
    "methods",
    "classes",
    "type aliases",
    "modules",
    "warns",
    "warnings",
];

/// The heading of a section or admonition: words before a colon, followed by nothing or by a title.
fn heading(line: &str) -> Option<&str> {
    let (heading, title) = line.split_once(':')?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut chars = heading.chars();
    if !chars.next().is_some_and(word) || !chars.all(|c| word(c) || c == '-' || c.is_whitespace()) {
        return None;
    }
    (title.trim().is_empty() || title.starts_with(char::is_whitespace)).then_some(heading)
}

/// The items of a section that starts at a line, each as its lines, and the line after the section.
fn items<'l>(lines: &[&'l str], start: usize) -> (Vec<Vec<&'l str>>, usize) {
    let Some(first) = (start..lines.len()).find(|number| !lines[*number].trim().is_empty()) else {
        return (Vec::new(), lines.len());
    };
    let width = indent(lines[first]);
    if width == 0 {
        return (Vec::new(), first);
    }
    let mut items = vec![vec![skip(lines[first], width)]];
    let mut number = first + 1;
    while number < lines.len() {
        let line = lines[number];
        let spaces = line.chars().take_while(|c| *c == ' ').count();
        let continued = if line.trim().is_empty() {
            ""
        } else if spaces >= 2 * width {
            skip(line, 2 * width)
        } else if spaces > width {
            line.trim_start()
        } else if spaces == width {
            items.push(vec![skip(line, width)]);
            number += 1;
            continue;
        } else {
            break;
        };
        if let Some(item) = items.last_mut() {
            item.push(continued);
        }
        number += 1;
    }
    (items, number)
}

/// The line after an indented block of text that starts at a line.
fn block(lines: &[&str], start: usize) -> usize {
    let Some(first) = (start..lines.len()).find(|number| !lines[*number].trim().is_empty()) else {
        return start;
    };
    let width = indent(lines[first]);
    if width == 0 {
        return start;
    }
    let ends = |line: &&str| {
        !line.trim().is_empty() && line.chars().take_while(|c| *c == ' ').count() < width
    };
    lines[first..]
        .iter()
        .position(ends)
        .map_or(lines.len(), |length| first + length)
}

/// A parameter's name and description.
fn parameter(item: &[&str]) -> Option<(String, String)> {
    let (name, description) = item.first()?.split_once(':')?;
    let name = match name.split_once('(') {
        Some((bare, _)) if name.ends_with(')') => bare.trim(),
        _ => name,
    };
    let mut text = description.trim_start().to_owned();
    for line in &item[1..] {
        text.push('\n');
        text.push_str(line);
    }
    text.truncate(text.trim_end_matches('\n').len());
    Some((name.to_owned(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docstrings_are_cleaned() {
        for (raw, cleaned) in [
            ("", ""),
            ("  one line ", "one line "),
            ("\n    a\n      b\n\n    c\n    ", "a\n  b\n\nc"),
            ("a\n\n\n", "a"),
            ("\ta\n\tb\n\t\tc", "a\nb\n        c"),
            ("a\nä b\n  c", "a\nä b\n  c"),
            ("a\n\u{2003}b", "a\nb"),
        ] {
            assert_eq!(clean(raw), cleaned, "{raw:?}");
        }
    }

    #[test]
    fn sections_without_content_end_nothing() {
        for text in [
            "Args:",
            "Args:\n",
            "Args:\n\n\n",
            ":",
            "a:b:\n c",
            "Args:\n    \n  \nx",
            "```",
            "Args:\n\t",
            "Note:\n  ```",
        ] {
            assert_eq!(parameters(text), HashMap::new(), "{text:?}");
        }
    }
}
