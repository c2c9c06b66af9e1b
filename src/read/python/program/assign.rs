//! Assignments and deletions.

use ruff_python_ast::{Expr, ExprSubscript};

use super::expression::reason;
use super::operator::Index;
use super::place::place;
use super::value::Object;
use super::{At, Frame, Kind, Machine, Stop, Value};

impl<'a> Machine<'a> {
    /// Binds a name in a piece of code's own scope, or where it was declared to live.
    pub(super) fn bind(&mut self, name: &'a str, value: Value, frame: &Frame<'a>) {
        let elsewhere = frame.elsewhere.borrow();
        let own = frame.scopes.last().copied().unwrap_or_default();
        let scope = elsewhere.get(name).copied().unwrap_or(own);
        drop(elsewhere);
        self.bound(scope, name);
        if let Object::Scope(names) = &mut self.heap[scope].object {
            names.insert(name, value);
        }
    }

    /// Assigns to any target.
    pub(super) fn assign(
        &mut self,
        target: &'a Expr,
        value: Value,
        frame: &Frame<'a>,
    ) -> Result<(), Stop> {
        let at = At::of(frame.module, target);
        match target {
            Expr::Name(name) => {
                self.charge(1, at)?;
                self.bind(name.id.as_str(), value, frame);
                Ok(())
            }
            Expr::Tuple(tuple) => self.spread(&tuple.elts, &value, frame, at),
            Expr::List(list) => self.spread(&list.elts, &value, frame, at),
            Expr::Starred(starred) => self.assign(&starred.value, value, frame),
            Expr::Attribute(attribute) => {
                let base = self.eval(&attribute.value, frame)?;
                self.set_attribute(&base, attribute.attr.as_str(), value);
                Ok(())
            }
            Expr::Subscript(subscript) => self.set_item(subscript, value, frame, at),
            _ => Ok(()),
        }
    }

    fn spread(
        &mut self,
        targets: &'a [Expr],
        value: &Value,
        frame: &Frame<'a>,
        at: At,
    ) -> Result<(), Stop> {
        let items = match self.iterate(value, at)? {
            Ok(items) => items,
            Err(unknown) => {
                for target in targets {
                    let lost = Value::why(&unknown, value.at);
                    self.deeper(at, |machine| machine.assign(target, lost, frame))?;
                }
                return Ok(());
            }
        };
        let star = targets
            .iter()
            .position(|target| matches!(target, Expr::Starred(_)));
        let fits = match star {
            None => items.len() == targets.len(),
            Some(_) => items.len() + 1 >= targets.len(),
        };
        if !fits {
            let message = format!("{} values for {} names", items.len(), targets.len());
            return self.raise("ValueError", message, at);
        }
        let extra = items.len() + 1 - targets.len().min(items.len() + 1);
        let mut items = items.into_iter();
        for target in targets {
            let value = if matches!(target, Expr::Starred(_)) {
                let many: Vec<_> = items.by_ref().take(extra).collect();
                self.list(many, at)?
            } else {
                items.next().unwrap_or_else(|| Value::none(at))
            };
            self.deeper(at, |machine| machine.assign(target, value, frame))?;
        }
        Ok(())
    }

    /// `base.name = value`.
    pub(super) fn set_attribute(&mut self, base: &Value, name: &str, value: Value) {
        match &base.kind {
            Kind::Record(_) | Kind::Instance(_) => self.set_field(base, name, value),
            Kind::Class(_) | Kind::Module(_) => {
                // Its names are those of the file's text; a new one is of no use to anybody but who asks for it.
                if let Some(scope) = self.scope_of(base)
                    && let Object::Scope(names) = &mut self.heap[scope].object
                    && let Some((known, _)) = names.get_key_value(name)
                {
                    let known = *known;
                    names.insert(known, value);
                    self.bound(scope, known);
                }
            }
            _ => {}
        }
    }

    fn set_item(
        &mut self,
        subscript: &'a ExprSubscript,
        value: Value,
        frame: &Frame<'a>,
        at: At,
    ) -> Result<(), Stop> {
        let base = self.eval(&subscript.value, frame)?;
        let index = self.index(&subscript.slice, frame)?;
        let Index::One(key) = index else {
            let unknown = reason("a slice is assigned to", at);
            self.lose(&base, &unknown);
            return Ok(());
        };
        self.store(&base, &key, value, at)
    }

    /// `base[key] = value`.
    pub(super) fn store(
        &mut self,
        base: &Value,
        key: &Value,
        value: Value,
        at: At,
    ) -> Result<(), Stop> {
        self.charge(4, at)?;
        match base.kind {
            Kind::Dict(id) => {
                let key = self.plain_member(key).unwrap_or_else(|| key.clone());
                match self.key(&key) {
                    Ok(identity) => {
                        self.change_dict(id, |dict| dict.insert(identity, key, value));
                    }
                    Err(unknown) => {
                        if let Kind::Unknown(unknown) = unknown.kind {
                            self.lose(base, &unknown);
                        }
                    }
                }
                Ok(())
            }
            Kind::List(id) => {
                let length = match &self.heap[id].object {
                    Object::Items(items) => items.len(),
                    _ => 0,
                };
                match key.as_int() {
                    Some(index) => match place(index, length) {
                        Some(place) => {
                            self.change_items(id, |items| items[place] = value);
                            Ok(())
                        }
                        None => self.raise("IndexError", "list assignment index out of range", at),
                    },
                    None => {
                        let unknown = reason("which item is assigned to is not known", at);
                        self.lose(base, &unknown);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    /// `del target`.
    pub(super) fn delete(&mut self, target: &'a Expr, frame: &Frame<'a>) -> Result<(), Stop> {
        let at = At::of(frame.module, target);
        match target {
            Expr::Name(name) => {
                let name = name.id.as_str();
                let scope = frame.scopes.last().copied().unwrap_or_default();
                self.bound(scope, name);
                if let Object::Scope(names) = &mut self.heap[scope].object {
                    names.remove(name);
                }
            }
            Expr::Attribute(attribute) => {
                let base = self.eval(&attribute.value, frame)?;
                if let Kind::Record(id) | Kind::Instance(id) = base.kind {
                    self.touched(id);
                    if let Object::Record(_, fields) | Object::Instance(_, fields) =
                        &mut self.heap[id].object
                    {
                        fields.remove(attribute.attr.as_str());
                    }
                }
            }
            Expr::Subscript(subscript) => {
                let base = self.eval(&subscript.value, frame)?;
                let index = self.index(&subscript.slice, frame)?;
                match (&base.kind, index) {
                    (Kind::Dict(id), Index::One(key)) => {
                        if let Ok(identity) = self.key(&key) {
                            let gone = self
                                .change_dict(*id, |dict| dict.remove(&identity))
                                .flatten();
                            if gone.is_none() {
                                let shown = self.shown(&key, true).unwrap_or_default();
                                return self.raise("KeyError", shown, at);
                            }
                        }
                    }
                    (Kind::List(id), Index::One(key)) => {
                        let id = *id;
                        let length = match &self.heap[id].object {
                            Object::Items(items) => items.len(),
                            _ => 0,
                        };
                        self.charge(length / 64, at)?;
                        match key.as_int().and_then(|index| place(index, length)) {
                            Some(place) => self.change_items(id, |items| {
                                items.remove(place);
                            }),
                            None => return self.raise("IndexError", "index out of range", at),
                        }
                    }
                    (_, Index::Slice(_)) => {
                        let unknown = reason("a slice is deleted", at);
                        self.lose(&base, &unknown);
                    }
                    _ => {}
                }
            }
            Expr::Tuple(tuple) => {
                for target in &tuple.elts {
                    self.deeper(at, |machine| machine.delete(target, frame))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
