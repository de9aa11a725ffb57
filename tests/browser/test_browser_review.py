"""The review desk in a browser: a doubtful photo appears, is decided by a key, and comes back by another."""

import itertools
import re
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import APIResponse, Dialog, Page, Request, Route, expect

from tests.browser.conftest import RunningDesk
from tests.e2e.test_e2e_workflow import BETWEEN
from tests.support.local_cloud import Listener, LocalCloud, wait_until

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"


def doubtful(cloud: LocalCloud, *names: str) -> list[str]:
    """Send photos that the model is unsure about, and wait until they are recorded; return their keys."""
    keys = [f"incoming/review/{name}" for name in names]
    for key in keys:
        cloud.upload(key, BETWEEN)
    for key in keys:
        cloud.executions(key)
        assert [record["outcome"] for record in cloud.records(key)] == ["LOW_CONFIDENCE"]
    return keys


def wait_for_picture(page: Page) -> None:
    """Wait until a photo is shown; not by Playwright's own function, which the page's policy refuses."""
    wait_until(lambda: page.evaluate("Boolean(document.images[0]?.complete)"))


@pytest.fixture(autouse=True)
def empty_queue(cloud: LocalCloud) -> None:
    """Start without the photos of other tests."""
    sqs, url = cloud.client("sqs"), cloud.outputs["ReviewQueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_a_doubtful_photo_is_decided_by_one_key_and_comes_back_by_another(
    cloud: LocalCloud, published: Listener, desk: RunningDesk, page: Page
) -> None:
    page.goto(desk.page())
    expect(page.get_by_text("No photo is waiting")).to_be_visible()
    (key,) = doubtful(cloud, "one.jpg")

    expect(page.locator("#name")).to_have_text(key, timeout=4000)  # without a reload
    expect(page.get_by_role("button", name="bicycle")).to_be_enabled()
    page.keyboard.press("2")

    expect(page.get_by_text("No photo is waiting")).to_be_visible()
    expect(page.locator("#decided")).to_have_text("1")
    wait_until(lambda: cloud.records(key)[0].get("decided_by"))
    (record,) = cloud.records(key)
    assert (record["outcome"], record["label"]) == ("ACCEPTED", "motorcycle")
    uri = record["object_uri"]
    reviewed = [e["detail"] for e in published.messages() if e["detail"]["object_uri"] == uri][-1]
    assert (reviewed["reviewed"], reviewed["label"]) == (True, "motorcycle")
    copies = cloud.client("s3").list_objects_v2(Bucket=cloud.outputs["PhotoBucketName"], Prefix="labelled/")
    assert any("motorcycle/" in one["Key"] for one in copies["Contents"])

    (other,) = doubtful(cloud, "two.jpg")
    expect(page.locator("#name")).to_have_text(other, timeout=4000)
    page.keyboard.press("u")
    expect(page.locator("#name")).to_have_text(key)  # the photo that is taken back, before the one that waits
    expect(page.locator("#decided")).to_have_text("0")
    expect(page.locator("#undo")).to_be_disabled()
    (record,) = cloud.records(key)
    assert (record["outcome"], record.get("decided_by")) == ("LOW_CONFIDENCE", None)


def test_the_next_photos_are_there_before_they_are_shown(
    cloud: LocalCloud, desk: RunningDesk, page: Page
) -> None:
    doubtful(cloud, *(f"{number}.jpg" for number in range(5)))
    fetched: list[str] = []
    page.on("request", lambda request: _note(request, fetched))
    page.goto(desk.page())
    wait_for_picture(page)
    wait_until(lambda: len(fetched) >= 5)
    before = len(fetched)
    for _ in range(4):
        shown = page.locator("#name").inner_text()
        page.keyboard.press("1")
        expect(page.locator("#name")).not_to_have_text(shown)
    assert len(fetched) == before, "a decision waits for no picture"
    assert len(set(fetched)) == len(fetched), "no picture is fetched twice"


def _note(request: Request, fetched: list[str]) -> None:
    if "/photos/" in request.url:
        fetched.append(request.url)


def test_one_key_decides_all_but_the_marked_of_twelve(
    cloud: LocalCloud, desk: RunningDesk, page: Page
) -> None:
    keys = doubtful(cloud, *(f"grid-{number}.jpg" for number in range(12)))
    page.goto(desk.page())
    page.keyboard.press("g")
    tiles = page.locator("[data-photo]")
    expect(tiles).to_have_count(12)
    kept = [tiles.nth(place).get_attribute("title") for place in (0, 5)]
    page.keyboard.press("q")
    tiles.nth(5).click()
    expect(page.locator('[data-photo][aria-pressed="true"]')).to_have_count(2)
    wait_until(lambda: page.evaluate("[...document.images].every((image) => image.complete)"))
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "review-grid-1280.png")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []

    page.keyboard.press("1")

    expect(page.locator("#decided")).to_have_text("10", timeout=30_000)
    expect(page.locator("#message")).to_be_empty()
    expect(tiles).to_have_count(2)
    outcomes = {key: cloud.records(key)[0]["outcome"] for key in keys}
    assert {key for key, outcome in outcomes.items() if outcome == "LOW_CONFIDENCE"} == set(kept)
    assert list(outcomes.values()).count("ACCEPTED") == 10


def test_an_answer_that_comes_late_does_not_replace_a_newer_one(
    cloud: LocalCloud, desk: RunningDesk, page: Page
) -> None:
    doubtful(cloud, *(f"late-{number}.jpg" for number in range(12)))
    late: list[tuple[Route, APIResponse]] = []
    page.route(re.compile("/waiting$"), lambda route: late.append((route, route.fetch())))
    page.goto(desk.page())
    wait_until(lambda: page.title() and late)  # a call lets Playwright's handlers run
    page.keyboard.press("g")
    expect(page.locator("[data-photo]")).to_have_count(12)
    (route, six) = late[0]
    assert len(six.json()["photos"]) == 6

    with page.expect_response(re.compile("/waiting$")):
        route.fulfill(response=six)

    page.evaluate("new Promise(requestAnimationFrame)")
    assert page.locator("[data-photo]").count() == 12


def test_what_is_said_of_one_among_several_stays_said(
    cloud: LocalCloud, desk: RunningDesk, page: Page
) -> None:
    doubtful(cloud, *(f"several-{number}.jpg" for number in range(3)))
    page.goto(desk.page())
    page.keyboard.press("g")
    expect(page.locator("[data-photo]")).to_have_count(3)
    answers = itertools.count()

    def answer(route: Route) -> None:
        if next(answers):
            route.continue_()
        else:
            route.fulfill(json={"problem": "it was deleted", **desk.desk.status()})

    page.route("**/decide", answer)

    page.keyboard.press("1")

    expect(page.locator("#decided")).to_have_text("2")
    expect(page.locator("#message")).to_have_text("it was deleted")


def test_a_hostile_name_is_text(cloud: LocalCloud, desk: RunningDesk, page: Page) -> None:
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    (key,) = doubtful(cloud, "<img src=x onerror=alert(1)>'\"${alert(2)}.jpg")
    page.goto(desk.page())
    expect(page.locator("#name")).to_have_text(key)
    time.sleep(0.3)
    assert dialogs == []


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_accessible_and_fits(
    cloud: LocalCloud, desk: RunningDesk, page: Page, width: int
) -> None:
    doubtful(cloud, f"street-{width}.jpg")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(desk.page())
    wait_for_picture(page)
    expect(page.get_by_role("button", name="neither")).to_be_enabled()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"review-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in {"serious", "critical"}]
    assert serious == [], [one["id"] for one in serious]
