//! Patterns of a shell, as `${NAME%pattern}` has them: `*`, `?`, and `\` before what stands for itself.

/// A value without what a pattern matches at its beginning (`#`, the longest with `##`) or at its end (`%`, `%%`).
pub(super) fn cut<'v>(form: &str, value: &'v str, pattern: &str) -> &'v str {
    let mut parts = parts(pattern);
    let longest = matches!(form, "##" | "%%");
    let places: Vec<usize> = value.char_indices().map(|(at, _)| at).collect();
    if form.starts_with('#') {
        let count = matched(&parts, value.chars(), longest).unwrap_or(0);
        return &value[places.get(count).copied().unwrap_or(value.len())..];
    }
    parts.reverse();
    let count = matched(&parts, value.chars().rev(), longest).unwrap_or(0);
    match count {
        0 => value,
        _ => &value[..places[places.len() - count]],
    }
}

/// A part of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Anything,
    One,
    Itself(char),
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars();
    while let Some(one) = rest.next() {
        parts.push(match one {
            '*' => Part::Anything,
            '?' => Part::One,
            '\\' => Part::Itself(rest.next().unwrap_or('\\')),
            one => Part::Itself(one),
        });
    }
    parts
}

/// How many of the first characters the parts match, the fewest or the most; `None` where they match none.
///
/// All ways to match are followed at once, so that a pattern of many stars takes no longer than another.
fn matched(parts: &[Part], text: impl Iterator<Item = char>, longest: bool) -> Option<usize> {
    // By part: whether those before it match what was read.
    let mut before = vec![false; parts.len() + 1];
    before[0] = true;
    let skip = |before: &mut [bool]| {
        for (at, part) in parts.iter().enumerate() {
            before[at + 1] |= before[at] && *part == Part::Anything;
        }
        before[parts.len()]
    };
    let mut found = skip(&mut before).then_some(0);
    for (count, one) in text.enumerate() {
        if found.is_some() && !longest {
            break;
        }
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| before[*at]) {
            match part {
                Part::Anything => next[at] = true,
                Part::One => next[at + 1] = true,
                Part::Itself(other) => next[at + 1] |= *other == one,
            }
        }
        before = next;
        if skip(&mut before) {
            found = Some(count + 1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_and_the_longest_are_cut() {
        for (form, pattern, expected) in [
            ("#", "*.", "12.7-slim"),
            ("##", "*.", "7-slim"),
            ("%", "-*", "3.12.7"),
            ("%", ".*", "3.12"),
            ("%%", ".*", "3"),
            ("%%", "*", ""),
            ("%", "*", "3.12.7-slim"),
            ("%", "nothing", "3.12.7-slim"),
            ("#", "", "3.12.7-slim"),
            ("#", "?", ".12.7-slim"),
            ("#", "\\?", "3.12.7-slim"),
            ("#", "3\\.1", "2.7-slim"),
            ("##", "*1?", ".7-slim"),
            ("%", "s*i*", "3.12.7-"),
            ("#", "3.12.7-slim", ""),
            ("%", "3.12.7-slimmer", "3.12.7-slim"),
        ] {
            let cut = cut(form, "3.12.7-slim", pattern);
            assert_eq!(cut, expected, "{form}{pattern}");
        }
        assert_eq!(cut("%", "æøå", "?"), "æø");
        assert_eq!(cut("#", "æøå", "?"), "øå");
        assert_eq!(cut("##", "", "*"), "");
    }
}
