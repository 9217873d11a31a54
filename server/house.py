"""Everything that a running server consists of, opened in order and closed in reverse."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import attrs

from sandbox import open_files
from sandbox.doctor import few_open_files, missing
from sandbox.errors import SandboxError
from sandbox.launcher import open_launcher
from server.errors import StartupError
from server.http.app import create_app
from server.http.cookies import CookieSigner
from server.http.framework import Framework
from server.http.front import Front
from server.http.hot_path import HotPath
from server.http.operations import RESERVED
from server.loading import EnvironmentNotFoundError, load_environment
from server.logs import get_logger
from server.receipts.keys import KeyFileError
from server.sandboxes.errands import profile_like
from server.sandboxes.registry import open_sandboxes
from server.sandboxes.routes import Routes as SandboxRoutes
from server.sessions.registry import Sessions, open_sessions
from server.states.shelves import ShelfError
from tools.registry import ToolError

if TYPE_CHECKING:
    from server.environment import Environment
    from server.http.asgi_types import App
    from server.settings import Settings


log = get_logger("house")


LESS_THAN_FULL = {
    "landlock": "sessions share the machine's namespaces: docs/security.md says what that gives away",
    "none": "model code runs WITHOUT ISOLATION, as a program that anybody could start here",
}
"""What a server of such a tier says at each start."""


@attrs.frozen
class House:
    """A server that is ready: its sessions, and the application that leads to them."""

    sessions: Sessions
    front: Front


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncGenerator[House]:
    """Open a server without a network: launcher, sessions, application.

    Leaving the block ends every session and waits until nothing of them is left.

    Raises:
        StartupError: it cannot be opened with these settings on this machine.
    """
    environment = _environment(settings.environment)
    _require_judge(environment, settings)
    lanes, on_standby = _size(environment, settings)
    open_files.allow(settings.max_sessions + on_standby, lanes)
    few = few_open_files(settings.max_sessions, on_standby, lanes)
    if few.cause:
        log.warning("few_open_files", why=few.cause, remedy=few.remedy)
    if settings.tier != "full":
        log.warning("less_than_full_isolation", tier=settings.tier, why=LESS_THAN_FULL[settings.tier])
    is_open = False
    try:
        async with (
            open_launcher(
                tier=settings.tier, standby=settings.standby, shares_locks=settings.shared_locks
            ) as launcher,
            open_sessions(environment, launcher, settings) as sessions,
            AsyncExitStack() as stack,
        ):
            is_open = True
            ground = sessions.ground
            if shared := ground.launcher.why_shared(ground.profile):
                locks = ground.launcher.posture(ground.profile).locks
                log.warning("no_inodes_of_their_own", locks=locks, why=shared, remedy="see `creche doctor`")
            cookies = CookieSigner(settings.secret, settings.cookie_name)
            app = create_app(settings.body_bytes, settings.body_seconds)
            if settings.sandbox_token is not None:
                sandboxes = await stack.enter_async_context(
                    open_sandboxes(sessions.ground, settings.max_waiting)
                )
                SandboxRoutes(sandboxes, settings.sandbox_token, settings.body_bytes).add_to(app)
            framework = Framework(cast("App", app), settings.body_bytes)
            inner: App = HotPath(
                framework, environment.toolbox.tools, settings.body_bytes, settings.body_seconds
            )
            if settings.mcp:
                inner = await stack.enter_async_context(_open_mcp(inner, environment, settings))
            yield House(sessions, Front(inner, sessions, cookies, offers_mcp=settings.mcp))
    except (ShelfError, KeyFileError) as error:
        raise StartupError(str(error)) from error
    except SandboxError as error:
        if is_open:
            raise
        if settings.tier != "full":
            msg = f"no session of the tier {settings.tier!r} could be started: {error}"
            raise StartupError(msg) from error
        python = settings.python or environment.profile.python
        raise await _refusal(error, python) from error


def _environment(name: str) -> Environment[Any]:
    try:
        environment = load_environment(name)
        taken = sorted(RESERVED & environment.toolbox.tools.keys())  # resolves the tools, or raises
    except (EnvironmentNotFoundError, ToolError) as error:
        raise StartupError(str(error)) from error
    if taken:
        msg = f"a tool cannot be named {taken[0]!r}, since that is a route of the server; name it otherwise"
        raise StartupError(msg)
    return environment


def _size(environment: Environment[Any], settings: Settings) -> tuple[int, int]:
    """Return how many lanes a session may have, and how many sessions there may be on standby."""
    profiles = [environment.toolbox.equip(environment.profile)]
    if settings.sandbox_token is not None:
        profiles.append(profile_like(environment.profile))
    lanes = max(len({handler.lane for handler in profile.handlers}) for profile in profiles)
    return lanes, settings.standby * (len(profiles) + 1)  # some wait for verdicts, too


def _require_judge(environment: Environment[Any], settings: Settings) -> None:
    """Refuse now what would mask every rollout later."""
    if settings.judge_url is None and environment.needs_judge():
        msg = (
            f"{environment.name} is judged by a language model, and there is none: set judge_url and "
            "judge_model (from NeMo Gym: judge_model_server in the resources server's entry)"
        )
        raise StartupError(msg)
    if settings.judge_url is not None and not settings.judge_url.startswith(("http://", "https://")):
        msg = f"judge_url must begin with http:// or https://, not {settings.judge_url!r}"
        raise StartupError(msg)
    if settings.judge_url is not None and find_spec("httpx") is None:
        msg = "judge_url needs the extra 'judge', and httpx is missing: pip install 'creche[judge]'"
        raise StartupError(msg)


async def _refusal(error: SandboxError, python: str | None) -> StartupError:
    """Say why no session could be started: in the doctor's words, where the doctor knows."""
    try:
        causes = "; ".join(map(str, await missing(python)))
    except SandboxError:
        causes = ""
    return StartupError(f"no session could be started: {causes or error}")


def _open_mcp(
    app: App, environment: Environment[Any], settings: Settings
) -> AbstractAsyncContextManager[App]:
    try:
        from server.mcp.endpoint import open_endpoint  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        msg = f"mcp = true needs the extra 'mcp', and {error.name} is missing: pip install 'creche[mcp]'"
        raise StartupError(msg) from error
    return open_endpoint(app, environment, settings.body_bytes, settings.body_seconds)
