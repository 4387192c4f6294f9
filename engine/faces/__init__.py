"""The public classes, in a blocking and an asyncio colour; only here is a concrete backend named."""
