"""The review desk in a browser: doubtful photos appear, are answered by a key, and come back by another."""

import io
import re
from collections import Counter
from collections.abc import Callable

import pytest
from playwright.sync_api import APIResponse, Dialog, Page, Route, expect

from model_build.data.drawings import draw
from operations.stack import Stack
from tests.browser.conftest import SCREENSHOTS, RunningDesk, look
from tests.e2e.test_e2e_workflow import BETWEEN
from tests.support.local_cloud import Listener, LocalCloud, wait_until
from tests.support.review import items, put_doubtful

KINDS = ("cat", "house", "tree", "cup")
MANY_SAVED_MS = 120_000  # each takes some requests to moto, one after the other


def photo(kind: str, seed: int) -> bytes:
    """Return a drawing as a photo, portraits among them."""
    file = io.BytesIO()
    draw(kind, seed, (640, 480) if seed % 3 else (300, 520)).save(file, "JPEG")
    return file.getvalue()


def put_many(stack: Stack, neither: int, bicycles: int) -> None:
    """Put photos without and with a vehicle on the review queue, in turn."""
    for number in range(max(neither, bicycles)):
        if number < neither:
            body = photo(KINDS[number % 4], number)
            put_doubtful(stack, f"incoming/thing-{number}.jpg", body=body, confidence=0.501, neither=0.98)
        if number < bicycles:
            put_doubtful(stack, f"incoming/ride-{number}.jpg", body=photo("bicycle", number), neither=0.1)


def outcomes(stack: Stack) -> dict[str, str]:
    """Return a person's label by key, `neither`, or nothing."""
    found = {}
    for item in items(stack):
        label = item.get("label", {"S": "neither"})["S"] if "decided_by" in item else ""
        found[item["object_uri"]["S"].rpartition("/")[2]] = label
    return found


def press(page: Page, key: str) -> None:
    """Press an answer's key once the desk takes answers."""
    expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
    page.keyboard.press(key)


Show = Callable[..., None]


@pytest.fixture
def show(stack: Stack, small_desk: RunningDesk, page: Page) -> Show:
    """Return what puts photos on the queue and opens the desk, with twelve at a time if `grid`."""

    def put_and_open(neither: int, bicycles: int, *, grid: bool = False) -> None:
        put_many(stack, neither, bicycles)
        page.goto(small_desk.page())
        if grid:
            page.keyboard.press("g")

    return put_and_open


@pytest.fixture
def empty_queue(cloud: LocalCloud) -> None:
    """Start without the photos of other tests."""
    sqs, url = cloud.client("sqs"), cloud.outputs["ReviewQueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.mark.usefixtures("empty_queue")
def test_a_doubtful_photo_is_decided_by_one_key_and_comes_back_by_another(
    cloud: LocalCloud, published: Listener, desk: RunningDesk, page: Page
) -> None:
    keys = [f"incoming/review/{name}.jpg" for name in ("one", "two")]

    def upload(key: str) -> None:
        cloud.upload(key, BETWEEN)
        cloud.executions(key)
        assert [record["outcome"] for record in cloud.records(key)] == ["LOW_CONFIDENCE"]

    page.goto(desk.page())
    expect(page.get_by_text("No photo is waiting")).to_be_visible()
    upload(keys[0])
    expect(page.locator("#name")).to_have_text(keys[0])  # without a reload
    press(page, "2")

    expect(page.get_by_text("No photo is waiting")).to_be_visible()
    expect(page.locator("#decided")).to_have_text("1")
    wait_until(lambda: cloud.records(keys[0])[0].get("decided_by"))
    (record,) = cloud.records(keys[0])
    assert (record["outcome"], record["label"]) == ("ACCEPTED", "motorcycle")
    uri = record["object_uri"]
    reviewed = [e["detail"] for e in published.messages() if e["detail"]["object_uri"] == uri][-1]
    assert (reviewed["reviewed"], reviewed["label"]) == (True, "motorcycle")
    copies = cloud.client("s3").list_objects_v2(Bucket=cloud.outputs["PhotoBucketName"], Prefix="labelled/")
    assert any("motorcycle/" in one["Key"] for one in copies["Contents"])

    upload(keys[1])
    expect(page.locator("#name")).to_have_text(keys[1])
    page.keyboard.press("u")
    expect(page.locator("#name")).to_have_text(keys[0])  # what is taken back, before the one that waits
    expect(page.locator("#decided")).to_have_text("0")
    expect(page.locator("#undo")).to_be_disabled()
    (record,) = cloud.records(keys[0])
    assert (record["outcome"], record.get("decided_by")) == ("LOW_CONFIDENCE", None)


def test_the_next_photos_are_there_before_they_are_shown(show: Show, page: Page) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url) if "/photos/" in request.url else None)
    show(0, 5)
    wait_until(lambda: page.title() and len(fetched) >= 5)
    for _ in range(4):
        shown = page.locator("#name").inner_text()
        press(page, "1")
        expect(page.locator("#name")).not_to_have_text(shown)
    assert len(set(fetched)) == len(fetched) == 5, "no picture is fetched twice"


def test_one_key_decides_all_but_the_marked_of_twelve_and_one_takes_it_back(
    show: Show, stack: Stack, page: Page
) -> None:
    show(14, 3, grid=True)
    tiles = page.locator("[data-photo]")
    expect(tiles).to_have_count(12)
    expect(tiles.filter(has_text="neither 98 %")).to_have_count(12)
    kept = [tiles.nth(place).get_attribute("title") or "" for place in (0, 5)]
    page.keyboard.press("q")
    tiles.nth(5).click()
    expect(page.locator('[data-photo][aria-pressed="true"]')).to_have_count(2)

    press(page, "0")
    expect(page.locator("#decided")).to_have_text("10")
    expect(page.locator("#message")).to_be_empty()
    expect(tiles).to_have_count(2)
    undecided = {name for name, label in outcomes(stack).items() if not label}
    assert {one.removeprefix("incoming/") for one in kept} < undecided
    assert list(outcomes(stack).values()).count("neither") == 10
    expect(page.locator("#strip li")).to_contain_text(re.compile("neither . 10"))
    page.keyboard.press("u")
    expect(tiles).to_have_count(12)
    expect(page.locator("#decided")).to_have_text("0")
    assert set(outcomes(stack).values()) == {""}


def test_one_key_answers_twelve_photos_of_one_kind_until_none_is_left(
    show: Show, stack: Stack, page: Page
) -> None:
    show(22, 4, grid=True)
    tiles = page.locator("[data-photo]")
    for kind, count in (("neither", 12), ("neither", 10), ("bicycle", 4)):
        expect(tiles.filter(has_text=kind)).to_have_count(count)
        expect(tiles).to_have_count(count)
        press(page, "0" if kind == "neither" else "1")
    expect(page.locator("#decided")).to_have_text("26", timeout=MANY_SAVED_MS)
    assert Counter(outcomes(stack).values()) == {"neither": 22, "bicycle": 4}


def test_keys_answer_for_the_next_photos_while_answers_are_saved(
    show: Show, stack: Stack, page: Page
) -> None:
    slow: list[Route] = []

    def hold(route: Route) -> None:  # Playwright takes no method of a list
        slow.append(route)

    page.route("**/decide", hold)
    show(14, 1, grid=True)
    tiles = page.locator("[data-photo]")
    for key, count in (("0", 12), ("0", 2), ("1", 1)):
        expect(tiles).to_have_count(count)
        press(page, key)
    expect(page.get_by_text("Saving your answers: 15 to go")).to_be_visible()

    page.route("**/decide", lambda route: route.continue_())
    slow[0].continue_()

    expect(page.locator("#decided")).to_have_text("15", timeout=MANY_SAVED_MS)
    assert Counter(outcomes(stack).values()) == {"neither": 14, "bicycle": 1}


def test_the_last_five_answers_are_listed_and_each_is_taken_back(
    show: Show, stack: Stack, page: Page
) -> None:
    show(0, 7)
    names = []
    for key in ("1", "2", "0", "1", "2", "0"):
        expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
        names.append(page.locator("#name").inner_text())
        page.keyboard.press(key)
        expect(page.locator("#name")).not_to_have_text(names[-1])
    strip = page.locator("#strip li")
    expect(strip.locator("b")).to_have_text(["neither", "motorcycle", "bicycle", "neither", "motorcycle"])

    page.reload()
    expect(strip).to_have_count(5)
    wait_until(lambda: page.evaluate("[...document.images].every((one) => one.naturalWidth)"))
    strip.last.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_text(names[1])
    expect(strip.locator("b")).to_have_text(["neither", "motorcycle", "bicycle", "neither", "bicycle"])
    labels = outcomes(stack)
    assert [labels[name.removeprefix("incoming/")] for name in names[:3]] == ["bicycle", "", "neither"]


def test_undo_right_after_a_key_takes_that_answer_back(show: Show, stack: Stack, page: Page) -> None:
    show(0, 3)
    expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
    first = page.locator("#name").inner_text()
    page.keyboard.press("1")
    page.keyboard.press("u")
    expect(page.locator("#name")).to_have_text(first)
    expect(page.locator("#decided")).to_have_text("0")
    assert set(outcomes(stack).values()) == {""}


def test_a_key_that_is_pressed_twice_answers_for_one_photo(show: Show, stack: Stack, page: Page) -> None:
    show(0, 3)
    expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
    page.evaluate("[1, 2].forEach(() => document.dispatchEvent(new KeyboardEvent('keydown', { key: '1' })))")
    expect(page.locator("#decided")).to_have_text("1")
    expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
    assert list(outcomes(stack).values()).count("bicycle") == 1


def test_a_photo_that_nobody_can_tell_here_goes_to_somebody_else(show: Show, page: Page) -> None:
    show(0, 1)
    press(page, "s")
    expect(page.get_by_text("1 that you could not tell waits for somebody else")).to_be_visible()
    expect(page.locator("#strip b")).to_have_text("cannot tell")
    page.keyboard.press("u")
    expect(page.locator("#name")).to_have_text("incoming/ride-0.jpg")


def test_the_photo_is_zoomed_and_the_keys_are_listed(show: Show, page: Page) -> None:
    show(0, 2)
    expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
    width = "document.querySelector('#frame img').width"
    before = page.evaluate(width)
    page.keyboard.press("z")
    assert page.evaluate(width) > 1.5 * before
    top = page.evaluate("document.querySelector('#frame').scrollTop")
    page.keyboard.press("ArrowDown")
    wait_until(lambda: page.evaluate("document.querySelector('#frame').scrollTop") > top)
    page.keyboard.press("z")
    assert page.evaluate(width) == before
    page.locator("#frame img").click()
    expect(page.locator("#zoom")).to_have_attribute("aria-pressed", "true")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("cannot tell")
    page.keyboard.press("1")  # is no answer here
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#decided")).to_have_text("0")


def test_labels_are_those_of_the_model_that_is_deployed_meanwhile(
    show: Show, stack: Stack, small_desk: RunningDesk, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(0, 1)
    shown = [re.compile(one) for one in ("bicycle", "motor", "neither")]
    expect(page.locator(".choices button")).to_have_text(shown)
    monkeypatch.setattr(type(small_desk.desk), "labels", ["van", "truck", "bus"])
    expect(page.locator(".choices button")).to_have_count(4)
    expect(page.locator('[data-label="van"]')).to_be_enabled()
    page.keyboard.press("1")
    expect(page.locator("#decided")).to_have_text("1")
    assert outcomes(stack) == {"ride-0.jpg": "van"}


def test_an_answer_that_comes_late_does_not_replace_a_newer_one(show: Show, page: Page) -> None:
    late: list[tuple[Route, APIResponse]] = []
    page.route(re.compile("/waiting$"), lambda route: late.append((route, route.fetch())))
    show(0, 12)
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
    show: Show, small_desk: RunningDesk, page: Page
) -> None:
    show(0, 3, grid=True)
    expect(page.locator("[data-photo]")).to_have_count(3)

    def gone(route: Route) -> None:
        route.fulfill(json={"problem": "it was deleted", **small_desk.desk.status()})

    page.route("**/decide", gone, times=1)
    press(page, "1")
    expect(page.locator("#decided")).to_have_text("2")
    expect(page.locator("#message")).to_have_text("it was deleted")


def test_a_hostile_name_is_text(stack: Stack, small_desk: RunningDesk, page: Page) -> None:
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    key = "incoming/<img src=x onerror=alert(1)>'\"${alert(2)}.jpg"
    put_doubtful(stack, key)
    page.goto(small_desk.page())
    expect(page.locator("#name")).to_have_text(key)
    press(page, "1")
    expect(page.locator("#strip li")).to_have_attribute("title", key)
    page.evaluate("new Promise((done) => setTimeout(done))")
    assert dialogs == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_accessible_and_fits(
    stack: Stack, small_desk: RunningDesk, page: Page, width: int, theme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    end = f"{width}-{theme}"

    page.goto(small_desk.page())
    expect(page.get_by_text("No photo is waiting")).to_be_visible()
    look(page, f"review-empty-{end}")
    put_many(stack, 14, 5)
    page.reload()
    expect(page.locator("#guess")).to_contain_text("neither 98 %")
    for place in range(5):
        expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
        key = "0" if "neither" in page.locator("#guess").inner_text() else "1"
        page.keyboard.press("s" if place == 1 else key)
    expect(page.locator("#strip li")).to_have_count(5)
    expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
    look(page, f"review-one-{end}")
    page.keyboard.press("z")
    look(page, f"review-zoom-{end}")
    page.keyboard.press("?")
    look(page, f"review-keys-{end}")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    expect(page.locator("[data-photo]").nth(8)).to_be_visible()
    page.keyboard.press("w")
    expect(page.locator('[data-label="bicycle"]')).to_be_enabled()
    look(page, f"review-grid-{end}")


def test_a_desk_that_does_not_answer_says_so_and_recovers(show: Show, page: Page) -> None:
    show(0, 2)
    press(page, "1")
    page.route("**/waiting", lambda route: route.fulfill(status=200, body="no JSON"))
    expect(page.locator("#message")).to_contain_text("The desk does not answer")
    page.screenshot(path=SCREENSHOTS / "review-failing-1280-light.png", full_page=True)
    page.unroute("**/waiting")
    expect(page.locator("#message")).to_be_empty()
