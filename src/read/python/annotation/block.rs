//! Prefect's own blocks as types of parameters: their schemas are in Prefect, not in the repository.

use serde_json::{Value as Json, json};

use super::{Shape, Types};
use crate::model::Dialect;

impl Types<'_> {
    /// The schema of a block by the full name of its class; `None` for one that is not known here.
    pub(super) fn block(&mut self, full: &str) -> Option<Shape> {
        if !matches!(
            full,
            "prefect.blocks.system.Secret" | "prefect.blocks.Secret"
        ) {
            return None;
        }
        let reference = json!({"$ref": "#/definitions/Secret"});
        self.blocks = true;
        Some(match self.dialect {
            Dialect::Prefect2 => {
                self.define("Secret", secret_2());
                Shape::of(json!({"allOf": [reference]}))
            }
            Dialect::Prefect3 => {
                self.define("JsonValue", json!({}));
                self.define("Secret", secret_3());
                Shape {
                    named: true,
                    ..Shape::of(reference)
                }
            }
        })
    }
}

/// As Prefect 3.8.8 gives it over its API.
fn secret_3() -> Json {
    json!({
        "additionalProperties": true,
        "block_schema_references": {},
        "block_type_slug": "secret",
        "description": "A block that represents a secret value. The value stored in this block will be obfuscated when this block is viewed or edited in the UI.",
        "properties": {"value": {
            "anyOf": [
                {"format": "password", "type": "string", "writeOnly": true},
                {"title": "string", "type": "string"},
                {"$ref": "#/definitions/JsonValue", "title": "JSON"},
            ],
            "description": "A value that should be kept secret.",
            "examples": ["sk-1234567890", {"password": "s3cr3t", "username": "johndoe"}],
            "format": "password",
            "title": "Value",
            "writeOnly": true,
        }},
        "required": ["value"],
        "secret_fields": ["value", "value"],
        "title": "Secret",
        "type": "object",
    })
}

/// As Prefect 2.20.26 gives it over its API.
fn secret_2() -> Json {
    json!({
        "title": "Secret",
        "description": "A block that represents a secret value. The value stored in this block will be obfuscated when\nthis block is logged or shown in the UI.",
        "type": "object",
        "properties": {"value": {
            "title": "Value",
            "description": "A string value that should be kept secret.",
            "type": "string",
            "writeOnly": true,
            "format": "password",
        }},
        "required": ["value"],
        "block_type_slug": "secret",
        "secret_fields": ["value"],
        "block_schema_references": {},
    })
}
