"""The API over a WebSocket: the same operations as over HTTP, one frame a request."""
