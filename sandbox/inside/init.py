"""Init: PID 1 of a session. Sets the session up, gives up every privilege, then starts lanes and reaps.

It is our code and runs none of the model's. It is not dumpable, so nothing in the session may look into it or
at its descriptors; as PID 1 it is immune to signals from inside its namespace; and it holds the line to the
server: when that line ends, it exits, and the kernel kills whatever else is in the namespace.

Where the tier has no namespaces the plan leaves out what needs them: the session gets a folder instead of a
file system, init adopts orphans instead of being PID 1, and ends the session when the zygote has died
(`sandbox.inside.plain`).

The order of the set-up matters. Control groups come first, so that all memory is charged to the session.
Mounts need the capabilities of the new user namespace, so they come before those are dropped; Landlock and
seccomp need no_new_privs and come last, because they would forbid the rest. Everything set here is inherited
by the lanes: there is one policy per session, not one per process.
"""

from __future__ import annotations

import fcntl
import functools
import os
import select
import signal
import socket
import struct
import types
from typing import Any, NoReturn

from sandbox import packets
from sandbox.inside import lane, plain, rlimits, root
from sandbox.inside.confinement import Confinement
from sandbox.inside.processes import below, hold, kill_family, snapshot, wipe
from sandbox.inside.quota import Quota
from sandbox.inside.watchdog import Watchdog, memory_of_files
from sandbox.linux import mounts, namespaces, privileges

USER = 1000
"""The session's user and group id, as seen inside."""

BEFORE_GROUPS = 5
"""How many descriptors init gets besides those of control groups."""

WORKSPACE = "/workspace"
_LANES_OOM_SCORE = 500  # init has less: when memory runs out, the kernel picks a lane
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def wake(_number: int, _frame: types.FrameType | None) -> None:
    """Handle SIGCHLD by doing nothing: what counts is the byte that Python writes to the wake-up pipe."""


def run(
    request: dict[str, Any],
    descriptors: list[int],
    mapped: int,
    *,
    toolbox: lane.Toolbox,
    confinement: Confinement,
) -> None:
    """Be the session's PID 1 from the fork on; does not return.

    Args:
        request: what the server asked the zygote for.
        descriptors: the line, the first lane's four pipes, then the control groups' ``tasks`` or
            ``cgroup.procs``, unless it was forked into its group.
        mapped: a pipe from which one byte comes when this namespace's ids have been mapped.
        toolbox: what lanes can run.
        confinement: what holds for every session of the cage.
    """
    line = None
    try:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, descriptors[0])
        pipes, groups = descriptors[1:BEFORE_GROUPS], descriptors[BEFORE_GROUPS:]
        os.setsid()  # the scheduler may count by sessions; without this, all sandboxes would be one to it
        os.dup2(1, 2)  # the zygote's stderr is the server's; from here on there is only /dev/null
        privileges.close_all_but([0, 1, 2, mapped, *descriptors])
        zygote = -1 if confinement.namespaces else os.pidfd_open(os.getppid())
        tree, oom_score = _set_up(request, groups, mapped, confinement)
        os.close(mapped)
        supervisor = Init(line, toolbox, confinement, request, tree, oom_score, zygote)
        lane_pidfd = supervisor.start_lane(request["lane"], pipes)
        packets.send(line, {"op": "ready", "lane": request["lane"]}, [tree, lane_pidfd])
        os.close(tree)
        os.close(lane_pidfd)
        supervisor.serve()
    except BaseException as error:  # noqa: BLE001 - reported, then the session ends
        what = f"{type(error).__name__}: {error}"
        if line is not None:
            packets.send_last(line, {"op": "failed", "lane": request["lane"], "error": what})
    os._exit(1)


def _set_up(
    request: dict[str, Any], groups: list[int], mapped: int, confinement: Confinement
) -> tuple[int, int]:
    """Confine this process for good; return descriptors of the writable tree and of its oom_score_adj."""
    for group in groups:
        os.write(group, b"0")  # "the writer": our number outside is neither known nor needed
        os.close(group)
    if confinement.namespaces:
        namespaces.unshare(namespaces.NEWCGROUP)  # after joining, so that its root is the session's own group
    # No handler, no exception to PID 1's immunity. This is the only one that the zygote has.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not os.read(mapped, 1):
        msg = "the zygote did not map this session's ids"
        raise OSError(msg)
    if confinement.namespaces:
        privileges.become(USER, USER)
        privileges.lock_capabilities()
        tree = _furnish(request, confinement)
    else:
        tree = plain.move_in(request)
    os.chdir(WORKSPACE if confinement.namespaces else f"{request['folder']}{WORKSPACE}")
    os.umask(0o022)
    rlimits.set_own(request)
    privileges.set_dumpable(dumpable=True)  # for a moment, so that the file in /proc is this user's own
    oom_score = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    privileges.set_dumpable(dumpable=False)
    privileges.empty_capabilities()
    privileges.forbid_new_privileges()
    confinement.restrict_session(request["folder"])
    return tree, oom_score


def _furnish(request: dict[str, Any], confinement: Confinement) -> int:
    """Give the session what its namespaces are for; return a descriptor of its writable file system."""
    _forbid_namespaces()
    if confinement.layers:
        root.enter(confinement.layers)
    tree = _mount_writable(request["disk_bytes"], request["disk_inodes"], is_shown=request["is_shown"])
    mounts.mount("proc", "/proc", "proc", mounts.NOSUID | mounts.NODEV | mounts.NOEXEC, "subset=pid")
    if confinement.loopback:
        _raise_loopback()
    return tree


def _forbid_namespaces() -> None:
    # seccomp forbids them too; this holds even if a way around it were found.
    setting = os.open("/proc/sys/user/max_user_namespaces", os.O_WRONLY | os.O_CLOEXEC)
    os.write(setting, b"0")
    os.close(setting)


def _mount_writable(size: int, inodes: int, *, is_shown: bool) -> int:
    """Mount one tmpfs and show it as /workspace, /tmp and /dev/shm, so that they share one budget."""
    options = f"size={size},nr_inodes={inodes},mode=755,uid={USER},gid={USER}"
    mounts.mount("creche", "/tmp", "tmpfs", mounts.NOSUID | mounts.NODEV, options)
    for name, target in (("workspace", WORKSPACE), ("shm", "/dev/shm"), ("tmp", "/tmp")):
        os.mkdir(f"/tmp/{name}", 0o755)
        os.chown(f"/tmp/{name}", USER, USER)
        if name != "tmp":
            mounts.bind(f"/tmp/{name}", target)
    if is_shown:  # a mount of its own, in which the files can be made to look like somebody else's
        tree = mounts.clone_tree("/tmp")
    else:
        tree = os.open("/tmp", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    mounts.bind("/tmp/tmp", "/tmp")
    return tree


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        blank = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, blank))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _no_memory() -> int:
    return 0  # its files are on a disk


class Init:
    """Starts lanes when the server asks, tells it when they end, reaps everything else."""

    def __init__(
        self,
        line: socket.socket,
        toolbox: lane.Toolbox,
        confinement: Confinement,
        request: dict[str, Any],
        tree: int,
        oom_score: int,
        zygote: int,
    ) -> None:
        """Serve the server at the other end of `line`.

        `oom_score` is a descriptor of this process's oom_score_adj: nobody may open such a file any more.
        `zygote` is one of the zygote's process, or -1 where the kernel ends this process with it.
        """
        self._line = line
        self._oom_score = oom_score
        self._own_oom_score = os.read(oom_score, 16)
        self._toolbox = toolbox
        self._confinement = confinement
        self._folder: str = request["folder"]
        self._zygote = zygote
        self._watchdog: Watchdog | None = None
        if request["watch_memory"]:
            files = memory_of_files if confinement.namespaces else _no_memory
            self._watchdog = Watchdog(request["memory_bytes"], files)
        self._quota: Quota | None = None
        if not confinement.namespaces:
            self._quota = Quota(tree, request["disk_bytes"], request["disk_inodes"])
        self._lanes: dict[int, str] = {}
        self._out_of_memory = 0

    def start_lane(self, name: str, pipes: list[int]) -> int:
        """Fork the lane's process and close its pipes here; return a pidfd of it, the caller's to close.

        Raises:
            OSError: there is no such process, and the pipes are still open.
        """
        # For the child to inherit. Where a container has given us more, less may not be written.
        os.write(self._oom_score, str(max(_LANES_OOM_SCORE, int(self._own_oom_score))).encode())
        try:
            pid = os.fork()
            if pid == 0:
                lane.run(name, pipes, self._toolbox, self._confinement, self._folder)
        finally:
            os.write(self._oom_score, self._own_oom_score)
        pidfd = hold(pid)
        self._lanes[pid] = name
        for pipe in pipes:
            os.close(pipe)
        return pidfd

    def serve(self) -> None:
        """Answer the server until it hangs up; does not return."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, wake)
        poller = select.poll()
        poller.register(self._line, select.POLLIN)
        poller.register(wake_read, select.POLLIN)
        if self._zygote >= 0:
            poller.register(self._zygote, select.POLLIN)
        interval = None if self._watchdog is None and self._quota is None else Watchdog.interval_ms
        self._reap()  # a lane may have died before there was a handler
        while True:
            for descriptor, _ in poller.poll(interval):
                if descriptor == wake_read:
                    os.read(wake_read, 4096)
                    self._reap()
                else:
                    packet = None if descriptor == self._zygote else packets.receive(self._line)
                    if packet is None:
                        self._leave()
                    self._obey(*packet)
            self._look()

    def _leave(self) -> NoReturn:
        if not self._confinement.namespaces:
            wipe()
        os._exit(0)

    def _look(self) -> None:
        """See to the bounds that the kernel does not keep by itself here."""
        members = functools.cache(lambda: below([os.getpid()], snapshot()))
        if self._watchdog is not None and self._watchdog.is_exceeded(members):
            # Told with the next lane's end: the line is read when something is asked of the session, so what
            # is sent unasked would fill it up, and whoever sends into a full one waits and watches nothing.
            self._out_of_memory += 1
            self._watchdog.kill_largest(spare=os.getpid())
        if self._quota is not None and self._quota.is_exceeded(members):
            self._leave()  # whoever wrote too much is not known, and what is written would stay

    def _obey(self, order: dict[str, Any], descriptors: list[int]) -> None:
        name = order["lane"]
        if order["op"] == "start":
            try:
                pidfd = self.start_lane(name, descriptors)
            except OSError as error:
                for descriptor in descriptors:
                    os.close(descriptor)
                packets.send(self._line, {"op": "refused", "lane": name, "error": str(error)})
                return
            try:
                packets.send(self._line, {"op": "started", "lane": name}, [pidfd])
            except OSError:  # too many descriptors are in flight: without it the server has the lane ended
                packets.send(self._line, {"op": "started", "lane": name})
            os.close(pidfd)
        elif order["op"] == "kill":
            for pid, running in self._lanes.items():
                if running == name:
                    kill_family(pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._lanes.pop(pid, None)
            if name is not None:
                report = {"status": os.waitstatus_to_exitcode(status), "out_of_memory": self._out_of_memory}
                packets.send(self._line, {"op": "ended", "lane": name, **report})
