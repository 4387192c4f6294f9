"""Helpers shared by the tests: scripted servers, certificates, real peers."""
