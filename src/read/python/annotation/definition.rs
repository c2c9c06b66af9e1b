//! The classes of the repository as definitions that a schema refers to.

use ruff_python_ast::{Expr, Stmt, StmtClassDef};
use ruff_text_size::{Ranged, TextSize};
use serde_json::{Map, Value as Json, json};

use super::choice::common_type;
use super::constraint::apply;
use super::{Fault, Names, Place, Shape, Types, fault};
use crate::model::Dialect;
use crate::read::python::class::{self, Class, Field, Kind};
use crate::read::python::constant::is_typing;
use crate::read::python::docstring::clean;
use crate::read::python::value::{Json as Default, Value};

impl<'a> Types<'a> {
    /// The schema of a class of the repository.
    pub(super) fn class(&mut self, class: Class<'a>, at: TextSize) -> Result<Shape, Fault> {
        if std::ptr::eq(class.scope, self.evaluator.scope) {
            return self.class_here(class, at);
        }
        let at = class.name.start();
        self.inside(class.scope, |types| types.class_here(class, at))
    }

    fn class_here(&mut self, class: Class<'a>, at: TextSize) -> Result<Shape, Fault> {
        let kind = class::kind(&self.evaluator, class);
        if let Kind::Unknown(reason) = kind {
            return fault(reason, at);
        }
        let custom = class.body.iter().any(|statement| {
            matches!(statement, Stmt::FunctionDef(function) if function.name.starts_with("__get_pydantic"))
                || matches!(statement, Stmt::ClassDef(inner) if inner.name == *"Config")
        });
        if custom {
            return fault("its class has a schema of its own", at);
        }
        let name = class.definition.name.as_str();
        let reference = || Shape {
            named: true,
            ..Shape::of(json!({"$ref": format!("#/definitions/{name}")}))
        };
        if kind == Kind::Plain {
            return Ok(Shape::default());
        }
        if self.definitions.contains_key(name) {
            return match self.defined.get(name) {
                Some(other) if *other == class => Ok(reference()),
                _ => fault("another type of the same name is in use too", at),
            };
        }
        self.defined.insert(name.to_owned(), class);
        // A class may refer to itself.
        self.define(name, Json::Null);
        let definition = match kind {
            Kind::Enum(_) => match class::members(&self.evaluator, class) {
                Some(members) if members.is_empty() => {
                    self.definitions.remove(name);
                    return Ok(Shape::of(json!({"enum": []})));
                }
                Some(members) => enumeration(class.definition, &members, at),
                None => fault("the members of its enumeration are not known", at),
            },
            Kind::NamedTuple => self.named_tuple(class, at),
            _ => self.object(class, kind, at),
        };
        match definition {
            Ok(definition) => {
                self.define(name, Json::Object(definition));
                Ok(reference())
            }
            Err(fault) => {
                self.definitions.remove(name);
                Err(fault)
            }
        }
    }

    fn named_tuple(&mut self, class: Class<'a>, at: TextSize) -> Result<Map<String, Json>, Fault> {
        let fields = class::fields(&self.evaluator, class).or_else(|reason| fault(reason, at))?;
        let (mut items, mut required) = (Vec::new(), 0_usize);
        for field in &fields {
            let (_, schema, needed) = self.field(field, Kind::NamedTuple, at)?;
            required += usize::from(needed);
            items.push(Json::Object(schema));
        }
        let mut json = Map::new();
        json.insert("type".to_owned(), "array".into());
        json.insert("minItems".to_owned(), required.into());
        json.insert("maxItems".to_owned(), items.len().into());
        json.insert("prefixItems".to_owned(), items.into());
        Ok(json)
    }

    /// A model, dataclass or `TypedDict`.
    fn object(
        &mut self,
        class: Class<'a>,
        kind: Kind,
        at: TextSize,
    ) -> Result<Map<String, Json>, Fault> {
        let vanilla = kind == Kind::Dataclass && !class::is_of_pydantic(&self.evaluator, class);
        let mut own = Map::new();
        if kind == Kind::Model {
            self.configuration(class, &mut own, at)?;
        }
        let extra = match kind {
            Kind::TypedDict => self.extra.clone(),
            Kind::Dataclass if vanilla => self.extra.clone(),
            _ => own.get("additionalProperties").cloned(),
        };
        let outer = std::mem::replace(&mut self.extra, extra.clone());
        let properties = self.properties(class, kind, at);
        self.extra = outer;
        let (properties, required) = properties?;
        let mut json = Map::new();
        json.insert("type".to_owned(), "object".into());
        json.insert("title".to_owned(), class.name.as_str().into());
        json.insert("properties".to_owned(), Json::Object(properties));
        if !required.is_empty() {
            json.insert("required".to_owned(), required.into());
        }
        // Of a dataclass that is not pydantic's own, the older pydantic of Prefect 2 tells less.
        let told = !vanilla || self.dialect == Dialect::Prefect3;
        if let Some(text) = class::docstring(&class.body).filter(|text| told && !text.is_empty()) {
            json.insert("description".to_owned(), clean(text).into());
        }
        json.extend(own);
        if let Some(extra) = extra.filter(|_| told) {
            json.insert("additionalProperties".to_owned(), extra);
        }
        Ok(json)
    }

    /// The properties of a class, and the names of those that are required.
    fn properties(
        &mut self,
        class: Class<'a>,
        kind: Kind,
        at: TextSize,
    ) -> Result<(Map<String, Json>, Vec<Json>), Fault> {
        let fields = class::fields(&self.evaluator, class).or_else(|reason| fault(reason, at))?;
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in &fields {
            let (name, schema, needed) = self.field(field, kind, at)?;
            if needed {
                required.push(Json::String(name.clone()));
            }
            properties.insert(name, Json::Object(schema));
        }
        Ok((properties, required))
    }

    /// What `model_config` says of the schema.
    fn configuration(
        &mut self,
        class: Class<'a>,
        json: &mut Map<String, Json>,
        at: TextSize,
    ) -> Result<(), Fault> {
        for base in class
            .definition
            .arguments
            .iter()
            .flat_map(|arguments| arguments.args.iter())
        {
            if let Value::Class(parent) = self.evaluator.value(base) {
                // Titles are not inherited, `extra` is; a chain of them is bounded by the kind's own bound.
                let mut inherited = Map::new();
                self.inside(parent.scope, |types| {
                    types.configuration(parent, &mut inherited, at)
                })?;
                inherited.remove("title");
                json.extend(inherited);
            }
        }
        let value = class
            .definition
            .body
            .iter()
            .find_map(|statement| match statement {
                Stmt::Assign(assign) => match assign.targets.as_slice() {
                    [Expr::Name(name)] if name.id == "model_config" => Some(&*assign.value),
                    _ => None,
                },
                Stmt::AnnAssign(assign) => match (&*assign.target, &assign.value) {
                    (Expr::Name(name), Some(value)) if name.id == "model_config" => Some(&**value),
                    _ => None,
                },
                _ => None,
            });
        let Some(value) = value else { return Ok(()) };
        let options: Vec<(String, Value<'a>)> = match value {
            Expr::Call(call) => match class::callee(&self.evaluator, value).as_deref() {
                Some("pydantic.ConfigDict" | "pydantic.config.ConfigDict") => {
                    match self
                        .evaluator
                        .arguments(call, crate::read::python::constant::Context::default())
                    {
                        Ok(arguments) => arguments.keywords,
                        Err(_) => return fault("its model's configuration is not known", at),
                    }
                }
                _ => return fault("its model's configuration is not known", at),
            },
            other => match self.evaluator.value(other) {
                Value::Dict(items) => items
                    .into_iter()
                    .filter_map(|(key, value)| {
                        if let Value::Str(key) = key {
                            Some((key, value))
                        } else {
                            None
                        }
                    })
                    .collect(),
                _ => return fault("its model's configuration is not known", at),
            },
        };
        for (name, value) in options {
            match (name.as_str(), value) {
                ("extra", Value::Str(extra)) => {
                    json.remove("additionalProperties");
                    if extra != "ignore" {
                        json.insert("additionalProperties".to_owned(), (extra == "allow").into());
                    }
                }
                ("title", Value::Str(title)) => {
                    json.insert(name, title.into());
                }
                (
                    "frozen"
                    | "arbitrary_types_allowed"
                    | "validate_assignment"
                    | "validate_default"
                    | "populate_by_name"
                    | "validate_by_name"
                    | "str_strip_whitespace"
                    | "use_enum_values"
                    | "protected_namespaces"
                    | "strict"
                    | "from_attributes",
                    _,
                ) => {}
                _ => return fault(format!("its model's `{name}` is not evaluated"), at),
            }
        }
        Ok(())
    }

    /// One field: its name in JSON, its schema, and whether it is required.
    fn field(
        &mut self,
        field: &Field<'a>,
        kind: Kind,
        at: TextSize,
    ) -> Result<(String, Map<String, Json>, bool), Fault> {
        self.inside(field.class.scope, |types| types.field_here(field, kind, at))
    }

    fn field_here(
        &mut self,
        field: &Field<'a>,
        kind: Kind,
        at: TextSize,
    ) -> Result<(String, Map<String, Json>, bool), Fault> {
        let mut required = field.default.is_none() && field.factory.is_none();
        let place = Place {
            names: if self.evaluator.scope.postponed {
                Names::Late
            } else {
                Names::Module
            },
            within: None,
            in_class: true,
        };
        let mut annotation = field.annotation;
        if kind == Kind::TypedDict {
            required = field.total;
            if let Expr::Subscript(subscript) = annotation
                && let Value::Named(full) = self.evaluator.value(&subscript.value)
            {
                let marker = ["Required", "NotRequired", "ReadOnly"]
                    .into_iter()
                    .find(|name| is_typing(&full, name));
                match marker {
                    Some("ReadOnly") => annotation = &subscript.slice,
                    Some(marker) => {
                        required = marker == "Required";
                        annotation = &subscript.slice;
                    }
                    None => {}
                }
            }
        }
        // A name that pydantic does not find leaves the class unfinished; whether it stays so is not known here.
        let mut shape = self
            .shape(annotation, place)
            .or_else(|reason| match reason {
                Fault::Any => fault("a name in its class is not defined", at),
                other => Err(other),
            })?;
        // What `Field(…)` as the default says comes after what `Annotated` says.
        let options: Vec<(String, Value<'a>)> = field
            .options
            .iter()
            .filter(|(name, _)| name != "default" && name != "default_factory")
            .cloned()
            .collect();
        apply(&mut shape, &options, field.annotation.start())?;
        let mut schema = shape.json;
        if !shape.named && !shape.extra.contains_key("title") {
            schema.insert("title".to_owned(), title(field.name).into());
        }
        schema.extend(shape.extra);
        if let Some(default) = &field.default {
            match default.default_json(at) {
                Default::Value(value) => {
                    schema.insert("default".to_owned(), value);
                }
                Default::None => {}
                Default::Unknown(unknown) => return Err(Fault::Unknown(unknown)),
            }
        } else if let Some(default) = shape.default {
            schema.insert("default".to_owned(), default);
            required = false;
        }
        let mut name = field.name.to_owned();
        for (option, value) in &field.options {
            match (option.as_str(), value) {
                ("validation_alias", Value::Str(alias)) => name.clone_from(alias),
                ("alias", Value::Str(alias))
                    if field
                        .options
                        .iter()
                        .all(|(other, _)| other != "validation_alias") =>
                {
                    name.clone_from(alias);
                }
                ("alias" | "validation_alias", Value::None) => {}
                ("alias" | "validation_alias", _) => return fault("an alias is not known", at),
                _ => {}
            }
        }
        if name != field.name
            && !shape.named
            && schema
                .get("title")
                .is_some_and(|given| *given == *title(field.name))
        {
            schema.insert("title".to_owned(), title(&name).into());
        }
        Ok((name, schema, required))
    }
}

fn enumeration(
    class: &StmtClassDef,
    members: &[(String, Value<'_>)],
    at: TextSize,
) -> Result<Map<String, Json>, Fault> {
    let values: Option<Vec<Json>> = members.iter().map(|(_, value)| value.json()).collect();
    let Some(values) = values else {
        return fault("a member of its enumeration has no JSON form", at);
    };
    let mut json = Map::new();
    json.insert("title".to_owned(), class.name.as_str().into());
    if let Some(kind) = common_type(&values).filter(|kind| *kind != "null") {
        json.insert("type".to_owned(), kind.into());
    }
    json.insert("enum".to_owned(), values.into());
    if let Some(text) = class::docstring(&class.body).filter(|text| !text.is_empty()) {
        json.insert("description".to_owned(), clean(text).into());
    }
    Ok(json)
}

/// A field's title: `str.title` of its name, with spaces for underscores.
fn title(name: &str) -> String {
    let mut title = String::with_capacity(name.len());
    let mut inside = false;
    for c in name.chars() {
        if c.is_alphabetic() {
            if inside {
                title.extend(c.to_lowercase());
            } else {
                title.extend(c.to_uppercase());
            }
            inside = true;
        } else {
            title.push(if c == '_' { ' ' } else { c });
            inside = false;
        }
    }
    title.trim().to_owned()
}
