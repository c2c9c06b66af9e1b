//! Python, read by parsing and never run: the flows of a file, their names, parameters and parameter schemas.
//!
//! Reading is total: any text gives a result or a fault, in time and memory bounded by its length. What only a running
//! interpreter could tell is reported as a [`Gap`], never guessed.

mod annotation;
mod attached;
mod class;
mod constant;
mod depth;
mod docstring;
mod flow;
mod imported;
mod known;
mod library;
pub(in crate::read) mod program;
mod schema;
mod scope;
mod value;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::model::{Dialect, nearest};
use ruff_python_ast::statement_visitor::{StatementVisitor, walk_stmt};
use ruff_python_ast::{Expr, ModModule, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange, TextSize};

use super::lines::Lines;
use constant::Evaluator;
use flow::{Configured, Found};
use scope::Scope;

pub use imported::Imported;
pub use library::{Broken, Library, Modules};

/// A parsed Python file.
#[derive(Debug)]
pub struct Module {
    /// With `\n` for every line's end, as Python itself reads it.
    source: String,
    syntax: ModModule,
    /// Made when the first place is asked for.
    lines: OnceLock<Lines>,
}

/// A file that is not Python.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxFault {
    /// Line, from 1; 0 where the fault is the whole file's.
    pub line: u32,
    /// Column in characters, from 1; 0 where the fault is the whole file's.
    pub column: u32,
    /// What is wrong: a lower-case fragment.
    pub message: String,
}

/// A flow, as Prefect would register it.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The flow's name: `name=` of the decorator, or the function's name with `-` for `_`.
    pub name: String,
    /// `description=` of the decorator, or the function's docstring without its indentation; `None` without either.
    pub description: Option<String>,
    /// `version=` of the decorator, where that is a constant text.
    pub version: Option<String>,
    /// The names of all parameters in order, `*args` and `**kwargs` among them, `self` and `cls` only for Prefect 2.
    pub parameters: Vec<String>,
    /// Whether it takes any other keyword (`**kwargs`).
    pub variadic: bool,
    /// `parameter_openapi_schema`: an object with `title`, `type` and `properties`, and with `required` and
    /// `definitions` where these are not empty.
    pub schema: serde_json::Value,
    /// What of it only a running interpreter could tell, in order of the parameters; the schema says nothing of it.
    pub unknown: Vec<Gap>,
    /// Line of the function's name, from 1.
    pub line: u32,
    /// Column of the function's name in characters, from 1.
    pub column: u32,
}

/// An attribute that a module sets on one of its flows.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value as a deployment file would have it: a schedule as a mapping with `cron`, `interval` or `rrule`, a
    /// duration in seconds; why it is not known, as a lower-case fragment, where that is so.
    pub value: Result<serde_json::Value, String>,
    /// Line of the value's expression, from 1.
    pub line: u32,
    /// Column of the value's expression in characters, from 1.
    pub column: u32,
}

/// Something of a flow that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What it is of.
    pub part: Part,
    /// The expression as written.
    pub text: String,
    /// Why: a lower-case fragment.
    pub reason: String,
    /// Line of the expression, from 1.
    pub line: u32,
    /// Column of the expression in characters, from 1.
    pub column: u32,
    /// What it is in another module that is not known: the place of the file among the tree's entries, and the offset;
    /// see [`Modules::place`].
    pub cause: Option<(usize, TextSize)>,
}

/// A part of a flow's declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The type of the parameter of this name: its schema lets any value through.
    Annotation(String),
    /// The default of the parameter of this name: the schema gives none, and does not require the parameter.
    Default(String),
    /// `description=` of the decorator: the flow has none.
    Description,
}

/// Why a function could not be read as a flow. The message fits after "failed to read the flow: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowFault {
    /// There is no such function.
    #[error("the file defines no such function")]
    Missing {
        /// The flow of the file whose name is nearest, if one is near.
        nearest: Option<String>,
    },
    /// It is there, but not a flow.
    #[error("{}", match decorator {
        Some(decorator) => format!("`@{decorator}` is not known to make a flow"),
        None => "it is not decorated with `@flow`".to_owned(),
    })]
    NotAFlow {
        /// Line of its name, from 1.
        line: u32,
        /// Column of its name in characters, from 1.
        column: u32,
        /// A decorator of unknown origin that it has, as written.
        decorator: Option<String>,
    },
    /// `name=` is not a constant.
    #[error("its name `{expression}` is not a constant: {reason}")]
    NameNotConstant {
        /// Line of the expression, from 1.
        line: u32,
        /// Column of the expression in characters, from 1.
        column: u32,
        /// The expression as written.
        expression: String,
        /// Why: a lower-case fragment.
        reason: String,
    },
    /// The name holds one of the characters that Prefect refuses: `/ % & < >`.
    #[error("its name {name:?} holds one of `/ % & < >`, which Prefect refuses")]
    NameRefused {
        /// Line of the name, from 1.
        line: u32,
        /// Column of the name in characters, from 1.
        column: u32,
        /// The name.
        name: String,
    },
    /// An annotation names what is not defined when the file is imported, and Prefect 2 fails to make such a flow.
    /// Prefect 3 lets any value through.
    #[error("`{name}` in its annotations is not defined, and Prefect 2 cannot import such a flow")]
    TypeUndefined {
        /// Line of the annotation, from 1.
        line: u32,
        /// Column of the annotation in characters, from 1.
        column: u32,
        /// The name.
        name: String,
    },
    /// A parameter's name starts with `_`, or is `return_state` or `wait_for`: Prefect refuses such a flow.
    #[error("its parameter `{parameter}` has a name that Prefect refuses")]
    ParameterRefused {
        /// Line of the parameter, from 1.
        line: u32,
        /// Column of the parameter in characters, from 1.
        column: u32,
        /// The name.
        parameter: String,
    },
}

impl Module {
    /// Parses a file's text. Any line ends and a byte order mark are fine.
    pub fn parse(source: &str) -> Result<Self, SyntaxFault> {
        if let Some(reason) = depth::refuse(source) {
            return Err(SyntaxFault {
                line: 0,
                column: 0,
                message: reason.to_owned(),
            });
        }
        let source = if source.contains('\r') {
            Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"))
        } else {
            Cow::Borrowed(source)
        };
        match ruff_python_parser::parse_module(&source) {
            Ok(parsed) => Ok(Self {
                syntax: parsed.into_syntax(),
                source: source.into_owned(),
                lines: OnceLock::new(),
            }),
            Err(fault) => {
                let offset = fault.location.start().to_usize();
                let (line, column) = Lines::of(&source).position(&source, offset);
                let message = fault.error.to_string();
                let mut chars = message.chars();
                let message = chars
                    .next()
                    .map(|first| first.to_lowercase().chain(chars).collect());
                Err(SyntaxFault {
                    line,
                    column,
                    message: message.unwrap_or_default(),
                })
            }
        }
    }

    /// The flow that an entrypoint names after its `:`, `function` or `Class.method`; of several definitions the last.
    /// The file is read alone: what it imports from the repository is not known. [`Library::flow`] knows it.
    pub fn flow(&self, function: &str, dialect: Dialect) -> Result<Flow, FlowFault> {
        let scope = Scope::of(&self.syntax.body);
        self.read(&Evaluator::new(&scope, None), function, dialect)
    }

    fn read<'a>(
        &'a self,
        evaluator: &Evaluator<'a>,
        function: &str,
        dialect: Dialect,
    ) -> Result<Flow, FlowFault> {
        let definition = match flow::find(evaluator, function) {
            Found::Flow(definition) => definition,
            Found::Other(at, decorator) => {
                let (line, column) = self.place(at);
                let decorator = decorator.map(|decorator| self.text(decorator.range()));
                return Err(FlowFault::NotAFlow {
                    line,
                    column,
                    decorator,
                });
            }
            Found::Missing => {
                let names = flow::all(evaluator);
                let nearest = nearest(function, names.iter().map(|(name, _)| *name));
                let nearest = nearest.map(str::to_owned);
                return Err(FlowFault::Missing { nearest });
            }
        };
        let name = self.name(evaluator, &definition)?;
        for parameter in definition.function.parameters.iter() {
            let parameter = &parameter.as_parameter().name;
            if parameter.starts_with('_')
                || matches!(parameter.as_str(), "return_state" | "wait_for")
            {
                let (line, column) = self.place(parameter.start());
                return Err(FlowFault::ParameterRefused {
                    line,
                    column,
                    parameter: parameter.to_string(),
                });
            }
        }
        let mut unknown = Vec::new();
        let description = match definition.configured("description") {
            Configured::Text(text, ..) => Some(text),
            Configured::Absent => schema::docstring_of(definition.function),
            Configured::Unknown(scope, expression, reason) => {
                let range = own_range(evaluator, scope, expression, definition.function);
                unknown.push(self.gap(Part::Description, range, reason));
                None
            }
        };
        let version = match definition.configured("version") {
            Configured::Text(text, ..) => Some(text),
            Configured::Absent | Configured::Unknown(..) => None,
        };
        let signature = schema::signature(evaluator, definition.function, dialect);
        if let (Some((name, annotation)), Dialect::Prefect2) = (signature.undefined, dialect) {
            let (line, column) = self.place(annotation.start());
            return Err(FlowFault::TypeUndefined { line, column, name });
        }
        for (parameter, part, expression, reason) in signature.gaps {
            let part = match part {
                schema::Part::Annotation => Part::Annotation(parameter),
                schema::Part::Default => Part::Default(parameter),
            };
            unknown.push(self.gap(part, expression.range(), reason));
        }
        let (line, column) = self.place(definition.function.name.start());
        Ok(Flow {
            name,
            description,
            version,
            parameters: signature.parameters,
            variadic: signature.variadic,
            schema: signature.schema,
            unknown,
            line,
            column,
        })
    }

    /// The flows at the top level: the names that entrypoints can give, each with the line of its function, from 1, in
    /// the order of the file.
    pub fn flows(&self) -> Vec<(String, u32)> {
        let scope = Scope::of(&self.syntax.body);
        self.flows_of(&Evaluator::new(&scope, None))
    }

    fn attributes_of<'a>(&'a self, evaluator: &Evaluator<'a>, flow: &str) -> Vec<Attribute> {
        attached::attached(evaluator, &self.syntax.body, flow)
            .into_iter()
            .map(|(name, expression, value)| {
                let (line, column) = self.place(expression.start());
                Attribute {
                    name,
                    value: value.map_err(|unknown| unknown.reason),
                    line,
                    column,
                }
            })
            .collect()
    }

    fn flows_of<'a>(&'a self, evaluator: &Evaluator<'a>) -> Vec<(String, u32)> {
        flow::all(evaluator)
            .into_iter()
            .map(|(name, definition)| {
                (
                    name.to_owned(),
                    self.place(definition.function.name.start()).0,
                )
            })
            .collect()
    }

    /// The modules that the file imports anywhere, by their full names and each once, sorted: `a.b` for `import a.b`,
    /// `a.b.c` for `from a.b import c` (which may be a module or something in one), `a.*` for `from a import *`;
    /// relative ones with their leading dots.
    pub fn imports(&self) -> Vec<String> {
        let mut imports = Imports::default();
        imports.visit_body(&self.syntax.body);
        imports.0.into_iter().collect()
    }

    fn name<'a>(
        &self,
        evaluator: &Evaluator<'a>,
        definition: &flow::Definition<'a>,
    ) -> Result<String, FlowFault> {
        let (name, at) = match definition.configured("name") {
            Configured::Text(name, scope, expression) => {
                let range = own_range(evaluator, scope, expression, definition.function);
                (name, range.start())
            }
            Configured::Absent => {
                let function = &definition.function.name;
                (function.as_str().replace('_', "-"), function.start())
            }
            Configured::Unknown(scope, expression, unknown) => {
                let range = own_range(evaluator, scope, expression, definition.function);
                let (line, column) = self.place(range.start());
                return Err(FlowFault::NameNotConstant {
                    line,
                    column,
                    expression: self.text(range),
                    reason: unknown.reason,
                });
            }
        };
        if name.contains(['/', '%', '&', '<', '>']) {
            let (line, column) = self.place(at);
            return Err(FlowFault::NameRefused { line, column, name });
        }
        Ok(name)
    }

    fn gap(&self, part: Part, range: TextRange, unknown: value::Unknown) -> Gap {
        let (line, column) = self.place(range.start());
        Gap {
            part,
            text: self.text(range),
            reason: unknown.reason,
            line,
            column,
            cause: unknown.file.map(|file| (file, unknown.at)),
        }
    }

    /// The source of an expression.
    fn text(&self, range: TextRange) -> String {
        self.source
            .get(range.start().to_usize()..range.end().to_usize())
            .unwrap_or_default()
            .to_owned()
    }

    fn place(&self, at: TextSize) -> (u32, u32) {
        let lines = self.lines.get_or_init(|| Lines::of(&self.source));
        lines.position(&self.source, at.to_usize())
    }
}

/// Where an expression is in the flow's own module: that of the function's name for one of another module.
fn own_range<'a>(
    evaluator: &Evaluator<'a>,
    scope: &Scope<'a>,
    expression: &Expr,
    function: &StmtFunctionDef,
) -> TextRange {
    if std::ptr::eq(evaluator.scope, scope) {
        expression.range()
    } else {
        function.name.range()
    }
}

/// The modules that are imported.
#[derive(Default)]
struct Imports(BTreeSet<String>);

impl<'s> StatementVisitor<'s> for Imports {
    fn visit_stmt(&mut self, statement: &'s Stmt) {
        match statement {
            Stmt::Import(import) => {
                self.0
                    .extend(import.names.iter().map(|alias| alias.name.to_string()));
            }
            Stmt::ImportFrom(import) => {
                let dots = ".".repeat(usize::try_from(import.level).unwrap_or_default());
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                let dot = if module.is_empty() { "" } else { "." };
                for alias in &import.names {
                    self.0.insert(format!("{dots}{module}{dot}{}", alias.name));
                }
            }
            other => walk_stmt(self, other),
        }
    }
}

#[cfg(test)]
mod tests;
