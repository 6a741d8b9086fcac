"""Messages to what the stores keep, and back."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.pieces.driven import new_messages
from queues import ids
from storage_drivers.mongodb import codec as mongodb
from storage_drivers.redis import codec as redis
from storage_drivers.redis.scripts import command
from storage_drivers.sqlite import codec as sqlite

NOW_MS = 1_800_000_000_000
SEQ = 1_887_436_800_000_000

(MESSAGE,) = new_messages(1)

pytestmark = pytest.mark.benchmark(group="codecs")


def test_redis_pack(benchmark: BenchmarkFixture) -> None:
    record = benchmark(redis.pack, MESSAGE, NOW_MS)
    assert record.endswith(MESSAGE.body)


def test_redis_unpack(benchmark: BenchmarkFixture) -> None:
    record = redis.pack(MESSAGE, NOW_MS)
    message = benchmark(redis.unpack, SEQ, record, NOW_MS)
    assert message.body == MESSAGE.body


@pytest.mark.parametrize("count", [1, 10])
def test_redis_command(benchmark: BenchmarkFixture, count: int) -> None:
    parts = [b"x" * 40] * 14 + [redis.pack(MESSAGE, NOW_MS)] * count
    assert benchmark(command, *parts).startswith(b"*%d\r\n" % len(parts))


def test_sqlite_new_row(benchmark: BenchmarkFixture) -> None:
    values, _ = benchmark(sqlite.new_values, [SEQ], [1], 1, [MESSAGE], NOW_MS)
    assert MESSAGE.body in values


def test_sqlite_to_message(benchmark: BenchmarkFixture) -> None:
    row = (SEQ, NOW_MS, 3600, NOW_MS + 3_600_000, MESSAGE.body, 0, None, 0, None, None)
    message = benchmark(sqlite.to_message, row, NOW_MS)
    assert message.body == MESSAGE.body


def test_mongodb_document(benchmark: BenchmarkFixture) -> None:
    document = benchmark(mongodb.message_document, "bucket", SEQ, MESSAGE, NOW_MS)
    assert document["body"] == MESSAGE.body


def test_mongodb_message(benchmark: BenchmarkFixture) -> None:
    document = mongodb.message_document("bucket", SEQ, MESSAGE, NOW_MS)
    assert benchmark(mongodb.message, document, NOW_MS).body == MESSAGE.body


def test_message_id(benchmark: BenchmarkFixture) -> None:
    tag = ids.queue_tag("bench", "queue")
    assert benchmark(ids.message_id, SEQ, tag).endswith(tag)


def test_parse_message_id(benchmark: BenchmarkFixture) -> None:
    tag = ids.queue_tag("bench", "queue")
    assert benchmark(ids.parse_message_id, ids.message_id(SEQ, tag), tag) == SEQ
