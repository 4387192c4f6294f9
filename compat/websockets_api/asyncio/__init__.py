"""The asyncio half of the `websockets` API."""

__all__: list[str] = []
