//! Comprehensions and generator expressions; the latter are lists here.

use std::collections::HashMap;
use std::rc::Rc;

use ruff_python_ast::{Comprehension, Expr};

use super::value::Object;
use super::{At, Eval, Frame, Kind, Machine, Stop, Unknown, Value};

/// What a comprehension has made so far.
struct Made {
    items: Vec<Vec<Value>>,
    unknown: Option<Rc<Unknown>>,
}

impl<'a> Machine<'a> {
    /// `[element for …]`, with the kind of collection that it makes; a dict's elements are a key and a value.
    pub(super) fn comprehension(
        &mut self,
        elements: &[&'a Expr],
        generators: &'a [Comprehension],
        kind: &Kind,
        frame: &Frame<'a>,
        at: At,
    ) -> Eval {
        self.charge(8, at)?;
        let scope = self.push(Object::Scope(HashMap::new()));
        let scopes: Vec<_> = frame.scopes.iter().copied().chain([scope]).collect();
        let inner = Frame {
            module: frame.module,
            scopes: scopes.into(),
            class: false,
            elsewhere: Rc::clone(&frame.elsewhere),
            yields: None,
        };
        let mut made = Made {
            items: Vec::new(),
            unknown: None,
        };
        self.rounds(elements, generators, &inner, &mut made, at)?;
        if let Some(unknown) = made.unknown {
            return Ok(Value::why(&unknown, at));
        }
        let first = |mut item: Vec<Value>| item.swap_remove(0);
        match kind {
            Kind::Dict(_) => {
                let pairs = made.items.into_iter().filter_map(|item| {
                    let mut item = item.into_iter();
                    Some((item.next()?, item.next()?))
                });
                self.dict(pairs.collect(), at)
            }
            Kind::Set(_) => self.set(made.items.into_iter().map(first).collect(), at),
            _ => self.list(made.items.into_iter().map(first).collect(), at),
        }
    }

    fn rounds(
        &mut self,
        elements: &[&'a Expr],
        generators: &'a [Comprehension],
        frame: &Frame<'a>,
        made: &mut Made,
        at: At,
    ) -> Result<(), Stop> {
        let Some((generator, rest)) = generators.split_first() else {
            let mut item = Vec::with_capacity(elements.len());
            for element in elements {
                item.push(self.eval(element, frame)?);
            }
            self.charge(2, at)?;
            made.items.push(item);
            return Ok(());
        };
        let over = self.eval(&generator.iter, frame)?;
        let items = match self.iterate(&over, At::of(frame.module, &generator.iter))? {
            Ok(items) => items,
            Err(unknown) => {
                made.unknown = Some(unknown.clone());
                // What it would do counts all the same: a deployment may be among it.
                let lost = Value::why(&unknown, at);
                self.doubtful(&unknown, |machine| {
                    machine.assign(&generator.target, lost, frame)?;
                    machine.deeper(at, |machine| {
                        machine.rounds(elements, rest, frame, made, at)
                    })
                })?;
                return Ok(());
            }
        };
        for item in items {
            self.charge(1, at)?;
            self.assign(&generator.target, item, frame)?;
            let mut wanted = true;
            for test in &generator.ifs {
                let test = self.eval(test, frame)?;
                match self.truth(&test) {
                    Ok(truth) => wanted &= truth,
                    Err(unknown) => {
                        made.unknown.get_or_insert(unknown);
                    }
                }
                if !wanted {
                    break;
                }
            }
            if wanted {
                self.deeper(at, |machine| {
                    machine.rounds(elements, rest, frame, made, at)
                })?;
            }
        }
        Ok(())
    }
}
