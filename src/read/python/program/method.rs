//! Attributes and methods of any value.

use std::rc::Rc;

use super::expression::{constant, reason, with_evaluator};
use super::format::strftime;
use super::{Arguments, At, Eval, Kind, Machine, Value};
use crate::read::python::constant::{self as known, attribute};

impl<'a> Machine<'a> {
    /// `base.name`.
    pub(super) fn attribute(&mut self, base: &Value, name: &str, at: At) -> Eval {
        let base = self.settled(base);
        match &base.kind {
            Kind::Unknown(unknown) => Ok(Value::why(unknown, at)),
            Kind::Named(full) => {
                let full = format!("{full}.{name}");
                let library = Rc::clone(&self.library);
                if let Some(value) = library.attribute(self, &base, name, at) {
                    return Ok(value);
                }
                Ok(self
                    .standard_value(&full, at)
                    .unwrap_or_else(|| Value::new(Kind::Named(full.into()), at)))
            }
            Kind::Module(_) => self.of_module(&base, name, at),
            Kind::Path(_) => match self.path_attribute(&base, name, at) {
                Some(value) => value,
                None => Ok(self.method_of(&base, name, at)),
            },
            Kind::Constant(one) => match attribute(&one.0, name) {
                Some(value) => Ok(constant(value, at).of(base.origin.clone())),
                None => Ok(self.method_of(&base, name, at)),
            },
            Kind::Class(_) if name == "__members__" => {
                let mut items = Vec::new();
                for member in self.members(&base).unwrap_or_default() {
                    if let Some(name) = self.field(&member, "name") {
                        items.push((name, member));
                    }
                }
                self.dict(items, at)
            }
            Kind::Class(_) | Kind::Instance(_) => self.member(&base, name, at),
            Kind::Function(_) => Ok(match (name, self.function(&base)) {
                ("__name__" | "__qualname__", Some(function)) => Value::text(function.name, at),
                _ => Value::unknown(format!("`.{name}` of a function is not evaluated"), at),
            }),
            Kind::Record(_) => {
                if let Some(value) = self.field(&base, name) {
                    return Ok(value);
                }
                let library = Rc::clone(&self.library);
                match library.attribute(self, &base, name, at) {
                    Some(value) => Ok(value),
                    None => Ok(self.method_of(&base, name, at)),
                }
            }
            Kind::None => {
                let message = format!("'NoneType' object has no attribute '{name}'");
                self.raise("AttributeError", message, at)
            }
            _ => Ok(self.method_of(&base, name, at)),
        }
    }

    /// `base.name(…)`.
    pub(super) fn call_method(
        &mut self,
        base: &Value,
        name: &str,
        arguments: Arguments,
        at: At,
    ) -> Eval {
        let base = self.settled(base);
        self.charge_texts(arguments.values().chain([&base]), at)?;
        let result = match &base.kind {
            Kind::Named(_) | Kind::Module(_) => {
                let function = self.attribute(&base, name, at)?;
                return self.call(&function, arguments, at);
            }
            Kind::Text(_) => self.text_method(&base, name, &arguments, at),
            Kind::List(_) | Kind::Tuple(_) | Kind::Dict(_) | Kind::Set(_) => {
                self.collection_method(&base, name, &arguments, at)
            }
            Kind::Path(_) => self.path_method(&base, name, &arguments, at),
            Kind::Constant(_) => self.constant_method(&base, name, &arguments, at),
            Kind::Instance(_) | Kind::Class(_) => {
                match self.call_member(&base, name, &arguments, at) {
                    Some(result) => Some(result),
                    None => {
                        let library = Rc::clone(&self.library);
                        library.method(self, &base, name, &arguments, at)
                    }
                }
            }
            Kind::Record(_) => self.record_method(&base, name, &arguments, at),
            Kind::Function(_) => {
                let library = Rc::clone(&self.library);
                library.method(self, &base, name, &arguments, at)
            }
            Kind::Unknown(unknown) => {
                let library = Rc::clone(&self.library);
                let unknown = Rc::clone(unknown);
                if let Some(result) = library.method(self, &base, name, &arguments, at) {
                    return result;
                }
                for value in arguments.values() {
                    self.lose(value, &unknown);
                }
                return Ok(Value::why(&unknown, at));
            }
            Kind::None => {
                let message = format!("'NoneType' object has no attribute '{name}'");
                return self.raise("AttributeError", message, at);
            }
            _ => None,
        };
        match result {
            Some(result) => result,
            None => {
                let unknown = match arguments.unknown() {
                    Some(unknown) => unknown,
                    None => reason(format!("`.{name}()` is not evaluated"), at),
                };
                // It may have changed what it was called on.
                self.lose(&base, &unknown);
                for value in arguments.values() {
                    self.lose(value, &unknown);
                }
                Ok(Value::why(&unknown, at))
            }
        }
    }

    pub(super) fn record_method(
        &mut self,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        match (self.record_kind(base), name) {
            (Some("super"), _) => return Some(self.call_super(base, name, arguments, at)),
            (Some("file"), _) => return Some(self.file_method(base, name, at)),
            (Some("partial"), "__call__") => {
                let function = self.field(base, "function")?;
                let mut all = Arguments::of(self.items(&self.field(base, "positional")?)?);
                for (key, value) in self.entries(&self.field(base, "keywords")?)? {
                    if let Kind::Text(key) = key.kind
                        && arguments.keyword(&key).is_none()
                    {
                        all.keywords.push((key, value));
                    }
                }
                all.positional.extend(arguments.positional.iter().cloned());
                all.keywords.extend(arguments.keywords.iter().cloned());
                all.rest.clone_from(&arguments.rest);
                return Some(self.deeper(at, |machine| machine.call(&function, all, at)));
            }
            _ => {}
        }
        if let Some(field) = self.field(base, name)
            && matches!(
                field.kind,
                Kind::Function(_) | Kind::Bound(_) | Kind::Record(_)
            )
        {
            return Some(self.call(&field, arguments.clone(), at));
        }
        let library = Rc::clone(&self.library);
        library.method(self, base, name, arguments, at)
    }

    fn constant_method(
        &mut self,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let Kind::Constant(one) = &base.kind else {
            return None;
        };
        let origin = Value::origins(arguments.values().chain([base]));
        let first = arguments.positional.first().and_then(Value::as_text);
        let value = match (name, first) {
            ("strftime", Some(pattern)) => Value::text(strftime(&one.0, pattern)?, at),
            ("total_seconds", None) => {
                let crate::read::python::value::Value::Timedelta(micros) = one.0 else {
                    return None;
                };
                #[expect(clippy::cast_precision_loss, reason = "Python divides floats here too")]
                let seconds = micros as f64 / 1e6;
                Value::new(Kind::Float(seconds), at)
            }
            ("decode", _) => match &one.0 {
                crate::read::python::value::Value::Bytes(bytes) => {
                    Value::text(String::from_utf8(bytes.clone()).ok()?, at)
                }
                _ => return None,
            },
            _ => {
                let arguments = self.constants(arguments)?;
                constant(
                    with_evaluator(|evaluator| evaluator.method(&one.0, name, &arguments))?,
                    at,
                )
            }
        };
        Some(Ok(value.of(origin)))
    }

    /// The arguments as the evaluator of expressions takes them, where all of them are scalars.
    pub(super) fn constants(&self, arguments: &Arguments) -> Option<known::Arguments<'static>> {
        if arguments.rest.is_some() {
            return None;
        }
        Some(known::Arguments {
            positional: arguments
                .positional
                .iter()
                .map(Value::constant)
                .collect::<Option<_>>()?,
            keywords: arguments
                .keywords
                .iter()
                .map(|(name, value)| Some((name.to_string(), value.constant()?)))
                .collect::<Option<_>>()?,
        })
    }

    /// A function that the evaluator of expressions knows, for scalar arguments.
    pub(super) fn constant_call(
        &mut self,
        full: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Value> {
        self.spend(8);
        let scalars = self.constants(arguments)?;
        let full = full.strip_prefix("pendulum.").map_or_else(
            || full.to_owned(),
            |name| match name {
                "duration" => "datetime.timedelta".to_owned(),
                name => format!("pendulum.{name}"),
            },
        );
        let found = with_evaluator(|evaluator| evaluator.known(&full, &scalars, at.range.start()))?;
        Some(constant(found, at).of(Value::origins(arguments.values())))
    }
}
