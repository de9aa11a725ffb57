"""The SageMaker emulator, for files whose tests deploy models."""

from collections.abc import Iterator

import pytest

from tests.support.sagemaker_emulator import sagemaker_emulator


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start it; the environment, whose variables are returned too, leads to it."""
    with (
        sagemaker_emulator(tmp_path_factory.mktemp("emulator")) as variables,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables
