"""The zygote: PID 1 of a cage. Imports once, then forks a session whenever it is asked to.

Single-threaded for its whole life, which is what makes forking a Python process sound; a profile whose code
starts a thread beforehand is refused. It runs no model code. Its only inputs are the steering socket and
the deaths of its children; the end of file on the socket means that the server is gone, and exiting then ends
every session, because this is PID 1 of the namespace that they live in. Where there is no namespace it adopts
what a dead session has left, and wipes it away before it reports the death (`sandbox.inside.plain`).
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from sandbox import packets
from sandbox.inside import guard, heap, init, lane, rlimits, root
from sandbox.inside.confinement import Confinement
from sandbox.inside.processes import END_SECONDS, hold, wipe, wipe_after
from sandbox.linux import mounts, namespaces, privileges

# A network of its own even without a loopback: names of UNIX sockets are listed and taken there.
_SESSION_NAMESPACES = (
    namespaces.NEWUSER | namespaces.NEWPID | namespaces.NEWNS | namespaces.NEWUTS | namespaces.NEWIPC
    | namespaces.NEWNET
)  # fmt: skip

_PYTHONS = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python does not leave as it finds them."""


def main() -> None:
    """Prepare, report readiness, serve until the server is gone."""
    _forget_signals()
    _, spec_descriptor, steering_descriptor = sys.argv[1:4]
    steering = socket.socket(fileno=int(steering_descriptor))
    steering.settimeout(None)
    fcntl.fcntl(steering, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    try:
        with open(int(spec_descriptor), encoding="utf-8") as file:
            file.seek(0)
            spec = json.load(file)
        zygote = Zygote(spec, steering)
        zygote.prepare()
    except BaseException as error:  # noqa: BLE001 - reported, then this process ends
        packets.send_last(
            steering,
            {"op": "failed", "step": "preparing the zygote", "error": f"{type(error).__name__}: {error}"},
        )
        os._exit(1)
    zygote.serve()


def _forget_signals() -> None:
    """Undo what whoever started the server has ignored or blocked: ``nohup`` does, and ``&`` in a script."""
    for number in signal.valid_signals().difference(_PYTHONS):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


class Zygote:
    """Forks sessions on request and reports how they ended."""

    def __init__(self, spec: dict[str, Any], steering: socket.socket) -> None:
        """Take the cage's specification and the socket to the server."""
        self._spec = spec
        self._steering = steering
        self._sessions: dict[int, str] = {}
        self._guarded: list[int] = []
        self._forks_into_groups = True
        self._proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._as_servers = -1

    def prepare(self) -> None:
        """Import what sessions shall find imported, and report that requests may come."""
        ours = self._spec["import_path"]
        sys.path[:] = [entry for entry in sys.path if entry and entry not in ours] + ours
        times: dict[str, float] = {}
        for name in self._spec["preload"]:
            started = time.perf_counter()
            importlib.import_module(name)
            times[name] = time.perf_counter() - started
            _require_one_thread(f"preloading {name!r}", "drop it from the profile")
        lane.make_ready()
        rlimits.set_common()
        self._toolbox = lane.load_toolbox(self._spec["handlers"])
        _require_one_thread("loading the tools' modules", "start threads in calls only")
        why_shared = self._part_sessions() if self._spec["namespaces"] else ""
        self._confinement = Confinement.of(self._spec, own_root=self._spec["namespaces"] and not why_shared)
        if not self._confinement.namespaces:
            privileges.adopt_orphans()
        if self._spec["subordinate"]:
            self._as_servers = namespaces.open_mapped(self._proc, init.USER, 0)
        lane.rehearse(self._toolbox, self._spec["rehearsal"])
        _require_one_thread("the rehearsal", "have it start none")
        # Python's own dispositions are undone here, once, so that inits and lanes start with the kernel's.
        for number in _PYTHONS:
            signal.signal(number, signal.SIG_DFL)
        heap.share()
        own = os.pidfd_open(os.getpid())
        packets.send(
            self._steering,
            {
                "op": "ready",
                "python": sys.version.split()[0],
                "landlock": self._confinement.landlock,
                "preload_seconds": times,
                "why_shared": why_shared,
            },
            [own],
        )
        os.close(own)

    def _part_sessions(self) -> str:
        """See to it that no lock of one session is met by another; return what stands in the way, or ''."""
        refused = root.why_not(root.layers_of(self._spec), self._proc, init.USER)
        if not refused:
            try:
                self._guarded = guard.occupy()
            except OSError as error:
                refused = str(error)
        return refused

    def serve(self) -> None:
        """Answer requests and report deaths until the server hangs up; does not return."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, init.wake)
        poller = select.poll()
        poller.register(self._steering, select.POLLIN)
        poller.register(wake_read, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poller.poll()]
            try:
                if wake_read in ready:
                    os.read(wake_read, 4096)
                    self._reap()
                if self._steering.fileno() in ready:
                    packet = packets.receive(self._steering)
                    if packet is None:
                        self._leave()
                    self._obey(*packet)
            except (BrokenPipeError, ConnectionResetError):
                self._leave()  # the server hung up between a request and our answer

    def _leave(self) -> NoReturn:
        if not self._confinement.namespaces:
            wipe_after(END_SECONDS)
        os._exit(0)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            session = self._sessions.pop(pid, None)
            if session is not None:
                if not self._confinement.namespaces:
                    wipe(spare=self._sessions)
                packets.send(
                    self._steering,
                    {
                        "op": "ended",
                        "session": session,
                        "status": os.waitstatus_to_exitcode(status),
                        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 6),
                    },
                )

    def _fork(self, group: int) -> tuple[int, int, bool]:
        """Fork a session, where possible right into its control group; the last tells whether it is there."""
        try:
            if not self._confinement.namespaces:
                pid = os.fork()
                return (pid, hold(pid), False) if pid else (0, -1, False)
            if group >= 0 and self._forks_into_groups:
                try:
                    return (*namespaces.fork_into(_SESSION_NAMESPACES, group), True)
                except OSError as error:
                    if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOENT):
                        raise
                    self._forks_into_groups = False  # groups are laid out in another way here: init joins
            return (*namespaces.fork_into(_SESSION_NAMESPACES), False)
        finally:
            if group >= 0:
                os.close(group)

    def _obey(self, request: dict[str, Any], descriptors: list[int]) -> None:
        if request["op"] == "session":
            self._start_session(request, descriptors)
        else:
            self._show(request["session"], descriptors)

    def _show(self, session: str, descriptors: list[int]) -> None:
        """Have a session's files be the server's own, for whoever holds this descriptor of their tree.

        It takes rights over both users. This process has them: 0 in the cage is the server outside.
        """
        error = "" if descriptors else "no descriptors left"
        for tree in descriptors:
            try:
                mounts.map_ids(tree, self._as_servers)
            except OSError as refused:
                error = str(refused)
            os.close(tree)
        packets.send(self._steering, {"op": "shown", "session": session, "error": error})

    def _start_session(self, request: dict[str, Any], descriptors: list[int]) -> None:
        session = request["session"]
        ours: list[int] = []
        try:
            if not descriptors:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # noqa: TRY301 - answered like the rest
            mapped_read, mapped_write = ours = list(os.pipe())
            group = descriptors.pop() if request["has_group_folder"] else -1
            pid, pidfd, is_in_group = self._fork(group)
        except OSError as error:
            for descriptor in (*descriptors, *ours):
                os.close(descriptor)
            packets.send(self._steering, {"op": "failed", "session": session, "error": str(error)})
            return
        if pid == 0:
            signal.set_wakeup_fd(-1)
            init.run(
                request,
                descriptors[: init.BEFORE_GROUPS] if is_in_group else descriptors,
                mapped_read,
                toolbox=self._toolbox,
                confinement=self._confinement,
            )
        self._sessions[pid] = session
        try:
            if self._confinement.namespaces:
                namespaces.write_maps(self._proc, str(pid), init.USER, request["user"] or 0, 1)
            os.write(mapped_write, b"m")
        except OSError:
            pass  # it died already, or dies of the end of file on its pipe; `_reap` reports it
        try:
            packets.send(self._steering, {"op": "started", "session": session}, [pidfd])
        except OSError:  # too many descriptors are in flight: without this one it waits for the session's end
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            packets.send(self._steering, {"op": "started", "session": session})
        for descriptor in (*descriptors, *ours, pidfd):
            os.close(descriptor)


def _require_one_thread(what: str, remedy: str) -> None:
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        msg = f"{what} started {threads - 1} thread(s), which makes forking unsafe; {remedy}"
        raise RuntimeError(msg)
