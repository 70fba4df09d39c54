from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import huggingface_hub
import pytest

from actstore.contracts.recipe import ModelRecipe
from actstore.corpus.model_files import (
    local_folder,
    pin_revision,
    reading_model_files,
    refuse_adapter,
    vocabulary_problem,
    weights_problem,
)
from actstore.corpus.tokenizer import load_tokenizer
from actstore.errors import ModelError

ESM2_TINY = Path(__file__).parents[3] / "examples" / "esm2-tiny"
ALL_BUT_J = frozenset("ABCDEFGHIKLMNOPQRSTUVWXYZ")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lay out a hub cache with one commit of one model, and cut the network."""
    repository = tmp_path / "models--lab--tiny"
    shutil.copytree(ESM2_TINY, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return COMMIT


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped model."""
    return shutil.copytree(ESM2_TINY, tmp_path / "model")


def pinned(folder: Path, **settings: object) -> ModelRecipe:
    return pin_revision(ModelRecipe.model_validate({"name": str(folder), **settings}))


class TestPlaces:
    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="nowhere: no such folder"):
            pin_revision(ModelRecipe(name=str(tmp_path / "nowhere")))

    def test_a_folder_that_holds_no_model_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"is not a model: it has no config\.json"):
            pin_revision(ModelRecipe(name=str(tmp_path)))

    def test_a_folder_has_no_revision(self) -> None:
        with pytest.raises(ModelError, match="folders have no revision 'main'"):
            pin_revision(ModelRecipe(name=str(ESM2_TINY), revision="main"))

    def test_a_name_that_cannot_be_on_the_hub_is_refused(self) -> None:
        with pytest.raises(ModelError, match="neither a folder here nor a Hugging Face name"):
            pin_revision(ModelRecipe(name="a/b/c"))

    def test_without_a_network_the_way_out_is_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match=r"hub cannot be reached; connect once .* or name a local folder"):
            pin_revision(ModelRecipe(name="facebook/esm2_that_never_was"))

    def test_a_hub_that_is_away_is_not_waited_for_and_the_nearest_name_is_shown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        template = huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE
        here = template.replace(huggingface_hub.constants.ENDPOINT, "http://127.0.0.1:9")
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", here)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
        began = time.monotonic()
        with pytest.raises(ModelError, match=r"hub cannot be reached; .*; did you mean 'facebook/esm2_t6_8M_UR50D'\?"):
            pin_revision(ModelRecipe(name="facebook/esm2_t6_8M_UR50"), offered=["facebook/esm2_t6_8M_UR50D", "a/b"])
        assert time.monotonic() - began < 15
        assert "Retrying" not in capfd.readouterr().err

    def test_a_folder_gets_its_absolute_path(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(model.parent)
        assert pin_revision(ModelRecipe(name="model")).name == str(model)
        monkeypatch.chdir(model)
        for name in (".", "../model", "./"):
            assert pin_revision(ModelRecipe(name=name)).name == str(model)
        monkeypatch.setenv("HOME", str(model.parent))
        assert pin_revision(ModelRecipe(name="~/model")).name == str(model)

    def test_a_link_is_kept(self, model: Path) -> None:
        link = model.parent / "latest"
        link.symlink_to(model)
        assert local_folder(str(link)) == link

    def test_a_name_that_is_no_folder_here_is_none(self) -> None:
        assert local_folder("facebook/esm2_t6_8M_UR50D") is None


class TestPinning:
    def test_a_branch_is_resolved_to_its_commit(self, cached_commit: str) -> None:
        assert pin_revision(ModelRecipe(name="lab/tiny")).revision == cached_commit
        assert pin_revision(ModelRecipe(name="lab/tiny", revision="main")).revision == cached_commit

    def test_pinning_again_changes_nothing(self, cached_commit: str) -> None:
        pinned = pin_revision(ModelRecipe(name="lab/tiny"))
        assert pin_revision(pinned) == pinned

    def test_a_cached_model_needs_no_network(self, cached_commit: str) -> None:
        assert load_tokenizer(ModelRecipe(name="lab/tiny")).alphabet == ALL_BUT_J

    def test_an_unknown_revision_is_named(self, cached_commit: str) -> None:
        with pytest.raises(ModelError, match="lab/tiny at v2"):
            pin_revision(ModelRecipe(name="lab/tiny", revision="v2"))

    def test_a_folder_stays_without_a_revision(self) -> None:
        assert pin_revision(ModelRecipe(name=str(ESM2_TINY))).revision is None


class TestAdapters:
    """With `peft` installed, `transformers` adds an adapter beside the weights to the model; without, it does not."""

    @pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
    def test_one_beside_the_weights_is_refused(self, file: str, model: Path) -> None:
        (model / file).write_text("{}")
        with pytest.raises(ModelError, match=rf"{model} holds an adapter \({file}\).* merge the adapter .*base model"):
            refuse_adapter(pinned(model))

    def test_the_folder_of_an_adapter_alone_is_refused_as_that(self, tmp_path: Path) -> None:
        (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "lab/tiny"}')
        with pytest.raises(ModelError, match=r"holds an adapter .*give the folder of the base model"):
            pinned(tmp_path)

    def test_one_in_a_repository_of_the_hub_is_refused(self, cached_commit: str, tmp_path: Path) -> None:
        refuse_adapter(pin_revision(ModelRecipe(name="lab/tiny")))
        snapshot = tmp_path / "models--lab--tiny" / "snapshots" / cached_commit
        (snapshot / "adapter_config.json").write_text("{}")
        with pytest.raises(ModelError, match="lab/tiny holds an adapter"):
            refuse_adapter(pin_revision(ModelRecipe(name="lab/tiny")))

    def test_a_model_without_one_passes(self, model: Path) -> None:
        refuse_adapter(pinned(model))


class TestWeightFiles:
    @pytest.fixture
    def in_shards(self, model: Path) -> Path:
        """The shipped model as a folder whose index names three files, which are not looked into here."""
        (model / "model.safetensors").unlink()
        names = [f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
        weights = {f"esm.encoder.layer.{layer}.output.dense.weight": names[layer // 2] for layer in range(6)}
        (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weights}))
        for name in names:
            (model / name).touch()
        return model

    def test_all_there_is_no_problem(self, in_shards: Path) -> None:
        assert weights_problem(pinned(in_shards)) is None
        assert weights_problem(pinned(ESM2_TINY)) is None

    def test_a_missing_shard_is_named_with_a_weight_of_it(self, in_shards: Path) -> None:
        (in_shards / "model-00002-of-00003.safetensors").unlink()
        problem = weights_problem(pinned(in_shards)) or ""
        assert "names 3 files, of which model-00002-of-00003.safetensors (with esm.encoder.layer.2." in problem
        assert "pickle" not in problem

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": [1]}}', "[" * 100_000])
    def test_a_damaged_index_is_named(self, text: str, in_shards: Path) -> None:
        (in_shards / "model.safetensors.index.json").write_text(text)
        assert weights_problem(pinned(in_shards)) == "model.safetensors.index.json is damaged: fetch it again"

    def test_none_at_all(self, model: Path) -> None:
        (model / "model.safetensors").unlink()
        problem = weights_problem(pinned(model)) or ""
        assert "has no weights, neither model.safetensors nor" in problem
        assert "pickle" not in problem

    def test_pickled_ones_need_consent(self, model: Path) -> None:
        (model / "model.safetensors").rename(model / "pytorch_model.bin")
        assert "pytorch_model.bin" in (weights_problem(pinned(model)) or "")
        assert weights_problem(pinned(model, pickle_weights=True)) is None


class TestVocabulary:
    @pytest.mark.parametrize("file", ["vocab.txt", "vocab.json", "tokenizer.json", "spiece.model", "tokenizer.model"])
    def test_a_file_that_may_be_one_is_enough(self, file: str, model: Path) -> None:
        (model / "vocab.txt").rename(model / file)
        assert vocabulary_problem(pinned(model)) is None

    def test_without_one_the_folder_is_named(self, model: Path) -> None:
        (model / "vocab.txt").unlink()
        assert f"tokenizer of {model}: no vocabulary there" in (vocabulary_problem(pinned(model)) or "")

    def test_the_cache_of_the_hub_is_looked_into(self, cached_commit: str, tmp_path: Path) -> None:
        recipe = pin_revision(ModelRecipe(name="lab/tiny"))
        assert vocabulary_problem(recipe) is None
        (tmp_path / "models--lab--tiny" / "snapshots" / cached_commit / "vocab.txt").unlink()
        assert "tokenizer of lab/tiny: no vocabulary" in (vocabulary_problem(recipe) or "")


class TestErrors:
    @pytest.mark.parametrize(
        ("raised", "said"),
        [
            (OSError("Error no file named model.safetensors found in directory m."), "'pickle_weights = true'"),
            (OSError("m does not appear to have a file named model-00002-of-00003.safetensors."), "complete"),
            (ImportError("sentencepiece is needed"), r"actstore\[t5\]"),
            (RuntimeError("Some issues. For details look at the `CONVERSION` entries of the above report!"), "Some"),
        ],
    )
    def test_each_has_one_line_and_its_way_out(self, raised: Exception, said: str) -> None:
        with (
            pytest.raises(ModelError, match=rf"weights of m: .*{said}") as refused,
            reading_model_files(ModelRecipe(name="m"), "weights"),
        ):
            raise raised
        assert "\n" not in str(refused.value)
        assert "report" not in str(refused.value)
