//! Calls: what is called, and with which arguments.

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::TextSize;

use super::{Context, Evaluator, gap_or};
use crate::read::python::class;
use crate::read::python::value::{Value, unknown};

/// The arguments of a call, evaluated.
pub(in crate::read::python) struct Arguments<'a> {
    pub(in crate::read::python) positional: Vec<Value<'a>>,
    pub(in crate::read::python) keywords: Vec<(String, Value<'a>)>,
}

impl<'a> Arguments<'a> {
    /// The argument of a parameter by its place or its name.
    pub(super) fn get(&self, place: usize, name: &str) -> Option<&Value<'a>> {
        self.positional.get(place).or_else(|| {
            self.keywords
                .iter()
                .find(|(keyword, _)| keyword == name)
                .map(|(_, value)| value)
        })
    }

    /// All arguments in the order of `names`; `None` where there are more, or one of another name.
    pub(super) fn bind(&self, names: &[&str]) -> Option<Vec<Option<&Value<'a>>>> {
        let known = self
            .keywords
            .iter()
            .all(|(keyword, _)| names.contains(&keyword.as_str()));
        (known && self.positional.len() <= names.len()).then(|| {
            names
                .iter()
                .enumerate()
                .map(|(place, name)| self.get(place, name))
                .collect()
        })
    }

    /// The first part that is not known.
    pub(super) fn gap(&self) -> Option<Value<'a>> {
        let values = self
            .positional
            .iter()
            .chain(self.keywords.iter().map(|(_, value)| value));
        values
            .filter_map(Value::gap)
            .next()
            .map(|gap| Value::Unknown(gap.clone()))
    }
}

impl<'a> Evaluator<'a> {
    pub(super) fn call(
        &self,
        call: &ExprCall,
        context: Context<'_, 'a>,
        at: TextSize,
    ) -> Value<'a> {
        if let Expr::Attribute(method) = &*call.func {
            let base = self.eval(&method.value, context);
            match base {
                Value::Unknown(_) => return base,
                Value::Named(_) | Value::Class(_) | Value::Module(_) => {}
                _ => {
                    let arguments = match self.arguments(call, context) {
                        Ok(arguments) => arguments,
                        Err(gap) => return gap,
                    };
                    return self
                        .method(&base, method.attr.as_str(), &arguments)
                        .unwrap_or_else(|| {
                            unknown(format!("`.{}()` is not evaluated", method.attr), at)
                        });
                }
            }
        }
        let function = self.eval(&call.func, context);
        let arguments = match self.arguments(call, context) {
            Ok(arguments) => arguments,
            Err(gap) => return gap,
        };
        match &function {
            Value::Unknown(_) => function,
            Value::Class(class) => class::instance(self, *class, &arguments, at),
            Value::Named(full) => self.known(full, &arguments, at).unwrap_or_else(|| {
                arguments
                    .gap()
                    .unwrap_or_else(|| unknown(format!("`{full}(…)` is not evaluated"), at))
            }),
            Value::Function(function) => {
                unknown(format!("it comes from calling `{}`", function.name), at)
            }
            // What `NewType` makes gives its argument back.
            Value::NewType if arguments.positional.len() == 1 => arguments
                .positional
                .into_iter()
                .next()
                .unwrap_or(Value::None),
            _ => unknown("what is called is not known", at),
        }
    }

    /// Evaluates the arguments of a call.
    pub(in crate::read::python) fn arguments(
        &self,
        call: &ExprCall,
        context: Context<'_, 'a>,
    ) -> Result<Arguments<'a>, Value<'a>> {
        let positional = self.items(&call.arguments.args, context)?;
        let mut keywords = Vec::with_capacity(call.arguments.keywords.len());
        for keyword in &call.arguments.keywords {
            let value = self.eval(&keyword.value, context);
            match &keyword.arg {
                Some(name) => keywords.push((name.as_str().to_owned(), value)),
                None => match value {
                    Value::Dict(items) => {
                        for (key, value) in items {
                            match key {
                                Value::Str(key) => keywords.push((key, value)),
                                other => {
                                    return Err(gap_or(
                                        &other,
                                        "a keyword is no text",
                                        context.place(&keyword.value),
                                    ));
                                }
                            }
                        }
                    }
                    other => {
                        return Err(gap_or(
                            &other,
                            "what is unpacked is not known",
                            context.place(&keyword.value),
                        ));
                    }
                },
            }
        }
        Ok(Arguments {
            positional,
            keywords,
        })
    }
}

/// Whether a full name is that of `typing` or its backport.
pub(in crate::read::python) fn is_typing(full: &str, name: &str) -> bool {
    matches!(full.rsplit_once('.'), Some(("typing" | "typing_extensions", last)) if last == name)
}
