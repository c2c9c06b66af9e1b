//! Workflow commands as text.

use std::fmt::Write as _;

/// A command: `::error file=a.yaml,line=2::it is wrong`, without the end of the line. Properties that are empty are left
/// out. `name` and the names of properties are ours, everything else may be a stranger's.
pub fn command(name: &str, properties: &[(&str, &str)], data: &str) -> String {
    let mut text = format!("::{name}");
    let mut sign = ' ';
    for (key, value) in properties.iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a string does not fail.
        let _ = write!(text, "{sign}{key}={}", property(value));
        sign = ',';
    }
    text + "::" + &escaped(data)
}

/// Has the runner hide a line of a secret in everything that is logged from then on, in its encoded forms too.
pub fn mask(line: &str) -> String {
    command("add-mask", &[], line)
}

/// Has the runner take no command until [`resume`] with the same token.
pub fn stop(token: &str) -> String {
    command("stop-commands", &[], token)
}

/// Ends what [`stop`] began.
pub fn resume(token: &str) -> String {
    command(token, &[], "")
}

/// Data as the runner unescapes it: `%` first, so that what looks escaped stays as it is.
fn escaped(data: &str) -> String {
    data.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The value of a property, likewise; `:` and `,` would end it.
fn property(value: &str) -> String {
    escaped(value).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_escaped() {
        let text = command(
            "error",
            &[("file", "a,b:c%\n.yaml"), ("line", ""), ("title", "x")],
            "100 %: a,b\r\n::error::no",
        );
        assert_eq!(
            text,
            "::error file=a%2Cb%3Ac%25%0A.yaml,title=x::100 %25: a,b%0D%0A::error::no"
        );
        assert_eq!(command("endgroup", &[], ""), "::endgroup::");
        assert_eq!(resume("a1"), "::a1::");
    }
}
