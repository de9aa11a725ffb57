"""Tags and registries of AWS's images are those of the SageMaker Python SDK's own tables."""

import json
from pathlib import Path
from typing import Any

import sagemaker.core

from model_build.archive.container_images import ACCOUNTS, SERVING_IMAGES, TRAINING_IMAGE

TABLES = Path(sagemaker.core.__file__).with_name("image_uri_config")


def table(name: str) -> Any:
    return json.loads((TABLES / f"{name}.json").read_text(encoding="utf-8"))


def test_the_ray_tag_and_its_registries_are_in_the_table() -> None:
    versions = table("ray-serve")["versions"]
    tags = {
        f"{entry['repository']}:{entry['tag_prefix']}-{entry['container_version']['cpu']}": entry
        for entry in versions.values()
    }

    entry = tags[SERVING_IMAGES["ray"].tag]

    assert entry["registries"] == ACCOUNTS


def test_the_training_tag_is_in_the_table() -> None:
    tags = {
        f"{entry['repository']}:{entry['tag_prefix']}-{entry['container_version']['cpu']}": entry
        for entry in table("pytorch-amzn2023")["training"]["versions"].values()
    }

    assert tags[TRAINING_IMAGE]["registries"].items() <= ACCOUNTS.items()


def test_packages_are_for_the_images_python() -> None:
    packages = SERVING_IMAGES["ray"].packages

    assert packages is not None
    assert packages.python == "3.13"  # what the image's documentation says
