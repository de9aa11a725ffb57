"""The registries of Amazon ECR that have the AWS Deep Learning Containers, by region.

Source: `image_uri_config/ray-serve.json` of the SageMaker Python SDK 3.27; a test compares the two.
"""

import re
from dataclasses import dataclass
from typing import Final

from botocore.loaders import Loader

from model_build.errors import RefusedError

MOST_REGIONS: Final = "763104351884"
ACCOUNTS: Final = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-1": MOST_REGIONS,
    "ap-northeast-2": MOST_REGIONS,
    "ap-northeast-3": "364406365360",
    "ap-south-1": MOST_REGIONS,
    "ap-south-2": "772153158452",
    "ap-southeast-1": MOST_REGIONS,
    "ap-southeast-2": MOST_REGIONS,
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-central-1": MOST_REGIONS,
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-1": MOST_REGIONS,
    "eu-central-2": "380420809688",
    "eu-isoe-west-1": "371248457586",
    "eu-north-1": MOST_REGIONS,
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "eu-west-1": MOST_REGIONS,
    "eu-west-2": MOST_REGIONS,
    "eu-west-3": MOST_REGIONS,
    "eusc-de-east-1": "204133271717",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "me-west-1": "124382933778",
    "mx-central-1": "637423239942",
    "sa-east-1": MOST_REGIONS,
    "us-east-1": MOST_REGIONS,
    "us-east-2": MOST_REGIONS,
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
    "us-iso-east-1": "886529160074",
    "us-isob-east-1": "094389454867",
    "us-isof-east-1": "303241398832",
    "us-isof-south-1": "454834333376",
    "us-west-1": MOST_REGIONS,
    "us-west-2": MOST_REGIONS,
}
_IMAGE: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z0-9.-]+"
    r"/(?P<repository>[a-z0-9._/-]+)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class EcrImage:
    """An image in a registry of Amazon ECR.

    Attributes:
        account: the account that owns the registry.
        region: the registry's region.
        repository: the repository.
        tag: the image's tag; None if only a digest is given.
        digest: the image's digest; None if only a tag is given.
    """

    account: str
    region: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def image_id(self) -> dict[str, str]:
        """The image as ECR's operations take it."""
        if self.digest is not None:
            return {"imageDigest": self.digest}
        return {"imageTag": self.tag or "latest"}


def parse_uri(uri: str) -> EcrImage | None:
    """Return the parts of an image URI; None if it is not in Amazon ECR."""
    match = _IMAGE.fullmatch(uri)
    return EcrImage(**match.groupdict()) if match else None


def registry(account: str, region: str) -> str:
    """Return the host of an account's registry, as `763104351884.dkr.ecr.eu-west-1.amazonaws.com`."""
    return f"{account}.dkr.ecr.{region}.{_dns_suffix(region)}"


def aws_registry(region: str) -> str:
    """Return the host of the registry with AWS's own images.

    Raises:
        RefusedError: the region is not in the table.
    """
    if region not in ACCOUNTS:
        raise RefusedError(
            f"no registry of AWS's container images is known for the region {region!r}; give --image own, or "
            "a complete image URI"
        )
    return registry(ACCOUNTS[region], region)


def _dns_suffix(region: str) -> str:
    partitions = Loader().load_data("partitions")["partitions"]
    for partition in partitions:
        if re.match(partition["regionRegex"], region):
            return str(partition["outputs"]["dnsSuffix"])
    return str(partitions[0]["outputs"]["dnsSuffix"])
