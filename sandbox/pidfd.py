"""A process held by descriptor: it cannot be mistaken for another that got its number later."""

from __future__ import annotations

import os
import select
import signal

import attrs
import trio


@attrs.define(eq=False)
class HeldProcess:
    """A pidfd that came from a zygote or an init; the process is no child of ours."""

    _descriptor: int

    def pid(self) -> int:
        """Return its pid as seen from here; 0 or less once it is gone."""
        file = os.open(f"/proc/self/fdinfo/{self._descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _, found, rest = os.read(file, 4096).partition(b"\nPid:")
        finally:
            os.close(file)
        return int(rest.partition(b"\n")[0]) if found else -1

    def send(self, number: int) -> None:
        """Send a signal; nothing happens when the process is gone already."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            pass

    def cpu_seconds(self) -> float:
        """Return the CPU time of it and of the children that it has waited for; 0 when it cannot be read."""
        try:
            with open(f"/proc/{self.pid()}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return 0.0
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def has_ended(self) -> bool:
        """Whether it has ended; whether it has been reaped does not matter."""
        if self._descriptor < 0:
            return True
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        return bool(poller.poll(0))

    async def wait_ended(self) -> None:
        """Wait until it has ended, or was let go of here."""
        try:
            await trio.lowlevel.wait_readable(self._descriptor)
        except trio.ClosedResourceError:
            pass

    def kill(self) -> None:
        """SIGKILL. For the init of a PID namespace it takes everything in the namespace along."""
        self.send(signal.SIGKILL)

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            trio.lowlevel.notify_closing(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
