"""From a name to an environment, or to one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.environments.workbench import Workbench
from server.loading import EnvironmentNotFoundError, load_environment

MINE = """
from __future__ import annotations
import attrs
from server import Environment

@attrs.frozen
class Task:
    expected: Part

@attrs.frozen
class Part:
    text: str

class Mine(Environment[Task]):
    async def verify(self, rollout): ...

class Unfinished(Environment[Task]):
    pass

class Needy(Mine):
    def __init__(self, what): ...
"""


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    return file


@pytest.mark.parametrize("name", ["workbench", "server.environments.workbench:Workbench"])
def test_an_environment_is_found_by_its_name(name: str) -> None:
    assert Workbench is type(load_environment(name))


def test_a_file_of_ones_own_is_loaded_with_its_task(file: Path) -> None:
    environment = load_environment(f"{file}:Mine")
    assert ("mine", "Task") == (environment.name, environment.task_type().__name__)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "workbench"),
        ("no_such_module:Mine", "cannot be imported"),
        ("server.http.wire:Row", "no environment class 'Row'"),
        ("server.environments.workbench:Nothing", "there is Workbench"),
    ],
)
def test_a_wrong_name_is_answered_with_what_there_is(name: str, words: str) -> None:
    with pytest.raises(EnvironmentNotFoundError, match=words):
        load_environment(name)


@pytest.mark.parametrize(
    ("class_name", "words"),
    [
        ("Other", "there is Mine, Unfinished, Needy"),
        ("Task", "no environment class"),
        ("Unfinished", "does not define `async def verify"),
        ("Needy", "without arguments: TypeError"),
    ],
)
def test_an_unfit_class_is_refused_with_the_remedy(file: Path, class_name: str, words: str) -> None:
    with pytest.raises(EnvironmentNotFoundError, match=words):
        load_environment(f"{file}:{class_name}")


def test_a_file_that_raises_is_refused_with_its_error(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("1/0")
    with pytest.raises(EnvironmentNotFoundError, match="ZeroDivisionError"):
        load_environment(f"{file}:Mine")
    with pytest.raises(EnvironmentNotFoundError, match="there is no file"):
        load_environment(f"{tmp_path}/absent.py:Mine")
