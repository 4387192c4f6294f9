"""Bytes to values and back: pure functions and value types, no state of a conversation, no I/O."""
