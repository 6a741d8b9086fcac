"""What a random history chooses from: few values, so that they meet again and again."""

from __future__ import annotations

from hypothesis import strategies as st

from queues.model import Idempotency, Media, NewMessage

#: Ends of windows fall on the odd quarter of a second, so no call hits one exactly.
WINDOW_MS = 60_250

# NOTE: most calls go to one queue, or a history is too thin to get anywhere.
projects = st.sampled_from(["alpha"] * 6 + ["beta"])
queues = st.sampled_from(["one"] * 6 + ["dead", "dead", "two"])
pick = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 8])
picks = st.lists(pick, min_size=1, max_size=4, unique=True)
limits = st.sampled_from([1, 1, 1, 2, 3, 20])
leases_s = st.sampled_from([10, 30, 60])
graces_s = st.sampled_from([0, 30])
steps_ms = st.sampled_from([1, 500, 10_000, 10_000, 10_000, 20_000, 30_000, 60_000])
clients = st.sampled_from(["me", "you"])
versions = st.sampled_from(["current"] * 9 + ["wrong"])
new_messages = st.lists(
    st.builds(
        NewMessage,
        body=st.sampled_from([b"1", b'{"a": "\xc3\xa9"}', b"\x80\0"]),
        media=st.sampled_from([Media.JSON] * 4 + [Media.MSGPACK] * 4 + [Media.SEALED]),
        ttl_s=st.sampled_from([10, 60, 3600, 3600, 3600]),
        delay_ms=st.sampled_from([0, 0, 0, 0, 0, 10_000, 30_000]),
        client_id=clients,
    ),
    min_size=1,
    max_size=4,
)


def without_sealed(messages: list[NewMessage]) -> list[NewMessage]:
    """Return the messages for a storage that seals by itself, and so opens what says it is."""
    return [
        message._replace(media=Media.JSON) if message.media is Media.SEALED else message
        for message in messages
    ]


def keys(operation: str) -> st.SearchStrategy[Idempotency | None]:
    used = st.builds(
        Idempotency,
        key=st.sampled_from([f"{operation}-1", f"{operation}-2", "shared"]),
        fingerprint=st.sampled_from([f"{operation}-a"] * 3 + [f"{operation}-b"]),
        window_ms=st.just(WINDOW_MS),
    )
    return st.none() | used
