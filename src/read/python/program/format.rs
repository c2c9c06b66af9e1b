//! Values as text: `str`, `repr`, format specifications, `%`.

use std::fmt::Write as _;
use std::rc::Rc;

use super::expression::reason;
use super::value::Object;
use super::{At, Eval, Kind, Machine, Stop, Unknown, Value};
use crate::read::python::value::Value as Constant;

/// How deep collections are shown.
const DEPTH: usize = 20;

/// How long the text of a collection may be.
const LENGTH: usize = 1 << 20;

impl<'a> Machine<'a> {
    /// What `str` or `repr` gives.
    pub(super) fn shown(&self, value: &Value, repr: bool) -> Result<String, Rc<Unknown>> {
        let mut text = String::new();
        let whole = self.show(value, repr, 0, &mut text);
        self.spend(text.len() / 8);
        whole.map(|()| text)
    }

    fn show(
        &self,
        value: &Value,
        repr: bool,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Rc<Unknown>> {
        let settled = self.settled(value);
        // A text inside of a collection may be long by itself.
        let more = settled.as_path().map_or(0, str::len);
        if depth > DEPTH || out.len() > LENGTH || (depth > 0 && more > LENGTH) {
            return Err(reason("it is too long to be written as text", value.at));
        }
        match &settled.kind {
            Kind::None => out.push_str("None"),
            Kind::Bool(true) => out.push_str("True"),
            Kind::Bool(false) => out.push_str("False"),
            Kind::Int(value) => {
                let _ = write!(out, "{value}");
            }
            Kind::Float(value) => out.push_str(&Constant::Float(*value).text().unwrap_or_default()),
            Kind::Text(text) if repr => quote(text, out),
            Kind::Text(text) => out.push_str(text),
            Kind::Path(path) if repr => {
                let _ = write!(out, "PosixPath('{path}')");
            }
            Kind::Path(path) => out.push_str(path),
            Kind::Zone(name) => out.push_str(name),
            Kind::Constant(constant) => {
                let text = (!repr).then(|| constant_text(&constant.0)).flatten();
                let unknown = || reason("how it is written as text is not known", value.at);
                out.push_str(&text.ok_or_else(unknown)?);
            }
            Kind::List(id) | Kind::Tuple(id) => {
                let tuple = matches!(settled.kind, Kind::Tuple(_));
                let Object::Items(items) = &self.heap[*id].object else {
                    return Ok(());
                };
                out.push(if tuple { '(' } else { '[' });
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push_str(", ");
                    }
                    self.show(item, true, depth + 1, out)?;
                }
                if tuple && items.len() == 1 {
                    out.push(',');
                }
                out.push(if tuple { ')' } else { ']' });
            }
            Kind::Dict(id) => {
                let Object::Dict(dict) = &self.heap[*id].object else {
                    return Ok(());
                };
                out.push('{');
                for (place, (key, value)) in dict.iter().enumerate() {
                    if place > 0 {
                        out.push_str(", ");
                    }
                    self.show(key, true, depth + 1, out)?;
                    out.push_str(": ");
                    self.show(value, true, depth + 1, out)?;
                }
                out.push('}');
            }
            Kind::Instance(_) => match self.plain_member(&settled) {
                Some(plain) => self.show(&plain, repr, depth + 1, out)?,
                None => match (self.is_member(&settled), self.field(&settled, "name")) {
                    (true, Some(name)) => {
                        let class = self.class_name(&settled);
                        let _ = write!(out, "{class}.{}", name.as_text().unwrap_or_default());
                    }
                    _ => return Err(reason("how it is written as text is not known", value.at)),
                },
            },
            Kind::Record(_) if self.record_kind(&settled) == Some("exception") => {
                let args = self
                    .field(&settled, "args")
                    .and_then(|args| self.items(&args));
                if let Some([only]) = args.as_deref() {
                    self.show(only, false, depth + 1, out)?;
                }
            }
            Kind::Unknown(unknown) => return Err(Rc::clone(unknown)),
            _ => return Err(reason("how it is written as text is not known", value.at)),
        }
        Ok(())
    }

    /// `str(value)` as a value, or why it is not known.
    pub(super) fn string(&mut self, value: &Value, repr: bool, at: At) -> Eval {
        if let (Kind::Text(_), false) = (&value.kind, repr) {
            return Ok(value.clone());
        }
        if let Kind::Instance(_) = value.kind
            && !self.is_member(value)
        {
            for name in if repr {
                ["__repr__", "__repr__"]
            } else {
                ["__str__", "__repr__"]
            } {
                if let Some(result) =
                    self.call_member(value, name, &super::Arguments::default(), at)
                {
                    return result;
                }
            }
        }
        match self.shown(value, repr) {
            Ok(text) => Ok(self.long(text, at)?.of(Value::origins([value]))),
            Err(unknown) => Ok(Value::why(&unknown, at)),
        }
    }

    /// `format(value, spec)`, or with `!r` before it.
    pub(super) fn formatted(&mut self, value: &Value, repr: bool, spec: &str, at: At) -> Eval {
        if spec.is_empty() {
            return self.deeper(at, |machine| machine.string(value, repr, at));
        }
        let value = &self.settled(value);
        if let Kind::Unknown(unknown) = &value.kind {
            return Ok(Value::why(unknown, at));
        }
        let plain = self.plain_member(value).unwrap_or_else(|| value.clone());
        if let Kind::Constant(constant) = &plain.kind {
            let text = strftime(&constant.0, spec);
            return Ok(match text {
                Some(text) => Value::text(text, at).of(Value::origins([value])),
                None => Value::unknown("how it is formatted is not known", at),
            });
        }
        let Some(spec) = Spec::parse(spec)
            .filter(|spec| spec.width < 10_000 && spec.precision.is_none_or(|one| one < 100))
        else {
            return Ok(Value::unknown("the format is not evaluated", at));
        };
        let body = match (&plain.kind, repr) {
            (Kind::Int(number), false) => spec.integer(*number),
            (Kind::Bool(one), false) if spec.kind.is_some() => spec.integer(i128::from(*one)),
            (Kind::Float(number), false) => spec.float(*number),
            _ => match self.shown(&plain, repr) {
                Ok(text) => {
                    let cut = spec.precision.unwrap_or(usize::MAX);
                    let plain = matches!(spec.kind, None | Some('s'));
                    let shown: String = text.chars().take(cut).collect();
                    plain.then(|| spec.pad("", &shown, '<'))
                }
                Err(unknown) => return Ok(Value::why(&unknown, at)),
            },
        };
        match body {
            Some(text) => Ok(self.long(text, at)?.of(Value::origins([value]))),
            None => Ok(Value::unknown("the format is not evaluated", at)),
        }
    }

    /// `pattern % value`.
    pub(super) fn percent(&mut self, pattern: &str, value: &Value, at: At) -> Eval {
        self.charge(1 + pattern.len() / 16, at)?;
        let values = match value.kind {
            Kind::Tuple(_) => self.items(value).unwrap_or_default(),
            _ => vec![value.clone()],
        };
        let mut values = values.into_iter();
        let mut pieces = Vec::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('%') {
            pieces.push(Value::text(before, at));
            if let Some(after) = after.strip_prefix('%') {
                pieces.push(Value::text("%", at));
                rest = after;
                continue;
            }
            let (argument, after) = match after
                .strip_prefix('(')
                .and_then(|named| named.split_once(')'))
            {
                Some((name, after)) => {
                    let found = self.get(value, &Value::text(name, at))?;
                    (found, after)
                }
                None => (values.next(), after),
            };
            let end = after.find(|one: char| one.is_ascii_alphabetic());
            let (Some(argument), Some(end)) = (argument, end) else {
                return self.raise("TypeError", "the values do not fit the format", at);
            };
            let (flags, kind) = (&after[..end], &after[end..=end]);
            let piece = match kind {
                "s" | "r" => {
                    let text = self.string(&argument, kind == "r", at)?;
                    let spec = flags.strip_prefix('-').map_or_else(
                        || {
                            if flags.is_empty() {
                                String::new()
                            } else {
                                format!(">{flags}")
                            }
                        },
                        |width| format!("<{width}"),
                    );
                    self.formatted(&text, false, &spec, at)?
                }
                _ => {
                    let kind = if kind == "i" { "d" } else { kind };
                    self.formatted(&argument, false, &format!("{flags}{kind}"), at)?
                }
            };
            pieces.push(piece);
            self.charge(1, at)?;
            rest = &after[end + 1..];
        }
        pieces.push(Value::text(rest, at));
        self.concatenate(&pieces, at)
    }

    /// `pattern.format(…)`.
    pub(super) fn str_format(
        &mut self,
        pattern: &str,
        arguments: &super::Arguments,
        at: At,
    ) -> Result<Value, Stop> {
        self.charge(1 + pattern.len() / 16, at)?;
        let mut pieces = Vec::new();
        let mut next = 0;
        let mut rest = pattern;
        while let Some(brace) = rest.find(['{', '}']) {
            pieces.push(Value::text(&rest[..brace], at));
            self.charge(1, at)?;
            let here = &rest[brace..];
            if here.starts_with("{{") || here.starts_with("}}") {
                pieces.push(Value::text(&here[..1], at));
                rest = &here[2..];
                continue;
            }
            let Some((field, after)) = here
                .strip_prefix('{')
                .and_then(|field| field.split_once('}'))
            else {
                return self.raise("ValueError", "a single brace in a format", at);
            };
            rest = after;
            let (name, spec) = field.split_once(':').unwrap_or((field, ""));
            let (name, repr) = match name.strip_suffix("!r") {
                Some(name) => (name, true),
                None => (name.strip_suffix("!s").unwrap_or(name), false),
            };
            if spec.contains('{') {
                return Ok(Value::unknown("the format is not evaluated", at));
            }
            let first = name.split(['.', '[']).next().unwrap_or(name);
            let base = if first.is_empty() {
                next += 1;
                arguments.positional.get(next - 1)
            } else if let Ok(place) = first.parse::<usize>() {
                arguments.positional.get(place)
            } else {
                arguments.keyword(first)
            };
            let Some(base) = base.cloned() else {
                return match &arguments.rest {
                    Some(unknown) => Ok(Value::why(unknown, at)),
                    None => self.raise("KeyError", first, at),
                };
            };
            let mut value = base;
            for part in name[first.len()..]
                .split_inclusive([']', '.'])
                .filter(|part| *part != ".")
            {
                let part = part.trim_end_matches('.');
                value = match part.strip_prefix('[').and_then(|key| key.strip_suffix(']')) {
                    Some(key) => {
                        let key = match key.parse::<i128>() {
                            Ok(number) => Value::new(Kind::Int(number), at),
                            Err(_) => Value::text(key, at),
                        };
                        self.subscript(&value, &super::operator::Index::One(key), at)?
                    }
                    None => self.attribute(&value, part.trim_start_matches('.'), at)?,
                };
            }
            pieces.push(self.formatted(&value, repr, spec, at)?);
        }
        pieces.push(Value::text(rest, at));
        self.concatenate(&pieces, at)
    }
}

/// What `str` gives for values of `datetime` and the like.
fn constant_text(constant: &Constant<'_>) -> Option<String> {
    match constant {
        Constant::DateTime(..) => match constant.json()? {
            serde_json::Value::String(text) => {
                let text = text.replacen('T', " ", 1);
                Some(
                    text.strip_suffix('Z')
                        .map(|text| format!("{text}+00:00"))
                        .unwrap_or(text),
                )
            }
            _ => None,
        },
        Constant::Timedelta(micros) => {
            let days = micros.div_euclid(86_400_000_000);
            let rest = micros.rem_euclid(86_400_000_000);
            let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
            let mut text = match days {
                0 => String::new(),
                1 | -1 => format!("{days} day, "),
                _ => format!("{days} days, "),
            };
            let _ = write!(
                text,
                "{}:{:02}:{:02}",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            );
            if fraction != 0 {
                let _ = write!(text, ".{fraction:06}");
            }
            Some(text)
        }
        other => other.text(),
    }
}

/// `strftime` with the directives that mean the same everywhere.
pub(super) fn strftime(constant: &Constant<'_>, pattern: &str) -> Option<String> {
    let mut chars = pattern.chars();
    while let Some(one) = chars.next() {
        if one == '%' && !"YmdHMSjyIp%".contains(chars.next()?) {
            return None;
        }
    }
    match constant {
        Constant::DateTime(moment, _) => Some(moment.format(pattern).to_string()),
        Constant::Date(date) => Some(
            date.and_time(chrono::NaiveTime::MIN)
                .format(pattern)
                .to_string(),
        ),
        _ => None,
    }
}

/// `repr` of a text.
fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(mark);
    for one in text.chars() {
        match one {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            one if one == mark => {
                out.push('\\');
                out.push(one);
            }
            one if (one as u32) < 32 || one as u32 == 127 => {
                let _ = write!(out, "\\x{:02x}", one as u32);
            }
            one => out.push(one),
        }
    }
    out.push(mark);
}

/// A format specification: `[[fill]align][sign][#][0][width][grouping][.precision][type]`.
#[derive(Debug, Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let chars: Vec<char> = text.chars().collect();
        let mut spec = Self::default();
        let mut at = 0;
        let is_align = |one: Option<&char>| one.is_some_and(|one| "<>^=".contains(*one));
        if is_align(chars.get(1)) {
            (spec.fill, spec.align, at) = (Some(chars[0]), Some(chars[1]), 2);
        } else if is_align(chars.first()) {
            (spec.align, at) = (Some(chars[0]), 1);
        }
        if chars.get(at).is_some_and(|one| "+- ".contains(*one)) {
            spec.sign = Some(chars[at]);
            at += 1;
        }
        if chars.get(at) == Some(&'#') {
            spec.alternate = true;
            at += 1;
        }
        if chars.get(at) == Some(&'0') {
            spec.fill = spec.fill.or(Some('0'));
            spec.align = spec.align.or(Some('='));
            at += 1;
        }
        let digits = |at: &mut usize| {
            let start = *at;
            while chars.get(*at).is_some_and(char::is_ascii_digit) {
                *at += 1;
            }
            chars[start..*at].iter().collect::<String>()
        };
        let width = digits(&mut at);
        if !width.is_empty() {
            spec.width = width.parse().ok()?;
        }
        if chars.get(at).is_some_and(|one| ",_".contains(*one)) {
            spec.grouping = Some(chars[at]);
            at += 1;
        }
        if chars.get(at) == Some(&'.') {
            at += 1;
            spec.precision = Some(digits(&mut at).parse().ok()?);
        }
        spec.kind = chars.get(at).copied();
        (at + usize::from(spec.kind.is_some()) == chars.len()).then_some(spec)
    }

    fn pad(&self, sign: &str, body: &str, align: char) -> String {
        let length = sign.chars().count() + body.chars().count();
        let missing = self.width.saturating_sub(length);
        let fill = |count: usize| self.fill.unwrap_or(' ').to_string().repeat(count);
        match self.align.unwrap_or(align) {
            '<' => format!("{sign}{body}{}", fill(missing)),
            '^' => format!(
                "{}{sign}{body}{}",
                fill(missing / 2),
                fill(missing - missing / 2)
            ),
            '=' => format!("{sign}{}{body}", fill(missing)),
            _ => format!("{}{sign}{body}", fill(missing)),
        }
    }

    fn sign_of(&self, negative: bool) -> String {
        match (negative, self.sign) {
            (true, _) => "-".to_owned(),
            (false, Some(sign @ ('+' | ' '))) => sign.to_string(),
            _ => String::new(),
        }
    }

    fn integer(&self, number: i128) -> Option<String> {
        let size = number.unsigned_abs();
        let (mark, body) = match self.kind {
            None | Some('d' | 'n') => ("", self.grouped(&size.to_string())),
            Some('x') => ("0x", format!("{size:x}")),
            Some('X') => ("0X", format!("{size:X}")),
            Some('b') => ("0b", format!("{size:b}")),
            Some('o') => ("0o", format!("{size:o}")),
            #[expect(
                clippy::cast_precision_loss,
                reason = "Python converts to a float here too"
            )]
            Some('f' | 'F' | 'e' | '%' | 'g') => return self.float(number as f64),
            _ => return None,
        };
        let mark = if self.alternate { mark } else { "" };
        Some(self.pad(&format!("{}{mark}", self.sign_of(number < 0)), &body, '>'))
    }

    fn float(&self, number: f64) -> Option<String> {
        let (size, negative) = (number.abs(), number.is_sign_negative() && !number.is_nan());
        let precision = self.precision.unwrap_or(6);
        let body = match self.kind {
            Some('f' | 'F') => format!("{size:.precision$}"),
            Some('%') => format!("{:.precision$}%", size * 100.0),
            None if self.precision.is_none() => Constant::Float(size).text()?,
            _ => return None,
        };
        let (whole, rest) = match body.find('.') {
            Some(dot) => body.split_at(dot),
            None => (body.as_str(), ""),
        };
        let body = format!("{}{rest}", self.grouped(whole));
        Some(self.pad(&self.sign_of(negative), &body, '>'))
    }

    fn grouped(&self, digits: &str) -> String {
        let Some(mark) = self.grouping else {
            return digits.to_owned();
        };
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(mark);
            }
            grouped.push(digit);
        }
        grouped
    }
}
