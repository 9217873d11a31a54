"""What a session can see and reach: its own, and nothing of the host or of other sessions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.sandbox.handlers import LOOPBACK, PROFILE, SMALL, run, value
from tests.sandbox.kin import PATIENCE

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.launcher import Launcher


LOOK = """
import glob, json, os, socket, sys
fds = {}
for fd in os.listdir('/proc/self/fd'):
    try: fds[fd] = os.readlink('/proc/self/fd/' + fd).partition(':')[0]
    except OSError: pass
result = {
    'ids': [*os.getresuid(), *os.getresgid()], 'groups': os.getgroups(),
    'cwd': os.getcwd(), 'home': os.path.expanduser('~'),
    'fds': fds,
    'stdin': sys.stdin.read(),
    'pids': sorted(int(p) for p in os.listdir('/proc') if p.isdigit()),
    'workspace': sorted(os.listdir('/workspace') + os.listdir('/tmp') + os.listdir('/dev/shm')),
    'dev': sorted(os.listdir('/dev')),
    'host': socket.gethostname(),
    'argv': sys.argv,
    'environment': dict(os.environ),
}
"""


async def test_a_session_sees_its_own_and_nothing_else(box: Box) -> None:
    seen = await value(box, LOOK)
    own = await value(box, "os.getpid()")
    assert [1000] * 6 == seen["ids"]
    assert not set(seen["groups"]) - {
        65534
    }  # an ordinary user's cannot be dropped; nobody's id is what is seen of them
    assert ("/workspace", "/workspace", "") == (seen["cwd"], seen["home"], seen["stdin"])
    assert {"0": "/dev/null", "1": "pipe", "2": "pipe", "3": "pipe", "4": "pipe"} == seen["fds"]
    assert [1, own] == seen["pids"]
    assert [] == seen["workspace"]
    standard = {"fd", "stdin", "stdout", "stderr"}
    assert {"full", "null", "random", "shm", "urandom", "zero"} == set(seen["dev"]) - standard
    assert "creche" == seen["host"]
    assert {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR"} <= set(seen["environment"])
    assert not [
        name for name in seen["environment"] if name.startswith(("PYTEST", "CRECHE", "SSH", "AWS", "VIRTUAL"))
    ]


REACH = """
import os
result = {}
def attempt(name, act):
    try: result[name] = repr(act())
    except BaseException as error: result[name] = type(error).__name__
for path in ('/etc/x', '/usr/x', '/x', '/dev/x', '/opt/x', '/run/x', '/proc/x',
             '/opt/creche/sandbox/frames.py'):
    attempt('write ' + path, lambda: open(path, 'w'))
for path in ('/proc/1/environ', '/proc/1/mem', '/proc/1/fd', '/proc/1/root', '/proc/1/ns/user',
             '/proc/1/maps', '/proc/kcore', '/proc/sys/kernel/core_pattern', '/sys', '/root', '/home',
             '/var/lib', '/etc/shadow', '/proc/keys'):
    attempt('read ' + path, lambda: os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1))
attempt('look behind a descriptor of init', lambda: os.readlink('/proc/1/fd/0'))
attempt('raise priority', lambda: os.nice(-5))
attempt('raise processes', lambda: __import__('resource').setrlimit(4 + 2, (9999, 9999)))
attempt('raise files', lambda: __import__('resource').setrlimit(7, (99999, 99999)))
attempt('become root', lambda: os.setuid(0))
attempt('make a device', lambda: os.mknod('device', 0o20666, os.makedev(1, 5)))
attempt('spare me', lambda: os.write(os.open('/proc/self/oom_score_adj', os.O_WRONLY), b'-1'))
attempt('chroot', lambda: os.chroot('/tmp'))
attempt('parent', lambda: os.getppid() == 1)
"""


async def test_a_session_reaches_nothing_of_the_host(launcher: Launcher, box: Box) -> None:
    reached = await value(box, REACH)
    if not launcher.gives_users:
        # Init's user is the session's, too, so the numbers of its descriptors can be listed: no more.
        del reached["read /proc/1/fd"]
    assert "True" == reached.pop("parent")
    assert {} == {name: got for name, got in reached.items() if not got.endswith("Error") and got != "[]"}


async def test_a_setuid_program_gives_nothing(box: Box) -> None:
    code = "import os, shutil, subprocess; shutil.copy('/usr/bin/id', 'id'); os.chmod('id', 0o4755)\n"
    await value(box, code)
    assert "1000" == await value(box, "subprocess.check_output(['./id', '-u']).decode().strip()")


async def test_without_a_network_there_is_none(box: Box) -> None:
    code = "import socket\ntry: socket.socket()\nexcept OSError as error: result = error.strerror"
    assert "Address family not supported by protocol" == await value(box, code)
    with_resolver = (
        "import socket\ntry: socket.getaddrinfo('example.com', 80)\nexcept OSError as error: result = 'none'"
    )
    assert "none" == await value(box, with_resolver)


async def test_with_loopback_there_is_that_and_no_more(launcher: Launcher) -> None:
    talk = """
import socket
listening = socket.create_server(('127.0.0.1', 8080))
calling = socket.create_connection(('127.0.0.1', 8080), 5)
answering, _ = listening.accept()
answering.sendall(b'hello')
result = [calling.recv(5).decode()]
for address in ('192.0.2.1', '169.254.169.254', '8.8.8.8'):
    try: socket.create_connection((address, 80), 2)
    except OSError as error: result.append(error.strerror)
"""
    async with launcher.open_sandbox(LOOPBACK, SMALL) as one, launcher.open_sandbox(LOOPBACK, SMALL) as other:
        assert ["hello", *["Network is unreachable"] * 3] == await value(one, talk)
        assert "hello" == (await value(other, talk))[0]  # the same port, so it is another network
        assert "loopback" == one.posture.network


MEET = """
import os, socket
own = str(NUMBER)
for folder in ('/workspace', '/tmp', '/dev/shm'):
    assert os.listdir(folder) == [], folder
    open(folder + '/' + own, 'w').close()
listening = socket.socket(socket.AF_UNIX); listening.bind('\\0meeting-' + own); listening.listen()
path = socket.socket(socket.AF_UNIX); path.bind('/tmp/socket'); path.listen()
"""

SEEK = """
met = []
for number in range(COUNT):
    calling = socket.socket(socket.AF_UNIX)
    try: calling.connect('\\0meeting-' + str(number)); met.append(number)
    except OSError: pass
    calling.close()
folders = [os.listdir(folder) for folder in ('/workspace', '/tmp', '/dev/shm')]
files = [[name for name in folder if name not in (own, 'socket')] for folder in folders]
pids = [p for p in os.listdir('/proc') if p.isdigit() and p not in ('1', str(os.getpid()))]
result = {'met': met, 'files': files, 'pids': pids}
"""


async def test_sixty_four_sessions_at_once_do_not_see_each_other(launcher: Launcher) -> None:
    count = 64
    everybody_is_there = trio.Event()
    seen: dict[int, object] = {}
    users: list[int] = []

    async def session(number: int) -> None:
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            await value(box, MEET.replace("NUMBER", str(number)))
            users.append(number)
            if len(users) == count:
                everybody_is_there.set()
            await everybody_is_there.wait()
            seen[number] = await value(box, SEEK.replace("COUNT", str(count)))
            final = await box.finish()
            assert [str(number)] == list(final.files)

    with trio.fail_after(2 * PATIENCE):
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(session, number)
    alone: dict[str, object] = {"files": [[], [], []], "pids": []}
    assert {number: {"met": [number], **alone} for number in range(count)} == seen
    assert 0 == launcher.alive


async def test_the_same_calls_give_the_same_bytes(launcher: Launcher) -> None:
    calls = [
        "print(set('abcdef'))",
        "1 / 0",
        "import os; result = [os.getpid(), os.getcwd(), sorted(os.environ)]",
        "[hash('x')]",
    ]
    told = []
    for _ in range(2):
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            told.append([await run(box, code) for code in calls])
    assert told[0] == told[1]
    assert json.dumps([call.value for call in told[0]]) == json.dumps([call.value for call in told[1]])
