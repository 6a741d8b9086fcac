"""The rules: what may happen, and when. The only way from a transport to the store."""

from __future__ import annotations

from queues.clock import Clock
from queues.limits import Limits
from queues.model import Health
from queues.operations.claims import ClaimOperations
from queues.operations.messages import MessageOperations
from queues.operations.policies import Policies
from queues.operations.queues import QueueOperations
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
    ) -> None:
        """Join the rules with a store, the limits and a clock."""
        # NOTE: a driver may make its views when it is opened, after this.
        policies = Policies(storage, limits)
        self._storage = storage
        self.queues = QueueOperations(storage, limits, clock, policies)
        self.messages = MessageOperations(
            storage, limits, clock, policies, delete_with_claim_id=delete_with_claim_id
        )
        self.claims = ClaimOperations(storage, limits, clock, policies)

    async def health(self) -> Health:
        """Return what the store says of itself.

        Raises: StorageUnavailable.
        """
        return await self._storage.health()
