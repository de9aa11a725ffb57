"""Which requests the servers of a local cloud answer: those of its user's programs.

Creating and invoking a function runs code as the user. Listening on loopback keeps other machines out, not
the machine's other users, nor the pages in the user's browser: a page may send requests to any address, and
one whose name is rebound to loopback may read the answers as well. The user's programs sign with a key that
only they can read (env.sh); its id is as secret as AWS's secret keys are, and says enough. Where Linux shows
that the user's own process asks, any key will do. Programs send no `Origin` and name an address or
`localhost` as the `Host`; browsers cannot leave out or forge either
(https://developer.mozilla.org/docs/Glossary/Forbidden_request_header).
"""

import ipaddress
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

OWN_NAMES: Final = ("localhost", "host.docker.internal")
"""Names that a page's own server cannot have. AWS's tools put a bucket in front of `localhost`."""
HEALTH_PATHS: Final = ("/health", "/_ministack/health")
"""Answered without a key; their answers say nothing about what is stored."""

_FROM_THE_USER: Final = ("none", "same-origin")
_KEY_ID: Final = re.compile(r"(?:^AWS |Credential=|AWSAccessKeyId=)(\w+)", re.ASCII)
"""In the `Authorization` of a signed request, or in the query of a presigned one; of versions 4 and 2."""
_SOCKETS: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED: Final = "01"
Client = tuple[str, int]
"""Address and port of who asks."""


def refusal(
    headers: Mapping[str, str], path: str, query: str, access_key: str, client: Client | None = None
) -> str | None:
    """Return why a request with these headers (in lower case) is not answered; None if it may be."""
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in _FROM_THE_USER:
        return "a local cloud does not answer web pages"
    host = headers.get("host", "")
    if not is_own_host(host):
        return f"a local cloud does not answer as {host[:100]!r}: use its address, or localhost"
    signed_by = _KEY_ID.findall(f"{headers.get('authorization', '')} {query}")
    if path in HEALTH_PATHS or any(secrets.compare_digest(one, access_key) for one in signed_by):
        return None
    if signed_by and client and user_of(client) == os.geteuid():
        return None
    return "a local cloud answers its own credentials only: source its env.sh in this shell"


def user_of(client: Client, tables: tuple[Path, ...] = _SOCKETS) -> int | None:
    """Return the user whose process has the other end of a connection from this machine; None if unknown.

    Linux writes an address as words of 32 bits in the processor's byte order, and the user of a socket that
    is being closed as 0 (https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html).
    """

    def words(packed: bytes) -> str:
        order = -1 if sys.byteorder == "little" else 1
        return "".join(packed[at : at + 4][::order].hex().upper() for at in range(0, len(packed), 4))

    host, port = client
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = ipaddress.ip_address(f"::ffff:{host}") if address.version == 4 else address  # noqa: PLR2004
    ends = {f"{words(one.packed)}:{port:04X}" for one in (address, mapped)}
    for table in filter(Path.exists, tables):
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, _, _, _, user, *_ = line.split()
            if local in ends and state == _ESTABLISHED:
                return int(user)
    return None


def is_own_host(host: str) -> bool:
    """Return whether a Host header is one of `OWN_NAMES`, or an address, which no DNS can rebind."""
    name = host.rsplit("]", 1)[0].removeprefix("[") if host.startswith("[") else host.split(":", 1)[0]
    name = name.lower().removesuffix(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return any(name == own or name.endswith(f".{own}") for own in OWN_NAMES)
    return True
