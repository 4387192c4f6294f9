"""Tests of the public classes, over real sockets and in both colours."""
