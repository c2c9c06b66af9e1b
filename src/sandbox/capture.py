"""Runs a deployment file under Prefect 2 or 3 and captures what it would register; no server is asked.

The request comes on stdin: `file` and `folder` (absolute), `token`, `memory` (bytes). The answer goes to stdout after the
token: `{"registered": [{"line", "file", "declares", "notes"}]}`, or `{"error", "traceback", "file", "line", "column"}`.
"""

import builtins
import inspect
import json
import os
import sys
import time
import traceback
import types
import uuid


class Refused(Exception):
    """What no server is asked for."""


class Done(uuid.UUID):
    """What registering gives back: an id, also where it is awaited."""

    def __init__(self):
        super().__init__(int=0)

    def __await__(self):
        yield from ()
        return self


class Recorder:
    def __init__(self, file):
        self.file = file
        self.registered = []
        # id -> (deployment, the arguments that were given, the values after it was made)
        self.made = {}

    def line(self):
        """The line of the deployment file that is being run."""
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename == self.file:
                return frame.f_lineno
            frame = frame.f_back
        return 1

    def add(self, declares, file=None, notes=()):
        given = {key: value for key, value in declares.items() if value is not None}
        self.registered.append(
            {"line": self.line(), "file": file, "declares": plain(given), "notes": list(notes)}
        )
        return Done()


def plain(value):
    """A value as JSON has it, the way Prefect's client sends it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        pass
    try:
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value)
    except ImportError:
        from pydantic.json import pydantic_encoder

        return json.loads(json.dumps(value, default=pydantic_encoder))


def given(function, self_or_cls, args, kwargs):
    """The arguments of a call by their names, without those that are None."""
    bound = inspect.signature(function).bind(self_or_cls, *args, **kwargs)
    found = {}
    for name, value in list(bound.arguments.items())[1:]:
        if isinstance(value, dict) and name == "kwargs":
            found.update(value)
        else:
            found[name] = value
    return {name: value for name, value in found.items() if value is not None}


def undecorated(function):
    """The signature-bearing function below `sync_compatible` and its like."""
    return inspect.unwrap(getattr(function, "__func__", function))


def entrypoint_of(flow):
    function = flow.fn
    return os.path.abspath(inspect.getsourcefile(function)), function.__name__


def located(entrypoint):
    """An entrypoint as written, with its file where it names one that is there."""
    path, colon, function = str(entrypoint).rpartition(":")
    if colon and os.path.exists(path):
        return os.path.abspath(path), function
    return None, entrypoint


STARTED = time.time()


def schedule(one):
    """A schedule in the form of a deployment file, by what was said of it."""
    found = {}
    if isinstance(one, dict):
        outer, inner = one, one.get("schedule", one)
    else:
        outer, inner = one, getattr(one, "schedule", one)
    for key in ("cron", "day_or", "rrule", "timezone", "interval", "anchor_date"):
        value = inner.get(key) if isinstance(inner, dict) else getattr(inner, key, None)
        if value is None or (key == "day_or" and value is True):
            continue
        if key == "interval" and hasattr(value, "total_seconds"):
            value = value.total_seconds()
        if key == "anchor_date" and hasattr(value, "timestamp"):
            # Where nobody gives one, Prefect takes this moment.
            if value.timestamp() >= STARTED - 1:
                continue
            value = value.isoformat()
        found[key] = value
    if "interval" not in found:
        found.pop("anchor_date", None)
    if outer is inner and not isinstance(outer, dict) and not hasattr(outer, "active"):
        return found
    for key in ("active", "parameters", "slug", "max_scheduled_runs"):
        if isinstance(outer, dict):
            value = outer.get(key)
        elif key == "active" and key not in fields_set(outer):
            # A class that does not tell what was said of it: running is its default.
            value = False if outer.active is False else None
        else:
            value = getattr(outer, key, None)
        if value is not None and value != {}:
            found[key] = value
    return found


SCHEDULES = {"interval", "cron", "rrule", "schedule", "schedules", "anchor_date", "timezone", "is_schedule_active"}

# Arguments of Prefect's calls whose key in a deployment file has their name.
SAME = (
    "version", "description", "tags", "parameters", "enforce_parameter_schema", "paused", "concurrency_limit",
    "job_variables", "infra_overrides",
)


def pool(declares, name, queue):
    if name is not None:
        declares["work_pool"] = {"name": name}
        if queue is not None:
            declares["work_pool"]["work_queue_name"] = queue
    elif queue is not None:
        declares["work_queue_name"] = queue


def image_name(image):
    if image is None or isinstance(image, str):
        return image
    reference = getattr(image, "reference", None)
    if reference is not None:
        return reference
    name, tag = image.name, getattr(image, "tag", None)
    return f"{name}:{tag}" if tag else name


def built_image(image):
    if isinstance(image, str):
        return {"name": image}
    given = dict(getattr(image, "build_kwargs", {}))
    return {
        "name": image.name,
        "tag": getattr(image, "tag", None),
        "dockerfile": str(image.dockerfile),
        "buildargs": given.get("buildargs"),
        "platform": given.get("platform"),
    }


# ---- Prefect 3, and the runner's deployments of Prefect 2


def capture_runner(recorder):
    import prefect
    import prefect.deployments
    import prefect.deployments.runner as runner
    import prefect.flows as flows

    Made = runner.RunnerDeployment
    values = lambda one: {key: getattr(one, key, None) for key in fields_of(one)}

    def remember(deployment, arguments, flow=None):
        recorder.made[id(deployment)] = (deployment, dict(arguments), dict(values(deployment)), flow)
        return deployment

    def wrap(name):
        original = getattr(Made, name)
        function = undecorated(original)

        def made(cls, *args, **kwargs):
            arguments = given(function, cls, args, kwargs)
            deployment = original(*args, **kwargs)
            flow = arguments.get("flow")
            if inspect.isawaitable(deployment):

                async def later():
                    return remember(await deployment, arguments, flow)

                return later()
            return remember(deployment, arguments, flow)

        setattr(Made, name, classmethod(made))

    for name in ("from_flow", "from_entrypoint"):
        wrap(name)

    def wrap_method(name):
        original = getattr(flows.Flow, name)
        function = undecorated(original)

        def made(self, *args, **kwargs):
            # What Prefect fills in on the way to the class method is nobody's word.
            arguments = given(function, self, args, kwargs)
            deployment = original(self, *args, **kwargs)
            if inspect.isawaitable(deployment):

                async def later():
                    return remember(await deployment, arguments, self)

                return later()
            return remember(deployment, arguments, self)

        setattr(flows.Flow, name, made)
        return function

    to_deployment_signature = wrap_method("to_deployment")
    if hasattr(flows.Flow, "ato_deployment"):
        wrap_method("ato_deployment")

    def take(deployment, **over):
        if inspect.isawaitable(deployment):
            deployment = finish(deployment)
        _, arguments, before, flow = recorder.made.get(
            id(deployment), (deployment, dict.fromkeys(fields_set(deployment)), {}, None)
        )
        now = values(deployment)
        said = lambda key: key in arguments or (key in before and before[key] != now.get(key))
        declares = {"name": deployment.name}
        for key in SAME:
            if said(key):
                declares[key] = now.get(key)
        limit = declares.get("concurrency_limit")
        options = now.get("concurrency_options")
        if limit is not None and options is not None:
            strategy = getattr(options, "collision_strategy", None)
            declares["concurrency_limit"] = {
                "limit": getattr(limit, "limit", limit),
                "collision_strategy": getattr(strategy, "value", strategy),
            }
        if SCHEDULES & arguments.keys() or said("schedules") or said("schedule"):
            listed = arguments.get("schedules") or as_list(arguments.get("schedule") or [])
            own = not listed
            if own:
                listed = now.get("schedules") or []
            declares["schedules"] = [schedule(one) for one in listed]
            for one in declares["schedules"] if own else []:
                # These were made of `cron=` and its like, which say nothing of it.
                if one.get("active") is True:
                    del one["active"]
        for key, mine in (("triggers", "triggers"), ("_sla", "sla")):
            if key in arguments and getattr(deployment, key, None):
                declares[mine] = [dump(one) for one in as_list(getattr(deployment, key))]
        if over.get("job_variables"):
            declares["job_variables"] = over["job_variables"]
        pool(
            declares,
            over.get("work_pool_name") or now.get("work_pool_name"),
            over.get("work_queue_name") or now.get("work_queue_name"),
        )
        if over.get("build") and over.get("image") is not None:
            declares["_built_image"] = built_image(over["image"])
        else:
            declares["image"] = image_name(over.get("image"))
        if flow is not None:
            file, function = entrypoint_of(flow)
        else:
            file, function = located(deployment.entrypoint)
        declares["flow_name"] = deployment.flow_name
        declares["entrypoint"] = function
        return recorder.add(declares, file)

    def apply(self, work_pool_name=None, image=None):
        return take(self, work_pool_name=work_pool_name, image=image)

    Made.apply = apply
    if hasattr(Made, "aapply"):
        Made.aapply = apply

    def deploy_all(*deployments, work_pool_name=None, image=None, build=True, **_):
        for one in deployments:
            take(one, work_pool_name=work_pool_name, image=image, build=build)
        return Ids(deployments)

    def serve_all(*deployments, **_):
        for one in deployments:
            take(one)

    def to_deployment(flow, name, arguments):
        function = inspect.signature(to_deployment_signature).parameters
        passed = {key: value for key, value in arguments.items() if key in function and key not in ("self", "name")}
        return finish(flow.to_deployment(name, **passed))

    deploy_signature = undecorated(flows.Flow.deploy)

    def flow_deploy(self, *args, **kwargs):
        arguments = given(deploy_signature, self, args, kwargs)
        arguments = dict(arguments)
        name = arguments.pop("name")
        return take(
            to_deployment(self, name, arguments),
            work_pool_name=arguments.get("work_pool_name"),
            work_queue_name=arguments.get("work_queue_name"),
            job_variables=arguments.get("job_variables"),
            image=arguments.get("image"),
            build=arguments.get("build", True),
        )

    serve_signature = undecorated(flows.Flow.serve)

    def flow_serve(self, *args, **kwargs):
        arguments = dict(given(serve_signature, self, args, kwargs))
        name = arguments.pop("name", None) or self.name
        if name.endswith(".py"):
            name = os.path.splitext(os.path.basename(name))[0]
        take(to_deployment(self, name, arguments))

    flows.Flow.deploy = flow_deploy
    flows.Flow.serve = flow_serve
    if hasattr(flows.Flow, "adeploy"):
        flows.Flow.adeploy = flow_deploy

    original_source = flows.Flow.__dict__["from_source"].__func__

    def from_source(cls, source, entrypoint, *args, **kwargs):
        if not isinstance(source, str) or "://" in source:
            raise Refused("from_source() of a remote source would fetch it: run with --run-python, a flow comes from this repository")
        return original_source(cls, source, entrypoint, *args, **kwargs)

    flows.Flow.from_source = classmethod(from_source)

    for module in (prefect, prefect.deployments, runner):
        for name in ("deploy", "adeploy"):
            if name == "deploy" or hasattr(runner, name):
                setattr(module, name, deploy_all)
    for module in (prefect, flows):
        for name in ("serve", "aserve"):
            if name == "serve" or hasattr(flows, name):
                setattr(module, name, serve_all)


class Ids(list):
    """The ids of several deployments, also where they are awaited."""

    def __init__(self, deployments):
        super().__init__(Done() for _ in deployments)

    def __await__(self):
        yield from ()
        return list(self)


def fields_of(one):
    cls = type(one)
    fields = getattr(cls, "model_fields", None)
    return list(fields if fields is not None else getattr(cls, "__fields__", {}))


def fields_set(one):
    fields = getattr(one, "model_fields_set", None)
    return fields if fields is not None else getattr(one, "__fields_set__", set())


def as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def dump(one):
    if isinstance(one, dict):
        return one
    if hasattr(one, "model_dump"):
        return one.model_dump(mode="json", exclude_unset=True)
    return json.loads(one.json(exclude_unset=True))


def finish(value):
    """The result of what may be a coroutine."""
    if not inspect.isawaitable(value):
        return value
    import asyncio
    import threading

    box = {}

    async def wait():
        return await value

    def run():
        try:
            box["value"] = asyncio.run(wait())
        except BaseException as error:  # told by whoever waits
            box["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in box:
        raise box["error"]
    return box["value"]


# ---- Prefect 2's own deployments


def capture_legacy(recorder):
    try:
        from prefect.deployments import Deployment
    except ImportError:
        return
    if not hasattr(Deployment, "build_from_flow"):
        return

    async def nothing(self, *args, **kwargs):
        return None

    Deployment.load = nothing
    Deployment.upload_to_storage = nothing
    original = Deployment.build_from_flow
    function = undecorated(original)

    def build_from_flow(cls, *args, **kwargs):
        arguments = given(function, cls, args, kwargs)
        apply = arguments.pop("apply", False)
        bound = dict(kwargs, skip_upload=True, load_existing=False, apply=False)
        deployment = finish(original(*args, **bound))
        recorder.made[id(deployment)] = (deployment, arguments, legacy_values(deployment), arguments.get("flow"))
        if apply:
            register(deployment)
        return deployment

    def legacy_values(deployment):
        return {key: getattr(deployment, key, None) for key in fields_of(deployment)}

    def register(self, upload=False, work_queue_concurrency=None):
        _, arguments, before, flow = recorder.made.get(
            id(self), (self, {key: getattr(self, key) for key in fields_set(self)}, {}, None)
        )
        now = legacy_values(self)
        said = lambda key: key in arguments or (key in before and before[key] != now.get(key))
        declares, notes = {"name": self.name}, []
        for key in SAME:
            if said(key):
                declares[key] = now.get(key)
        if said("is_schedule_active") and now.get("is_schedule_active") is not None and "paused" not in declares:
            declares["paused"] = not now["is_schedule_active"]
        if said("schedule") or said("schedules"):
            # `schedule` first: Prefect makes `schedules` of it.
            listed = as_list(arguments.get("schedule") or arguments.get("schedules") or now.get("schedules") or [])
            declares["schedules"] = [schedule(one) for one in listed]
        if said("triggers") and now.get("triggers"):
            declares["triggers"] = [dump(one) for one in as_list(now["triggers"])]
        pool(declares, now.get("work_pool_name") if said("work_pool_name") else None,
             now.get("work_queue_name") if said("work_queue_name") else None)
        for key in ("storage", "infrastructure"):
            block = now.get(key)
            if not said(key) or block is None:
                continue
            reference = REFERENCES.get(id(block)) or reference_of(block)
            if reference is None:
                raise Refused(f"`{key}` is made in the file, and kept under no name: save the block once, and load it here")
            declares[key] = reference
        if said("path"):
            notes.append("`path` yields to the folder of the release")
        declares["flow_name"] = self.flow_name
        if flow is not None:
            file, name = entrypoint_of(flow)
        else:
            file, name = located(self.entrypoint)
        declares["entrypoint"] = name
        return recorder.add(declares, file, notes)

    Deployment.build_from_flow = classmethod(build_from_flow)
    Deployment.apply = register


# ---- Blocks

# id -> "slug/name"; the block itself is kept, so that its id stays its own.
REFERENCES = {}
KEPT = []


def reference_of(block):
    name = getattr(block, "_block_document_name", None)
    if name is None or getattr(block, "_is_anonymous", False):
        return None
    slug = getattr(block, "_block_type_slug", None) or type(block).get_block_type_slug()
    return f"{slug}/{name}"


def capture_blocks():
    try:
        from prefect.blocks.core import Block
    except ImportError:
        return

    def load(cls, name, *args, **kwargs):
        slug = None
        if "/" in str(name):
            slug, name = str(name).split("/", 1)
        construct = getattr(cls, "model_construct", None) or cls.construct
        block = construct()
        slug = slug or cls.get_block_type_slug()
        for key, value in (("_block_document_name", name), ("_is_anonymous", False)):
            object.__setattr__(block, key, value)
        REFERENCES[id(block)] = f"{slug}/{name}"
        KEPT.append(block)
        return block

    Block.load = classmethod(load)
    if hasattr(Block, "aload"):

        async def aload(cls, name, *args, **kwargs):
            return load(cls, name)

        Block.aload = classmethod(aload)

    def ask(cls, name, *args, **kwargs):
        raise Refused(f"{cls.__name__} would be asked of the server, and none is asked while a file is read")

    try:
        from prefect.variables import Variable

        Variable.get = classmethod(ask)
        if hasattr(Variable, "aget"):
            Variable.aget = classmethod(ask)
    except ImportError:
        pass
    try:
        from prefect.blocks.system import Secret

        def get(self):
            raise Refused("a secret's value is not known while a file is read: pass the block on by its name, {{ prefect.blocks.secret.NAME }}")

        Secret.get = get
    except ImportError:
        pass


def limit(memory):
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass


def place(error, root):
    """The last frame of the traceback that is in the repository: file, line, column."""
    found = (None, 0, 0)
    summary = traceback.TracebackException.from_exception(error)
    for frame in summary.stack:
        if os.path.abspath(frame.filename).startswith(root + os.sep):
            column = getattr(frame, "colno", None)
            found = (os.path.abspath(frame.filename), frame.lineno or 1, (column or 0) + 1)
    if isinstance(error, SyntaxError) and error.filename and found[0] is None:
        found = (os.path.abspath(error.filename), error.lineno or 1, error.offset or 1)
    return found


def traceback_of(error):
    """The lines of a traceback, without the frames of this program."""
    summary = traceback.TracebackException.from_exception(error)
    one = summary
    while one is not None:
        one.stack = traceback.StackSummary.from_list([frame for frame in one.stack if frame.filename != "<string>"])
        one = one.__cause__ or one.__context__
    return "".join(summary.format()).splitlines()[-60:]


def main():
    request = json.load(sys.stdin)
    # What the file prints belongs to the log, not to the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    file, folder, root = request["file"], request["folder"], request["root"]
    recorder = Recorder(file)
    # What a file leaves of its memory must be enough to tell its fault.
    ballast = bytearray(64 << 20)
    main_module = types.ModuleType("__main__")
    try:
        capture_blocks()
        capture_runner(recorder)
        capture_legacy(recorder)
        limit(request["memory"])
        sys.path.insert(0, folder)
        sys.argv = [file]
        main_module.__file__ = file
        main_module.__builtins__ = builtins
        sys.modules["__main__"] = main_module
        with open(file, "rb") as opened:
            code = compile(opened.read(), file, "exec")
        try:
            exec(code, main_module.__dict__)
        except SystemExit as stop:
            if stop.code not in (None, 0):
                raise
        result = {"registered": recorder.registered}
    except BaseException as error:
        del ballast
        if isinstance(error, MemoryError):
            main_module.__dict__.clear()
        where = place(error, root)
        result = {
            "error": traceback.format_exception_only(type(error), error)[-1].strip(),
            "traceback": traceback_of(error),
            "file": where[0],
            "line": where[1],
            "column": where[2],
        }
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        out.write("\n" + request["token"] + json.dumps(result) + "\n")
        out.flush()
        # Threads of Prefect's that wait for a server would hold the process.
        os._exit(0)


main()
