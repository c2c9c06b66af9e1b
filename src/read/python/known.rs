//! Modules that are Python's own or Prefect's, whatever the repository holds.

/// Top-level modules that Prefect has imported long before it imports a flow, so that no file of the repository can
/// take their place; sorted.
#[rustfmt::skip]
const INSTALLED: &[&str] = &[
    "__future__", "abc", "annotated_types", "anyio", "ast", "asyncio", "base64", "builtins", "calendar", "cloudpickle",
    "collections", "concurrent", "contextlib", "copy", "csv", "dataclasses", "datetime", "dateutil", "decimal", "enum",
    "fractions", "fsspec", "functools", "hashlib", "httpx", "importlib", "inspect", "io", "ipaddress", "itertools",
    "json", "logging", "math", "numbers", "operator", "os", "pathlib", "pendulum", "pickle", "platform", "prefect",
    "pydantic", "pydantic_core", "pydantic_extra_types", "pydantic_settings", "random", "re", "secrets", "shutil",
    "signal", "socket", "sqlalchemy", "statistics", "string", "subprocess", "sys", "tempfile", "textwrap", "threading",
    "time", "traceback", "types", "typing", "typing_extensions", "typing_inspection", "urllib", "uuid", "warnings",
    "weakref", "yaml", "zoneinfo",
];

/// Whether a top-level module is always the installed one.
pub(super) fn installed(module: &str) -> bool {
    INSTALLED.binary_search(&module).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_modules_are_sorted() {
        assert!(INSTALLED.is_sorted());
    }
}
