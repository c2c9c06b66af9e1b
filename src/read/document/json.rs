//! JSON, strictly as RFC 8259 has it.

use std::collections::HashMap;

use jsonc_parser::ast::Value as Ast;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Number, Value};

use super::{Content, Entry, Fault, Lines, MAX_DEPTH, Node, Position, narrow, position};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn parse(text: &str) -> Result<(Node, Vec<Fault>), Fault> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|error| {
        let at = Position {
            line: narrow(error.line_display()),
            column: narrow(error.column_display()),
        };
        Fault::new(
            at,
            format!(
                "not valid JSON: {}",
                lowercase_first(&error.kind().to_string())
            ),
        )
    })?;
    let lines = Lines::of(text);
    let place = |offset| position(&lines, text, offset);
    let mut faults = Vec::new();
    match parsed.value {
        Some(value) => Ok((node(&value, &place, 0, &mut faults)?, faults)),
        None => Ok((
            Node::scalar(Position { line: 1, column: 1 }, Value::Null),
            faults,
        )),
    }
}

fn node(
    ast: &Ast<'_>,
    place: &impl Fn(usize) -> Position,
    depth: usize,
    faults: &mut Vec<Fault>,
) -> Result<Node, Fault> {
    let at = place(ast.start());
    if depth > MAX_DEPTH {
        return Err(Fault::new(
            at,
            format!("nested deeper than {MAX_DEPTH} levels"),
        ));
    }
    let content = match ast {
        Ast::NumberLit(one) => {
            let number: Number = serde_json::from_str(one.value)
                .map_err(|_| Fault::new(at, format!("`{}` is no JSON number", one.value)))?;
            return Ok(Node::plain(at, Value::Number(number), one.value));
        }
        Ast::NullKeyword(_) => Content::Scalar(Value::Null),
        Ast::BooleanLit(one) => Content::Scalar(Value::Bool(one.value)),
        Ast::StringLit(one) => Content::Scalar(Value::String(one.value.to_string())),
        Ast::Array(one) => {
            let items = one
                .elements
                .iter()
                .map(|item| node(item, place, depth + 1, faults));
            Content::List(items.collect::<Result<_, _>>()?)
        }
        Ast::Object(one) => {
            let mut entries: Vec<Entry> = Vec::with_capacity(one.properties.len());
            let mut first: HashMap<&str, u32> = HashMap::new();
            for property in &one.properties {
                let key = property.name.as_str();
                let at = place(property.range.start);
                if let Some(line) = first.get(key) {
                    let message = format!("`{key}` stands here twice, first in line {line}");
                    faults.push(Fault::new(at, message));
                    continue;
                }
                first.insert(key, at.line);
                let value = node(&property.value, place, depth + 1, faults)?;
                let key = key.to_owned();
                entries.push(Entry { key, at, value });
            }
            Content::Map(entries)
        }
    };
    Ok(Node::new(at, content))
}

fn lowercase_first(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(rest).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for text in [
            "{\"a\": 1,}",
            "{'a': 1}",
            "{a: 1}",
            "{\"a\": 0x1}",
            "// x\n{}",
            "{\"a\" 1}",
            "{\"a\": NaN}",
        ] {
            let fault = parse(text).expect_err(text);
            assert!(
                fault.message.starts_with("not valid JSON: "),
                "{text}: {}",
                fault.message
            );
            assert!(fault.at.line >= 1 && fault.at.column >= 1);
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_key_that_stands_twice() {
        let (node, faults) = parse("{\"a\": 1,\n\"a\": 2}").expect("goes on");
        assert_eq!(node.to_value(), serde_json::json!({"a": 1}));
        assert_eq!(faults[0].at, Position { line: 2, column: 1 });
    }
}
