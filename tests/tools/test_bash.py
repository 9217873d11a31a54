from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.lane import GRACE_SECONDS
from tests.sandbox.kin import PATIENCE
from tests.tools.lanes import Lane, Seen, open_lane
from tools.bash import bash
from tools.shell import _INTERRUPT_AGAIN_SECONDS, _INTERRUPT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="lane")
def _lane(tmp_path: Path) -> Iterator[Lane]:
    with open_lane("tools.bash:bash", tmp_path) as lane:
        yield lane


@pytest.fixture(name="impatient")
def _impatient(tmp_path: Path) -> Iterator[Lane]:
    """Give one that soon kills a shell that it has interrupted, as in a session."""
    with open_lane("tools.bash:bash", tmp_path, patience=_INTERRUPT_SECONDS) as lane:
        yield lane


def test_a_shell_is_given_up_before_the_server_gives_up_the_lane() -> None:
    assert _INTERRUPT_SECONDS + 2 * _INTERRUPT_AGAIN_SECONDS < GRACE_SECONDS


def seen(code: int | None, stdout: str = "", stderr: str = "", **more: object) -> Seen:
    return Seen({"exit_code": code, **more}, None, stdout, stderr)


def wait_until(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_answers_with_its_streams_and_exit_code(lane: Lane) -> None:
    assert seen(3, "out\n", "err\n") == lane.call(command="echo out; echo err >&2; (exit 3)")


def test_directory_variables_functions_and_options_last(lane: Lane) -> None:
    lane.call(
        command="mkdir d; cd d; x=5; export y=6; declare -A m=([k]=v); f() { echo f$1; }; shopt -s nullglob"
    )

    assert seen(0, f"5 6 v f7 {lane.directory}/d\n") == lane.call(
        command="echo $x $y ${m[k]} $(f 7) $PWD *.nothing"
    )


def test_the_last_exit_code_can_be_asked_for_within_a_command_only(lane: Lane) -> None:
    assert seen(0, "1\n") == lane.call(command="false; echo $?")


def test_a_command_that_finds_no_room_is_not_run_in_part_and_the_shell_lives_on(lane: Lane) -> None:
    lane.call(command="x=5")
    pid, limit = lane.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (8192, before[1]))
    refused = lane.call(command="touch ran\n" + ": more\n" * 4096)
    resource.prlimit(pid, limit, before)

    assert refused.error is not None
    assert "File too large" in refused.error
    assert seen(0, "5\n") == lane.call(command="echo $x $(ls)")


def test_background_jobs_last_and_hold_nothing_up(lane: Lane) -> None:
    start = time.monotonic()
    assert seen(0) == lane.call(command="sleep 30 & pid=$!")
    assert time.monotonic() - start < 20

    assert seen(0, "alive\n") == lane.call(command="kill -0 $pid && echo alive")
    assert seen(143) == lane.call(command="kill $pid; wait $pid")


def test_a_job_prints_into_the_call_that_is_running_then(lane: Lane) -> None:
    lane.call(command="{ while [ ! -e go ]; do sleep 0.01; done; echo late; touch done; } &")

    assert seen(0, "late\n") == lane.call(command="touch go; while [ ! -e done ]; do sleep 0.01; done")


@pytest.mark.parametrize(
    ("command", "code", "stdout", "stderr"),
    [
        ("", 0, "", ""),
        ("# nothing\n\n", 0, "", ""),
        ("nonesuch", 127, "", "bash: nonesuch: command not found\n"),
        ("cat; read x; echo $?", 0, "1\n", ""),
        ("cat <<'E'\n$x 'y' \"z\"\nE", 0, "$x 'y' \"z\"\n", ""),
        ("cat <<E\nunended", 0, "unended\n", None),
        ("for i in 1 2\ndo\n echo $i\ndone", 0, "1\n2\n", ""),
        ("echo 'it''s'; echo \\$ \"`echo q`\"", 0, "its\n$ q\n", ""),
        ("echo é ☃ 🎉", 0, "é ☃ 🎉\n", ""),
        ("echo 'open", 2, "", None),
        ("if then", 2, "", None),
        ("echo )", 2, "", None),
        ("break; echo on", 0, "on\n", None),
        ("return 4; echo never", 4, "", ""),
        ("echo $((1/0)); echo never", 1, "", None),
        ("set -u; echo $unset; echo never", 1, "", "bash: unset: unbound variable\n"),
        ("echo ${unset?gone}; echo never", 1, "", "bash: unset: gone\n"),
        ("readonly r=1; r=2", 1, "", "bash: r: readonly variable\n"),
        ("exec /nonesuch", 127, "", "bash: /nonesuch: No such file or directory\n"),
        ("sh -c 'kill -9 $$'", 137, "", None),
        ("history; echo !x; echo $-", 0, None, ""),
        ("alias hi='echo hello'\nhi", 0, "hello\n", ""),
    ],
)
def test_whatever_the_command_the_shell_goes_on(
    lane: Lane, command: str, code: int, stdout: str | None, stderr: str | None
) -> None:
    lane.call(command="kept=1")
    got = lane.call(command=command)

    assert {"exit_code": code} == got.value
    assert stdout in (None, got.stdout)
    assert stderr in (None, got.stderr)
    assert seen(0, "1\n") == lane.call(command="set +u; echo $kept")


def test_a_syntax_error_names_the_line(lane: Lane) -> None:
    assert "line 3: syntax error near unexpected token `then'" in lane.call(command="\n\nif then").stderr


@pytest.mark.orphans
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("exit 3", 3),
        ("set -e; false; echo never", 1),
        ("exec true", 0),
        ("kill -9 $$", 137),
        ("exit 300", 44),
        ("sleep 0.01 & exit 5", 5),
        ("exec 0<&-; exit 6", 6),
    ],
)
def test_a_shell_that_ends_says_so_and_the_next_call_gets_a_fresh_one(
    lane: Lane, command: str, code: int
) -> None:
    lane.call(command="x=1; mkdir -p d; cd d")

    assert seen(code, shell_reset=True) == lane.call(command=command)
    assert seen(0, f"-{lane.directory}\n") == lane.call(command="echo $x-$PWD")


def test_a_trap_on_exit_still_prints(lane: Lane) -> None:
    assert seen(1, "bye\n", shell_reset=True) == lane.call(command="trap 'echo bye' EXIT; exit 1")


def test_redirecting_the_shell_itself_lasts_and_the_exit_code_comes_all_the_same(lane: Lane) -> None:
    assert seen(0) == lane.call(command="exec 3>&1 >out; echo one")
    assert seen(1) == lane.call(command="echo two; false")

    assert seen(0, "back\n") == lane.call(command="exec >&3 3>&-; echo back")
    assert "one\ntwo\n" == (lane.directory / "out").read_text()


def test_printing_what_looks_like_an_exit_code_changes_nothing(lane: Lane) -> None:
    assert seen(1, "0\n0\n") == lane.call(command="printf '0\\n0\\n'; false")


def test_commands_and_jobs_do_not_have_the_private_descriptor(lane: Lane) -> None:
    mine = "for fd in /proc/self/fd/*; do readlink $fd; done"
    begun = "until grep -q sleep /proc/$!/comm; do sleep 0.01; done"
    jobs = f"sleep 60 & {begun}; for fd in /proc/$!/fd/*; do readlink $fd; done"
    held = lane.call(command=f"bash -c '{mine}'; {jobs}").stdout

    # The lane's own streams are files here, so a pipe could only be one of the shell's.
    assert "/dev/null" in held
    assert "pipe:" not in held


def test_nothing_of_ours_is_in_the_environment_of_a_command(lane: Lane) -> None:
    names = lane.call(command="env | cut -d= -f1").stdout.split()

    assert {"PS1", "PS2", "PROMPT_COMMAND", "HISTFILE", "MAILCHECK"}.isdisjoint(names)


def test_a_prompt_that_a_script_sets_is_not_printed(lane: Lane) -> None:
    assert seen(0) == lane.call(command="PS1='(venv) '; PS2='> '")
    assert seen(0, "x\n") == lane.call(command="echo x")


def test_a_large_command_and_a_large_output_come_through(lane: Lane) -> None:
    text = "y" * 1_000_000

    assert seen(0, text) == lane.call(command=f"printf %s '{text}'")


@pytest.mark.parametrize("command", ["echo \0", "echo \ud800"])
def test_a_command_that_is_no_text_is_refused_and_runs_nothing(command: str) -> None:
    state: dict[str, object] = {}
    with pytest.raises(ValueError, match="the command"):
        bash(state, command)

    assert {} == state


@pytest.mark.parametrize(
    "command",
    [
        "sleep 30",
        "while :; do :; done",
        "f() { while :; do sleep 30; done; }; g() { f; echo NEVER; }; for i in 1 2; do g; echo NEVER; done",
        "(while :; do :; done)",
        "v=$(sleep 30)",
        "sleep 30 | cat",
        "yes | while read x; do sleep 30; done",
        "while read x; do sleep 30; done < <(yes)",
        "sleep 31 & wait",
        "mkfifo p; cat p",
        "mkfifo p; read x < p",
        "eval 'eval \"while :; do :; done\"; echo NEVER'",
        "if sleep 30; then echo NEVER; fi; sleep 30 || echo NEVER; ! sleep 30",
        "{ sleep 30; echo NEVER; } >/dev/null 2>&1",
        "bash -c 'sleep 30; echo NEVER'",
        "source <(echo 'sleep 30; echo NEVER')",
        "trap 'echo trapped' EXIT; sleep 30",
        "set -e; sleep 30 || true; sleep 30",
        "python3 -c 'import time; time.sleep(30)' 2>/dev/null",
    ],
)
def test_the_deadline_interrupts_the_command_and_keeps_the_shell(lane: Lane, command: str) -> None:
    lane.call(command="kept=1; sleep 40 & job=$!")
    got = lane.call(command=f"touch begun; {command}; echo NEVER", seconds=0.3, after="begun")

    assert {"exit_code": 130} == got.value
    assert "NEVER" not in got.stdout
    assert seen(0, "1 job\n") == lane.call(command="trap - EXIT; echo $kept $(kill -0 $job && echo job)")


def test_what_was_printed_before_the_deadline_is_kept(lane: Lane) -> None:
    assert (
        "first\n" == lane.call(command="echo first; touch begun; sleep 30", after="begun", seconds=0).stdout
    )


@pytest.mark.orphans
@pytest.mark.parametrize(
    "command",
    [
        "trap '' INT; touch begun; while :; do sleep 30; done",
        'python3 -c \'import signal, time; signal.signal(2, 1); open("begun", "w"); time.sleep(30)\'',
        "touch begun; kill -STOP $$",
        "set -m; trap '' INT; touch begun; sleep 30",
        "exec sh -c 'trap \"\" INT; touch begun; while :; do sleep 30; done'",
    ],
)
def test_what_cannot_be_interrupted_costs_the_shell_and_all_it_started(impatient: Lane, command: str) -> None:
    lane = impatient
    lane.call(command="x=1; sleep 40 &")
    got = lane.call(command=command, seconds=0.3, after="begun")

    assert {"exit_code": None, "shell_reset": True} == got.value
    deadline = time.monotonic() + PATIENCE
    while [lane.process.pid] != lane.processes() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [lane.process.pid] == lane.processes()
    assert seen(0, "-\n") == lane.call(command="echo $x-")


def test_a_program_that_ends_on_the_second_interrupt_only_is_given_it(lane: Lane) -> None:
    program = (
        "import time\n"
        "open('ready', 'w').close()\n"
        "try:\n time.sleep(30)\n"
        "except KeyboardInterrupt:\n pass\n"
        "time.sleep(30)\n"
    )
    (lane.directory / "twice.py").write_text(program)
    got = lane.call(command="x=1; python3 twice.py", seconds=0.3, after="ready")

    assert {"exit_code": 130} == got.value
    assert seen(0, "1\n") == lane.call(command="echo $x")


@pytest.mark.orphans
def test_a_closed_shell_leaves_no_descriptor_in_the_lane(impatient: Lane) -> None:
    lane = impatient
    count = f"ls /proc/{lane.process.pid}/fd | wc -l"
    first = lane.call(command=count).stdout
    for _ in range(3):
        lane.call(command="exit 1")
    lane.call(command="trap '' INT; touch begun; while :; do :; done", seconds=0, after="begun")

    assert first == lane.call(command=count).stdout


@pytest.mark.orphans
def test_a_job_outlives_the_exit_of_its_shell(lane: Lane) -> None:
    lane.call(command="{ while [ ! -e go ]; do sleep 0.01; done; touch done; } & exit")
    lane.call(command="touch go")

    wait_until(lane.directory / "done")


def test_the_model_is_told_what_the_tool_takes() -> None:
    assert {
        "type": "object",
        "properties": {
            "command": {"type": "string", "description": "the command to run; may be a script of many lines."}
        },
        "required": ["command"],
        "additionalProperties": False,
    } == bash.schema()
    assert {"exit_code": None} == bash.empty
    assert ("bash", True) == (bash.lane, bash.streams)
