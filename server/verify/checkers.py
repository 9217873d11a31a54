"""A task's own checker: a program that says whether another program's output is right.

For tasks with more than one right answer. It runs where the candidate never ran, in a fresh sandbox with
three files in its working directory, whose names are its arguments too: ``input.txt``, ``output.txt`` (what
the candidate printed) and ``expected.txt``. Exit code 0 says right; everything else, and not ending in time,
says wrong: only the candidate's output differs from case to case, so what a checker stumbles over is the
candidate's.
"""

from __future__ import annotations

import attrs

from sandbox.limits import Limits
from sandbox.observation import Outcome
from server.verify.boxes import LIMITS, OpensSandboxes, ask, backstop
from server.verify.exits import exit_code_of
from server.verify.verdicts import UnusableTestError

_SHOWN = 300
_FILES = ("input.txt", "output.txt", "expected.txt")


@attrs.frozen(kw_only=True)
class Checker:
    """A checker program in Python.

    Attributes:
        source: the program.
        cpu_seconds: processor time of each run.
        wall_seconds: the backstop; None for ten times that.
        limits: bounds of its sandbox.
    """

    source: str
    cpu_seconds: int = 10
    wall_seconds: float | None = None
    limits: Limits = LIMITS

    def require_usable(self) -> None:
        """Raise UnusableTestError if the checker does not compile, whoever the candidate is."""
        try:
            compile(self.source, "checker.py", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            msg = f"the task's checker does not compile: {error}"
            raise UnusableTestError(msg) from None

    async def check(self, opener: OpensSandboxes, stdin: str, expected: str, printed: str) -> str | None:
        """Return None if the checker accepts `printed`, else why not.

        Raises:
            SandboxError: a sandbox could not be had.
        """
        files = dict(zip(_FILES, (stdin, printed, expected), strict=True))
        arguments = {
            "source": self.source,
            "stdin": "",
            "cpu_seconds": self.cpu_seconds,
            "files": files,
            "argv": list(_FILES),
        }
        async with opener.open_sandbox(self.limits) as box:
            seen = await ask(box, "run_program", arguments, backstop(self.cpu_seconds, self.wall_seconds))
        if seen.outcome is not Outcome.OK:
            return f"the checker came to no end: {seen.outcome}"
        if exit_code_of(seen) == 0:
            return None
        said = (seen.stdout.strip() or seen.stderr.strip())[-_SHOWN:]
        return f"Wrong answer: {said}" if said else "Wrong answer"
