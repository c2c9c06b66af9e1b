//! What Prefect's Python interface means to a program that is read: flows, blocks, schedules, and the calls that
//! register deployments. The facts are those of Prefect 2.20 and 3.

use std::cell::RefCell;
use std::rc::Rc;

use super::registration::{Call, Registration};
use super::{block, flow, thing};
use crate::read::python::program::{Arguments, At, Eval, Fields, Kind, Library, Machine, Value};

/// Prefect, with the deployments that were registered so far.
#[derive(Debug, Default)]
pub(super) struct Prefect {
    pub(super) registered: RefCell<Vec<Registration>>,
}

impl<'a> Library<'a> for Prefect {
    fn call(
        &self,
        machine: &mut Machine<'a>,
        full: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        if !full.starts_with("prefect") {
            return self.foreign(machine, full, arguments, at);
        }
        let mut parts = full.rsplit('.');
        let last = parts.next().unwrap_or(full);
        let class = parts.next().unwrap_or_default();
        Some(Ok(match (class, last) {
            ("flow" | "Flow", "from_source" | "afrom_source") => {
                flow::from_source(machine, arguments, at)
            }
            (_, "flow") => return Some(Ok(flow::decorate(machine, arguments, at))),
            (_, "task") => match arguments.positional.first() {
                Some(function) => {
                    let fields = vec![("function".into(), function.clone())];
                    machine.record("task", Fields(fields), at)
                }
                None => Value::new(Kind::Named("prefect.task".into()), at),
            },
            (_, "Deployment") => self.built(machine, Call::Deployment, None, arguments, at),
            ("Deployment", "build_from_flow") => {
                let built = self.built(machine, Call::BuildFromFlow, None, arguments, at);
                if let Some(Value {
                    kind: Kind::Bool(true),
                    ..
                }) = arguments.keyword("apply")
                {
                    self.register(machine, &built, None, at);
                }
                built
            }
            ("RunnerDeployment", "from_flow" | "afrom_flow") => {
                self.built(machine, Call::FromFlow, None, arguments, at)
            }
            (_, "RunnerDeployment")
            | ("RunnerDeployment", "from_entrypoint" | "afrom_entrypoint") => {
                self.built(machine, Call::FromEntrypoint, None, arguments, at)
            }
            ("RunnerDeployment", "from_storage" | "afrom_storage") => {
                self.built(machine, Call::FromStorage, None, arguments, at)
            }
            (_, "deploy" | "adeploy") => self.deploy_all(machine, arguments, at),
            (_, "serve" | "aserve") => self.serve_all(machine, arguments, at),
            (_, "load" | "aload") if block::is_class(class) => {
                return Some(Ok(block::loaded(machine, class, arguments, at)));
            }
            ("Variable", "get" | "aget") => {
                let name = arguments
                    .positional
                    .first()
                    .and_then(Value::as_text)
                    .unwrap_or("NAME")
                    .to_owned();
                Value::unknown_but(
                    format!("the variable `{name}` is kept by the server"),
                    format!(
                        "write \"{{{{ prefect.variables.{name} }}}}\", which Prefect puts in when a run starts"
                    ),
                    at,
                )
            }
            _ => match thing::made(machine, last, arguments, at) {
                Some(made) => made,
                None if block::is_class(last)
                    && class.chars().next().is_some_and(char::is_lowercase) =>
                {
                    block::unsaved(machine, last, at)
                }
                None => return None,
            },
        }))
    }

    fn method(
        &self,
        machine: &mut Machine<'a>,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let kind = match &base.kind {
            Kind::Record(_) => machine.record_kind(base)?,
            Kind::Unknown(_) | Kind::Function(_) if is_deploying(name, arguments) => "flow",
            Kind::Class(_) | Kind::Instance(_) => {
                return block::of_class(machine, base, name, arguments, at);
            }
            _ => return None,
        };
        Some(Ok(match (kind, name) {
            ("flow-decorator", "__call__") => flow::decorated(machine, base, arguments, at),
            ("flow", "with_options") => flow::with_options(machine, base, arguments, at),
            ("flow", "from_source" | "afrom_source") => flow::from_source(machine, arguments, at),
            ("flow", "to_deployment" | "ato_deployment") => {
                self.built(machine, Call::ToDeployment, Some(base), arguments, at)
            }
            ("flow", "deploy" | "adeploy") => {
                let built = self.built(machine, Call::Deploy, Some(base), arguments, at);
                self.register(machine, &built, None, at);
                Value::text("", at)
            }
            ("flow", "serve" | "aserve") => {
                let built = self.built(machine, Call::Serve, Some(base), arguments, at);
                self.register(machine, &built, None, at);
                Value::none(at)
            }
            ("flow" | "task", _) => Value::unknown("planning runs no flow and no task", at),
            ("deployment", "apply") => {
                self.register(machine, base, Some(arguments), at);
                Value::text("", at)
            }
            ("deployment", "update") => {
                for (name, value) in &arguments.keywords {
                    if &**name != "ignore_none" {
                        machine.set_field(base, name, value.clone());
                    }
                }
                Value::none(at)
            }
            ("deployment", _) => Value::none(at),
            ("block", _) => block::method(machine, base, name, arguments, at),
            _ => return None,
        }))
    }

    fn attribute(
        &self,
        machine: &mut Machine<'a>,
        base: &Value,
        name: &str,
        at: At,
    ) -> Option<Value> {
        if let Kind::Named(full) = &base.kind {
            return thing::constant(full, name, at);
        }
        match machine.record_kind(base)? {
            "flow" => flow::attribute(machine, base, name, at),
            "block" => block::attribute(machine, base, name, at),
            "deployment" => collection(machine, base, name, at),
            _ => None,
        }
    }
}

/// A list or mapping of a deployment that no argument gave: an empty one, which the file may then fill.
fn collection(machine: &mut Machine<'_>, base: &Value, name: &str, at: At) -> Option<Value> {
    let empty = match name {
        "parameters" | "infra_overrides" | "job_variables" => machine.dict(Vec::new(), at),
        "tags" => machine.list(Vec::new(), at),
        _ => return None,
    };
    let empty = empty.ok()?;
    machine.set_field(base, name, empty.clone());
    Some(empty)
}

/// Whether a call of something that is not known looks like one that registers a flow.
fn is_deploying(name: &str, arguments: &Arguments) -> bool {
    let telling = [
        "name",
        "work_pool_name",
        "cron",
        "interval",
        "rrule",
        "schedule",
        "schedules",
        "image",
    ];
    let given = || {
        arguments.rest.is_some()
            || arguments
                .keywords
                .iter()
                .any(|(name, _)| telling.contains(&&**name))
            || arguments
                .positional
                .first()
                .is_some_and(|value| value.as_text().is_some())
    };
    matches!(
        name,
        "deploy" | "serve" | "to_deployment" | "adeploy" | "aserve" | "ato_deployment"
    ) && given()
}

impl Prefect {
    /// A method of something outside of the repository that is neither Prefect nor known: a flow of an installed
    /// package, for all we know.
    fn foreign(
        &self,
        machine: &mut Machine<'_>,
        full: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let (base, name) = full.rsplit_once('.')?;
        if !is_deploying(name, arguments) {
            return None;
        }
        let text = format!("`{base}` is not in the repository");
        let hint = "deploy flows from the repository that they are in, or declare the deployment in NAME.deployment.yaml there";
        let flow = Value::unknown_but(text, hint, at);
        let call = match name.trim_start_matches('a') {
            "deploy" => Call::Deploy,
            "serve" => Call::Serve,
            _ => Call::ToDeployment,
        };
        let built = self.built(machine, call, Some(&flow), arguments, at);
        if call != Call::ToDeployment {
            self.register(machine, &built, None, at);
        }
        Some(Ok(built))
    }

    /// Makes a deployment, which is registered only later.
    fn built(
        &self,
        machine: &mut Machine<'_>,
        call: Call,
        flow: Option<&Value>,
        arguments: &Arguments,
        at: At,
    ) -> Value {
        let mut fields = Fields::default();
        let mut positional = arguments.positional.iter();
        if let Some(flow) = flow {
            fields.set("flow", flow.clone());
        }
        for name in call.positional() {
            if let Some(value) = positional.next() {
                fields.set(name, value.clone());
            }
        }
        for (name, value) in &arguments.keywords {
            fields.set(name, value.clone());
        }
        if let Some(unknown) = &arguments.rest {
            fields.set("**", Value::why(unknown, at));
        }
        // What `limit` is to the process that serves, `global_limit` is to the deployment.
        if let Some(limit) = fields.get("global_limit").cloned() {
            fields.set("concurrency_limit", limit);
        }
        if let Some(more) = positional.next() {
            let reason = format!(
                "{}() takes no more arguments without their names",
                call.name()
            );
            fields.set("**", Value::unknown(reason, more.at));
        }
        fields.set("_call", Value::text(call.name(), at));
        machine.record("deployment", fields, at)
    }

    /// Registers a deployment as it is now; `over` are arguments of the call that does it.
    fn register(&self, machine: &mut Machine<'_>, built: &Value, over: Option<&Arguments>, at: At) {
        let mut fields = match &built.kind {
            Kind::Unknown(_) => {
                let mut fields = Fields::default();
                fields.set("flow", built.clone());
                fields
            }
            _ => machine.fields(built),
        };
        if let Some(over) = over {
            for (name, value) in &over.keywords {
                fields.set(name, value.clone());
            }
            if let Some(unknown) = &over.rest {
                fields.set("**", Value::why(unknown, at));
            }
        }
        self.registered.borrow_mut().push(Registration {
            fields,
            at,
            doubt: machine.doubted(),
        });
    }

    /// `deploy(a, b, work_pool_name=…)`.
    fn deploy_all(&self, machine: &mut Machine<'_>, arguments: &Arguments, at: At) -> Value {
        let mut over = arguments.clone();
        over.positional.clear();
        if let Some(unknown) = over.rest.take() {
            self.register(machine, &Value::why(&unknown, at), None, at);
        }
        for deployment in &arguments.positional {
            self.register(machine, deployment, Some(&over), at);
        }
        Value::unknown(
            "the ids are known only when the deployments are registered",
            at,
        )
    }

    /// `serve(a, b)`.
    fn serve_all(&self, machine: &mut Machine<'_>, arguments: &Arguments, at: At) -> Value {
        if let Some(unknown) = &arguments.rest {
            self.register(machine, &Value::why(unknown, at), None, at);
        }
        for deployment in &arguments.positional {
            let mut over = Arguments::default();
            over.keywords
                .push(("_call".into(), Value::text(Call::Serve.name(), at)));
            self.register(machine, deployment, Some(&over), at);
        }
        Value::none(at)
    }
}

/// A record's fields by the names of its parameters; the rest under their keywords.
pub(super) fn bound(names: &[&str], arguments: &Arguments) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in names.iter().zip(&arguments.positional) {
        fields.set(name, value.clone());
    }
    for (name, value) in &arguments.keywords {
        fields.set(name, value.clone());
    }
    fields
}

/// The value itself, where arguments that are not known make it so.
pub(super) fn unless_unknown(arguments: &Arguments, value: Value, at: At) -> Value {
    match &arguments.rest {
        Some(unknown) => Value::why(&Rc::clone(unknown), at),
        None => value,
    }
}
