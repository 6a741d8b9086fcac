"""The HTTP transport: parses requests, calls one operation each, renders the answer."""
