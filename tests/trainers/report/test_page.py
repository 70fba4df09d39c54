"""One page: what it says, and how it is met in a browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.actstore.view.pages.strict import parsed
from tests.services.browser import viewing
from tests.trainers.report.runs import NO_RESULT, run_at
from trainers.report.page import report_page
from trainers.report.reported import ReportedRun, read_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EVIL = "</td><script>document.title = 'owned'</script>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[ReportedRun]:
    """Seven runs of three dictionaries, one with an evil name, one failed, one unfinished."""
    folder = tmp_path_factory.mktemp("runs")
    made = [
        run_at(folder / "topk-k2", {"l0": 2.0, "explained_variance": 0.7}, k=2),
        run_at(folder / "topk-k4", {"l0": 4.0, "explained_variance": 0.8}),
        run_at(folder / "topk-k8", {"l0": 8.0, "explained_variance": 0.85}, k=8),
        run_at(folder / "relu", {"l0": 90.0, "explained_variance": 0.84}, dictionary="relu-sae", k=None),
        run_at(folder / "evil", {"l0": 5.0}, dictionary="crosscoder-topk"),
        run_at(folder / "failed", NO_RESULT),
        run_at(folder / "unfinished", NO_RESULT),
    ]
    made[5].write_failure(3, f"step 3: loss is nan {EVIL}")
    return [read_run(one, name=EVIL if one.path.name == "evil" else one.path.name) for one in made]


@pytest.fixture(scope="module")
def file(runs: list[ReportedRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_page("7 runs", runs), encoding="utf-8")
    return path


def test_it_is_whole_and_has_every_run(file: Path, runs: list[ReportedRun]) -> None:
    text = file.read_text("utf-8")
    page = parsed(text)
    assert EVIL not in text
    assert {"results", "front", "curves", "latents", "settings", "failures"} <= set(page.values("id"))
    shown = "".join(page.text["th"])
    assert all(run.name in shown for run in runs)
    assert "5 finished, 1 failed, 1 unfinished" in "".join(page.text["dd"])
    assert "".join(page.text["figcaption"]).startswith("Fidelity by sparsity")


@pytest.mark.parametrize("chosen", [[0], [5], [6], [5, 6], [0, 0, 1]])
def test_any_runs_make_a_page(chosen: list[int], runs: list[ReportedRun]) -> None:
    some = [runs[number]._replace(name=f"{number}-{place}") for place, number in enumerate(chosen)]
    assert parsed(report_page("some", some)).text["h1"] == ["some"]


def test_a_run_that_has_not_begun_makes_a_page(runs: list[ReportedRun]) -> None:
    text = report_page("none", [runs[0]._replace(record=None, result=None, curve=(), latents=None)])
    assert "No run has a result yet." in text
    assert "No run has logged a step yet." in text


def test_a_long_curve_is_thinned_and_keeps_its_end(runs: list[ReportedRun]) -> None:
    point = runs[0].curve[0]
    curve = tuple(point._replace(rows=256 * step, l0=float(step)) for step in range(1, 5001))
    text = report_page("long", [runs[0]._replace(curve=curve)])
    assert len(text) < 200_000
    assert "1,280,000" in text


@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_asked_of_the_network_and_nothing_is_wider_than_the_screen(
    width: int, file: Path, browser: "Browser"
) -> None:
    with viewing(browser, file, width=width) as viewed:
        assert viewed.requests == [file.as_uri()]
        assert not viewed.messages
        assert viewed.page.title() == "7 runs"
        assert viewed.width() == width
        viewed.all("details", "one.open = true")
        assert viewed.width() == width


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_shapes_stand_out(scheme: Literal["light", "dark"], file: Path, browser: "Browser") -> None:
    with viewing(browser, file, scheme=scheme) as viewed:
        viewed.all("details", "one.open = true")
        found = viewed.contrasts()
        assert min(ratio for kind, ratio, _ in found if kind == "text") >= 4.5
        assert min(ratio for kind, ratio, _ in found if kind == "shape") >= 3


@pytest.mark.browser
def test_every_figure_has_its_numbers_and_every_picture_a_name(file: Path, browser: "Browser") -> None:
    with viewing(browser, file) as viewed:
        figures = viewed.page.get_by_role("figure").all()
        assert len(figures) == 5
        for figure in figures:
            assert "- table" in figure.aria_snapshot() or figure.locator("details table").count()
        for picture in viewed.page.get_by_role("img").all():
            assert len(picture.aria_snapshot()) > len('- img "" ')
        front = viewed.page.locator("#front .chart").locator(".mark")
        assert front.count() == 3  # one path of marks for each dictionary
