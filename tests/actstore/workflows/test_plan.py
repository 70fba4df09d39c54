import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from actstore.contracts.recipe import Recipe
from actstore.errors import BadRecordError, CorpusError, SiteError
from actstore.store.manifest import parse_manifest
from actstore.workflows.plan import plan_store
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.stores import write_fasta

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("encoding", ["int8", "int4", "float16", "bfloat16"])
@pytest.mark.parametrize("rows", [{}, {"rows.max_per_sequence": 30}])
def test_it_tells_exactly_what_extract_then_makes(
    encoding: str, rows: dict[str, Any], tiny_recipe: RecipeOf, tiny_store: StoreOf
) -> None:
    changes = {"store.encoding": encoding, **rows}
    plan = plan_store(tiny_recipe(**changes))
    store = tiny_store(**changes)
    manifest = parse_manifest((store / "manifest.json").read_bytes(), name="manifest")
    assert (plan.rows, plan.tasks, plan.encoding) == (manifest.rows, manifest.frozen.tasks, encoding)
    assert plan.splits == {name: (split.sequences, split.rows, split.tasks) for name, split in manifest.splits.items()}
    assert plan.sites == {site.name: site.width for site in manifest.sites}
    sizes = [
        one["size"] for path in store.glob("commits/*") for one in json.loads(path.read_bytes())["objects"].values()
    ]
    assert (plan.objects, plan.bytes_total) == (len(sizes), sum(sizes))
    assert plan.bytes[encoding] == plan.bytes_total
    assert plan.bytes_per_row == manifest.stored.payload / manifest.stored.payload_rows


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("model", "sites", "bytes_per_row"),
    [
        ("facebook/esm2_t6_8M_UR50D", ["resid_post.*"], 6 * 320 * 2),
        ("facebook/esm2_t36_3B_UR50D", ["resid_post.18", "resid_post.35"], 2 * 2560 * 2),
        ("Rostlab/prot_t5_xl_uniref50", ["resid_post.*"], 49_152),
        ("Rostlab/prot_t5_xl_half_uniref50-enc", ["embed", "final_norm"], 2 * 1024 * 2),
    ],
)
def test_public_models_are_planned_by_name_without_network(
    model: str, sites: list[str], bytes_per_row: int, few_fasta: Path
) -> None:
    recipe = Recipe.model_validate(
        {
            "model": {"name": model},
            "corpus": {"sequences": str(few_fasta)},
            "sites": sites,
            "store": {"encoding": "bfloat16"},
        }
    )
    assert plan_store(recipe).bytes_per_row == bytes_per_row


@pytest.mark.usefixtures("no_network")
class TestWhatItFindsBeforeAnythingIsRun:
    def recipe(self, fasta: Path, **changes: Any) -> Recipe:
        document = {"model": {"name": "facebook/esm2_t6_8M_UR50D"}, "corpus": {"sequences": str(fasta)}}
        return Recipe.model_validate({**document, **changes})

    def test_a_site_that_the_model_does_not_have(self, few_fasta: Path) -> None:
        with pytest.raises(SiteError, match=r"no site 'resid_post\.6'"):
            plan_store(self.recipe(few_fasta, sites=["resid_post.6"]))

    def test_a_bad_record(self, tmp_path: Path) -> None:
        fasta = write_fasta(tmp_path / "a.fasta", {"P1": "MKT", "P2": "MJT"})
        with pytest.raises(BadRecordError, match=r"a\.fasta, record 2 \(line 3\)"):
            plan_store(self.recipe(fasta))

    def test_records_that_are_skipped_are_counted(self, tmp_path: Path) -> None:
        fasta = write_fasta(tmp_path / "a.fasta", {"P1": "MKTA", "P2": "MJT", "P3": "M"})
        corpus = {"sequences": str(fasta), "on_bad_record": "skip", "min_residues": 2}
        plan = plan_store(self.recipe(fasta, corpus=corpus))
        assert (plan.sequences, plan.residues, plan.rows) == (1, 4, 4)
        assert plan.skipped == {"foreign letters": 1, "too short": 1}

    def test_a_sample_without_any_row(self, tmp_path: Path) -> None:
        fasta = write_fasta(tmp_path / "a.fasta", {"P1": "MKTA"})
        with pytest.raises(CorpusError, match=r"raise rows\.fraction"):
            plan_store(self.recipe(fasta, rows={"fraction": 1e-9}))


class TestTheCommand:
    @pytest.fixture
    def recipe(self, few_fasta: Path, esm2_tiny: Path, tmp_path: Path) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(f'[model]\nname = "{esm2_tiny}"\n[corpus]\nsequences = "{few_fasta}"\n')
        return path

    def test_prints_one_document(self, recipe: Path) -> None:
        done = actstore("plan", recipe, "--json", "--set", "rows.fraction=0.5", "--set", "store.task_rows=256")
        assert done.code == 0
        assert {"rows", "tasks", "objects", "bytes", "bytes_total", "bytes_per_row", "sites", "splits"} <= set(
            done.document
        )
        assert "reading sequences: 12 sequences" in done.err
        whole = actstore("plan", recipe, "--json").document
        assert done.document["rows"] == pytest.approx(whole["rows"] / 2, rel=0.01)

    def test_tells_what_auto_means(self, recipe: Path) -> None:
        shown = " ".join(actstore("plan", recipe, "--set", "store.compressor=auto").out.split())
        assert "auto: zstd or blosc if it saves 25% of the first task" in shown
        assert actstore("plan", recipe, "--set", "store.compressor=auto", "--json").document["compressor"] == "auto"

    def test_tells_the_size_in_every_encoding(self, recipe: Path) -> None:
        sizes = actstore("plan", recipe, "--json").document["bytes"]
        assert list(sizes) == ["float16", "bfloat16", "int8", "int4"]
        assert 3 < sizes["float16"] / sizes["int4"] < 4

    def test_writes_nothing(self, recipe: Path) -> None:
        before = set(recipe.parent.iterdir())
        assert "12 sequences" in actstore("plan", recipe).out
        assert set(recipe.parent.iterdir()) == before
