"""A peer: aiohttp answering one body on a Unix socket and on loopback, with none of the checks that Pillion's API makes."""

from __future__ import annotations

import sys

from aiohttp import web

BODY = b'{"key":"shop/price","value":12.5,"revision":17,"layer":"service"}'


async def answer(_: web.Request) -> web.Response:
    """The same bytes, whatever is asked."""
    return web.Response(
        body=BODY, content_type="application/json", headers={"ETag": '"service:17"'}
    )


def main() -> None:
    """Serve on the Unix socket in the first argument until ended."""
    import uvloop

    uvloop.install()
    application = web.Application()
    application.router.add_get("/v1/config/{key:.*}", answer)
    web.run_app(application, path=sys.argv[1], access_log=None, print=None)


if __name__ == "__main__":
    main()
