"""Protocols over byte streams, written once as `async def` over `backends.base`."""
