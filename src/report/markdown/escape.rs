//! Text of strangers, so that it stays text.

use crate::report::value;

/// One line of anything as a code span. Empty text becomes a span of one space, as a span cannot be empty.
pub(super) fn code(raw: &str) -> String {
    let text = value::escaped(raw);
    let fence = "`".repeat(longest_run(&text) + 1);
    // A blank is taken off each end again, where there is one at both and something in between.
    let touches = text.starts_with('`') || text.ends_with('`');
    let blanks = text.starts_with(' ') && text.ends_with(' ') && !text.trim().is_empty();
    if text.is_empty() || touches || blanks {
        format!("{fence} {text} {fence}")
    } else {
        format!("{fence}{text}{fence}")
    }
}

/// Lines that are escaped already, as a fenced block of a language.
pub(super) fn block(language: &str, lines: &[String]) -> String {
    let longest = lines.iter().map(|line| longest_run(line)).max();
    let fence = "`".repeat((longest.unwrap_or(0) + 1).max(3));
    let mut text = format!("{fence}{language}\n");
    for line in lines {
        text += line;
        text.push('\n');
    }
    text + &fence + "\n"
}

fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`')
        .map(str::len)
        .max()
        .unwrap_or(0)
}

/// A link with the text `label` where `url` is a plain one of the web, otherwise the URL as code.
pub(super) fn link(label: &str, url: &str) -> String {
    let web = url.starts_with("https://") || url.starts_with("http://");
    let plain = |char: char| char.is_ascii_graphic() && !"<>()[]`\\\"'|*".contains(char);
    if web && url.chars().all(plain) {
        format!("[{label}]({url})")
    } else {
        code(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_are_longer_than_what_is_inside() {
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(""), "`  `");
        assert_eq!(code(" x "), "`  x  `");
        assert_eq!(code("a\n\n# b"), r"`a\n\n# b`");
        let lines = ["````".to_owned(), "</details>".to_owned()];
        assert_eq!(
            block("diff", &lines),
            "`````diff\n````\n</details>\n`````\n"
        );
    }

    #[test]
    fn only_links_of_the_web_are_links() {
        assert_eq!(
            link("open", "https://x.y/a?b=1"),
            "[open](https://x.y/a?b=1)"
        );
        assert_eq!(link("open", "javascript:alert(1)"), "`javascript:alert(1)`");
        assert_eq!(link("open", "https://x) <b>"), "`https://x) <b>`");
    }
}
