//! Unions and literals: types that are one of several.

use ruff_python_ast::{Expr, ExprSubscript, Operator};
use serde_json::{Map, Value as Json, json};

use super::{DEPTH, Fault, Place, Shape, Target, Types, fault};
use crate::read::python::constant::{Context, is_typing};
use crate::read::python::value::Value;

impl Types<'_> {
    pub(super) fn union(&mut self, annotation: &Expr, place: Place) -> Result<Shape, Fault> {
        let mut choices = Vec::new();
        let (mut nullable, mut omitted) = (false, 0);
        self.choices(annotation, place, &mut choices, &mut nullable, &mut omitted)?;
        if omitted > 0 && omitted + choices.len() < 2 {
            return Err(Fault::Omitted);
        }
        let only = choices.len() == 1;
        let named = only && choices.first().is_some_and(|choice| choice.named);
        let mut schemas: Vec<Json> = choices.into_iter().map(Shape::whole).collect();
        if nullable {
            schemas.push(json!({"type": "null"}));
        }
        let Json::Object(json) = either(schemas) else {
            return Ok(Shape::default());
        };
        Ok(Shape {
            json,
            named,
            ..Shape::default()
        })
    }

    /// The members of a union and of the unions in it, without null.
    fn choices(
        &mut self,
        annotation: &Expr,
        place: Place,
        choices: &mut Vec<Shape>,
        nullable: &mut bool,
        omitted: &mut usize,
    ) -> Result<(), Fault> {
        if self.depth >= DEPTH || !self.evaluator.charge(1) {
            return fault("it is nested too deep", place.at(annotation));
        }
        self.depth += 1;
        let result = self.choices_inner(annotation, place, choices, nullable, omitted);
        self.depth -= 1;
        result
    }

    fn choices_inner(
        &mut self,
        annotation: &Expr,
        place: Place,
        choices: &mut Vec<Shape>,
        nullable: &mut bool,
        omitted: &mut usize,
    ) -> Result<(), Fault> {
        match annotation {
            Expr::NoneLiteral(_) => {
                *nullable = true;
                return Ok(());
            }
            Expr::BinOp(binary) if binary.op == Operator::BitOr => {
                self.choices(&binary.left, place, choices, nullable, omitted)?;
                return self.choices(&binary.right, place, choices, nullable, omitted);
            }
            Expr::Subscript(subscript) => {
                if let Target::Named(full) = self.resolve(&subscript.value, place)? {
                    if is_typing(&full, "Optional") {
                        *nullable = true;
                        return self.choices(&subscript.slice, place, choices, nullable, omitted);
                    }
                    if is_typing(&full, "Union") {
                        let members = match &*subscript.slice {
                            Expr::Tuple(tuple) => tuple.elts.as_slice(),
                            single => std::slice::from_ref(single),
                        };
                        for member in members {
                            self.choices(member, place, choices, nullable, omitted)?;
                        }
                        return Ok(());
                    }
                }
            }
            Expr::Name(_) | Expr::Attribute(_) => {
                if let Target::Alias(alias, scope) = self.resolve(annotation, place)?
                    && matches!(alias, Expr::BinOp(_) | Expr::Subscript(_))
                {
                    return self.inside(scope, |types| {
                        types.choices(alias, Place::PARAMETER, choices, nullable, omitted)
                    });
                }
            }
            _ => {}
        }
        let shape = match self.shape(annotation, place) {
            Err(Fault::Omitted) => {
                *omitted += 1;
                return Ok(());
            }
            other => other?,
        };
        if Json::Object(shape.json.clone()) == json!({"type": "null"}) {
            *nullable = true;
        } else {
            choices.push(shape);
        }
        Ok(())
    }

    pub(super) fn literal(&mut self, choices: &Expr, place: Place) -> Result<Shape, Fault> {
        let mut values = Vec::new();
        self.literal_values(choices, place, &mut values)?;
        let mut distinct: Vec<Json> = Vec::new();
        for value in values {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        let mut json = Map::new();
        if let Some(kind) = common_type(&distinct) {
            json.insert("type".to_owned(), kind.into());
        }
        match <[Json; 1]>::try_from(distinct) {
            Ok([only]) => json.insert("const".to_owned(), only),
            Err(several) => json.insert("enum".to_owned(), several.into()),
        };
        Ok(Shape {
            json,
            ..Shape::default()
        })
    }

    fn literal_values(
        &mut self,
        choices: &Expr,
        place: Place,
        values: &mut Vec<Json>,
    ) -> Result<(), Fault> {
        let choices = match choices {
            Expr::Tuple(tuple) => tuple.elts.as_slice(),
            single => std::slice::from_ref(single),
        };
        for choice in choices {
            let at = place.at(choice);
            if !self.evaluator.charge(1 + values.len() / 16) || self.depth >= DEPTH {
                return fault("it has too many values", at);
            }
            if let Expr::Subscript(subscript) = choice {
                self.nested_literal(subscript, place, values)?;
                continue;
            }
            if let Expr::Name(_) | Expr::Attribute(_) = choice
                && let Ok(Target::Alias(Expr::Subscript(subscript), scope)) =
                    self.resolve(choice, place)
            {
                self.inside(scope, |types| {
                    types.nested_literal(subscript, Place::PARAMETER, values)
                })?;
                continue;
            }
            let context = Context {
                within: place.within,
                locals: &[],
            };
            match self.evaluator.eval(choice, context) {
                Value::Unknown(unknown) => return Err(Fault::Unknown(unknown)),
                value => match value.json() {
                    Some(value) => values.push(value),
                    None => return fault("a value of the literal is not known", at),
                },
            }
        }
        Ok(())
    }

    /// The values of a `Literal[…]` in another.
    fn nested_literal(
        &mut self,
        subscript: &ExprSubscript,
        place: Place,
        values: &mut Vec<Json>,
    ) -> Result<(), Fault> {
        match self.resolve(&subscript.value, place)? {
            Target::Named(full) if is_typing(&full, "Literal") => {
                self.depth += 1;
                let result = self.literal_values(&subscript.slice, place, values);
                self.depth -= 1;
                result
            }
            _ => fault(
                "a value of the literal is not known",
                place.at(&subscript.value),
            ),
        }
    }
}

/// `anyOf` of the schemas: those in an `anyOf` lifted out of it, each once, and a single one as it is.
fn either(schemas: Vec<Json>) -> Json {
    let mut members: Vec<Json> = Vec::with_capacity(schemas.len());
    for schema in schemas {
        let lifted = match schema {
            Json::Object(mut map) if map.len() == 1 && map.contains_key("anyOf") => {
                match map.remove("anyOf") {
                    Some(Json::Array(inner)) => inner,
                    _ => Vec::new(),
                }
            }
            other => vec![other],
        };
        for schema in lifted {
            if !members.contains(&schema) {
                members.push(schema);
            }
        }
    }
    match <[Json; 1]>::try_from(members) {
        Ok([only]) => only,
        Err(members) => json!({ "anyOf": members }),
    }
}

/// The JSON type that all values have, where it is one.
pub(super) fn common_type(values: &[Json]) -> Option<&'static str> {
    let kind = |value: &Json| match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    let first = kind(values.first()?);
    (first != "object" && values.iter().all(|value| kind(value) == first)).then_some(first)
}
