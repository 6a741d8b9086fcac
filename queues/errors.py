"""The closed vocabulary of what can go wrong, shared by every layer.

A class is a kind of failure, ``code`` is its stable name for programs, the text is for
people. Drivers raise these and nothing else; ``transport/errors.py`` holds the one table
from code to HTTP status.
"""

from __future__ import annotations

from typing import ClassVar


class NuskuError(Exception):
    """Any failure that Nusku reports on purpose."""

    code: ClassVar[str] = "error"


class ConfigurationError(NuskuError):
    """A setting is wrong, or a store is configured in a way that would lose data."""

    code = "configuration"


class InvalidRequest(NuskuError):
    """The request is well formed, but a value in it is not allowed. Nothing changed."""

    code = "invalid_request"


class MalformedBody(NuskuError):
    """The body cannot be parsed, or a field has the wrong type. Nothing changed."""

    code = "malformed_body"


class QueueNotFound(NuskuError):
    """The queue does not exist in this project."""

    code = "queue_not_found"


class QueueChanged(NuskuError):
    """The queue is not at the version that the caller had in mind.

    Raised by a driver inside the atomic step, before anything is written. The caller reads
    the queue again, decides again and repeats; a client never sees this error.
    """

    code = "queue_changed"


class MessageNotFound(NuskuError):
    """No such message in this queue, or it has expired."""

    code = "message_not_found"


class MessageClaimed(NuskuError):
    """The message is under somebody else's live claim, so it was left alone."""

    code = "message_claimed"


class MessageSealed(NuskuError):
    """The next message is encrypted, and whoever cannot decrypt it must not remove it.

    Raised by a driver that was asked to pop. Whoever has keys takes the message another way,
    everybody else reports `StorageUnavailable`; a client never sees this error.
    """

    code = "message_sealed"


class ClaimNotFound(NuskuError):
    """The claim does not exist, has ended, or holds no message any more."""

    code = "claim_not_found"


class ClaimLost(NuskuError):
    """The claim to be renewed is unknown or has ended (promise 4)."""

    code = "claim_lost"


class DeleteUnderLostClaim(NuskuError):
    """The message to be deleted is not under the claim that was given (promise 4)."""

    code = "claim_lost"


class DeleteUnderOthersClaim(NuskuError):
    """The message to be deleted is by now under another claim (promise 4)."""

    code = "claim_lost"


class SubscriptionNotFound(NuskuError):
    """The subscription does not exist at this queue, or has expired."""

    code = "subscription_not_found"


class SubscriptionExists(NuskuError):
    """The subscriber has a subscription of this queue already."""

    code = "subscription_exists"


class CursorNotFound(NuskuError):
    """The queue has no such cursor, or it was that of a queue which has been deleted."""

    code = "cursor_not_found"


class CursorTooOld(NuskuError):
    """Messages after the position of a cursor are gone that it has not shown."""

    code = "cursor_too_old"

    def __init__(self, text: str, *, oldest: str, lost: int) -> None:
        """Say how many were `lost`; whoever acknowledges `oldest` goes on behind them."""
        super().__init__(text)
        self.oldest = oldest
        self.lost = lost


class MetadataConflict(NuskuError):
    """A JSON patch replaces or removes a metadata key that is not there."""

    code = "metadata_conflict"


class SignalNotFound(NuskuError):
    """No such wait handle in this project; it may have been cancelled, or is long over."""

    code = "signal_not_found"


class SignalExists(NuskuError):
    """There is a wait handle of that name already, for something else."""

    code = "signal_exists"


class SignalLate(NuskuError):
    """The wait has ended, so the signal changes nothing."""

    code = "signal_late"


class IdempotencyKeyReused(NuskuError):
    """The ``Idempotency-Key`` was used before for a different request."""

    code = "idempotency_key_reused"


class RedriveNotFound(NuskuError):
    """The queue never had a redrive."""

    code = "redrive_not_found"


class RedriveRunning(NuskuError):
    """The queue has a redrive already that is not over."""

    code = "redrive_running"


class Forbidden(NuskuError):
    """Policy or credential do not allow this."""

    code = "forbidden"


class CredentialNotFound(NuskuError):
    """No such token or share in this project; it may have expired or been revoked."""

    code = "credential_not_found"


class SignatureRefused(NuskuError):
    """The signature of a URL is wrong, expired, revoked, used up, or for something else."""

    code = "signature_refused"


class QuotaExceeded(NuskuError):
    """The project has as much in the store as it may have."""

    code = "quota_exceeded"

    def __init__(self, text: str, *, quota: str) -> None:
        """Say which quota, by its name in `ProjectLimits`."""
        super().__init__(text)
        self.quota = quota


class RateExceeded(NuskuError):
    """The project sends faster than it may."""

    code = "rate_exceeded"

    def __init__(self, text: str, *, retry_after_s: float) -> None:
        """Say when a repetition is likely to be admitted."""
        super().__init__(text)
        self.retry_after_s = retry_after_s


class StorageUnavailable(NuskuError):
    """The store did not answer in time or refused to. Safe to repeat with a key."""

    code = "storage_unavailable"
