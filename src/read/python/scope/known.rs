//! Names that are bound without an assignment in sight: built-in ones, and those of star imports.

/// Modules whose `import *` is known, with those of their names that matter here.
const STARS: &[(&str, &[&str])] = &[
    ("prefect", &["flow", "task"]),
    (
        "typing",
        &[
            "Any",
            "Annotated",
            "Callable",
            "ClassVar",
            "Dict",
            "Final",
            "FrozenSet",
            "Generic",
            "Iterable",
            "List",
            "Literal",
            "Mapping",
            "NamedTuple",
            "NewType",
            "Optional",
            "Protocol",
            "Sequence",
            "Set",
            "Tuple",
            "Type",
            "TypeVar",
            "TypedDict",
            "Union",
        ],
    ),
    (
        "datetime",
        &["date", "datetime", "time", "timedelta", "timezone", "UTC"],
    ),
    (
        "enum",
        &["Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "auto"],
    ),
    ("pathlib", &["Path", "PurePath"]),
    ("decimal", &["Decimal"]),
    ("uuid", &["UUID"]),
    ("dataclasses", &["dataclass", "field"]),
    (
        "pydantic",
        &["BaseModel", "Field", "SecretStr", "ConfigDict"],
    ),
];

pub(super) fn starred(module: &str, name: &str) -> bool {
    STARS
        .iter()
        .any(|(known, names)| *known == module && names.contains(&name))
}

/// Names of Python's `builtins`, sorted; those that an annotation or a default can hold.
#[rustfmt::skip]
pub(in crate::read::python) const BUILTINS: &[&str] = &[
    "ArithmeticError", "AssertionError", "AttributeError", "BaseException", "Ellipsis", "Exception",
    "ImportError", "IndexError", "KeyError", "LookupError", "NotImplemented", "OSError", "RuntimeError",
    "TypeError", "ValueError", "__build_class__", "__debug__", "__doc__", "__file__", "__import__",
    "__name__", "abs", "aiter", "all", "anext", "any", "ascii", "bin", "bool", "breakpoint", "bytearray",
    "bytes", "callable", "chr", "classmethod", "compile", "complex", "delattr", "dict", "dir", "divmod",
    "enumerate", "eval", "exec", "exit", "filter", "float", "format", "frozenset", "getattr", "globals",
    "hasattr", "hash", "help", "hex", "id", "input", "int", "isinstance", "issubclass", "iter", "len", "list",
    "locals", "map", "max", "memoryview", "min", "next", "object", "oct", "open", "ord", "pow", "print",
    "property", "quit", "range", "repr", "reversed", "round", "set", "setattr", "slice", "sorted",
    "staticmethod", "str", "sum", "super", "tuple", "type", "vars", "zip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtins_are_sorted() {
        assert!(BUILTINS.is_sorted());
    }
}
