"""The rules: what may happen, and when. The only way from a transport to the store."""

from __future__ import annotations

from queues.authorization import Authorization
from queues.clock import Clock
from queues.keys import KeyRing
from queues.limits import Limits
from queues.model import Health, RecordKind
from queues.operations.agenda import Agenda
from queues.operations.claims import ClaimOperations
from queues.operations.contributions import Contributions
from queues.operations.courier import ToJson
from queues.operations.credentials import CredentialRegister
from queues.operations.cursors import CursorOperations
from queues.operations.dead_letters import DeadLetterOperations
from queues.operations.endings import Endings
from queues.operations.following import Following
from queues.operations.handles import Handles
from queues.operations.messages import MessageOperations
from queues.operations.notifying import Notifications, Notifying
from queues.operations.policies import Policies
from queues.operations.polls import LongPolls
from queues.operations.queues import QueueOperations
from queues.operations.quotas import Quotas
from queues.operations.redriving import Redriver
from queues.operations.shares import ShareOperations
from queues.operations.signalling import Signalling
from queues.operations.signals import SignalOperations
from queues.operations.tokens import TokenOperations
from queues.operations.waiting import WaitingRoom
from queues.project_limits import ProjectLimits
from queues.storage import Storage


class Operations:
    """All operations on one store, bundled for a transport."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Clock,
        *,
        delete_with_claim_id: bool = False,
        keys: KeyRing | None = None,
        authorization: Authorization | None = None,
        project_limits: ProjectLimits = ProjectLimits(),  # noqa: B008 (immutable)
        to_json: ToJson = lambda body, _: body,
        notifying: Notifying = Notifying(),  # noqa: B008 (immutable)
    ) -> None:
        """Join the rules with a store, the limits and a clock.

        `to_json` returns a body as JSON, for filters; by itself the core knows no other.
        """
        # NOTE: a driver may make its views when it is opened, after this.
        policies = Policies(storage, limits, clock)
        keys = keys or KeyRing()
        self._storage = storage
        self._outgoing = notifying.outgoing
        self.agenda = Agenda(storage, clock)
        self.waiting = WaitingRoom(storage, clock)
        self.following = Following(storage, clock)
        self.authorization = authorization or Authorization({})
        self.quotas = Quotas(storage, limits, clock, project_limits)
        self.queues = QueueOperations(storage, limits, clock, policies, self.quotas)
        self.credentials = CredentialRegister(storage, limits, clock)
        notifications = Notifications(
            storage,
            limits,
            clock,
            self.agenda,
            policies,
            self.queues,
            self.credentials,
            keys=keys.signed_urls,
            to_json=to_json,
            settings=notifying,
        )
        self.notices = notifications.notices
        self.subscriptions = notifications.subscriptions
        self.deliveries = notifications.deliveries
        self.messages = MessageOperations(
            storage,
            limits,
            clock,
            policies,
            self.quotas,
            outbox=notifications.outbox,
            delete_with_claim_id=delete_with_claim_id,
        )
        self.claims = ClaimOperations(storage, limits, clock, policies, self.quotas)
        self.polls = LongPolls(
            storage, limits, clock, policies, self.claims, self.messages, self.waiting
        )
        self.cursors = CursorOperations(storage, limits, clock, self.waiting)
        self.shares = ShareOperations(
            storage,
            clock,
            keys=keys.signed_urls,
            authorization=self.authorization,
            register=self.credentials,
        )
        self.tokens = TokenOperations(
            limits, clock, authorization=self.authorization, register=self.credentials
        )

        self.dead_letters = DeadLetterOperations(
            storage, limits, clock, authorization=self.authorization, agenda=self.agenda
        )
        redriver = Redriver(
            storage,
            limits,
            clock,
            messages=self.messages,
            agenda=self.agenda,
            to_json=to_json,
        )
        self.agenda.handle(RecordKind.REDRIVE, redriver.handle)
        handles = Handles(storage, limits, clock, self.agenda.ring)
        contributions = Contributions(storage, clock, handles)
        self.signals = SignalOperations(
            limits,
            clock,
            handles=handles,
            contributions=contributions,
            authorization=self.authorization,
            shares=self.shares,
            room=self.waiting,
            asks_receivers=notifying.confirmation,
        )
        self.signalling = Signalling(
            clock, handles=handles, contributions=contributions, register=self.credentials
        )
        endings = Endings(clock, handles=handles, messages=self.messages, outbox=self.notices)
        self.agenda.handle(RecordKind.SIGNAL, endings.attend)

    async def close(self) -> None:
        """Let go of all that is outside of the store. The agenda has ended by then."""
        if self._outgoing is not None:
            await self._outgoing.close()

    async def health(self) -> Health:
        """Return what the store says of itself.

        Raises: StorageUnavailable.
        """
        return await self._storage.health()
