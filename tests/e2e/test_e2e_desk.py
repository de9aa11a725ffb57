"""`up` starts the review desk on loopback, and `down` ends it."""

import urllib.error
import urllib.request

import pytest

from tests.support.local_cloud import LocalCloud, wait_until


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


@pytest.mark.parametrize("path", ["", "live", "live/state"])
def test_the_desk_answers_on_this_machine_only(cloud: LocalCloud, path: str) -> None:
    url = cloud.running.desk_url
    assert url.startswith("http://127.0.0.1:")
    wait_until(lambda: status(url + path) == 200)
    assert status(url + path, Host="evil.example") == 400
    assert status(url + path, Origin="http://evil.example") == 403
