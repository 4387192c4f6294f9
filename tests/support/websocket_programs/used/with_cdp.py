"""Chromium's remote control with cdp-use."""

from __future__ import annotations

import asyncio
import logging
import sys

from cdp_use.client import CDPClient


async def main(url: str) -> None:
    async with CDPClient(url, additional_headers={"X-From": "here"}) as client:
        client.register.Target.targetCreated(lambda event, session: print(event["targetInfo"]["targetId"], session))
        found = await client.send.Target.getTargets()
        print([(target["url"], len(target["title"])) for target in found["targetInfos"]])
        try:
            await client.send.Browser.getVersion()
        except RuntimeError as error:
            print(error)


logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s %(message)s")
asyncio.run(main(f"{sys.argv[1]}/devtools/browser"))
