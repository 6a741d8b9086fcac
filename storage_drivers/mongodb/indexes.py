"""The indexes that every command relies on; `layout.py` describes the fields."""

from __future__ import annotations

from pymongo import ASCENDING, DESCENDING, IndexModel

from storage_drivers.mongodb.layout import BEFORE_ALL, Database

QUEUE_INDEXES = (
    IndexModel(
        [("project", ASCENDING), ("name", ASCENDING)],
        name="live_by_name",
        partialFilterExpression={"live": True},
    ),
    IndexModel(
        [("gone", ASCENDING)],
        name="gone",
        partialFilterExpression={"gone": {"$gt": 0}},
    ),
    IndexModel(
        [("leftover", ASCENDING)],
        name="leftover",
        partialFilterExpression={"leftover": True},
    ),
)

MESSAGE_INDEXES = (
    # Due messages come first, then the ready ones by sequence; `expires` lets the index
    # alone skip what has expired, and `size` lets it alone tell the usage.
    IndexModel(
        [
            ("b", ASCENDING),
            ("visible", DESCENDING),
            ("seq", ASCENDING),
            ("expires", ASCENDING),
            ("size", ASCENDING),
        ],
        name="ready",
    ),
    IndexModel([("b", ASCENDING), ("expires", ASCENDING)], name="expired_in_queue"),
    IndexModel([("expires", ASCENDING)], name="expired"),
    IndexModel(
        [("b", ASCENDING), ("claim", ASCENDING), ("visible", ASCENDING)],
        name="claimed",
        partialFilterExpression={"claim": {"$gt": ""}},
    ),
    IndexModel(
        [("visible", ASCENDING)],
        name="waiting",
        partialFilterExpression={"visible": {"$gt": 0}},
    ),
)

ANSWER_INDEXES = (IndexModel([("until", ASCENDING)], name="until"),)

CREDENTIAL_INDEXES = (
    IndexModel(
        [
            ("project", ASCENDING),
            ("kind", ASCENDING),
            ("id", ASCENDING),
            ("expires", ASCENDING),
        ],
        name="live_by_id",
        partialFilterExpression={"live": True},
    ),
    # NOTE: `named` is part of it, or MongoDB would read the documents to be sure of it.
    IndexModel(
        [("named", ASCENDING), ("expires", ASCENDING), ("id", ASCENDING)],
        name="named",
        partialFilterExpression={"named": True},
    ),
    IndexModel([("expires", ASCENDING)], name="expired"),
)

TOKEN_BUCKET_INDEXES = (IndexModel([("full", ASCENDING)], name="full"),)

RECORD_INDEXES = (
    # `expires` lets the index alone skip what has expired.
    IndexModel(
        [("due", ASCENDING), ("expires", ASCENDING)],
        name="due",
        partialFilterExpression={"due": {"$gt": BEFORE_ALL}},
    ),
    IndexModel([("expires", ASCENDING)], name="expired"),
)


async def make(db: Database) -> None:
    """Make the indexes that are not there yet."""
    await db.queues.create_indexes(list(QUEUE_INDEXES))
    await db.messages.create_indexes(list(MESSAGE_INDEXES))
    await db.answers.create_indexes(list(ANSWER_INDEXES))
    await db.credentials.create_indexes(list(CREDENTIAL_INDEXES))
    await db.token_buckets.create_indexes(list(TOKEN_BUCKET_INDEXES))
    await db.records.create_indexes(list(RECORD_INDEXES))
