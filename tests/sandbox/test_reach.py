"""An interpreter that cannot be reached is told with the part of its path that is at fault."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sandbox.interpreter import Interpreter
from sandbox.reach import of_path, of_sessions
from tests.sandbox import deprived
from tests.sandbox.deprived import Without

_PROGRAM = "import sys; from sandbox.reach import of_path; print(of_path(sys.argv[1]).cause)"


@pytest.fixture(name="python")
def _python(tmp_path: Path) -> Path:
    """Give a program two folders down that everybody may run."""
    program = tmp_path / "home" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', "utf-8")
    program.chmod(0o755)
    return program


def cause_without(without: Without, path: Path) -> str:
    """Return the cause that a process finds which has less."""
    return deprived.run(without, sys.executable, "-c", _PROGRAM, str(path)).stdout


def test_a_program_that_can_be_run_has_no_obstacle(python: Path) -> None:
    assert None is of_path(str(python))


def test_a_closed_folder_above_it_is_named_with_its_mode(python: Path) -> None:
    home = python.parent.parent
    home.chmod(0o600)
    cause = cause_without(Without(capabilities=()), python)
    home.chmod(0o755)
    assert f"the folder {home} is closed to user {os.geteuid()} (its mode is 0600)\n" == cause


def test_a_file_system_mounted_noexec_is_named(python: Path) -> None:
    cause = cause_without(Without(no_exec=(str(python.parent),)), python)
    assert f"{python} lies on a file system that is mounted noexec ({python.parent})\n" == cause


def test_a_file_that_is_no_program_is_named(python: Path) -> None:
    python.chmod(0o644)
    obstacle = of_path(str(python))
    assert obstacle is not None
    assert f"{python} is no program (its mode is 0644)" == obstacle.cause


def test_a_part_that_is_not_there_is_named(python: Path) -> None:
    obstacle = of_path(str(python.parent / "lost" / "python"))
    assert obstacle is not None
    assert f"there is no {python.parent}/lost (No such file or directory)" == obstacle.cause


def test_a_prefix_that_is_closed_to_others_is_an_obstacle_for_sessions_with_ids_of_their_own(
    python: Path,
) -> None:
    prefix = python.parent.parent
    prefix.parent.chmod(0o700)  # above the prefix, where no session comes by
    interpreter = Interpreter(prefix=str(prefix), executable=str(python), purelib=str(prefix / "lib"))
    assert None is of_sessions(interpreter)
    python.parent.chmod(0o700)
    obstacle = of_sessions(interpreter)
    assert obstacle is not None
    assert f"{python.parent} is closed to others (mode 0700), and sessions have ids of their own" == (
        obstacle.cause
    )


@pytest.mark.parametrize(("mode", "is_open"), [(0o644, True), (0o755, True), (0o600, False), (0o640, False)])
def test_packages_have_to_be_open_to_others_for_sessions_with_ids_of_their_own(
    python: Path, tmp_path: Path, mode: int, is_open: bool
) -> None:
    prefix = python.parent.parent
    interpreter = Interpreter(prefix=str(prefix), executable=str(python), purelib=str(prefix / "lib"))
    module, package = tmp_path / "module.py", tmp_path / "package"
    module.touch()
    package.mkdir()
    package.chmod(0o755)
    module.chmod(mode)
    obstacle = of_sessions(interpreter, [str(package), str(module)])
    assert is_open == (obstacle is None)
    assert is_open or f"chmod -R o+rX {module}" == getattr(obstacle, "remedy", "")
    package.chmod(0o744)
    assert f"chmod -R o+rX {package}" == getattr(of_sessions(interpreter, [str(package)]), "remedy", "")
