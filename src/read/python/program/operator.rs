//! Operators, comparisons and subscripts.

use std::cmp::Ordering;
use std::rc::Rc;

use ruff_python_ast::{CmpOp, Expr, Operator, UnaryOp};

use super::expression::{constant, reason, with_evaluator};
use super::place::{picks, place};
use super::value::{Dict, Object};
use super::{At, Eval, Frame, Kind, Machine, Stop, Unknown, Value};
use crate::read::python::constant::{compared, unary};

/// What a comparison comes to.
pub(super) enum Compared {
    Known(bool),
    Unknown(Rc<Unknown>),
}

/// What stands between brackets.
pub(super) enum Index {
    One(Value),
    Slice([Option<Value>; 3]),
}

/// How deep values are compared.
const DEPTH: usize = 20;

impl<'a> Machine<'a> {
    pub(super) fn unary(&mut self, op: UnaryOp, operand: &Value, at: At) -> Value {
        self.spend(operand.weight() / 16);
        let Some(known) = operand.constant() else {
            return self.unsure(operand, "the operator is not evaluated", at);
        };
        let origin = Value::origins([operand]);
        constant(with_evaluator(|_| unary(op, &known, at.range.start())), at).of(origin)
    }

    pub(super) fn binary(&mut self, op: Operator, left: &Value, right: &Value, at: At) -> Eval {
        let (left, right) = (self.settled(left), self.settled(right));
        for side in [&left, &right] {
            if let Kind::Unknown(unknown) = &side.kind {
                return Ok(Value::why(unknown, at));
            }
        }
        let origin = Value::origins([&left, &right]);
        match (op, &left.kind, &right.kind) {
            (Operator::Add, Kind::Text(_), Kind::Text(_)) => {
                return self.concatenate(&[left.clone(), right.clone()], at);
            }
            (Operator::Mod, Kind::Text(pattern), _) => {
                let pattern = Rc::clone(pattern);
                return Ok(self.percent(&pattern, &right, at)?.of(origin));
            }
            (Operator::Div, Kind::Path(_), Kind::Path(_) | Kind::Text(_))
            | (Operator::Div, Kind::Text(_), Kind::Path(_)) => {
                return self.join_path(&[left, right], at);
            }
            (Operator::Add, Kind::List(_), Kind::List(_))
            | (Operator::Add, Kind::Tuple(_), Kind::Tuple(_)) => {
                let mut items = self.items(&left).unwrap_or_default();
                items.extend(self.items(&right).unwrap_or_default());
                return match left.kind {
                    Kind::List(_) => self.list(items, at),
                    _ => self.tuple(items, at),
                };
            }
            (Operator::Mult, Kind::List(_) | Kind::Tuple(_), Kind::Int(_) | Kind::Bool(_)) => {
                return self.repeat(&left, &right, at);
            }
            (Operator::Mult, Kind::Int(_) | Kind::Bool(_), Kind::List(_) | Kind::Tuple(_)) => {
                return self.repeat(&right, &left, at);
            }
            (Operator::Mult, Kind::Text(text), Kind::Int(count))
            | (Operator::Mult, Kind::Int(count), Kind::Text(text)) => {
                let count = usize::try_from(*count).unwrap_or(0);
                let length = text.len().saturating_mul(count);
                self.fits(length, at)?;
                return Ok(Value::text(text.repeat(count), at).of(origin));
            }
            (Operator::BitOr, Kind::Dict(_), Kind::Dict(_)) => {
                let mut entries = self.entries(&left).unwrap_or_default();
                entries.extend(self.entries(&right).unwrap_or_default());
                return self.dict(entries, at);
            }
            (_, Kind::Set(_), Kind::Set(_)) => return self.sets(op, &left, &right, at),
            (Operator::BitOr, _, _) if self.is_type(&left) || self.is_type(&right) => {
                return Ok(Value::new(Kind::Named("types.UnionType".into()), at));
            }
            _ => {}
        }
        self.charge_texts([&left, &right], at)?;
        let (Some(a), Some(b)) = (left.constant(), right.constant()) else {
            return Ok(Value::unknown("the operator is not evaluated", at));
        };
        if matches!(op, Operator::Div | Operator::FloorDiv | Operator::Mod)
            && b.number() == Some(0.0)
            && a.number().is_some()
        {
            return self.raise("ZeroDivisionError", "division by zero", at);
        }
        self.charge(4, at)?;
        let result = with_evaluator(|evaluator| evaluator.binary(op, &a, &b, at.range.start()));
        let result = constant(result, at).of(origin);
        self.charge_texts([&result], at)?;
        Ok(result)
    }

    /// `left op= right`: lists, sets and dicts are changed in place.
    pub(super) fn in_place(&mut self, op: Operator, left: &Value, right: &Value, at: At) -> Eval {
        match (op, &self.settled(left).kind) {
            (Operator::Add, Kind::List(id)) => {
                let id = *id;
                match self.iterate(right, at)? {
                    Ok(items) => self.change_items(id, |list| list.extend(items)),
                    Err(unknown) => self.lose(left, &unknown),
                }
                Ok(left.clone())
            }
            (Operator::BitOr, Kind::Dict(id)) => {
                let id = *id;
                self.update(id, right, at)?;
                Ok(left.clone())
            }
            _ => self.binary(op, left, right, at),
        }
    }

    pub(super) fn change_items(&mut self, id: usize, change: impl FnOnce(&mut Vec<Value>)) {
        self.touched(id);
        if let Object::Items(items) = &mut self.heap[id].object {
            change(items);
        }
    }

    pub(super) fn change_dict<T>(
        &mut self,
        id: usize,
        change: impl FnOnce(&mut Dict) -> T,
    ) -> Option<T> {
        self.touched(id);
        match &mut self.heap[id].object {
            Object::Dict(dict) => Some(change(dict)),
            _ => None,
        }
    }

    fn repeat(&mut self, items: &Value, count: &Value, at: At) -> Eval {
        let tuple = matches!(items.kind, Kind::Tuple(_));
        let items = self.items(items).unwrap_or_default();
        let count = usize::try_from(count.as_int().unwrap_or(0)).unwrap_or(0);
        self.charge(items.len().saturating_mul(count), at)?;
        let many: Vec<_> = std::iter::repeat_n(items, count).flatten().collect();
        if tuple {
            self.tuple(many, at)
        } else {
            self.list(many, at)
        }
    }

    fn sets(&mut self, op: Operator, left: &Value, right: &Value, at: At) -> Eval {
        let (left, right) = (
            self.items(left).unwrap_or_default(),
            self.items(right).unwrap_or_default(),
        );
        self.charge(2 * (left.len() + right.len()), at)?;
        let keys = |items: &[Value]| -> std::collections::HashSet<_> {
            items
                .iter()
                .filter_map(|item| self.key(item).ok())
                .collect()
        };
        let (in_left, in_right) = (keys(&left), keys(&right));
        let among = |item: &Value, keys: &std::collections::HashSet<_>| {
            self.key(item).is_ok_and(|key| keys.contains(&key))
        };
        let items: Vec<_> = match op {
            Operator::BitOr => left.into_iter().chain(right).collect(),
            Operator::BitAnd => left
                .into_iter()
                .filter(|one| among(one, &in_right))
                .collect(),
            Operator::Sub => left
                .into_iter()
                .filter(|one| !among(one, &in_right))
                .collect(),
            Operator::BitXor => {
                let only: Vec<_> = left
                    .into_iter()
                    .filter(|one| !among(one, &in_right))
                    .collect();
                only.into_iter()
                    .chain(right.into_iter().filter(|one| !among(one, &in_left)))
                    .collect()
            }
            _ => return Ok(Value::unknown("the operator is not evaluated", at)),
        };
        self.set(items, at)
    }

    fn is_type(&self, value: &Value) -> bool {
        matches!(&value.kind, Kind::Class(_) | Kind::Named(_) | Kind::None)
    }

    pub(super) fn compared(
        &mut self,
        op: CmpOp,
        left: &Value,
        right: &Value,
        at: At,
    ) -> Result<Compared, Stop> {
        self.charge(1, at)?;
        let (left, right) = (self.settled(left), self.settled(right));
        for side in [&left, &right] {
            if let Kind::Unknown(unknown) = &side.kind {
                return Ok(Compared::Unknown(Rc::clone(unknown)));
            }
        }
        let found = match op {
            CmpOp::Eq | CmpOp::NotEq => self
                .equal(&left, &right, 0, at)?
                .map(|one| one == (op == CmpOp::Eq)),
            CmpOp::Lt => self.order(&left, &right, at)?.map(Ordering::is_lt),
            CmpOp::LtE => self.order(&left, &right, at)?.map(Ordering::is_le),
            CmpOp::Gt => self.order(&left, &right, at)?.map(Ordering::is_gt),
            CmpOp::GtE => self.order(&left, &right, at)?.map(Ordering::is_ge),
            CmpOp::In | CmpOp::NotIn => self
                .contains(&right, &left, at)?
                .map(|one| one == (op == CmpOp::In)),
            CmpOp::Is | CmpOp::IsNot => {
                self.same(&left, &right).map(|one| one == (op == CmpOp::Is))
            }
        };
        Ok(match found {
            Some(found) => Compared::Known(found),
            None => Compared::Unknown(reason("the comparison is not known", at)),
        })
    }

    fn same(&self, left: &Value, right: &Value) -> Option<bool> {
        let single = |value: &Value| matches!(value.kind, Kind::None | Kind::Bool(_));
        if single(left) || single(right) {
            // Something from outside may well be `None`.
            let foreign =
                |value: &Value| matches!(&value.kind, Kind::Named(full) if !self.is_standard(full));
            if foreign(left) || foreign(right) {
                return None;
            }
            return Some(match (&left.kind, &right.kind) {
                (Kind::None, Kind::None) => true,
                (Kind::Bool(a), Kind::Bool(b)) => a == b,
                _ => false,
            });
        }
        match (self.key(left), self.key(right)) {
            (Ok(a), Ok(b)) => Some(a == b),
            _ => match (&left.kind, &right.kind) {
                (Kind::List(a), Kind::List(b)) | (Kind::Dict(a), Kind::Dict(b)) => Some(a == b),
                _ => Some(false),
            },
        }
    }

    /// Whether two values are equal; `None` where that is not known.
    pub(super) fn equal(
        &mut self,
        left: &Value,
        right: &Value,
        depth: usize,
        at: At,
    ) -> Result<Option<bool>, Stop> {
        self.charge(1, at)?;
        let (left, right) = (self.settled(left), self.settled(right));
        if depth > DEPTH || left.as_unknown().is_some() || right.as_unknown().is_some() {
            return Ok(None);
        }
        self.charge(left.weight().min(right.weight()) / 16, at)?;
        match (&left.kind, &right.kind) {
            (Kind::Text(a), Kind::Text(b)) => Ok(Some(a == b)),
            (Kind::List(_), Kind::List(_)) | (Kind::Tuple(_), Kind::Tuple(_)) => {
                let (a, b) = (
                    self.items(&left).unwrap_or_default(),
                    self.items(&right).unwrap_or_default(),
                );
                if a.len() != b.len() {
                    return Ok(Some(false));
                }
                for (a, b) in a.iter().zip(&b) {
                    match self.equal(a, b, depth + 1, at)? {
                        Some(true) => {}
                        other => return Ok(other),
                    }
                }
                Ok(Some(true))
            }
            (Kind::Dict(_), Kind::Dict(_)) => {
                let (a, b) = (
                    self.entries(&left).unwrap_or_default(),
                    self.entries(&right).unwrap_or_default(),
                );
                if a.len() != b.len() {
                    return Ok(Some(false));
                }
                for (key, value) in &a {
                    let Some(other) = self.get(&right, key)? else {
                        return Ok(Some(false));
                    };
                    match self.equal(value, &other, depth + 1, at)? {
                        Some(true) => {}
                        other => return Ok(other),
                    }
                }
                Ok(Some(true))
            }
            (Kind::Set(_), Kind::Set(_)) => {
                let (a, b) = (
                    self.items(&left).unwrap_or_default(),
                    self.items(&right).unwrap_or_default(),
                );
                self.charge(a.len() + b.len(), at)?;
                let keys = |items: &[Value]| -> std::collections::HashSet<_> {
                    items
                        .iter()
                        .filter_map(|item| self.key(item).ok())
                        .collect()
                };
                Ok(Some(keys(&a) == keys(&b)))
            }
            (Kind::Instance(a), Kind::Instance(b)) => {
                if a == b {
                    return Ok(Some(true));
                }
                // Members of enumerations that are also texts or numbers equal these.
                match (self.plain_member(&left), self.plain_member(&right)) {
                    (Some(a), Some(b)) => self.equal(&a, &b, depth + 1, at),
                    (None, None) if self.is_member(&left) => Ok(Some(false)),
                    _ => Ok(None),
                }
            }
            (Kind::Instance(_), _) => match self.plain_member(&left) {
                Some(value) => self.equal(&value, &right, depth + 1, at),
                None if self.is_member(&left) => Ok(Some(false)),
                None => Ok(None),
            },
            (_, Kind::Instance(_)) => self.equal(&right, &left, depth + 1, at),
            (Kind::Named(full), _) | (_, Kind::Named(full))
                if !self.is_standard(full) && self.key(&left).ok() != self.key(&right).ok() =>
            {
                Ok(None)
            }
            _ if self.charge_texts([&left, &right], at).is_err() => Ok(None),
            _ => match (left.constant(), right.constant()) {
                (Some(a), Some(b)) => Ok(a.equals(&b)),
                _ => Ok(self.same(&left, &right)),
            },
        }
    }

    /// How Python orders two values; `None` where that is not known.
    pub(super) fn order(
        &mut self,
        left: &Value,
        right: &Value,
        at: At,
    ) -> Result<Option<Ordering>, Stop> {
        self.charge(1, at)?;
        let (left, right) = (self.settled(left), self.settled(right));
        let (left, right) = (
            self.plain_member(&left).unwrap_or(left),
            self.plain_member(&right).unwrap_or(right),
        );
        if let (Kind::Text(a), Kind::Text(b)) = (&left.kind, &right.kind) {
            self.charge(a.len().min(b.len()) / 16, at)?;
            return Ok(Some(a.cmp(b)));
        }
        if let (Kind::Path(a), Kind::Path(b)) = (&left.kind, &right.kind) {
            return Ok(Some(a.split('/').cmp(b.split('/'))));
        }
        if let (Some(a), Some(b)) = (self.items(&left), self.items(&right)) {
            if matches!(left.kind, Kind::Set(_)) {
                return Ok(None);
            }
            for (a, b) in a.iter().zip(&b) {
                match self.equal(a, b, 0, at)? {
                    Some(true) => {}
                    Some(false) => return self.deeper(at, |machine| machine.order(a, b, at)),
                    None => return Ok(None),
                }
            }
            return Ok(Some(a.len().cmp(&b.len())));
        }
        self.charge_texts([&left, &right], at)?;
        Ok(match (left.constant(), right.constant()) {
            (Some(a), Some(b)) => {
                let less = compared(CmpOp::Lt, &a, &b);
                let more = compared(CmpOp::Gt, &a, &b);
                match (less, more) {
                    (Some(true), _) => Some(Ordering::Less),
                    (_, Some(true)) => Some(Ordering::Greater),
                    (Some(false), Some(false)) => Some(Ordering::Equal),
                    _ => None,
                }
            }
            _ => None,
        })
    }

    /// Whether `item in container`.
    fn contains(&mut self, container: &Value, item: &Value, at: At) -> Result<Option<bool>, Stop> {
        match (&container.kind, &item.kind) {
            (Kind::Text(whole), Kind::Text(part)) => {
                self.charge(whole.len() / 16, at)?;
                Ok(Some(whole.contains(&**part)))
            }
            (Kind::Dict(_) | Kind::Set(_), _) => {
                let item = self.plain_member(item).unwrap_or_else(|| item.clone());
                let Ok(key) = self.key(&item) else {
                    return Ok(None);
                };
                let (Kind::Dict(id) | Kind::Set(id)) = container.kind else {
                    return Ok(None);
                };
                match &self.heap[id].object {
                    Object::Dict(dict) => Ok(Some(dict.get(&key).is_some())),
                    _ => Ok(None),
                }
            }
            (Kind::Named(full), Kind::Text(name)) if &**full == "os.environ" => {
                let name = name.to_string();
                Ok(self.world.environment.get(&name).map(Option::is_some))
            }
            _ => {
                let Ok(items) = self.iterate(container, at)? else {
                    return Ok(None);
                };
                let mut unsure = false;
                for one in &items {
                    match self.equal(one, item, 0, at)? {
                        Some(true) => return Ok(Some(true)),
                        Some(false) => {}
                        None => unsure = true,
                    }
                }
                Ok((!unsure).then_some(false))
            }
        }
    }

    /// The value of a key of a dict that is known.
    pub(super) fn get(&self, dict: &Value, key: &Value) -> Result<Option<Value>, Stop> {
        let key = self.plain_member(key).unwrap_or_else(|| key.clone());
        let (Kind::Dict(id), Ok(key)) = (&dict.kind, self.key(&key)) else {
            return Ok(None);
        };
        Ok(match &self.heap[*id].object {
            Object::Dict(dict) => dict.get(&key).map(|value| self.settled(value)),
            _ => None,
        })
    }

    pub(super) fn index(&mut self, slice: &'a Expr, frame: &Frame<'a>) -> Result<Index, Stop> {
        let Expr::Slice(slice) = slice else {
            return Ok(Index::One(self.eval(slice, frame)?));
        };
        let mut parts = [None, None, None];
        for (part, expression) in parts
            .iter_mut()
            .zip([&slice.lower, &slice.upper, &slice.step])
        {
            if let Some(expression) = expression {
                *part = Some(self.eval(expression, frame)?).filter(|value| !value.is_none());
            }
        }
        Ok(Index::Slice(parts))
    }

    pub(super) fn subscript(&mut self, base: &Value, index: &Index, at: At) -> Eval {
        let base = self.settled(base);
        if let Kind::Unknown(unknown) = &base.kind {
            return Ok(Value::why(unknown, at));
        }
        let key = match index {
            Index::One(key) => self.settled(key),
            Index::Slice(parts) => return self.slice(&base, parts, at),
        };
        if let Kind::Unknown(unknown) = &key.kind {
            return Ok(Value::why(unknown, at));
        }
        match (&base.kind, &key.kind) {
            (Kind::Dict(_), _) => match self.get(&base, &key)? {
                Some(value) => Ok(value),
                None => match self.default_of(&base, &key, at)? {
                    Some(value) => Ok(value),
                    None => {
                        let shown = self.shown(&key, true).unwrap_or_default();
                        self.raise("KeyError", shown, at)
                    }
                },
            },
            (Kind::List(id) | Kind::Tuple(id), _) => {
                let (Object::Items(items), Some(index)) = (&self.heap[*id].object, key.as_int())
                else {
                    return Ok(Value::unknown("the subscript is not evaluated", at));
                };
                match place(index, items.len()) {
                    Some(place) => Ok(self.settled(&items[place])),
                    None => self.raise("IndexError", "index out of range", at),
                }
            }
            (Kind::Text(text), Kind::Int(index)) => {
                self.charge(1 + text.len() / 16, at)?;
                let chars: Vec<char> = text.chars().collect();
                match place(*index, chars.len()) {
                    Some(place) => {
                        Ok(Value::text(chars[place].to_string(), at).of(Value::origins([&base])))
                    }
                    None => self.raise("IndexError", "string index out of range", at),
                }
            }
            (Kind::Named(full), _) if &**full == "os.environ" => {
                self.variable(&key, None, true, at)
            }
            (Kind::Named(full), _) if self.is_standard(full) => {
                // `list[int]` and the like.
                Ok(base.clone())
            }
            (Kind::Class(_), Kind::Text(name)) => {
                let name = Rc::clone(name);
                Ok(self.member_named(&base, &name, at))
            }
            (Kind::Class(_), _) => Ok(base.clone()),
            _ => Ok(Value::unknown("the subscript is not evaluated", at)),
        }
    }

    fn slice(&mut self, base: &Value, parts: &[Option<Value>; 3], at: At) -> Eval {
        let mut numbers = [None; 3];
        for (number, part) in numbers.iter_mut().zip(parts) {
            if let Some(part) = part {
                match part.as_int() {
                    Some(value) => *number = Some(value),
                    None => return Ok(self.unsure(part, "the slice is not known", at)),
                }
            }
        }
        let origin = Value::origins([base]);
        if let Kind::Text(text) = &base.kind {
            self.charge(1 + text.len() / 8, at)?;
            let chars: Vec<char> = text.chars().collect();
            let picked: String = picks(numbers, chars.len())
                .map(|place| chars[place])
                .collect();
            return Ok(Value::text(picked, at).of(origin));
        }
        let Some(items) = self.items(base) else {
            return Ok(self.unsure(base, "the slice is not evaluated", at));
        };
        self.charge(1 + items.len() / 8, at)?;
        let picked = picks(numbers, items.len())
            .map(|place| items[place].clone())
            .collect();
        match base.kind {
            Kind::Tuple(_) => self.tuple(picked, at),
            _ => self.list(picked, at),
        }
    }
}
