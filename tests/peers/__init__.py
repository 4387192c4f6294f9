"""Against other people's programs, as Debian ships them: `make test-peers`."""
