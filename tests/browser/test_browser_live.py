"""The live view in a browser: a photo that is dropped on it goes through before the eyes of whoever looks."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import RunningDesk
from tests.e2e.test_e2e_workflow import RED
from tests.support.local_cloud import LocalCloud

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"


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
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"live-{width}.png")
    found = Axe().run(page)
    assert [
        one["id"] for one in found.response["violations"] if one["impact"] in {"serious", "critical"}
    ] == []
