"""Removing messages, and the rows of long bodies along with them."""

from __future__ import annotations

from collections.abc import Sequence

from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("messages")


def remove(transaction: Transaction, seqs: Sequence[int], long: Sequence[int]) -> None:
    """Delete messages, of which those in `long` have long bodies. The caller counts."""
    transaction.execute_for(seqs, _SQL["delete"])
    if long:
        transaction.execute_for(long, _SQL["delete_bodies"])
