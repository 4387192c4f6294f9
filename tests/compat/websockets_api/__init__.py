"""Tests of the face of `websockets`: what it has without the original, and what it has in common with it."""
