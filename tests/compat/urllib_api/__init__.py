"""Tests of the urllib adapter: whatever must hold for the standard library too is run on both."""
