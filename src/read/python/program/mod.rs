//! Runs a file's statements without running Python: an interpreter of what is known, which always ends.
//!
//! It has no effects: nothing is written, no process started, no connection opened; of files only those of the
//! repository's tree are read. What cannot be known is a value with its reason ([`Unknown`]), and so is everything that
//! is made of it or stands below a condition that is not known. Steps, depth and memory are bounded.

mod arguments;
mod assign;
mod builtin;
mod call;
mod class;
mod collection;
mod comprehension;
mod doubt;
mod expression;
mod files;
mod format;
mod import;
mod kinship;
mod library;
mod method;
mod operator;
mod path;
mod pattern;
mod place;
mod standard;
mod statement;
#[cfg(test)]
mod tests;
mod text;
mod value;

use std::cell::{Cell as StdCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ruff_text_size::TextRange;

use crate::model::RepoPath;
use crate::read::python::Modules;

pub(in crate::read) use arguments::Arguments;
pub(in crate::read) use path::ABOVE;
pub(in crate::read) use value::{At, Fields, Function, Id, Kind, Origin, Unknown, Value};

use value::{Dict, Key, Object};

/// Work that is done for one file: about one unit an expression, sixteen bytes of a text, or an eighth of an object.
const STEPS: usize = 1_000_000;

/// How deep expressions, statements and calls lie in each other.
const DEPTH: usize = 140;

/// The longest text.
const LENGTH: usize = 8 << 20;

/// What is outside of the repository and known all the same: the library that makes deployments.
pub(in crate::read) trait Library<'a> {
    /// A call of something outside by its full name; `None` where the library does not know it.
    fn call(
        &self,
        machine: &mut Machine<'a>,
        full: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval>;

    /// A method of one of the library's own objects, of an unknown value, or of an instance of a class that derives
    /// from the library's.
    fn method(
        &self,
        machine: &mut Machine<'a>,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval>;

    /// An attribute of one of the library's own objects that is none of its fields.
    fn attribute(
        &self,
        machine: &mut Machine<'a>,
        base: &Value,
        name: &str,
        at: At,
    ) -> Option<Value>;
}

/// A value, or why there is none.
pub(in crate::read) type Eval = Result<Value, Stop>;

/// Why a computation gives no value.
#[derive(Debug)]
pub(in crate::read) enum Stop {
    /// An exception that Python would raise too.
    Raise(Box<Raised>),
    /// The bounds are reached; nothing more is computed.
    Halt(Halt),
}

/// An exception.
#[derive(Debug)]
pub(in crate::read) struct Raised {
    /// The name of its class: `KeyError`.
    pub(in crate::read) class: Rc<str>,
    /// What it says; empty for nothing.
    pub(in crate::read) message: String,
    pub(in crate::read) at: At,
    value: Value,
}

/// Where and why everything stopped.
#[derive(Clone, Debug)]
pub(in crate::read) struct Halt {
    pub(in crate::read) at: At,
    pub(in crate::read) reason: String,
    /// Whether it is an end that the program itself asked for (`sys.exit(0)`).
    pub(in crate::read) wanted: bool,
}

/// What a program runs in.
pub(in crate::read) struct World<'a> {
    pub(in crate::read) modules: &'a Modules<'a>,
    /// The name of the repository's folder.
    pub(in crate::read) name: &'a str,
    /// The variables that files may read, `None` where one is not set.
    pub(in crate::read) environment: &'a BTreeMap<String, Option<String>>,
}

/// One run of one file.
pub(in crate::read) struct Machine<'a> {
    world: World<'a>,
    library: Rc<dyn Library<'a> + 'a>,
    main: usize,
    heap: Vec<Cell<'a>>,
    /// The modules that were imported, by their file or folder.
    loaded: HashMap<String, Id>,
    /// `sys.path`.
    path: Id,
    /// What is left of the work; looking at something takes of it too.
    steps: StdCell<usize>,
    depth: usize,
    doubt: doubt::Doubt<'a>,
    /// What each `defaultdict` makes of a key that it does not have.
    factories: HashMap<Id, Value>,
    /// The files that were looked at, and the folders that were listed, which are true.
    looked: BTreeMap<RepoPath, bool>,
}

#[derive(Debug)]
struct Cell<'a> {
    object: Object<'a>,
    /// Why what it holds is no longer known.
    taint: Option<Rc<Unknown>>,
}

/// The scopes that a piece of code sees.
#[derive(Debug)]
struct Frame<'a> {
    module: usize,
    /// The module's first, its own last.
    scopes: Rc<[Id]>,
    /// Whether its own scope is a class's body.
    class: bool,
    /// Names declared `global` or `nonlocal`, and where they live.
    elsewhere: Rc<RefCell<HashMap<&'a str, Id>>>,
    /// What a generator has given so far.
    yields: Option<Id>,
}

impl<'a> Machine<'a> {
    /// Runs the file at a place of the tree as a script. Its end is an error only where Python's would be one, or where
    /// the bounds were reached.
    pub(in crate::read) fn run(
        world: World<'a>,
        library: Rc<dyn Library<'a> + 'a>,
        main: usize,
    ) -> (Self, Result<(), Stop>) {
        let mut machine = Self {
            world,
            library,
            main,
            heap: Vec::new(),
            loaded: HashMap::new(),
            path: 0,
            steps: StdCell::new(STEPS),
            depth: 0,
            doubt: doubt::Doubt::default(),
            factories: HashMap::new(),
            looked: BTreeMap::new(),
        };
        let at = At {
            module: main,
            range: TextRange::default(),
        };
        let folder = machine.folder(main);
        let folders = [
            machine.absolute(&folder),
            machine.absolute(&RepoPath::root()),
        ];
        let folders = folders.map(|one| Value::text(one, at)).into();
        machine.path = machine.push(Object::Items(folders));
        let end = machine.execute(main, at);
        (machine, end)
    }

    /// The files of the repository.
    pub(in crate::read) fn modules(&self) -> &'a Modules<'a> {
        self.world.modules
    }

    /// The files that it looked at, there or not, and the folders that it listed, which are true. Not its modules.
    pub(in crate::read) fn looked(&self) -> &BTreeMap<RepoPath, bool> {
        &self.looked
    }

    /// The source at a place.
    pub(in crate::read) fn source(&self, at: At) -> String {
        let module = self.modules().get(at.module).as_ref();
        module.map_or_else(|_| String::new(), |module| module.text(at.range))
    }

    /// The file that runs.
    pub(in crate::read) fn main(&self) -> usize {
        self.main
    }

    /// The folder of a file.
    fn folder(&self, module: usize) -> RepoPath {
        let path = self.world.modules.path(module);
        path.parent().unwrap_or_default()
    }

    fn push(&mut self, object: Object<'a>) -> Id {
        self.heap.push(Cell {
            object,
            taint: None,
        });
        self.heap.len() - 1
    }

    /// Takes some work from what is left.
    fn charge(&self, work: usize, at: At) -> Result<(), Stop> {
        let left = self.steps.get();
        if left < work || left == 0 {
            self.steps.set(0);
            return Err(Stop::Halt(Halt {
                at,
                reason: "the file takes too long to work out".to_owned(),
                wanted: false,
            }));
        }
        self.steps.set(left - work);
        Ok(())
    }

    /// Takes work that is done already: what is left may become nothing, and the next charge stops.
    fn spend(&self, work: usize) {
        self.steps.set(self.steps.get().saturating_sub(work));
    }

    /// Takes the work of looking at all the text in some values.
    fn charge_texts<'v>(
        &self,
        values: impl IntoIterator<Item = &'v Value>,
        at: At,
    ) -> Result<(), Stop> {
        let lengths = values.into_iter().map(|value| value.weight() / 16);
        self.charge(lengths.fold(0, usize::saturating_add), at)
    }

    /// Whether nothing is left.
    fn spent(&self) -> bool {
        self.steps.get() == 0
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(
        &mut self,
        at: At,
        inner: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.charge(1, at)?;
        if self.depth >= DEPTH {
            return Err(Stop::Halt(Halt {
                at,
                reason: "the calls and expressions nest too deep".to_owned(),
                wanted: false,
            }));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn raise<T>(&self, class: &str, message: impl Into<String>, at: At) -> Result<T, Stop> {
        let message = message.into();
        Err(Stop::Raise(Box::new(Raised {
            class: class.into(),
            value: Value::text(message.as_str(), at),
            message,
            at,
        })))
    }

    /// Makes a `list`.
    pub(in crate::read) fn list(&mut self, items: Vec<Value>, at: At) -> Eval {
        self.charge(8 + items.len(), at)?;
        Ok(Value::new(Kind::List(self.push(Object::Items(items))), at))
    }

    fn tuple(&mut self, items: Vec<Value>, at: At) -> Eval {
        self.charge(8 + items.len(), at)?;
        Ok(Value::new(Kind::Tuple(self.push(Object::Items(items))), at))
    }

    fn set(&mut self, items: Vec<Value>, at: At) -> Eval {
        let mut dict = Dict::default();
        for item in items {
            match self.key(&item) {
                Ok(key) => dict.insert(key, item, Value::none(at)),
                Err(unknown) => return Ok(unknown),
            }
            self.charge(4, at)?;
        }
        self.charge(8, at)?;
        Ok(Value::new(Kind::Set(self.push(Object::Dict(dict))), at))
    }

    /// Makes a `dict`; of equal keys the last counts.
    pub(in crate::read) fn dict(&mut self, items: Vec<(Value, Value)>, at: At) -> Eval {
        let mut dict = Dict::default();
        for (key, value) in items {
            self.charge(4, at)?;
            match self.key(&key) {
                Ok(identity) => dict.insert(identity, key, value),
                Err(unknown) => return Ok(unknown),
            }
        }
        self.charge(8, at)?;
        Ok(Value::new(Kind::Dict(self.push(Object::Dict(dict))), at))
    }

    /// Makes a text of a length that is not bounded by what it was made of.
    fn long(&mut self, text: String, at: At) -> Eval {
        self.fits(text.len(), at)?;
        Ok(Value::text(text, at))
    }

    /// Whether there is room for a text of this length, and the work to make it.
    fn fits(&self, length: usize, at: At) -> Result<(), Stop> {
        self.room(length, at)?;
        self.charge(1 + length / 16, at)
    }

    /// Whether a text may be of this length.
    fn room(&self, length: usize, at: At) -> Result<(), Stop> {
        if length > LENGTH {
            self.steps.set(0);
        }
        self.charge(0, at)
    }

    /// Makes an object of the library.
    pub(in crate::read) fn record(&mut self, kind: &'static str, fields: Fields, at: At) -> Value {
        self.spend(8 + fields.0.len());
        Value::new(Kind::Record(self.push(Object::Record(kind, fields))), at)
    }

    /// The kind of an object of the library.
    pub(in crate::read) fn record_kind(&self, value: &Value) -> Option<&'static str> {
        match &value.kind {
            Kind::Record(id) => match &self.heap[*id].object {
                Object::Record(kind, _) => Some(kind),
                _ => None,
            },
            _ => None,
        }
    }

    /// A field of an object of the library.
    pub(in crate::read) fn field(&self, value: &Value, name: &str) -> Option<Value> {
        let (Kind::Record(id) | Kind::Instance(id)) = &value.kind else {
            return None;
        };
        match &self.heap[*id].object {
            Object::Record(_, fields) | Object::Instance(_, fields) => {
                self.spend(fields.0.len() / 64);
                fields.get(name).map(|value| self.settled(value))
            }
            _ => None,
        }
    }

    /// All fields of an object of the library.
    pub(in crate::read) fn fields(&self, value: &Value) -> Fields {
        match &value.kind {
            Kind::Record(id) => match &self.heap[*id].object {
                Object::Record(_, fields) => fields.clone(),
                _ => Fields::default(),
            },
            _ => Fields::default(),
        }
    }

    /// Sets a field of an object of the library.
    pub(in crate::read) fn set_field(&mut self, value: &Value, name: &str, new: Value) {
        let (Kind::Record(id) | Kind::Instance(id)) = value.kind else {
            return;
        };
        self.touched(id);
        if let Object::Record(_, fields) | Object::Instance(_, fields) = &mut self.heap[id].object {
            let length = fields.0.len();
            fields.set(name, new);
            self.spend(1 + length / 64);
        }
    }

    /// A function of the repository.
    pub(in crate::read) fn function(&self, value: &Value) -> Option<Rc<Function<'a>>> {
        match &value.kind {
            Kind::Function(id) => match &self.heap[*id].object {
                Object::Function(function) => Some(Rc::clone(function)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value, or why what it refers to is no longer known.
    pub(in crate::read) fn settled(&self, value: &Value) -> Value {
        match &value.kind {
            Kind::List(id)
            | Kind::Set(id)
            | Kind::Dict(id)
            | Kind::Instance(id)
            | Kind::Record(id) => match &self.heap[*id].taint {
                Some(unknown) => Value::why(unknown, value.at),
                None => value.clone(),
            },
            _ => value.clone(),
        }
    }

    /// The items of a list, tuple or set that is known; each as it is known.
    pub(in crate::read) fn items(&self, value: &Value) -> Option<Vec<Value>> {
        let (Kind::List(id) | Kind::Tuple(id) | Kind::Set(id)) = self.settled(value).kind else {
            return None;
        };
        let items: Vec<Value> = match &self.heap[id].object {
            Object::Items(items) => items.iter().map(|item| self.settled(item)).collect(),
            Object::Dict(dict) => dict.iter().map(|(item, _)| self.settled(item)).collect(),
            _ => return None,
        };
        self.spend(items.len() / 16);
        Some(items)
    }

    /// The items of a dict that is known.
    pub(in crate::read) fn entries(&self, value: &Value) -> Option<Vec<(Value, Value)>> {
        let Kind::Dict(id) = self.settled(value).kind else {
            return None;
        };
        match &self.heap[id].object {
            Object::Dict(dict) => {
                self.spend(dict.len() / 16);
                let entries = dict.iter();
                let entries = entries.map(|(key, value)| (key.clone(), self.settled(value)));
                Some(entries.collect())
            }
            _ => None,
        }
    }

    /// What a value is as plain data: a member of an enumeration is its value, a dataclass or model its fields.
    pub(in crate::read) fn plain(&self, value: &Value) -> Option<Value> {
        self.plain_member(value).or_else(|| {
            let member = self.is_member(value).then(|| self.field(value, "value"));
            member.flatten()
        })
    }

    /// What makes a value the same as another key; the unknown value where that is not known.
    fn key(&self, value: &Value) -> Result<Key, Value> {
        Ok(match &value.kind {
            Kind::None => Key::None,
            Kind::Bool(one) => Key::Int(i128::from(*one)),
            Kind::Int(value) => Key::Int(*value),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole and within 2^53, which is checked"
            )]
            Kind::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                Key::Int(*value as i128)
            }
            Kind::Float(value) => Key::Float(value.to_bits()),
            // It will be hashed, and compared.
            Kind::Text(text) => {
                self.spend(text.len() / 16);
                Key::Text(Rc::clone(text))
            }
            Kind::Path(path) => {
                self.spend(path.len() / 16);
                Key::Path(Rc::clone(path))
            }
            Kind::Named(full) => Key::Named(Rc::clone(full)),
            Kind::Zone(name) => Key::Other(name.to_string()),
            Kind::Constant(constant) => {
                let shown = format!("{constant:?}");
                self.spend(shown.len() / 16);
                Key::Other(shown)
            }
            Kind::Tuple(id) => match &self.heap[*id].object {
                // No deeper than two levels: a tuple of tuples of tuples is no key that people use.
                Object::Items(items) => {
                    self.spend(items.len() / 4);
                    let mut keys = Vec::with_capacity(items.len());
                    for item in items {
                        keys.push(match &item.kind {
                            Kind::Tuple(id) => Key::Object(*id),
                            _ => self.key(item)?,
                        });
                    }
                    Key::Tuple(keys)
                }
                _ => Key::Object(*id),
            },
            Kind::Unknown(_) => return Err(value.clone()),
            Kind::List(_) | Kind::Set(_) | Kind::Dict(_) => {
                return Err(Value::unknown("a key is not hashable", value.at));
            }
            Kind::Function(id)
            | Kind::Bound(id)
            | Kind::Class(id)
            | Kind::Instance(id)
            | Kind::Record(id)
            | Kind::Module(id) => Key::Object(*id),
        })
    }
}
