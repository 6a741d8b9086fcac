"""Says which index a command is on: by the server's word, or by the declared indexes.

NOTE: nx-27017 explains with the plans of SQLite. There the rule of equality, sort, range is
applied to the indexes that the driver declares; a real MongoDB is asked itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pymongo import ASCENDING, IndexModel

from storage_drivers.mongodb.indexes import (
    ANSWER_INDEXES,
    CREDENTIAL_INDEXES,
    MESSAGE_INDEXES,
    QUEUE_INDEXES,
    RECORD_INDEXES,
    TOKEN_BUCKET_INDEXES,
)
from tests.drivers.mongodb_recorder import Command

Document = Mapping[str, Any]
Indexes = Mapping[str, Sequence[IndexModel]]

DECLARED: Indexes = {
    "queues": QUEUE_INDEXES,
    "messages": MESSAGE_INDEXES,
    "answers": ANSWER_INDEXES,
    "credentials": CREDENTIAL_INDEXES,
    "quotas": (),
    "token_buckets": TOKEN_BUCKET_INDEXES,
    "records": RECORD_INDEXES,
}
_PRIMARY = IndexModel([("_id", ASCENDING)], name="_id_")

#: Stages of a plan that read more than they return, or hold it all before they return any.
_BAD_STAGES = {"COLLSCAN", "SORT"}
#: Where a plan has its parts.
_OF_PLANS = {
    *("queryPlanner", "winningPlan", "queryPlan", "inputStage", "inputStages", "stages"),
    *("$cursor", "$unionWith", "pipeline", "shards"),
}
_EXPLAINED = {"find", "aggregate", "update", "delete", "findAndModify"}
_BOUNDS = {"$gt", "$gte", "$lt", "$lte", "$in"}
#: What the library adds to a command, and `explain` does not take.
_ADDED = {"lsid", "$db", "$clusterTime", "$readPreference", "writeConcern", "txnNumber"}


class Query(NamedTuple):
    """What a command looks for."""

    collection: str
    filter: Document
    sort: Document
    hint: str | None = None


def queries(command: Command) -> Iterator[Query]:
    """Give what a command looks for; nothing for those that look for nothing."""
    name, collection = next(iter(command.items()))
    if name == "find":
        yield Query(collection, command["filter"], command.get("sort", {}), command.get("hint"))
    elif name == "findAndModify":
        yield Query(collection, command["query"], {})
    elif name in ("update", "delete"):
        yield from (Query(collection, one["q"], {}) for one in command[f"{name}s"])
    elif name == "aggregate":
        yield from _stages(collection, command["pipeline"], command.get("hint"))


def _stages(
    collection: str, pipeline: Sequence[Document], hint: str | None = None
) -> Iterator[Query]:
    sort = pipeline[1].get("$sort", {}) if len(pipeline) > 1 else {}
    yield Query(collection, pipeline[0]["$match"], sort, hint)
    for stage in pipeline:
        if union := stage.get("$unionWith"):
            yield from _stages(union["coll"], union["pipeline"])


def index_of(query: Query, indexes: Indexes = DECLARED) -> str | None:
    """Return the name of an index that bounds the query and gives its order, or None."""
    for index in (_PRIMARY, *indexes[query.collection]):
        document = index.document
        if query.hint in (None, document["name"]) and _serves(document, query):
            return str(document["name"])
    return None


def _serves(index: Document, query: Query) -> bool:
    """Apply equality, sort, range. A field of the filter that is compared for equality must
    be in the index, unless the index is that of `_id`, which says all there is to say.
    """
    partial = index.get("partialFilterExpression", {})
    if not all(_implies(query.filter, field, cond) for field, cond in partial.items()):
        return False
    equal = {field for field, cond in query.filter.items() if _is_equality(cond)}
    bounded = {field for field, cond in query.filter.items() if _is_bound(cond)}
    keys = list(index["key"].items())
    if keys[0][0] != "_id" and not equal <= {field for field, _ in keys} | set(partial):
        return False
    while keys and keys[0][0] in equal:
        keys.pop(0)
    found_start = len(keys) < len(index["key"]) or keys[0][0] in bounded
    order = [(field, way) for field, way in query.sort.items() if field not in equal]
    return found_start and order in _orders(keys[: len(order)])


def _orders(keys: Sequence[tuple[str, int]]) -> tuple[list[tuple[str, int]], ...]:
    return list(keys), [(field, -way) for field, way in keys]


def _is_equality(cond: object) -> bool:
    return not isinstance(cond, Mapping | list)


def _is_bound(cond: object) -> bool:
    return isinstance(cond, Mapping) and bool(
        cond.keys() & {"$gt", "$gte", "$lt", "$lte", "$in"}
    )


def _implies(where: Document, field: str, partial: object) -> bool:
    """Say whether the filter selects nothing that a partial index leaves out."""
    cond = where.get(field)
    if not isinstance(partial, Mapping):
        return bool(cond == partial)
    above = partial["$gt"]
    if isinstance(cond, Mapping):
        return bool("$gt" in cond and cond["$gt"] >= above)
    return cond is not None and bool(cond > above)


def explainable(command: Command) -> Iterator[Command]:
    """Give the command as `explain` takes it, one for each update or delete in it."""
    name = next(iter(command))
    if name not in _EXPLAINED:
        return
    plain = {key: value for key, value in command.items() if key not in _ADDED}
    many = f"{name}s"
    for one in plain.get(many, [None]):
        yield plain | {many: [one]} if one else plain


def bad_stages(plan: object) -> set[str]:
    """Return the stages of an explained plan that no request may have."""
    if isinstance(plan, list):
        return {stage for part in plan for stage in bad_stages(part)}
    if not isinstance(plan, Mapping):
        return {plan} & _BAD_STAGES if isinstance(plan, str) else set()
    chosen = (part for key, part in plan.items() if key in _OF_PLANS or key == "stage")
    return {stage for part in chosen for stage in bad_stages(part)}
