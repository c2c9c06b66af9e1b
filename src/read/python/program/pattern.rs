//! `match`.

use std::rc::Rc;

use ruff_python_ast::{Pattern, Singleton, StmtMatch};

use super::expression::reason;
use super::operator::Compared;
use super::statement::Next;
use super::{At, Frame, Kind, Machine, Stop, Unknown, Value};

/// Whether a pattern fits; the reason where that is not known.
type Fits = Result<Result<bool, Rc<Unknown>>, Stop>;

impl<'a> Machine<'a> {
    pub(super) fn match_statement(
        &mut self,
        one: &'a StmtMatch,
        frame: &Frame<'a>,
    ) -> Result<Next, Stop> {
        let subject = self.eval(&one.subject, frame)?;
        for (number, case) in one.cases.iter().enumerate() {
            let mut fits = self.fits_pattern(&case.pattern, &subject, frame)?;
            if let (Ok(true), Some(guard)) = (&fits, &case.guard) {
                let guard = self.eval(guard, frame)?;
                fits = self.truth(&guard);
            }
            match fits {
                Ok(true) => return self.block(&case.body, frame),
                Ok(false) => {}
                Err(unknown) => {
                    let bodies = one.cases[number..].iter().map(|case| &case.body[..]);
                    return self.perhaps(bodies.collect(), &unknown, frame);
                }
            }
        }
        Ok(Next::On)
    }

    fn fits_pattern(&mut self, pattern: &'a Pattern, subject: &Value, frame: &Frame<'a>) -> Fits {
        let at = At::of(frame.module, pattern);
        self.deeper(at, |machine| {
            machine.fits_inner(pattern, subject, frame, at)
        })
    }

    fn fits_inner(
        &mut self,
        pattern: &'a Pattern,
        subject: &Value,
        frame: &Frame<'a>,
        at: At,
    ) -> Fits {
        let subject = &self.settled(subject);
        match pattern {
            Pattern::MatchAs(one) => {
                if let Some(inner) = &one.pattern {
                    match self.fits_pattern(inner, subject, frame)? {
                        Ok(true) => {}
                        other => return Ok(other),
                    }
                }
                if let Some(name) = &one.name {
                    self.bind(name.as_str(), subject.clone(), frame);
                }
                Ok(Ok(true))
            }
            _ if subject.as_unknown().is_some() => {
                let unknown = subject.as_unknown().cloned();
                Ok(Err(unknown.unwrap_or_else(|| reason("it is not known", at))))
            }
            Pattern::MatchValue(one) => {
                let value = self.eval(&one.value, frame)?;
                Ok(
                    match self.compared(ruff_python_ast::CmpOp::Eq, subject, &value, at)? {
                        Compared::Known(known) => Ok(known),
                        Compared::Unknown(unknown) => Err(unknown),
                    },
                )
            }
            Pattern::MatchSingleton(one) => Ok(Ok(match (one.value, &subject.kind) {
                (Singleton::None, Kind::None) => true,
                (Singleton::True, Kind::Bool(one)) => *one,
                (Singleton::False, Kind::Bool(one)) => !*one,
                _ => false,
            })),
            Pattern::MatchOr(one) => {
                for pattern in &one.patterns {
                    match self.fits_pattern(pattern, subject, frame)? {
                        Ok(false) => {}
                        other => return Ok(other),
                    }
                }
                Ok(Ok(false))
            }
            Pattern::MatchSequence(one) => {
                if !matches!(subject.kind, Kind::List(_) | Kind::Tuple(_)) {
                    return Ok(Ok(false));
                }
                let items = self.items(subject).unwrap_or_default();
                self.charge(items.len(), at)?;
                let star = one
                    .patterns
                    .iter()
                    .position(|one| matches!(one, Pattern::MatchStar(_)));
                let count = one.patterns.len();
                if (star.is_none() && items.len() != count) || items.len() + 1 < count {
                    return Ok(Ok(false));
                }
                let extra = items.len() + 1 - count.min(items.len() + 1);
                let mut items = items.into_iter();
                for pattern in &one.patterns {
                    if let Pattern::MatchStar(star) = pattern {
                        let many: Vec<_> = items.by_ref().take(extra).collect();
                        let many = self.list(many, at)?;
                        if let Some(name) = &star.name {
                            self.bind(name.as_str(), many, frame);
                        }
                        continue;
                    }
                    let Some(item) = items.next() else {
                        return Ok(Ok(false));
                    };
                    match self.fits_pattern(pattern, &item, frame)? {
                        Ok(true) => {}
                        other => return Ok(other),
                    }
                }
                Ok(Ok(true))
            }
            Pattern::MatchMapping(one) => {
                if !matches!(subject.kind, Kind::Dict(_)) {
                    return Ok(Ok(false));
                }
                for (key, pattern) in one.keys.iter().zip(&one.patterns) {
                    let key = self.eval(key, frame)?;
                    let Some(value) = self.get(subject, &key)? else {
                        return Ok(Ok(false));
                    };
                    match self.fits_pattern(pattern, &value, frame)? {
                        Ok(true) => {}
                        other => return Ok(other),
                    }
                }
                if let Some(rest) = &one.rest {
                    let unknown = Value::unknown("the rest of a mapping is not evaluated", at);
                    self.bind(rest.as_str(), unknown, frame);
                }
                Ok(Ok(true))
            }
            Pattern::MatchClass(one) => {
                let class = self.eval(&one.cls, frame)?;
                match self.is_instance_of(subject, &class) {
                    Some(false) => Ok(Ok(false)),
                    Some(true) if one.arguments.patterns.is_empty() => {
                        for keyword in &one.arguments.keywords {
                            let value = self.attribute(subject, keyword.attr.as_str(), at)?;
                            match self.fits_pattern(&keyword.pattern, &value, frame)? {
                                Ok(true) => {}
                                other => return Ok(other),
                            }
                        }
                        Ok(Ok(true))
                    }
                    _ => Ok(Err(reason("whether the pattern fits is not known", at))),
                }
            }
            Pattern::MatchStar(_) => Ok(Ok(true)),
        }
    }
}
