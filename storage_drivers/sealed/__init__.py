"""Encryption at rest in front of any other storage. See docs/encryption.md."""

from storage_drivers.sealed.driver import SealedStorage

__all__ = ["SealedStorage"]
