"""Counts that do not depend on the machine, and what they may be at the most."""
