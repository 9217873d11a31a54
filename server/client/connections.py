"""How httpx is set up, for either kind of client."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

PATIENCE_SECONDS = 60.0
"""How long a request is sent again after broken connections, unless the caller says otherwise."""

CONNECT_SECONDS = 10.0

BROKEN = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
"""After these nobody knows whether the request was served, and sending it again is right."""


def options(url: str) -> dict[str, Any]:
    """Return arguments for an httpx client whose connections many sessions share.

    No time limit but for connecting: a seed waits in line for as long as the server lets it, and a call has
    the server's own deadline. No cookie jar: each session keeps its own. No proxy from the environment: the
    server is as near as the address says.
    """
    return {
        "base_url": url,
        "timeout": httpx.Timeout(None, connect=CONNECT_SECONDS),
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30.0),
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),
        "trust_env": False,
    }
