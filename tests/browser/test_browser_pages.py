"""The pages that commands write, opened from disk: the outcomes of a run of photos, and the report."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from operations.__main__ import main
from tests.browser.conftest import look
from tests.e2e.test_e2e_workflow import BETWEEN, GREEN, RED
from tests.support.local_cloud import LocalCloud, environment_of

PHOTOS = {"red.jpg": RED, "green <b>.png": GREEN, "between.jpg": BETWEEN, "broken.jpg": b"this is no photo"}


@pytest.fixture(scope="module")
def pages(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Send photos, and return the pages about them."""
    folder = tmp_path_factory.mktemp("pages")
    for name, body in PHOTOS.items():
        (folder / name).write_bytes(body)
    found = {name: folder / f"{name}.html" for name in ("outcomes", "report")}
    with environment_of(cloud.running):
        files = [str(folder / name) for name in PHOTOS]
        assert main(["send", *files, "--page", str(found["outcomes"])]) == 0
        assert main(["report", "--since", "1h", "--output", str(found["report"])]) == 0
    return found


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("name", "shows"), [("outcomes", "LOW_CONFIDENCE"), ("report", "confidence")])
def test_a_page_is_accessible_fits_and_loads_nothing(
    name: str, shows: str, width: int, pages: dict[str, Path], page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(pages[name].as_uri())

    expect(page.get_by_text(shows).first).to_be_visible()
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}, "nothing comes from elsewhere"
    look(page, f"{name}-{width}")
