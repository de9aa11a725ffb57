"""The live view in a browser: a photo that is dropped on it goes through before the eyes of whoever looks."""

import re

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import RunningDesk, look
from tests.e2e.test_e2e_workflow import RED
from tests.support.local_cloud import LocalCloud


def drop(page: Page, name: str, body: bytes = RED) -> None:
    """Give the page a file, as its button and a drop do."""
    page.locator("#files").set_input_files([FilePayload(name=name, mimeType="image/jpeg", buffer=body)])


def test_a_dropped_photo_goes_through_without_a_reload(
    cloud: LocalCloud, desk: RunningDesk, page: Page
) -> None:
    page.goto(desk.page("live"))
    expect(page.locator("#ACCEPTED")).to_have_text(re.compile(r"^[0-9]"))
    drop(page, "it's <img src=x onerror=alert(1)>.jpg")

    row = page.locator("#latest button").filter(has_text="it's <img src=x onerror=alert(1)>.jpg").first
    expect(row).to_contain_text("ACCEPTED", timeout=15_000)
    expect(row).to_contain_text("bicycle")
    row.click()
    trace = page.locator("#trace")
    for state in ("SerializeImage", "ClassifyImage", "FilterInference", "Accepted"):
        expect(trace).to_contain_text(state)
    expect(trace.locator("img")).to_be_visible()
    key = str(page.locator("#message").text_content()).removesuffix(" is on its way")
    assert [record["outcome"] for record in cloud.records(key)] == ["ACCEPTED"]


def test_figures_dim_while_they_are_stale_and_recover_by_themselves(desk: RunningDesk, page: Page) -> None:
    page.goto(desk.page("live"))
    expect(page.locator("#ACCEPTED")).to_have_text(re.compile(r"^[0-9]"))
    body, message = page.locator("body"), page.locator("#message")
    answer = {"status": 200, "body": "no JSON"}  # an error status would be an error of the page
    page.route("**/live/state?*", lambda route: route.fulfill(**answer))
    expect(body).to_have_class("stale")
    expect(message).to_contain_text("trying again")
    page.unroute("**/live/state?*")
    expect(body).not_to_have_class("stale")
    expect(message).to_have_text("")


def test_an_outcome_shows_only_its_photos_and_again_all(
    cloud: LocalCloud, desk: RunningDesk, page: Page
) -> None:
    for name, body in (("filter-red.jpg", RED), ("filter-text.jpg", b"a text")):
        cloud.upload(f"incoming/live/{name}", body)
        cloud.executions(f"incoming/live/{name}")
    page.goto(desk.page("live"))
    rows = page.locator("#latest button")
    expect(rows.filter(has_text="filter-red.jpg")).to_have_count(1, timeout=15_000)
    rejected = page.get_by_role("button", name="REJECTED")
    rejected.first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#REJECTED").locator("..")).to_have_attribute("aria-pressed", "true")
    expect(rows.filter(has_text="filter-red.jpg")).to_have_count(0)
    expect(rows.filter(has_text="filter-text.jpg")).to_have_count(1)
    page.locator("#REJECTED").click()
    expect(rows.filter(has_text="filter-red.jpg")).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_live_view_is_accessible_and_fits(
    width: int, cloud: LocalCloud, desk: RunningDesk, page: Page
) -> None:
    cloud.upload("incoming/live/fits.jpg", RED)
    cloud.executions("incoming/live/fits.jpg")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(desk.page("live"))
    page.locator("#latest button").first.click()
    expect(page.locator("#trace")).to_contain_text("SerializeImage")
    expect(page.locator("#trace")).to_be_in_viewport()
    look(page, f"live-{width}")
