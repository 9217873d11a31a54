"""Receipts, checked: what agrees, and that a changed byte is found and the part named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from server.canonical import canonical
from server.cli import main
from server.environments.mcqa import Mcqa
from server.http.requests import VerifyRequest
from server.receipts.checking import Finding, Word, check
from server.receipts.keys import HmacKey, KeyFileError, PrivateKey, Signer, public_key, signer
from server.receipts.receipt import Facts, Notary
from server.receipts.sources import source_digest
from tests.server.states.test_packing import kept

SECRET = "a secret of at least sixteen characters"
KEY = HmacKey(SECRET)
BODY = (
    b'{"responses_create_params":{"input":[{"role":"user","content":"add"}],"tools":null},"expected":[1.5,2],'
    b'"_ng_task_index":0,"response":{"id":"r","output":[{"type":"message","content":"caf\xc3\xa9"}],"usage":{"n":1}}}'
)


def reply(key: Signer = KEY, reference: str | None = "1.ab.cd") -> dict[str, Any]:
    """Return a verify reply as a server with that key would give it."""
    request = VerifyRequest.parse(BODY)
    fields: dict[str, Any] = {"reward": 1.0, "accuracy": True, "said": None, "expected": [7], "tier": "full"}
    facts = Facts(
        session="s",
        request=request.parts,
        response=request.response_digest,
        kept=kept(a=b"1"),
        state=reference,
        fields=fields,
    )
    notary = Notary(signer=key, verifier={"environment": "e", "source": "0", "settings": "1"})
    value: dict[str, Any] = json.loads(request.echo({**fields, "receipt": notary.receipt(facts)}, reference))
    return value


def wrong(value: dict[str, Any], key: Signer = KEY) -> dict[str, Word]:
    return {finding.part: finding.word for finding in check(value, [key]) if finding.word is not Word.AGREES}


@pytest.fixture(name="pem")
def _pem(tmp_path: Path) -> Path:
    private = Ed25519PrivateKey.generate()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (tmp_path / "key.pem").write_bytes(private.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    public = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    return tmp_path / "key.pem"


@pytest.mark.parametrize("reference", [None, "1.ab.cd"])
def test_a_reply_as_it_was_sent_agrees(reference: str | None) -> None:
    assert {} == wrong(reply(reference=reference))


def test_the_same_facts_give_the_same_receipt() -> None:
    assert reply()["receipt"] == reply()["receipt"]


def test_relays_may_add_and_drop_nulls() -> None:
    value = reply()
    del value["said"]
    value["more"] = value["response"]["error"] = None
    assert {} == wrong(value)


def changes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Return the path of each leaf of a JSON value, and something else to put there."""
    if isinstance(value, dict):
        return [change for key, item in value.items() for change in changes(item, (*path, key))]
    if isinstance(value, list):
        return [change for index, item in enumerate(value) for change in changes(item, (*path, index))]
    if isinstance(value, bool) or value is None:
        return [(path, not value)]
    return [(path, value + "x" if isinstance(value, str) else value + 1)]


@pytest.mark.parametrize(("path", "other"), changes(reply()), ids=lambda part: str(part)[:40])
def test_a_change_anywhere_is_found_and_named(path: tuple[Any, ...], other: Any) -> None:
    value = reply()
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = other
    found = wrong(value)
    if path[0] != "receipt":
        part = ".".join(path[:2]) if path[:2] == ("response", "metadata") else path[0]
        assert part in {name.removeprefix("request.") for name in found}
        assert "signature" not in found
    elif path[1:] in (("format",), ("signature", "algorithm"), ("signature", "key")):
        assert found in ({"receipt": Word.MISSING}, {"signature": Word.UNCHECKED})
    else:
        assert found["signature"] is Word.CHANGED


def test_every_flipped_byte_is_found_or_means_nothing() -> None:
    text = json.dumps(reply(), ensure_ascii=False, separators=(",", ":")).encode()
    whole = canonical(json.loads(text))
    for place in range(len(text)):
        flipped = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        try:
            value = json.loads(flipped)
        except ValueError:
            continue
        assert canonical(value) == whole or wrong(value), f"byte {place}"


def test_what_is_taken_out_or_added_is_named() -> None:
    value = reply()
    del value["accuracy"], value["expected"], value["response"]["metadata"]
    value["bonus"] = 1.0
    value["responses_create_params"]["input"].pop()
    assert {
        "accuracy": Word.MISSING,
        "expected": Word.MISSING,
        "request.bonus": Word.ADDED,
        "request.responses_create_params": Word.CHANGED,
        "response.metadata": Word.CHANGED,
    } == wrong(value)
    del value["response"]
    assert wrong(value)["response"] is Word.MISSING
    assert {"receipt": Word.MISSING} == wrong({"reward": 1.0, "receipt": {"format": "another/1"}})


def test_another_servers_receipt_is_not_taken_for_ours() -> None:
    forged = reply(HmacKey("another secret of sixteen or more"))
    assert {"signature": Word.UNCHECKED} == wrong(forged)
    forged["receipt"]["signature"]["key"] = KEY.key
    assert {"signature": Word.CHANGED} == wrong(forged)
    del forged["receipt"]["signature"]
    assert {"signature": Word.MISSING} == wrong(forged)


def test_anybody_can_check_an_ed25519_receipt(pem: Path) -> None:
    key = signer(SECRET, str(pem))
    value = reply(key)
    assert "Ed25519" == value["receipt"]["signature"]["algorithm"]
    checker = public_key(pem.with_name("public.pem"))
    assert all(finding.word is Word.AGREES for finding in check(value, [checker]))
    assert {"signature": Word.UNCHECKED} == wrong(value)
    value["receipt"]["reward"] = 0.5
    assert Finding("signature", Word.CHANGED) in check(value, [checker])
    value["receipt"]["signature"]["value"] = "no hexadecimal"
    assert Finding("signature", Word.CHANGED) in check(value, [checker])


def test_a_key_that_cannot_be_used_is_refused_with_the_remedy(tmp_path: Path, pem: Path) -> None:
    (tmp_path / "text").write_text("no key")
    pem_form, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    other = X25519PrivateKey.generate().private_bytes(pem_form, pkcs8, serialization.NoEncryption())
    (tmp_path / "other").write_bytes(other)
    for name, words in (("none", "cannot be read"), ("text", "no private key"), ("other", "openssl genpkey")):
        with pytest.raises(KeyFileError, match=words):
            PrivateKey(tmp_path / name)
    with pytest.raises(KeyFileError, match="no public key"):
        public_key(pem)


def run(*arguments: str, secret: str = SECRET) -> tuple[int, str]:
    ran = CliRunner().invoke(main, ["verify-receipt", *arguments], env={"CRECHE_SECRET": secret})
    return ran.exit_code, ran.output


def test_the_command_reads_replies_rollouts_and_bare_receipts(tmp_path: Path) -> None:
    value = reply()
    for name, text in (
        ("reply.json", json.dumps(value, indent=1)),
        ("rollouts.jsonl", "\n".join([json.dumps(value), "", json.dumps(reply())])),
        ("receipt.json", json.dumps(value["receipt"])),
    ):
        (tmp_path / name).write_text(text)
        status, told = run(str(tmp_path / name))
        assert (0, True) == (status, "agrees" in told), told


def test_the_command_names_the_line_and_the_part_that_was_changed(tmp_path: Path) -> None:
    value = reply()
    value["reward"] = 0.0
    file = tmp_path / "rollouts.jsonl"
    file.write_text("\n".join(map(json.dumps, (reply(), value, {"reward": 1.0}))))
    status, told = run(str(file))
    assert 1 == status
    assert ["rollouts.jsonl:2: does not agree", "  reward: changed"] == [
        told.splitlines()[1].partition(" (")[0].rpartition("/")[2],
        told.splitlines()[2],
    ]
    assert "receipt: missing" in told
    assert "1 of 3 receipts agree" in told
    status, told = run(str(file), "--json")
    assert [True, False, False] == [entry["agrees"] for entry in json.loads(told)]


def test_the_command_cannot_check_without_the_key(tmp_path: Path) -> None:
    (tmp_path / "reply.json").write_text(json.dumps(reply()))
    status, told = run(str(tmp_path / "reply.json"), secret="another secret of sixteen or more")
    assert (1, True) == (status, "signature: unchecked: made with the HMAC-SHA256 key" in told)


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '{"a":1}\n[]', "\n\n"])
def test_a_file_without_anything_to_check_is_told_apart(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "file").write_text(text)
    status, told = run(str(tmp_path / "file"))
    assert (2, True) == (status, told.startswith("creche: "))


def test_what_runs_in_a_verifiers_sandbox_is_a_part_of_the_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    before, read = source_digest(Mcqa()), Path.read_bytes
    for name in ("judging_guard", "judging_script", "judging_math", "database", "plain_reader"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path, name=name: read(path) + b"#" * (path.stem == name))
            assert before != source_digest(Mcqa()), name
    assert before == source_digest(Mcqa())


def relay(value: dict[str, Any]) -> dict[str, Any]:
    """Write a reply anew as NeMo Gym's environment server does."""
    params = value["responses_create_params"]
    turns = [{**turn, "type": "message", "phase": None} for turn in params["input"]]
    defaults = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "background": None}
    return {**value, "responses_create_params": {**params, **defaults, "input": turns}}


def test_a_prompt_with_a_relays_defaults_is_the_same_and_another_is_not() -> None:
    relayed = relay(reply())
    assert {"request.responses_create_params": Word.RELAYED} == wrong(relayed)
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda params: params.update(tool_choice="none"),
        lambda params: params.update(parallel_tool_calls=False),
        lambda params: params["input"][0].update(role="system"),
        lambda params: params["input"].append({"role": "user", "content": "", "type": "message"}),
        lambda params: params["input"][0].update(type="reasoning"),
    ]
    for change in changes:
        changed = json.loads(json.dumps(relayed))
        change(changed["responses_create_params"])
        assert {"request.responses_create_params": Word.CHANGED} == wrong(changed)
