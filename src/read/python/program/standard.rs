//! What is known of the standard library and of a few packages that everybody uses: `os`, `sys`, `json`, `functools`,
//! `itertools`, `logging`, `asyncio`, `dataclasses`, `zoneinfo`, `pendulum`, `yaml`.

use std::rc::Rc;

use super::library::{MODULES, PURE};
use super::path::path;
use super::value::Object;
use super::{Arguments, At, Eval, Fields, Kind, Machine, Origin, Value};
use crate::read::document::Syntax;

const UNSURE: &str = "declare it in NAME.deployment.yaml, or run the file with --run-python";

impl<'a> Machine<'a> {
    /// Whether a full name is that of a module that everybody has.
    pub(super) fn is_standard(&self, full: &str) -> bool {
        let first = full.split('.').next().unwrap_or(full);
        MODULES.contains(&first)
    }

    /// Constants by their full name.
    pub(super) fn standard_value(&mut self, full: &str, at: At) -> Option<Value> {
        Some(match full {
            "os.sep" | "os.path.sep" => Value::text("/", at),
            "os.linesep" => Value::text("\n", at),
            "os.name" => Value::text("posix", at),
            "os.curdir" => Value::text(".", at),
            "os.pardir" => Value::text("..", at),
            "sys.path" => Value::new(Kind::List(self.path), at),
            "sys.argv" => {
                let file = self.modules().path(self.main).file_name().to_owned();
                self.list(vec![Value::text(file, at)], at).ok()?
            }
            "string.ascii_lowercase" => Value::text("abcdefghijklmnopqrstuvwxyz", at),
            "string.ascii_uppercase" => Value::text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", at),
            "string.digits" => Value::text("0123456789", at),
            "string.punctuation" => Value::text("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", at),
            "datetime.timezone.utc" | "datetime.UTC" | "pytz.UTC" | "pytz.utc" => {
                super::expression::constant(crate::read::python::value::Value::Timezone(0), at)
            }
            "math.pi" => Value::new(Kind::Float(std::f64::consts::PI), at),
            "typing.TYPE_CHECKING" => Value::bool(false, at),
            "pendulum.UTC" => Value::new(Kind::Zone("UTC".into()), at),
            "sys.platform" | "sys.version" | "sys.executable" => {
                Value::unknown_but(format!("`{full}` depends on the machine"), UNSURE, at)
            }
            _ => return None,
        })
    }

    /// A function by its full name; `None` where it is not known here.
    pub(super) fn standard(&mut self, full: &str, arguments: &Arguments, at: At) -> Option<Eval> {
        let first = arguments
            .positional
            .first()
            .map(|value| self.settled(value));
        if let Some(name) = full.strip_prefix("os.path.") {
            return self.os_path(name, arguments, at);
        }
        match full {
            "os.getcwd" => Some(Ok(Value::text(self.working_folder(), at))),
            "pathlib.Path.cwd" => Some(Ok(path(self.working_folder(), at))),
            "os.fspath" => self.os_path("fspath", arguments, at),
            "os.getenv" | "os.environ.get" => {
                let default = arguments.get(1, "default").cloned();
                let default = default.unwrap_or_else(|| Value::none(at));
                let name = arguments.get(0, "key")?.clone();
                Some(self.variable(&name, Some(default), false, at))
            }
            "pathlib.Path" | "pathlib.PurePath" | "pathlib.PosixPath" | "pathlib.PurePosixPath"
                if arguments.keywords.is_empty() =>
            {
                if let Some(unknown) = arguments.unknown() {
                    return Some(Ok(Value::why(&unknown, at)));
                }
                Some(self.join_path(&arguments.positional, at))
            }
            "os.listdir" => {
                let folder = first.as_ref().map_or(Some("."), Value::as_path)?.to_owned();
                let found = match self.path_method(
                    &path(folder, at),
                    "iterdir",
                    &Arguments::default(),
                    at,
                )? {
                    Ok(found) => found,
                    stop => return Some(stop),
                };
                let Some(items) = self.items(&found) else {
                    return Some(Ok(found));
                };
                let names = items.iter().filter_map(Value::as_path);
                let names = names
                    .map(|one| Value::text(one.rsplit('/').next().unwrap_or(one), at))
                    .collect();
                Some(self.list(names, at))
            }
            "sys.exit" | "os._exit" => Some(self.leave(at)),
            "json.loads" | "json.load" => Some(self.parsed(Syntax::Json, arguments, at)),
            "json.dumps" => Some(self.dumped(arguments, at)),
            "yaml.safe_load" | "yaml.load" | "yaml.full_load" => {
                Some(self.parsed(Syntax::PyYaml, arguments, at))
            }
            "tomllib.load" | "tomllib.loads" | "toml.load" | "toml.loads" | "tomli.load"
            | "tomli.loads" => Some(self.parsed(Syntax::Toml, arguments, at)),
            "textwrap.dedent" | "inspect.cleandoc" => {
                let first = first?;
                let text = dedent(first.as_text()?);
                Some(Ok(Value::text(text, at).of(Value::origins([&first]))))
            }
            "copy.copy" | "copy.deepcopy" => {
                Some(self.copied(&first?, full == "copy.deepcopy", 0, at))
            }
            "asyncio.run" | "asyncio.get_event_loop.run_until_complete" | "anyio.run" => {
                let given = first?;
                match given.kind {
                    Kind::Function(_) => Some(self.call(&given, Arguments::default(), at)),
                    _ => Some(Ok(given)),
                }
            }
            "asyncio.gather" => Some(self.list(arguments.positional.clone(), at)),
            "asyncio.get_event_loop" | "asyncio.new_event_loop" => Some(Ok(Value::new(
                Kind::Named("asyncio.get_event_loop".into()),
                at,
            ))),
            "typing.cast" => arguments.positional.get(1).cloned().map(Ok),
            "functools.partial" => {
                let function = first?;
                if let Some(unknown) = &arguments.rest {
                    return Some(Ok(Value::why(unknown, at)));
                }
                Some(self.partial(function, arguments, at))
            }
            "functools.wraps"
            | "functools.lru_cache"
            | "functools.cache"
            | "contextlib.asynccontextmanager"
            | "abc.abstractmethod"
            | "typing.overload"
            | "typing.final"
            | "typing.no_type_check"
            | "atexit.register" => match first {
                Some(first)
                    if full != "functools.wraps"
                        && matches!(first.kind, Kind::Function(_) | Kind::Record(_)) =>
                {
                    Some(Ok(first))
                }
                _ => Some(Ok(Value::new(
                    Kind::Named("functools.identity()".into()),
                    at,
                ))),
            },
            "functools.identity()" => Some(Ok(first?)),
            "functools.reduce" => {
                let function = first?;
                let items = match self.iterate(arguments.positional.get(1)?, at) {
                    Ok(Ok(items)) => items,
                    Ok(Err(unknown)) => return Some(Ok(Value::why(&unknown, at))),
                    Err(stop) => return Some(Err(stop)),
                };
                let mut items = arguments
                    .positional
                    .get(2)
                    .cloned()
                    .into_iter()
                    .chain(items);
                let mut total = items.next()?;
                for item in items {
                    match self.apply(&function, vec![total, item], at) {
                        Ok(value) => total = value,
                        Err(stop) => return Some(Err(stop)),
                    }
                }
                Some(Ok(total))
            }
            "itertools.chain" | "itertools.chain.from_iterable" => {
                let lists = if full == "itertools.chain" {
                    arguments.positional.clone()
                } else {
                    match self.iterate(&first?, at) {
                        Ok(Ok(lists)) => lists,
                        Ok(Err(unknown)) => return Some(Ok(Value::why(&unknown, at))),
                        Err(stop) => return Some(Err(stop)),
                    }
                };
                let mut all = Vec::new();
                for list in lists {
                    match self.iterate(&list, at) {
                        Ok(Ok(items)) => all.extend(items),
                        Ok(Err(unknown)) => return Some(Ok(Value::why(&unknown, at))),
                        Err(stop) => return Some(Err(stop)),
                    }
                }
                Some(self.list(all, at))
            }
            "itertools.product" if arguments.keywords.is_empty() => {
                Some(self.product(arguments, at))
            }
            "dataclasses.field" | "pydantic.Field" | "attrs.field" | "attr.ib" => {
                let mut fields = Fields::default();
                if let Some(default) = first {
                    fields.set("default", default);
                }
                for (name, value) in &arguments.keywords {
                    fields.set(
                        if &**name == "factory" {
                            "default_factory"
                        } else {
                            name
                        },
                        value.clone(),
                    );
                }
                Some(Ok(self.record("field", fields, at)))
            }
            "dataclasses.dataclass" | "attrs.define" | "attr.s" => match first {
                Some(class) => Some(Ok(class)),
                None => Some(Ok(Value::new(
                    Kind::Named("dataclasses.dataclass".into()),
                    at,
                ))),
            },
            "dataclasses.asdict" => {
                let fields = self.attribute(&first?, "__dict__", at);
                Some(fields)
            }
            "dataclasses.replace" => {
                let base = first?;
                let copy = match self.copied(&base, false, 0, at) {
                    Ok(copy) => copy,
                    stop => return Some(stop),
                };
                for (name, value) in &arguments.keywords {
                    self.set_field(&copy, name, value.clone());
                }
                Some(Ok(copy))
            }
            "contextlib.suppress" => {
                let classes = match self.tuple(arguments.positional.clone(), at) {
                    Ok(classes) => classes,
                    stop => return Some(stop),
                };
                let fields = Fields(vec![("classes".into(), classes)]);
                Some(Ok(self.record("suppress", fields, at)))
            }
            "enum.auto" => Some(Ok(Value::new(Kind::Named("enum.auto()".into()), at))),
            "enum.unique" => first.map(Ok),
            "collections.OrderedDict" => self.builtin("dict", arguments, at),
            "collections.defaultdict" => {
                let made = match self.dict(Vec::new(), at) {
                    Ok(made) => made,
                    stop => return Some(stop),
                };
                if let Some(factory) = first
                    && let Kind::Dict(id) = made.kind
                {
                    self.factories.insert(id, factory);
                }
                Some(Ok(made))
            }
            "types.SimpleNamespace" | "argparse.Namespace" => {
                let mut fields = Fields::default();
                for (name, value) in &arguments.keywords {
                    fields.set(name, value.clone());
                }
                Some(Ok(self.record("namespace", fields, at)))
            }
            "zoneinfo.ZoneInfo"
            | "pytz.timezone"
            | "pendulum.timezone"
            | "pendulum.tz.timezone"
            | "dateutil.tz.gettz" => {
                let name = first?;
                let name: Rc<str> = name.as_text()?.into();
                Some(Ok(Value::new(Kind::Zone(name), at)))
            }
            "datetime.datetime" | "pendulum.datetime" => self.moment(arguments, at),
            "operator.itemgetter" | "operator.attrgetter" => None,
            "logging.getLogger"
            | "logging.basicConfig"
            | "warnings.filterwarnings"
            | "warnings.warn"
            | "time.sleep"
            | "load_dotenv"
            | "dotenv.load_dotenv"
            | "random.seed"
            | "pprint.pprint"
            | "os.chdir"
            | "os.makedirs" => Some(Ok(match full {
                "logging.getLogger" => Value::new(Kind::Named("logging.Logger".into()), at),
                _ => Value::none(at),
            })),
            "time.time"
            | "datetime.datetime.now"
            | "datetime.datetime.utcnow"
            | "datetime.date.today"
            | "datetime.datetime.today"
            | "pendulum.now"
            | "pendulum.today"
            | "uuid.uuid4"
            | "uuid.uuid1" => Some(Ok(Value::unknown_but(
                "it changes from run to run",
                UNSURE,
                at,
            ))),
            "getpass.getuser" | "socket.gethostname" | "platform.node" | "os.uname"
            | "pathlib.Path.home" | "os.path.expanduser" => Some(Ok(Value::unknown_but(
                "it depends on the machine",
                UNSURE,
                at,
            ))),
            _ if full.starts_with("subprocess.") || full == "os.system" || full == "os.popen" => {
                Some(Ok(Value::unknown_but(
                    "it starts a process, which planning does not do",
                    UNSURE,
                    at,
                )))
            }
            _ if full.starts_with("logging.") => Some(Ok(Value::none(at))),
            _ if PURE.iter().any(|module| full.starts_with(module)) => {
                self.constant_call(full, arguments, at).map(Ok).or_else(|| {
                    Some(Ok(match arguments.unknown() {
                        Some(unknown) => Value::why(&unknown, at),
                        None => Value::unknown(format!("`{full}(…)` is not evaluated"), at),
                    }))
                })
            }
            _ => None,
        }
    }

    /// A variable of the process's environment.
    pub(super) fn variable(
        &mut self,
        name: &Value,
        default: Option<Value>,
        needed: bool,
        at: At,
    ) -> Eval {
        let Some(text) = name.as_text() else {
            return Ok(self.unsure(name, "which variable it is, is not known", at));
        };
        match self.world.environment.get(text) {
            None => Ok(Value::unknown_but(
                format!("it comes from the environment variable `{text}`"),
                format!(
                    "allow {text} under `[python] environment` in flowyard.toml, or declare the deployment in NAME.deployment.yaml"
                ),
                at,
            )),
            Some(None) if needed => {
                let unset = format!("the environment variable `{text}` is not set");
                Ok(Value::unknown_but(
                    unset,
                    format!("set {text}, or give a default: os.getenv(\"{text}\", …)"),
                    at,
                ))
            }
            Some(None) => Ok(default.unwrap_or_else(|| Value::none(at))),
            Some(Some(value)) => {
                let origin = Origin {
                    variables: [text.to_owned()].into(),
                    template: Some(format!("{{{{ ${text} }}}}")),
                };
                let value = value.clone();
                Ok(self.long(value, at)?.of(Some(Rc::new(origin))))
            }
        }
    }

    /// What a `defaultdict` makes of a key that it does not have.
    pub(super) fn default_of(
        &mut self,
        dict: &Value,
        key: &Value,
        at: At,
    ) -> Result<Option<Value>, super::Stop> {
        let Kind::Dict(id) = dict.kind else {
            return Ok(None);
        };
        let Some(factory) = self.factories.get(&id).cloned() else {
            return Ok(None);
        };
        let value = self.call(&factory, Arguments::default(), at)?;
        self.store(dict, key, value.clone(), at)?;
        Ok(Some(value))
    }

    fn partial(&mut self, function: Value, arguments: &Arguments, at: At) -> Eval {
        let positional = self.tuple(arguments.positional[1..].to_vec(), at)?;
        let keywords = arguments.keywords.iter();
        let keywords =
            keywords.map(|(name, value)| (Value::text(Rc::clone(name), value.at), value.clone()));
        let keywords = self.dict(keywords.collect(), at)?;
        let fields = vec![
            ("function".into(), function),
            ("positional".into(), positional),
            ("keywords".into(), keywords),
        ];
        Ok(self.record("partial", Fields(fields), at))
    }

    fn product(&mut self, arguments: &Arguments, at: At) -> Eval {
        let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
        for column in &arguments.positional {
            let items = match self.iterate(column, at)? {
                Ok(items) => items,
                Err(unknown) => return Ok(Value::why(&unknown, at)),
            };
            let width = rows.first().map_or(1, |row| row.len() + 1);
            self.charge(
                rows.len().saturating_mul(items.len()).saturating_mul(width),
                at,
            )?;
            rows = rows
                .iter()
                .flat_map(|row| {
                    items
                        .iter()
                        .map(|item| [&row[..], std::slice::from_ref(item)].concat())
                })
                .collect();
        }
        let mut tuples = Vec::with_capacity(rows.len());
        for row in rows {
            tuples.push(self.tuple(row, at)?);
        }
        self.list(tuples, at)
    }

    /// `copy.copy` and `copy.deepcopy`.
    fn copied(&mut self, value: &Value, deep: bool, depth: usize, at: At) -> Eval {
        let value = self.settled(value);
        let inner = |machine: &mut Self, value: Value| {
            if deep && depth < 60 {
                machine.copied(&value, true, depth + 1, at)
            } else {
                Ok(value)
            }
        };
        match value.kind {
            Kind::List(_) | Kind::Tuple(_) | Kind::Set(_) => {
                let mut items = Vec::new();
                for item in self.items(&value).unwrap_or_default() {
                    items.push(inner(self, item)?);
                }
                match value.kind {
                    Kind::List(_) => self.list(items, value.at),
                    Kind::Tuple(_) => self.tuple(items, value.at),
                    _ => self.set(items, value.at),
                }
            }
            Kind::Dict(_) => {
                let mut items = Vec::new();
                for (key, item) in self.entries(&value).unwrap_or_default() {
                    items.push((key, inner(self, item)?));
                }
                self.dict(items, value.at)
            }
            Kind::Instance(id) => {
                let (class, fields) = match &self.heap[id].object {
                    Object::Instance(class, fields) => (Rc::clone(class), fields.clone()),
                    _ => return Ok(value),
                };
                let mut copy = Fields::default();
                for (name, field) in fields.0 {
                    let field = inner(self, field)?;
                    copy.0.push((name, field));
                }
                self.charge(8 + copy.0.len(), at)?;
                let id = self.push(Object::Instance(class, copy));
                Ok(Value::new(Kind::Instance(id), value.at))
            }
            _ => Ok(value),
        }
    }

    /// A `datetime` with a time zone by its name: what the evaluator of expressions has no form for.
    fn moment(&mut self, arguments: &Arguments, at: At) -> Option<Eval> {
        let zone = arguments
            .keyword("tzinfo")
            .or(arguments.keyword("tz"))
            .or(arguments.positional.get(7))?
            .clone();
        let name: Rc<str> = match &zone.kind {
            Kind::Zone(name) | Kind::Text(name) => Rc::clone(name),
            _ => return None,
        };
        let mut plain = arguments.clone();
        plain
            .keywords
            .retain(|(name, _)| !matches!(&**name, "tzinfo" | "tz"));
        plain.positional.truncate(7);
        let naive = self.constant_call("datetime.datetime", &plain, at)?;
        let crate::read::python::value::Value::DateTime(moment, None) = naive.constant()? else {
            return None;
        };
        let zone: chrono_tz::Tz = name.parse().ok()?;
        let there = chrono::TimeZone::from_local_datetime(&zone, &moment).earliest()?;
        let offset = chrono::Offset::fix(chrono::DateTime::offset(&there)).local_minus_utc();
        let constant = crate::read::python::value::Value::DateTime(moment, Some(offset));
        let mut fields = Fields::default();
        fields.set("moment", super::expression::constant(constant, at));
        fields.set("timezone", Value::text(name, at));
        Some(Ok(self.record("moment", fields, at)))
    }
}

/// `textwrap.dedent`.
fn dedent(text: &str) -> String {
    let indent = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start_matches([' ', '\t']).len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| {
            if line.trim().is_empty() {
                ""
            } else {
                line.get(indent..).unwrap_or(line)
            }
        })
        .collect();
    lines.join("\n")
}
