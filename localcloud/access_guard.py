"""Which requests the servers of a local cloud answer: those of programs on this machine, not of web pages.

A local cloud has no passwords, and creating and invoking a function runs code as the user. Listening on
loopback keeps other machines out, not the pages in the user's browser: a page may send requests to any
address, and one whose name is rebound to loopback may read the answers as well. Programs send no `Origin` and
name an address or `localhost` as the `Host`; browsers cannot leave out or forge either
(https://developer.mozilla.org/docs/Glossary/Forbidden_request_header).
"""

import ipaddress
from collections.abc import Mapping
from typing import Final

OWN_NAMES: Final = ("localhost", "host.docker.internal")
"""Names that a page's own server cannot have. AWS's tools put a bucket in front of `localhost`."""
_FROM_THE_USER: Final = ("none", "same-origin")


def refusal(headers: Mapping[str, str]) -> str | None:
    """Return why a request with these headers (in lower case) is not answered; None if it may be."""
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in _FROM_THE_USER:
        return "a local cloud does not answer web pages"
    host = headers.get("host", "")
    if not is_own_host(host):
        return f"a local cloud does not answer as {host[:100]!r}: use its address, or localhost"
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
