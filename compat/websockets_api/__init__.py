"""The API of the `websockets` library on the engine. Empty so far: the engine's own WebSocket comes first."""

__all__: list[str] = []
