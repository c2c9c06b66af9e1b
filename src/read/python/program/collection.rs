//! Methods of lists, tuples, dicts and sets.

use super::place::place;
use super::value::{Dict, Object};
use super::{Arguments, At, Eval, Id, Kind, Machine, Stop, Value};

impl<'a> Machine<'a> {
    /// A method of a collection; `None` where it is not known here.
    pub(super) fn collection_method(
        &mut self,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        if let Some(unknown) = &arguments.rest {
            let unknown = unknown.clone();
            self.lose(base, &unknown);
            return Some(Ok(Value::why(&unknown, at)));
        }
        match base.kind {
            Kind::List(id) => self.list_method(base, id, name, arguments, at),
            Kind::Tuple(_) => self.sequence_method(base, name, arguments, at),
            Kind::Dict(id) => self.dict_method(base, id, name, arguments, at),
            Kind::Set(id) => self.set_method(base, id, name, arguments, at),
            _ => None,
        }
    }

    /// Appends all that `value` holds, or makes the list unknown.
    fn extend(&mut self, base: &Value, id: Id, value: &Value, at: At) -> Result<(), Stop> {
        match self.iterate(value, at)? {
            Ok(items) => {
                self.charge(2 * items.len(), at)?;
                self.change_items(id, |list| list.extend(items));
            }
            Err(unknown) => self.lose(base, &unknown),
        }
        Ok(())
    }

    fn list_method(
        &mut self,
        base: &Value,
        id: Id,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let none = Some(Ok(Value::none(at)));
        let length = match &self.heap[id].object {
            Object::Items(items) => items.len(),
            _ => 0,
        };
        if let Err(stop) = self.charge(2, at) {
            return Some(Err(stop));
        }
        match (name, arguments.positional.as_slice()) {
            ("append", [value]) => {
                let value = value.clone();
                self.change_items(id, |items| items.push(value));
                none
            }
            ("extend", [values]) => {
                let values = values.clone();
                match self.extend(base, id, &values, at) {
                    Ok(()) => none,
                    Err(stop) => Some(Err(stop)),
                }
            }
            ("insert", [index, value]) => {
                let index = index.as_int()?;
                if let Err(stop) = self.charge(length / 64, at) {
                    return Some(Err(stop));
                }
                let at_end = i128::try_from(length).unwrap_or(i128::MAX);
                let index = if index < 0 {
                    (index + at_end).max(0)
                } else {
                    index.min(at_end)
                };
                let (index, value) = (usize::try_from(index).ok()?, value.clone());
                self.change_items(id, |items| items.insert(index, value));
                none
            }
            ("pop", rest) => {
                let index = match rest.first() {
                    Some(index) => index.as_int()?,
                    None => -1,
                };
                let Some(place) = place(index, length) else {
                    return Some(self.raise(
                        "IndexError",
                        "pop from an empty list, or out of range",
                        at,
                    ));
                };
                if let Err(stop) = self.charge((length - place) / 64, at) {
                    return Some(Err(stop));
                }
                let mut gone = None;
                self.change_items(id, |items| gone = Some(items.remove(place)));
                gone.map(Ok)
            }
            ("remove", [value]) => {
                let items = self.items(base)?;
                for (place, item) in items.iter().enumerate() {
                    match self.equal(item, value, 0, at) {
                        Ok(Some(true)) => {
                            self.change_items(id, |items| {
                                items.remove(place);
                            });
                            return none;
                        }
                        Ok(Some(false)) => {}
                        Ok(None) => {
                            let unknown =
                                super::expression::reason("what is removed is not known", at);
                            self.lose(base, &unknown);
                            return none;
                        }
                        Err(stop) => return Some(Err(stop)),
                    }
                }
                Some(self.raise("ValueError", "it is not in the list", at))
            }
            ("clear", []) => {
                self.change_items(id, Vec::clear);
                none
            }
            ("reverse", []) => {
                if let Err(stop) = self.charge(length / 16, at) {
                    return Some(Err(stop));
                }
                self.change_items(id, |items| items.reverse());
                none
            }
            ("sort", []) => {
                let items = self.items(base)?;
                match self.sorted(items, arguments, at) {
                    Ok(Ok(sorted)) => self.change_items(id, |items| *items = sorted),
                    Ok(Err(unknown)) => self.lose(base, &unknown),
                    Err(stop) => return Some(Err(stop)),
                }
                none
            }
            ("copy", []) => {
                let items = self.items(base)?;
                Some(self.list(items, at))
            }
            _ => self.sequence_method(base, name, arguments, at),
        }
    }

    fn sequence_method(
        &mut self,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let value = arguments.positional.first()?;
        if !matches!(name, "index" | "count") {
            return None;
        }
        let items = self.items(base)?;
        let mut count = 0;
        for (place, item) in items.iter().enumerate() {
            match self.equal(item, value, 0, at) {
                Ok(Some(true)) if name == "index" => return Some(Ok(Value::count(place, at))),
                Ok(Some(true)) => count += 1,
                Ok(Some(false)) => {}
                Ok(None) => return None,
                Err(stop) => return Some(Err(stop)),
            }
        }
        if name == "index" {
            return Some(self.raise("ValueError", "it is not in the list", at));
        }
        Some(Ok(Value::count(count, at)))
    }

    fn dict_method(
        &mut self,
        base: &Value,
        id: Id,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        if let Err(stop) = self.charge(2, at) {
            return Some(Err(stop));
        }
        let default = |place: usize| {
            arguments
                .positional
                .get(place)
                .cloned()
                .unwrap_or_else(|| Value::none(at))
        };
        match (name, arguments.positional.as_slice()) {
            ("get", [key, ..]) => {
                if let Some(unknown) = key.as_unknown() {
                    return Some(Ok(Value::why(unknown, at)));
                }
                let default = arguments
                    .get(1, "default")
                    .cloned()
                    .unwrap_or_else(|| Value::none(at));
                Some(self.get(base, key).map(|found| found.unwrap_or(default)))
            }
            ("setdefault", [key, ..]) => match self.get(base, key) {
                Ok(Some(found)) => Some(Ok(found)),
                Ok(None) => {
                    let value = default(1);
                    Some(self.store(base, key, value.clone(), at).map(|()| value))
                }
                Err(stop) => Some(Err(stop)),
            },
            ("pop", [key, rest @ ..]) => {
                let identity = match self.key(key) {
                    Ok(identity) => identity,
                    Err(unknown) => {
                        if let Kind::Unknown(unknown) = &unknown.kind {
                            self.lose(base, unknown);
                        }
                        return Some(Ok(unknown));
                    }
                };
                let gone = self
                    .change_dict(id, |dict| dict.remove(&identity))
                    .flatten();
                match (gone, rest.first()) {
                    (Some(value), _) => Some(Ok(self.settled(&value))),
                    (None, Some(default)) => Some(Ok(default.clone())),
                    (None, None) => {
                        let shown = self.shown(key, true).unwrap_or_default();
                        Some(self.raise("KeyError", shown, at))
                    }
                }
            }
            ("popitem", []) => {
                let length = match &self.heap[id].object {
                    Object::Dict(dict) => dict.len(),
                    _ => 0,
                };
                if let Err(stop) = self.charge(length / 16, at) {
                    return Some(Err(stop));
                }
                match self.change_dict(id, Dict::pop).flatten() {
                    Some((key, value)) => Some(self.tuple(vec![key, value], at)),
                    None => Some(self.raise("KeyError", "the dictionary is empty", at)),
                }
            }
            ("update", values) => {
                for value in values {
                    if let Err(stop) = self.update(id, value, at) {
                        return Some(Err(stop));
                    }
                }
                for (name, value) in &arguments.keywords {
                    let key = Value::text(name.clone(), value.at);
                    if let Err(stop) = self.store(base, &key, value.clone(), at) {
                        return Some(Err(stop));
                    }
                }
                Some(Ok(Value::none(at)))
            }
            ("keys" | "values" | "items", []) => {
                let entries = self.entries(base)?;
                if let Err(stop) = self.charge(entries.len(), at) {
                    return Some(Err(stop));
                }
                let mut items = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    items.push(match name {
                        "keys" => key,
                        "values" => value,
                        _ => match self.tuple(vec![key, value], at) {
                            Ok(pair) => pair,
                            Err(stop) => return Some(Err(stop)),
                        },
                    });
                }
                Some(self.list(items, at))
            }
            ("copy", []) => {
                let entries = self.entries(base)?;
                Some(self.dict(entries, at))
            }
            ("clear", []) => {
                self.change_dict(id, |dict| *dict = Dict::default());
                Some(Ok(Value::none(at)))
            }
            _ => None,
        }
    }

    /// `dict.update(value)`: a dict, or pairs.
    pub(super) fn update(&mut self, id: Id, value: &Value, at: At) -> Result<(), Stop> {
        let base = Value::new(Kind::Dict(id), at);
        match self.pairs(value, at)? {
            Ok(entries) => {
                for (key, value) in entries {
                    self.store(&base, &key, value, at)?;
                }
            }
            Err(unknown) => self.lose(&base, &unknown),
        }
        Ok(())
    }

    fn set_method(
        &mut self,
        base: &Value,
        id: Id,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        use ruff_python_ast::Operator;
        if let Err(stop) = self.charge(4, at) {
            return Some(Err(stop));
        }
        let first = arguments.positional.first();
        match name {
            "add" | "discard" | "remove" => {
                let value = first?.clone();
                match self.key(&value) {
                    Ok(identity) if name == "add" => {
                        let none = Value::none(at);
                        self.change_dict(id, |dict| dict.insert(identity, value, none));
                    }
                    Ok(identity) => {
                        self.change_dict(id, |dict| dict.remove(&identity));
                    }
                    Err(unknown) => {
                        if let Kind::Unknown(unknown) = &unknown.kind {
                            self.lose(base, unknown);
                        }
                    }
                }
                Some(Ok(Value::none(at)))
            }
            "update" => {
                let other = first?.clone();
                match self.iterate(&other, at) {
                    Ok(Ok(items)) => {
                        for item in items {
                            let one = Arguments::of(vec![item]);
                            if let Some(Err(stop)) = self.set_method(base, id, "add", &one, at) {
                                return Some(Err(stop));
                            }
                        }
                    }
                    Ok(Err(unknown)) => self.lose(base, &unknown),
                    Err(stop) => return Some(Err(stop)),
                }
                Some(Ok(Value::none(at)))
            }
            "union" | "intersection" | "difference" | "symmetric_difference" => {
                let other = match self.iterate(first?, at) {
                    Ok(Ok(items)) => items,
                    Ok(Err(unknown)) => return Some(Ok(Value::why(&unknown, at))),
                    Err(stop) => return Some(Err(stop)),
                };
                let other = match self.set(other, at) {
                    Ok(other) => other,
                    Err(stop) => return Some(Err(stop)),
                };
                let op = match name {
                    "union" => Operator::BitOr,
                    "intersection" => Operator::BitAnd,
                    "difference" => Operator::Sub,
                    _ => Operator::BitXor,
                };
                Some(self.binary(op, base, &other, at))
            }
            "copy" => {
                let items = self.items(base)?;
                Some(self.set(items, at))
            }
            _ => None,
        }
    }
}
