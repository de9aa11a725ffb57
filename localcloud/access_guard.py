"""Which requests the servers of a local cloud answer: those of its user's programs.

Creating and invoking a function runs code as the user. Listening on loopback keeps other machines out, not
the machine's other users, nor the pages in the user's browser: a page may send requests to any address, and
one whose name is rebound to loopback may read the answers as well. The user's programs sign with a key that
only they can read (env.sh); its id is as secret as AWS's secret keys are, and says enough. Programs send no
`Origin` and name an address or `localhost` as the `Host`; browsers cannot leave out or forge either
(https://developer.mozilla.org/docs/Glossary/Forbidden_request_header).
"""

import ipaddress
import re
import secrets
from collections.abc import Mapping
from typing import Final

OWN_NAMES: Final = ("localhost", "host.docker.internal")
"""Names that a page's own server cannot have. AWS's tools put a bucket in front of `localhost`."""
HEALTH_PATHS: Final = ("/health", "/_ministack/health")
"""Answered without a key; their answers say nothing about what is stored."""

_FROM_THE_USER: Final = ("none", "same-origin")
_KEY_ID: Final = re.compile(r"(?:^AWS |Credential=|AWSAccessKeyId=)(\w+)", re.ASCII)
"""In the `Authorization` of a signed request, or in the query of a presigned one; of versions 4 and 2."""


def refusal(headers: Mapping[str, str], path: str, query: str, access_key: str) -> str | None:
    """Return why a request with these headers (in lower case) is not answered; None if it may be."""
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in _FROM_THE_USER:
        return "a local cloud does not answer web pages"
    host = headers.get("host", "")
    if not is_own_host(host):
        return f"a local cloud does not answer as {host[:100]!r}: use its address, or localhost"
    signed_by = _KEY_ID.findall(f"{headers.get('authorization', '')} {query}")
    if path not in HEALTH_PATHS and not any(secrets.compare_digest(one, access_key) for one in signed_by):
        return "a local cloud answers its own credentials only: source its env.sh in this shell"
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
