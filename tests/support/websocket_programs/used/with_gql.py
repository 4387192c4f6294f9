"""A query and a subscription with gql, and a server that does not want us."""

from __future__ import annotations

import asyncio
import sys

from gql import Client, gql
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.websockets import WebsocketsTransport


async def main(url: str) -> None:
    headers = {"Authorization": "Bearer somebody", "X-Tenant": "t"}
    transport = WebsocketsTransport(url, headers=headers, init_payload={"token": "t"})
    async with Client(transport=transport) as session:
        print(await session.execute(gql("query { hello }")))
        async for result in session.subscribe(gql("subscription { count }")):
            print(result)
        print(sorted(transport.response_headers), transport.response_headers["Upgrade"])
    refused = WebsocketsTransport(url, headers={"Authorization": "Bearer nobody"})
    try:
        async with Client(transport=refused):
            pass
    except TransportConnectionFailed as error:
        print(repr(error), type(error.__cause__).__name__, error.__cause__)


asyncio.run(main(f"{sys.argv[1]}/graphql"))
