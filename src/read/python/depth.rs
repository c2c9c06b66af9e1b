//! How deep a source may nest before it is refused.
//!
//! The parser grows its own stack, but a syntax tree is dropped and walked by recursion; so a tree's depth is bounded
//! before there is one, by counting tokens. CPython has its own bounds: 200 open brackets, 100 levels of indentation,
//! and a few thousand operators in one expression.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// The longest source that is read, in bytes. No file that people wrote comes near.
const LENGTH: usize = 4 << 20;

/// The largest number of tokens that can lie one inside the other.
const DEPTH: usize = 1_000;

/// Brackets that are open at once.
const BRACKETS: usize = 200;

/// Levels of indentation.
const INDENTS: usize = 100;

/// Why a source is refused unparsed, if it is: a fragment for a message.
///
/// The bound counts too much rather than too little: every token of an expression that could make it deeper counts,
/// until a comma or the end of the line ends that expression.
pub(super) fn refuse(source: &str) -> Option<&'static str> {
    if source.len() > LENGTH {
        return Some("the file is larger than 4 MiB");
    }
    let mut lexer = lexer::lex(source, Mode::Module);
    // One entry a bracket that is open, the outermost for none: how many tokens deepen the expression before this
    // point, and how many `lambda` await their colon (the commas of their parameters end nothing).
    let mut open = vec![(0_usize, 0_usize)];
    let mut total = 0_usize;
    let mut indents = 0_usize;
    loop {
        let kind = lexer.next_token();
        let brackets = open.len();
        let (depth, lambdas) = open.last_mut()?;
        match kind {
            TokenKind::EndOfFile => return None,
            TokenKind::Indent => indents += 1,
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Complex
            | TokenKind::String
            | TokenKind::FStringMiddle
            | TokenKind::FStringEnd
            | TokenKind::TStringMiddle
            | TokenKind::TStringEnd
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline => {}
            TokenKind::Newline | TokenKind::Semi => {
                total -= *depth;
                (*depth, *lambdas) = (0, 0);
            }
            TokenKind::Comma if *lambdas == 0 => {
                total -= *depth;
                *depth = 0;
            }
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => {
                if brackets > 1 {
                    total -= *depth;
                    open.pop();
                }
            }
            _ => {
                match kind {
                    TokenKind::Lambda => *lambdas += 1,
                    TokenKind::Colon => *lambdas = lambdas.saturating_sub(1),
                    _ => {}
                }
                *depth += 1;
                total += 1;
                if matches!(kind, TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace) {
                    open.push((0, 0));
                }
            }
        }
        if open.len() > BRACKETS {
            return Some("too many brackets are open at once");
        }
        if indents > INDENTS {
            return Some("too many levels of indentation");
        }
        if total > DEPTH {
            return Some("an expression nests too deep");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_sources_pass() {
        let long_list = format!("x = [{}]", "f(1) + -2, ".repeat(10_000));
        let lambdas = format!("x = {{{}}}", "'k': lambda a, b: a + b, ".repeat(10_000));
        let lines = "x = f(a.b.c[1:2])(lambda: 0)\n".repeat(10_000);
        for source in [
            "",
            "x",
            &long_list,
            &lambdas,
            &lines,
            ")",
            "f'{",
            "(",
            "\u{feff}x",
        ] {
            assert_eq!(refuse(source), None, "{source:.40}");
        }
    }

    #[test]
    fn every_way_to_nest_is_refused() {
        for piece in [
            "(",
            "[",
            "{",
            "-",
            "not ",
            "lambda: ",
            "lambda a, b: ",
            "1+",
            "a.",
            "a[0]",
            "a()",
            "await ",
            "*",
            "x if y else ",
            "x:=",
            "f'{",
            "f'{x:{",
            "yield ",
            "a**",
            "x = ",
            "{1:",
            "if x: ",
            "a and ",
            "a<",
            "@",
            "async ",
            "match ",
        ] {
            assert!(refuse(&piece.repeat(100_000)).is_some(), "{piece}");
        }
        let indented: String = (0..150)
            .map(|level| format!("{}if x:\n", " ".repeat(level)))
            .collect();
        assert!(refuse(&indented).is_some());
        assert!(refuse(&" ".repeat(5 << 20)).is_some());
    }
}
