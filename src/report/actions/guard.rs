//! A stream of which no line is a command.

use std::io::{self, Write};

use crate::report::value;

/// Hands text on so that a runner finds no command in it: what would be one is written as an escape. For everything that
/// is logged and may hold what a repository says.
///
/// Lines end with `\n`, `\r` or both, as the runner sees it. Each call of `write` is taken as beginning a line, and what
/// it is given as whole characters, which is how logs and messages are written.
#[derive(Debug)]
pub struct Guard<W>(pub W);

impl<W: Write> Write for Guard<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(bytes);
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive(['\n', '\r']) {
            out += &value::inert(line);
        }
        self.0.write_all(out.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_a_command() {
        let mut out = Vec::new();
        let text = "a\n ::error::x\r::b::\nsee https://x::y\n x ##[add-mask]y\u{1b}[0m\n";
        Guard(&mut out).write_all(text.as_bytes()).expect("memory");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "a\n \\u{3a}:error::x\r\\u{3a}:b::\nsee https://x::y\n x ##\\u{5b}add-mask]y\n"
        );
    }
}
