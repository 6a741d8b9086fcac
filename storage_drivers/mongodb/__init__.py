"""MongoDB driver of the storage contract. See README.md for what it guarantees."""

from storage_drivers.mongodb.driver import Driver

__all__ = ["Driver"]
