"""Sessions that lead to a local cloud, whatever the user's AWS configuration says."""

from pathlib import Path

import pytest

from localcloud import lifecycle
from localcloud.access import LocalSession
from localcloud.environment import Addresses
from localcloud.state import Running, StateFolder
from localcloud.steps import StepError

ADDRESSES = Addresses("127.0.0.1", "http://127.0.0.1:4566", "http://127.0.0.1:4567", "the key")


@pytest.mark.parametrize(
    ("service", "url"),
    [
        *((name, ADDRESSES.aws_url) for name in ("s3", "stepfunctions")),
        *((f"sagemaker{more}", ADDRESSES.sagemaker_url) for more in ("", "-runtime")),
        ("application-autoscaling", ADDRESSES.sagemaker_url),
    ],
)
def test_a_client_sees_the_local_cloud_and_nothing_of_the_users_account(
    service: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile production]\nregion = eu-west-1\naws_access_key_id = real\naws_secret_access_key = real\n"
    )
    variables = {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "production", "AWS_ACCESS_KEY_ID": "real"}
    variables |= {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_USE_FIPS_ENDPOINT": "true"}
    variables |= {"AWS_ENDPOINT_URL": "https://example.org", "AWS_ENDPOINT_URL_S3": "https://s3.example.org"}
    for name, value in (variables | {"HTTP_PROXY": "http://proxy.example.org:3128"}).items():
        monkeypatch.setenv(name, value)

    session = LocalSession(ADDRESSES)
    client = session.client(service)

    assert client.meta.endpoint_url == url
    assert client.meta.region_name == "us-east-1"
    assert client.meta.config.proxies == {}
    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "the key"


def test_a_session_does_not_go_on_with_another_local_cloud(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    url = "http://127.0.0.1:1"
    folder.save(Running("127.0.0.1", url, url, "key", instance="another"))
    with folder.lock_as_supervisor() or pytest.fail("nobody else holds the lock"):
        one = Running("127.0.0.1", url, url, "key", instance="one")
        with pytest.raises(StepError, match="the local cloud has ended"):
            lifecycle.session(folder, one).client("s3").list_buckets()
