"""Tests of the backends: one contract, run over all of them, and what each has of its own."""
