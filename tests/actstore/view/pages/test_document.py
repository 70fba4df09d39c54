import base64
import hashlib
import re
from html import unescape

from actstore.view.pages.document import Section, code, facts, figure, page, table
from tests.actstore.view.pages.strict import parsed

PAGE = page("<T>", ["head"], [Section("one", "One & all", ("<b>",)), Section("two", "Two", ())], "foot")


def test_only_the_script_of_the_page_may_run_and_nothing_is_loaded() -> None:
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', PAGE)
    [script] = re.findall(r"<script>(.*?)</script>", PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in unescape(policy).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["img-src"] == "data:"


def test_sections_are_named_and_in_the_contents() -> None:
    seen = parsed(PAGE)
    assert seen.text["title"] == ["<T>"]
    assert seen.text["h2"] == ["One & all", "Two"]
    assert [link for link in seen.values("href") if link in {"#one", "#two"}] == ["#one", "#two"]
    assert "&lt;b&gt;" in PAGE


def test_a_table_names_its_rows_and_columns() -> None:
    drawn = parsed(table(("a", "b"), [("x", "1"), ("y<", "2")], caption="what", own=1))
    assert drawn.text["th"] == ["a", "b", "x", "y<"]
    assert drawn.values("scope") == ["col", "col", "row", "row"]
    assert drawn.values("class") == ["scroll", "own"]
    assert drawn.values("aria-label") == ["what"]


def test_a_figure_folds_the_numbers_of_a_picture() -> None:
    drawn = figure("what", "picture", note="how", numbers=table(("a",), [("1",)]))
    assert drawn.startswith("<figure><figcaption>what<small>how</small></figcaption>picture<details>")
    assert "<details>" not in figure("what", "picture")


def test_all_of_the_lines_are_there_to_copy() -> None:
    text = "x = '<' & 1\n" * 100
    drawn = parsed(code("lines", text, name="Python"))
    assert "".join(drawn.text["code"]) == text
    assert drawn.values("data-copies") == drawn.values("id") == ["lines"]
    assert drawn.values("aria-label") == ["Copy: Python"]


def test_facts_are_names_with_values() -> None:
    drawn = parsed(facts({"a": "1", "b<": "2"}))
    assert (drawn.text["dt"], drawn.text["dd"]) == (["a", "b<"], ["1", "2"])
