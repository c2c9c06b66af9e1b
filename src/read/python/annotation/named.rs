//! The types of Python's own library, typing and pydantic, by their full names.

use ruff_python_ast::Expr;
use ruff_text_size::TextSize;
use serde_json::{Map, Value as Json, json};

use super::{Fault, Place, Shape, Types, fault};
use crate::model::Dialect;

/// What pydantic 2.12, which Prefect 2 comes with, says of a decimal that is written as text.
const DECIMAL: &str = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$";

impl Types<'_> {
    /// A type without arguments.
    pub(super) fn bare(&mut self, full: &str, at: TextSize) -> Result<Shape, Fault> {
        let (module, name) = split(full);
        let schema = match (module, name) {
            ("builtins", "str") | ("typing", "Text") | ("pydantic", "StrictStr") => {
                json!({"type": "string"})
            }
            ("builtins", "int") | ("pydantic", "StrictInt") => json!({"type": "integer"}),
            ("builtins", "float") | ("pydantic", "StrictFloat") => json!({"type": "number"}),
            ("builtins", "bool") | ("pydantic", "StrictBool") => json!({"type": "boolean"}),
            ("builtins", "bytes") | ("pydantic", "StrictBytes") => {
                json!({"type": "string", "format": "binary"})
            }
            ("builtins", "complex") => json!({"type": "string"}),
            ("builtins", "object" | "type" | "bytearray" | "memoryview" | "range" | "slice") => {
                json!({})
            }
            ("typing", "Any" | "NoReturn" | "Never" | "Hashable" | "Type")
            | ("collections.abc", "Hashable") => json!({}),
            ("typing" | "collections.abc", "Callable") => return Err(Fault::Omitted),
            ("datetime", "datetime") => json!({"type": "string", "format": "date-time"}),
            ("datetime", "date") => json!({"type": "string", "format": "date"}),
            ("datetime", "time") => json!({"type": "string", "format": "time"}),
            ("datetime", "timedelta") => json!({"type": "string", "format": "duration"}),
            ("datetime", "timezone" | "tzinfo") => json!({}),
            ("pathlib", "Path" | "PurePath" | "PosixPath" | "PurePosixPath") => {
                json!({"type": "string", "format": "path"})
            }
            ("uuid", "UUID") => json!({"type": "string", "format": "uuid"}),
            ("decimal", "Decimal") => match self.dialect {
                Dialect::Prefect2 => {
                    json!({"anyOf": [{"type": "number"}, {"type": "string", "pattern": DECIMAL}]})
                }
                Dialect::Prefect3 => json!({"anyOf": [{"type": "number"}, {"type": "string"}]}),
            },
            ("typing", "AnyStr") => {
                json!({"anyOf": [{"type": "string", "format": "binary"}, {"type": "string"}]})
            }
            ("collections", "Counter") | ("typing", "Counter") => {
                json!({"type": "object", "additionalProperties": {"type": "integer"}})
            }
            ("pydantic", name) => match pydantic(name) {
                Some(schema) => schema,
                None => return outside(full, at),
            },
            _ => {
                return match self.block(full) {
                    Some(shape) => Ok(shape),
                    None => self.generic(full, &[], Place::PARAMETER, at),
                };
            }
        };
        Ok(Shape::of(schema))
    }

    /// A type with arguments, or a container without.
    pub(super) fn generic(
        &mut self,
        full: &str,
        arguments: &[Expr],
        place: Place,
        at: TextSize,
    ) -> Result<Shape, Fault> {
        let (module, name) = split(full);
        let schema = match (module, name) {
            ("builtins", "list")
            | ("typing", "List" | "Sequence" | "MutableSequence" | "Iterable" | "Deque")
            | ("collections", "deque")
            | ("collections.abc", "Sequence" | "MutableSequence" | "Iterable") => {
                let items = self.argument(arguments, 0, place)?;
                json!({"type": "array", "items": items})
            }
            ("typing" | "collections.abc", "Generator") if !arguments.is_empty() => {
                let items = self.argument(arguments, 0, place)?;
                json!({"type": "array", "items": items})
            }
            ("builtins", "set" | "frozenset")
            | ("typing", "Set" | "FrozenSet" | "AbstractSet" | "MutableSet")
            | ("collections.abc", "Set" | "MutableSet") => {
                let items = self.argument(arguments, 0, place)?;
                json!({"type": "array", "items": items, "uniqueItems": true})
            }
            ("builtins", "tuple") | ("typing", "Tuple") => return self.tuple(arguments, place),
            ("builtins", "dict")
            | ("typing", "Dict" | "Mapping" | "MutableMapping" | "OrderedDict")
            | ("collections", "OrderedDict")
            | ("collections.abc", "Mapping" | "MutableMapping") => {
                return self.dict(arguments, place);
            }
            ("typing", "DefaultDict") | ("collections", "defaultdict") if arguments.len() == 2 => {
                return self.dict(arguments, place);
            }
            ("collections" | "typing", "Counter") if arguments.len() == 1 => {
                let keys = self.argument(arguments, 0, place)?;
                object(keys, json!({"type": "integer"}))
            }
            ("typing" | "collections.abc", "Callable") => return Err(Fault::Omitted),
            ("builtins", "type") | ("typing", "Type") => json!({}),
            ("typing" | "collections.abc", "Iterator" | "Collection" | "Container") => json!({}),
            ("typing", "Optional" | "Union" | "Literal" | "Annotated") => {
                return fault(format!("`{name}` has no arguments"), at);
            }
            _ => return outside(full, at),
        };
        Ok(Shape::of(schema))
    }

    fn argument(&mut self, arguments: &[Expr], index: usize, place: Place) -> Result<Json, Fault> {
        match arguments.get(index) {
            Some(argument) => self.shape(argument, place).map(Shape::whole),
            None => Ok(json!({})),
        }
    }

    fn tuple(&mut self, arguments: &[Expr], place: Place) -> Result<Shape, Fault> {
        Ok(Shape::of(match arguments {
            [] => json!({"type": "array", "items": {}}),
            [_, Expr::EllipsisLiteral(_)] => {
                json!({"type": "array", "items": self.argument(arguments, 0, place)?})
            }
            several => {
                let mut items = Vec::with_capacity(several.len());
                for item in several {
                    items.push(self.shape(item, place)?.whole());
                }
                json!({"type": "array", "maxItems": items.len(), "minItems": items.len(), "prefixItems": items})
            }
        }))
    }

    fn dict(&mut self, arguments: &[Expr], place: Place) -> Result<Shape, Fault> {
        let keys = self.argument(arguments, 0, place)?;
        let values = self.argument(arguments, 1, place)?;
        Ok(Shape::of(object(keys, values)))
    }
}

/// The schema of a mapping: its keys show only where they are more than any text.
fn object(keys: Json, values: Json) -> Json {
    let mut json = Map::new();
    json.insert("type".to_owned(), "object".into());
    let Json::Object(mut keys) = keys else {
        return Json::Object(json);
    };
    let mut pattern = None;
    if !keys.contains_key("$ref") {
        pattern = keys.remove("pattern");
        keys.remove("title");
    }
    let values = match values {
        Json::Object(mut values) => {
            values.remove("title");
            values
        }
        _ => Map::new(),
    };
    if let Some(Json::String(pattern)) = pattern {
        let values = if values.is_empty() {
            json!({})
        } else {
            Json::Object(values)
        };
        json.insert("patternProperties".to_owned(), json!({ pattern: values }));
    } else if values.is_empty() {
        json.insert("additionalProperties".to_owned(), true.into());
    } else {
        json.insert("additionalProperties".to_owned(), Json::Object(values));
    }
    let constrained_text = keys.get("type").is_some_and(|kind| kind == "string") && keys.len() > 1;
    if constrained_text || keys.contains_key("$ref") {
        keys.remove("type");
        json.insert("propertyNames".to_owned(), Json::Object(keys));
    }
    Json::Object(json)
}

/// A full name as module and name, one spelling for each.
fn split(full: &str) -> (&str, &str) {
    let (module, name) = full.rsplit_once('.').unwrap_or(("", full));
    let module = match module {
        "typing_extensions" => "typing",
        "pydantic.types" | "pydantic.networks" | "pydantic.main" => "pydantic",
        other => other,
    };
    (module, name)
}

/// The types of pydantic that take no arguments.
fn pydantic(name: &str) -> Option<Json> {
    Some(match name {
        "PositiveInt" => json!({"type": "integer", "exclusiveMinimum": 0}),
        "NegativeInt" => json!({"type": "integer", "exclusiveMaximum": 0}),
        "NonNegativeInt" => json!({"type": "integer", "minimum": 0}),
        "NonPositiveInt" => json!({"type": "integer", "maximum": 0}),
        "PositiveFloat" => json!({"type": "number", "exclusiveMinimum": 0}),
        "NegativeFloat" => json!({"type": "number", "exclusiveMaximum": 0}),
        "NonNegativeFloat" => json!({"type": "number", "minimum": 0}),
        "NonPositiveFloat" => json!({"type": "number", "maximum": 0}),
        "FiniteFloat" => json!({"type": "number"}),
        "SecretStr" | "SecretBytes" => {
            json!({"type": "string", "format": "password", "writeOnly": true})
        }
        "HttpUrl" => json!({"type": "string", "format": "uri", "maxLength": 2083, "minLength": 1}),
        "AnyUrl" | "AnyHttpUrl" => json!({"type": "string", "format": "uri", "minLength": 1}),
        "UUID1" => json!({"type": "string", "format": "uuid1"}),
        "UUID3" => json!({"type": "string", "format": "uuid3"}),
        "UUID4" => json!({"type": "string", "format": "uuid4"}),
        "UUID5" => json!({"type": "string", "format": "uuid5"}),
        "EmailStr" => json!({"type": "string", "format": "email"}),
        "FilePath" => json!({"type": "string", "format": "file-path"}),
        "DirectoryPath" => json!({"type": "string", "format": "directory-path"}),
        "PastDate" | "FutureDate" => json!({"type": "string", "format": "date"}),
        "AwareDatetime" | "NaiveDatetime" | "PastDatetime" | "FutureDatetime" => {
            json!({"type": "string", "format": "date-time"})
        }
        "ByteSize" => json!({"anyOf": [
            {"type": "string", "pattern": "^\\s*(\\d*\\.?\\d+)\\s*(\\w+)?"},
            {"type": "integer", "minimum": 0},
        ]}),
        "Json" => {
            json!({"type": "string", "contentMediaType": "application/json", "contentSchema": {}})
        }
        _ => return None,
    })
}

fn outside(full: &str, at: TextSize) -> Result<Shape, Fault> {
    fault(format!("`{full}` is not read from here"), at)
}
