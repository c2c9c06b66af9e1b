//! Paths: `pathlib`, `os.path`, and the files of the repository behind them.
//!
//! The repository lies in a folder that no machine has, so that no value depends on where it was checked out. Its last
//! part is the name of the real folder, for programs that cut their paths there.

use std::rc::Rc;

use super::{Arguments, At, Eval, Kind, Machine, Stop, Value};
use crate::model::RepoPath;
use crate::read::python::constant::join;

/// The folder above the repository's; a value that holds it differs from machine to machine.
pub(in crate::read) const ABOVE: &str = "/-machine-";

/// The longest pattern that is compiled.
const PATTERN: usize = 1_000;

impl<'a> Machine<'a> {
    /// A path of the repository as the program sees it.
    pub(super) fn absolute(&self, path: &RepoPath) -> String {
        let root = format!("{ABOVE}/{}", self.world.name);
        if path.is_root() {
            root
        } else {
            format!("{root}/{path}")
        }
    }

    /// The path in the repository that a program's path means, relative ones from the file's folder; `None` outside.
    pub(in crate::read) fn repository_path(&self, path: &str) -> Option<RepoPath> {
        if !path.starts_with('/') {
            return self.folder(self.main).resolve(path);
        }
        let whole = normal(path);
        let inside = whole
            .strip_prefix(ABOVE)?
            .strip_prefix('/')?
            .strip_prefix(self.world.name)?;
        match inside.strip_prefix('/') {
            Some(inside) => Some(RepoPath::new(inside)),
            None => inside.is_empty().then(RepoPath::root),
        }
    }

    /// The file of the tree that a program's path means: a relative one counts from the file's folder or, where it is
    /// not there, from the root.
    pub(in crate::read) fn file_at(&self, path: &str) -> Option<RepoPath> {
        let tree = self.modules().tree();
        let there = |path: &RepoPath| tree.position(path).is_some();
        let here = self.repository_path(path).filter(there);
        let from_root = || RepoPath::root().resolve(path).filter(there);
        here.or_else(|| {
            if path.starts_with('/') {
                None
            } else {
                from_root()
            }
        })
    }

    fn resolved(&self, path: &str) -> String {
        if path.starts_with('/') {
            return normal(path);
        }
        normal(&format!(
            "{}/{path}",
            self.absolute(&self.folder(self.main))
        ))
    }

    pub(super) fn working_folder(&self) -> String {
        self.absolute(&self.folder(self.main))
    }

    /// Paths joined by `/` or `joinpath`.
    pub(super) fn join_path(&mut self, parts: &[Value], at: At) -> Eval {
        let mut texts = Vec::with_capacity(parts.len());
        for part in parts {
            let part = self.settled(part);
            match part.as_path() {
                Some(text) => texts.push(text.to_owned()),
                None => return Ok(self.unsure(&part, "what is joined to a path is not known", at)),
            }
        }
        // Every part of a path is looked at.
        let length = texts.iter().map(String::len).sum();
        self.fits(length, at)?;
        self.charge(length / 4, at)?;
        let joined = join(texts.iter().map(String::as_str));
        Ok(path(joined, at).of(Value::origins(parts)))
    }

    pub(super) fn path_attribute(&mut self, base: &Value, name: &str, at: At) -> Option<Eval> {
        let text = base.as_path()?;
        self.spend(text.len() / 16);
        let last = last(text);
        let (stem, suffix) = split_suffix(last);
        let done = |text: &str| Some(Ok(Value::text(text, at).of(base.origin.clone())));
        match name {
            "name" => done(last),
            "stem" => done(stem),
            "suffix" => done(suffix),
            "root" | "anchor" => done(if text.starts_with('/') { "/" } else { "" }),
            "drive" => done(""),
            "parent" => Some(Ok(path(parent(text), at).of(base.origin.clone()))),
            "parents" => {
                let mut parents = Vec::new();
                let mut text = text.to_owned();
                loop {
                    let above = parent(&text);
                    if above == text {
                        break;
                    }
                    text.clone_from(&above);
                    parents.push(path(above, at));
                    if let Err(stop) = self.charge(1 + text.len() / 16, at) {
                        return Some(Err(stop));
                    }
                }
                Some(self.tuple(parents, at))
            }
            "parts" => {
                let root = text.starts_with('/').then_some("/");
                let parts = text.split('/').filter(|part| !part.is_empty());
                let parts = root
                    .into_iter()
                    .chain(parts)
                    .map(|part| Value::text(part, at))
                    .collect();
                Some(self.tuple(parts, at))
            }
            "suffixes" => {
                let suffixes = last.trim_start_matches('.').split('.').skip(1);
                let suffixes = suffixes
                    .map(|one| Value::text(format!(".{one}"), at))
                    .collect();
                Some(self.list(suffixes, at))
            }
            _ => None,
        }
    }

    pub(super) fn path_method(
        &mut self,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        if let Some(unknown) = arguments.unknown() {
            return Some(Ok(Value::why(&unknown, at)));
        }
        let text = base.as_path()?.to_owned();
        let origin = Value::origins(arguments.values().chain([base]));
        let one = arguments.positional.first().and_then(Value::as_path);
        let beside = |name: &str| match parent(&text).as_str() {
            "." => name.to_owned(),
            "/" => format!("/{name}"),
            above => format!("{above}/{name}"),
        };
        let value = match name {
            "resolve" | "absolute" => path(self.resolved(&text), at),
            "as_posix" | "__str__" | "__fspath__" => Value::text(text, at),
            "expanduser" if !text.starts_with('~') => path(text, at),
            "joinpath" => {
                let parts: Vec<_> = [base.clone()]
                    .into_iter()
                    .chain(arguments.positional.iter().cloned())
                    .collect();
                return Some(self.join_path(&parts, at));
            }
            "relative_to" => {
                let folder = one?;
                let inside = match folder {
                    "." | "" if !text.starts_with('/') => Some(text.as_str()),
                    "/" => text.strip_prefix('/'),
                    _ => text.strip_prefix(folder.trim_end_matches('/')),
                };
                match inside.filter(|rest| {
                    rest.is_empty()
                        || rest.starts_with('/')
                        || folder == "."
                        || folder == "/"
                        || folder.is_empty()
                }) {
                    Some(rest) => path(join([rest.trim_start_matches('/')]), at),
                    None => {
                        let message = format!("'{text}' is not in the subpath of '{folder}'");
                        return Some(self.raise("ValueError", message, at));
                    }
                }
            }
            "is_relative_to" => {
                let folder = one?;
                let rest = text.strip_prefix(folder.trim_end_matches('/'));
                Value::bool(
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
                    at,
                )
            }
            "is_absolute" => Value::bool(text.starts_with('/'), at),
            "with_suffix" => path(
                beside(&format!("{}{}", split_suffix(last(&text)).0, one?)),
                at,
            ),
            "with_name" => path(beside(one?), at),
            "with_stem" => path(
                beside(&format!("{}{}", one?, split_suffix(last(&text)).1)),
                at,
            ),
            "exists" | "is_file" | "is_dir" => return Some(self.exists(&text, name, at)),
            "read_text" => return Some(self.read_file(&text, at)),
            "read_bytes" => return None,
            "open" => {
                let mut opened = Arguments::of(vec![base.clone()]);
                opened
                    .positional
                    .extend(arguments.positional.iter().cloned());
                opened.keywords.clone_from(&arguments.keywords);
                return Some(self.open(&opened, at));
            }
            "iterdir" => return Some(self.listed(&text, "*", at)),
            "glob" => return Some(self.listed(&text, one?, at)),
            "rglob" => return Some(self.listed(&text, &format!("**/{}", one?), at)),
            "match" => {
                let pattern = one.filter(|one| one.len() <= PATTERN)?;
                let pattern = globset::Glob::new(pattern).ok()?.compile_matcher();
                Value::bool(pattern.is_match(last(&text)), at)
            }
            _ => return None,
        };
        Some(Ok(value.of(origin)))
    }

    pub(super) fn exists(&mut self, path: &str, what: &str, at: At) -> Eval {
        let tree = self.modules().tree();
        let Some(inside) = self.repository_path(path) else {
            return Ok(Value::unknown(
                format!("`{path}` is outside of the repository"),
                at,
            ));
        };
        self.looked.entry(inside.clone()).or_default();
        let file = tree.position(&inside).is_some();
        let folder = inside.is_root() || tree.is_folder(&inside);
        Ok(Value::bool(
            match what {
                "is_file" | "isfile" => file,
                "is_dir" | "isdir" => folder,
                _ => file || folder,
            },
            at,
        ))
    }

    /// The paths in a folder that a pattern fits, sorted.
    fn listed(&mut self, folder: &str, pattern: &str, at: At) -> Eval {
        let tree = self.modules().tree();
        let Some(inside) = self.repository_path(folder) else {
            return Ok(Value::unknown(
                format!("`{folder}` is outside of the repository"),
                at,
            ));
        };
        if pattern.len() > PATTERN {
            return Ok(Value::unknown("the pattern is not evaluated", at));
        }
        let pattern = globset::GlobBuilder::new(pattern)
            .literal_separator(true)
            .build();
        let Ok(pattern) = pattern.map(|pattern| pattern.compile_matcher()) else {
            return Ok(Value::unknown("the pattern is not evaluated", at));
        };
        self.looked.insert(inside.clone(), true);
        let below = tree.below(&inside);
        self.charge(1 + below.len(), at)?;
        let mut found: Vec<&str> = Vec::new();
        for entry in &tree.entries()[below] {
            let Some(name) = entry.path.below(&inside) else {
                continue;
            };
            // Folders are known by what is in them.
            let folders = name.match_indices('/').map(|(end, _)| &name[..end]);
            for name in folders.chain([name]) {
                if pattern.is_match(name) && found.last() != Some(&name) {
                    found.push(name);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        let items = found
            .into_iter()
            .map(|name| path(join([folder, name]), at))
            .collect();
        self.list(items, at)
    }

    /// A function of `os.path`, or one of `os` about paths; `None` where it is not known here.
    pub(super) fn os_path(&mut self, name: &str, arguments: &Arguments, at: At) -> Option<Eval> {
        if let Some(unknown) = arguments.unknown() {
            return Some(Ok(Value::why(&unknown, at)));
        }
        let origin = Value::origins(arguments.values());
        let first = arguments
            .get(0, "path")
            .and_then(Value::as_path)
            .map(str::to_owned);
        let done = |text: String| Some(Ok(Value::text(text, at).of(origin.clone())));
        match name {
            "join" => {
                let mut joined = String::new();
                for part in &arguments.positional {
                    let part = part.as_path()?;
                    if part.starts_with('/') {
                        part.clone_into(&mut joined);
                    } else {
                        if !joined.is_empty() && !joined.ends_with('/') {
                            joined.push('/');
                        }
                        joined.push_str(part);
                    }
                }
                if let Err(stop) = self.fits(joined.len(), at) {
                    return Some(Err(stop));
                }
                done(joined)
            }
            "dirname" => done(split(&first?).0.to_owned()),
            "basename" => done(split(&first?).1.to_owned()),
            "split" => {
                let first = first?;
                let (head, tail) = split(&first);
                Some(self.tuple(vec![Value::text(head, at), Value::text(tail, at)], at))
            }
            "splitext" => {
                let first = first?;
                let (_, name) = split(&first);
                let suffix = split_suffix(name).1;
                let stem = &first[..first.len() - suffix.len()];
                Some(self.tuple(vec![Value::text(stem, at), Value::text(suffix, at)], at))
            }
            "abspath" | "realpath" => {
                let resolved = self.resolved(&first?);
                done(resolved)
            }
            "normpath" => done(normal(&first?)),
            "normcase" | "fspath" => done(first?),
            "expanduser" | "expandvars" if !first.as_deref()?.contains(['~', '$']) => done(first?),
            "isabs" => Some(Ok(Value::bool(first?.starts_with('/'), at))),
            "exists" | "isfile" | "isdir" => Some(self.exists(&first?, name, at)),
            "relpath" => {
                let target = self.resolved(&first?);
                let start = arguments
                    .get(1, "start")
                    .and_then(Value::as_path)
                    .unwrap_or(".")
                    .to_owned();
                done(relative(&target, &self.resolved(&start)))
            }
            "commonpath" => None,
            _ => None,
        }
    }

    /// The text of a file of the repository.
    pub(super) fn read_file(&mut self, path: &str, at: At) -> Eval {
        let Some(file) = self.file_at(path) else {
            if path.starts_with('/') && self.repository_path(path).is_none() {
                return Ok(Value::unknown(
                    format!("`{path}` is outside of the repository"),
                    at,
                ));
            }
            return self.raise(
                "FileNotFoundError",
                format!("there is no file {path:?} in the repository"),
                at,
            );
        };
        match self.text_of(&file, at)? {
            Ok(text) => Ok(Value::text(text, at)),
            Err(why) => Ok(Value::unknown(why, at)),
        }
    }

    pub(super) fn text_of(
        &mut self,
        file: &RepoPath,
        at: At,
    ) -> Result<Result<String, String>, Stop> {
        self.looked.entry(file.clone()).or_default();
        let bytes = match self.modules().tree().read(file) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(format!("{error:#}"))),
        };
        self.fits(bytes.len(), at)?;
        Ok(String::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8 text")))
    }
}

pub(super) fn path(path: impl Into<Rc<str>>, at: At) -> Value {
    Value::new(Kind::Path(path.into()), at)
}

fn last(path: &str) -> &str {
    match path.rsplit('/').next().unwrap_or(path) {
        "." => "",
        last => last,
    }
}

fn parent(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((parent, _)) => parent.to_owned(),
        None => ".".to_owned(),
    }
}

/// `("name", ".end")`; a name that begins with its only dot has no end.
fn split_suffix(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && !name[..dot].chars().all(|one| one == '.') => name.split_at(dot),
        _ => (name, ""),
    }
}

/// `os.path.split`.
fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        None => ("", path),
        Some((head, tail)) => {
            let trimmed = head.trim_end_matches('/');
            if trimmed.is_empty() {
                (&path[..=head.len()], tail)
            } else {
                (trimmed, tail)
            }
        }
    }
}

/// `os.path.normpath`.
fn normal(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// `os.path.relpath` of two absolute paths.
fn relative(target: &str, start: &str) -> String {
    let parts = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (target, start) = (parts(target), parts(start));
    let common = target
        .iter()
        .zip(&start)
        .take_while(|(a, b)| a == b)
        .count();
    let up = std::iter::repeat_n("..".to_owned(), start.len() - common);
    let parts: Vec<String> = up.chain(target[common..].iter().cloned()).collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}
