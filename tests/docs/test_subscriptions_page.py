"""The page about subscriptions: its code checks real signatures, its filter is one."""

from __future__ import annotations

import json
from typing import Any

from queues import filters, webhook_signatures
from tests.docs.markdown import ROOT, blocks

PAGE = ROOT / "docs/subscriptions.md"
BODY = b'{"body": 1}'
NOW_S = 1_800_000_000


def _is_genuine() -> Any:
    (code,) = (block.text for block in blocks(PAGE) if block.language == "python")
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return namespace["is_genuine"]


def test_the_code_of_the_page_tells_what_is_genuine() -> None:
    is_genuine = _is_genuine()
    secret, other = webhook_signatures.new_secret(), webhook_signatures.new_secret()
    for secrets in ([secret], [other, secret], [secret, other]):
        headers = webhook_signatures.headers(secrets, "id", NOW_S, BODY)
        assert is_genuine(headers, BODY, secret, NOW_S)
    assert not is_genuine(headers, BODY + b" ", secret, NOW_S)
    assert not is_genuine({**headers, "webhook-id": "other"}, BODY, secret, NOW_S)
    assert not is_genuine(headers, BODY, secret, NOW_S + 301)
    strange = webhook_signatures.headers([other], "id", NOW_S, BODY)
    assert not is_genuine(strange, BODY, secret, NOW_S)


def test_the_filter_of_the_page_is_one_and_lets_through_what_it_says() -> None:
    documents = [json.loads(block.text) for block in blocks(PAGE) if block.language == "json"]
    (wanted,) = (document for document in documents if "metadata" in document)
    filters.check("_filter", wanted)
    body = {"event": "created", "size": 10, "owner": {"name": "svc-a"}}
    metadata = {"client_id": "3381af92-2b9e-11e3-b191-71861300734c", "delay": 0, "ttl": 60}
    assert filters.passes(wanted, body, metadata)
    for changed in ({"event": "moved"}, {"size": 100}, {"owner": {}}, {"error": None}):
        assert not filters.passes(wanted, {**body, **changed}, metadata)
