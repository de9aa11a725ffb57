"""`up` starts the review desk on loopback, for whoever has its whole address, and `down` ends it."""

import http.cookiejar
import urllib.error
import urllib.request

import pytest

from tests.support.local_cloud import LocalCloud, wait_until


@pytest.mark.parametrize("page", ["", "live", "live/state"])
def test_the_desk_answers_on_this_machine_only(cloud: LocalCloud, page: str) -> None:
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    opener = urllib.request.build_opener(cookies)

    def status(url: str, **headers: str) -> int:
        try:
            with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    whole = cloud.running.desk_url.replace("/?", f"/{page}?")
    url = whole.partition("?")[0]
    assert url.startswith("http://127.0.0.1:")
    wait_until(lambda: status(url) == 403)
    assert status(whole) == 200
    assert status(url) == 200, "the cookie lets in"
    assert status(url, Host="evil.example") == 400
    assert status(url, Origin="http://evil.example") == 403
