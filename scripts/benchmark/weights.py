"""What idle sessions weigh, and what the same number of interpreters in bubblewrap does."""

from __future__ import annotations

import os
import subprocess
from contextlib import AsyncExitStack, ExitStack

import attrs

from sandbox.errors import WouldNotStart
from sandbox.launcher import Launcher
from sandbox.profile import Profile
from scripts.benchmark import accounts, commands
from scripts.benchmark.probes import open_warm_box


@attrs.frozen
class Idle:
    """Sessions that have answered one call and now wait.

    Attributes:
        kind: what they have imported.
        sessions: how many were alive.
        memory: what they held together; None where only root may look.
        available_bytes: by how much less memory the machine had than before the first of them.
    """

    kind: str
    sessions: int
    memory: accounts.Memory | None
    available_bytes: int


async def idle(
    launcher: Launcher, profile: Profile, kind: str, numbers: tuple[int, ...]
) -> tuple[list[Idle], str | None]:
    """Keep more and more sessions alive and weigh them at each of `numbers`.

    Returns:
        What was found, and why there is nothing for the larger numbers if the machine would not go on.
    """
    found: list[Idle] = []
    await launcher.warm(profile)
    before = accounts.available_bytes()
    async with AsyncExitStack() as alive:
        count = 0
        try:
            for number in numbers:
                while count < number:
                    await alive.enter_async_context(open_warm_box(launcher, profile, commands.CODE[kind]))
                    count += 1
                found.append(Idle(kind, number, _weigh(), before - accounts.available_bytes()))
        except WouldNotStart as error:
            return found, f"no more than {count} sessions: {error}"
    return found, None


def _weigh() -> accounts.Memory | None:
    try:
        return accounts.sessions_memory(os.getpid())
    except PermissionError:
        return None


def beside(command: commands.Command, number: int) -> float:
    """Return the bytes that one of `number` idle processes started by `command` holds (PSS).

    Args:
        command: prints a line when it is ready, and ends with its standard input.
        number: how many run at once, for what they share to be shared out.
    """
    with ExitStack() as stack:
        started = [_start(stack, command) for _ in range(number)]
        return sum(accounts.proportional_bytes(each.pid) for each in started) / number


def _start(stack: ExitStack, command: commands.Command) -> subprocess.Popen[bytes]:
    process = stack.enter_context(  # on the way out its standard input is closed, and its end waited for
        subprocess.Popen(
            command.arguments,
            env=command.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
        )
    )
    if process.stdout is None or not process.stdout.readline():
        msg = f"a process to be weighed did not come up: {command.arguments[0]}"
        raise RuntimeError(msg)
    return process
