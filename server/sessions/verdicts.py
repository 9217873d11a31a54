"""From the end of a session, or from a state that was kept of one, to the fields of a verify reply.

Whatever happens, there are fields, a reward among them and a receipt. Only so many verdicts are computed at
once: too many would make correct programs miss their deadlines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.final_state import FinalState
from server.apart import apart
from server.errors import ClientError, Failure
from server.http.shapes import structure
from server.logs import get_logger
from server.receipts.keys import signer
from server.receipts.receipt import Facts, Notary
from server.receipts.sources import settings_digest, source_digest
from server.sessions.verification import Judge
from server.states.packing import DamagedError, KeptState
from server.states.reference import ForgedError
from server.states.store import States
from server.verify.judge.model import judge_model_of

if TYPE_CHECKING:
    from server.http.requests import VerifyRequest
    from server.sessions.ground import Ground
    from server.sessions.session import LiveSession
    from server.sessions.shares import Share
    from server.settings import Settings

log = get_logger("verdicts")


class Verdicts:
    """What all verdicts of one server need."""

    def __init__(self, ground: Ground, settings: Settings) -> None:
        """Open the captured states and the key.

        Raises:
            ShelfError, KeyFileError: one of them cannot be used.
        """
        environment = ground.environment
        self._ground = ground
        self._tier = settings.tier
        self._judge = Judge(environment, ground.launcher, settings.verify_seconds, judge_model_of(settings))
        self._judging = trio.CapacityLimiter(settings.max_verifications)
        self._states = States.of(settings)
        verifier = {
            "environment": environment.name,
            "source": source_digest(environment),
            "settings": settings_digest(environment, settings),
        }
        self._notary = Notary(signer=signer(settings.secret, settings.receipt_key), verifier=verifier)

    @property
    def reverify_mode(self) -> str:
        """Whether rollouts can be verified again without their session: ``stateless`` or ``unsupported``."""
        can = self._states.keeps or self._ground.environment.stateless
        return "stateless" if can else "unsupported"

    async def verdict(self, session: LiveSession, request: VerifyRequest) -> dict[str, Any]:
        """Judge a session that is over, and keep what it left."""
        try:
            return await self._of(session, request)
        except Exception as error:  # noqa: BLE001  # it is made in a nursery that all sessions share
            return self._crashed(session.id, request, error)

    async def _of(self, session: LiveSession, request: VerifyRequest) -> dict[str, Any]:
        if session.final_state is None:
            return self.failed(session.id, request, session.failure or _UNKNOWN)
        kept = KeptState(
            session=session.id,
            row={key: code.hex() for key, code in session.row.digests.items()},
            tier=self._tier,
            limits=attrs.asdict(session.limits),
            final_state=session.final_state,
        )
        fields = await self._judged(session.id, session.task, request, session.final_state)
        state = await self._states.keep(kept)
        return await self._signed(self._facts(session.id, request, fields, kept, state))

    async def verdict_again(self, session_id: str | None, request: VerifyRequest) -> dict[str, Any]:
        """Judge a rollout whose session is not known here (any more): by the state that was kept of it.

        Environments that need no state judge all the same; the others' rollouts are masked without one.

        Raises:
            InvalidBody: there is no response, or no row.
        """
        try:
            return await self._again(session_id, request)
        except ClientError:
            raise
        except Exception as error:  # noqa: BLE001  # another status than 200 would cost the client its run
            return self._crashed(session_id, request, error)

    async def _again(self, session_id: str | None, request: VerifyRequest) -> dict[str, Any]:
        reference = request.reference
        with self._ground.work:
            if reference is not None:
                with await self._ground.states.take(self._ground.profile.limits) as share:
                    return await self._from_state(session_id, request, reference, share)
            if self._ground.environment.stateless:
                task = structure(request.body, self._ground.environment.task_type())
                fields = await self._judged(session_id, task, request, FinalState())
                return await self._signed(self._facts(session_id, request, fields))
        if session_id is None:
            failure = Failure("session_lost", "the request named no session of this server")
        else:
            failure = Failure("session_expired", "the session is not remembered any more")
        return self.failed(session_id, request, failure)

    def failed(self, session_id: str | None, request: VerifyRequest, failure: Failure) -> dict[str, Any]:
        """Return the fields for a rollout that was not judged."""
        return self._with_receipt(self._facts(session_id, request, failure.fields()))

    def _crashed(self, session_id: str | None, request: VerifyRequest, error: Exception) -> dict[str, Any]:
        log.error("verdict crashed", session=session_id, exc_info=error)
        failure = Failure("verifier_error", f"the server met a {type(error).__name__}")
        return self.failed(session_id, request, failure)

    async def _from_state(
        self, session_id: str | None, request: VerifyRequest, reference: str, share: Share
    ) -> dict[str, Any]:
        try:
            kept = await self._states.get(reference)
        except ForgedError as error:
            return self.failed(session_id, request, Failure("session_lost", str(error)))
        except DamagedError as error:
            failure = Failure("creche:state_damaged", f"the captured state is damaged: {error}")
            return self.failed(session_id, request, failure)
        if kept is None:
            failure = Failure("session_expired", "the captured state is not kept any more")
            return self.failed(session_id, request, failure)
        share.resize(kept.final_state.size)
        row = {key: code.hex() for key, code in request.row.digests.items()}
        # Agents seed with the prompt as they have filled it in; who verifies again has it as the row says it.
        is_other = any(
            row.get(key) != code for key, code in kept.row.items() if key != "responses_create_params"
        )
        if is_other or self._adds_to(kept.row, request.body):
            failure = Failure("creche:other_task", "the captured state is of a session with another task")
            return self.failed(session_id, request, failure)
        task = structure(request.body, self._ground.environment.task_type())
        fields = await self._judged(kept.session, task, request, kept.final_state)
        return await self._signed(self._facts(kept.session, request, fields, kept, reference))

    def _adds_to(self, row: Mapping[str, str], body: Mapping[str, Any]) -> bool:
        """Whether a request names a field of the task that the session's row did not have: easier tests."""
        task_type = self._ground.environment.task_type()
        names = attrs.fields_dict(task_type) if attrs.has(task_type) else {}
        return any(
            body.get(name) is not None
            for name in names
            if name not in row and name != "responses_create_params"
        )

    async def _judged(
        self, session_id: str | None, task: Any, request: VerifyRequest, state: FinalState
    ) -> dict[str, Any]:
        async with self._judging:
            response = await apart(request.size, lambda: request.response, self._ground.long_bodies)
            return await self._judge.judge(session_id, task, response, state)

    async def _signed(self, facts: Facts) -> dict[str, Any]:
        size = 0 if facts.kept is None else facts.kept.final_state.size
        return await apart(size, lambda: self._with_receipt(facts), self._ground.long_bodies)

    def _facts(
        self,
        session_id: str | None,
        request: VerifyRequest,
        fields: Mapping[str, Any],
        kept: KeptState | None = None,
        state: str | None = None,
    ) -> Facts:
        return Facts(
            session=session_id,
            request=request.parts,
            response=request.response_digest,
            kept=kept,
            state=state,
            fields={**fields, "tier": kept.tier if kept is not None else self._tier},
        )

    def _with_receipt(self, facts: Facts) -> dict[str, Any]:
        return {**facts.fields, "receipt": self._notary.receipt(facts)}


_UNKNOWN = Failure("session_lost", "the session left nothing to judge")
