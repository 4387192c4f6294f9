"""Tests of the adapters: other people's APIs over the engine."""
