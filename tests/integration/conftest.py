"""A local cloud without the application, for files whose tests deploy models."""

from collections.abc import Iterator

import pytest

from localcloud.application import provide_serving_image
from localcloud.environment import aws_variables
from tests.support.deployment import BUCKET
from tests.support.local_cloud import bare_cloud


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start it, with a bucket for models; the environment, whose variables are returned too, leads to it."""
    with bare_cloud(tmp_path_factory.mktemp("cloud")) as cloud, pytest.MonkeyPatch.context() as patch:
        variables = aws_variables(cloud.running)
        for name, value in variables.items():
            patch.setenv(name, value)
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        provide_serving_image(cloud.client("ecr"))
        yield variables
