"""The forms in which data sets bring tests for code, and which verifier runs each."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from sandbox.limits import MIB
from server.apart import apart
from server.verify.asserts import read_asserts
from server.verify.boxes import OpensSandboxes
from server.verify.function_cases import FunctionCase, FunctionCaseVerifier
from server.verify.functions import FunctionTest, FunctionVerifier
from server.verify.programs import ProgramCase, ProgramVerifier
from server.verify.setup import SETUP
from server.verify.unittests import UnittestSuite, UnittestVerifier, has_unittests
from server.verify.verdicts import Report

MAX_UNPACKED_BYTES = 256 * MIB
"""Far more than the benchmark's longest tests take, and little enough not to fill the server's memory."""

_GLANCE = 4000


class CodeTests(Protocol):
    """Tests of one row, ready to be run on a solution."""

    async def verify(self, opener: OpensSandboxes, source: str) -> Report:
        """Run them on `source`, each in a fresh sandbox."""
        ...

    def case(self, index: int) -> Mapping[str, str]:
        """Return what may be told of a case: its inputs and what it expects."""
        ...


def read_tests(holder: Mapping[str, Any]) -> CodeTests | None:
    """Return the tests that `holder` has in one of the known forms, or None if it has none.

    Raises:
        ValueError: it has some, and they make no sense.
        UnusableTestError: it has asserts, and they cannot be run.
    """
    if is_packed(holder):
        holder = {**holder, **json.loads(_unpacked(holder["packed"]))}
    if holder.get("inputs") is not None and holder.get("outputs") is not None:
        return _live_code_bench(holder["inputs"], holder["outputs"], holder.get("fn_name"))
    if holder.get("test") is not None and holder.get("entry_point") is not None:
        if has_unittests(holder["test"]):
            suite = UnittestSuite.read(holder["test"], holder["entry_point"])
            return UnittestTests(suite, setup=_stub(holder.get("code_prompt")))
        prompt = holder.get("prompt") or ""
        test = FunctionTest(
            pieces=(holder["test"],),
            names=(holder["entry_point"],),
            check="check",
            prelude=_if_module(prompt),
        )
        return SourceTests(test, setup=prompt)
    if holder.get("asserts") is not None:
        prelude = holder.get("test_setup_code") or ""
        test = read_asserts(holder["asserts"], prelude, holder.get("entry_point"))
        return SourceTests(test, setup="")
    return None


def is_packed(holder: Mapping[str, Any]) -> bool:
    """Whether a holder's tests are packed, as the benchmark's own are, which would fill disks otherwise."""
    return holder.get("packed") is not None


def check_packed(holder: Mapping[str, Any]) -> None:
    """See that packed tests begin as such do; what is in them may be very long.

    Raises:
        ValueError: they do not.
    """
    _unpacked(holder["packed"][:_GLANCE], is_beginning=True)


def _unpacked(packed: str, *, is_beginning: bool = False) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(base64.b64decode(packed, validate=True), MAX_UNPACKED_BYTES)
    except zlib.error as error:
        msg = f"the packed tests cannot be unpacked: {error}"
        raise ValueError(msg) from None
    if not unpacker.eof and not is_beginning:
        msg = f"the packed tests are cut off, or longer than {MAX_UNPACKED_BYTES} bytes"
        raise ValueError(msg)
    return text


def _live_code_bench(inputs: Sequence[str], outputs: Sequence[str], name: str | None) -> CodeTests:
    if len(inputs) != len(outputs) or not inputs:
        msg = f"{len(inputs)} inputs and {len(outputs)} outputs make no test cases"
        raise ValueError(msg)
    pairs = tuple(zip(inputs, outputs, strict=True))
    return ProgramTests(pairs) if name is None else FunctionCaseTests(pairs, name)


def _stub(code_prompt: str | None) -> str:
    """Return BigCodeBench's prompt as a module: its imports, and the function with nothing in it."""
    return f"{code_prompt}\n    pass\n" if code_prompt else ""


def _if_module(prompt: str) -> str:
    """Return the prompt if it can be run by itself, so that the test can use the helpers in it."""
    try:
        compile(prompt, "<prompt>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return ""
    return prompt


@attrs.frozen
class ProgramTests:
    """Texts that a program reads, and what it must print for each."""

    pairs: Sequence[tuple[str, str]]

    async def verify(self, opener: OpensSandboxes, source: str) -> Report:
        """Run the program on each text until one fails."""
        cases = [ProgramCase(*pair) for pair in self.pairs]
        return await ProgramVerifier(setup=SETUP).verify(opener, source, cases)

    def case(self, index: int) -> Mapping[str, str]:
        """Return the texts of one case."""
        return dict(zip(("inputs", "expected"), self.pairs[index], strict=True))


@attrs.frozen
class FunctionCaseTests:
    """Arguments of a function as lines of JSON, and the result that is expected as JSON."""

    pairs: Sequence[tuple[str, str]]
    name: str

    async def verify(self, opener: OpensSandboxes, source: str) -> Report:
        """Call the function for each pair until one fails."""
        cases = await apart(
            sum(len(text) for pair in self.pairs for text in pair),
            lambda: [FunctionCase.from_text(*pair) for pair in self.pairs],
        )
        return await FunctionCaseVerifier(setup=SETUP).verify(opener, source, self.name, cases)

    def case(self, index: int) -> Mapping[str, str]:
        """Return the texts of one case."""
        return dict(zip(("inputs", "expected"), self.pairs[index], strict=True))


@attrs.frozen
class UnittestTests:
    """Classes of unittest, which meet the solution in its own process."""

    suite: UnittestSuite
    setup: str

    async def verify(self, opener: OpensSandboxes, source: str) -> Report:
        """Run each test in a sandbox of its own, until one fails."""
        return await UnittestVerifier(setup=self.setup).verify(opener, source, self.suite)

    def case(self, index: int) -> Mapping[str, str]:
        """Return the test's name."""
        return {"test": self.suite.names[index]}


@attrs.frozen
class SourceTests:
    """A test in Python, and what a solution may take for granted."""

    test: FunctionTest
    setup: str

    async def verify(self, opener: OpensSandboxes, source: str) -> Report:
        """Run the test, with the solution elsewhere."""
        return await FunctionVerifier(setup=self.setup).verify(opener, source, self.test)

    def case(self, index: int) -> Mapping[str, str]:  # noqa: ARG002  # there is one, and it is source
        """Return nothing: the test is no pair of texts."""
        return {}
