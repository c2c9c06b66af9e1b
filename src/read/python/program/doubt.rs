//! What is only perhaps run: below a condition that is not known, and after a `return` that perhaps was reached.
//!
//! Such code is run all the same, to see what it would do: every name that it binds and every object that it changes is
//! not known afterwards. A deployment in it is a fault, which names the condition.

use std::rc::Rc;

use super::value::Object;
use super::{Id, Kind, Machine, Unknown, Value};

/// The doubt that code runs in, and what it has changed so far.
#[derive(Debug, Default)]
pub(super) struct Doubt<'a> {
    reason: Option<Rc<Unknown>>,
    changes: Vec<Change<'a>>,
}

#[derive(Debug)]
enum Change<'a> {
    Name(Id, &'a str),
    Object(Id),
}

/// The state before a doubt began.
pub(super) struct Before {
    reason: Option<Rc<Unknown>>,
    changes: usize,
    heap: usize,
}

impl<'a> Machine<'a> {
    /// Why what runs now perhaps does not run.
    pub(in crate::read) fn doubted(&self) -> Option<Rc<Unknown>> {
        self.doubt.reason.clone()
    }

    /// Begins a doubt; an outer one keeps its reason.
    pub(super) fn begin_doubt(&mut self, reason: &Rc<Unknown>) -> Before {
        let before = Before {
            reason: self.doubt.reason.clone(),
            changes: self.doubt.changes.len(),
            heap: self.heap.len(),
        };
        if self.doubt.reason.is_none() {
            self.doubt.reason = Some(Rc::clone(reason));
        }
        before
    }

    /// Ends a doubt: what was changed in it is not known.
    pub(super) fn end_doubt(&mut self, before: Before, reason: &Rc<Unknown>) {
        // Assigning again below would note every change again.
        let changes = self.doubt.changes.split_off(before.changes);
        self.doubt.reason = before.reason;
        let outer = self.doubt.reason.is_some();
        for change in changes {
            match change {
                Change::Name(scope, name) => {
                    let at = reason.at;
                    if let Object::Scope(names) = &mut self.heap[scope].object {
                        names.insert(name, Value::why(reason, at));
                    }
                }
                Change::Object(id) if id < before.heap => {
                    self.heap[id].taint.get_or_insert_with(|| Rc::clone(reason));
                }
                Change::Object(_) => continue,
            }
            if outer {
                self.doubt.changes.push(change);
            }
        }
    }

    /// Sets a doubt aside, for code that does not depend on it.
    pub(super) fn without_doubt(&mut self) -> Option<Rc<Unknown>> {
        self.doubt.reason.take()
    }

    /// Takes a doubt up again that was set aside.
    pub(super) fn resume_doubt(&mut self, reason: Option<Rc<Unknown>>) {
        self.doubt.reason = reason;
    }

    /// Notes that an object is changed.
    pub(super) fn touched(&mut self, id: Id) {
        if self.doubt.reason.is_some() {
            self.doubt.changes.push(Change::Object(id));
        }
    }

    /// Notes that a name is bound.
    pub(super) fn bound(&mut self, scope: Id, name: &'a str) {
        if self.doubt.reason.is_some() {
            self.doubt.changes.push(Change::Name(scope, name));
        }
    }

    /// Makes what a value refers to unknown, and all in it: something that is not known got hold of it.
    pub(super) fn lose(&mut self, value: &Value, reason: &Rc<Unknown>) {
        let mut left = vec![value.clone()];
        while let Some(value) = left.pop() {
            let (Kind::List(id)
            | Kind::Set(id)
            | Kind::Dict(id)
            | Kind::Tuple(id)
            | Kind::Instance(id)) = value.kind
            else {
                continue;
            };
            if self.heap[id].taint.is_some() || self.spent() {
                continue;
            }
            match &self.heap[id].object {
                Object::Items(items) => left.extend(items.iter().cloned()),
                Object::Dict(dict) => left.extend(dict.iter().map(|(_, value)| value.clone())),
                Object::Instance(_, fields) => {
                    left.extend(fields.0.iter().map(|(_, value)| value.clone()));
                }
                _ => {}
            }
            self.spend(1);
            if !matches!(value.kind, Kind::Tuple(_)) {
                self.heap[id].taint = Some(Rc::clone(reason));
            }
        }
    }
}
