//! Values of a running program: small ones by value, everything that Python shares by reference on a heap.
//!
//! The heap is one flat list that is dropped as a whole: no value of a hostile program, however deep or circular, is
//! walked by recursion when it goes.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use ruff_python_ast::{Expr, Parameters, Stmt};
use ruff_text_size::{Ranged, TextRange};

use crate::read::python::value::Value as Constant;

/// Where something stands: the file, by its place in the tree, and the range in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::read) struct At {
    pub(in crate::read) module: usize,
    pub(in crate::read) range: TextRange,
}

impl At {
    pub(super) fn of(module: usize, node: &impl Ranged) -> Self {
        Self {
            module,
            range: node.range(),
        }
    }
}

/// A value, where it was made, and what of the process's environment is in it.
#[derive(Clone, Debug)]
pub(in crate::read) struct Value {
    pub(in crate::read) kind: Kind,
    pub(in crate::read) at: At,
    pub(in crate::read) origin: Option<Rc<Origin>>,
}

/// The variables of the process's environment that a value was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::read) struct Origin {
    pub(in crate::read) variables: BTreeSet<String>,
    /// The text with `{{ $NAME }}` for each of them, where the value is no more than them put together.
    pub(in crate::read) template: Option<String>,
}

/// The index of an object on the heap.
pub(in crate::read) type Id = usize;

/// What a value is.
#[derive(Clone, Debug)]
pub(in crate::read) enum Kind {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Rc<str>),
    /// A path of `pathlib`, in its normal form.
    Path(Rc<str>),
    /// `bytes`, and the values of `datetime`, `decimal` and `uuid`: what the evaluator of expressions knows of them
    /// holds here too.
    Constant(Rc<Scalar>),
    /// An IANA time zone.
    Zone(Rc<str>),
    Tuple(Id),
    List(Id),
    Set(Id),
    Dict(Id),
    Function(Id),
    /// A method of a value, not called yet.
    Bound(Id),
    Class(Id),
    Instance(Id),
    /// An object of a library that is known here: its kind and its fields.
    Record(Id),
    /// A module of the repository.
    Module(Id),
    /// Something outside of the repository, by its full name: `os.path.join`, `builtins.print`.
    Named(Rc<str>),
    Unknown(Rc<Unknown>),
}

/// A value of the evaluator of expressions.
#[derive(Clone, Debug)]
pub(in crate::read) struct Scalar(pub(super) Constant<'static>);

impl Scalar {
    /// Its form in JSON, as pydantic writes it; `None` where there is none.
    pub(in crate::read) fn json(&self) -> Option<serde_json::Value> {
        self.0.json()
    }
}

/// Why a value is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::read) struct Unknown {
    /// A lower-case fragment.
    pub(in crate::read) reason: String,
    /// The expression whose value is not known.
    pub(in crate::read) at: At,
    /// What to do about it, where that is more special than for all unknown values.
    pub(in crate::read) hint: Option<String>,
}

/// What lies on the heap.
#[derive(Debug)]
pub(super) enum Object<'a> {
    /// `list`, `tuple` and `set`, the latter in the order of insertion.
    Items(Vec<Value>),
    Dict(Dict),
    Scope(HashMap<&'a str, Value>),
    Function(Rc<Function<'a>>),
    Bound(Value, Rc<str>),
    Class(Rc<Class<'a>>),
    Instance(Rc<Class<'a>>, Fields),
    Record(&'static str, Fields),
    Module {
        index: Option<usize>,
        folder: crate::model::RepoPath,
        scope: Id,
    },
}

/// Named fields, few of them, in the order in which they were set.
#[derive(Clone, Debug, Default)]
pub(in crate::read) struct Fields(pub(in crate::read) Vec<(Rc<str>, Value)>);

impl Fields {
    pub(in crate::read) fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(one, _)| &**one == name);
        found.map(|(_, value)| value)
    }

    pub(in crate::read) fn set(&mut self, name: &str, value: Value) {
        match self.0.iter_mut().find(|(one, _)| &**one == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.into(), value)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(one, _)| &**one != name);
    }
}

/// A function or lambda of the repository.
#[derive(Debug)]
pub(in crate::read) struct Function<'a> {
    pub(in crate::read) name: &'a str,
    /// Whether it stands at the top level of its file.
    pub(in crate::read) top: bool,
    pub(in crate::read) at: At,
    pub(super) parameters: Option<&'a Parameters>,
    pub(super) body: Body<'a>,
    /// Of the parameters that have one, by name.
    pub(super) defaults: Vec<(&'a str, Value)>,
    /// The scopes around it, the module's first.
    pub(super) scopes: Rc<[Id]>,
    pub(super) generator: bool,
    /// Why a call may not do what the body says: a decorator that is not known.
    pub(super) altered: Option<Rc<Unknown>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    Statements(&'a [Stmt]),
    Expression(&'a Expr),
}

/// A class of the repository.
#[derive(Debug)]
pub(super) struct Class<'a> {
    pub(super) name: &'a str,
    pub(super) id: Id,
    /// The classes of the repository among its bases, nearest first, with all of theirs.
    pub(super) line: Vec<Rc<Class<'a>>>,
    /// Bases outside of the repository, by full name, also those of bases.
    pub(super) foreign: Vec<Rc<str>>,
    /// Its namespace.
    pub(super) scope: Id,
    /// The annotated fields in order, those of bases first: what dataclasses and models take as arguments.
    pub(super) fields: Vec<(&'a str, Option<Value>)>,
    /// Whether the fields are the arguments: dataclasses, named tuples, pydantic's models.
    pub(super) data: bool,
    /// Why its instances are not known: a decorator or metaclass from elsewhere.
    pub(super) altered: Option<Rc<Unknown>>,
}

/// What makes two keys the same to Python.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    None,
    /// Also of booleans and of floats without fraction.
    Int(i128),
    Float(u64),
    Text(Rc<str>),
    Path(Rc<str>),
    Tuple(Vec<Key>),
    Named(Rc<str>),
    Object(Id),
    Other(String),
}

/// A `dict`: in the order of insertion, found by hash.
#[derive(Clone, Debug, Default)]
pub(super) struct Dict {
    places: HashMap<Key, usize>,
    items: Vec<Option<(Value, Value)>>,
}

impl Dict {
    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        let place = *self.places.get(key)?;
        self.items[place].as_ref().map(|(_, value)| value)
    }

    pub(super) fn insert(&mut self, identity: Key, key: Value, value: Value) {
        match self.places.get(&identity) {
            Some(place) => {
                if let Some((_, old)) = &mut self.items[*place] {
                    *old = value;
                }
            }
            None => {
                self.places.insert(identity, self.items.len());
                self.items.push(Some((key, value)));
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Value> {
        let place = self.places.remove(key)?;
        self.items[place].take().map(|(_, value)| value)
    }

    /// Takes out what was inserted last, with its key.
    pub(super) fn pop(&mut self) -> Option<(Value, Value)> {
        while let Some(last) = self.items.pop() {
            if last.is_some() {
                let place = self.items.len();
                self.places.retain(|_, one| *one != place);
                return last;
            }
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Value, Value)> {
        self.items.iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

impl Value {
    pub(in crate::read) fn new(kind: Kind, at: At) -> Self {
        Self {
            kind,
            at,
            origin: None,
        }
    }

    pub(in crate::read) fn none(at: At) -> Self {
        Self::new(Kind::None, at)
    }

    pub(in crate::read) fn text(text: impl Into<Rc<str>>, at: At) -> Self {
        Self::new(Kind::Text(text.into()), at)
    }

    pub(super) fn bool(one: bool, at: At) -> Self {
        Self::new(Kind::Bool(one), at)
    }

    pub(super) fn count(count: usize, at: At) -> Self {
        Self::new(Kind::Int(i128::try_from(count).unwrap_or(i128::MAX)), at)
    }

    pub(in crate::read) fn unknown(reason: impl Into<String>, at: At) -> Self {
        let unknown = Unknown {
            reason: reason.into(),
            at,
            hint: None,
        };
        Self::new(Kind::Unknown(Rc::new(unknown)), at)
    }

    pub(in crate::read) fn unknown_but(
        reason: impl Into<String>,
        hint: impl Into<String>,
        at: At,
    ) -> Self {
        let unknown = Unknown {
            reason: reason.into(),
            at,
            hint: Some(hint.into()),
        };
        Self::new(Kind::Unknown(Rc::new(unknown)), at)
    }

    pub(in crate::read) fn why(unknown: &Rc<Unknown>, at: At) -> Self {
        Self::new(Kind::Unknown(Rc::clone(unknown)), at)
    }

    #[must_use]
    pub(super) fn of(mut self, origin: Option<Rc<Origin>>) -> Self {
        self.origin = origin;
        self
    }

    pub(in crate::read) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a string or of a path.
    pub(super) fn as_path(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) | Kind::Path(text) => Some(text),
            _ => None,
        }
    }

    /// How many bytes looking at it, or copying it, is about; nothing for what lies on the heap.
    pub(super) fn weight(&self) -> usize {
        match &self.kind {
            Kind::Text(text) | Kind::Path(text) | Kind::Named(text) => text.len(),
            Kind::Constant(constant) => match &constant.0 {
                Constant::Bytes(bytes) => bytes.len(),
                _ => 16,
            },
            _ => 0,
        }
    }

    pub(in crate::read) fn is_none(&self) -> bool {
        matches!(self.kind, Kind::None)
    }

    pub(in crate::read) fn as_unknown(&self) -> Option<&Rc<Unknown>> {
        match &self.kind {
            Kind::Unknown(unknown) => Some(unknown),
            _ => None,
        }
    }

    /// As a whole number; a boolean is one in Python.
    pub(in crate::read) fn as_int(&self) -> Option<i128> {
        match self.kind {
            Kind::Bool(one) => Some(i128::from(one)),
            Kind::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The seconds of a `timedelta`.
    pub(in crate::read) fn timedelta_seconds(&self) -> Option<f64> {
        match &self.kind {
            #[expect(clippy::cast_precision_loss, reason = "Python divides floats here too")]
            Kind::Constant(constant) => match constant.0 {
                Constant::Timedelta(micros) => Some(micros as f64 / 1e6),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the evaluator of expressions takes it for; `None` for what only a program has.
    pub(super) fn constant(&self) -> Option<Constant<'static>> {
        Some(match &self.kind {
            Kind::None => Constant::None,
            Kind::Bool(one) => Constant::Bool(*one),
            Kind::Int(value) => Constant::Int(*value),
            Kind::Float(value) => Constant::Float(*value),
            Kind::Text(text) => Constant::Str(text.to_string()),
            Kind::Path(path) => Constant::Path(path.to_string()),
            Kind::Constant(constant) => constant.0.clone(),
            Kind::Named(full) => Constant::Named(full.to_string()),
            _ => return None,
        })
    }

    /// What of the environment is in any of some values; a text made of them alone has no template of its own.
    pub(super) fn origins<'v>(values: impl IntoIterator<Item = &'v Value>) -> Option<Rc<Origin>> {
        let mut found: Option<Rc<Origin>> = None;
        for origin in values.into_iter().filter_map(|value| value.origin.as_ref()) {
            let mut joined = found.as_deref().cloned().unwrap_or_default();
            joined.variables.extend(origin.variables.iter().cloned());
            found = Some(Rc::new(joined));
        }
        found
    }

    /// The text with templates in the place of the process's variables, where it has that form.
    pub(super) fn written(&self) -> Option<String> {
        match (&self.origin, &self.kind) {
            (Some(origin), _) => origin.template.clone(),
            (None, Kind::Text(text)) => Some(text.to_string()),
            _ => None,
        }
    }
}
