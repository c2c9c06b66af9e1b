//! Type annotations as JSON schema, as pydantic 2 writes it.

mod block;
mod choice;
mod constraint;
mod definition;
mod named;

use std::collections::HashMap;

use ruff_python_ast::{Expr, Operator};
use ruff_python_parser::parse_expression;
use ruff_text_size::{Ranged, TextSize};
use serde_json::{Map, Value as Json, json};

use super::class::Class;
use super::constant::{Context, Evaluator, is_typing};
use super::depth;
use super::scope::{END, Named, Scope};
use super::value::Unknown;
use crate::model::Dialect;

/// How deep annotations and the aliases in them lead into each other.
const DEPTH: u32 = 60;

/// A type's schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// The schema without what follows.
    pub(super) json: Map<String, Json>,
    /// Whether it is a `$ref` (or that or null): a field of such a type gets no title.
    pub(super) named: bool,
    /// What `Annotated[…, Field(…)]` adds: `title`, `description`, `examples`, `deprecated` and extras.
    pub(super) extra: Map<String, Json>,
    /// `Field(default=…)` in an `Annotated`, in JSON.
    pub(super) default: Option<Json>,
}

impl Shape {
    fn of(json: Json) -> Self {
        match json {
            Json::Object(json) => Self {
                json,
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// Everything in one object, as it stands inside of another schema.
    fn whole(self) -> Json {
        let mut json = self.json;
        json.extend(self.extra);
        Json::Object(json)
    }
}

/// Why there is no schema for an annotation.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Prefect itself finds none, and lets any value through.
    Any,
    /// The same, except that it is left out of a union of several types.
    Omitted,
    /// It cannot be told without more than this file.
    Unknown(Unknown),
}

/// Which names an annotation sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Those of the module, before the flow.
    Module,
    /// Those of all of the module: in the string annotations of a class, which pydantic resolves when they are used.
    Late,
    /// Those of Prefect's own module: what pydantic resolves strings with that Python left as they are.
    Prefect,
}

/// Where an annotation stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) names: Names,
    /// The place of the string literal that holds it.
    pub(super) within: Option<TextSize>,
    /// Whether a string in it is resolved with the names of the module (in a class) or with Prefect's.
    pub(super) in_class: bool,
}

impl Place {
    /// An annotation of a parameter.
    pub(super) const PARAMETER: Self = Self {
        names: Names::Module,
        within: None,
        in_class: false,
    };

    fn at(self, expression: &Expr) -> TextSize {
        Context {
            within: self.within,
            locals: &[],
        }
        .place(expression)
    }
}

/// Turns annotations into schemas, and gathers the definitions that they refer to.
pub(super) struct Types<'a> {
    /// Of the module that the annotation at hand is in.
    pub(super) evaluator: Evaluator<'a>,
    /// What Prefect makes of the same annotation differs.
    pub(super) dialect: Dialect,
    pub(super) definitions: Map<String, Json>,
    /// The names of the definitions in the order in which they came, some of them gone again.
    defined_names: Vec<String>,
    /// Whether one of Prefect's own blocks is among the types.
    pub(super) blocks: bool,
    /// `additionalProperties` of the model at hand, which pydantic hands down to the dataclasses and `TypedDict`s in it.
    extra: Option<Json>,
    /// Whose definition each is.
    defined: HashMap<String, Class<'a>>,
    depth: u32,
}

impl<'a> Types<'a> {
    pub(super) fn new(evaluator: Evaluator<'a>, dialect: Dialect) -> Self {
        Self {
            evaluator,
            dialect,
            definitions: Map::new(),
            defined_names: Vec::new(),
            blocks: false,
            extra: None,
            defined: HashMap::new(),
            depth: 0,
        }
    }

    /// How many definitions came so far, for [`Types::back_to`].
    pub(super) fn so_far(&self) -> usize {
        self.defined_names.len()
    }

    /// Takes out the definitions that came since: an annotation that has no schema leaves none behind.
    pub(super) fn back_to(&mut self, so_far: usize) {
        for name in self.defined_names.split_off(so_far) {
            self.definitions.remove(&name);
        }
    }

    fn define(&mut self, name: &str, schema: Json) {
        if self.definitions.insert(name.to_owned(), schema).is_none() {
            self.defined_names.push(name.to_owned());
        }
    }

    /// The schema of an annotation.
    pub(super) fn shape(&mut self, annotation: &Expr, place: Place) -> Result<Shape, Fault> {
        if self.depth >= DEPTH || !self.evaluator.charge(1) {
            return fault("it is nested too deep", place.at(annotation));
        }
        self.depth += 1;
        let shape = self.shape_inner(annotation, place);
        self.depth -= 1;
        shape
    }

    /// Does something with the names of another module.
    fn inside<T>(
        &mut self,
        scope: &'a Scope<'a>,
        act: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let there = self.evaluator.within(scope);
        if !self.evaluator.is_elsewhere(&there) {
            return act(self);
        }
        let here = std::mem::replace(&mut self.evaluator, there);
        let result = act(self);
        self.evaluator = here;
        result.map_err(|mut fault| {
            if let Fault::Unknown(unknown) = &mut fault {
                unknown.file = unknown.file.or(scope.file);
            }
            fault
        })
    }

    fn shape_inner(&mut self, annotation: &Expr, place: Place) -> Result<Shape, Fault> {
        let at = place.at(annotation);
        match annotation {
            Expr::NoneLiteral(_) => Ok(Shape::of(json!({"type": "null"}))),
            Expr::StringLiteral(literal) => {
                let names = if place.in_class {
                    Names::Late
                } else {
                    Names::Prefect
                };
                let place = Place {
                    names,
                    within: Some(at),
                    ..place
                };
                self.text(literal.value.to_str(), place)
            }
            Expr::BinOp(binary) if binary.op == Operator::BitOr => self.union(annotation, place),
            Expr::Subscript(subscript) => match self.resolve(&subscript.value, place)? {
                Target::Named(full)
                    if is_typing(&full, "Optional") || is_typing(&full, "Union") =>
                {
                    self.union(annotation, place)
                }
                Target::Named(full) if is_typing(&full, "Literal") => {
                    self.literal(&subscript.slice, place)
                }
                Target::Named(full) if is_typing(&full, "Annotated") => {
                    self.annotated(&subscript.slice, place)
                }
                Target::Named(full)
                    if matches!(&*subscript.slice, Expr::Tuple(tuple) if tuple.is_empty())
                        && (full == "builtins.tuple" || is_typing(&full, "Tuple")) =>
                {
                    Ok(Shape::of(
                        json!({"type": "array", "maxItems": 0, "minItems": 0}),
                    ))
                }
                Target::Named(full) => {
                    let arguments = match &*subscript.slice {
                        Expr::Tuple(tuple) => tuple.elts.as_slice(),
                        single => std::slice::from_ref(single),
                    };
                    self.generic(&full, arguments, place, at)
                }
                _ => fault("it is a generic of the repository", at),
            },
            Expr::Call(call) => match self.resolve(&call.func, place)? {
                Target::Named(full) => self.constrained(&full, call, place, at),
                _ => fault("it comes from a call", at),
            },
            Expr::Name(_) | Expr::Attribute(_) => match self.resolve(annotation, place)? {
                Target::Named(full) => self.bare(&full, at),
                Target::Class(class) => self.class(class, at),
                Target::Alias(alias, scope) => {
                    self.inside(scope, |types| types.alias(alias, alias.start()))
                }
                Target::Module(_) => fault("it is a module", at),
            },
            _ => fault("it is not evaluated", at),
        }
    }

    /// The schema of a string annotation's text.
    pub(super) fn text(&mut self, text: &str, place: Place) -> Result<Shape, Fault> {
        let at = place.within.unwrap_or_default();
        if let Some(reason) = depth::refuse(text) {
            return fault(reason, at);
        }
        match parse_expression(text.trim_matches([' ', '\t'])) {
            Ok(parsed) => self.shape(parsed.expr(), place),
            Err(_) => fault("the text is not a type", at),
        }
    }

    /// The schema of an assignment's value that is used as a type.
    fn alias(&mut self, value: &'a Expr, at: TextSize) -> Result<Shape, Fault> {
        let place = Place::PARAMETER;
        if let Expr::Call(call) = value
            && let Target::Named(full) = self.resolve(&call.func, place)?
        {
            if is_typing(&full, "NewType") {
                return match call.arguments.args.get(1) {
                    Some(original) => self.shape(original, place),
                    None => fault("the `NewType` has no type", at),
                };
            }
            if is_typing(&full, "TypeVar") {
                let bounded = call.arguments.args.len() > 1 || !call.arguments.keywords.is_empty();
                return if bounded {
                    fault("the type variable is bounded", at)
                } else {
                    Ok(Shape::default())
                };
            }
        }
        match value {
            // As a bare name a text is no type to Python, but pydantic never sees one: it is a plain value.
            Expr::StringLiteral(_) => fault("it is the name of a text", at),
            _ => self.shape(value, place),
        }
    }

    /// What a name or an attribute stands for.
    fn resolve(&self, expression: &Expr, place: Place) -> Result<Target<'a>, Fault> {
        resolve(&self.evaluator, expression, place)
    }
}

/// What a name in an annotation stands for.
enum Target<'a> {
    /// By its full name.
    Named(String),
    Class(Class<'a>),
    /// The value of an assignment, and the module that it is in.
    Alias(&'a Expr, &'a Scope<'a>),
    Module(&'a Scope<'a>),
}

fn resolve<'a>(
    evaluator: &Evaluator<'a>,
    expression: &Expr,
    place: Place,
) -> Result<Target<'a>, Fault> {
    let at = place.at(expression);
    match expression {
        Expr::Name(name) => {
            let name = name.id.as_str();
            if place.names == Names::Prefect {
                return match name {
                    "typing" | "t" => Ok(Target::Named("typing".to_owned())),
                    "pydantic" | "inspect" => Ok(Target::Named(name.to_owned())),
                    _ if super::scope::BUILTINS.binary_search(&name).is_ok() => {
                        Ok(Target::Named(format!("builtins.{name}")))
                    }
                    _ => Err(Fault::Any),
                };
            }
            let before = if place.names == Names::Late { END } else { at };
            target(evaluator, name, evaluator.lookup(name, before), at)
        }
        Expr::Attribute(attribute) => {
            let name = attribute.attr.as_str();
            let found = match resolve(evaluator, &attribute.value, place)? {
                Target::Named(module) => evaluator.imported(format!("{module}.{name}")),
                Target::Module(module) => evaluator.member(module, name),
                _ => return fault("it is an attribute of something in the repository", at),
            };
            target(evaluator, name, found, at)
        }
        _ => fault("it is not evaluated", at),
    }
}

fn target<'a>(
    here: &Evaluator<'a>,
    name: &str,
    (there, named): (Evaluator<'a>, Named<'a>),
    at: TextSize,
) -> Result<Target<'a>, Fault> {
    match named {
        Named::Imported(full) => Ok(Target::Named(full)),
        Named::Module(module) => Ok(Target::Module(module)),
        Named::Class(definition) => Ok(Target::Class(Class {
            scope: there.scope,
            definition,
        })),
        Named::Value {
            expression,
            stable: true,
        } => match expression {
            Expr::Name(_) | Expr::Attribute(_) => {
                if there.charge(1) && (here.is_elsewhere(&there) || expression.start() < at) {
                    resolve(&there, expression, Place::PARAMETER)
                } else {
                    fault("the name leads to itself", at)
                }
            }
            _ => Ok(Target::Alias(expression, there.scope)),
        },
        Named::Missing(reason) => fault(reason, at),
        Named::Undefined => fault(format!("the name `{name}` is not defined"), at),
        _ => fault(
            format!("what `{name}` is depends on how the module runs"),
            at,
        ),
    }
}

fn fault<T>(reason: impl Into<String>, at: TextSize) -> Result<T, Fault> {
    Err(Fault::Unknown(Unknown::new(reason, at)))
}
