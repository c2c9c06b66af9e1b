//! Imports: modules of the repository are run, all others are names.

use std::collections::HashMap;
use std::rc::Rc;

use ruff_python_ast::{StmtImport, StmtImportFrom};

use super::value::Object;
use super::{At, Frame, Kind, Machine, Stop, Value};
use crate::model::RepoPath;

/// What a module's name leads to.
enum Found {
    /// A file of the tree.
    File(usize),
    /// A folder without `__init__.py`.
    Folder(RepoPath),
}

impl<'a> Machine<'a> {
    /// Runs the main file, or an imported one.
    pub(super) fn execute(&mut self, module: usize, at: At) -> Result<(), Stop> {
        let name = if module == self.main { "__main__" } else { "" };
        let scope = self.module_scope(module, name, at);
        let frame = Frame {
            module,
            scopes: Rc::from([scope]),
            class: false,
            elsewhere: Rc::default(),
            yields: None,
        };
        self.body(module, &frame, at).map(|_| ())
    }

    fn module_scope(&mut self, module: usize, name: &str, at: At) -> usize {
        let path = self.modules().path(module).clone();
        let file = self.absolute(&path);
        let stem = path.file_name().trim_end_matches(".py").to_owned();
        let name = if name.is_empty() { &stem } else { name };
        let names = HashMap::from([
            ("__file__", Value::text(file, at)),
            ("__name__", Value::text(name, at)),
            ("__doc__", Value::none(at)),
        ]);
        self.push(Object::Scope(names))
    }

    /// `import a.b`, `import a.b as c`.
    pub(super) fn import(
        &mut self,
        import: &'a StmtImport,
        frame: &Frame<'a>,
        at: At,
    ) -> Result<(), Stop> {
        for alias in &import.names {
            let full = alias.name.as_str();
            let first = full.split('.').next().unwrap_or(full);
            let top = self.module(first, at)?;
            let whole = if full == first {
                top.clone()
            } else {
                self.module(full, at)?
            };
            match &alias.asname {
                Some(name) => self.bind(
                    name.as_str(),
                    whole.unwrap_or_else(|| named(full, at)),
                    frame,
                ),
                None => self.bind(first, top.unwrap_or_else(|| named(first, at)), frame),
            }
        }
        Ok(())
    }

    /// `from a.b import c`.
    pub(super) fn import_from(
        &mut self,
        import: &'a StmtImportFrom,
        frame: &Frame<'a>,
        at: At,
    ) -> Result<(), Stop> {
        let written = import.module.as_ref().map_or("", |module| module.as_str());
        let module = if import.level > 0 {
            self.relative(import.level, written, frame.module, at)?
        } else {
            self.module(written, at)?
        };
        for alias in &import.names {
            let name = alias.name.as_str();
            if name == "*" {
                self.import_all(module.as_ref(), written, frame, at);
                continue;
            }
            let local = alias.asname.as_ref().map_or(name, |name| name.as_str());
            let here = At {
                module: frame.module,
                range: alias.range,
            };
            let value = match &module {
                Some(module) => self.of_module(module, name, here)?,
                None if import.level > 0 => {
                    let dots = ".".repeat(usize::try_from(import.level).unwrap_or(1).min(8));
                    Value::unknown(
                        format!("there is no module `{dots}{written}` in the repository"),
                        here,
                    )
                }
                None => named(&format!("{written}.{name}"), here),
            };
            self.bind(local, value, frame);
        }
        Ok(())
    }

    fn import_all(&mut self, module: Option<&Value>, written: &str, frame: &Frame<'a>, at: At) {
        let scope = module.and_then(|module| self.scope_of(module));
        let Some(Object::Scope(names)) = scope.map(|scope| &self.heap[scope].object) else {
            let text = format!("it may come from `from {written} import *`");
            self.bind("*", Value::unknown(text, at), frame);
            return;
        };
        let names: Vec<_> = names
            .iter()
            .filter(|(name, _)| !name.starts_with('_'))
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        self.spend(names.len());
        for (name, value) in names {
            self.bind(name, value, frame);
        }
    }

    /// What a module holds under a name: something bound in it, or a module in its folder.
    pub(super) fn of_module(&mut self, module: &Value, name: &str, at: At) -> Result<Value, Stop> {
        let Kind::Module(id) = module.kind else {
            return Ok(Value::unknown("the module is not known", at));
        };
        let Object::Module {
            index,
            folder,
            scope,
        } = &self.heap[id].object
        else {
            return Ok(Value::unknown("the module is not known", at));
        };
        let (index, folder, scope) = (*index, folder.clone(), *scope);
        if let Some(value) = self.bound_in(scope, name) {
            return Ok(self.settled(&value));
        }
        let package =
            index.is_none_or(|index| self.modules().path(index).file_name() == "__init__.py");
        if package && let Some(found) = self.find(&folder, name) {
            return self.load(found, at);
        }
        if let Some(Value {
            kind: Kind::Unknown(unknown),
            ..
        }) = self.bound_in(scope, "*")
        {
            return Ok(Value::why(&unknown, at));
        }
        let place = index.map_or(folder, |index| self.modules().path(index).clone());
        if let Some(index) = index
            && self.modules().get(index).is_err()
        {
            return Ok(Value::unknown(format!("{place} is not valid Python"), at));
        }
        Ok(Value::unknown(
            format!("there is no `{name}` in {place}"),
            at,
        ))
    }

    /// A module of the repository by its full name, looked for in the folders of `sys.path`; `None` where it is not in
    /// the repository.
    pub(super) fn module(&mut self, full: &str, at: At) -> Result<Option<Value>, Stop> {
        self.charge(8, at)?;
        let path = Value::new(Kind::List(self.path), at);
        let folders = self.items(&path).unwrap_or_default();
        self.charge(folders.len() * 4, at)?;
        let first = full.split('.').next().unwrap_or(full);
        // A folder without a file of Python in it (`prefect/` with YAML alone) hides no installed package.
        let mut bare = None;
        for folder in folders {
            let Some(folder) = folder.as_path().and_then(|path| self.repository_path(path)) else {
                continue;
            };
            match self.find(&folder, first) {
                Some(Found::File(_)) => return self.descend(&folder, full, at),
                Some(Found::Folder(_)) if bare.is_none() => bare = Some(folder),
                _ => {}
            }
        }
        match bare {
            Some(folder) if !self.is_standard(full) && !full.starts_with("prefect") => {
                self.descend(&folder, full, at)
            }
            _ => Ok(None),
        }
    }

    fn relative(
        &mut self,
        level: u32,
        written: &str,
        module: usize,
        at: At,
    ) -> Result<Option<Value>, Stop> {
        let mut folder = self.folder(module);
        for _ in 1..level {
            match folder.parent() {
                Some(parent) => folder = parent,
                None => return Ok(None),
            }
        }
        if !written.is_empty() {
            return self.descend(&folder, written, at);
        }
        let init = folder.join("__init__.py");
        let found = match self.modules().tree().position(&init) {
            Some(index) => Found::File(index),
            None => Found::Folder(folder),
        };
        self.load(found, at).map(Some)
    }

    /// The module `a.b.c` below a folder, after those that it lies in.
    fn descend(&mut self, folder: &RepoPath, full: &str, at: At) -> Result<Option<Value>, Stop> {
        let mut folder = folder.clone();
        let mut last = None;
        for part in full.split('.') {
            let Some(found) = self.find(&folder, part) else {
                let text = format!("there is no module `{full}` in the repository");
                return Ok(Some(Value::unknown(text, at)));
            };
            folder = folder.join(part);
            last = Some(self.load(found, at)?);
        }
        Ok(last)
    }

    fn find(&self, folder: &RepoPath, name: &str) -> Option<Found> {
        let tree = self.modules().tree();
        let package = folder.join(name);
        if name.is_empty() {
            return None;
        }
        let init = tree.position(&package.join("__init__.py"));
        let file = || tree.position(&folder.join(&format!("{name}.py")));
        if let Some(index) = init.or_else(file) {
            return Some(Found::File(index));
        }
        let holds_python = tree.is_folder(&package)
            && tree.entries()[tree.below(&package)]
                .iter()
                .any(|entry| entry.path.as_str().ends_with(".py"));
        holds_python.then_some(Found::Folder(package))
    }

    fn load(&mut self, found: Found, at: At) -> Result<Value, Stop> {
        let (index, folder, key) = match found {
            Found::File(index) => {
                let path = self.modules().path(index);
                (
                    Some(index),
                    path.parent().unwrap_or_default(),
                    path.to_string(),
                )
            }
            Found::Folder(folder) => {
                let key = format!("{folder}/");
                (None, folder, key)
            }
        };
        if let Some(id) = self.loaded.get(&key) {
            return Ok(Value::new(Kind::Module(*id), at));
        }
        self.charge(64, at)?;
        let scope = match index {
            Some(index) => self.module_scope(index, "", at),
            None => self.push(Object::Scope(HashMap::new())),
        };
        let id = self.push(Object::Module {
            index,
            folder,
            scope,
        });
        // Before it runs: imports may go in a circle.
        self.loaded.insert(key, id);
        if let Some(index) = index {
            let frame = Frame {
                module: index,
                scopes: Rc::from([scope]),
                class: false,
                elsewhere: Rc::default(),
                yields: None,
            };
            // A module is run once, whoever asks for it first: a doubt of that one is none of the module's.
            let before = self.without_doubt();
            let end = self.deeper(at, |machine| machine.body(index, &frame, at));
            self.resume_doubt(before);
            end?;
        }
        Ok(Value::new(Kind::Module(id), at))
    }
}

fn named(full: &str, at: At) -> Value {
    Value::new(Kind::Named(full.into()), at)
}
