"""Real servers for tests: each class starts one on a free port of the loopback interface.

All of them share the verbs of `tests.servers.process.Server`. The fixtures of
`tests/conftest.py` hand out one of each a session; a test that breaks a server for good
starts its own.
"""
