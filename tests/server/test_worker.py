"""One process per listening socket."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from server.worker import SecondWorkerError, claim_listeners

CLAIM = "from server.worker import claim_listeners\nwith claim_listeners(): print('claimed')"
CLAIM_TWICE = """
import socket
from server.worker import claim_listeners
with socket.socket() as plain, claim_listeners(), claim_listeners():
    print("claimed")
"""


def claim_in_a_child(*listeners: socket.socket, by: str = CLAIM) -> str:
    """Have a child that inherits these sockets and no others claim them; return what it printed last."""
    done = subprocess.run(
        [sys.executable, "-c", by],
        pass_fds=[listener.fileno() for listener in listeners],
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout or done.stderr).splitlines()[-1]


def test_a_socket_that_another_process_serves_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with claim_listeners():
            assert "a second worker would get requests" in claim_in_a_child(listener)
        assert "claimed" == claim_in_a_child(listener)


def test_another_socket_is_another_matter() -> None:
    address = ("127.0.0.1", 0)
    with socket.create_server(address), claim_listeners(), socket.create_server(address) as other:
        assert "claimed" == claim_in_a_child(other)


def test_a_claim_ends_with_its_block() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        with claim_listeners(), pytest.raises(SecondWorkerError), claim_listeners():
            pass
        with claim_listeners():
            pass


def test_without_a_listening_socket_there_is_nothing_to_claim() -> None:
    # In a process of its own: pytest's may hold a listening socket, for a plugin that reruns tests.
    assert "claimed" == claim_in_a_child(by=CLAIM_TWICE)
