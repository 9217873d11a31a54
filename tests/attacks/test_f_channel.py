"""Group F: channel, protocol, grading. What hostile code says is data, bounded, and no verdict."""

from __future__ import annotations

import ast
import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from sandbox.errors import Gone
from sandbox.launcher import open_launcher
from sandbox.observation import Ending, Outcome
from server.environments.code_gen import CodeGen
from tests.attacks import attacker as outside
from tests.attacks.attacker import LIMITS, PROFILE, open_session, until
from tests.attacks.kernel import descriptors, memory_of, modes
from tests.sandbox.handlers import BEGUN_SECONDS
from tests.sandbox.kin import PATIENCE
from tests.server.environments.conftest import Player
from tests.whole.servers import creche

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx

    from sandbox.launcher import Launcher
    from tests.attacks.attacker import Attacker
    from tests.whole.servers import Server

MIB = 1 << 20
SECRET = "ground-truth-4711"
ROW: dict[str, Any] = {"files": {"a.txt": "a"}, "expected_files": {"b.txt": SECRET}}
VERIFY: dict[str, Any] = {**ROW, "response": {"id": "r", "output": []}}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with creche(folder, "--set", "log_level=warning", POLICY_API_KEY=f"key-{SECRET}") as server:
        yield server
        assert 0 == server.stop()
    assert "incident" not in server.log.read_text()


@pytest.fixture(name="client")
def _client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        assert 200 == client.post("/seed_session", json=ROW).status_code
        yield client
        client.post("/close_session", json=ROW)


@pytest.fixture(name="player")
async def _player() -> AsyncIterator[Player]:
    async with open_launcher() as launcher:
        yield Player(launcher)


@attrs.define
class Watch:
    """What happened to this process, which is the server, while something was going on."""

    grown: int = 0
    longest_stall: float = 0.0

    async def look(self) -> None:
        """Measure until cancelled. A stall counts in processor time: others may be busy, too."""
        before = outside.resident_bytes()
        last = time.thread_time()
        while True:
            await trio.sleep(0.005)
            now = time.thread_time()
            self.longest_stall, last = max(self.longest_stall, now - last), now
            self.grown = max(self.grown, outside.resident_bytes() - before)


@pytest.mark.parametrize("stream", [1, 2], ids=["stdout", "stderr"])
@pytest.mark.parametrize("stopped_by", ["bound", "deadline"])
async def test_row_81_ten_gigabytes_of_output_are_drained_and_not_kept(
    launcher: Launcher, neighbour: Attacker, stream: int, stopped_by: str, observed: Callable[[str], None]
) -> None:
    flood = f"""
block = b'x' * 65536
for _ in range((10 << 30) // len(block)): os.write({stream}, block)
"""
    limits = LIMITS if stopped_by == "bound" else attrs.evolve(LIMITS, flood_bytes=1 << 40)
    watch = Watch()
    async with open_session(launcher, limits) as attacker, trio.open_nursery() as nursery:
        nursery.start_soon(watch.look)
        seen = await attacker.run(flood, seconds=None if stopped_by == "bound" else BEGUN_SECONDS)
        nursery.cancel_scope.cancel()
    assert (Outcome.OUTPUT_LIMIT if stopped_by == "bound" else Outcome.TIMEOUT) == seen.outcome
    kept = seen.stdout if stream == 1 else seen.stderr
    assert len(kept) <= limits.output_bytes + 100
    assert ("stdout" if stream == 1 else "stderr",) == seen.truncated
    assert watch.grown < 16 * MIB
    observed(f"{seen.outcome}; server grew by {watch.grown >> 20} MiB")


async def test_row_81_what_is_printed_between_calls_waits_in_the_pipe(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    before = outside.resident_bytes()
    flood = """
import sys, threading
def flood(main=threading.main_thread().ident):
    while sys._current_frames()[main].f_code.co_name != '_serve': time.sleep(0.001)  # until this call is over
    for _ in range(10000): os.write(1, b'y' * 65536)
threading.Thread(target=flood).start()
"""
    assert Outcome.OK == (await attacker.run(flood)).outcome
    lane = attacker.box._lanes["python"].process.pid()
    await until(lambda: "2" == outside.status_of(lane)["Threads"])
    await until(lambda: set(_states(lane)) == {"S"})
    assert outside.resident_bytes() - before < 8 * MIB
    assert (await attacker.bash("echo still here")).stdout == "still here\n"
    observed("blocked in write; server flat")


def _states(pid: int) -> list[str]:
    """Return the states of a process's threads."""
    stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]


async def test_row_82_a_request_that_is_not_read_ends_at_its_deadline(
    launcher: Launcher, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    async with open_session(launcher) as attacker:
        await attacker.run("os.read = lambda *_: time.sleep(600)")
        before, started = outside.resident_bytes(), time.monotonic()
        seen = await attacker.box.call("python", {"code": "#" * (8 * MIB)}, seconds=0.3)
        assert seen.outcome in (Outcome.PROTOCOL_VIOLATION, Outcome.TIMEOUT)
        assert time.monotonic() - started < outside.GRACE
        assert outside.resident_bytes() - before < 64 * MIB
        await attacker.finish()
    observed(f"{seen.outcome} after {time.monotonic() - started:.1f} s")


async def test_row_82_results_that_are_not_picked_up_do_not_hold_the_server(
    launcher: Launcher, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    # The guest stops in the middle of a reply.
    async with open_session(launcher) as attacker:
        seen = await attacker.run("os.write(4, bytes([0, 0, 1, 0]) + b'{'); time.sleep(600)", seconds=0.3)
        assert seen.outcome in (Outcome.TIMEOUT, Outcome.PROTOCOL_VIOLATION)
        assert seen.value is None or "result" in seen.value
    observed(str(seen.outcome))


SEND = """
import struct
def send(data):
    while data: data = data[os.write(4, data):]
def frame(body): return struct.pack('>I', len(body)) + body
def reply(value): return frame(b'{"id":1,"outcome":"ok","value":' + value + b',"error":null}')
"""

FRAMES = {
    "a header of 4 GiB": r"b'\xff\xff\xff\xff'",
    "a header just over the bound": "struct.pack('>I', (16 << 20) + 1)",
    "a million lists in one another": "reply(b'[' * 10**6 + b']' * 10**6)",
    "a hundred and one objects in one another": "reply(b'{\"a\":' * 101 + b'0' + b'}' * 101)",
    "NaN": "reply(b'NaN')",
    "Infinity": "reply(b'-Infinity')",
    "a number that reads as infinity": "reply(b'1e999')",
    "a key twice": 'reply(b\'{"result":"1","result":"2"}\')',
    "its own id twice": 'frame(b\'{"id":1,"outcome":"ok","value":1,"error":null,"id":1}\')',
    "a whole number of 5,000 digits": "reply(b'9' * 5000)",
    "five million lists": "reply(b'[' + b'[],' * 5_000_000 + b'[]]')",
    "three million strings": "reply(b'[' + b'\"\",' * 3_000_000 + b'0]')",
    "seven million escaped quotes in no string": r"frame(b',' * 250_001 + b'\\\"' * 7_000_000)",
    "a string of escapes that never ends": r"frame(b',' * 250_001 + b'\"' + b'\\\"' * 7_000_000)",
    "no UTF-8": r"reply(b'\"\xff\xfe\"')",
    "UTF-16": "frame('{}'.encode('utf-16'))",
    "a list": "frame(b'[]')",
    "nothing": "frame(b'')",
    "a traceback": "b'Traceback (most recent call last):' * 10",
}


@pytest.mark.parametrize("name", FRAMES)
async def test_row_83_a_frame_that_is_no_message_fails_the_session_and_costs_little(
    launcher: Launcher, neighbour: Attacker, name: str, observed: Callable[[str], None]
) -> None:
    watch = Watch()
    async with open_session(launcher) as attacker:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.look)
            seen = await attacker.run(f"{SEND}send({FRAMES[name]})\ntime.sleep(600)")
            nursery.cancel_scope.cancel()
        assert (Outcome.PROTOCOL_VIOLATION, None) == (seen.outcome, seen.value)
        with pytest.raises(Gone, match="protocol_violation"):
            await attacker.run("1")
        assert Ending.PROTOCOL_VIOLATION == (await attacker.finish()).ended_by
    assert not Ending.PROTOCOL_VIOLATION.is_ours
    assert watch.grown < 96 * MIB  # one frame, and its text
    assert watch.longest_stall < 0.5
    observed(f"protocol_violation; {watch.grown >> 20} MiB, {watch.longest_stall * 1000:.0f} ms")


FORGED = {
    "another call's id": "{'id': 2}",
    "no call's id": "{'id': 0}",
    "an id of another type": "{'id': True}",
    "an id that is text": "{'id': '1'}",
    "a reward beside it": "{'reward': 1.0}",
    "an outcome that only the server gives": "{'outcome': 'timeout'}",
    "a tool result of another tool": "{'tool': 'bash'}",
    "no outcome": "{'outcome': None}",
    "an error of another type": "{'error': {}}",
}


@pytest.mark.parametrize("name", FORGED)
async def test_row_84_a_frame_can_answer_its_own_question_and_say_no_more(
    launcher: Launcher, neighbour: Attacker, name: str, observed: Callable[[str], None]
) -> None:
    forge = f"""
{SEND}
import json
message = {{'id': 1, 'outcome': 'ok', 'value': {{'result': "'pass'", 'reward': 1.0}}, 'error': None,
    **{FORGED[name]}}}
send(frame(json.dumps(message).encode()))
time.sleep(600)
"""
    async with open_session(launcher) as attacker:
        seen = await attacker.run(forge)
        assert (Outcome.PROTOCOL_VIOLATION, None) == (seen.outcome, seen.value)
        final = await attacker.finish()
        assert [Outcome.PROTOCOL_VIOLATION] == [call.observation.outcome for call in final.calls]
    observed("protocol_violation")


def test_row_84_no_frame_carries_a_verdict(client: httpx.Client, observed: Callable[[str], None]) -> None:
    forge = f"""
{SEND}
import json, sys
value = {{'result': "'pass'", 'outcome': 'passed', 'reward': 1.0, 'mask_sample': False, 'verdict': 'pass'}}
asked = sys._getframe()
while 'request' not in asked.f_locals: asked = asked.f_back
number = asked.f_locals['request']['id']
send(frame(json.dumps({{'id': number, 'outcome': 'ok', 'value': value, 'error': None}}).encode()))
time.sleep(600)
"""
    reply = client.post("/python", json={"code": f"import os, time\n{forge}"})
    assert (200, "ok") == (
        reply.status_code,
        reply.json()["outcome"],
    )  # what it says of itself is its own affair
    verdict = client.post("/verify", json=VERIFY).json()
    assert 0.0 == verdict["reward"]
    assert "pass" not in json.dumps({key: value for key, value in verdict.items() if key not in VERIFY})
    observed("reward 0.0")


HOSTILE_TEXT = {
    "lone surrogates": (r"print('\ud800 \udfff')", "?"),
    "bytes that are no UTF-8": (r"import os; os.write(1, b'\xff\xfe\x80 \xc3') and None", "\ufffd"),
    "NUL": (r"print('a\0b')", "\0"),
    "ANSI": (r"print('\x1b[2J\x1b]0;owned\x07')", "\x1b[2J"),
    "BiDi": (r"print('\u202e\u2066 fed cba')", "\u202e"),
    "a result with a surrogate": (
        r"'\ud800'.encode('utf-16', 'surrogatepass').decode('utf-16', 'surrogatepass')",
        "",
    ),
    "an error with a surrogate": (r"raise ValueError('\ud800')", ""),
    "an error whose text fails": ("class E(Exception):\n  def __str__(self): raise self\nraise E", ""),
    "a repr that fails": ("class C:\n  def __repr__(self): raise SystemExit(3)\nC()", ""),
    "a repr that is no text": ("class C:\n  def __repr__(self): return 3\nC()", ""),
    "two million characters of it": (r"print('\U0001f4a9' * 2_000_000)", "\U0001f4a9"),
    "a name": (r"open('\udcff\udcfe', 'w').close(); import os; print(os.listdir('.'))", ""),
}


@pytest.mark.parametrize("name", HOSTILE_TEXT)
def test_row_85_text_that_is_none_is_replaced_and_never_an_error_of_the_servers(
    client: httpx.Client, name: str, observed: Callable[[str], None]
) -> None:
    code, expected = HOSTILE_TEXT[name]
    reply = client.post("/python", json={"code": code})
    assert 200 == reply.status_code
    body = json.loads(reply.content.decode("utf-8"))
    assert body["outcome"] in ("ok", "error", "output_limit")
    assert expected in body["stdout"] + body["stderr"]
    assert 200 == client.post("/list_files", json={}).status_code
    verdict = client.post("/verify", json=VERIFY)
    assert (200, 0.0) == (verdict.status_code, verdict.json()["reward"])
    observed(f"200 {body['outcome']}")


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\x1b[31m", "\u202e", "x" * MIB], ids=["NUL",
    "surrogate", "ANSI", "BiDi", "1 MiB"])  # fmt: skip
@pytest.mark.parametrize(
    ("tool", "argument"), [("bash", "command"), ("python", "code"), ("read_file", "path")]
)
def test_row_85_hostile_arguments_are_refused_or_run_and_never_an_error_of_the_servers(
    client: httpx.Client, tool: str, argument: str, text: str, observed: Callable[[str], None]
) -> None:
    reply = client.post(f"/{tool}", content=json.dumps({argument: text}).encode())
    assert reply.status_code in (200, 422)
    assert json.loads(reply.content.decode("utf-8"))
    assert 200 == client.post("/bash", json={"command": "true"}).status_code
    observed(str(reply.status_code))


async def test_row_86_what_is_patched_in_a_lane_is_patched_there_only(
    launcher: Launcher, attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    patch = """
import builtins, gc, io, json, signal, subprocess, struct, types
from sandbox.inside import init, lane, processes
from sandbox import frames, packets
def lie(*arguments, **named): return 'patched'
lane._call = lambda functions, state, request: {'id': request['id'], 'outcome': 'ok',
    'value': {'result': "'patched'"}, 'error': None}
processes.kill_family = init.Init._reap = init.Init.serve = packets.send = lie
builtins.print = sys.exit = time.time = time.monotonic = subprocess.Popen = signal.signal = lie
json.loads = lie
"""
    assert Outcome.OK == (await attacker.run(patch)).outcome
    seen = await attacker.run("40 + 2")
    assert (Outcome.OK, {"result": "'patched'"}) == (seen.outcome, seen.value)  # its own frames are its own
    files = await attacker.box.call("list_files", {})
    assert (Outcome.OK, [".", "ok"]) == (files.outcome, [".", files.value["outcome"]])
    assert "42\n" == (await attacker.bash("python3 -c 'print(40 + 2)'")).stdout
    async with open_session(launcher) as fresh:
        assert 42 == await fresh.value("import json; result = json.loads('42')")
    final = await attacker.finish()
    assert Ending.FINISHED == final.ended_by
    assert ["python", "python", "list_files", "bash"] == [call.tool for call in final.calls]
    observed("its own replies only")


async def test_row_87_no_descriptor_can_be_handed_out(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.bash("true")
    lane = attacker.box._lanes["python"].process.pid()
    assert all(stat.S_ISFIFO(modes(lane)[fd]) for fd in (1, 2, 3, 4))
    before = len(descriptors("self"))
    answers = await attacker.value("""
header = (_ctypes.c_ulong * 8)()
result = [raw(NR.sendmsg, fd, _ctypes.byref(header), 0) for fd in range(5)]
result += [raw(NR.sendto, fd, b'x', 1, 0, 0, 0) for fd in range(5)]
result += [raw(NR.connect, fd, b'x', 1) for fd in range(5)]
""")
    assert ["ENOTSOCK"] * 15 == answers
    assert before == len(descriptors("self"))
    observed("pipes: ENOTSOCK")


DESCRIPTORS = {
    "closes its replies": "os.close(4)",
    "closes its requests": "os.close(3)",
    "puts /dev/null over its replies": "os.dup2(os.open('/dev/null', os.O_WRONLY), 4)",
    "puts /dev/null over its requests": "os.dup2(os.open('/dev/null', os.O_RDONLY), 3)",
    "puts its output over its replies": "os.dup2(1, 4)",
    "puts a pipe of its own over both": "a, b = os.pipe(); os.dup2(a, 3); os.dup2(b, 4)",
    "opens its requests for writing and asks itself": "other = os.open('/proc/self/fd/3', os.O_WRONLY); "
    'body = b\'{"id":7,"tool":"python","arguments":{"code":"1"}}\'; '
    "os.write(other, len(body).to_bytes(4, 'big') + body)",
    "opens its replies for reading and takes them": "import threading; "
    "other = os.open('/proc/self/fd/4', os.O_RDONLY); "
    "threading.Thread(target=lambda: [os.read(other, 65536) for _ in range(99)], daemon=True).start()",
    "closes everything": "os.closerange(0, 1024)",
}


@pytest.mark.parametrize("name", DESCRIPTORS)
async def test_row_88_whoever_meddles_with_the_channel_has_failed(
    launcher: Launcher, neighbour: Attacker, name: str, observed: Callable[[str], None]
) -> None:
    async with open_session(launcher) as attacker:
        outcomes: list[str] = []
        ended = None
        with trio.fail_after(PATIENCE):
            for code in (DESCRIPTORS[name], "'second'", "'third'"):
                try:
                    seen = await attacker.run(code, seconds=0.3)
                except Gone as gone:
                    ended = gone.ending
                    break
                outcomes.append(str(seen.outcome))
                if seen.outcome is Outcome.OK and code.startswith("'"):
                    assert code == seen.value["result"]  # a reply is that of the question
        assert set(outcomes) <= {"ok", "error", "killed", "timeout", "protocol_violation"}
        # Root's sessions may not open again what the server made; then nothing has happened. An ordinary
        # user's may, and read their own replies, if they are faster than the server.
        harmless = ["error", "ok", "ok"] == outcomes or name.startswith("opens its replies")
        assert harmless or {"killed", "timeout", "protocol_violation"} & set(outcomes)
        assert ended in (None, "protocol_violation", "killed")
        final = await attacker.finish()
        assert not final.ended_by.is_ours
    observed(", ".join(outcomes))


async def test_row_89_a_pickle_is_no_frame(
    attacker: Attacker, tmp_path: Path, observed: Callable[[str], None]
) -> None:
    trace = tmp_path / "pickled"
    gadget = f"""
import pickle
class Gadget:
    def __reduce__(self): return (os.system, ('touch {trace}',))
{SEND}
send(frame(pickle.dumps(Gadget())))
time.sleep(600)
"""
    assert Outcome.PROTOCOL_VIOLATION == (await attacker.run(gadget)).outcome
    assert not trace.exists()
    observed("protocol_violation")


def test_row_89_nothing_of_ours_reads_a_format_that_runs_code(observed: Callable[[str], None]) -> None:
    top = Path(__file__).parents[2]
    forbidden = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "multiprocessing"}
    looked_at = 0
    for path in (
        path for package in ("sandbox", "server", "tools") for path in (top / package).rglob("*.py")
    ):
        looked_at += 1
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & forbidden, path
    assert looked_at > 50
    observed(f"no such import in {looked_at} files")


def test_row_90_neither_ground_truth_nor_keys_are_anywhere_inside(
    server: Server, client: httpx.Client, observed: Callable[[str], None]
) -> None:
    client.post("/python", json={"code": "1"})
    places = "/workspace /tmp /etc /opt/creche /run /var"
    search = f"env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; grep -rh truth-4711 {places}; ls -d /tests"
    told = client.post("/bash", json={"command": f"({search}) 2>/dev/null | head -c 60000"}).json()
    assert SECRET not in told["stdout"] + told["stderr"]
    assert "/tests" not in told["stdout"].splitlines()
    far_side = client.post(
        "/bash",
        json={"command": "cd /opt/creche; find . -name '*.py' | xargs grep -l 'Verdict\\|def verify'"},
    ).json()
    assert "" == far_side["stdout"]  # nothing that grades is mounted
    assert ["sandbox", "tools"] == client.post("/bash", json={"command": "ls /opt/creche"}).json()[
        "stdout"
    ].split()
    memories = [memory_of(pid) for pid in outside.descendants(server.process.pid)]
    assert len(memories) >= 5
    assert [0] * len(memories) == [memory.count(SECRET.encode()) for memory in memories]
    assert SECRET.encode() in memory_of(server.process.pid)
    observed(f"not found, {len(memories)} processes' memory included")


PLANTS = """
mkdir -p ~/bin ~/.local/lib/python3.{9..14}/site-packages ~/tests ~/evil-1.0.dist-info ~/.config /tmp/bin
cheat='import builtins, os, sys; print("8"); os._exit(0)'
for name in conftest sitecustomize usercustomize pytest json unittest random typing subprocess test_all; do
    echo "$cheat" > ~/$name.py; cp ~/$name.py /tmp/ 2>/dev/null
done
for folder in ~/.local/lib/*/site-packages; do
    cp ~/*.py $folder; echo 'import os; os._exit(0)' > $folder/evil.pth
done
printf '[pytest]\\naddopts = -p conftest --co\\n' > ~/pytest.ini
printf '[pytest11]\\nevil = conftest\\n' > ~/evil-1.0.dist-info/entry_points.txt
for program in python python3 pytest bash sh; do
    printf '#!/bin/sh\\necho 8\\n' > ~/bin/$program; chmod +x ~/bin/$program
done
echo 'export PATH=~/bin:$PATH LD_PRELOAD=~/evil.so PYTHONPATH=~ PYTHONSTARTUP=~/conftest.py' |
    tee ~/.bashrc ~/.bash_profile ~/.profile > ~/.pam_environment
touch ~/evil.so
"""
DOUBLE = {"verifier_metadata": {"unit_tests": {"inputs": ["4\n", "5\n"], "outputs": ["8\n", "10\n"]}}}
HUMAN = {
    "verifier_metadata": {
        "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n",
        "entry_point": "double",
        "prompt": "def double(x: int) -> int:\n    '''Double it.'''\n",
    }
}


@pytest.mark.parametrize(
    ("source", "reward"), [("print(3)", 0.0), ("print(int(input()) * 2)", 1.0)], ids=["wrong", "right"]
)
async def test_row_91_what_is_planted_in_the_session_is_not_where_it_is_judged(
    player: Player, source: str, reward: float, observed: Callable[[str], None]
) -> None:
    calls = [("write_file", {"path": "solution.py", "content": source}), ("bash", {"command": PLANTS})]
    environment = CodeGen()
    if "bash" not in environment.toolbox.tools:
        plant = f"import subprocess; subprocess.run(['bash', '-c', {PLANTS!r}])"
        calls[1] = ("python", {"code": plant}) if "python" in environment.toolbox.tools else calls[0]
    played = await player.play(environment, DOUBLE, calls)
    assert reward == played.verdict.reward
    observed(f"reward {played.verdict.reward}")


async def test_row_91_a_verifiers_sandbox_has_nothing_of_the_session(
    launcher: Launcher, attacker: Attacker, observed: Callable[[str], None]
) -> None:
    assert {"exit_code": 0} == (await attacker.bash(PLANTS)).value
    async with open_session(launcher) as judge:
        names = "sitecustomize usercustomize conftest evil"
        seen = await judge.bash(
            f'for name in {names}; do python3 -c "import $name" 2>/dev/null && echo $name; done; '
            "ls -A /workspace /tmp /dev/shm | grep -v :; type -P python3; "
            "env | grep -E '^(LD_PRELOAD|PYTHONSTARTUP)'"
        )
        assert [] == [line for line in seen.stdout.split() if not line.endswith("/bin/python3")]
        assert not seen.stdout.startswith("/workspace")
    observed("none of it can be imported, run or listed")


LIARS = {
    "__eq__": "class Liar:\n    def __eq__(self, other): return True\n    __hash__ = None",
    "__eq__ of an int": "class Liar(int):\n    def __eq__(s, o): return 1\n    __ne__ = lambda s, o: 0",
    "__reduce__": "class Liar:\n    def __reduce__(s): return (int, (4,))\n    def __eq__(s, o): return 1",
    "__str__ and __repr__": "class Liar(str):\n    def __str__(self): return '4'\n    __repr__ = __str__\n"
    "    def __eq__(s, o): return True",
    "__class__": "class Liar:\n    __class__ = property(lambda self: int)\n    def __eq__(s, o): return True",
}


@pytest.mark.parametrize("name", LIARS)
async def test_row_92_an_object_that_lies_is_compared_as_what_it_is(
    player: Player, name: str, observed: Callable[[str], None]
) -> None:
    source = f"{LIARS[name]}\ndef double(x): return Liar()"
    played = await player.play(CodeGen(), HUMAN, text=f"```python\n{source}\n```")
    assert 0.0 == played.verdict.reward
    observed("reward 0.0")


LEAVERS = {
    "pytest.skip": "import unittest\ndef double(x): raise unittest.SkipTest('skipped')",
    "os._exit": "import os\ndef double(x): os._exit(0)",
    "SystemExit": "def double(x): raise SystemExit(0)",
    "os._exit on loading": "import os\nos._exit(0)",
    "kills its parent": "import os\ndef double(x): os.kill(os.getppid(), 9); os.kill(-1, 9)",
}


@pytest.mark.parametrize("row", [DOUBLE, HUMAN], ids=["program", "function"])
@pytest.mark.parametrize("name", LEAVERS)
async def test_row_93_leaving_early_is_no_pass(
    player: Player, name: str, row: dict[str, Any], observed: Callable[[str], None]
) -> None:
    source = LEAVERS[name] + ("\ndouble(int(input()))" if row is DOUBLE else "")
    played = await player.play(CodeGen(), row, text=f"```python\n{source}\n```")
    assert 0.0 == played.verdict.reward
    observed("reward 0.0")


async def test_row_94_what_is_captured_is_what_was_there_when_all_were_dead(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    edit = """
import signal
for number in range(4):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        os.closerange(0, 64)
        file = os.open('/workspace/state', os.O_RDWR | os.O_CREAT, 0o600)
        count = number
        while True:
            count += 4
            os.pwrite(file, str(count).encode().rjust(20), 20 * number)
    os.wait()
"""
    await attacker.run(edit)
    await until(lambda: outside.used_disk(attacker.box)[0] > 0)
    namespace = outside.pid_namespace(attacker.box)
    final = await attacker.finish()
    captured = final.files["state"].data
    assert [] == outside.inhabitants(namespace)
    assert captured == outside.content_of(attacker.box, "state")
    assert final.digest == (await attacker.box.finish()).digest
    observed("frozen: the tree still holds what was captured")


def test_row_95_a_time_bomb_does_not_outlive_the_submission(
    server: Server, client: httpx.Client, observed: Callable[[str], None]
) -> None:
    bomb = f"""
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        os.closerange(0, 64)
        while True:
            # As soon as somebody submits there is one lane less, or none: whatever comes first.
            time.sleep(0.001)
            if not os.path.exists('/proc/{{}}'.format(os.getppid())) or time.monotonic() > started + 30:
                open('/workspace/b.txt', 'w').write('{SECRET}')
    os._exit(0)
os.wait()
"""
    client.post(
        "/python",
        json={"code": bomb.replace("import os,", "started = __import__('time').monotonic()\nimport os,")},
    )
    before = len(outside.descendants(server.process.pid))
    verdict = client.post("/verify", json=VERIFY).json()
    assert 0.0 == verdict["reward"]
    assert "b.txt" not in verdict["final_state"]["files"]
    assert len(outside.descendants(server.process.pid)) < before
    assert verdict == client.post("/verify", json=VERIFY).json()
    observed("reward 0.0; nothing of it is left")


def test_row_96_a_flood_of_calls_is_answered_in_order_and_hurts_nobody(
    server: Server, client: httpx.Client, observed: Callable[[str], None]
) -> None:
    client.post("/python", json={"code": "order = []"})
    before = outside.resident_bytes(server.process.pid)
    with server.client() as other, ThreadPoolExecutor(24) as pool:
        other.post("/seed_session", json=ROW)
        calls = [
            pool.submit(client.post, "/python", json={"code": f"order.append({n}); len(order)"})
            for n in range(200)
        ]
        waited = []
        while not all(call.done() for call in calls):
            started = time.monotonic()
            assert "1" == other.post("/python", json={"code": "1"}).json()["result"]
            waited.append(time.monotonic() - started)
        replies = [call.result() for call in calls]
        other.post("/close_session", json=ROW)
    assert {200} == {reply.status_code for reply in replies}
    assert list(range(1, 201)) == sorted(int(reply.json()["result"]) for reply in replies)
    assert outside.resident_bytes(server.process.pid) - before < 32 * MIB
    assert len(waited) > 2  # it took turns with the flood, and did not wait for its end
    observed(f"200 of 200 in turn; another session waited {max(waited) * 1000:.0f} ms at most")


def test_row_96_a_session_cannot_call_the_servers_interface(
    server: Server, client: httpx.Client, observed: Callable[[str], None]
) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    fetch = f'import urllib.request as u; u.urlopen("{server.url}/health")'
    knock = f"exec 9<>/dev/tcp/{host}/{port} && echo reached; python3 -c '{fetch}' && echo reached"
    seen = client.post("/bash", json={"command": knock}).json()
    assert "reached" not in seen["stdout"]
    assert seen["exit_code"] != 0
    observed("no network")


async def test_row_97_a_burst_of_sessions_is_torn_down_as_fast_as_it_comes(
    launcher: Launcher, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    await launcher.warm(PROFILE)
    ids, alive = len(launcher._free_ids), launcher.alive
    seconds: list[float] = []

    async def churn(count: int) -> None:
        for _ in range(count):
            started = time.monotonic()
            async with launcher.open_sandbox(PROFILE, LIMITS) as box:
                init = outside.init_of(box)
            seconds.append(time.monotonic() - started)
            assert not outside.is_alive(init)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(churn, 20)
    assert (alive, ids) == (launcher.alive, len(launcher._free_ids))
    assert 160 == len(seconds)
    first, last = sorted(seconds[:80]), sorted(seconds[80:])
    # No queue that grows: that would be seen in most of them, a machine that stalls for once in the slowest.
    assert last[40] < 3 * first[40] + 0.5
    assert await neighbour.is_well()
    observed(f"160 of 160, slowest {max(seconds) * 1000:.0f} ms")
