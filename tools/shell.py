"""A bash process that is handed one command after the other and keeps its state between them.

Theory of operation::

    this process ── pipe "script" ──►  bash, fd 0        two fixed lines per command: source it, report $?
                 ── memfd "command" ─► bash, fd n        the command's text, sourced from /proc/self/fd/n
                 ◄── pipe "status" ──  bash, fd m        "$?" and a newline; commands do not have it

**Why sourced, and not eval'ed in a loop.** A `break`, `return`, syntax error or open quote in the command
stays in the command, and no variable of ours is visible in the shell.

**Why ``-i``.** Only an interactive bash gives up a running command on SIGINT and lives on, however deep in
loops, functions and substitutions it is; a trap cannot unwind those. It also survives ``set -u`` and
``${x?}``. What else interactive means is turned off: job control, history, line editing, prompts, mail.

**Signals.** The shell leads a session and process group of its own. Its children share the group, since there
is no job control; those started with ``&`` have SIGINT ignored, so interrupting the group spares them.

**No marker in stdout, and no end of file.** Background jobs may keep stdout open for ever; the call ends when
the status arrives, or when the shell does, which a pidfd (or looking every few milliseconds) tells.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass

from tools.anonymous import anonymous_file, fill

_FIRST_DESCRIPTOR = 60
"""Descriptors that bash inherits start here: clear of 0 to 9, for scripts, and of bash's own from 10 on."""

_INTERRUPT_SECONDS = 0.7
"""How long an interrupted command may take to end; the server's grace is about a second."""

_INTERRUPT_AGAIN_SECONDS = 0.1
_LOOK_SECONDS = 0.02

_ARGUMENTS = ("bash", "--norc", "--noprofile", "--noediting", "-i", "+m", "+H", "-s")
# stderr is /dev/null until here: an interactive bash complains that it has no terminal. PROMPT_COMMAND
# empties PS1 again before each prompt, because scripts such as a venv's `activate` set it, and prompts go to
# stderr.
_SET_UP = (
    "exec 2>&{stderr} {stderr}>&-; set +o history; shopt -s execfail; unset HISTFILE MAILCHECK TMOUT; "
    "export -n PS1 PS2; PROMPT_COMMAND='PS1='\n"
)
# Two lines, because an interrupt abandons the rest of the line that it hits. The redirection of the status
# descriptor is undone by bash after the command, from a close-on-exec copy.
_RUN = ". /proc/self/fd/{command} {status}>&- </dev/null\n\\builtin printf '%d\\n' \"$?\" >&{status}\n"


@dataclass(frozen=True)
class Answer:
    """What came of a command.

    Attributes:
        exit_code: as bash says it, 128+n for signal n; None when the shell had to be killed.
        shell_ended: whether the shell is gone, by its own doing or because it could not be interrupted.
        interrupted: whether the deadline ended the command.
    """

    exit_code: int | None
    shell_ended: bool = False
    interrupted: bool = False


class Shell:
    """One bash process. It must not be used once it `has_ended`."""

    def __init__(self) -> None:
        """Start it, in the current directory, with our stdout and stderr.

        Raises:
            OSError: it could not be started; nothing is left of it.
        """
        environment = {
            name: text for name, text in os.environ.items() if name not in ("PROMPT_COMMAND", "PS0")
        }
        environment.update(PS1="", PS2="")
        with contextlib.ExitStack() as on_failure:
            self._status, status = _pipe()
            on_failure.callback(os.close, self._status)
            self._command = _high(anonymous_file())
            on_failure.callback(os.close, self._command)
            stderr = _high(os.dup(2))
            try:
                self._process = subprocess.Popen(
                    _ARGUMENTS,
                    executable="/bin/bash",
                    stdin=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                    env=environment,
                    pass_fds=(self._command, status, stderr),
                    start_new_session=True,
                )
            finally:
                os.close(status)
                os.close(stderr)
            on_failure.pop_all()
        self._exit = exit_descriptor(self._process.pid)
        self._run_lines = _RUN.format(command=self._command, status=status).encode()
        self._first_lines = _SET_UP.format(stderr=stderr).encode()

    def run(self, script: bytes) -> Answer:
        """Run `script` in the shell and wait until it is through.

        Raises:
            OSError: there is no room for the script. Nothing of it was run, and the shell is as it was.

        Deadline:
            A ``KeyboardInterrupt`` meanwhile interrupts the script, not the shell, and is turned into an
            `Answer`. If the script does not end within `_INTERRUPT_SECONDS` the shell's whole session is
            killed.
        """
        fill(self._command, script)
        try:
            self._start()
            return self._wait(None) or Answer(None)
        except KeyboardInterrupt:
            return self._interrupt()
        except BaseException:
            self._kill()
            raise

    @property
    def has_ended(self) -> bool:
        """Whether a call has seen its end, or brought it about."""
        return self._process.returncode is not None

    def _start(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._status, 4096):  # what a command may have forged is not to answer for the next
                pass
        lines, self._first_lines = self._first_lines + self._run_lines, b""
        assert self._process.stdin is not None  # noqa: S101  (Popen was told PIPE)
        with contextlib.suppress(BrokenPipeError):  # ended between two calls: waiting finds out
            self._process.stdin.write(lines)

    def _wait(self, seconds: float | None) -> Answer | None:
        """Wait for the status or for the shell's end; None if neither came in time."""
        deadline = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if self._exit is not None:
            poll.register(self._exit, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            look = (
                left
                if self._exit is not None
                else min(_LOOK_SECONDS, _LOOK_SECONDS if left is None else left)
            )
            ready = [descriptor for descriptor, _ in poll.poll(None if look is None else look * 1000)]
            answer = self._reported() if self._status in ready else None
            if answer is None and (code := self._process.poll()) is not None:
                # A last look: a shell that was told to end may have reported first.
                answer = self._reported() or Answer(code if code >= 0 else 128 - code, shell_ended=True)
                answer = Answer(answer.exit_code, shell_ended=True)
                self._close()
            if answer is not None:
                return answer
            if left == 0.0:
                return None
            if self._status in ready:  # closed without a word, yet the shell lives for another moment
                poll.unregister(self._status)

    def _reported(self) -> Answer | None:
        """Return what the status pipe says, None if it says nothing sensible."""
        try:
            word = os.read(self._status, 64).strip()
        except BlockingIOError:
            return None
        return Answer(int(word)) if word.isdigit() and len(word) <= 3 else None  # noqa: PLR2004

    def _interrupt(self) -> Answer:
        """Make the shell give up its command, or give up the shell."""
        answer = None
        end = time.monotonic() + _INTERRUPT_SECONDS
        try:
            while answer is None and time.monotonic() < end:
                # Once more now and then: the first may have hit a program that was just being started.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGINT)
                answer = self._wait(_INTERRUPT_AGAIN_SECONDS)
        finally:
            if answer is None:
                self._kill()
        if answer is None:
            return Answer(None, shell_ended=True, interrupted=True)
        return Answer(answer.exit_code, shell_ended=answer.shell_ended, interrupted=True)

    def _kill(self) -> None:
        """Kill the shell and what it started, apart from what left its session; wait until it is gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            for pid in _session_of(self._process.pid):  # jobs that `set -m` gave groups of their own
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
        self._close()

    def _close(self) -> None:
        """Close our ends; twice is fine."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        for descriptor in (self._status, self._command, self._exit):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._status = self._command = -1
        self._exit = None


def _high(descriptor: int) -> int:
    """Move `descriptor` up to where commands do not use descriptors themselves."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
    finally:
        os.close(descriptor)


def _pipe() -> tuple[int, int]:
    """Return a pipe whose reading end does not block and whose writing end is high."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, _high(writing)


def exit_descriptor(pid: int) -> int | None:
    """Return a descriptor that is readable once `pid` has ended, or None where there is none to be had."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _session_of(leader: int) -> list[int]:
    """Return the processes of the session that `leader` leads, as far as /proc shows them."""
    found: list[int] = []
    try:
        names = os.listdir("/proc")
    except OSError:
        return found  # a tier in which a session may not look at processes
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()  # a command's name may hold anything
                if int(fields[3]) == leader:
                    found.append(int(name))
    return found
