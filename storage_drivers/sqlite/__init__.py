"""Storage in one SQLite file: nothing to set up, every acknowledged write fsynced."""

from storage_drivers.sqlite.driver import Driver

__all__ = ["Driver"]
