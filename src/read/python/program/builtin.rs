//! Built-in functions.

use std::rc::Rc;

use ruff_python_ast::Operator;

use super::expression::reason;
use super::value::Object;
use super::{Arguments, At, Eval, Fields, Kind, Machine, Stop, Unknown, Value};

/// Items in their order, or why that is not known.
type Sorted = Result<Result<Vec<Value>, Rc<Unknown>>, Stop>;

impl<'a> Machine<'a> {
    /// A function of `builtins` on values that only a program has; `None` where the evaluator of expressions knows it
    /// better, or nobody.
    pub(super) fn builtin(&mut self, name: &str, arguments: &Arguments, at: At) -> Option<Eval> {
        let first = arguments
            .positional
            .first()
            .map(|value| self.settled(value));
        let second = arguments.positional.get(1).cloned();
        // These have no effect, whatever they are given, or look at what they are given themselves.
        match name {
            "print" | "breakpoint" | "help" => return Some(Ok(Value::none(at))),
            "exit" | "quit" => return Some(self.leave(at)),
            "isinstance" => {
                let (value, class) = (first?, second?);
                return Some(Ok(match self.is_instance_of(&value, &class) {
                    Some(known) => Value::bool(known, at),
                    None => self.unsure(&value, "what it is an instance of is not known", at),
                }));
            }
            "bool" => {
                let Some(value) = first else {
                    return Some(Ok(Value::bool(false, at)));
                };
                return Some(Ok(match self.truth(&value) {
                    Ok(truth) => Value::bool(truth, at),
                    Err(unknown) => Value::why(&unknown, at),
                }));
            }
            "hasattr" | "getattr" => return Some(self.get_attribute(name, arguments, at)),
            "dict" => return Some(self.make_dict(arguments, at)),
            "list" | "tuple" | "set" | "frozenset" | "sorted" | "reversed" | "iter" => {
                return Some(self.make_sequence(name, arguments, at));
            }
            "str" | "repr" | "ascii" => {
                let Some(value) = first else {
                    return Some(Ok(Value::text("", at)));
                };
                return Some(self.deeper(at, |machine| machine.string(&value, name != "str", at)));
            }
            "format" => {
                let spec = second
                    .as_ref()
                    .and_then(Value::as_text)
                    .unwrap_or("")
                    .to_owned();
                return Some(self.formatted(&first?, false, &spec, at));
            }
            "property" | "staticmethod" | "classmethod" => {
                let kind = match name {
                    "property" => "property",
                    "staticmethod" => "staticmethod",
                    _ => "classmethod",
                };
                let fields = vec![("function".into(), first?)];
                return Some(Ok(self.record(kind, Fields(fields), at)));
            }
            _ => {}
        }
        if let Some(unknown) = arguments.unknown() {
            for value in arguments.values() {
                self.lose(value, &unknown);
            }
            return Some(Ok(Value::why(&unknown, at)));
        }
        match name {
            "len" => self.length(&first?, at),
            "range" => self.range(arguments, at),
            "open" => Some(self.open(arguments, at)),
            "enumerate" => {
                let items = self.known_items(&first?, at);
                let start = arguments.get(1, "start").map_or(Some(0), Value::as_int)?;
                self.collect(items, at, |machine, items| {
                    let mut pairs = Vec::with_capacity(items.len());
                    for (place, item) in (start..).zip(items) {
                        let number = Value::new(Kind::Int(place), at);
                        pairs.push(machine.tuple(vec![number, item], at)?);
                    }
                    machine.list(pairs, at)
                })
            }
            "zip" => {
                let mut columns = Vec::new();
                for value in &arguments.positional {
                    match self.iterate(value, at) {
                        Ok(Ok(items)) => columns.push(items.into_iter()),
                        Ok(Err(unknown)) => return Some(Ok(Value::why(&unknown, at))),
                        Err(stop) => return Some(Err(stop)),
                    }
                }
                let rows = columns
                    .iter()
                    .map(ExactSizeIterator::len)
                    .min()
                    .unwrap_or(0);
                let mut items = Vec::with_capacity(rows);
                for _ in 0..rows {
                    let row = columns.iter_mut().filter_map(Iterator::next).collect();
                    match self.tuple(row, at) {
                        Ok(row) => items.push(row),
                        Err(stop) => return Some(Err(stop)),
                    }
                }
                Some(self.list(items, at))
            }
            "map" | "filter" => {
                let function = first?;
                let items = self.known_items(&second?, at);
                let keep = name == "filter";
                self.collect(items, at, |machine, items| {
                    let mut made = Vec::with_capacity(items.len());
                    for item in items {
                        if keep && function.is_none() {
                            match machine.truth(&item) {
                                Ok(true) => made.push(item),
                                Ok(false) => {}
                                Err(unknown) => return Ok(Value::why(&unknown, at)),
                            }
                            continue;
                        }
                        let result = machine.apply(&function, vec![item.clone()], at)?;
                        if !keep {
                            made.push(result);
                            continue;
                        }
                        match machine.truth(&result) {
                            Ok(true) => made.push(item),
                            Ok(false) => {}
                            Err(unknown) => return Ok(Value::why(&unknown, at)),
                        }
                    }
                    machine.list(made, at)
                })
            }
            "any" | "all" => {
                let items = self.known_items(&first?, at);
                let any = name == "any";
                self.collect(items, at, |machine, items| {
                    for item in items {
                        match machine.truth(&item) {
                            Ok(truth) if truth == any => return Ok(Value::bool(any, at)),
                            Ok(_) => {}
                            Err(unknown) => return Ok(Value::why(&unknown, at)),
                        }
                    }
                    Ok(Value::bool(!any, at))
                })
            }
            "min" | "max" => self.extreme(name == "max", arguments, at),
            "sum" => {
                let items = self.known_items(&first?, at);
                let start = arguments.get(1, "start").cloned();
                self.collect(items, at, |machine, items| {
                    let mut total = start.unwrap_or_else(|| Value::new(Kind::Int(0), at));
                    for item in items {
                        total = machine.binary(Operator::Add, &total, &item, at)?;
                    }
                    Ok(total)
                })
            }
            "next" => {
                let items = self.known_items(&first?, at);
                self.collect(items, at, |machine, items| {
                    match items.into_iter().next().or(second) {
                        Some(item) => Ok(item),
                        None => machine.raise("StopIteration", "", at),
                    }
                })
            }
            "int" | "float" => self.number(name, arguments, at),
            "type" => {
                let value = first?;
                match value.kind {
                    Kind::Instance(_) => Some(self.attribute(&value, "__class__", at)),
                    _ => None,
                }
            }
            "callable" => {
                let callable = matches!(
                    first?.kind,
                    Kind::Function(_) | Kind::Bound(_) | Kind::Class(_) | Kind::Named(_)
                );
                Some(Ok(Value::bool(callable, at)))
            }
            "setattr" => {
                let (base, name) = (first?, second?);
                let name = name.as_text()?;
                self.set_attribute(&base, name, arguments.positional.get(2)?.clone());
                Some(Ok(Value::none(at)))
            }
            "vars" => Some(self.attribute(&first?, "__dict__", at)),
            "chr" => {
                let one = u32::try_from(first?.as_int()?)
                    .ok()
                    .and_then(char::from_u32)?;
                Some(Ok(Value::text(one.to_string(), at)))
            }
            "ord" => {
                let first = first?;
                let mut chars = first.as_text()?.chars();
                let one = chars.next().filter(|_| chars.next().is_none())?;
                Some(Ok(Value::new(Kind::Int(i128::from(u32::from(one))), at)))
            }
            "divmod" => {
                let (a, b) = (first?, second?);
                let pair =
                    [Operator::FloorDiv, Operator::Mod].map(|op| self.binary(op, &a, &b, at));
                match pair {
                    [Ok(a), Ok(b)] => Some(self.tuple(vec![a, b], at)),
                    [Err(stop), _] | [_, Err(stop)] => Some(Err(stop)),
                }
            }
            "pow" if arguments.positional.len() == 2 => {
                Some(self.binary(Operator::Pow, &first?, &second?, at))
            }
            "round" => {
                let digits = arguments
                    .get(1, "ndigits")
                    .filter(|value| !value.is_none())?;
                let digits = usize::try_from(digits.as_int()?)
                    .ok()
                    .filter(|digits| *digits < 16)?;
                match first?.kind {
                    Kind::Float(value) => {
                        let rounded = format!("{value:.digits$}").parse().ok()?;
                        Some(Ok(Value::new(Kind::Float(rounded), at)))
                    }
                    Kind::Int(value) => Some(Ok(Value::new(Kind::Int(value), at))),
                    _ => None,
                }
            }
            // `builtins.str.upper` and the like, called with what they are methods of.
            _ => {
                let (class, method) = name.split_once('.')?;
                if (class, method) == ("str", "maketrans") {
                    return self.maketrans(arguments, at);
                }
                if (class, method) == ("dict", "fromkeys") {
                    let value = second.unwrap_or_else(|| Value::none(at));
                    let items = self.known_items(&first?, at);
                    return self.collect(items, at, |machine, items| {
                        machine.dict(
                            items.into_iter().map(|key| (key, value.clone())).collect(),
                            at,
                        )
                    });
                }
                let base = first?;
                let mut rest = arguments.clone();
                rest.positional.remove(0);
                Some(self.call_method(&base, method, rest, at))
            }
        }
    }

    /// `sys.exit()` and the like.
    pub(super) fn leave(&self, at: At) -> Eval {
        Err(Stop::Halt(super::Halt {
            at,
            reason: String::new(),
            wanted: true,
        }))
    }

    fn known_items(&mut self, value: &Value, at: At) -> Sorted {
        self.iterate(value, at)
    }

    fn collect(
        &mut self,
        items: Sorted,
        at: At,
        make: impl FnOnce(&mut Self, Vec<Value>) -> Eval,
    ) -> Option<Eval> {
        Some(match items {
            Ok(Ok(items)) => self.deeper(at, |machine| make(machine, items)),
            Ok(Err(unknown)) => Ok(Value::why(&unknown, at)),
            Err(stop) => Err(stop),
        })
    }

    fn get_attribute(&mut self, function: &str, arguments: &Arguments, at: At) -> Eval {
        let [base, name, rest @ ..] = arguments.positional.as_slice() else {
            return Ok(Value::unknown("the attribute is not known", at));
        };
        let Some(name) = name.as_text() else {
            return Ok(self.unsure(name, "the attribute is not known", at));
        };
        let found = self.attribute(base, name, at);
        match (function, found) {
            ("hasattr", Ok(value)) => Ok(match &value.kind {
                Kind::Unknown(unknown) => Value::why(unknown, at),
                // A method of a record is made for any name.
                Kind::Bound(_) if matches!(base.kind, Kind::Record(_)) => Value::bool(false, at),
                _ => Value::bool(true, at),
            }),
            ("hasattr", Err(Stop::Raise(_))) => Ok(Value::bool(false, at)),
            (_, Err(Stop::Raise(_))) if !rest.is_empty() => Ok(rest[0].clone()),
            (_, Ok(value))
                if !rest.is_empty()
                    && matches!((&value.kind, &base.kind), (Kind::Bound(_), Kind::Record(_))) =>
            {
                Ok(rest[0].clone())
            }
            (_, found) => found,
        }
    }

    /// The pairs of a dict, or of a list of pairs.
    #[expect(
        clippy::type_complexity,
        reason = "a stop, or an unknown value, or the pairs"
    )]
    pub(super) fn pairs(
        &mut self,
        value: &Value,
        at: At,
    ) -> Result<Result<Vec<(Value, Value)>, Rc<Unknown>>, Stop> {
        if let Some(entries) = self.entries(value) {
            self.charge(entries.len(), at)?;
            return Ok(Ok(entries));
        }
        let items = match self.iterate(value, at)? {
            Ok(items) => items,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let mut pairs = Vec::with_capacity(items.len());
        for item in items {
            match self.iterate(&item, at)? {
                Ok(pair) => match <[Value; 2]>::try_from(pair) {
                    Ok([key, value]) => pairs.push((key, value)),
                    Err(_) => return self.raise("ValueError", "an item is no pair", at),
                },
                Err(unknown) => return Ok(Err(unknown)),
            }
        }
        Ok(Ok(pairs))
    }

    fn make_dict(&mut self, arguments: &Arguments, at: At) -> Eval {
        if let Some(unknown) = &arguments.rest {
            return Ok(Value::why(unknown, at));
        }
        let mut items = match arguments.positional.first() {
            None => Vec::new(),
            Some(given) => match self.pairs(given, at)? {
                Ok(pairs) => pairs,
                Err(unknown) => return Ok(Value::why(&unknown, at)),
            },
        };
        for (name, value) in &arguments.keywords {
            items.push((Value::text(Rc::clone(name), value.at), value.clone()));
        }
        self.dict(items, at)
    }

    fn make_sequence(&mut self, name: &str, arguments: &Arguments, at: At) -> Eval {
        let mut items = match arguments.positional.first() {
            None => Vec::new(),
            Some(given) => match self.iterate(given, at)? {
                Ok(items) => items,
                Err(unknown) => return Ok(Value::why(&unknown, at)),
            },
        };
        match name {
            "tuple" => return self.tuple(items, at),
            "set" | "frozenset" => return self.set(items, at),
            "sorted" => match self.sorted(items, arguments, at)? {
                Ok(sorted) => items = sorted,
                Err(unknown) => return Ok(Value::why(&unknown, at)),
            },
            "reversed" => items.reverse(),
            _ => {}
        }
        self.list(items, at)
    }

    /// Items sorted by `key=`, in reverse where `reverse=` says so.
    pub(super) fn sorted(&mut self, items: Vec<Value>, arguments: &Arguments, at: At) -> Sorted {
        let mut keyed = Vec::with_capacity(items.len());
        let key = arguments
            .keyword("key")
            .filter(|key| !key.is_none())
            .cloned();
        for item in items {
            let by = match &key {
                Some(key) => self.apply(key, vec![item.clone()], at)?,
                None => item.clone(),
            };
            keyed.push((by, item));
        }
        let rounds = keyed.len().checked_ilog2().unwrap_or(0) as usize;
        self.charge(keyed.len() * (1 + rounds), at)?;
        // A sort needs an order that is total: it is looked at before, item by item.
        for (by, _) in &keyed {
            if let Kind::Unknown(unknown) = &self.settled(by).kind {
                return Ok(Err(Rc::clone(unknown)));
            }
        }
        let mut failed = None;
        keyed.sort_by(|(a, _), (b, _)| match self.order(a, b, at) {
            Ok(Some(order)) => order,
            Ok(None) => {
                failed.get_or_insert(Ok(reason("the order is not known", at)));
                std::cmp::Ordering::Equal
            }
            Err(stop) => {
                failed.get_or_insert(Err(stop));
                std::cmp::Ordering::Equal
            }
        });
        match failed {
            Some(Err(stop)) => return Err(stop),
            Some(Ok(unknown)) => return Ok(Err(unknown)),
            None => {}
        }
        let mut items: Vec<_> = keyed.into_iter().map(|(_, item)| item).collect();
        if let Some(reverse) = arguments.keyword("reverse")
            && self.truth(reverse) == Ok(true)
        {
            items.reverse();
        }
        Ok(Ok(items))
    }

    fn extreme(&mut self, largest: bool, arguments: &Arguments, at: At) -> Option<Eval> {
        let items = match arguments.positional.as_slice() {
            [single] => match self.iterate(single, at) {
                Ok(Ok(items)) => items,
                Ok(Err(unknown)) => return Some(Ok(Value::why(&unknown, at))),
                Err(stop) => return Some(Err(stop)),
            },
            several => several.to_vec(),
        };
        let key = arguments
            .keyword("key")
            .filter(|key| !key.is_none())
            .cloned();
        let mut best: Option<(Value, Value)> = None;
        for item in items {
            let by = match &key {
                Some(key) => match self.apply(key, vec![item.clone()], at) {
                    Ok(by) => by,
                    Err(stop) => return Some(Err(stop)),
                },
                None => item.clone(),
            };
            let better = match &best {
                None => true,
                Some((least, _)) => match self.order(&by, least, at) {
                    Ok(Some(order)) => {
                        if largest {
                            order.is_gt()
                        } else {
                            order.is_lt()
                        }
                    }
                    Ok(None) => return Some(Ok(self.unsure(&by, "the order is not known", at))),
                    Err(stop) => return Some(Err(stop)),
                },
            };
            if better {
                best = Some((by, item));
            }
        }
        match best
            .map(|(_, item)| item)
            .or_else(|| arguments.keyword("default").cloned())
        {
            Some(item) => Some(Ok(item)),
            None => Some(self.raise("ValueError", "there is nothing to choose from", at)),
        }
    }

    fn length(&mut self, value: &Value, at: At) -> Option<Eval> {
        let length = match &value.kind {
            Kind::Text(text) => {
                if let Err(stop) = self.charge(1 + text.len() / 32, at) {
                    return Some(Err(stop));
                }
                text.chars().count()
            }
            Kind::List(id) | Kind::Tuple(id) | Kind::Set(id) | Kind::Dict(id) => {
                match &self.heap[*id].object {
                    Object::Items(items) => items.len(),
                    Object::Dict(dict) => dict.len(),
                    _ => return None,
                }
            }
            Kind::Class(_) => self.members(value)?.len(),
            Kind::Instance(_) => {
                return self.call_member(value, "__len__", &Arguments::default(), at);
            }
            _ => return None,
        };
        Some(Ok(Value::count(length, at)))
    }

    fn range(&mut self, arguments: &Arguments, at: At) -> Option<Eval> {
        let numbers: Option<Vec<i128>> = arguments.positional.iter().map(Value::as_int).collect();
        let (start, end, step) = match numbers?.as_slice() {
            [end] => (0, *end, 1),
            [start, end] => (*start, *end, 1),
            [start, end, step] if *step != 0 => (*start, *end, *step),
            _ => return None,
        };
        let distance = if step > 0 {
            end.checked_sub(start)?
        } else {
            start.checked_sub(end)?
        };
        let count = usize::try_from(distance.max(0).div_euclid(step.checked_abs()?) + 1)
            .unwrap_or(usize::MAX);
        if let Err(stop) = self.charge(count, at) {
            return Some(Err(stop));
        }
        let mut items = Vec::new();
        let mut number = start;
        while (step > 0 && number < end) || (step < 0 && number > end) {
            items.push(Value::new(Kind::Int(number), at));
            number += step;
        }
        Some(self.list(items, at))
    }

    fn number(&mut self, name: &str, arguments: &Arguments, at: At) -> Option<Eval> {
        let given = arguments.positional.first()?;
        let plain = self.plain_member(given).unwrap_or_else(|| given.clone());
        let text = plain.as_text()?;
        let origin = Value::origins([given]);
        let trimmed = text.trim().replace('_', "");
        let kind = match (name, arguments.positional.get(1)) {
            ("int", None) => trimmed.parse().ok().map(Kind::Int),
            ("int", Some(base)) => {
                let base = u32::try_from(base.as_int()?)
                    .ok()
                    .filter(|base| (2..=36).contains(base))?;
                i128::from_str_radix(&trimmed, base).ok().map(Kind::Int)
            }
            ("float", _) => trimmed.parse().ok().map(Kind::Float),
            _ => None,
        };
        Some(match kind {
            Some(kind) => Ok(Value::new(kind, at).of(origin)),
            None if trimmed.len() < 30 => self.raise(
                "ValueError",
                format!("{text:?} is no number for {name}()"),
                at,
            ),
            None => Ok(Value::unknown("the number is too long", at)),
        })
    }
}
