//! The classes of a file: what kind each is, its fields, its members, and instances of it.

use ruff_python_ast::{Expr, Stmt, StmtClassDef};
use ruff_text_size::TextSize;

use super::constant::{Arguments, Context, Evaluator, is_typing};
use super::value::{Value, unknown};

/// How far up a class's ancestors are followed.
const ANCESTORS: u32 = 20;

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
    /// It inherits from or is decorated by something that is not in the file; the fragment says what is missing.
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

/// A field of a model, dataclass, `TypedDict` or `NamedTuple`.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) annotation: &'a Expr,
    /// `None` without one, or with a factory.
    pub(super) default: Option<Value<'a>>,
    /// The argument of `default_factory=`.
    pub(super) factory: Option<&'a Expr>,
    /// The keyword arguments of `Field(…)`.
    pub(super) options: Vec<(String, Value<'a>)>,
    /// For a `TypedDict`: whether its class body is total.
    pub(super) total: bool,
}

/// What kind a class is.
pub(super) fn kind(evaluator: &Evaluator<'_>, class: &StmtClassDef) -> Kind {
    kind_below(evaluator, class, 0)
}

/// Whether a class is an enumeration.
pub(super) fn is_enum(evaluator: &Evaluator<'_>, class: &StmtClassDef) -> bool {
    matches!(kind(evaluator, class), Kind::Enum(_))
}

fn kind_below(evaluator: &Evaluator<'_>, class: &StmtClassDef, depth: u32) -> Kind {
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
                _ => return Kind::Unknown("its class inherits from one outside of the file"),
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

/// The members of an enumeration with their values, aliases too; `None` where they are not known.
pub(super) fn members<'a>(
    evaluator: &Evaluator<'a>,
    class: &'a StmtClassDef,
) -> Option<Vec<(String, Value<'a>)>> {
    let Kind::Enum(mixin) = kind(evaluator, class) else {
        return None;
    };
    let mut members: Vec<(String, Value<'a>)> = Vec::new();
    for statement in &class.body {
        let (target, value) = match statement {
            Stmt::Assign(assign) => match assign.targets.as_slice() {
                [Expr::Name(name)] => (name.id.as_str(), &*assign.value),
                _ => return None,
            },
            Stmt::AnnAssign(assign) => match (&*assign.target, &assign.value) {
                (Expr::Name(name), Some(value)) => (name.id.as_str(), &**value),
                _ => continue,
            },
            Stmt::FunctionDef(function)
                if matches!(function.name.as_str(), "__new__" | "_generate_next_value_") =>
            {
                return None;
            }
            Stmt::FunctionDef(_) | Stmt::Expr(_) | Stmt::Pass(_) => continue,
            _ => return None,
        };
        if target.starts_with('_') {
            if target == "_ignore_" {
                return None;
            }
            continue;
        }
        let given = if callee(evaluator, value).as_deref() == Some("enum.auto")
            && matches!(value, Expr::Call(_))
        {
            next(mixin, target, &members)?
        } else {
            evaluator.eval(
                value,
                Context {
                    within: None,
                    locals: &members,
                },
            )
        };
        let value = match (mixin, given) {
            (_, Value::Unknown(_) | Value::Opaque | Value::Named(_) | Value::Function(_)) => {
                return None;
            }
            (Mixin::Str | Mixin::StrEnum, value @ Value::Str(_)) => value,
            (Mixin::Str, Value::Int(value)) => Value::Str(value.to_string()),
            (Mixin::Float, Value::Int(_) | Value::Bool(_)) => return None,
            (Mixin::Float, value @ Value::Float(_)) => value,
            (Mixin::Int | Mixin::Flag, value @ Value::Int(_)) => value,
            (Mixin::None, value) => value,
            _ => return None,
        };
        if !evaluator.charge(1 + members.len() / 16) {
            return None;
        }
        members.push((target.to_owned(), value));
    }
    Some(members)
}

/// What `auto()` gives.
fn next<'a>(mixin: Mixin, name: &str, members: &[(String, Value<'a>)]) -> Option<Value<'a>> {
    if mixin == Mixin::StrEnum {
        return Some(Value::Str(name.to_lowercase()));
    }
    let mut last = 0_i128;
    for (_, value) in members {
        let value = match value {
            Value::Str(text) if mixin == Mixin::Str => text.parse().ok()?,
            other => other.integer()?,
        };
        // Python versions differ in what follows a member that is not the largest.
        if value < last {
            return None;
        }
        last = value;
    }
    Some(Value::Int(match mixin {
        Mixin::Flag if last > 0 => 1_i128
            .checked_shl(128 - last.leading_zeros())
            .filter(|value| *value > 0)?,
        _ => last.checked_add(1)?,
    }))
}

/// `Class.name`: a member of an enumeration, or a constant of a plain class.
pub(super) fn member<'a>(
    evaluator: &Evaluator<'a>,
    class: &'a StmtClassDef,
    name: &str,
) -> Option<Value<'a>> {
    match kind(evaluator, class) {
        Kind::Enum(_) => {
            let members = members(evaluator, class)?;
            let (_, value) = members.iter().find(|(other, _)| other == name)?;
            let first = members
                .iter()
                .find(|(_, other)| other.equals(value) == Some(true));
            Some(Value::Member {
                class,
                name: first.map_or(name, |(first, _)| first).to_owned(),
                value: Box::new(value.clone()),
            })
        }
        Kind::Plain => class.body.iter().rev().find_map(|statement| {
            let value = match statement {
                Stmt::Assign(assign) => match assign.targets.as_slice() {
                    [Expr::Name(target)] if target.id == name => &assign.value,
                    _ => return None,
                },
                Stmt::AnnAssign(assign) => match (&*assign.target, &assign.value) {
                    (Expr::Name(target), Some(value)) if target.id == name => value,
                    _ => return None,
                },
                _ => return None,
            };
            Some(evaluator.value(value))
        }),
        _ => None,
    }
}

/// The fields of a class and of its ancestors in the file, those of ancestors first; an error says what is not known.
pub(super) fn fields<'a>(
    evaluator: &Evaluator<'a>,
    class: &'a StmtClassDef,
) -> Result<Vec<Field<'a>>, &'static str> {
    let mut fields = Vec::new();
    gather(evaluator, class, 0, &mut fields)?;
    Ok(fields)
}

fn gather<'a>(
    evaluator: &Evaluator<'a>,
    class: &'a StmtClassDef,
    depth: u32,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), &'static str> {
    if depth > ANCESTORS || !evaluator.charge(1) {
        return Err("it has too many ancestors");
    }
    let bases = class
        .arguments
        .iter()
        .flat_map(|arguments| arguments.args.iter().rev());
    for base in bases {
        if let Value::Class(parent) = evaluator.value(base) {
            gather(evaluator, parent, depth + 1, fields)?;
        }
    }
    let total = class
        .arguments
        .as_ref()
        .and_then(|arguments| arguments.find_keyword("total"))
        .is_none_or(|keyword| evaluator.value(&keyword.value).truth() != Some(false));
    for statement in &class.body {
        let assign = match statement {
            Stmt::AnnAssign(assign) => assign,
            Stmt::If(_) | Stmt::For(_) | Stmt::With(_) | Stmt::Try(_) => {
                return Err("its class body has statements");
            }
            _ => continue,
        };
        let Expr::Name(name) = &*assign.target else {
            continue;
        };
        let name = name.id.as_str();
        if name == "model_config"
            || (name.starts_with('_') && kind(evaluator, class) == Kind::Model)
        {
            continue;
        }
        let plain = match &*assign.annotation {
            Expr::Subscript(subscript) => &subscript.value,
            other => other,
        };
        match evaluator.value(plain) {
            Value::Named(full) if is_typing(&full, "ClassVar") => continue,
            Value::Named(full) if full == "dataclasses.KW_ONLY" => continue,
            Value::Named(full) if full == "dataclasses.InitVar" => {
                return Err("it has an `InitVar`");
            }
            _ => {}
        }
        if !evaluator.charge(1 + fields.len() / 8) {
            return Err("it has too many fields");
        }
        let mut field = Field {
            name,
            annotation: &assign.annotation,
            default: None,
            factory: None,
            options: Vec::new(),
            total,
        };
        if let Some(value) = &assign.value {
            assigned(evaluator, value, &mut field);
        }
        match fields.iter_mut().find(|other| other.name == name) {
            Some(inherited) => *inherited = field,
            None => fields.push(field),
        }
    }
    Ok(())
}

/// The default of a field: a value, or the arguments of `Field(…)` or `field(…)`.
fn assigned<'a>(evaluator: &Evaluator<'a>, value: &'a Expr, field: &mut Field<'a>) {
    let options = match value {
        Expr::Call(call) => match callee(evaluator, value).as_deref() {
            Some("dataclasses.field") => evaluator
                .arguments(call, Context::default())
                .ok()
                .map(|given| given.keywords),
            Some("pydantic.Field" | "pydantic.fields.Field") => match evaluator.value(value) {
                Value::Field(options) => Some(options),
                _ => None,
            },
            _ => None,
        }
        .map(|options| (call, options)),
        _ => None,
    };
    let Some((call, options)) = options else {
        field.default = match evaluator.value(value) {
            Value::Ellipsis => None,
            value => Some(value),
        };
        return;
    };
    field.factory = call
        .arguments
        .find_keyword("default_factory")
        .map(|keyword| &keyword.value);
    field.default = options
        .iter()
        .find(|(name, value)| name == "default" && *value != Value::Ellipsis)
        .map(|(_, value)| value.clone());
    field.options = options;
}

/// What a factory makes when it is called without arguments.
fn made<'a>(evaluator: &Evaluator<'a>, factory: &'a Expr, at: TextSize) -> Value<'a> {
    let empty = Arguments {
        positional: Vec::new(),
        keywords: Vec::new(),
    };
    match factory {
        Expr::Lambda(lambda) if lambda.parameters.is_none() => evaluator.value(&lambda.body),
        _ => match evaluator.value(factory) {
            Value::Named(full) => match full.as_str() {
                "builtins.list" => Value::List(Vec::new()),
                "builtins.dict" => Value::Dict(Vec::new()),
                "builtins.set" => Value::Set(Vec::new()),
                "builtins.tuple" => Value::Tuple(Vec::new()),
                "builtins.str" => Value::Str(String::new()),
                _ => unknown(format!("it comes from calling `{full}`"), at),
            },
            Value::Class(class) => instance(evaluator, class, &empty, at),
            _ => unknown("it comes from calling a function", at),
        },
    }
}

/// What calling a class of the file gives.
pub(super) fn instance<'a>(
    evaluator: &Evaluator<'a>,
    class: &'a StmtClassDef,
    arguments: &Arguments<'a>,
    at: TextSize,
) -> Value<'a> {
    let not_known = |reason: &str| {
        unknown(
            format!("`{}(…)` is not evaluated: {reason}", class.name),
            at,
        )
    };
    let kind = kind(evaluator, class);
    match kind {
        Kind::Unknown(reason) => return not_known(reason),
        Kind::Plain => return Value::Opaque,
        Kind::Enum(_) => {
            let found = match arguments.positional.as_slice() {
                [wanted] => members(evaluator, class).and_then(|members| {
                    members
                        .into_iter()
                        .find(|(_, value)| value.equals(wanted) == Some(true))
                }),
                _ => None,
            };
            return match found {
                Some((name, value)) => Value::Member {
                    class,
                    name,
                    value: Box::new(value),
                },
                None => not_known("no member has this value"),
            };
        }
        Kind::TypedDict => {
            let items = arguments
                .keywords
                .iter()
                .map(|(key, value)| (Value::Str(key.clone()), value.clone()));
            return evaluator.dict_of(items.collect(), at);
        }
        Kind::Model | Kind::Dataclass | Kind::NamedTuple => {}
    }
    if kind != Kind::NamedTuple && changes_instances(class) {
        return not_known("its class has methods that take part in making it");
    }
    let fields = match fields(evaluator, class) {
        Ok(fields) => fields,
        Err(reason) => return not_known(reason),
    };
    if arguments.positional.len() > fields.len()
        || (kind == Kind::Model && !arguments.positional.is_empty())
    {
        return not_known("it has too many arguments");
    }
    if arguments
        .keywords
        .iter()
        .any(|(keyword, _)| fields.iter().all(|field| field.name != keyword))
    {
        return not_known("it has an argument that is no field");
    }
    let mut values = Vec::with_capacity(fields.len());
    for (place, field) in fields.into_iter().enumerate() {
        if field
            .options
            .iter()
            .any(|(name, _)| name.contains("alias") || name == "init" || name == "exclude")
            && kind == Kind::Model
        {
            return not_known("a field has an alias");
        }
        let given = arguments.positional.get(place).or_else(|| {
            arguments
                .keywords
                .iter()
                .find(|(keyword, _)| keyword == field.name)
                .map(|(_, value)| value)
        });
        let value = match (given, field.default, field.factory) {
            (Some(given), ..) => {
                if kind == Kind::Model && !accepts(evaluator, field.annotation, given, 0) {
                    return not_known("pydantic may convert an argument");
                }
                given.clone()
            }
            (None, Some(default), _) => default,
            (None, None, Some(factory)) => made(evaluator, factory, at),
            (None, None, None) => return not_known("a field has no value"),
        };
        values.push((field.name.to_owned(), value));
    }
    if kind == Kind::NamedTuple {
        return Value::Tuple(values.into_iter().map(|(_, value)| value).collect());
    }
    Value::Instance {
        class,
        fields: values,
    }
}

/// Whether a class body takes part in making or writing its instances, beyond its fields.
fn changes_instances(class: &StmtClassDef) -> bool {
    class.body.iter().any(|statement| match statement {
        Stmt::FunctionDef(function) => {
            matches!(
                function.name.as_str(),
                "__init__" | "__post_init__" | "__new__" | "model_post_init"
            ) || function.decorator_list.iter().any(|decorator| {
                let name = match &decorator.expression {
                    Expr::Call(call) => &call.func,
                    other => other,
                };
                let name = match name {
                    Expr::Name(name) => name.id.as_str(),
                    Expr::Attribute(attribute) => attribute.attr.as_str(),
                    _ => return true,
                };
                name.ends_with("validator")
                    || name.ends_with("serializer")
                    || name == "computed_field"
            })
        }
        _ => false,
    })
}

/// Whether pydantic takes a value for an annotation as it is, without converting it; false where that is not sure.
fn accepts<'a>(
    evaluator: &Evaluator<'a>,
    annotation: &Expr,
    value: &Value<'a>,
    depth: u32,
) -> bool {
    if depth > 8 {
        return false;
    }
    match annotation {
        Expr::NoneLiteral(_) => *value == Value::None,
        Expr::BinOp(union) => {
            accepts(evaluator, &union.left, value, depth + 1)
                || accepts(evaluator, &union.right, value, depth + 1)
        }
        Expr::Subscript(generic) => match evaluator.value(&generic.value) {
            Value::Named(full) if is_typing(&full, "Optional") => {
                *value == Value::None || accepts(evaluator, &generic.slice, value, depth + 1)
            }
            Value::Named(full) if full == "builtins.list" || is_typing(&full, "List") => {
                match value {
                    Value::List(items) => items
                        .iter()
                        .all(|item| accepts(evaluator, &generic.slice, item, depth + 1)),
                    _ => false,
                }
            }
            Value::Named(full) if full == "builtins.dict" || is_typing(&full, "Dict") => {
                match (value, &*generic.slice) {
                    (Value::Dict(items), Expr::Tuple(types)) if types.elts.len() == 2 => {
                        items.iter().all(|(key, value)| {
                            accepts(evaluator, &types.elts[0], key, depth + 1)
                                && accepts(evaluator, &types.elts[1], value, depth + 1)
                        })
                    }
                    _ => false,
                }
            }
            Value::Named(full) if is_typing(&full, "Literal") => {
                let choices = match &*generic.slice {
                    Expr::Tuple(choices) => choices.elts.as_slice(),
                    other => std::slice::from_ref(other),
                };
                choices
                    .iter()
                    .any(|choice| evaluator.value(choice) == *value)
            }
            _ => false,
        },
        _ => match (evaluator.value(annotation), value) {
            (Value::Class(wanted), Value::Instance { class, .. } | Value::Member { class, .. }) => {
                std::ptr::eq(wanted, *class)
            }
            (Value::Named(full), value) => match (full.as_str(), value) {
                ("builtins.str", Value::Str(_))
                | ("builtins.int", Value::Int(_))
                | ("builtins.bool", Value::Bool(_))
                | ("builtins.float", Value::Float(_) | Value::Int(_))
                | ("builtins.list", Value::List(_))
                | ("builtins.dict", Value::Dict(_))
                | ("datetime.datetime", Value::DateTime(..))
                | ("datetime.date", Value::Date(_))
                | ("datetime.timedelta", Value::Timedelta(_))
                | ("pathlib.Path", Value::Path(_))
                | ("uuid.UUID", Value::Uuid(_))
                | ("pydantic.SecretStr", Value::Secret) => true,
                (full, _) => is_typing(full, "Any"),
            },
            _ => false,
        },
    }
}
