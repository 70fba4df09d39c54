"""Links, anchors, paths and commands of the documentation exist. No network."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from actstore.cli.app import app as actstore
from trainers.cli.app import app as trainer

REPOSITORY: Final = Path(__file__).resolve().parents[2]
DOCS: Final = REPOSITORY / "docs"
PAGES: Final = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
COMMANDS: Final[dict[str, Any]] = {
    "actstore": typer.main.get_command(actstore),
    "trainer": typer.main.get_command(trainer),
}

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
CODE: Final = re.compile(r"`([^`\n]+)`")
HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
PATH: Final = re.compile(r"(?:src|tests|benchmarks|docs|manifests|examples)/[\w./-]+")
MODULE_PATH: Final = re.compile(r"\w+(?:/\w+)+\.py")
ROOMS: Final = {
    room: list((REPOSITORY / "src").glob(f"*/{room}"))
    for room in {path.parent.name for path in (REPOSITORY / "src").glob("*/*/__init__.py")}
}
MODULE: Final = re.compile(
    rf"(?<![\w./])(?:actstore\.|trainers\.)?({'|'.join(ROOMS)})((?:\.[a-z]\w*)*\.([a-z]\w*))(?![\w(=.])"
)
FIELDS: Final = {"py"} | {
    key
    for schema in (REPOSITORY / "manifests").glob("*.schema.json")
    for key in re.findall(r'"(\w+)":', schema.read_text("utf-8"))
}
"""What a dotted name may end in that is no module: fields of a recipe or manifest, and the ending of a file."""
CITED_PAGE: Final = re.compile(r"\bdocs/[a-z-]+(?:/[a-z0-9-]+)?(?:\.md)?\b")
"""In code: a page, or the beginning of the name of a decision."""


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


@pytest.fixture(params=PAGES, ids=name_of)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(prose(page)):
        text = LINK.sub(lambda match: match[0][1 : match[0].index("]")], heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def targets(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield the relative links of a page: as written, the file they mean, the anchor."""
    for link in LINK.findall(CODE.sub("", prose(page))):
        if "://" not in link and not link.startswith("mailto:"):
            path, _, anchor = link.partition("#")
            yield link, (page.parent / path).resolve() if path else page, anchor


def invocations(page: Path) -> Iterator[list[str]]:
    """Yield the words of each `actstore` and `trainer` command of a page, in bash blocks and in code within a line."""
    text = page.read_text("utf-8")
    scripts = [body.replace("\\\n", " ") for language, body in FENCE.findall(text) if language == "bash"]
    lines = [line for script in scripts for line in script.splitlines()]
    lines += [code for code in CODE.findall(prose(page)) if code.split()[0] in COMMANDS]
    for line in lines:
        words = re.split(r"(?<!\S)(?=(?:actstore|trainer)\s)", line, maxsplit=1)
        if len(words) == 2 and not words[0].startswith("#") and "echo" not in words[0]:
            yield command_words(words[1])


def command_words(line: str) -> list[str]:
    """Split a command, without its comment and what it is piped to."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if re.fullmatch(r"[|&;<>]+", word):
            break
        words.append(word)
    return words


def problem_of(words: list[str]) -> str | None:
    """Return what a command names that does not exist."""
    command, rest = COMMANDS[words[0]], words[1:]
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"no command {rest[0]!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"-h", "--help"}
    unknown = [word for word in rest if re.match(r"--?[a-zA-Z]", word) and word.partition("=")[0] not in known]
    return f"no option {', '.join(unknown)}" if unknown else None


def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = [
        link
        for link, path, anchor in targets(page)
        if not path.exists() or (anchor and (path.suffix != ".md" or anchor not in anchors(path)))
    ]
    assert not broken


def test_paths_in_code_exist(page: Path) -> None:
    code = [word for text in CODE.findall(prose(page)) for word in text.split()]
    missing = [word for word in code if PATH.fullmatch(word) and not (REPOSITORY / word).exists()]
    roots = (REPOSITORY, REPOSITORY / "src", REPOSITORY / "src" / "actstore")
    modules = [word for word in code if MODULE_PATH.fullmatch(word)]
    missing += [word for word in modules if not any((root / word).exists() for root in roots)]
    assert not missing


def test_commands_and_options_exist(page: Path) -> None:
    wrong = {shlex.join(words): problem for words in invocations(page) if (problem := problem_of(words))}
    assert not wrong


def test_every_page_can_be_reached_from_the_index() -> None:
    index = DOCS / "README.md"
    reached, left = {index}, [index]
    while left:
        for _, path, _ in targets(left.pop()):
            if path.suffix == ".md" and path.is_relative_to(DOCS) and path not in reached:
                reached.add(path)
                left.append(path)
    assert not {name_of(each) for each in DOCS.rglob("*.md")} - {name_of(each) for each in reached}


def test_pages_that_code_cites_exist() -> None:
    pages = [name_of(each) for each in DOCS.rglob("*.md")]
    stale = {
        f"{name_of(path)}: {cited}"
        for path in (REPOSITORY / "src").rglob("*.py")
        for cited in CITED_PAGE.findall(path.read_text("utf-8"))
        if not any(each.startswith(cited) for each in pages)
    }
    assert not stale


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text("utf-8").splitlines()) <= 150


def test_what_the_checks_look_for_is_found() -> None:
    words = [command for page in PAGES for command in invocations(page)]
    assert len(words) > 50
    assert sum(len(list(targets(page))) for page in PAGES) > 100


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("actstore extract r.toml --store s --stop-after 0  # begin", None),
        ("actstore verify URI --no-recompute | jq .ok", None),
        ("actstore manifest export URI -o FILE", None),
        ("trainer online r.toml --set rows.fraction=1.0", None),
        ("actstore export URI", "no command 'export'"),
        ("actstore manifest publish URI", "no command 'publish'"),
        ("actstore plan r.toml --gpus 4", "no option --gpus"),
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str, problem: str | None) -> None:
    assert problem_of(command_words(command)) == problem


def test_an_anchor_is_that_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# `auto`: a *first* look (5)\n## Same\n## Same\n```bash\n# no heading\n```\n", "utf-8")
    assert anchors(page) == {"auto-a-first-look-5", "same", "same-1"}


def test_modules_that_a_page_names_exist(page: Path) -> None:
    """Dotted names of rooms, such as `store.write.commit`, in code and in the ways that data takes."""
    blocks = [text for language, text in FENCE.findall(page.read_text("utf-8")) if language == "text"]
    missing = [
        match[0]
        for text in (*CODE.findall(prose(page)), *blocks)
        for match in MODULE.finditer(text)
        if match[3] not in FIELDS
        and not any(leads_somewhere(room, match[2][1:].split(".")) for room in ROOMS[match[1]])
    ]
    assert not missing


def leads_somewhere(folder: Path, steps: list[str]) -> bool:
    """Return whether steps lead from a room to a folder, a module, or a name that a module defines."""
    for index, step in enumerate(steps):
        if not (folder / step).is_dir():
            module = folder / f"{step}.py"
            names = steps[index + 1 :]
            return module.is_file() and all(re.search(rf"\b{name}\b", module.read_text("utf-8")) for name in names)
        folder /= step
    return True
