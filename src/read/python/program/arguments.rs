//! The arguments of a call.

use std::rc::Rc;

use ruff_python_ast::{Expr, ExprCall};

use super::{At, Frame, Kind, Machine, Stop, Unknown, Value};

/// The arguments of a call, evaluated.
#[derive(Clone, Debug, Default)]
pub(in crate::read) struct Arguments {
    pub(in crate::read) positional: Vec<Value>,
    pub(in crate::read) keywords: Vec<(Rc<str>, Value)>,
    /// Why there may be others: something that is not known was unpacked.
    pub(in crate::read) rest: Option<Rc<Unknown>>,
}

impl Arguments {
    pub(in crate::read) fn of(positional: Vec<Value>) -> Self {
        Self {
            positional,
            ..Self::default()
        }
    }

    /// The argument of a parameter by its place or its name.
    pub(in crate::read) fn get(&self, place: usize, name: &str) -> Option<&Value> {
        self.positional.get(place).or_else(|| self.keyword(name))
    }

    pub(in crate::read) fn keyword(&self, name: &str) -> Option<&Value> {
        let found = self.keywords.iter().find(|(one, _)| &**one == name);
        found.map(|(_, value)| value)
    }

    pub(in crate::read) fn values(&self) -> impl Iterator<Item = &Value> {
        let keywords = self.keywords.iter().map(|(_, value)| value);
        self.positional.iter().chain(keywords)
    }

    /// Why one of them is not known, if that is so.
    pub(in crate::read) fn unknown(&self) -> Option<Rc<Unknown>> {
        let known = self.values().find_map(Value::as_unknown);
        known.or(self.rest.as_ref()).cloned()
    }
}

impl<'a> Machine<'a> {
    pub(super) fn arguments(
        &mut self,
        call: &'a ExprCall,
        frame: &Frame<'a>,
    ) -> Result<Arguments, Stop> {
        let mut arguments = Arguments::default();
        for argument in &call.arguments.args {
            if let Expr::Starred(starred) = argument {
                let value = self.eval(&starred.value, frame)?;
                match self.iterate(&value, At::of(frame.module, argument))? {
                    Ok(items) => arguments.positional.extend(items),
                    Err(unknown) => arguments.rest = Some(unknown),
                }
            } else {
                arguments.positional.push(self.eval(argument, frame)?);
            }
        }
        for keyword in &call.arguments.keywords {
            let value = self.eval(&keyword.value, frame)?;
            let Some(name) = &keyword.arg else {
                let at = At::of(frame.module, &keyword.value);
                self.unpack(&value, at, &mut arguments)?;
                continue;
            };
            arguments.keywords.push((name.as_str().into(), value));
        }
        // Whoever takes keywords looks for each of them among all.
        let keywords = arguments.keywords.len();
        self.charge(
            arguments.positional.len() + keywords + keywords * keywords / 64,
            At::of(frame.module, call),
        )?;
        Ok(arguments)
    }

    /// `**value`.
    fn unpack(&mut self, value: &Value, at: At, arguments: &mut Arguments) -> Result<(), Stop> {
        let Some(entries) = self.entries(value) else {
            let settled = self.settled(value);
            arguments.rest = Some(match settled.kind {
                Kind::Unknown(unknown) => unknown,
                _ => Rc::new(Unknown {
                    reason: "what is unpacked is not known".to_owned(),
                    at,
                    hint: None,
                }),
            });
            return Ok(());
        };
        self.charge(entries.len(), at)?;
        for (key, value) in entries {
            match key.kind {
                Kind::Text(name) => arguments.keywords.push((name, value)),
                _ => return self.raise("TypeError", "keywords must be strings", at),
            }
        }
        Ok(())
    }
}
