//! What the names of a module stand for.

mod known;

use std::collections::HashMap;
use std::fmt;

use ruff_python_ast::{Expr, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};

use known::starred;

pub(super) use known::BUILTINS;

/// The names that a module binds at its top level, in order, with those in `if`, `try`, `with` and loops there.
#[derive(Default)]
pub(super) struct Scope<'a> {
    names: HashMap<&'a str, Vec<Entry<'a>>>,
    /// Modules of `from x import *`.
    stars: Vec<String>,
    /// `from __future__ import annotations`: every annotation is a string.
    pub(super) postponed: bool,
    /// The place of its file among the tree's entries; `None` for a module that stands alone.
    pub(super) file: Option<usize>,
}

/// One binding of a name.
#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    /// From where on it holds: the end of its statement.
    from: TextSize,
    /// Whether the statement may not be reached, or is reached several times.
    conditional: bool,
    binding: Binding<'a>,
}

/// What a statement binds a name to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binding<'a> {
    /// `import module`: the name is that of the first component.
    Module(&'a str),
    /// `import module as name`
    ModuleAs(&'a str),
    /// `from module import name`: level, module, name.
    From(u32, Option<&'a str>, &'a str),
    Function(&'a StmtFunctionDef),
    Class(&'a StmtClassDef),
    /// The value of an assignment.
    Value(&'a Expr),
    /// Something that cannot be told: a loop's variable, an unpacked tuple.
    Opaque,
    /// Bound before, and its value changed here (`x += 1`, `x["a"] = 1`, `x.append(1)`, `del x`).
    Changed,
}

/// What a name stands for at one place.
#[derive(Clone, Debug)]
pub(super) enum Named<'a> {
    /// By its full name: `typing.Optional`, `builtins.int`, `.models.Config`.
    Imported(String),
    Function(&'a StmtFunctionDef),
    Class(&'a StmtClassDef),
    /// An assignment's value; `stable` unless it is conditional or changed later.
    Value {
        expression: &'a Expr,
        stable: bool,
    },
    /// A module of the repository: never from [`Scope::lookup`], which knows of its own module alone.
    Module(&'a Scope<'a>),
    /// Imported from a module of the repository that does not have it; the fragment says so. Never from
    /// [`Scope::lookup`] either.
    Missing(String),
    /// Bound, but not to be told to what.
    Opaque,
    /// Not bound here, but there are star imports that may bind it.
    Starred,
    /// Not bound at all.
    Undefined,
}

/// Just after everything in a module.
pub(super) const END: TextSize = TextSize::new(u32::MAX);

/// A module is itself alone.
impl PartialEq for Scope<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("file", &self.file).finish()
    }
}

impl<'a> Scope<'a> {
    /// Collects the bindings of a module.
    pub(super) fn of(body: &'a [Stmt]) -> Self {
        let mut scope = Self::default();
        scope.visit(body, false);
        scope
    }

    /// The same for the module in a file of the tree.
    pub(super) fn in_file(body: &'a [Stmt], file: usize) -> Self {
        Self {
            file: Some(file),
            ..Self::of(body)
        }
    }

    /// The name that an assignment at the top level gives to a value.
    pub(super) fn name_of(&self, value: &Expr) -> Option<&'a str> {
        self.names.iter().find_map(|(name, entries)| {
            entries
                .iter()
                .any(|entry| matches!(entry.binding, Binding::Value(one) if std::ptr::eq(one, value)))
                .then_some(*name)
        })
    }

    /// Whether the module itself binds a name.
    pub(super) fn binds(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether a star import of the module takes a name along.
    pub(super) fn exports(&self, name: &str) -> bool {
        let all = match self.lookup("__all__", END) {
            Named::Value {
                expression: Expr::List(list),
                stable: true,
            } => &list.elts,
            Named::Value {
                expression: Expr::Tuple(tuple),
                stable: true,
            } => &tuple.elts,
            _ => return !name.starts_with('_'),
        };
        all.iter()
            .any(|one| matches!(one, Expr::StringLiteral(text) if text.value.to_str() == name))
    }

    /// The modules of its star imports, the last first.
    pub(super) fn stars(&self) -> impl Iterator<Item = &str> {
        self.stars.iter().rev().map(String::as_str)
    }

    /// What `name` stands for just before the place `at`.
    pub(super) fn lookup(&self, name: &str, at: TextSize) -> Named<'a> {
        let entries = self.names.get(name).map_or(&[][..], Vec::as_slice);
        let before = entries.partition_point(|entry| entry.from <= at);
        let mut stable = true;
        let mut found = None;
        for entry in entries[..before].iter().rev() {
            if matches!(entry.binding, Binding::Changed) {
                stable = false;
                continue;
            }
            found = Some(entry);
            break;
        }
        let Some(entry) = found else {
            return self.unbound(name);
        };
        // Of an import with a fallback (`try: … except ImportError: …`), the first choice.
        let first = entries[..before]
            .iter()
            .find(|other| !matches!(other.binding, Binding::Changed));
        let entry = match first {
            Some(first) if entry.conditional && first.conditional && first.is_import() => first,
            _ => entry,
        };
        match entry.binding {
            Binding::Module(module) => {
                Named::Imported(module.split('.').next().unwrap_or(module).to_owned())
            }
            Binding::ModuleAs(module) => Named::Imported(module.to_owned()),
            Binding::From(level, module, name) => {
                let module = full_name(level, module);
                let dot = if module.is_empty() || module.ends_with('.') {
                    ""
                } else {
                    "."
                };
                Named::Imported(format!("{module}{dot}{name}"))
            }
            Binding::Function(function) => Named::Function(function),
            Binding::Class(class) => Named::Class(class),
            Binding::Value(expression) => Named::Value {
                expression,
                stable: stable && !entry.conditional,
            },
            Binding::Opaque | Binding::Changed => Named::Opaque,
        }
    }

    /// Every name that is bound, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.names.keys().copied()
    }

    fn unbound(&self, name: &str) -> Named<'a> {
        for module in self.stars.iter().rev() {
            if starred(module, name) {
                return Named::Imported(format!("{module}.{name}"));
            }
        }
        if BUILTINS.binary_search(&name).is_ok() {
            return Named::Imported(format!("builtins.{name}"));
        }
        if self.stars.is_empty() {
            Named::Undefined
        } else {
            Named::Starred
        }
    }

    fn bind(&mut self, name: &'a str, from: TextSize, conditional: bool, binding: Binding<'a>) {
        self.names.entry(name).or_default().push(Entry {
            from,
            conditional,
            binding,
        });
    }

    fn change(&mut self, target: &'a Expr, from: TextSize) {
        let mut target = target;
        loop {
            match target {
                Expr::Attribute(attribute) => target = &attribute.value,
                Expr::Subscript(subscript) => target = &subscript.value,
                Expr::Name(name) => {
                    if self.names.contains_key(name.id.as_str()) {
                        self.bind(name.id.as_str(), from, true, Binding::Changed);
                    }
                    return;
                }
                _ => return,
            }
        }
    }

    fn target(
        &mut self,
        target: &'a Expr,
        from: TextSize,
        conditional: bool,
        binding: Binding<'a>,
    ) {
        match target {
            Expr::Name(name) => self.bind(name.id.as_str(), from, conditional, binding),
            Expr::Tuple(tuple) => {
                for element in &tuple.elts {
                    self.target(element, from, conditional, Binding::Opaque);
                }
            }
            Expr::List(list) => {
                for element in &list.elts {
                    self.target(element, from, conditional, Binding::Opaque);
                }
            }
            Expr::Starred(starred) => {
                self.target(&starred.value, from, conditional, Binding::Opaque);
            }
            other => self.change(other, from),
        }
    }

    fn visit(&mut self, body: &'a [Stmt], conditional: bool) {
        for statement in body {
            self.statement(statement, conditional);
        }
    }

    fn statement(&mut self, statement: &'a Stmt, conditional: bool) {
        let end = statement.end();
        match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    match &alias.asname {
                        Some(name) => {
                            self.bind(
                                name.as_str(),
                                end,
                                conditional,
                                Binding::ModuleAs(alias.name.as_str()),
                            );
                        }
                        None => {
                            let module = alias.name.as_str();
                            let first = module.split('.').next().unwrap_or(module);
                            self.bind(first, end, conditional, Binding::Module(module));
                        }
                    }
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map(|module| module.as_str());
                for alias in &import.names {
                    let name = alias.name.as_str();
                    if name == "*" {
                        self.stars.push(full_name(import.level, module));
                        continue;
                    }
                    if module == Some("__future__") && name == "annotations" {
                        self.postponed = true;
                    }
                    let local = alias.asname.as_ref().map_or(name, |name| name.as_str());
                    self.bind(
                        local,
                        end,
                        conditional,
                        Binding::From(import.level, module, name),
                    );
                }
            }
            Stmt::FunctionDef(function) => {
                self.bind(
                    function.name.as_str(),
                    end,
                    conditional,
                    Binding::Function(function),
                );
            }
            Stmt::ClassDef(class) => {
                self.bind(class.name.as_str(), end, conditional, Binding::Class(class));
            }
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    self.target(target, end, conditional, Binding::Value(&assign.value));
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.target(&assign.target, end, conditional, Binding::Value(value));
                }
            }
            Stmt::TypeAlias(alias) => {
                self.target(&alias.name, end, conditional, Binding::Value(&alias.value));
            }
            Stmt::AugAssign(assign) => self.change(&assign.target, end),
            Stmt::Delete(delete) => delete
                .targets
                .iter()
                .for_each(|target| self.change(target, end)),
            Stmt::Expr(expression) => {
                // A method of a value may change it; a module's function does not change the module.
                if let Expr::Call(call) = &*expression.value
                    && let Expr::Attribute(method) = &*call.func
                    && let Expr::Name(name) = &*method.value
                    && let Some(entries) = self.names.get(name.id.as_str())
                    && entries
                        .iter()
                        .any(|entry| matches!(entry.binding, Binding::Value(_)))
                {
                    self.change(&method.value, end);
                }
            }
            Stmt::If(branch) => match self.decided(&branch.test) {
                Some(true) => self.visit(&branch.body, conditional),
                decided => {
                    if decided.is_none() {
                        self.visit(&branch.body, true);
                    }
                    for clause in &branch.elif_else_clauses {
                        let certain = decided == Some(false)
                            && clause.test.is_none()
                            && branch.elif_else_clauses.len() == 1;
                        self.visit(&clause.body, conditional || !certain);
                    }
                }
            },
            Stmt::Try(attempt) => {
                let certain = attempt.handlers.is_empty();
                self.visit(&attempt.body, conditional || !certain);
                for ruff_python_ast::ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
                    if let Some(name) = &handler.name {
                        self.bind(name.as_str(), handler.start(), true, Binding::Opaque);
                    }
                    self.visit(&handler.body, true);
                }
                self.visit(&attempt.orelse, conditional || !certain);
                self.visit(&attempt.finalbody, conditional);
            }
            Stmt::With(with) => {
                for item in &with.items {
                    if let Some(target) = &item.optional_vars {
                        self.target(target, with.start(), conditional, Binding::Opaque);
                    }
                }
                self.visit(&with.body, conditional);
            }
            Stmt::For(iteration) => {
                self.target(&iteration.target, iteration.start(), true, Binding::Opaque);
                self.visit(&iteration.body, true);
                self.visit(&iteration.orelse, true);
            }
            Stmt::While(iteration) => {
                self.visit(&iteration.body, true);
                self.visit(&iteration.orelse, true);
            }
            Stmt::Match(choice) => {
                for case in &choice.cases {
                    self.visit(&case.body, true);
                }
            }
            _ => {}
        }
    }

    /// Whether a module-level condition is known: `TYPE_CHECKING` is false when a module is imported, and so is
    /// `__name__ == "__main__"`.
    pub(super) fn decided(&self, test: &Expr) -> Option<bool> {
        match test {
            Expr::BooleanLiteral(literal) => Some(literal.value),
            Expr::Name(name) if name.id == "TYPE_CHECKING" => Some(false),
            Expr::Attribute(attribute) if attribute.attr == *"TYPE_CHECKING" => Some(false),
            Expr::Compare(compare) => {
                let is_name = |expression: &Expr| matches!(expression, Expr::Name(name) if name.id == "__name__");
                let is_main = |expression: &Expr| matches!(expression, Expr::StringLiteral(text) if text.value.to_str() == "__main__");
                let other = compare.comparators.first()?;
                let both = (is_name(&compare.left) && is_main(other))
                    || (is_main(&compare.left) && is_name(other));
                (both && *compare.ops == [ruff_python_ast::CmpOp::Eq]).then_some(false)
            }
            Expr::UnaryOp(not) if not.op == ruff_python_ast::UnaryOp::Not => {
                self.decided(&not.operand).map(|value| !value)
            }
            _ => None,
        }
    }
}

/// A module's name with the dots that a relative import starts with.
fn full_name(level: u32, module: Option<&str>) -> String {
    let dots = ".".repeat(usize::try_from(level).unwrap_or(0).min(64));
    dots + module.unwrap_or_default()
}

impl Entry<'_> {
    fn is_import(&self) -> bool {
        matches!(
            self.binding,
            Binding::Module(_) | Binding::ModuleAs(_) | Binding::From(..)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(source: &str, name: &str) -> String {
        let parsed = ruff_python_parser::parse_module(source)
            .expect("the test's source is valid")
            .into_syntax();
        match Scope::of(&parsed.body).lookup(name, parsed.end()) {
            Named::Imported(name) => name,
            Named::Function(function) => format!("def at {}", u32::from(function.start())),
            Named::Class(_) => "class".to_owned(),
            Named::Value { expression, stable } => {
                format!(
                    "{} {stable}",
                    &source[expression.start().into()..expression.end().into()]
                )
            }
            Named::Opaque | Named::Module(_) | Named::Missing(_) => "opaque".to_owned(),
            Named::Starred => "starred".to_owned(),
            Named::Undefined => "undefined".to_owned(),
        }
    }

    #[test]
    fn names_stand_for_their_last_binding() {
        for (source, name, expected) in [
            ("import a.b", "a", "a"),
            ("import a.b as c", "c", "a.b"),
            ("from a.b import c as d", "d", "a.b.c"),
            ("from ..a import b", "b", "..a.b"),
            ("from . import b", "b", ".b"),
            ("from typing import *", "Any", "typing.Any"),
            ("from prefect import *", "other", "starred"),
            ("from lib import *", "other", "starred"),
            ("x = 1\nx = 2", "x", "2 true"),
            ("x = 1\nx += 2", "x", "1 false"),
            ("x = {}\nx['a'] = 2", "x", "{} false"),
            ("x = []\nx.append(2)", "x", "[] false"),
            ("import x\nx.run()\n", "x", "x"),
            ("if a:\n  x = 1", "x", "1 false"),
            ("x: int = 1", "x", "1 true"),
            ("x: int", "x", "undefined"),
            ("x, y = 1, 2", "x", "opaque"),
            ("for x in y: pass", "x", "opaque"),
            ("def f(): pass\ndef f(): pass", "f", "def at 14"),
            (
                "try:\n  from a import x\nexcept ImportError:\n  x = None",
                "x",
                "a.x",
            ),
            (
                "try:\n  from a import x\nexcept ImportError:\n  from b import x",
                "x",
                "a.x",
            ),
            (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  from a import x",
                "x",
                "undefined",
            ),
            ("if not TYPE_CHECKING:\n  x = 1", "x", "1 true"),
            ("if TYPE_CHECKING:\n  x = 1\nelse:\n  x = 2", "x", "2 true"),
            (
                "if __name__ == '__main__':\n  def f(): pass",
                "f",
                "undefined",
            ),
            ("", "print", "builtins.print"),
            ("", "nothing", "undefined"),
        ] {
            assert_eq!(last(source, name), expected, "{source}");
        }
    }
}
