//! Methods of texts.

use std::collections::HashSet;

use super::expression::constant;
use super::value::Key;
use super::{Arguments, At, Eval, Kind, Machine, Value};
use crate::read::python::value::Value as Constant;

impl<'a> Machine<'a> {
    /// A method of `str`; `None` where it is not known here.
    pub(super) fn text_method(
        &mut self,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let text = base.as_text()?;
        if name == "format" {
            return Some(self.str_format(text, arguments, at).map(|result| {
                if result.origin.is_none() {
                    result.of(Value::origins([base]))
                } else {
                    result
                }
            }));
        }
        if name == "format_map" {
            let mut named = Arguments::default();
            for (key, value) in self.entries(arguments.positional.first()?)? {
                named.keywords.push((key.as_text()?.into(), value));
            }
            return Some(self.str_format(text, &named, at));
        }
        if let Some(unknown) = arguments.unknown() {
            return Some(Ok(Value::why(&unknown, at)));
        }
        if let Err(stop) = self.charge(1 + text.len() / 8, at) {
            return Some(Err(stop));
        }
        let origin = Value::origins(arguments.values().chain([base]));
        let result = self.text_known(text, name, arguments, at)?;
        Some(result.map(|value| {
            if let (Kind::List(id) | Kind::Tuple(id), Some(_)) = (&value.kind, &origin) {
                self.change_items(*id, |items| {
                    items
                        .iter_mut()
                        .for_each(|item| item.origin.clone_from(&origin));
                });
            }
            if value.origin.is_none() {
                value.of(origin)
            } else {
                value
            }
        }))
    }

    fn text_known(
        &mut self,
        text: &str,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let one = |place: usize| arguments.positional.get(place).and_then(Value::as_text);
        let number = |place: usize, name: &str| arguments.get(place, name).and_then(Value::as_int);
        let done = |text: String| Some(Ok(Value::text(text, at)));
        let flag = |one: bool| Some(Ok(Value::bool(one, at)));
        let stripped = |left: bool, right: bool| {
            let marks = match arguments.positional.first() {
                None => None,
                Some(value) if value.is_none() => None,
                Some(value) => Some(value.as_text()?),
            };
            let marks: Option<HashSet<char>> = marks.map(|marks| marks.chars().collect());
            let is_one = |one: char| match &marks {
                None => one.is_whitespace(),
                Some(marks) => marks.contains(&one),
            };
            let text = if left {
                text.trim_start_matches(is_one)
            } else {
                text
            };
            Some(
                if right {
                    text.trim_end_matches(is_one)
                } else {
                    text
                }
                .to_owned(),
            )
        };
        match name {
            "upper" => done(text.to_uppercase()),
            "lower" | "casefold" => done(text.to_lowercase()),
            "strip" => done(stripped(true, true)?),
            "lstrip" => done(stripped(true, false)?),
            "rstrip" => done(stripped(false, true)?),
            "title" => done(titled(text)),
            "capitalize" => {
                let mut chars = text.chars();
                let first: String = chars
                    .next()
                    .map(|one| one.to_uppercase().collect())
                    .unwrap_or_default();
                done(first + &chars.as_str().to_lowercase())
            }
            "swapcase" if text.is_ascii() => done(
                text.chars()
                    .map(|one| {
                        if one.is_ascii_uppercase() {
                            one.to_ascii_lowercase()
                        } else {
                            one.to_ascii_uppercase()
                        }
                    })
                    .collect(),
            ),
            "removeprefix" => done(text.strip_prefix(one(0)?).unwrap_or(text).to_owned()),
            "removesuffix" => done(text.strip_suffix(one(0)?).unwrap_or(text).to_owned()),
            "startswith" | "endswith" => {
                let starts = name == "startswith";
                let fits = |part: &str| {
                    if starts {
                        text.starts_with(part)
                    } else {
                        text.ends_with(part)
                    }
                };
                let first = arguments.positional.first()?;
                match (first.as_text(), arguments.positional.len()) {
                    (Some(part), 1) => flag(fits(part)),
                    (None, 1) => {
                        let parts = self.items(first)?;
                        let parts: Option<Vec<&str>> = parts.iter().map(Value::as_text).collect();
                        let compared = |part: &&str| part.len().min(text.len()) / 16;
                        let work = parts.iter().flatten().map(compared).sum();
                        if let Err(stop) = self.charge(work, at) {
                            return Some(Err(stop));
                        }
                        flag(parts?.iter().any(|part| fits(part)))
                    }
                    _ => None,
                }
            }
            "replace" => {
                let (from, to) = (one(0)?, one(1)?);
                let count = number(2, "count").filter(|count| *count >= 0);
                let most = text.len() / from.len().max(1) + 1;
                if let Err(stop) =
                    self.fits(text.len().saturating_add(most.saturating_mul(to.len())), at)
                {
                    return Some(Err(stop));
                }
                done(match count {
                    Some(count) => text.replacen(from, to, usize::try_from(count).ok()?),
                    None => text.replace(from, to),
                })
            }
            "split" | "rsplit" => self.split(text, name == "rsplit", arguments, at),
            "splitlines" => {
                let items = text.lines().map(|line| Value::text(line, at)).collect();
                Some(self.list(items, at))
            }
            "partition" | "rpartition" => {
                let mark = one(0)?;
                let found = if name == "partition" {
                    text.split_once(mark)
                } else {
                    text.rsplit_once(mark)
                };
                let parts = match found {
                    Some((before, after)) => [before, mark, after],
                    None if name == "partition" => [text, "", ""],
                    None => ["", "", text],
                };
                Some(self.tuple(parts.map(|part| Value::text(part, at)).into(), at))
            }
            "join" => {
                let items = match self.iterate(arguments.positional.first()?, at) {
                    Ok(Ok(items)) => items,
                    Ok(Err(unknown)) => return Some(Ok(Value::why(&unknown, at))),
                    Err(stop) => return Some(Err(stop)),
                };
                let mut pieces = Vec::with_capacity(items.len() * 2);
                for item in items {
                    if !pieces.is_empty() {
                        pieces.push(Value::text(text, at));
                    }
                    pieces.push(self.plain_member(&item).unwrap_or(item));
                }
                Some(self.concatenate(&pieces, at))
            }
            "find" | "index" | "rfind" | "rindex" if arguments.positional.len() == 1 => {
                let part = one(0)?;
                let found = if name.starts_with('r') {
                    text.rfind(part)
                } else {
                    text.find(part)
                };
                match found {
                    Some(byte) => Some(Ok(Value::count(text[..byte].chars().count(), at))),
                    None if name.ends_with("find") => Some(Ok(Value::new(Kind::Int(-1), at))),
                    None => Some(self.raise("ValueError", "substring not found", at)),
                }
            }
            "count" if arguments.positional.len() == 1 => {
                let part = one(0)?;
                (!part.is_empty()).then(|| Ok(Value::count(text.matches(part).count(), at)))
            }
            "isdigit" | "isnumeric" | "isdecimal" if text.is_ascii() => {
                flag(!text.is_empty() && text.bytes().all(|one| one.is_ascii_digit()))
            }
            "isalpha" => flag(!text.is_empty() && text.chars().all(char::is_alphabetic)),
            "isalnum" => flag(!text.is_empty() && text.chars().all(char::is_alphanumeric)),
            "isspace" => flag(!text.is_empty() && text.chars().all(char::is_whitespace)),
            "isupper" => {
                flag(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase))
            }
            "islower" => {
                flag(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase))
            }
            "isidentifier" => {
                let first = text.chars().next();
                let starts = first.is_some_and(|one| one.is_alphabetic() || one == '_');
                flag(starts && text.chars().all(|one| one.is_alphanumeric() || one == '_'))
            }
            "zfill" | "ljust" | "rjust" | "center" => {
                let width = usize::try_from(number(0, "width")?).unwrap_or(0);
                if let Err(stop) = self.fits(width.max(text.len()), at) {
                    return Some(Err(stop));
                }
                let missing = width.saturating_sub(text.chars().count());
                let mark = one(1).unwrap_or(" ");
                if mark.chars().count() != 1 {
                    return None;
                }
                let fill = |count: usize| mark.repeat(count);
                done(match name {
                    "zfill" => {
                        let (sign, digits) = match text.strip_prefix(['-', '+']) {
                            Some(digits) => (&text[..1], digits),
                            None => ("", text),
                        };
                        format!("{sign}{}{digits}", "0".repeat(missing))
                    }
                    "ljust" => format!("{text}{}", fill(missing)),
                    "rjust" => format!("{}{text}", fill(missing)),
                    _ => {
                        let left = missing / 2 + (missing & width & 1);
                        format!("{}{text}{}", fill(left), fill(missing - left))
                    }
                })
            }
            "encode" => Some(Ok(constant(Constant::Bytes(text.as_bytes().to_vec()), at))),
            "expandtabs" => None,
            "translate" => {
                let table = arguments.positional.first()?.clone();
                let mut out = String::with_capacity(text.len());
                for one in text.chars() {
                    let key = Value::new(Kind::Int(i128::from(u32::from(one))), at);
                    match self.get(&table, &key) {
                        Ok(None) => out.push(one),
                        Ok(Some(Value {
                            kind: Kind::None, ..
                        })) => {}
                        Ok(Some(Value {
                            kind: Kind::Int(code),
                            ..
                        })) => {
                            out.push(u32::try_from(code).ok().and_then(char::from_u32)?);
                        }
                        Ok(Some(value)) => {
                            if let Err(stop) = self.charge_texts([&value], at) {
                                return Some(Err(stop));
                            }
                            out.push_str(value.as_text()?);
                        }
                        Err(stop) => return Some(Err(stop)),
                    }
                    if let Err(stop) = self.charge(1, at).and(self.room(out.len(), at)) {
                        return Some(Err(stop));
                    }
                }
                done(out)
            }
            _ => None,
        }
    }

    fn split(
        &mut self,
        text: &str,
        from_right: bool,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let most = match arguments.get(1, "maxsplit") {
            Some(value) => usize::try_from(value.as_int()?).ok(),
            None => None,
        };
        let separator = arguments.get(0, "sep").filter(|value| !value.is_none());
        let parts: Vec<&str> = match (separator, most) {
            (None, None) => text.split_whitespace().collect(),
            (None, Some(_)) => return None,
            (Some(separator), most) => {
                let separator = separator.as_text()?;
                if separator.is_empty() {
                    return Some(self.raise("ValueError", "empty separator", at));
                }
                match (most, from_right) {
                    (None, _) => text.split(separator).collect(),
                    (Some(most), false) => text.splitn(most.saturating_add(1), separator).collect(),
                    (Some(most), true) => {
                        let mut parts: Vec<&str> =
                            text.rsplitn(most.saturating_add(1), separator).collect();
                        parts.reverse();
                        parts
                    }
                }
            }
        };
        if let Err(stop) = self.charge(4 * parts.len(), at) {
            return Some(Err(stop));
        }
        let items = parts
            .into_iter()
            .map(|part| Value::text(part, at))
            .collect();
        Some(self.list(items, at))
    }

    /// `str.maketrans`.
    pub(super) fn maketrans(&mut self, arguments: &Arguments, at: At) -> Option<Eval> {
        let mut items = Vec::new();
        let code = |one: char| Value::new(Kind::Int(i128::from(u32::from(one))), at);
        match arguments.positional.as_slice() {
            [table] => {
                for (key, value) in self.entries(table)? {
                    let key = match self.key(&key) {
                        Ok(Key::Text(text)) => {
                            let mut chars = text.chars();
                            let (Some(one), None) = (chars.next(), chars.next()) else {
                                return None;
                            };
                            code(one)
                        }
                        _ => key,
                    };
                    items.push((key, value));
                }
            }
            [from, to, rest @ ..] => {
                items.extend(
                    from.as_text()?
                        .chars()
                        .zip(to.as_text()?.chars())
                        .map(|(a, b)| (code(a), code(b))),
                );
                if let [gone] = rest {
                    items.extend(
                        gone.as_text()?
                            .chars()
                            .map(|one| (code(one), Value::none(at))),
                    );
                }
            }
            [] => return None,
        }
        Some(self.dict(items, at))
    }
}

fn titled(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for one in text.chars() {
        if inside {
            titled.extend(one.to_lowercase());
        } else {
            titled.extend(one.to_uppercase());
        }
        inside = one.is_alphabetic();
    }
    titled
}
