"""Storage on a Redis or Valkey server, Sentinel group or Cluster. See README.md."""

from storage_drivers.redis.driver import Driver

__all__ = ["Driver"]
