"""The cookie signer: ours comes back, anything else is as good as absent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.http.cookies import CookieSigner

SIGNER = CookieSigner("a secret of at least sixteen characters")


def pair(signer: CookieSigner, session_id: str) -> bytes:
    """Return what a client sends back for the cookie that was set."""
    return signer.set_cookie(session_id).partition(b";")[0]


def test_what_was_set_is_read_back() -> None:
    session_id = SIGNER.new_id()
    assert session_id == SIGNER.read([pair(SIGNER, session_id)])


def test_cookies_of_several_servers_in_one_header_do_not_disturb() -> None:
    session_id = SIGNER.new_id()
    header = b"session=eyJhIjoxfQ==.x; " + pair(SIGNER, session_id) + b';model="a;b"; broken; =; '
    assert session_id == SIGNER.read([header])
    assert session_id == SIGNER.read([b"other=1", header])


def test_a_forged_cookie_of_the_same_name_before_the_good_one_does_not_hide_it() -> None:
    session_id = SIGNER.new_id()
    forged = pair(SIGNER, session_id)[:-1] + b"g"
    assert session_id == SIGNER.read([forged + b"; " + pair(SIGNER, session_id)])


def test_every_deployment_has_a_name_and_signatures_of_its_own() -> None:
    other = CookieSigner("another secret, also long enough")
    session_id = SIGNER.new_id()
    assert SIGNER.name != other.name
    renamed = pair(other, session_id).replace(other.name.encode(), SIGNER.name.encode())
    assert SIGNER.read([renamed]) is None


def test_the_same_secret_recognises_a_session_after_a_restart() -> None:
    again = CookieSigner("a secret of at least sixteen characters")
    session_id = SIGNER.new_id()
    assert session_id == again.read([pair(SIGNER, session_id)])


def test_every_changed_character_spoils_the_cookie() -> None:
    value = pair(SIGNER, SIGNER.new_id())
    start = value.index(b"=") + 1
    for position in range(start, len(value)):
        changed = bytearray(value)
        changed[position] = ord("1") if changed[position] != ord("1") else ord("2")
        assert SIGNER.read([bytes(changed)]) is None


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_no_header_is_too_strange(headers: list[bytes]) -> None:
    assert SIGNER.read(headers) is None


@given(st.text(alphabet="0123456789abcdef.", max_size=80))
def test_nobody_guesses_a_value(value: str) -> None:
    assert SIGNER.read([f"{SIGNER.name}={value}".encode()]) is None
