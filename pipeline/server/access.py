"""Decides who may send requests: not pages of other sites, and nobody without the token."""

import base64
import binascii
import functools
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.server.errors import RequestError, shortened

HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]{2,45})\]|(?P<name>[^\[\]:/?#@]{1,255}))(?::\d{1,5})?")
OPEN_PATHS = ("/healthz",)  # for programs that check the server's health


@dataclass(frozen=True)
class Access:
    """What a request must have to be answered.

    A page of another site can have its visitor's browser send requests here. If a name of that site points to 127.0.0.1
    (DNS rebinding), the page can even read the answers. The Host and Origin headers show both.

    Attributes:
        hosts: Names, besides those of this machine (localhost, 127.0.0.1, ::1), that requests may be addressed to.
        any_host: Whether requests may be addressed to any name, as when the server is reachable from other machines.
        token: The token of `Authorization: Bearer TOKEN`, or a browser's password with any user name; None if no token
            is needed.
    """

    hosts: frozenset[str] = frozenset()
    any_host: bool = True
    token: bytes | None = None

    def check(self, path: str, headers: Mapping[str, str]) -> None:
        """Checks that a request may be answered.

        Args:
            path: The path of the request's address.
            headers: Header values by lower-case name.

        Raises:
            RequestError: If the request is addressed to another host or comes from another site (403), or has not the
                token (401).
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if not (self.any_host or path in OPEN_PATHS or self._is_known(host)):
            names = ", ".join(["localhost", "127.0.0.1", *sorted(self.hosts)])
            raise RequestError(
                403,
                f"The request is addressed to {shortened(host)!r}; this server answers to {names}. Start it with "
                "--allow-host NAME to have it answer to another name.",
            )
        if origin is not None and not self._is_own(origin, host):
            raise RequestError(
                403,
                f"The request comes from a page of {shortened(origin)!r}, which is another site. Start the server with "
                "--allow-host NAME for each name of this server, if that is one of them.",
            )
        if self.token is not None and path not in OPEN_PATHS and not self._has_token(headers.get("authorization", "")):
            raise RequestError(
                401,
                "A token is needed: send the header Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": 'Basic realm="language model", charset="UTF-8"'},
            )

    def _is_known(self, host: str) -> bool:
        name = _name_of(host)
        return name in self.hosts or is_loopback(name)

    def _is_own(self, origin: str, host: str) -> bool:
        site = origin.partition("://")[2].lower()
        return bool(site) and (site == host.lower() or _name_of(site) in self.hosts)

    def _has_token(self, authorization: str) -> bool:
        kind, _, value = authorization.partition(" ")
        given = value.strip().encode("utf-8", "replace")
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif kind.lower() != "bearer":
            return False
        return hmac.compare_digest(given, self.token)


def _name_of(host: str) -> str:
    """Returns a Host header's name without its port, or "" if the header is invalid."""
    match = HOST.fullmatch(host.lower())
    return (match["address"] or match["name"]) if match else ""


@functools.lru_cache(64)
def is_loopback(name: str) -> bool:
    """Returns whether a name or address always means this machine, without asking a name server.

    Args:
        name: A host name or an IP address, without a port.
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
