"""boto3 sessions that lead to a local cloud, whatever the user's own AWS configuration says."""

import os
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

from localcloud.environment import REGION, SAGEMAKER_SERVICES, Addresses


class LocalSession(boto3.Session):
    """A session whose clients talk to a local cloud.

    Neither environment variables nor configuration files have a say in it: nothing of a user's account can be
    reached by mistake. `require_alive` is called before every request, and raises if the local cloud has
    ended: its ports may belong to another one by then.
    """

    def __init__(self, addresses: Addresses, require_alive: Callable[[], None] | None = None) -> None:
        self._addresses = addresses
        self._require_alive = require_alive
        variables = {
            name: (None, None, default, conversion)
            for name, (_, _, default, conversion) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
        }
        nothing = (None, None, os.devnull, None)
        bare = botocore.session.Session({**variables, "config_file": nothing, "credentials_file": nothing})
        key = addresses.access_key
        super().__init__(key, key, region_name=REGION, botocore_session=bare)

    def client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
        """Return a client of a service of the local cloud; it goes through no proxy."""
        ours = service_name in SAGEMAKER_SERVICES
        url = self._addresses.sagemaker_url if ours else self._addresses.aws_url
        options = {"endpoint_url": url, "config": Config(proxies={})} | kwargs
        make: Any = super().client
        made = make(service_name, *args, **options)
        if check := self._require_alive:
            made.meta.events.register("before-send", lambda **_: check())
        return made
