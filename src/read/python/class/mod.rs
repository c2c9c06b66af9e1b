//! The classes of modules: what kind each is, its fields, its members, and instances of it.

mod enumeration;
mod field;
mod instance;

use std::fmt;
use std::ops::Deref;

use ruff_python_ast::{Expr, Stmt, StmtClassDef};
use ruff_text_size::Ranged;

use super::constant::{Evaluator, is_typing};
use super::scope::Scope;
use super::value::Value;

pub(super) use enumeration::{member, members};
pub(super) use field::{Field, fields};
pub(super) use instance::instance;

/// How far up a class's ancestors are followed.
const ANCESTORS: u32 = 20;

/// A class, and the module whose names its body sees.
#[derive(Clone, Copy)]
pub(super) struct Class<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) definition: &'a StmtClassDef,
}

impl<'a> Class<'a> {
    /// The evaluator of its module.
    pub(super) fn evaluator(self, evaluator: &Evaluator<'a>) -> Evaluator<'a> {
        evaluator.within(self.scope)
    }
}

impl Deref for Class<'_> {
    type Target = StmtClassDef;

    fn deref(&self) -> &StmtClassDef {
        self.definition
    }
}

/// A class is itself alone.
impl PartialEq for Class<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.definition, other.definition)
    }
}

impl fmt::Debug for Class<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = u32::from(self.definition.start());
        write!(f, "{} at {:?}:{at}", self.definition.name, self.scope.file)
    }
}

/// What a class is to pydantic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Enum(Mixin),
    Model,
    Dataclass,
    TypedDict,
    NamedTuple,
    /// Nothing that pydantic knows: any value is let through.
    Plain,
    /// It inherits from or is decorated by something that is not in the repository; the fragment says what is missing.
    Unknown(&'static str),
}

/// What the members of an enumeration are besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mixin {
    None,
    Str,
    /// `StrEnum`, whose `auto()` is the name in lower case.
    StrEnum,
    Int,
    Float,
    Flag,
}

/// What kind a class is.
pub(super) fn kind<'a>(evaluator: &Evaluator<'a>, class: Class<'a>) -> Kind {
    kind_below(evaluator, class, 0)
}

/// Whether a class is an enumeration.
pub(super) fn is_enum<'a>(evaluator: &Evaluator<'a>, class: Class<'a>) -> bool {
    matches!(kind(evaluator, class), Kind::Enum(_))
}

fn kind_below<'a>(evaluator: &Evaluator<'a>, class: Class<'a>, depth: u32) -> Kind {
    let evaluator = &class.evaluator(evaluator);
    if depth > ANCESTORS || !evaluator.charge(1) {
        return Kind::Unknown("it has too many ancestors");
    }
    let mut dataclass = false;
    for decorator in &class.decorator_list {
        match callee(evaluator, &decorator.expression).as_deref() {
            Some("dataclasses.dataclass" | "pydantic.dataclasses.dataclass") => dataclass = true,
            Some(
                "enum.unique"
                | "functools.total_ordering"
                | "typing.runtime_checkable"
                | "typing.final",
            ) => {}
            _ => return Kind::Unknown("its class has a decorator that may change it"),
        }
    }
    let mut kind = if dataclass {
        Kind::Dataclass
    } else {
        Kind::Plain
    };
    let mut mixin = Mixin::None;
    let Some(arguments) = &class.arguments else {
        return kind;
    };
    for keyword in &arguments.keywords {
        match keyword.arg.as_ref().map(|name| name.as_str()) {
            Some("total") => {}
            Some("metaclass") if matches!(evaluator.value(&keyword.value), Value::Named(full) if full == "abc.ABCMeta") =>
                {}
            _ => return Kind::Unknown("its class has a metaclass or keyword"),
        }
    }
    for base in &arguments.args {
        if let Expr::Subscript(generic) = base {
            match evaluator.value(&generic.value) {
                Value::Named(full) if is_typing(&full, "Generic") && kind == Kind::Plain => {
                    continue;
                }
                _ => return Kind::Unknown("its class is generic"),
            }
        }
        let of_base = match evaluator.value(base) {
            Value::Class(parent) => kind_below(evaluator, parent, depth + 1),
            Value::Named(full) => match full.as_str() {
                "builtins.object" | "abc.ABC" => Kind::Plain,
                "enum.Enum" => Kind::Enum(Mixin::None),
                "enum.IntEnum" => Kind::Enum(Mixin::Int),
                "enum.StrEnum" => Kind::Enum(Mixin::StrEnum),
                "enum.Flag" | "enum.IntFlag" => Kind::Enum(Mixin::Flag),
                "builtins.str" => {
                    mixin = Mixin::Str;
                    continue;
                }
                "builtins.int" => {
                    mixin = Mixin::Int;
                    continue;
                }
                "builtins.float" => {
                    mixin = Mixin::Float;
                    continue;
                }
                "pydantic.BaseModel" | "pydantic.main.BaseModel" => Kind::Model,
                full if is_typing(full, "TypedDict") => Kind::TypedDict,
                full if is_typing(full, "NamedTuple") => Kind::NamedTuple,
                _ => return Kind::Unknown("its class inherits from one outside of the repository"),
            },
            _ => return Kind::Unknown("its class inherits from one that is not known"),
        };
        kind = match (kind, of_base) {
            (_, Kind::Unknown(reason)) => return Kind::Unknown(reason),
            (Kind::Plain, other) => other,
            (kind, Kind::Plain) => kind,
            (Kind::Enum(Mixin::None), other @ Kind::Enum(_)) => other,
            (kind, other) if kind == other => kind,
            _ => return Kind::Unknown("its class mixes several kinds"),
        };
    }
    match (kind, mixin) {
        (kind, Mixin::None) => kind,
        (Kind::Enum(Mixin::None), mixin) => Kind::Enum(mixin),
        (Kind::Enum(given), mixin) if given == mixin => kind,
        _ => Kind::Unknown("its class inherits from a built-in type"),
    }
}

/// Whether a dataclass is one of pydantic's own.
pub(super) fn is_of_pydantic<'a>(evaluator: &Evaluator<'a>, class: Class<'a>) -> bool {
    let evaluator = &class.evaluator(evaluator);
    class.definition.decorator_list.iter().any(|decorator| {
        callee(evaluator, &decorator.expression)
            .is_some_and(|full| full == "pydantic.dataclasses.dataclass")
    })
}

/// The full name of a decorator, with or without arguments.
pub(super) fn callee(evaluator: &Evaluator<'_>, decorator: &Expr) -> Option<String> {
    let function = match decorator {
        Expr::Call(call) => &call.func,
        other => other,
    };
    match evaluator.value(function) {
        Value::Named(full) => Some(full),
        _ => None,
    }
}

/// The docstring of a body, uncleaned.
pub(super) fn docstring(body: &[Stmt]) -> Option<&str> {
    match body.first()? {
        Stmt::Expr(statement) => match &*statement.value {
            Expr::StringLiteral(literal) => Some(literal.value.to_str()),
            _ => None,
        },
        _ => None,
    }
}
