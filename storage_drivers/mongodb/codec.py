"""Documents to model objects and back."""

from __future__ import annotations

from queues.model import (
    Credential,
    CredentialKind,
    DeadLetter,
    DeadLetterReason,
    Media,
    Message,
    NewMessage,
    Queue,
    Record,
    Taken,
)
from storage_drivers.mongodb.layout import (
    NEVER,
    Document,
    escape,
    message_id,
    record_names,
    unescape,
)


def queue(doc: Document) -> Queue:
    """Return the queue in a live queue's document."""
    return Queue(
        name=unescape(doc["name"]),
        metadata=bytes(doc["metadata"]),
        version=doc["version"],
        created_ms=doc["created"],
    )


def message_document(bucket: str, seq: int, new: NewMessage, now_ms: int) -> Document:
    """Return the document of a message posted at `now_ms`."""
    return {
        "_id": message_id(bucket, seq),
        "b": bucket,
        "seq": seq,
        "visible": now_ms + new.delay_ms if new.delay_ms else 0,
        "expires": now_ms + new.ttl_s * 1000,
        "posted": now_ms,
        "ttl": new.ttl_s,
        "body": new.body,
        "size": len(new.body),
        "media": int(new.media),
        "client": escape(new.client_id),
        "claim": "",
        "count": 0,
    }


def message(doc: Document, now_ms: int) -> Message:
    """Return the message in a document as it stands at `now_ms`."""
    waiting = doc["visible"] > now_ms
    return Message(
        seq=doc["seq"],
        posted_ms=doc["posted"],
        ttl_s=doc["ttl"],
        expires_ms=doc["expires"],
        body=bytes(doc["body"]),
        media=Media(doc["media"]),
        claim_id=(doc["claim"] or None) if waiting else None,
        claim_count=doc["count"],
        visible_ms=doc["visible"] if waiting else 0,
        dead_letter=_dead_letter(doc.get("origin")),
        number=doc["seq"],
    )


def _dead_letter(origin: Document | None) -> DeadLetter | None:
    if origin is None:
        return None
    return DeadLetter(
        queue=unescape(origin["queue"]),
        seq=origin["seq"],
        reason=DeadLetterReason(origin["reason"]),
        claim_count=origin["count"],
        moved_ms=origin["moved"],
    )


def credential_fields(project: str, added: Credential) -> Document:
    """Return the fields of a live credential, without its `_id`."""
    return {
        "project": escape(project),
        "id": escape(added.id),
        "kind": added.kind.value,
        "document": added.document,
        "created": added.created_ms,
        "expires": added.expires_ms,
        "uses": added.uses_left,
        "live": True,
    }


def credential(doc: Document) -> Credential:
    """Return the credential in a document."""
    return Credential(
        id=unescape(doc["id"]),
        kind=CredentialKind(doc["kind"]),
        document=bytes(doc["document"]),
        created_ms=doc["created"],
        expires_ms=doc["expires"],
        uses_left=doc["uses"],
    )


def record_fields(record: Record) -> Document:
    """Return the fields of a record that a change replaces."""
    return {
        "document": record.document,
        "due": record.due_ms,
        "expires": NEVER if record.expires_ms is None else record.expires_ms,
    }


def record(doc: Document) -> Record:
    """Return the record in a document."""
    return taken(doc).record


def taken(doc: Document) -> Taken:
    """Return the record in a document, and whose it is."""
    project, kind, scope, key = record_names(doc["_id"])
    expires_ms = None if doc["expires"] == NEVER else doc["expires"]
    document = bytes(doc["document"])
    found = Record(kind, scope, key, document, doc["version"], doc["due"], expires_ms)
    return Taken(project, found)
