"""Access control: only this computer's browser may use the server, by the printed address, and no other pages in it.

- `Host` must be this server's own, so that other names that lead to 127.0.0.1 (DNS rebinding) have no access.
- The address holds a token. A browser that sends it gets a cookie that no script can read and no other site can send.
- Requests that change something, and the WebSocket, must come from this server's own pages (`Origin`).
- Pages use only the server's own scripts, styles, pictures and frames, and are not cached.
"""

import hmac
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from orbit_lite.studio.wording import wording

SAFE = ("GET", "HEAD")
TOKEN = "token"
_DENIED = 403
_POLICY_VIOLATION = 1008  # of a WebSocket

# A page without scripts that redirects, so that the token leaves the address bar and the next request has this origin.
_LET_IN = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta http-equiv="refresh" content="0; url=/">
</head>
<body>
<main>
<h1>{title}</h1>
<p><a href="/">{go}</a></p>
</main>
</body>
</html>
"""
_REFUSED = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
</main>
</body>
</html>
"""


def content_policy(hosts: Iterable[str], *, style: str = "'self'") -> str:
    """The Content-Security-Policy of a page; `style` may name a report's own style by its hash."""
    sockets = " ".join(f"ws://{host}" for host in hosts)  # in some browsers, 'self' does not include these
    return (
        f"default-src 'none'; script-src 'self'; style-src {style}; img-src 'self' data: blob:; "
        f"media-src 'self' blob:; connect-src 'self' {sockets}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        """Give access to clients that know the token; `port` is the server's own."""
        self._app, self._token = app, token
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._cookie, self._secret = f"orbit_studio_{port}", secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request or WebSocket, then pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._host(headers) is None:
            await self._refuse(scope, receive, send, "denied.host")
        elif not self._own_origin(scope, headers):
            await self._refuse(scope, receive, send, "denied.origin")
        elif scope["type"] == "http" and self._has_token(scope):
            await self._let_in()(scope, receive, self._guarded(send))
        elif not self._has_cookie(headers):
            await self._refuse(scope, receive, send, "denied.token")
        else:
            await self._app(scope, receive, self._guarded(send))

    def _host(self, headers: Headers) -> str | None:
        given = headers.getlist("host")
        return given[0] if len(given) == 1 and given[0] in self.hosts else None

    def _own_origin(self, scope: Scope, headers: Headers) -> bool:
        """Whether the request comes from this server's own pages, as the browser states. A link that was typed or
        followed from elsewhere may open a page, but not change anything."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if origin is None:
            return not changes
        if origin != f"http://{headers['host']}":
            return False
        return not changes or site == "same-origin"

    def _has_token(self, scope: Scope) -> bool:
        if scope["method"] != "GET" or scope["path"] != "/":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN, [""])[0]
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _has_cookie(self, headers: Headers) -> bool:
        jar = SimpleCookie()
        try:
            jar.load(headers.get("cookie", ""))
        except CookieError:
            return False
        given = jar[self._cookie].value if self._cookie in jar else ""
        return hmac.compare_digest(given.encode(), self._secret.encode())

    def _let_in(self) -> Response:
        words = wording()
        page = HTMLResponse(_LET_IN.format(title=words("welcome.title"), go=words("welcome.go")))
        page.set_cookie(self._cookie, self._secret, httponly=True, samesite="strict", path="/")
        return page

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, why: str) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose(_POLICY_VIOLATION)(scope, receive, send)
            return
        words = wording()
        page = HTMLResponse(_REFUSED.format(title=words("denied.title"), text=words(why)), _DENIED)
        page.headers["connection"] = "close"  # the rest of the request is not read
        await page(scope, receive, self._guarded(send))

    def _guarded(self, send: Send) -> Send:
        """Add the headers that every response has."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", content_policy(self.hosts))
                headers["x-content-type-options"] = "nosniff"
                # not no-referrer: then a form's Origin would be null
                headers["referrer-policy"] = "same-origin"
                headers["cache-control"] = "no-store"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
                headers["permissions-policy"] = "camera=(self), microphone=(), geolocation=(), display-capture=()"
            await send(message)

        return guarded
