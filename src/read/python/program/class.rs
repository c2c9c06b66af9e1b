//! Classes of the repository, as containers: plain ones, dataclasses, models, enumerations.

use std::collections::HashMap;
use std::rc::Rc;

use ruff_python_ast::{Expr, Stmt, StmtClassDef};

use super::expression::reason;
use super::value::{Class, Object};
use super::{Arguments, At, Eval, Fields, Frame, Function, Id, Kind, Machine, Stop, Value};

/// Decorators and bases outside of the repository that make arguments of the annotated fields.
fn is_data(full: &str) -> bool {
    let last = full.rsplit('.').next().unwrap_or(full);
    matches!(
        last,
        "dataclass" | "BaseModel" | "NamedTuple" | "TypedDict" | "define" | "frozen"
    )
}

impl<'a> Machine<'a> {
    pub(super) fn define_class(
        &mut self,
        definition: &'a StmtClassDef,
        frame: &Frame<'a>,
    ) -> Result<(), Stop> {
        let name = definition.name.as_str();
        let at = At {
            module: frame.module,
            range: definition.name.range,
        };
        self.charge(16, at)?;
        let mut line: Vec<Rc<Class<'a>>> = Vec::new();
        let mut foreign: Vec<Rc<str>> = Vec::new();
        let mut altered = None;
        for base in definition.bases() {
            let base = self.eval(base, frame)?;
            match &base.kind {
                Kind::Class(id) => {
                    if let Object::Class(class) = &self.heap[*id].object {
                        line.push(Rc::clone(class));
                        line.extend(class.line.iter().cloned());
                        foreign.extend(class.foreign.iter().cloned());
                    }
                }
                Kind::Named(full) => foreign.push(Rc::clone(full)),
                Kind::Unknown(unknown) => altered = Some(Rc::clone(unknown)),
                _ => {}
            }
        }
        self.charge(line.len() + foreign.len(), at)?;
        let mut data =
            foreign.iter().any(|full| is_data(full)) || line.iter().any(|base| base.data);
        for decorator in &definition.decorator_list {
            let decorator = self.eval(&decorator.expression, frame)?;
            match &decorator.kind {
                Kind::Named(full) if is_data(full) => data = true,
                Kind::Unknown(unknown) => altered = Some(Rc::clone(unknown)),
                _ => {}
            }
        }
        let cell = self.push(Object::Scope(HashMap::new()));
        let scope = self.push(Object::Scope(HashMap::new()));
        // Methods see a scope that holds their class, as in Python, and then the class's own.
        let outer = if frame.class {
            frame.scopes.len() - 1
        } else {
            frame.scopes.len()
        };
        let scopes: Vec<_> = frame.scopes[..outer]
            .iter()
            .copied()
            .chain([cell, scope])
            .collect();
        let inner = Frame {
            module: frame.module,
            scopes: scopes.into(),
            class: true,
            elsewhere: Rc::default(),
            yields: None,
        };
        self.block(&definition.body, &inner)?;
        let inherited = line.first().map_or(0, |base| base.fields.len());
        self.charge(2 * inherited, at)?;
        let fields = self.annotated(definition, scope, &line);
        let id = self.heap.len();
        let class = Rc::new(Class {
            name,
            id,
            line,
            foreign,
            scope,
            fields,
            data,
            altered,
        });
        self.push(Object::Class(Rc::clone(&class)));
        let value = Value::new(Kind::Class(id), at);
        if let Object::Scope(names) = &mut self.heap[cell].object {
            names.insert("__class__", value.clone());
        }
        if self.is_enumeration(&class) {
            self.make_members(definition, &class, at)?;
        }
        self.bind(name, value, frame);
        Ok(())
    }

    fn annotated(
        &self,
        definition: &'a StmtClassDef,
        scope: Id,
        line: &[Rc<Class<'a>>],
    ) -> Vec<(&'a str, Option<Value>)> {
        let mut fields: Vec<(&'a str, Option<Value>)> = line
            .first()
            .map(|base| base.fields.clone())
            .unwrap_or_default();
        let names = fields.iter().enumerate();
        let mut places: HashMap<_, _> = names.map(|(place, (name, _))| (*name, place)).collect();
        for statement in &definition.body {
            let Stmt::AnnAssign(assign) = statement else {
                continue;
            };
            let Expr::Name(name) = &*assign.target else {
                continue;
            };
            let annotation = match &*assign.annotation {
                Expr::Subscript(generic) => &*generic.value,
                other => other,
            };
            let class_variable = match annotation {
                Expr::Name(name) => name.id.as_str() == "ClassVar",
                Expr::Attribute(attribute) => attribute.attr.as_str() == "ClassVar",
                _ => false,
            };
            if class_variable {
                continue;
            }
            let name = name.id.as_str();
            let default = self.bound_in(scope, name);
            match places.get(name) {
                Some(place) => {
                    let old = &mut fields[*place].1;
                    *old = default.or(old.take());
                }
                None => {
                    places.insert(name, fields.len());
                    fields.push((name, default));
                }
            }
        }
        fields
    }

    fn is_enumeration(&self, class: &Class<'a>) -> bool {
        class.foreign.iter().any(|full| {
            matches!(
                &**full,
                "enum.Enum" | "enum.StrEnum" | "enum.IntEnum" | "enum.Flag" | "enum.IntFlag"
            )
        })
    }

    fn make_members(
        &mut self,
        definition: &'a StmtClassDef,
        class: &Rc<Class<'a>>,
        at: At,
    ) -> Result<(), Stop> {
        let lower = class.foreign.iter().any(|full| &**full == "enum.StrEnum");
        let mut last = 0;
        let mut members = Vec::new();
        for statement in &definition.body {
            let Stmt::Assign(assign) = statement else {
                continue;
            };
            let [Expr::Name(target)] = &assign.targets[..] else {
                continue;
            };
            let name = target.id.as_str();
            let Some(mut value) = self.bound_in(class.scope, name) else {
                continue;
            };
            if matches!(&value.kind, Kind::Named(full) if &**full == "enum.auto()") {
                value = if lower {
                    Value::text(name.to_lowercase(), value.at)
                } else {
                    Value::new(Kind::Int(last + 1), value.at)
                };
            }
            if let Kind::Int(number) = value.kind {
                last = number;
            }
            self.charge(8, at)?;
            let fields = vec![
                ("name".into(), Value::text(name, value.at)),
                ("value".into(), value.clone()),
            ];
            let id = self.push(Object::Instance(Rc::clone(class), Fields(fields)));
            let member = Value::new(Kind::Instance(id), value.at);
            members.push(member.clone());
            if let Object::Scope(names) = &mut self.heap[class.scope].object {
                names.insert(name, member);
            }
        }
        let all = self.list(members, at)?;
        if let Object::Scope(names) = &mut self.heap[class.scope].object {
            names.insert("_members_", all);
        }
        Ok(())
    }

    /// The members of an enumeration, in order.
    pub(super) fn members(&self, class: &Value) -> Option<Vec<Value>> {
        let class = self.class(class)?;
        self.items(&self.bound_in(class.scope, "_members_")?)
    }

    /// `Class["NAME"]` of an enumeration.
    pub(super) fn member_named(&self, class: &Value, name: &str, at: At) -> Value {
        let members = self.members(class).unwrap_or_default();
        let found = members.into_iter().find(|member| {
            self.field(member, "name").as_ref().and_then(Value::as_text) == Some(name)
        });
        found.unwrap_or_else(|| Value::unknown("there is no such member", at))
    }

    pub(super) fn class(&self, value: &Value) -> Option<Rc<Class<'a>>> {
        let (Kind::Class(id) | Kind::Instance(id)) = &value.kind else {
            return None;
        };
        let (Object::Class(class) | Object::Instance(class, _)) = &self.heap[*id].object else {
            return None;
        };
        // Its bases are about to be looked through.
        self.spend((class.line.len() + class.foreign.len()) / 16);
        Some(Rc::clone(class))
    }

    pub(super) fn class_name(&self, value: &Value) -> &'a str {
        self.class(value).map_or("object", |class| class.name)
    }

    /// The bases outside of the repository of a class, or of an instance's class, by full name.
    pub(in crate::read) fn foreign_bases(&self, value: &Value) -> Vec<Rc<str>> {
        self.class(value)
            .map(|class| class.foreign.clone())
            .unwrap_or_default()
    }

    /// The name of a class, or of an instance's class.
    pub(in crate::read) fn name_of_class(&self, value: &Value) -> Option<&'a str> {
        self.class(value).map(|class| class.name)
    }

    /// Whether an instance's class derives from a class outside of the repository, by its last name.
    pub(super) fn derives_foreign(&self, value: &Value, name: &str) -> bool {
        let bases = self.foreign_bases(value);
        bases
            .iter()
            .any(|full| full.rsplit('.').next() == Some(name))
            || (name == "Exception" && !bases.is_empty())
    }

    /// What a member of an enumeration that is also a text or a number equals.
    pub(super) fn plain_member(&self, value: &Value) -> Option<Value> {
        let class = self
            .class(value)
            .filter(|_| matches!(value.kind, Kind::Instance(_)))?;
        let plain = class.foreign.iter().any(|full| {
            matches!(
                &**full,
                "enum.StrEnum"
                    | "enum.IntEnum"
                    | "enum.IntFlag"
                    | "builtins.str"
                    | "builtins.int"
                    | "builtins.float"
            )
        });
        if !plain || !self.is_enumeration(&class) {
            return None;
        }
        self.field(value, "value")
    }

    pub(super) fn is_member(&self, value: &Value) -> bool {
        self.class(value)
            .is_some_and(|class| self.is_enumeration(&class))
    }

    /// The namespace of a class or module.
    pub(super) fn scope_of(&self, value: &Value) -> Option<Id> {
        match &value.kind {
            Kind::Class(_) => self.class(value).map(|class| class.scope),
            Kind::Module(id) => match &self.heap[*id].object {
                Object::Module { scope, .. } => Some(*scope),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a class's namespace, or that of its bases, holds.
    pub(super) fn in_class(&self, class: &Class<'a>, name: &str) -> Option<Value> {
        let own = self.bound_in(class.scope, name);
        own.or_else(|| {
            class
                .line
                .iter()
                .find_map(|base| self.bound_in(base.scope, name))
        })
    }

    /// Makes an instance.
    pub(super) fn instantiate(&mut self, value: &Value, arguments: Arguments, at: At) -> Eval {
        let Some(class) = self.class(value) else {
            return Ok(Value::unknown("what is called is not known", at));
        };
        if let Some(unknown) = &class.altered {
            let unknown = Rc::clone(unknown);
            for value in arguments.values() {
                self.lose(value, &unknown);
            }
            return Ok(Value::why(&unknown, at));
        }
        if self.is_enumeration(&class) {
            return self.member_of(value, &arguments, at);
        }
        if class
            .foreign
            .iter()
            .any(|full| full.ends_with(".TypedDict"))
        {
            let items = arguments.keywords.into_iter();
            let items = items.map(|(name, value)| (Value::text(name, at), value));
            return self.dict(items.collect(), at);
        }
        self.charge(8, at)?;
        let id = self.push(Object::Instance(Rc::clone(&class), Fields::default()));
        let instance = Value::new(Kind::Instance(id), at);
        if let Some(init) = self
            .in_class(&class, "__init__")
            .and_then(|init| self.function(&init))
        {
            self.call_function(&init, Some(instance.clone()), arguments, at)?;
            return Ok(instance);
        }
        if class.data {
            self.fill(&instance, &class, &arguments, at)?;
            return Ok(instance);
        }
        let args = self.tuple(arguments.positional, at)?;
        self.set_field(&instance, "args", args);
        for (name, value) in arguments.keywords {
            self.set_field(&instance, &name, value);
        }
        if let Some(unknown) = arguments.rest {
            self.heap[id].taint = Some(unknown);
        }
        Ok(instance)
    }

    fn member_of(&mut self, class: &Value, arguments: &Arguments, at: At) -> Eval {
        let Some(wanted) = arguments.positional.first() else {
            return Ok(Value::unknown("the member is not known", at));
        };
        if let Some(unknown) = arguments.unknown() {
            return Ok(Value::why(&unknown, at));
        }
        for member in self.members(class).unwrap_or_default() {
            let value = self
                .field(&member, "value")
                .unwrap_or_else(|| Value::none(at));
            if self.equal(&value, wanted, 0, at)? == Some(true) {
                return Ok(member);
            }
        }
        self.raise("ValueError", "there is no such member", at)
    }

    /// Gives a dataclass or model its fields.
    fn fill(
        &mut self,
        instance: &Value,
        class: &Rc<Class<'a>>,
        arguments: &Arguments,
        at: At,
    ) -> Result<(), Stop> {
        let settings = class
            .foreign
            .iter()
            .any(|full| full.ends_with(".BaseSettings"));
        self.charge(class.fields.len() * arguments.keywords.len() / 64, at)?;
        for (place, (name, default)) in class.fields.iter().enumerate() {
            self.charge(1, at)?;
            let value = match (arguments.get(place, name), default) {
                (Some(given), _) => given.clone(),
                (None, _) if arguments.rest.is_some() || settings => {
                    let text = "it comes from the environment, through the settings' class";
                    let unknown = arguments.rest.clone().unwrap_or_else(|| reason(text, at));
                    Value::why(&unknown, at)
                }
                (None, Some(default)) => self.default(default, at)?,
                (None, None) => {
                    let message = format!("{}() misses the argument `{name}`", class.name);
                    return self.raise("TypeError", message, at);
                }
            };
            self.set_field(instance, name, value);
        }
        let post = self
            .in_class(class, "__post_init__")
            .and_then(|post| self.function(&post));
        if let Some(post) = post {
            self.call_function(&post, Some(instance.clone()), Arguments::default(), at)?;
        }
        Ok(())
    }

    /// A field's default: that of `field(…)` and `Field(…)` is made anew.
    fn default(&mut self, default: &Value, at: At) -> Eval {
        if self.record_kind(default) != Some("field") {
            return Ok(default.clone());
        }
        if let Some(factory) = self.field(default, "default_factory") {
            return self.call(&factory, Arguments::default(), at);
        }
        match self.field(default, "default") {
            Some(value) => Ok(value),
            None => Ok(Value::unknown("the field has no default", at)),
        }
    }

    /// An attribute of an instance or class.
    pub(super) fn member(&mut self, base: &Value, name: &str, at: At) -> Eval {
        if let Some(value) = self.field(base, name) {
            return Ok(value);
        }
        let Some(class) = self.class(base) else {
            return Ok(Value::unknown("what it is of is not known", at));
        };
        let instance = matches!(base.kind, Kind::Instance(_));
        match name {
            "__name__" | "__qualname__" if !instance => return Ok(Value::text(class.name, at)),
            "__class__" if instance => return Ok(Value::new(Kind::Class(class.id), at)),
            "__dict__" if instance => {
                let fields = match base.kind {
                    Kind::Instance(id) => match &self.heap[id].object {
                        Object::Instance(_, fields) => fields.clone(),
                        _ => Fields::default(),
                    },
                    _ => Fields::default(),
                };
                let items = fields
                    .0
                    .into_iter()
                    .map(|(name, value)| (Value::text(name, at), value));
                return self.dict(items.collect(), at);
            }
            _ => {}
        }
        let Some(found) = self.in_class(&class, name) else {
            if class.foreign.is_empty() && class.altered.is_none() {
                let message = format!("{} has no attribute `{name}`", class.name);
                return self.raise("AttributeError", message, at);
            }
            return Ok(Value::unknown(
                format!("`.{name}` of a class from outside of the repository"),
                at,
            ));
        };
        match (self.record_kind(&found), self.function(&found)) {
            (Some("property"), _) if instance => {
                match self
                    .field(&found, "function")
                    .and_then(|get| self.function(&get))
                {
                    Some(get) => self.deeper(at, |machine| {
                        machine.call_function(&get, Some(base.clone()), Arguments::default(), at)
                    }),
                    None => Ok(Value::unknown("the property is not evaluated", at)),
                }
            }
            (Some("staticmethod"), _) => {
                let function = self.field(&found, "function");
                Ok(function.unwrap_or_else(|| Value::unknown("it is not evaluated", at)))
            }
            (Some("classmethod"), _) => Ok(self.method_of(base, name, at)),
            (_, Some(_)) if instance => Ok(self.method_of(base, name, at)),
            _ => Ok(self.settled(&found)),
        }
    }

    /// Calls a method of an instance or class; `None` where it has none that is known.
    pub(super) fn call_member(
        &mut self,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        if let Some(field) = self.field(base, name) {
            return Some(self.call(&field, arguments.clone(), at));
        }
        let class = self.class(base)?;
        let found = self.in_class(&class, name)?;
        self.call_found(base, &class, &found, arguments, at)
    }

    /// Calls what a class's namespace holds, for an instance or for the class itself.
    fn call_found(
        &mut self,
        base: &Value,
        class: &Rc<Class<'a>>,
        found: &Value,
        arguments: &Arguments,
        at: At,
    ) -> Option<Eval> {
        let instance = matches!(base.kind, Kind::Instance(_));
        let arguments = arguments.clone();
        let (function, receiver): (Rc<Function<'a>>, Option<Value>) = match self.record_kind(found)
        {
            Some("staticmethod") => (self.function(&self.field(found, "function")?)?, None),
            Some("classmethod") => {
                let class = Value::new(Kind::Class(class.id), at);
                (self.function(&self.field(found, "function")?)?, Some(class))
            }
            _ => match self.function(found) {
                Some(function) => (function, instance.then(|| base.clone())),
                None => return Some(self.call(found, arguments, at)),
            },
        };
        Some(self.deeper(at, |machine| {
            machine.call_function(&function, receiver, arguments, at)
        }))
    }

    /// `super().name(…)`.
    pub(super) fn call_super(
        &mut self,
        base: &Value,
        name: &str,
        arguments: &Arguments,
        at: At,
    ) -> Eval {
        let (Some(instance), Some(class)) = (
            self.field(base, "instance"),
            self.field(base, "class")
                .and_then(|class| self.class(&class)),
        ) else {
            return Ok(Value::unknown("`super()` is not evaluated here", at));
        };
        let found = class.line.iter().find_map(|base| {
            let found = self.bound_in(base.scope, name)?;
            Some((Rc::clone(base), found))
        });
        if let Some((owner, found)) = found
            && let Some(result) = self.call_found(&instance, &owner, &found, arguments, at)
        {
            return result;
        }
        if name == "__init__" {
            if let Some(base) = class.line.first().filter(|base| base.data) {
                let base = Rc::clone(base);
                self.fill(&instance, &base, arguments, at)?;
            } else {
                let args = self.tuple(arguments.positional.clone(), at)?;
                self.set_field(&instance, "args", args);
                for (name, value) in &arguments.keywords {
                    self.set_field(&instance, name, value.clone());
                }
            }
            return Ok(Value::none(at));
        }
        Ok(Value::unknown(
            "the method is outside of the repository",
            at,
        ))
    }
}
