//! Texts that are found again by a mark that only their source shows.

use crate::backend::Sticky;

/// Between the text and its footer.
const END: &str = "<!-- flowyard: end -->";

/// The whole text: mark, text, footer.
pub(super) fn body(sticky: &Sticky) -> String {
    let (mark, text) = (mark(&sticky.key), sticky.text.trim_end());
    format!("{mark}\n{text}\n\n{END}\n{}\n", sticky.footer)
}

/// Whether a text that is there has the key.
pub(super) fn is_of(body: &str, key: &str) -> bool {
    body.lines()
        .next()
        .is_some_and(|line| line.trim_end() == mark(key))
}

/// Whether a text that is there is this one, its footer aside.
pub(super) fn is_same(there: &str, sticky: &Sticky) -> bool {
    let whole = body(sticky);
    let end = whole.rfind(END).map_or(whole.len(), |at| at + END.len());
    there.replace("\r\n", "\n").starts_with(&whole[..end])
}

/// The first line. The key is encoded, so that nothing in it ends the comment of Markdown.
fn mark(key: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b' ')
        .remove(b'/')
        .remove(b'_')
        .remove(b'.');
    let key = percent_encoding::utf8_percent_encode(key, PLAIN);
    format!("<!-- flowyard: {key} -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sticky(text: &str, footer: &str) -> Sticky {
        Sticky {
            key: "plan acme/my-flows prod".to_owned(),
            text: text.to_owned(),
            footer: footer.to_owned(),
        }
    }

    #[test]
    fn a_footer_is_no_change() {
        let there = body(&sticky("text\n", "[run 1](x)"));
        assert_eq!(
            there,
            "<!-- flowyard: plan acme/my%2Dflows prod -->\ntext\n\n<!-- flowyard: end -->\n[run 1](x)\n"
        );
        assert!(is_same(
            &there.replace('\n', "\r\n"),
            &sticky("text", "[run 2](y)")
        ));
        assert!(!is_same(&there, &sticky("text, more", "")) && !is_same("", &sticky("text", "")));
        // Text that holds the mark of the end is still compared whole.
        assert!(!is_same(
            &there,
            &sticky(&format!("text\n\n{END}\nmore"), "")
        ));
    }

    #[test]
    fn a_key_is_compared_whole() {
        let there = body(&sticky("text", ""));
        assert!(is_of(&there, "plan acme/my-flows prod"));
        for other in ["plan acme/my-flows", "plan acme/my-flows prod2", ""] {
            assert!(!is_of(&there, other), "{other}");
        }
        assert!(!is_of(
            &format!("quoted\n{there}"),
            "plan acme/my-flows prod"
        ));
        assert!(!mark("a --> b").trim_end_matches("-->").contains("-->"));
    }
}
