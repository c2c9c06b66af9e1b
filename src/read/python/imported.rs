//! What a file imports, wherever in it: at the top, in a function, in either branch of a condition.
//!
//! Beside the statements, calls count that import a module by its name where the name can be read off: `import_module`,
//! `__import__` and `run_module` with a text, a list of texts that is looped over, or a text that begins with one. A name
//! that only a running interpreter could tell is left out.

use std::collections::HashMap;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, FStringPart, InterpolatedStringElement, Operator, Stmt};

use super::Module;

/// What one statement or call imports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Imported {
    /// `import a.b`: a module, and the packages that it is in.
    Module(String),
    /// `from a.b import c, d`: a module, and of the names those that are modules in it.
    From {
        /// The number of leading dots; 0 for an absolute import.
        level: u32,
        /// `a.b`; empty for `from . import c`.
        module: String,
        /// The names; `*` for all.
        names: Vec<String>,
    },
    /// `import_module(f"a.b.{name}")`: any module of the package `a.b`, which is relative with a `level` above 0.
    Any {
        /// The number of leading dots.
        level: u32,
        /// `a.b`.
        package: String,
    },
}

impl Module {
    /// What the file imports, each once, sorted.
    pub fn imported(&self) -> Vec<Imported> {
        let mut found = Finder {
            imported: Vec::new(),
            texts: HashMap::new(),
            calls: ["import_module", "__import__", "run_module"]
                .iter()
                .any(|name| self.source.contains(name)),
        };
        if found.calls {
            found.bind(&self.syntax.body);
        }
        found.visit_body(&self.syntax.body);
        let mut imported = found.imported;
        imported.sort_unstable();
        imported.dedup();
        imported
    }

    /// The texts of `__all__`, where the file writes it as a list or tuple of texts; empty otherwise.
    pub fn exported(&self) -> Vec<String> {
        let mut all = Vec::new();
        for statement in &self.syntax.body {
            let value = match statement {
                Stmt::Assign(assign) if assign.targets.iter().any(is_all) => Some(&assign.value),
                Stmt::AnnAssign(assign) if is_all(&assign.target) => assign.value.as_ref(),
                Stmt::AugAssign(assign) if is_all(&assign.target) => Some(&assign.value),
                _ => None,
            };
            all.extend(value.map(|value| literals(value)).unwrap_or_default());
        }
        all
    }
}

fn is_all(target: &Expr) -> bool {
    matches!(target, Expr::Name(name) if name.id.as_str() == "__all__")
}

struct Finder<'a> {
    imported: Vec<Imported>,
    /// The texts that a name may stand for, whatever its scope.
    texts: HashMap<&'a str, Vec<String>>,
    /// Whether there may be calls that import.
    calls: bool,
}

impl<'a> Finder<'a> {
    /// Notes the names that are bound to texts.
    fn bind(&mut self, body: &'a [Stmt]) {
        struct Bindings<'f, 'a>(&'f mut HashMap<&'a str, Vec<String>>);
        impl<'a> Bindings<'_, 'a> {
            fn bind(&mut self, target: &'a Expr, value: &Expr) {
                let Expr::Name(name) = target else {
                    return;
                };
                let texts = match value {
                    Expr::Name(other) => self.0.get(other.id.as_str()).cloned(),
                    _ => Some(literals(value)),
                };
                let texts = texts.unwrap_or_default();
                self.0.entry(name.id.as_str()).or_default().extend(texts);
            }
        }
        impl<'a> Visitor<'a> for Bindings<'_, 'a> {
            fn visit_stmt(&mut self, statement: &'a Stmt) {
                match statement {
                    Stmt::Assign(assign) => {
                        for target in &assign.targets {
                            self.bind(target, &assign.value);
                        }
                    }
                    Stmt::AnnAssign(assign) => {
                        if let Some(value) = &assign.value {
                            self.bind(&assign.target, value);
                        }
                    }
                    Stmt::For(each) => self.bind(&each.target, &each.iter),
                    _ => {}
                }
                walk_stmt(self, statement);
            }
            fn visit_expr(&mut self, expression: &'a Expr) {
                let generators = match expression {
                    Expr::ListComp(one) => &one.generators,
                    Expr::SetComp(one) => &one.generators,
                    Expr::DictComp(one) => &one.generators,
                    Expr::Generator(one) => &one.generators,
                    other => return walk_expr(self, other),
                };
                for generator in generators {
                    self.bind(&generator.target, &generator.iter);
                }
                walk_expr(self, expression);
            }
        }
        Bindings(&mut self.texts).visit_body(body);
    }

    fn call(&mut self, call: &ExprCall) {
        let function = match &*call.func {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return,
        };
        if !matches!(function, "import_module" | "__import__" | "run_module") {
            return;
        }
        let arguments = &call.arguments;
        let named = match function {
            "run_module" => "mod_name",
            _ => "name",
        };
        let Some(name) = arguments.find_argument_value(named, 0) else {
            return;
        };
        // `import_module(".x", package)`: `__name__` and `__package__` are the file's own, a text names another.
        let package = arguments
            .find_argument_value("package", 1)
            .filter(|_| function == "import_module");
        for (text, whole) in self.names(name) {
            let absolute = text.trim_start_matches('.');
            let mut level = u32::try_from(text.len() - absolute.len()).unwrap_or(u32::MAX);
            let mut absolute = absolute.to_owned();
            if let (1.., Some(Expr::StringLiteral(package))) = (level, package) {
                let parts: Vec<&str> = package.value.to_str().split('.').collect();
                let kept = (parts.len() + 1).saturating_sub(level as usize);
                let mut parts = parts.get(..kept).unwrap_or_default().to_vec();
                parts.extend((!absolute.is_empty()).then_some(absolute.as_str()));
                absolute = parts.join(".");
                level = 0;
            }
            self.imported.push(if !whole {
                let package = absolute.rsplit_once('.').map_or("", |(package, _)| package);
                let package = package.to_owned();
                if package.is_empty() && level == 0 {
                    continue;
                }
                Imported::Any { level, package }
            } else if level == 0 {
                Imported::Module(absolute)
            } else {
                let (module, name) = absolute.rsplit_once('.').unwrap_or(("", &absolute));
                Imported::From {
                    level,
                    module: module.to_owned(),
                    names: vec![name.to_owned()],
                }
            });
        }
    }

    /// The texts that an expression may be, or may begin with where they are not `whole`.
    fn names(&self, name: &Expr) -> Vec<(String, bool)> {
        match name {
            Expr::StringLiteral(text) => vec![(text.value.to_str().to_owned(), true)],
            Expr::Name(name) => self
                .texts
                .get(name.id.as_str())
                .into_iter()
                .flatten()
                .map(|text| (text.clone(), true))
                .collect(),
            Expr::FString(text) => {
                let mut begin = String::new();
                for part in text.value.as_slice() {
                    match part {
                        FStringPart::Literal(literal) => begin.push_str(&literal.value),
                        FStringPart::FString(inner) => {
                            for element in &inner.elements {
                                let InterpolatedStringElement::Literal(literal) = element else {
                                    return vec![(begin, false)];
                                };
                                begin.push_str(&literal.value);
                            }
                        }
                    }
                }
                vec![(begin, true)]
            }
            Expr::BinOp(operation) if operation.op == Operator::Add => {
                let left = self.names(&operation.left).into_iter();
                left.flat_map(|(left, whole)| {
                    let right = if whole {
                        self.names(&operation.right)
                    } else {
                        Vec::new()
                    };
                    if right.is_empty() {
                        return vec![(left, false)];
                    }
                    let join = |(right, whole): (String, bool)| (format!("{left}{right}"), whole);
                    right.into_iter().map(join).collect()
                })
                .collect()
            }
            Expr::BinOp(operation) if operation.op == Operator::Mod => {
                self.begins(&operation.left, '%')
            }
            Expr::Call(call) => match &*call.func {
                Expr::Attribute(attribute) if attribute.attr.as_str() == "format" => {
                    self.begins(&attribute.value, '{')
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// What the texts of a template begin with.
    fn begins(&self, template: &Expr, mark: char) -> Vec<(String, bool)> {
        let names = self.names(template).into_iter();
        names
            .map(|(text, _)| {
                (
                    text.split(mark).next().unwrap_or_default().to_owned(),
                    false,
                )
            })
            .collect()
    }
}

impl<'a> Visitor<'a> for Finder<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => {
                let names = import.names.iter().map(|alias| alias.name.to_string());
                self.imported.extend(names.map(Imported::Module));
            }
            Stmt::ImportFrom(import) => self.imported.push(Imported::From {
                level: import.level,
                module: import
                    .module
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                names: import
                    .names
                    .iter()
                    .map(|alias| alias.name.to_string())
                    .collect(),
            }),
            other => walk_stmt(self, other),
        }
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        // Without calls that import there is nothing in expressions.
        if !self.calls {
            return;
        }
        if let Expr::Call(call) = expression {
            self.call(call);
        }
        walk_expr(self, expression);
    }
}

/// The texts of a text, or of a list, tuple or set of texts; of anything else none.
fn literals(value: &Expr) -> Vec<String> {
    let elements = match value {
        Expr::StringLiteral(text) => return vec![text.value.to_str().to_owned()],
        Expr::List(list) => &list.elts,
        Expr::Tuple(tuple) => &tuple.elts,
        Expr::Set(set) => &set.elts,
        _ => return Vec::new(),
    };
    let texts = elements.iter().filter_map(|element| match element {
        Expr::StringLiteral(text) => Some(text.value.to_str().to_owned()),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(source: &str) -> Vec<String> {
        let module = Module::parse(source).expect("it is Python");
        let text = |one: Imported| match one {
            Imported::Module(name) => name,
            Imported::From {
                level,
                module,
                names,
            } => format!(
                "{}{module}: {}",
                ".".repeat(level as usize),
                names.join(" ")
            ),
            Imported::Any { level, package } => {
                format!("{}{package}.?", ".".repeat(level as usize))
            }
        };
        module.imported().into_iter().map(text).collect()
    }

    #[test]
    fn every_way_to_import() {
        let cases: &[(&str, &[&str])] = &[
            ("import a, b.c as d", &["a", "b.c"]),
            ("from a.b import c, d as e", &["a.b: c d"]),
            ("from . import x\nfrom ..y import *", &[".: x", "..y: *"]),
            ("def f():\n  with x:\n    import a", &["a"]),
            (
                "try:\n  import a\nexcept ImportError:\n  import b\nelse:\n  import c\nfinally:\n  import d",
                &["a", "b", "c", "d"],
            ),
            ("match x:\n  case 1:\n    import a", &["a"]),
            ("x = 1; import a", &["a"]),
            (
                "import importlib\nimportlib.import_module('a.b')",
                &["a.b", "importlib"],
            ),
            ("y = [import_module(x) for x in ('a', 'b')]", &["a", "b"]),
            (
                "NAMES = ['a', 'b']\nfor n in NAMES:\n  import_module(name=n)",
                &["a", "b"],
            ),
            (
                "import_module(f'a.b.{x}')\nimport_module('c.%s' % x)",
                &["a.b.?", "c.?"],
            ),
            (
                "import_module('a.{}.c'.format(x))\n__import__('b.' + x)",
                &["a.?", "b.?"],
            ),
            (
                "import_module('a' + '.b')\nimport_module(f'c')",
                &["a.b", "c"],
            ),
            (
                "import_module('.x', 'a.b')\nimport_module('..x', package='a.b')",
                &["a.b.x", "a.x"],
            ),
            (
                "import_module('.x', __package__)\nimport_module(f'.{x}', __name__)",
                &[".: x", "..?"],
            ),
            (
                "import_module(name)\nimport_module()\nimport_module(f'{x}')",
                &[],
            ),
            ("runpy.run_module('a.b')", &["a.b"]),
            ("x = 'import a'\n# import_module('a')", &[]),
        ];
        for (source, expected) in cases {
            let mut found = imported(source);
            let mut expected = expected.to_vec();
            found.sort();
            expected.sort_unstable();
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn what_is_exported() {
        let exported = |source: &str| Module::parse(source).expect("Python").exported();
        assert_eq!(exported("__all__ = ['a']\n__all__ += ('b',)"), ["a", "b"]);
        assert_eq!(exported("__all__ = f()"), [""; 0]);
    }
}
