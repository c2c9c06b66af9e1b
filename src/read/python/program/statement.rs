//! Statements.

use std::rc::Rc;

use ruff_python_ast::{ExceptHandler, Expr, Stmt, StmtFor, StmtIf, StmtTry, StmtWhile, StmtWith};

use super::{At, Eval, Frame, Halt, Kind, Machine, Raised, Stop, Unknown, Value};

/// How a statement ends.
#[derive(Debug)]
pub(super) enum Next {
    /// With the one after it.
    On,
    Break,
    Continue,
    Return(Value),
    /// What comes after it perhaps does not run.
    Perhaps(Rc<Unknown>, Leave),
}

/// What is perhaps left, the largest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leave {
    /// One round of a loop.
    Round,
    Loop,
    Function,
}

impl Next {
    fn leaves(&self) -> Option<Leave> {
        match self {
            Self::On => None,
            Self::Continue => Some(Leave::Round),
            Self::Break => Some(Leave::Loop),
            Self::Return(_) => Some(Leave::Function),
            Self::Perhaps(_, leave) => Some(*leave),
        }
    }
}

type Run = Result<Next, Stop>;

/// Built-in exceptions with the one that each derives from.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("ArithmeticError", "Exception"),
    ("AssertionError", "Exception"),
    ("AttributeError", "Exception"),
    ("BaseException", ""),
    ("EOFError", "Exception"),
    ("EnvironmentError", "OSError"),
    ("Exception", "BaseException"),
    ("FileExistsError", "OSError"),
    ("FileNotFoundError", "OSError"),
    ("IOError", "OSError"),
    ("ImportError", "Exception"),
    ("IndexError", "LookupError"),
    ("IsADirectoryError", "OSError"),
    ("JSONDecodeError", "ValueError"),
    ("KeyError", "LookupError"),
    ("KeyboardInterrupt", "BaseException"),
    ("LookupError", "Exception"),
    ("ModuleNotFoundError", "ImportError"),
    ("NameError", "Exception"),
    ("NotADirectoryError", "OSError"),
    ("NotImplementedError", "RuntimeError"),
    ("OSError", "Exception"),
    ("PermissionError", "OSError"),
    ("RuntimeError", "Exception"),
    ("StopIteration", "Exception"),
    ("SystemExit", "BaseException"),
    ("TOMLDecodeError", "ValueError"),
    ("TimeoutError", "OSError"),
    ("TypeError", "Exception"),
    ("UnicodeDecodeError", "ValueError"),
    ("ValueError", "Exception"),
    ("ZeroDivisionError", "ArithmeticError"),
];

/// Whether a built-in name is that of an exception.
pub(super) fn is_exception(name: &str) -> bool {
    EXCEPTIONS.iter().any(|(one, _)| *one == name)
}

fn derives(class: &str, base: &str) -> bool {
    let mut class = class;
    while !class.is_empty() {
        if class == base {
            return true;
        }
        let parent = EXCEPTIONS.iter().find(|(one, _)| *one == class);
        class = parent.map_or("", |(_, parent)| parent);
    }
    false
}

impl<'a> Machine<'a> {
    /// Runs statements until one of them does not go on with the next.
    pub(super) fn block(&mut self, body: &'a [Stmt], frame: &Frame<'a>) -> Run {
        let mut rest = body;
        while let [statement, after @ ..] = rest {
            rest = after;
            let at = At::of(frame.module, statement);
            let next = self.deeper(at, |machine| machine.statement(statement, frame, at))?;
            match next {
                Next::On => {}
                // Whether the rest runs is not known.
                Next::Perhaps(unknown, leave) => {
                    let end = self.deeper(at, |machine| {
                        machine.doubtful(&unknown, |machine| machine.block(rest, frame))
                    })?;
                    let leave = end.and_then(|end| end.leaves()).max(Some(leave));
                    return Ok(Next::Perhaps(unknown, leave.unwrap_or(Leave::Function)));
                }
                next => return Ok(next),
            }
        }
        Ok(Next::On)
    }

    fn statement(&mut self, statement: &'a Stmt, frame: &Frame<'a>, at: At) -> Run {
        match statement {
            Stmt::Expr(expression) => {
                self.eval(&expression.value, frame)?;
            }
            Stmt::Assign(assign) => {
                let value = self.eval(&assign.value, frame)?;
                for target in &assign.targets {
                    self.assign(target, value.clone(), frame)?;
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    let value = self.eval(value, frame)?;
                    self.assign(&assign.target, value, frame)?;
                }
            }
            Stmt::AugAssign(assign) => {
                let left = self.eval(&assign.target, frame)?;
                let right = self.eval(&assign.value, frame)?;
                let value = self.in_place(assign.op, &left, &right, at)?;
                self.assign(&assign.target, value, frame)?;
            }
            Stmt::Return(one) => {
                let value = match &one.value {
                    Some(value) => self.eval(value, frame)?,
                    None => Value::none(at),
                };
                return Ok(Next::Return(value));
            }
            Stmt::If(branch) => return self.branch(branch, frame),
            Stmt::For(iteration) => return self.iteration(iteration, frame, at),
            Stmt::While(iteration) => return self.repetition(iteration, frame),
            Stmt::Break(_) => return Ok(Next::Break),
            Stmt::Continue(_) => return Ok(Next::Continue),
            Stmt::FunctionDef(function) => self.define(function, frame)?,
            Stmt::ClassDef(class) => self.define_class(class, frame)?,
            Stmt::Import(import) => self.import(import, frame, at)?,
            Stmt::ImportFrom(import) => self.import_from(import, frame, at)?,
            Stmt::With(with) => return self.with(with, frame),
            Stmt::Try(attempt) => return self.attempt(attempt, frame),
            Stmt::Raise(raise) => return self.raise_statement(raise, frame, at).map(|()| Next::On),
            Stmt::Assert(assert) => {
                let test = self.eval(&assert.test, frame)?;
                if let Ok(false) = self.truth(&test) {
                    let message = match &assert.msg {
                        Some(message) => self.eval(message, frame)?,
                        None => Value::text("", at),
                    };
                    let message = self.shown(&message, false).unwrap_or_default();
                    return self.raise("AssertionError", message, at);
                }
            }
            Stmt::Delete(delete) => {
                for target in &delete.targets {
                    self.delete(target, frame)?;
                }
            }
            Stmt::Global(global) => {
                for name in &global.names {
                    let scope = frame.scopes.first().copied().unwrap_or_default();
                    frame.elsewhere.borrow_mut().insert(name.as_str(), scope);
                }
            }
            Stmt::Nonlocal(nonlocal) => {
                for name in &nonlocal.names {
                    let outer = frame.scopes.iter().rev().skip(1);
                    let holds = |scope: &&usize| self.bound_in(**scope, name.as_str()).is_some();
                    if let Some(scope) = outer.clone().find(holds) {
                        frame.elsewhere.borrow_mut().insert(name.as_str(), *scope);
                    }
                }
            }
            Stmt::Match(one) => return self.match_statement(one, frame),
            Stmt::TypeAlias(alias) => {
                if let Expr::Name(name) = &*alias.name {
                    let value = Value::unknown("it is a type", at);
                    self.bind(name.id.as_str(), value, frame);
                }
            }
            Stmt::Pass(_) | Stmt::IpyEscapeCommand(_) => {}
        }
        Ok(Next::On)
    }

    fn branch(&mut self, branch: &'a StmtIf, frame: &Frame<'a>) -> Run {
        let mut clauses = vec![(Some(&*branch.test), &branch.body[..])];
        clauses.extend(
            branch
                .elif_else_clauses
                .iter()
                .map(|clause| (clause.test.as_ref(), &clause.body[..])),
        );
        for (number, (test, body)) in clauses.iter().enumerate() {
            let Some(test) = test else {
                return self.block(body, frame);
            };
            let value = self.eval(test, frame)?;
            match self.truth(&value) {
                Ok(true) => return self.block(body, frame),
                Ok(false) => {}
                Err(unknown) => {
                    let bodies = clauses[number..].iter().map(|(_, body)| *body).collect();
                    return self.perhaps(bodies, &unknown, frame);
                }
            }
        }
        Ok(Next::On)
    }

    /// Runs code of which at most one piece runs, nobody knows which.
    pub(super) fn perhaps(
        &mut self,
        bodies: Vec<&'a [Stmt]>,
        unknown: &Rc<Unknown>,
        frame: &Frame<'a>,
    ) -> Run {
        let mut leave = None;
        for body in bodies {
            let end = self.doubtful(unknown, |machine| machine.block(body, frame))?;
            leave = leave.max(end.and_then(|end| end.leaves()));
        }
        Ok(match leave {
            Some(leave) => Next::Perhaps(Rc::clone(unknown), leave),
            None => Next::On,
        })
    }

    /// Runs code that perhaps does not run; `None` where it would fail or end the program: whoever writes
    /// `if not x: raise …` means that `x` holds where the file is used.
    pub(super) fn doubtful<T>(
        &mut self,
        unknown: &Rc<Unknown>,
        run: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<Option<T>, Stop> {
        let before = self.begin_doubt(unknown);
        let end = run(self);
        self.end_doubt(before, unknown);
        match end {
            Ok(end) => Ok(Some(end)),
            Err(Stop::Halt(halt)) if !halt.wanted => Err(Stop::Halt(halt)),
            Err(_) => Ok(None),
        }
    }

    fn iteration(&mut self, iteration: &'a StmtFor, frame: &Frame<'a>, at: At) -> Run {
        let over = self.eval(&iteration.iter, frame)?;
        let here = At::of(frame.module, &*iteration.iter);
        let items = match self.iterate(&over, here)? {
            Ok(items) => items,
            Err(unknown) => {
                let end = self.doubtful(&unknown, |machine| {
                    machine.assign(&iteration.target, Value::why(&unknown, here), frame)?;
                    machine.block(&iteration.body, frame)
                })?;
                return self.after_loop(end, &unknown, &iteration.orelse, frame);
            }
        };
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            self.charge(1, at)?;
            self.assign(&iteration.target, item, frame)?;
            match self.block(&iteration.body, frame)? {
                Next::On | Next::Continue | Next::Perhaps(_, Leave::Round) => {}
                Next::Break => return Ok(Next::On),
                Next::Perhaps(unknown, leave) => {
                    let mut most = leave;
                    for item in items {
                        let end = self.doubtful(&unknown, |machine| {
                            machine.assign(&iteration.target, item, frame)?;
                            machine.block(&iteration.body, frame)
                        })?;
                        most = most.max(end.and_then(|end| end.leaves()).unwrap_or(most));
                    }
                    let end = Some(Next::Perhaps(Rc::clone(&unknown), most));
                    return self.after_loop(end, &unknown, &iteration.orelse, frame);
                }
                next => return Ok(next),
            }
        }
        self.block(&iteration.orelse, frame)
    }

    /// What follows a loop of which not everything is known.
    fn after_loop(
        &mut self,
        end: Option<Next>,
        unknown: &Rc<Unknown>,
        orelse: &'a [Stmt],
        frame: &Frame<'a>,
    ) -> Run {
        match end.and_then(|end| end.leaves()) {
            Some(Leave::Function) => Ok(Next::Perhaps(Rc::clone(unknown), Leave::Function)),
            Some(Leave::Loop) => self.perhaps(vec![orelse], unknown, frame),
            Some(Leave::Round) | None => self.block(orelse, frame),
        }
    }

    fn repetition(&mut self, iteration: &'a StmtWhile, frame: &Frame<'a>) -> Run {
        loop {
            let test = self.eval(&iteration.test, frame)?;
            // A literal costs nothing to evaluate, and must cost something to repeat.
            self.charge(1, At::of(frame.module, &*iteration.test))?;
            let unknown = match self.truth(&test) {
                Ok(true) => match self.block(&iteration.body, frame)? {
                    Next::On | Next::Continue | Next::Perhaps(_, Leave::Round) => continue,
                    Next::Break => return Ok(Next::On),
                    Next::Perhaps(unknown, leave) => {
                        let end = Some(Next::Perhaps(Rc::clone(&unknown), leave));
                        return self.after_loop(end, &unknown, &iteration.orelse, frame);
                    }
                    next => return Ok(next),
                },
                Ok(false) => return self.block(&iteration.orelse, frame),
                Err(unknown) => unknown,
            };
            let end = self.doubtful(&unknown, |machine| machine.block(&iteration.body, frame))?;
            return self.after_loop(end, &unknown, &iteration.orelse, frame);
        }
    }

    fn with(&mut self, with: &'a StmtWith, frame: &Frame<'a>) -> Run {
        let mut suppressed = Vec::new();
        for item in &with.items {
            let manager = self.eval(&item.context_expr, frame)?;
            let at = At::of(frame.module, &item.context_expr);
            if self.record_kind(&manager) == Some("suppress") {
                suppressed.extend(self.field(&manager, "classes"));
            }
            let entered = match &manager.kind {
                Kind::Instance(_) => {
                    let enter = self.attribute(&manager, "__enter__", at)?;
                    match enter.kind {
                        Kind::Unknown(_) => enter,
                        _ => self.call(&enter, super::Arguments::default(), at)?,
                    }
                }
                _ => manager,
            };
            if let Some(target) = &item.optional_vars {
                self.assign(target, entered, frame)?;
            }
        }
        match self.block(&with.body, frame) {
            Err(Stop::Raise(raised))
                if suppressed
                    .iter()
                    .any(|classes| self.is_caught(&raised, classes)) =>
            {
                Ok(Next::On)
            }
            end => end,
        }
    }

    fn attempt(&mut self, attempt: &'a StmtTry, frame: &Frame<'a>) -> Run {
        let mut end = self.block(&attempt.body, frame);
        match end {
            Ok(Next::On) => end = self.block(&attempt.orelse, frame),
            Err(Stop::Raise(raised)) => end = self.handle(attempt, raised, frame),
            _ => {}
        }
        if matches!(end, Err(Stop::Halt(_))) {
            return end;
        }
        match self.block(&attempt.finalbody, frame)? {
            Next::On => end,
            next => Ok(next),
        }
    }

    fn handle(&mut self, attempt: &'a StmtTry, raised: Box<Raised>, frame: &Frame<'a>) -> Run {
        for ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
            let matches = match &handler.type_ {
                None => true,
                Some(class) => {
                    let class = self.eval(class, frame)?;
                    self.is_caught(&raised, &class)
                }
            };
            if matches {
                if let Some(name) = &handler.name {
                    self.bind(name.as_str(), raised.value.clone(), frame);
                }
                return match self.block(&handler.body, frame) {
                    // A bare `raise` in a handler.
                    Err(Stop::Raise(again)) if again.class.is_empty() => Err(Stop::Raise(raised)),
                    end => end,
                };
            }
        }
        Err(Stop::Raise(raised))
    }

    fn is_caught(&self, raised: &Raised, class: &Value) -> bool {
        if let Some(items) = self.items(class) {
            return items.iter().any(|one| self.is_caught_one(raised, one));
        }
        self.is_caught_one(raised, class)
    }

    fn is_caught_one(&self, raised: &Raised, class: &Value) -> bool {
        match &class.kind {
            Kind::Named(full) => {
                let name = full.rsplit('.').next().unwrap_or(full);
                derives(&raised.class, name) || self.derives_foreign(&raised.value, name)
            }
            Kind::Class(_) => self.is_instance_of(&raised.value, class) == Some(true),
            _ => false,
        }
    }

    fn raise_statement(
        &mut self,
        raise: &'a ruff_python_ast::StmtRaise,
        frame: &Frame<'a>,
        at: At,
    ) -> Result<(), Stop> {
        let Some(exception) = &raise.exc else {
            return self.raise("", "", at);
        };
        let value = self.eval(exception, frame)?;
        let class: Rc<str> = match &value.kind {
            Kind::Record(_) => {
                let class = self.field(&value, "class");
                class
                    .as_ref()
                    .and_then(Value::as_text)
                    .unwrap_or("Exception")
                    .into()
            }
            Kind::Named(full) => full.rsplit('.').next().unwrap_or(full).into(),
            Kind::Instance(_) | Kind::Class(_) => self.class_name(&value).into(),
            _ => "Exception".into(),
        };
        let message = match &value.kind {
            Kind::Record(_) | Kind::Instance(_) => self
                .field(&value, "args")
                .and_then(|args| self.items(&args))
                .and_then(|args| args.first().cloned())
                .and_then(|first| self.shown(&first, false).ok()),
            _ => None,
        };
        if &*class == "SystemExit" {
            return Err(Stop::Halt(Halt {
                at,
                reason: String::new(),
                wanted: true,
            }));
        }
        Err(Stop::Raise(Box::new(Raised {
            class,
            message: message.unwrap_or_default(),
            at,
            value,
        })))
    }

    /// Runs a file's statements as those of a script or of a module.
    pub(super) fn body(&mut self, module: usize, frame: &Frame<'a>, at: At) -> Eval {
        match self.modules().get(module) {
            Ok(parsed) => {
                self.block(&parsed.syntax.body, frame)?;
                Ok(Value::none(at))
            }
            Err(_) => Ok(Value::unknown("the file cannot be read", at)),
        }
    }
}
