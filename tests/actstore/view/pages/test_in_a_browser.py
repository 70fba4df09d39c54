"""Every page, as people and screen readers meet it: chromium without a window."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from actstore.budget.assumptions import Assumptions
from actstore.view.pages.plan_page import plan_page
from actstore.view.pages.store_page import store_page
from tests.actstore.view.pages.stores import facts_of
from tests.actstore.view.plans import prott5_plan
from tests.services.browser import Viewed, viewing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

StoreOf = Callable[..., Path]
PAGES = ("plan", "store", "other")
WIDTHS = (400, 800, 1400)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def files(store_of: StoreOf, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A plan, a store, and a store of float16 with a name that is long and evil."""
    facts = facts_of(store_of())
    other = facts_of(store_of(**{"store.encoding": "float16"}))
    evil = other._replace(uri="/data/" + "long-" * 60 + "</code><script>document.title = 'owned'</script>")
    texts = {
        "plan": plan_page(prott5_plan(Assumptions(measured_rate=12_000.0))),
        "store": store_page(facts),
        "other": store_page(evil),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", PAGES)
def test_it_asks_the_network_for_nothing_and_runs_without_a_complaint(
    name: str, files: dict[str, Path], browser: "Browser"
) -> None:
    with viewing(browser, files[name]) as viewed:
        outside = [request for request in viewed.requests if not request.startswith(("file:", "data:"))]
        assert not outside
        assert [request for request in viewed.requests if request.startswith("file:")] == [files[name].as_uri()]
        assert not viewed.messages
        assert viewed.page.title() != "owned"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(name: str, width: int, files: dict[str, Path], browser: "Browser") -> None:
    with viewing(browser, files[name], width=width) as viewed:
        assert viewed.width() == width
        viewed.all("details", "one.open = true")
        assert viewed.width() == width
        viewed.page.emulate_media(media="print")
        assert viewed.width() == width


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_and_shapes_stand_out(
    name: str, scheme: Literal["light", "dark"], files: dict[str, Path], browser: "Browser"
) -> None:
    """WCAG 2.2 AA: text 4.5, graphics 3."""
    with viewing(browser, files[name], scheme=scheme) as viewed:
        viewed.all("details", "one.open = true")
        found = viewed.contrasts()
        assert min(ratio for kind, ratio, _ in found if kind == "text") >= 4.5
        assert min(ratio for kind, ratio, _ in found if kind == "shape") >= 3
        assert {kind for kind, *_ in found} == {"text", "shape"}
        dark = sum(map(int, viewed.page.evaluate(BACKGROUND)[4:-1].split(","))) < 384
        assert dark == (scheme == "dark")


@pytest.mark.parametrize("name", PAGES)
def test_the_switch_is_stronger_than_the_system_and_works_by_keyboard(
    name: str, files: dict[str, Path], browser: "Browser"
) -> None:
    with viewing(browser, files[name], scheme="dark") as viewed:
        dark = viewed.page.evaluate(BACKGROUND)
        viewed.page.keyboard.press("Tab")
        assert viewed.page.evaluate("document.activeElement.textContent") == "To the content"
        viewed.page.keyboard.press("Tab")
        assert viewed.page.evaluate("document.activeElement.id") == "theme-auto"
        viewed.page.keyboard.press("ArrowRight")
        assert viewed.page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        viewed.page.keyboard.press("ArrowRight")
        assert viewed.page.evaluate(BACKGROUND) == dark != "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_has_a_name_and_every_figure_its_numbers(
    name: str, files: dict[str, Path], browser: "Browser"
) -> None:
    with viewing(browser, files[name]) as viewed:
        for figure in viewed.page.get_by_role("figure").all():
            assert "- table" in figure.aria_snapshot() or figure.locator("details table").count()
        pictures = viewed.page.get_by_role("img").all()
        assert pictures
        for picture in pictures:
            assert len(picture.aria_snapshot()) > len('- img "" ')
        unnamed = viewed.all("figure", "one.querySelector('figcaption')?.textContent.trim().length > 5")
        assert all(unnamed)
        hidden = viewed.all("svg", "one.closest('[aria-hidden=true], [role=img]') !== null")
        assert all(hidden)


def test_a_narrow_table_is_still_a_table_for_screen_readers(files: dict[str, Path], browser: "Browser") -> None:
    with viewing(browser, files["store"], width=400) as viewed:
        shown = viewed.page.get_by_role("figure").filter(has_text="L2 norm").aria_snapshot()
        assert '- columnheader "mean norm"' in shown
        assert '- rowheader "embed"' in shown
        assert viewed.page.get_by_role("figure").filter(has_text="L2 norm").get_by_role("cell").count() == 4 * 5


def keyboard_stops(viewed: Viewed) -> list[str]:
    """Return the names of what the tabulator key reaches, until it leaves the page."""
    stops: list[str] = []
    for _ in range(200):
        viewed.page.keyboard.press("Tab")
        name = viewed.page.evaluate(
            "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
        )
        if viewed.page.evaluate("document.activeElement === document.body"):
            break
        stops.append(name)
    return stops


def test_the_keyboard_reaches_everything_that_can_be_done(files: dict[str, Path], browser: "Browser") -> None:
    with viewing(browser, files["store"]) as viewed:
        stops = keyboard_stops(viewed)
        buttons = viewed.all("button", "one.checkVisibility() ? one.getAttribute('aria-label') : null")
        assert len([button for button in buttons if button]) >= 7
        assert {button for button in buttons if button} <= set(stops)
        assert {"Open it", "Licence and citation", "Numbers", "Show the recipe"} <= set(stops)


def test_a_button_copies_its_lines(files: dict[str, Path], browser: "Browser") -> None:
    with viewing(browser, files["store"]) as viewed:
        viewed.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        button = viewed.page.get_by_role("button", name="Copy: BibTeX")
        button.focus()
        viewed.page.keyboard.press("Enter")
        viewed.page.get_by_role("status").filter(has_text="Copied").wait_for()
        copied = viewed.page.evaluate("navigator.clipboard.readText()")
        assert copied == viewed.page.locator("#cite-store").text_content()
        assert copied.startswith("@misc{actstore-")


def test_where_copying_is_not_allowed_the_lines_are_selected(files: dict[str, Path], browser: "Browser") -> None:
    with viewing(browser, files["store"]) as viewed:
        viewed.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        viewed.page.get_by_role("button", name="Copy: BibTeX").click()
        viewed.page.get_by_role("status").filter(has_text="Selected").wait_for()
        assert str(viewed.page.evaluate("getSelection().toString()")).startswith("@misc{actstore-")


def test_a_printed_page_has_what_can_be_read_and_nothing_to_click(files: dict[str, Path], browser: "Browser") -> None:
    with viewing(browser, files["store"], scheme="dark") as viewed:
        viewed.page.emulate_media(media="print")
        assert viewed.page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        for selector in ("nav", "button", "fieldset"):
            assert not any(viewed.all(selector, "one.checkVisibility()")), selector
        assert all(viewed.all("figure", "one.checkVisibility()"))


def test_a_line_of_the_contents_leads_to_its_section(files: dict[str, Path], browser: "Browser") -> None:
    with viewing(browser, files["store"]) as viewed:
        viewed.page.get_by_role("navigation").get_by_role("link", name="Mixing").click()
        assert 0 <= viewed.page.locator("#mixing").evaluate("one => one.getBoundingClientRect().top") < 600
