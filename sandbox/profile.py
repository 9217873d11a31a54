"""What a kind of session starts from: interpreter, libraries, preloaded modules, tools, network."""

from __future__ import annotations

from typing import Literal

import attrs

from sandbox.limits import Limits

Network = Literal["none", "loopback"]


@attrs.frozen(kw_only=True)
class Handler:
    """One function that the far side can be asked to run.

    Attributes:
        name: what it is called by.
        lane: which worker process of the session runs it. A lane runs one call at a time, keeps its own
            `state`, and can be killed and replaced without touching the other lanes.
        target: ``"module:function"``. Either of the shipped `tools` package, or, with `source`, of the
            throw-away module made from that source.
        source: Python source to define the function from, or None to import `target`'s module.
        streams: whether the lane's stdout and stderr belong to the observation.
    """

    name: str
    lane: str
    target: str
    source: str | None = None
    streams: bool = False


@attrs.frozen(kw_only=True)
class Profile:
    """What a cage is built from; sessions of one profile share one cage and one zygote.

    Attributes:
        name: names the profile in logs and metrics.
        python: path of the interpreter (Python 3.9 or later); None is the base interpreter that the server
            itself runs on. It is seen read-only at a neutral path.
        site_packages: a folder of third-party packages, mounted whole and read-only; None for none.
        packages: distributions of the *server's* environment to let in, with what they require. Only their
            own folders are mounted: the environment may hold data sets, and a session must not read those.
        preload: modules the zygote imports once, so that sessions have them for nothing.
        network: ``"none"``, or ``"loopback"`` for a network namespace of its own with lo up.
        handlers: what sessions can be asked to run. The first one's lane is started with the session.
        rehearsal: name of a handler that the zygote runs, without arguments, a few times, and a session on
            standby once more before it is given out, so that its first call is as quick as the second. It
            must leave no trace. None for none.
        limits: bounds of a session unless a call to `open_sandbox` brings others.
    """

    name: str = "python"
    python: str | None = None
    site_packages: str | None = None
    packages: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    network: Network = "none"
    handlers: tuple[Handler, ...] = ()
    rehearsal: str | None = None
    limits: Limits = Limits()
