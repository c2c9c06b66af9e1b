//! Whether a value is an instance of a class.

use super::{Kind, Machine, Value};

impl Machine<'_> {
    /// Whether a value is an instance of a class or of one of a tuple of classes; `None` where that is not known.
    pub(super) fn is_instance_of(&self, value: &Value, class: &Value) -> Option<bool> {
        if let Some(items) = self.items(class) {
            let mut all = Some(false);
            for one in &items {
                // No tuple in a tuple: nobody writes it, and it needs no recursion then.
                match self.is_instance_of_one(value, one) {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => all = None,
                }
            }
            return all;
        }
        self.is_instance_of_one(value, class)
    }

    fn is_instance_of_one(&self, value: &Value, class: &Value) -> Option<bool> {
        let settled = self.settled(value);
        if settled.as_unknown().is_some() {
            return None;
        }
        match &class.kind {
            Kind::Class(id) => Some(self.class(&settled).is_some_and(|own| {
                matches!(settled.kind, Kind::Instance(_))
                    && (own.id == *id || own.line.iter().any(|base| base.id == *id))
            })),
            Kind::Named(full) => {
                let wanted: &[&str] = match settled.kind {
                    Kind::None => &["types.NoneType"],
                    Kind::Bool(_) => &["builtins.bool", "builtins.int"],
                    Kind::Int(_) => &["builtins.int"],
                    Kind::Float(_) => &["builtins.float"],
                    Kind::Text(_) => &["builtins.str"],
                    Kind::List(_) => &["builtins.list", "collections.abc.Sequence", "typing.List"],
                    Kind::Tuple(_) => &["builtins.tuple", "collections.abc.Sequence"],
                    Kind::Set(_) => &["builtins.set", "builtins.frozenset"],
                    Kind::Dict(_) => &[
                        "builtins.dict",
                        "collections.abc.Mapping",
                        "typing.Mapping",
                        "typing.Dict",
                    ],
                    Kind::Path(_) => &["pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"],
                    Kind::Instance(_) => {
                        return Some(self.foreign_bases(&settled).iter().any(|base| base == full));
                    }
                    _ => return None,
                };
                Some(wanted.contains(&&**full))
            }
            _ => None,
        }
    }
}
