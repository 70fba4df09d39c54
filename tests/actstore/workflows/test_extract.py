"""What `extract` writes, compared with the model run by hand on each protein alone."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from actstore.access.open import LocalObjects
from actstore.contracts.planes import Float32s
from actstore.contracts.recipe import Recipe
from actstore.errors import CorruptObjectError, NumericsError, RecipeChangedError, StoreNotFoundError
from actstore.extract.model import TransformersModel
from actstore.testing.fake_model import FakeModel
from actstore.workflows.care.verify import verify_store
from actstore.workflows.extract import extract_store, extract_with
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.inspect import inspect_store
from tests.actstore.workflows.stores import PlainRows, contents, plain_rows, read_fasta, write_fasta

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]
Floats = NDArray[np.float64]
SITES = ("embed", *(f"resid_post.{block}" for block in range(6)), "final_norm")
STANDARD = "ACDEFGHIKLMNPQRSTVWY"


class Reference:
    """The model as its own library runs it: one unpadded sequence at a time."""

    def __init__(self, folder: Path) -> None:
        model: Any = transformers.EsmForMaskedLM
        self.network = model.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)

    def states(self, residues: str) -> dict[str, Float32s]:
        """Return [L, D] for each site, special tokens left out."""
        last: list[torch.Tensor] = []
        hook = self.network.esm.encoder.layer[-1].register_forward_hook(
            lambda _module, _inputs, output: last.append(output[0] if isinstance(output, tuple) else output)
        )
        with torch.inference_mode():
            hidden = self.network(**self.tokenizer(residues, return_tensors="pt"), output_hidden_states=True)
        hook.remove()
        # `hidden_states` has the final norm in place of the last block.
        states = [*hidden.hidden_states[:-1], last[0], hidden.hidden_states[-1]]
        return {site: state[0, 1:-1].numpy() for site, state in zip(SITES, states, strict=True)}

    def tokens(self, residues: str) -> list[int]:
        return [self.tokenizer.convert_tokens_to_ids(letter) for letter in residues]


@pytest.fixture(scope="module")
def reference(esm2_tiny: Path) -> Reference:
    return Reference(esm2_tiny)


def spoil(esm2_tiny: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Copy the model and change its weights."""
    shutil.copytree(esm2_tiny, folder)
    tensors = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def tolerance(rows: PlainRows, site: str, want_ND: Float32s, encoding: str) -> Floats:
    """Return how far each value may be off: half a step of the encoding, and rounding of the forward pass."""
    if encoding in {"int8", "int4"}:
        allowed_ND = 0.501 * rows.step[site]
    else:
        allowed_ND = np.abs(want_ND) * (2.0**-11 if encoding == "float16" else 2.0**-8) + 2.0**-24
    return np.asarray(allowed_ND + 1e-5 * np.abs(want_ND).max(), dtype=np.float64)


@pytest.mark.parametrize("encoding", ["int8", "int4", "float16", "bfloat16"])
def test_every_row_is_what_the_model_gives_for_that_residue(
    encoding: str, tiny_store: StoreOf, few_fasta: Path, reference: Reference
) -> None:
    rows = plain_rows(tiny_store(**{"store.encoding": encoding}))
    records = read_fasta(few_fasta)
    states = {name: reference.states(residues) for name, residues in records.items()}
    tokens = {name: reference.tokens(residues) for name, residues in records.items()}
    assert sorted(rows.residue_N) == sorted(
        (name, position) for name, residues in records.items() for position in range(len(residues))
    )
    assert rows.token_N == [tokens[name][position] for name, position in rows.residue_N]
    assert list(rows.values) == list(SITES)
    for site, values_ND in rows.values.items():
        want_ND = np.stack([states[name][site][position] for name, position in rows.residue_N])
        assert (np.abs(values_ND - want_ND) <= tolerance(rows, site, want_ND, encoding)).all(), site


def test_a_long_protein_gives_each_residue_once_from_the_window_with_most_context(
    tiny_recipe: RecipeOf, reference: Reference, tmp_path: Path
) -> None:
    length, window = 2_500, 1_022
    residues = "".join(np.random.default_rng(0).choice(list(STANDARD), length))
    fasta = write_fasta(tmp_path / "titin.fasta", {"titin": residues})
    changes = {"corpus.sequences": [str(fasta)], "sites": ["resid_post.5"], "store.task_rows": 2048}
    extract_store(tiny_recipe(**changes, **{"store.encoding": "float16"}), str(tmp_path / "store"))
    rows = plain_rows(tmp_path / "store")
    assert sorted(rows.residue_N) == [("titin", position) for position in range(length)]

    starts = [index * (length - window) // 2 for index in range(3)]
    states = [reference.states(residues[start : start + window])["resid_post.5"] for start in starts]
    for (_, position), values_D in zip(rows.residue_N, rows.values["resid_post.5"], strict=True):
        context = {}
        for index, start in enumerate(starts):
            left = position - start if start else length
            right = start + window - 1 - position if start + window < length else length
            if start <= position < start + window:
                context[index] = min(left, right)
        # Exactly between two cuts either window will do.
        best = [index for index, residues_off in context.items() if residues_off >= max(context.values()) - 1]
        errors = [np.abs(states[index][position - starts[index]] - values_D).max() for index in best]
        assert min(errors) < 0.05, position


@pytest.mark.parametrize(("changes", "most"), [({"rows.fraction": 0.1}, None), ({"rows.max_per_sequence": 7}, 7)])
def test_a_sample_keeps_part_of_every_sequence(
    changes: Mapping[str, Any],
    most: int | None,
    tiny_model: TransformersModel,
    tiny_recipe: RecipeOf,
    tiny_store: StoreOf,
    few_fasta: Path,
    tmp_path: Path,
) -> None:
    changes = {**changes, "store.encoding": "float16"}
    extract_with(tiny_model, LocalObjects(tmp_path / "store"), tiny_recipe(**changes))
    rows = plain_rows(tmp_path / "store")
    everything = plain_rows(tiny_store(**{"store.encoding": "float16"})).by_residue("resid_post.3")
    kept = [name for name, _ in rows.residue_N]
    assert len(set(rows.residue_N)) == len(rows.residue_N)
    for name, residues in read_fasta(few_fasta).items():
        wanted = [most] if most is not None else [int(0.1 * len(residues)), int(0.1 * len(residues)) + 1]
        assert kept.count(name) in wanted
    for residue, values_D in rows.by_residue("resid_post.3").items():
        np.testing.assert_allclose(values_D, everything[residue], atol=0.07)


def test_only_the_sites_asked_for_are_written(
    esm2_tiny: Path, tiny_recipe: RecipeOf, tiny_store: StoreOf, tmp_path: Path
) -> None:
    recipe = tiny_recipe(**{"sites": ["resid_post.2", "encoder.layer.2.attention.self"], "store.encoding": "float16"})
    report = extract_store(recipe, str(tmp_path / "store"))
    rows = plain_rows(tmp_path / "store")
    assert list(rows.values) == ["resid_post.2", "encoder.layer.2.attention.self"]
    assert len(rows.residue_N) == report.rows == report.rows_extracted
    everything = plain_rows(tiny_store(**{"store.encoding": "float16"})).by_residue("resid_post.2")
    for residue, values_D in rows.by_residue("resid_post.2").items():
        np.testing.assert_array_equal(values_D, everything[residue])


def test_the_same_recipe_gives_the_same_bytes(
    tiny_model: TransformersModel, tiny_recipe: RecipeOf, tiny_store: StoreOf, tmp_path: Path
) -> None:
    extract_with(tiny_model, LocalObjects(tmp_path / "again"), tiny_recipe())
    assert contents(tmp_path / "again") == contents(tiny_store())


class TestContinuing:
    def test_a_finished_store_is_left_as_it_is(
        self, own_store: StoreOf, recipe_of: RecipeOf, fake_model: FakeModel
    ) -> None:
        store = own_store()
        before = {path: path.stat().st_mtime_ns for path in store.rglob("*/c/*") if path.is_file()}
        report = extract_with(fake_model, LocalObjects(store), recipe_of())
        assert (report.tasks_before, report.rows_extracted) == (report.tasks_total, 0)
        assert {path: path.stat().st_mtime_ns for path in store.rglob("*/c/*") if path.is_file()} == before

    @pytest.mark.parametrize("complete", [True, False])
    def test_told_to_stop_before_the_first_task_a_report_says_what_is_there(
        self, complete: bool, store_of: StoreOf, own_store: StoreOf, fake_model: FakeModel
    ) -> None:
        store, stop = own_store(), Stop()
        stop.request()
        if not complete:
            (store / "manifest.json").unlink()
        report = extract_with(fake_model, LocalObjects(store), None, stop=stop)
        assert (report.tasks_left, report.complete) == (0, complete)
        assert report.stopped == (None if complete else "request")
        assert report.manifest_sha256 == (inspect_store(store_of()).manifest_sha256 if complete else None)

    def test_the_frozen_recipe_alone_will_do(
        self, store_of: StoreOf, own_store: StoreOf, fake_model: FakeModel
    ) -> None:
        store = own_store()
        for lost in ("manifest.json", "commits/1.json", "commits/3.json"):
            (store / lost).unlink()
        report = extract_with(fake_model, LocalObjects(store), None)
        assert report.tasks_total - report.tasks_before == 2
        assert contents(store) == contents(store_of())

    def test_another_model_is_refused(self, own_store: StoreOf, recipe_of: RecipeOf) -> None:
        store = own_store()
        (store / "commits/0.json").unlink()
        before = contents(store)
        for recipe in (None, recipe_of()):
            with pytest.raises(RecipeChangedError, match="weights"):
                extract_with(FakeModel(seed=1), LocalObjects(store), recipe)
        assert contents(store) == before

    def test_other_sites_of_the_model_are_refused(self, own_store: StoreOf) -> None:
        with pytest.raises(RecipeChangedError, match="sites"):
            extract_with(FakeModel(sites=["embed"]), LocalObjects(own_store()), None)

    def test_a_recipe_with_fewer_sites_is_refused_with_the_difference(
        self, own_store: StoreOf, recipe_of: RecipeOf
    ) -> None:
        store = own_store()
        before = contents(store)
        with pytest.raises(RecipeChangedError, match=r"sites: the store has"):
            extract_with(FakeModel(sites=["embed"]), LocalObjects(store), recipe_of(sites=["embed"]))
        assert contents(store) == before

    def test_there_must_be_a_store(self, tmp_path: Path) -> None:
        with pytest.raises(StoreNotFoundError, match=r"recipe\.json is missing"):
            extract_store(None, str(tmp_path / "nowhere"))
        assert not (tmp_path / "nowhere").exists()

    def test_sequences_that_do_not_give_the_frozen_plan_are_refused(
        self, own_store: StoreOf, store_of: StoreOf, fake_model: FakeModel
    ) -> None:
        store = own_store()
        other = store_of(seed=1)
        (store / "sequences.parquet").write_bytes((other / "sequences.parquet").read_bytes())
        with pytest.raises(CorruptObjectError, match="does not give the plan"):
            extract_with(fake_model, LocalObjects(store), None)

    def test_a_commit_that_is_not_of_this_recipe_is_named_before_any_work(
        self, own_store: StoreOf, fake_model: FakeModel
    ) -> None:
        store = own_store()
        (store / "commits/0.json").rename(store / "commits/700.json")
        with pytest.raises(CorruptObjectError, match="a commit of task 700"):
            extract_with(fake_model, LocalObjects(store), None)


class TestNumerics:
    """Weights that go wrong are found before anything wrong is committed."""

    @pytest.fixture
    def with_one_tryptophan(self, tmp_path: Path) -> Path:
        letters = np.random.default_rng(1).choice(list(STANDARD.replace("W", "")), (16, 60))
        letters[11, 40] = "W"
        return write_fasta(tmp_path / "w.fasta", {f"P{row:02d}": "".join(each) for row, each in enumerate(letters)})

    @pytest.fixture
    def recipe(self, tiny_recipe: RecipeOf, with_one_tryptophan: Path) -> RecipeOf:
        def changed(**changes: Any) -> Recipe:
            return tiny_recipe(
                **{
                    "corpus.sequences": [str(with_one_tryptophan)],
                    "store.task_rows": 128,
                    "store.chunk_rows": 64,
                    "store.encoding": "float16",
                    **changes,
                }
            )

        return changed

    def test_nan_names_sequence_residue_and_site_and_what_was_committed_stays_good(
        self, esm2_tiny: Path, recipe: RecipeOf, tmp_path: Path
    ) -> None:
        def poison(tensors: dict[str, torch.Tensor]) -> None:
            tryptophan = transformers.AutoTokenizer.from_pretrained(esm2_tiny).convert_tokens_to_ids("W")
            tensors["esm.embeddings.word_embeddings.weight"][tryptophan, 5] = float("nan")

        asked = recipe(**{"model.name": str(spoil(esm2_tiny, tmp_path / "model", poison)), "sites": ["embed"]})
        with pytest.raises(NumericsError, match="P11, residue 41, site embed: nan in 1 of 128 features"):
            extract_store(asked, str(tmp_path / "store"))
        found = verify_store(str(tmp_path / "store"))
        assert found.ok
        assert 0 < found.tasks_done < found.tasks_total
        assert not (tmp_path / "store" / "manifest.json").exists()

    def test_nan_in_the_calibration_sample_stops_before_anything_is_written(
        self, esm2_tiny: Path, recipe: RecipeOf, tmp_path: Path
    ) -> None:
        def poison(tensors: dict[str, torch.Tensor]) -> None:
            tensors["esm.encoder.layer.2.output.dense.bias"][7] = float("nan")

        model = spoil(esm2_tiny, tmp_path / "model", poison)
        with pytest.raises(NumericsError, match=r"residue 1, site resid_post\.2: nan"):
            extract_store(recipe(**{"model.name": str(model), "store.encoding": "int8"}), str(tmp_path / "store"))
        assert not (tmp_path / "store").exists()

    @pytest.fixture
    def loud_model(self, esm2_tiny: Path, tmp_path: Path) -> Path:
        def amplify(tensors: dict[str, torch.Tensor]) -> None:
            tensors["esm.encoder.emb_layer_norm_after.weight"] *= 1e5

        return spoil(esm2_tiny, tmp_path / "model", amplify)

    def test_values_beyond_float16_are_refused_with_the_way_out(
        self, loud_model: Path, recipe: RecipeOf, tmp_path: Path
    ) -> None:
        asked = recipe(**{"model.name": str(loud_model)})
        with pytest.raises(NumericsError, match=r"^\S+, residue \d+, site final_norm: .* exceed float16 .*'bfloat16'"):
            extract_store(asked, str(tmp_path / "store"))
        assert not list((tmp_path / "store").glob("commits/*"))

    def test_they_fit_bfloat16_and_int8_and_can_be_clamped_and_counted(
        self, loud_model: Path, recipe: RecipeOf, tmp_path: Path
    ) -> None:
        largest, saturated = {}, {}
        for name, changes in {
            "bfloat16": {"store.encoding": "bfloat16"},
            "int8": {"store.encoding": "int8"},
            "clamped": {"store.on_overflow": "saturate"},
        }.items():
            asked = recipe(**{"model.name": str(loud_model), "sites": ["final_norm"], **changes})
            extract_store(asked, str(tmp_path / name))
            largest[name] = float(np.abs(plain_rows(tmp_path / name).values["final_norm"]).max())
            saturated[name] = inspect_store(tmp_path / name).sites["final_norm"].saturated
        assert largest["clamped"] == 65504
        assert largest["bfloat16"] == pytest.approx(largest["int8"], rel=0.02)
        assert largest["int8"] > 65504
        assert (saturated["bfloat16"], saturated["int8"]) == (0, 0)
        assert saturated["clamped"] > 100


class TestWindowsOfAFake:
    """What a row sees is exact with a model whose rows depend on all residues to the left in the window."""

    def test_rows_come_from_their_window(self, recipe_of: RecipeOf, fake_model: FakeModel, tmp_path: Path) -> None:
        residues = "".join(np.random.default_rng(2).choice(list(STANDARD), 301))
        fasta = write_fasta(tmp_path / "long.fasta", {"long": residues})
        recipe = recipe_of(**{"corpus.sequences": [str(fasta)], "store.encoding": "float16"})
        extract_with(fake_model, LocalObjects(tmp_path / "store"), recipe)
        rows = plain_rows(tmp_path / "store")
        assert sorted(position for _, position in rows.residue_N) == list(range(301))
        windows = {index * (301 - 128) // 2 for index in range(3)}
        candidates = {
            start: fake_model.activations([residues[start : start + 128]], [np.arange(128, dtype=np.int32)])["embed"]
            for start in windows
        }
        for (_, position), values_D in zip(rows.residue_N, rows.values["embed"], strict=True):
            fits = [
                start
                for start, state in candidates.items()
                if start <= position < start + 128
                and np.allclose(state[position - start], values_D, rtol=2**-10, atol=1e-6)
            ]
            assert len(fits) == 1
            assert fits[0] == 0 or position - fits[0] >= 16
