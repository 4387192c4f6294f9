"""Tests of the policy layer: bodies, redirects, retries, the request loop."""
