//! Lines and columns of byte offsets in a text.

/// How many bytes lie between two counts of characters.
const STEP: usize = 256;

/// An index of a text, by which a place is found in a time that depends on neither its lines' length nor their number.
#[derive(Debug)]
pub(super) struct Lines {
    starts: Vec<usize>,
    /// How many characters begin before every [`STEP`]th byte; empty where all of them are one byte long.
    counts: Vec<usize>,
    /// Whether a byte order mark stands first, which takes no column.
    marked: bool,
}

impl Lines {
    /// The index of a text whose lines end in `\n`.
    pub(super) fn of(text: &str) -> Self {
        let newlines = memchr::memchr_iter(b'\n', text.as_bytes());
        let mut counts = Vec::new();
        if !text.is_ascii() {
            let mut count = 0;
            for piece in text.as_bytes().chunks(STEP) {
                counts.push(count);
                count += begun(piece);
            }
        }
        Self {
            starts: std::iter::once(0)
                .chain(newlines.map(|at| at + 1))
                .collect(),
            counts,
            marked: text.starts_with('\u{feff}'),
        }
    }

    /// Line and column in characters, both from 1, of an offset in `text`, which is the text that this is the index of.
    pub(super) fn position(&self, text: &str, offset: usize) -> (u32, u32) {
        let offset = offset.min(text.len());
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let before = |offset| self.characters(text, offset);
        let mark = usize::from(self.marked && line == 1 && offset > 0);
        let column = before(offset) - before(self.starts[line - 1]) + 1 - mark;
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (narrow(line), narrow(column))
    }

    /// How many characters begin before an offset.
    fn characters(&self, text: &str, offset: usize) -> usize {
        if self.counts.is_empty() {
            return offset;
        }
        let step = (offset / STEP).min(self.counts.len() - 1);
        self.counts[step] + begun(&text.as_bytes()[step * STEP..offset])
    }
}

/// How many characters begin in some bytes.
fn begun(bytes: &[u8]) -> usize {
    let begins = |byte: &&u8| **byte & 0xC0 != 0x80;
    bytes.iter().filter(begins).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_where_counting_finds_it() {
        let wide = "é😀x".repeat(300);
        for text in [
            "",
            "\n",
            "a",
            "a\nb\n\nc",
            "\u{feff}a\nb",
            "\u{feff}",
            &format!("ab\n{wide}\n{wide}x"),
        ] {
            let lines = Lines::of(text);
            let offsets = text.char_indices().map(|(offset, _)| offset);
            for offset in offsets.chain([text.len()]) {
                let before = &text[..offset];
                let line = before.matches('\n').count() + 1;
                let start = before.rfind('\n').map_or(0, |at| at + 1);
                let column = before[start..]
                    .trim_start_matches('\u{feff}')
                    .chars()
                    .count()
                    + 1;
                let found = lines.position(text, offset);
                assert_eq!(
                    (found.0 as usize, found.1 as usize),
                    (line, column),
                    "{offset}"
                );
            }
        }
    }
}
