"""Secrets planted in every option, field and address: none is shown or kept, whether a command works or not."""

import io
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import actstore
import trainers.cli
from actstore.access.local import LocalObjects
from actstore.cli import main as run_actstore
from actstore.cli.hidden import print_defect
from actstore.contracts.recipe import Recipe
from actstore.errors import ActstoreError
from actstore.testing.fake_model import FakeModel
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extract import extract_with
from tests.actstore.cli.test_program import OPTIONS, name_of
from tests.actstore.conftest import RecipeOf, StoreOf
from trainers.workflows.options import RunOptions

MARKER = "Swordfish4711"
"""No part of any program, and nothing that a URL would write otherwise."""
PROGRAMS = {"actstore": run_actstore, "trainer": trainers.cli.main}
ADDRESSES = [
    f"https://{MARKER}@host/x",
    f"https://me:{MARKER}@host/x",
    f"s3://{MARKER}@bucket/x",
    f"s3://AKIA:a/b{MARKER}@bucket/x",
    f"simplecache::https://{MARKER}@host/x",
    f"me:{MARKER}@host",
    f"//{MARKER}@host/x",
    *(f"https://host/x?v=1&{name}={MARKER}" for name in ("X-Amz-Signature", "sig", "token", "pwd", "key")),
]
FEW = ADDRESSES[::3]
ARGUMENTS = {
    "plan": ["recipe.toml"],
    "extract": ["recipe.toml", "--store=out"],
    "manifest export": ["store", "--out=out.json"],
    "manifest show": ["file.json"],
    "manifest validate": ["file.json"],
    "online": ["recipe.toml"],
    "export": ["store", "out"],
}
RECIPE = '[model]\nname = "fake"\n[corpus]\nsequences = "nowhere.fasta"\n'


class Outcome(NamedTuple):
    """All that a command lets anyone see."""

    code: int
    said: str
    """Standard output and error, and every exception as it would be printed, with its arguments."""


def run(program: str, *arguments: object) -> Outcome:
    out, code, seen = io.StringIO(), 0, ""
    before, argv = sys.excepthook, sys.argv
    sys.argv = [program, *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(out):
            try:
                PROGRAMS[program]()
            except SystemExit as leaving:
                code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
                seen = shown_of(leaving.__context__)
            except Exception as defect:  # noqa: BLE001 - a defect, which must not show secrets either
                code = 1
                print_defect(type(defect), defect, defect.__traceback__)
    finally:
        sys.excepthook, sys.argv = before, argv
    return Outcome(code, out.getvalue() + seen)


def shown_of(error: BaseException | None) -> str:
    """Return everything that shows of an error of the project, in a notebook for example."""
    seen = []
    while isinstance(error, ActstoreError):
        seen += [
            f"{error} {error!r} {error.args}",
            *getattr(error, "__notes__", ()),
            *traceback.format_exception(error),
        ]
        error = error.__cause__
    return "\n".join(seen)


def assert_hidden(outcome: Outcome, folder: Path, *, but: frozenset[str] = frozenset()) -> None:
    assert MARKER not in outcome.said
    for path in folder.rglob("*"):
        assert MARKER not in str(path.relative_to(folder))
        if path.is_file() and path.name not in but:
            assert MARKER.encode() not in path.read_bytes(), path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def arguments_of(path: tuple[str, ...]) -> list[str]:
    return [*path, *ARGUMENTS.get(" ".join(path), ["store"])]


TAKING = [case for case in OPTIONS if not case[2].is_flag and case[2].name != "storage_option"]
COMMANDS = sorted({(program, path) for program, path, _ in OPTIONS})


@pytest.mark.slow
@pytest.mark.parametrize("form", FEW)
def test_an_address_in_any_option_is_neither_shown_nor_kept(form: str, here: Path) -> None:
    for program, path, option in TAKING:
        rest = [one for one in arguments_of(path) if not one.startswith(f"{name_of(option)}=")]
        outcome = run(program, *rest, name_of(option), form)
        assert (outcome.code, MARKER in outcome.said) == (2, False), (program, path, option.name)
        assert {one.name for one in here.iterdir()} == {"recipe.toml"}


@pytest.mark.slow
@pytest.mark.parametrize("form", FEW)
@pytest.mark.parametrize(("program", "path"), COMMANDS, ids=lambda one: one if isinstance(one, str) else " ".join(one))
def test_an_address_in_any_argument_is_neither_shown_nor_kept(
    program: str, path: tuple[str, ...], form: str, here: Path
) -> None:
    _, *others = arguments_of(path)[len(path) :]
    for arguments in ([form, *others], [*arguments_of(path)[len(path) :], form], [f"--{form}"], [f"--json={form}"]):
        outcome = run(program, *path, *arguments)
        assert outcome.code == 2
        assert_hidden(outcome, here)
    assert_hidden(run(program, form), here)


@pytest.mark.slow
@pytest.mark.parametrize("form", FEW)
def test_a_setting_or_a_field_of_a_recipe_is_neither_shown_nor_kept(form: str, here: Path) -> None:
    fields = [*dotted(Recipe), "model.unknown", "unknown", "corpus", f"store.{form}"]
    for number, field in enumerate(fields):
        program, *command = (("actstore", "plan"), ("actstore", "extract", "--store=out"), ("trainer", "online"))[
            number % 3
        ]
        for value in (form, f'"{form}"', f'["{form}"]', f'{{a = "{form}"}}'):
            outcome = run(program, *command, "recipe.toml", "--set", f"{field}={value}")
            assert (outcome.code, MARKER in outcome.said) == (2, False), (command, field, value)
    assert_hidden(Outcome(0, ""), here)


@pytest.mark.slow
@pytest.mark.parametrize("form", ADDRESSES)
def test_what_a_file_says_is_neither_shown_nor_kept(form: str, here: Path) -> None:
    written = here / "written.toml"
    recipes = [
        RECIPE.replace("fake", form),
        RECIPE.replace("nowhere.fasta", form),
        f'sites = ["{form}"]\n{RECIPE}',
        f'{RECIPE}[splits]\nclusters = "{form}"\n',
        f'{RECIPE}[store]\nencoding = "{form}"\n',
        f'{RECIPE}[store]\n"{form}" = 1\n',
        f'{RECIPE}[splits]\nfractions = {{"{form}" = 1.0}}\n',
        f'seed = "{form}"\n{RECIPE}',
        f'model = "{form}"\n',
        f"{form} = \n",
    ]
    for text in recipes:
        written.write_text(text)
        for program, *arguments in (
            ("actstore", "plan", written, "--html=page.html"),
            ("actstore", "extract", written, "--store=out"),
            ("trainer", "online", written, "--out=run"),
        ):
            outcome = run(program, *arguments)
            assert (outcome.code, MARKER in outcome.said) == (2, False), (text, outcome.said.replace(MARKER, "MARKER"))
    for option, text in (
        ("--slurm-config", f'cores = 1\nmemory = "1GB"\nqueue = 3\nqueu = "{form}"\n'),
        ("--slurm-config", f'cores = "{form}"\nmemory = 3\n'),
        ("--slurm-config", f'cores = 1\nmemory = "{form}"\nadapt = "{form}"\n'),
    ):
        written.write_text(text)
        outcome = run("actstore", "extract", "--store=out", "--executor=dask", f"{option}={written}")
        assert (outcome.code, MARKER in outcome.said) == (2, False), (text, outcome.said.replace(MARKER, "MARKER"))
    written.write_text(f'name = "{form}"\ndate = "{form}"\n[storage]\n[gpu]\nA100 = "{form}"\n')
    outcome = run("actstore", "plan", "recipe.toml", f"--price-file={written}")
    assert (outcome.code, MARKER in outcome.said) == (2, False)
    assert_hidden(outcome, here, but=frozenset({"written.toml"}))


class EchoingServer(BaseHTTPRequestHandler):
    """Answers every request with an error that repeats the request, as careless servers do."""

    def answer(self) -> None:
        text = f"<Error><Code>AccessDenied</Code><Message>{self.path} {self.headers}</Message></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), EchoingServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


STORAGE_OPTIONS: list[dict[str, str]] = [
    *({name: MARKER} for name in (
        "anon", "use_ssl", "requester_pays", "read_timeout", "connect_timeout", "max_pool_connections",
        "max_concurrency", "default_block_size", "attempts", "endpoint_url", "colour", "client_kwargs",
        "config_kwargs", "username", "s3_additional_kwargs", "loop", "version_aware", "default_cache_type",
        "cache_regions",
    )),
    {"key": MARKER, "secret": MARKER},
    {"key": "somebody", "secret": MARKER},
    {"key": "somebody", "secret": "anything", "token": MARKER},
    {"endpoint_url": f"http://127.0.0.1:9/?pwd={MARKER}"},
    {"endpoint_url": f"http://{MARKER}@127.0.0.1:9"},
    {"endpoint_url": f"http://me:{MARKER}@127.0.0.1:9"},
    {"endpoint_url": f"//{MARKER}@127.0.0.1:9"},
    {MARKER + "=": MARKER},
]  # fmt: skip
READERS = [
    ("actstore", "inspect", "{}"),
    ("actstore", "verify", "{}"),
    ("actstore", "repair", "{}"),
    ("actstore", "gc", "{}"),
    ("actstore", "manifest", "export", "{}", "--out=out.json"),
    ("actstore", "extract", "--store={}"),
    ("trainer", "read-from-store", "{}", "--dictionary=none"),
]


@pytest.mark.slow
@pytest.mark.parametrize("options", STORAGE_OPTIONS, ids="-".join)
@pytest.mark.parametrize("place", ["s3://bucket/store", "memory://nowhere", "gopher://host/store", "nowhere"])
def test_no_storage_option_is_shown_or_kept(place: str, options: dict[str, str], echo: str, here: Path) -> None:
    whole = {"endpoint_url": echo, "attempts": "1", "key": "somebody", "secret": "anything"} | options
    given = [part for name, value in whole.items() for part in ("--storage-option", f"{name}={value}")]
    for program, *arguments in READERS:
        outcome = run(program, *(one.format(place) for one in arguments), *given)
        assert outcome.code
        assert_hidden(outcome, here)


def test_a_storage_option_in_the_wrong_place_is_not_shown(here: Path) -> None:
    for program, *arguments in READERS:
        command = [one.format("nowhere") for one in arguments]
        for wrong in (
            [f"secret={MARKER}"],
            ["--storage-optoin", f"secret={MARKER}"],
            [f"--storage-optoin=key={MARKER}"],
            ["--storage-option", MARKER],
            ["--storage-option", "key=a", f"token={MARKER}"],
        ):
            outcome = run(program, *command, *wrong)
            assert outcome.code == 2
            assert_hidden(outcome, here)


def test_a_command_that_works_keeps_nothing_either(
    store_of: StoreOf, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARKER)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{MARKER}@127.0.0.1:9")
    secret = ("--storage-option", f"secret={MARKER}", "--storage-option", f"colour={MARKER}")
    for program, *arguments in (
        ("actstore", "inspect", store, *secret),
        ("actstore", "inspect", store, "--json", *secret),
        ("actstore", "verify", store, "--no-recompute", *secret),
        ("actstore", "gc", store, *secret),
        ("actstore", "repair", store, "--dry-run", *secret),
        ("actstore", "manifest", "export", store, "--out=file.json", *secret),
        ("actstore", "manifest", "show", "file.json"),
        ("actstore", "inspect", "file.json", *secret),
        ("trainer", "read-from-store", store, "--dictionary=none", "--batch-rows=64", *secret),
        ("trainer", "read-from-store", store, "--site=embed", "--steps=3", "--batch-rows=64", "--latents=32",
         "--k=4", "--out=run", *secret),
    ):  # fmt: skip
        outcome = run(program, *arguments)
        assert outcome.code == 0, outcome.said
        assert_hidden(outcome, here)
    assert {one.name for one in here.iterdir()} == {"file.json", "recipe.toml", "run"}


@pytest.mark.slow
def test_an_extraction_and_a_training_that_work_keep_nothing_either(
    small_fasta: Path, esm2_tiny: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", MARKER)
    secret = ("--storage-option", f"secret={MARKER}", "--storage-option", f"colour={MARKER}")
    (here / "recipe.toml").write_text(
        f'sites = ["resid_post.3"]\nmodel = {{ name = "{esm2_tiny}" }}\ncorpus = {{ sequences = ["{small_fasta}"] }}\n'
        'store = { encoding = "float16", task_rows = 2048, chunk_rows = 64 }\n'
    )
    training = ("--steps=3", "--batch-rows=64", "--latents=32", "--k=4")
    for program, *arguments in (
        ("actstore", "plan", "recipe.toml", "--html=page.html", *secret),
        ("actstore", "extract", "recipe.toml", "--store=store", *secret),
        ("actstore", "extract", "--store=other", f"--model={esm2_tiny}", f"--sequences={small_fasta}",
         "--site=resid_post.3", "--set=store.task_rows=2048", "--executor=dask", "--workers=1", *secret),
        ("actstore", "verify", "store", *secret),
        ("trainer", "online", "recipe.toml", "--out=online", *training, *secret),
        ("trainer", "read-from-store", "store", "--out=read", *training, *secret),
        ("trainer", "read-from-store", "--resume=read", *secret),
    ):  # fmt: skip
        outcome = run(program, *arguments)
        assert outcome.code == 0, outcome.said
        assert_hidden(outcome, here)


@pytest.fixture
def old_store(recipe_of: RecipeOf, fake_model: FakeModel, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store from before addresses were checked, or of somebody who does not care."""
    name, revision = f"https://{MARKER}@host/model", f"https://host?sig={MARKER}"
    with monkeypatch.context() as before:
        before.setattr(Recipe, "refuse_credentials", lambda _self, **_named: None)
        before.setattr(FakeModel, "facts", replace(fake_model.facts, name=name, revision=revision))
        extract_with(fake_model, LocalObjects(here / "old"), recipe_of(model={"name": name, "revision": revision}))
    return here / "old"


def test_a_store_that_holds_a_secret_does_not_pass_it_on(old_store: Path, here: Path) -> None:
    said = ""
    for program, *arguments in (
        ("actstore", "inspect", old_store),
        ("actstore", "inspect", old_store, "--json"),
        ("actstore", "inspect", old_store, "--html=page.html"),
        ("actstore", "verify", old_store),
        ("actstore", "repair", old_store, "--task=0"),
        ("actstore", "gc", old_store),
        ("actstore", "extract", f"--store={old_store}"),
        ("actstore", "manifest", "export", old_store, "--out=file.json"),
        ("actstore", "manifest", "show", old_store / "manifest.json"),
        ("actstore", "manifest", "show", old_store / "manifest.json", "--json"),
        ("trainer", "read-from-store", old_store, "--dictionary=none", "--batch-rows=64"),
        ("trainer", "online", old_store, "--out=online"),
    ):
        outcome = run(program, *arguments)
        assert MARKER not in outcome.said, arguments
        said += outcome.said
    assert not (here / "file.json").exists()
    assert MARKER not in (here / "page.html").read_text("utf-8")
    assert "its recipe: model.name, model.revision: an address with credentials" in said
    assert "(hidden)@host/model" in said


def test_nothing_shows_by_its_repr(recipe_of: RecipeOf) -> None:
    secret = {"secret": MARKER, "anon": MARKER}
    shown = [
        RunOptions(storage_options=secret, recipe_options=secret),
        WorkOrder("store", secret, recipe_of().model, "cpu"),
        actstore.SlurmWorkers({"job_script_prologue": [f"export SECRET={MARKER}"]}, 1),
    ]
    assert MARKER not in repr(shown)
    for make in (actstore.ExistingScheduler, lambda address: actstore.open_stream(address, batch_rows=1)):
        with pytest.raises(ActstoreError) as caught:
            make(f"tls://{MARKER}@host:8786")
        assert MARKER not in shown_of(caught.value)


def dotted(kind: Any, place: str = "") -> Iterator[str]:
    """Yield the dotted names of all fields of a recipe."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
            yield from dotted(field.annotation, f"{place}{name}.")
        else:
            yield f"{place}{name}"
