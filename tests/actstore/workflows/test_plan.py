import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from actstore.contracts.recipe import CorpusRecipe, Recipe
from actstore.errors import BadRecordError, CorpusError, SiteError, UsageError
from actstore.store.read.manifest import parse_manifest
from actstore.workflows.plan import plan_store, read_prices, write_plan_page
from actstore.workflows.recipes import read_recipe
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.stores import write_fasta

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]

MANIFESTS = Path(__file__).resolve().parents[3] / "manifests"


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


@pytest.mark.usefixtures("no_network")
class TestExpectedSequences:
    def recipe(self, sequences: int, lengths: int | list[int], **changes: Any) -> Recipe:
        corpus = {"expected_sequences": sequences, "expected_lengths": lengths}
        document = {"model": {"name": "facebook/esm2_t6_8M_UR50D"}, "corpus": corpus}
        return Recipe.model_validate({**document, **changes})

    @pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.toml")), ids=lambda path: path.stem)
    def test_every_shipped_recipe_is_planned_without_network_or_files(self, path: Path) -> None:
        report = plan_store(read_recipe(path))
        assert report.expected
        assert report.extraction.flops_total
        assert report.rows == sum(split.rows for split in report.splits.values()) > 0
        assert report.tasks == sum(split.tasks for split in report.splits.values())

    def test_come_close_to_real_ones(self, few_fasta: Path) -> None:
        changes: dict[str, Any] = {"rows": {"fraction": 0.2}, "store": {"task_rows": 256}}
        real = plan_store(
            Recipe.model_validate(
                {"model": {"name": "facebook/esm2_t6_8M_UR50D"}, "corpus": {"sequences": str(few_fasta)}, **changes}
            )
        )
        assert not real.expected
        expected = plan_store(self.recipe(real.sequences, round(real.residues / real.sequences), **changes))
        assert expected.expected
        assert expected.rows == pytest.approx(real.rows, rel=0.05)
        flops = [plan.extraction.flops_total or 0.0 for plan in (expected, real)]
        assert flops[0] == pytest.approx(flops[1], rel=0.35) != 0

    def test_ten_billion_take_no_more_memory_than_one(self) -> None:
        report = plan_store(self.recipe(10_000_000_000, [30, 250, 35_000]))
        assert sum(split.sequences for split in report.splits.values()) == 10_000_000_000

    def test_of_which_none_is_left(self) -> None:
        corpus = {"expected_sequences": 10, "expected_lengths": 20, "min_residues": 30}
        recipe = self.recipe(1, 1).model_copy(update={"corpus": CorpusRecipe.model_validate(corpus)})
        with pytest.raises(CorpusError, match="check the length bounds"):
            plan_store(recipe)

    def test_without_any_row(self) -> None:
        with pytest.raises(CorpusError, match=r"raise rows\.fraction"):
            plan_store(self.recipe(10, 20, rows={"fraction": 1e-9}))


class TestPrices:
    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"nowhere\.toml: cannot be read: No such file"):
            read_prices(tmp_path / "nowhere.toml")
        (tmp_path / "bytes").write_bytes(b"\xff\xfe")
        with pytest.raises(UsageError, match=r"bytes: cannot be read"):
            read_prices(tmp_path / "bytes")


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    report = plan_store(read_recipe(MANIFESTS / "prott5-xl-uniref50-all24.toml"))
    with pytest.raises(UsageError, match=r"--html .*: cannot be written: there is no folder"):
        write_plan_page(report, tmp_path / "no" / "plan.html")


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
        assert done.document.keys() >= {"trainer", "extraction", "break_even_runs", "break_even_reason", "scenarios"}
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

    def test_plans_a_model_that_has_to_be_loaded(self, recipe: Path) -> None:
        extraction = actstore("plan", recipe, "--json").document["extraction"]
        assert extraction["block_weights"] == 6 * 12 * 128**2
        assert extraction["flops_total"] > 0

    def test_a_measured_rate_takes_the_place_of_the_datasheet(self, recipe: Path) -> None:
        extraction = actstore("plan", recipe, "--json", "--measured-rate", "1000").document["extraction"]
        assert extraction["gpu_hours"] == pytest.approx(extraction["residues"] / 1000 / 3600, rel=1e-3)

    def test_takes_sequences_in_place_of_expected_ones(self, few_fasta: Path) -> None:
        shipped = MANIFESTS / "esm2-8m-uniref50.toml"
        done = actstore("plan", shipped, "--sequences", few_fasta, "--json")
        assert (done.document["sequences"], done.document["expected"]) == (12, False)
        assert actstore("plan", shipped, "--json").document["expected"] is True

    def test_takes_expected_sequences_in_place_of_files(self, recipe: Path) -> None:
        settings = ("--set", "corpus.expected_sequences=1000", "--set", "corpus.expected_lengths=[50,100,400]")
        assert actstore("plan", recipe, "--json", *settings).document["sequences"] == 1000

    def test_takes_prices_and_says_whose(self, tmp_path: Path) -> None:
        prices = tmp_path / "prices.toml"
        prices.write_text(
            'name = "our cluster"\ndate = "2026-01-15"\n[storage]\ndollars_per_gb_month = 0\n'
            "dollars_per_1000_put = 0\ndollars_per_1000_get = 0\ndollars_per_gb_egress = 0\n[gpu]\nH100 = 2\n"
        )
        shipped = MANIFESTS / "prott5-xl-uniref50-all24.toml"
        done = actstore("plan", shipped, "--price-file", prices, "--gpu", "H100", "--json")
        assert done.document["assumptions"]["prices"] == "our cluster"
        assert done.document["break_even_runs"] == 2
        missing = actstore("plan", shipped, "--price-file", prices)
        assert missing.code == 2
        assert "no price for gpu 'A100'" in missing.err

    def test_never_is_null_with_a_reason(self) -> None:
        document = actstore("plan", MANIFESTS / "prott5-xl-uniref50-all24.toml", "--json").document
        assert document["break_even_runs"] is None
        assert document["break_even_reason"].startswith("never: ")

    def test_writes_a_page(self, tmp_path: Path) -> None:
        page = tmp_path / "plan.html"
        assert actstore("plan", MANIFESTS / "esm2-8m-uniref50.toml", "--html", page).code == 0
        assert "<svg" in page.read_text(encoding="utf-8")

    def test_a_trainer_that_nobody_knows(self) -> None:
        done = actstore("plan", MANIFESTS / "esm2-8m-uniref50.toml", "--trainer", "transcoder")
        assert done.code == 2
        assert "choose from crosscoder" in done.err
