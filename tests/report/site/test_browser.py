"""The pages in Chromium: mouse, keyboard, screen reader, phone, dark mode, and without JavaScript."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

pytestmark = pytest.mark.browser
PHONE = {"width": 360, "height": 740}
PAGES = ("index.html", "tracks/cifar100-classification.html", "submissions/wide.html", "submissions/gan.html")


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    page = browser.new_page()
    yield page
    page.close()


def every_page(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def column(page: "Page", index: int) -> list[str]:
    texts: list[str] = page.locator("table").first.locator(f"tbody tr > :nth-child({index})").all_inner_texts()
    return texts


def test_pages_have_no_errors_and_no_network_requests(site: Path, page: "Page") -> None:
    errors: list[str] = []

    def record_failure(request: "Request") -> None:
        # A picture that was still loading when the next page was opened is aborted.
        if request.failure != "net::ERR_ABORTED":
            errors.append(f"{page.url}: {request.url}: {request.failure}")

    page.on("console", lambda message: errors.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    page.on("requestfailed", record_failure)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    for path in every_page(site):
        page.goto(path.as_uri())
        assert page.title().endswith("· capbench")
    assert errors == []
    assert requested and all(url.startswith(("file://", "data:")) for url in requested)


def test_click_on_a_header_sorts_the_table(site: Path, page: "Page") -> None:
    page.goto((site / "tracks" / "cifar100-classification.html").as_uri())
    assert column(page, 2) == ["wide", "wide/deep", "se_net", "narrow", "moody", "unlucky"]
    score = page.locator("table").first.get_by_role("button", name="top-1 %")
    score.click()
    assert column(page, 2) == ["moody", "narrow", "se_net", "wide", "wide/deep", "unlucky"]
    header = page.locator("table").first.locator("th[aria-sort]")
    assert header.get_attribute("aria-sort") == "ascending" and "top-1" in header.inner_text()
    score.click()
    assert column(page, 2) == ["wide/deep", "wide", "se_net", "narrow", "moody", "unlucky"]
    assert header.get_attribute("aria-sort") == "descending"


def test_missing_values_are_last_in_both_orders(site: Path, page: "Page") -> None:
    page.goto((site / "tracks" / "cifar100-classification.html").as_uri())
    rank = page.locator("table").first.get_by_role("button", name="rank")
    for expected in (["1", "2", "3", "–", "–", "–"], ["3", "2", "1", "–", "–", "–"]):
        rank.click()
        assert column(page, 1) == expected


def test_sorting_by_keyboard_is_announced(site: Path, page: "Page") -> None:
    page.goto((site / "tracks" / "cifar100-classification.html").as_uri())
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "params":
            break
    page.keyboard.press("Enter")
    assert column(page, 5)[0] == "40,000" and page.evaluate("document.activeElement.innerText") == "params"
    assert page.locator("[aria-live]").inner_text() == "Sorted by params, ascending"


def test_first_tab_stop_skips_to_the_content(site: Path, page: "Page") -> None:
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    page.keyboard.press("Enter")
    page.wait_for_url("**/index.html#content")


def test_links_lead_from_the_front_page_to_a_run(site: Path, page: "Page") -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_role("link", name="All results").first.click()
    page.get_by_role("link", name="se_net", exact=True).first.click()
    assert page.locator("h1").inner_text() == "se_net"
    page.get_by_role("link", name="se_net/base seed 1").click()
    assert page.locator("h1").inner_text() == "se_net, base, seed 1"
    page.get_by_role("link", name="capbench").click()
    assert page.locator("h1").inner_text() == "Leaderboard"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_the_width_of_a_phone(site: Path, browser: "Browser", scheme: str) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=scheme, is_mobile=True)
    page = context.new_page()
    for path in every_page(site):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
    context.close()


def test_status_is_in_view_on_a_laptop(site: Path, browser: "Browser") -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    for name in ("index.html", "tracks/cifar100-classification.html", "tracks/cifar100-generation.html"):
        page.goto((site / name).as_uri())
        box = page.locator("table").first.get_by_role("columnheader", name="status").bounding_box()
        assert box is not None and box["x"] + box["width"] <= 1200, name
    page.close()


def test_pages_are_complete_without_javascript(site: Path, browser: "Browser") -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "tracks" / "cifar100-classification.html").as_uri())
    assert page.locator("table").first.get_by_text("46.20 ± 1.04 (n=5)").is_visible()
    assert page.locator("svg").count() >= 4 and page.get_by_role("button").count() == 0
    context.close()


def test_drawings_follow_the_colour_scheme(site: Path, browser: "Browser") -> None:
    colours = set()
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto((site / "tracks" / "cifar100-classification.html").as_uri())
        text = page.locator("svg text").first
        colours.add(text.evaluate("element => getComputedStyle(element).fill"))
        assert text.is_visible()
        context.close()
    assert len(colours) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_reports_no_violations(site: Path, browser: "Browser", scheme: str) -> None:
    """The rules of axe-core: names, roles, contrast, order, tables, keyboard access."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    run = next(path for path in every_page(site) if "--gan--" in path.name)
    for path in (*(site / name for name in PAGES), run):
        page.goto(path.as_uri())
        violations = axe.run(page).response["violations"]
        shown = [(item["id"], [node["html"][:200] for node in item["nodes"][:3]]) for item in violations]
        assert shown == [], path
    context.close()
