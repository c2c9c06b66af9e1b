//! Python, read by parsing.
#![allow(missing_docs)]
#[derive(Debug)]
pub struct Module(String);
#[derive(Debug)]
pub struct SyntaxFault {
    pub line: u32,
    pub column: u32,
    pub message: String,
}
#[derive(Debug)]
pub struct UnknownType {
    pub parameter: String,
    pub annotation: String,
    pub line: u32,
    pub column: u32,
}
impl UnknownType {
    pub fn reason(&self) -> String {
        self.annotation.clone()
    }
}
#[derive(Debug)]
pub struct Flow {
    pub name: String,
    pub description: Option<String>,
    pub parameters: Vec<String>,
    pub variadic: bool,
    pub schema: serde_json::Value,
    pub unknown: Vec<UnknownType>,
}
#[derive(Debug)]
pub enum FlowFault {
    Missing {
        nearest: Option<String>,
    },
    NotAFlow {
        line: u32,
        column: u32,
    },
    NameNotConstant {
        line: u32,
        column: u32,
        expression: String,
    },
}
impl Module {
    pub fn parse(source: &str) -> Result<Self, SyntaxFault> {
        Ok(Self(source.to_owned()))
    }
    pub fn imports(&self) -> Vec<String> {
        Vec::new()
    }
    pub fn flow(&self, f: &str) -> Result<Flow, FlowFault> {
        if !self.0.contains(&format!("def {f}(")) {
            return Err(FlowFault::Missing { nearest: None });
        }
        Ok(Flow {
            name: f.replace('_', "-"),
            description: None,
            parameters: vec![],
            variadic: true,
            schema: serde_json::json!({"title": "Parameters", "type": "object", "properties": {}}),
            unknown: vec![],
        })
    }
}
