"""Sans-IO machines: bytes and events in, bytes and events out; no socket, no clock, no await."""
