"""From a dead session to the fields of a verify reply. Never raises for what an environment does."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs
import trio

from sandbox.errors import SandboxError
from server.canonical import canonical
from server.environment import Environment, Rollout, Verdict
from server.errors import Failure
from server.http.wire import dump
from server.logs import get_logger
from server.mcp.names import bare_names
from server.verify import VERIFIER
from server.verify.verdicts import JudgeFailedError

if TYPE_CHECKING:
    from sandbox.final_state import FinalState
    from sandbox.launcher import Launcher
    from server.verify.judge.model import JudgeModel

log = get_logger("verification")


class BadVerdictError(Exception):
    """An environment's `verify` returned something that is no verdict."""


@attrs.frozen
class Judge:
    """Runs an environment's `verify`.

    Attributes:
        environment: whose verdicts these are.
        launcher: where its verifier's sandboxes come from.
        seconds: how long one verdict may take.
        judge_model: the language model that verifiers may ask, if there is one.
    """

    environment: Environment[Any]
    launcher: Launcher
    seconds: float
    judge_model: JudgeModel | None = None

    async def judge(
        self, session: str | None, task: Any, response: Mapping[str, Any], final_state: FinalState
    ) -> dict[str, Any]:
        """Return the reply's fields: the verdict's, or those of a masked failure when there is none.

        Args:
            session: the session's id, for the log.
            task: the row as it was seeded.
            response: the trajectory.
            final_state: what the session left behind.
        """
        rollout: Rollout[Any] = Rollout(
            task=task,
            response=bare_names(response, self.environment.name),
            final_state=final_state,
            launcher=self.launcher,
            verifier=self.environment.verifier or VERIFIER,
            judge_model=self.judge_model,
        )
        try:
            with trio.fail_after(self.seconds):
                return _fields_of(await self.environment.verify(rollout))
        except trio.TooSlowError:
            failure = Failure("verifier_error", f"the verifier took longer than {self.seconds:g} s")
        except Exception as error:  # whatever a user's code raises must not cost the client its run
            failure = _failure_of(error)
            if failure.kind == "verifier_error":  # the others are no bugs, and the reason says all of it
                log.exception("verifier raised", session=session, environment=self.environment.name)
        log.error("no verdict", session=session, failure=failure.kind, reason=failure.reason)
        return failure.fields()


def _failure_of(error: Exception) -> Failure:
    """Sort what a verifier raised: its sandboxes failed it, or it failed."""
    cause = _innermost(error)
    if isinstance(cause, JudgeFailedError):
        return Failure("judge_failed", str(cause))
    if isinstance(cause, SandboxError):
        return Failure("provider_unavailable", f"a sandbox of the verifier failed: {cause}")
    return Failure("verifier_error", f"the verifier raised {type(cause).__name__}")


def _innermost(error: Exception) -> Exception:
    """Unwrap what a verifier's own nurseries wrapped, where it is one exception."""
    if not isinstance(error, ExceptionGroup):
        return error
    group = cast("ExceptionGroup[Exception]", error)
    return _innermost(group.exceptions[0]) if len(group.exceptions) == 1 else group


def _fields_of(verdict: Any) -> dict[str, Any]:
    if not isinstance(verdict, Verdict):
        msg = f"verify returned a {type(verdict).__name__} and not a Verdict"
        raise BadVerdictError(msg)
    reward = float(verdict.reward)
    if not math.isfinite(reward):
        msg = f"the reward is {reward}"
        raise BadVerdictError(msg)
    # What is no JSON, or too deep for a receipt, must fail here, where it is the verifier's fault. And the
    # receipt speaks of what is sent: there a tuple is a list and each key a string.
    try:
        fields: dict[str, Any] = json.loads(dump({**verdict.fields, "reward": reward}))
        canonical(fields)
    except RecursionError:
        msg = "a field is nested too deeply"
        raise BadVerdictError(msg) from None
    return fields
