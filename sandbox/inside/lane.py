"""A lane: one process of a session that runs one kind of tool, one call at a time, and keeps its state.

Forked by init, it is confined already. It reads request frames, calls the function asked for, and writes
reply frames; standard output and error are pipes that the server reads while the call runs. From its first
call on it counts as hostile: what it writes is data, and nothing here can be relied on for safety. It may be
interrupted by SIGINT at a call's deadline, and killed.

Descriptors of a lane: 0 is /dev/null, 1 and 2 its streams, 3 requests, 4 replies. 3 and 4 are close-on-exec.
"""

from __future__ import annotations

import gc
import importlib
import linecache
import os
import resource
import signal
import sys
import types
from typing import Any, Callable

from sandbox import frames
from sandbox.inside.confinement import Confinement
from sandbox.linux import privileges

Toolbox = dict[str, dict[str, Callable[..., Any]]]
"""Lane name to handler name to function."""

_REQUESTS, _REPLIES = 3, 4
_CHUNK = 1 << 16
_DESCRIPTORS = 1024
_REHEARSALS = 10  # CPython 3.11 specialises what has run eight times


def make_ready() -> None:
    """Do, once and in the zygote, what every lane needs of its interpreter."""
    sys.argv = [""]
    sys.path.insert(0, "")  # modules in the working directory can be imported, as in any interactive Python
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]


def load_toolbox(handlers: list[dict[str, Any]]) -> Toolbox:
    """Import or define every handler of a profile.

    Args:
        handlers: dicts with the fields of `sandbox.profile.Handler`.
    """
    toolbox: Toolbox = {}
    made: dict[str, types.ModuleType] = {}
    for handler in handlers:
        module_name, _, function_name = handler["target"].partition(":")
        source = handler["source"]
        if source is None:
            module = importlib.import_module(module_name)
        else:
            key = module_name + "\0" + source
            module = made.get(key) or _module_from(module_name, source)
            made[key] = module
        function = getattr(module, function_name)
        toolbox.setdefault(handler["lane"], {})[handler["name"]] = getattr(function, "function", function)
    return toolbox


def _module_from(name: str, source: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    linecache.cache[f"<{name}>"] = (len(source), None, source.splitlines(keepends=True), f"<{name}>")
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 - the environment author's own tool
    return module


def rehearse(toolbox: Toolbox, name: str | None) -> None:
    """Make a few calls as a lane does, so that what Python makes on first use is made before any fork.

    Patterns are compiled, caches filled, bytecode specialised: once, and shared, where each session would do
    it for itself. What comes of the calls makes no difference.

    Args:
        toolbox: what lanes can run.
        name: the profile's rehearsal; without one a call of nothing has to do.
    """
    functions = {tool: function for lane in toolbox.values() for tool, function in lane.items()}
    request: dict[str, Any] = {"id": 0, "tool": name or "", "arguments": {}}
    main = sys.modules["__main__"]
    for _ in range(_REHEARSALS):
        reader = frames.FrameReader(frames.MAX_REQUEST_BYTES)
        reader.feed(frames.encode(request, frames.MAX_REQUEST_BYTES))
        reply = _call({"": _nothing, **functions}, {}, reader.next_message() or {})
        frames.encode(reply, frames.MAX_REPLY_BYTES)
    sys.modules["__main__"] = main


def _nothing(_: dict[str, Any]) -> None:
    pass


def run(name: str, pipes: list[int], toolbox: Toolbox, confinement: Confinement, folder: str) -> None:
    """Be the lane `name` from the fork on; does not return."""
    status = 1
    try:
        _take_descriptors(pipes)
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # between calls; a late interrupt must not end the loop
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)  # as Python does at its start: they become exceptions
        gc.enable()  # the zygote switched it off; what it froze stays out of the collector's sight
        privileges.set_dumpable(dumpable=True)
        _limit_descriptors()
        confinement.restrict_lane(folder)
        _serve(toolbox.get(name, {}))
        status = 0
    finally:
        os._exit(status)


def _limit_descriptors() -> None:
    """Allow fewer descriptors than init, zygote and server have.

    The kernel counts descriptors in flight by user, and refuses whoever sends more while there are as many as
    its own limit. To an ordinary user's server its sessions are that same user: with a limit as high as ours,
    one could keep init and zygote from handing over what they must, and end every session by it.
    """
    most = min(_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _take_descriptors(pipes: list[int]) -> None:
    requests, replies, stdout, stderr = pipes
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    lifted = [
        os.dup2(source, 64 + index) for index, source in enumerate((null, stdout, stderr, requests, replies))
    ]
    for target, source in enumerate(lifted):
        os.dup2(source, target, inheritable=target <= 2)  # noqa: PLR2004 - the three standard streams
    privileges.close_all_but(range(5))


def _serve(functions: dict[str, Callable[..., Any]]) -> None:
    reader = frames.FrameReader(frames.MAX_REQUEST_BYTES)
    state: dict[str, Any] = {}
    own = os.getpid()
    while True:
        request = reader.next_message()
        if request is None:
            data = os.read(_REQUESTS, _CHUNK)
            if not data:
                return
            reader.feed(data)
            continue
        reply = _call(functions, state, request)
        if os.getpid() != own:
            os._exit(0)  # a child that the call forked and that came back from it: the answer is its parent's
        try:
            frame = frames.encode(reply, frames.MAX_REPLY_BYTES)
        except (frames.FrameError, TypeError, ValueError, RecursionError) as error:
            reply = {
                "id": request["id"],
                "outcome": "error",
                "value": None,
                "error": f"unusable result: {error}",
            }
            frame = frames.encode(reply, frames.MAX_REPLY_BYTES)
        _write(frame)


def _call(
    functions: dict[str, Callable[..., Any]], state: dict[str, Any], request: dict[str, Any]
) -> dict[str, Any]:
    outcome, value, error = "ok", None, None
    try:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            value = functions[request["tool"]](state, **request["arguments"])
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        outcome, error = "error", "KeyboardInterrupt: the call was interrupted"
    except BaseException as raised:  # noqa: BLE001 - whatever it is, it is the call's outcome
        outcome, value = (
            "error",
            # `tools.registry.Failed` sets the mark, and cannot be imported here.
            getattr(raised, "value", None) if getattr(type(raised), "carries_value", False) else None,
        )
        error = None if value is not None else _describe(raised)
    _flush()
    return {"id": request["id"], "outcome": outcome, "value": value, "error": error}


def _describe(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - a hostile __str__
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001, S110 - the call may have closed or replaced it
            pass


def _write(frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[os.write(_REPLIES, view) :]
