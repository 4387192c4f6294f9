"""Benchmarks: every contender in turns against one real server, `python -m bench.run` (or `make bench`)."""
