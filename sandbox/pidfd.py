"""A process held by descriptor: it cannot be mistaken for another that got its number later."""

from __future__ import annotations

import os
import signal

import attrs


@attrs.define(eq=False)
class HeldProcess:
    """A pidfd that came from a zygote or an init; the process is no child of ours."""

    _descriptor: int

    def pid(self) -> int:
        """Return its pid as seen from here; 0 or less once it is gone."""
        with open(f"/proc/self/fdinfo/{self._descriptor}", encoding="ascii") as file:
            for row in file:
                if row.startswith("Pid:"):
                    return int(row.split()[1])
        return -1

    def send(self, number: int) -> None:
        """Send a signal; nothing happens when the process is gone already."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """SIGKILL. For the init of a PID namespace it takes everything in the namespace along."""
        self.send(signal.SIGKILL)

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
