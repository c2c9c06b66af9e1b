//! TOML.

use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Content, Entry, Fault, Lines, MAX_DEPTH, Node, Position, position};

pub(super) fn parse(text: &str) -> Result<(Node, Vec<Fault>), Fault> {
    let source = Source {
        text,
        lines: Lines::of(text),
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = source.place(error.span().map_or(0, |span| span.start));
        Fault::new(
            at,
            format!("not valid TOML: {}", error.message().replace('\n', ", ")),
        )
    })?;
    let start = Position { line: 1, column: 1 };
    Ok((
        Node::new(start, Content::Map(entries(table.get_ref(), &source, 0)?)),
        Vec::new(),
    ))
}

/// A text, in which spans are places and pieces.
struct Source<'t> {
    text: &'t str,
    lines: Lines,
}

impl Source<'_> {
    fn place(&self, offset: usize) -> Position {
        position(&self.lines, self.text, offset)
    }
}

fn entries(table: &DeTable<'_>, source: &Source<'_>, depth: usize) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        entries.push(Entry {
            key: key.get_ref().to_string(),
            at: source.place(key.span().start),
            value: node(value, source, depth + 1)?,
        });
    }
    // The parser sorts by key; people read top down.
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

fn node(value: &Spanned<DeValue<'_>>, source: &Source<'_>, depth: usize) -> Result<Node, Fault> {
    let at = source.place(value.span().start);
    if depth > MAX_DEPTH {
        return Err(Fault::new(
            at,
            format!("nested deeper than {MAX_DEPTH} levels"),
        ));
    }
    let no_number = |text: &str| {
        Fault::new(
            at,
            format!("`{text}` is no number that a deployment can hold"),
        )
    };
    let written = source.text.get(value.span()).unwrap_or_default();
    let content = match value.get_ref() {
        DeValue::String(text) => Content::Scalar(Value::String(text.to_string())),
        DeValue::Boolean(one) => Content::Scalar(Value::Bool(*one)),
        DeValue::Integer(one) => {
            let digits = one.as_str().replace('_', "");
            let number =
                i64::from_str_radix(&digits, one.radix()).map_err(|_| no_number(&digits))?;
            return Ok(Node::plain(at, number.into(), written));
        }
        DeValue::Float(one) => {
            let digits = one.as_str().replace('_', "");
            let number = digits
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .ok_or_else(|| no_number(&digits))?;
            return Ok(Node::plain(at, Value::Number(number), written));
        }
        DeValue::Datetime(one) => Content::Scalar(Value::String(one.to_string())),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| node(item, source, depth + 1));
            Content::List(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Content::Map(entries(table, source, depth)?),
    };
    Ok(Node::new(at, content))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_value() {
        let text = "i = 1_000\nh = 0xFF\nf = 1.5e3\nd = 2024-01-02T03:04:05Z\n[[t]]\nx = 'a'\n[[t]]\nx = 'b'\n";
        let (node, _) = parse(text).expect("valid");
        assert_eq!(
            node.to_value(),
            json!({"i": 1000, "h": 255, "f": 1500.0, "d": "2024-01-02T03:04:05Z", "t": [{"x": "a"}, {"x": "b"}]})
        );
    }

    #[test]
    fn faults_have_places() {
        let fault = parse("a = 1\nb = = 2\n").expect_err("a fault");
        assert_eq!(fault.at.line, 2);
        assert!(
            fault.message.starts_with("not valid TOML: "),
            "{}",
            fault.message
        );
        assert_eq!(
            parse("a = 1\nx = inf\n").expect_err("inf").at,
            Position { line: 2, column: 5 }
        );
        assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
    }
}
