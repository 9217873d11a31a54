"""What a forked process makes its own of a heap that is to be shared, on every Python there is."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts import interpreters

ROOT = str(Path(__file__).parents[3])

PROGRAM = f"""
import gc, json, os, sys
sys.path.insert(0, {ROOT!r})
from sandbox.inside import heap

class Node:
    def __init__(self, number):
        self.name, self.both = str(number), (number, float(number))

nodes = [Node(1000 + number) for number in range(20_000)]
def look():
    return sum(len(node.name) + len(node.both) for node in nodes)
def outer():
    def inner(): return "a constant of code within code"
    return inner

heap.share()

def sum_of(kind):
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(row.split()[1]) for row in file if row.startswith(kind))

class Fresh(Node):
    gone = 0
    def __del__(self): Fresh.gone += 1

read, write = os.pipe()
if os.fork() == 0:
    in_large_pages = sum_of("AnonHugePages")
    before = sum_of("Private")
    look()
    made_own = sum_of("Private") - before
    Fresh(1)
    os.write(write, json.dumps({{
        "immortal": heap.can_be_immortal(),
        "made_own_kib": made_own,
        "in_large_pages_kib": in_large_pages,
        "counts": [sys.getrefcount(each) for each in (Node, look, nodes[7], nodes[7].name, outer()())],
        "collected": gc.isenabled(),
        "frozen": gc.get_freeze_count() > 20_000,
        "fresh_gone": Fresh.gone,
    }}).encode())
    os._exit(0)
os.wait()
print(os.read(read, 65536).decode())
"""


def observe(version: str) -> dict[str, Any]:
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    ran = subprocess.run(
        [python, "-I", "-S", "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=150
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_looking_at_what_is_shared_makes_next_to_nothing_ones_own(version: str) -> None:
    found = observe(version)
    assert found["immortal"]
    assert [0xFFFFFFFF] * 5 == found["counts"]
    assert found["made_own_kib"] < 200, "twenty thousand nodes have some six megabytes"


def test_an_older_python_counts_but_its_collector_leaves_the_heap_alone() -> None:
    found = observe("3.11")
    assert not found["immortal"]
    assert found["made_own_kib"] > 2000, "what this is all about"


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_what_is_made_later_comes_and_goes_as_ever(version: str) -> None:
    found = observe(version)
    assert (1, True, False) == (found["fresh_gone"], found["frozen"], found["collected"])


def test_a_fork_inherits_large_pages_where_the_kernel_makes_them() -> None:
    version = tuple(map(int, platform.release().split(".")[:2]))
    if version < (6, 1) or not Path("/sys/kernel/mm/transparent_hugepage").exists():
        pytest.skip(f"Linux {platform.release()} gathers no pages when it is asked to")
    assert observe("3.11")["in_large_pages_kib"] >= 2048
