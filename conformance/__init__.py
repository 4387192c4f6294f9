"""The originals' own test suites, run on the adapters. See README.md in this folder."""
