"""The Redis driver: joins the servers, the stores and the sweep."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from queues.model import Health
from queues.storage import Capabilities, Storage
from storage_drivers.redis.claims import RedisClaimStore
from storage_drivers.redis.credentials import RedisCredentialStore
from storage_drivers.redis.dead_letters import DeadLetters
from storage_drivers.redis.errors import in_time, unavailable
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.inspection import Findings, inspect
from storage_drivers.redis.layout import Layout
from storage_drivers.redis.mark import check_layout
from storage_drivers.redis.messages import RedisMessageStore
from storage_drivers.redis.queues import RedisQueueStore
from storage_drivers.redis.quotas import RedisQuotaStore
from storage_drivers.redis.records import RedisRecordStore
from storage_drivers.redis.servers import servers_of
from storage_drivers.redis.sweep import Sweep
from storage_drivers.redis.url import parse
from storage_drivers.redis.visits import Announcements
from storage_drivers.redis.wakeups import RedisWakeups

logger = logging.getLogger(__name__)


class Driver(Storage):
    """Stores in Redis or Valkey. README.md says what that guarantees."""

    capabilities = Capabilities(atomic_batches=True, flat_stats=True)

    def __init__(self, url: str, *, timeout_ms: int) -> None:
        """Prepare to use the store at `url`; nothing is connected yet.

        Raises: ConfigurationError.
        """
        target = parse(url)
        timeout_s = timeout_ms / 1000
        self._servers = servers_of(target, timeout_s)
        self._timeout_s = timeout_s
        executor = Executor(self._servers, Layout(target.namespace), timeout_s)
        self._executor = executor
        announcements = Announcements(executor)
        queues = RedisQueueStore(executor)
        self.dead_letters = DeadLetters(executor, queues)
        self.queues = queues
        self.messages = RedisMessageStore(executor, announcements)
        self.claims = RedisClaimStore(executor, self.dead_letters)
        self.credentials = RedisCredentialStore(executor)
        self.quotas = RedisQuotaStore(executor, queues)
        records = RedisRecordStore(executor, announcements)
        self.records = records
        wakeups = RedisWakeups(executor)
        self.wakeups = wakeups
        self._wakeups = wakeups
        self._sweep = Sweep(executor, queues, self.dead_letters, records)

    async def open(self) -> None:
        for warning in (await self._inspect()).warnings:
            logger.warning(warning)
        await check_layout(self._executor)

    async def close(self) -> None:
        await self._wakeups.close()
        await self._servers.close()

    async def health(self) -> Health:
        findings = await self._inspect()
        return Health(durability=findings.durability, warnings=findings.warnings)

    async def _inspect(self) -> Findings:
        try:
            async with in_time(self._timeout_s):
                return await inspect(self._servers)
        except RedisError as ex:
            raise unavailable(ex) from ex

    async def sweep(self, *, limit: int, now_ms: int) -> int:
        return await self._sweep.run(limit=limit, now_ms=now_ms)
