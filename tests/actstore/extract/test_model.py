from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.utils import logging as transformers_logging

from actstore.contracts.models import ActivationModel
from actstore.contracts.recipe import ModelRecipe
from actstore.errors import ModelError, SiteError, UsageError
from actstore.extract.model import TransformersModel, load_model
from actstore.testing.conformance_model import MODEL_CHECKS

Folders = Callable[[str], Path]
SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQ"
EVERYTHING = [np.arange(len(SEQUENCE), dtype=np.int32)]
ALL_SITES = ["embed", "resid_post.*", "final_norm"]


def load(folder: Path, *sites: str, **settings: object) -> TransformersModel:
    return load_model(ModelRecipe.model_validate({"name": str(folder), **settings}), sites or ALL_SITES)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def shipped(esm2_tiny: Path) -> TransformersModel:
    return load(esm2_tiny)


@pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.__name__)
def test_the_shipped_model_conforms(check: Callable[[ActivationModel], None], shipped: TransformersModel) -> None:
    check(shipped)


class TestFacts:
    def test_they_tell_what_was_loaded(self, esm2_tiny: Path) -> None:
        facts = load(esm2_tiny, "embed").facts
        assert (facts.name, facts.revision) == (str(esm2_tiny), None)
        assert (facts.architecture, facts.dtype, facts.parameters) == ("EsmModel", "float32", 1_194_137)

    def test_the_digest_is_of_the_weights_and_not_of_the_place(
        self, model_folder: Folders, own_folder: Folders
    ) -> None:
        first, copy = load(model_folder("esm"), "embed"), load(own_folder("esm"), "resid_post.*")
        assert first.facts.weights_sha256 == copy.facts.weights_sha256

    def test_one_changed_bit_is_another_digest(self, model_folder: Folders, own_folder: Folders) -> None:
        def flip(tensors: dict[str, torch.Tensor]) -> None:
            tensors["esm.encoder.layer.3.output.dense.bias"].view(torch.int32)[7] ^= 1

        folder = own_folder("esm")
        change_weights(folder, flip)
        assert load(folder, "embed").facts.weights_sha256 != load(model_folder("esm"), "embed").facts.weights_sha256

    def test_another_number_format_is_another_digest(self, model_folder: Folders) -> None:
        digests = {
            load(model_folder("esm"), "embed", dtype=dtype).facts.weights_sha256
            for dtype in ("float32", "float16", "bfloat16")
        }
        assert len(digests) == 3

    def test_a_hub_model_has_the_commit_of_its_files(
        self, model_folder: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = "0123456789abcdef0123456789abcdef01234567"
        repository = tmp_path / "models--lab--tiny"
        shutil.copytree(model_folder("esm"), repository / "snapshots" / commit)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        facts = load_model(ModelRecipe(name="lab/tiny"), ["embed"]).facts
        assert (facts.name, facts.revision) == ("lab/tiny", commit)


class TestSites:
    def test_they_come_in_the_order_of_the_model_with_their_widths(self, model_folder: Folders) -> None:
        model = load(model_folder("t5"), "final_norm", "resid_post.*", "embed")
        assert [site.name for site in model.sites] == ["embed", *(f"resid_post.{k}" for k in range(4)), "final_norm"]
        assert {site.width for site in model.sites} == {32}
        assert model.sites[0].module == "encoder.embed_tokens"

    def test_a_module_path_may_have_another_width(self, model_folder: Folders) -> None:
        model = load(model_folder("esm"), "encoder.layer.1.intermediate")
        assert [tuple(site) for site in model.sites] == [
            ("encoder.layer.1.intermediate", "encoder.layer.1.intermediate", 48)
        ]
        assert model.activations([SEQUENCE], EVERYTHING)["encoder.layer.1.intermediate"].shape == (len(SEQUENCE), 48)

    def test_an_unknown_site_is_refused(self, model_folder: Folders) -> None:
        with pytest.raises(SiteError, match=r"no site 'resid_post\.4' \(near: resid_post\.3"):
            load(model_folder("esm"), "resid_post.4")

    def test_a_module_that_does_not_run_is_refused(self, model_folder: Folders) -> None:
        with pytest.raises(SiteError, match="contact_head: the module does not run"):
            load(model_folder("esm"), "contact_head")

    def test_an_output_shared_by_the_batch_is_refused(self, model_folder: Folders) -> None:
        with pytest.raises(SiteError, match=r"rotary_embeddings: .*not one vector for each token"):
            load(model_folder("esm"), "rotary_embeddings")

    def test_a_module_that_runs_in_every_block_is_refused_even_if_it_is_the_only_site(self, tmp_path: Path) -> None:
        config = transformers.AlbertConfig(
            vocab_size=33, embedding_size=16, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
            intermediate_size=48, pad_token_id=1,
        )  # fmt: skip
        transformers.AlbertModel(config).save_pretrained(tmp_path)
        for name in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy(Path(__file__).parents[3] / "examples" / "esm2-tiny" / name, tmp_path)
        with pytest.raises(ModelError, match="runs more than once in a forward pass"):
            load(tmp_path, "encoder.albert_layer_groups.0")


class TestModelsWithoutARow:
    @pytest.fixture
    def folder(self, tmp_path: Path, model_folder: Folders) -> Path:
        config = transformers.MistralConfig(
            vocab_size=257, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=48, head_dim=8,
        )  # fmt: skip
        transformers.MistralForCausalLM(config).save_pretrained(tmp_path)
        for tokenizer_file in model_folder("gpt2").glob("tokenizer*.json"):
            shutil.copy(tokenizer_file, tmp_path)
        return tmp_path

    def test_the_recipe_names_the_sites(self, folder: Path) -> None:
        model = load(
            folder, "embed", "resid_post.*", "final_norm", embed="embed_tokens", blocks="layers", final_norm="norm"
        )
        assert [site.name for site in model.sites] == ["embed", *(f"resid_post.{k}" for k in range(3)), "final_norm"]
        network, tokens = model.network, torch.tensor([model.tokenizer.tokens(SEQUENCE).tolist()])
        with torch.inference_mode():
            last = network(tokens).last_hidden_state[0].numpy()
        np.testing.assert_allclose(model.activations([SEQUENCE], EVERYTHING)["final_norm"], last, rtol=0, atol=1e-5)

    def test_module_paths_need_no_names(self, folder: Path) -> None:
        model = load(folder, "layers.*.mlp")
        assert [site.name for site in model.sites] == ["layers.0.mlp", "layers.1.mlp", "layers.2.mlp"]

    def test_without_either_the_setting_is_named(self, folder: Path) -> None:
        with pytest.raises(SiteError, match=r"no named sites \(see 'model\.blocks'\)"):
            load(folder, "resid_post.*")

    def test_a_model_that_takes_something_else_is_refused(self, tmp_path: Path, esm2_tiny: Path) -> None:
        config = transformers.BartConfig(
            vocab_size=33, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32, decoder_start_token_id=None,
        )  # fmt: skip
        transformers.BartModel(config).save_pretrained(tmp_path)
        for name in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy(esm2_tiny / name, tmp_path)
        with pytest.raises(ModelError, match=r"BartModel .* does not run on 'input_ids' and 'attention_mask' alone"):
            load(tmp_path, "encoder.layers.0")


class TestDtype:
    @pytest.mark.parametrize(("dtype", "expected"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
    def test_parameters_and_states_are_in_the_format_asked_for(
        self, dtype: str, expected: torch.dtype, model_folder: Folders
    ) -> None:
        model = load(model_folder("esm"), "resid_post.2", dtype=dtype)
        assert {parameter.dtype for parameter in model.network.parameters()} == {expected}
        values = model.activations([SEQUENCE], EVERYTHING)["resid_post.2"]
        assert values.dtype == np.float32
        # Every value survives a round trip through the format, so nothing was computed in another one at the end.
        assert torch.equal(torch.from_numpy(values).to(expected).float(), torch.from_numpy(values))
        full = load(model_folder("esm"), "resid_post.2").activations([SEQUENCE], EVERYTHING)["resid_post.2"]
        assert 0 < np.abs(values - full).max() / np.abs(full).max() < 0.05

    def test_weights_published_in_half_precision_can_run_in_float32(self, esm2_tiny: Path) -> None:
        assert json.loads((esm2_tiny / "config.json").read_text())["dtype"] == "float16"
        assert {parameter.dtype for parameter in load(esm2_tiny).network.parameters()} == {torch.float32}

    def test_t5_in_float16_is_refused_since_parts_of_it_stay_float32(self, model_folder: Folders) -> None:
        with pytest.raises(
            ModelError, match=r"keeps encoder\.block\.0.*wo\.weight.* in float32 .* use dtype 'bfloat16'"
        ):
            load(model_folder("t5"), "embed", dtype="float16")

    def test_t5_in_bfloat16_is_bfloat16_throughout(self, model_folder: Folders) -> None:
        model = load(model_folder("t5"), "final_norm", dtype="bfloat16")
        assert {parameter.dtype for parameter in model.network.parameters()} == {torch.bfloat16}


class TestConfiguration:
    def test_a_configuration_that_is_not_json_is_refused(self, own_folder: Folders) -> None:
        folder = own_folder("esm")
        (folder / "config.json").write_text("{")
        with pytest.raises(ModelError, match=f"{folder}: config.json is not JSON"):
            load(folder, "embed")


class TestRemoteCode:
    @pytest.fixture
    def folder(self, own_folder: Folders) -> Path:
        """Return a model whose repository brings its own code: an ESM-2 under another name."""
        folder = own_folder("esm")
        config = json.loads((folder / "config.json").read_text())
        config["model_type"] = "novel"
        config["auto_map"] = {"AutoConfig": "novel.NovelConfig", "AutoModel": "novel.NovelModel"}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "novel.py").write_text(
            "from transformers import EsmConfig, EsmModel\n"
            "class NovelConfig(EsmConfig):\n    model_type = 'novel'\n"
            "class NovelModel(EsmModel):\n    config_class = NovelConfig\n"
            "    def __init__(self, config):\n        super().__init__(config, add_pooling_layer=False)\n"
        )
        return folder

    def test_it_does_not_run_unless_asked_for(self, folder: Path) -> None:
        (folder / "novel.py").write_text("raise SystemExit('this code has run')")
        with pytest.raises(ModelError, match=r"'remote_code = true' \(--remote-code\)"):
            load(folder, "encoder.layer.0")

    def test_with_consent_it_runs(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
        model = load(folder, "resid_post.1", remote_code=True, blocks="encoder.layer")
        assert model.facts.architecture == "NovelModel"
        assert [site.name for site in model.sites] == ["resid_post.1"]


class TestDevices:
    def test_one_that_is_not_there_is_refused_before_anything_is_read(self) -> None:
        with pytest.raises(UsageError, match="use auto, cpu, cuda or cuda:N"):
            load_model(ModelRecipe(name="/nowhere"), ["embed"], device="tpu:0")

    def test_auto_is_where_pytorch_can_run(self, esm2_tiny: Path) -> None:
        model = load_model(ModelRecipe(name=str(esm2_tiny)), ["embed"], device="auto")
        assert model.network.device.type == ("cuda" if torch.cuda.is_available() else "cpu")

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    @pytest.mark.parametrize("family", ["esm", "t5", "gpt2"])
    def test_cuda_gives_the_rows_of_the_cpu(self, family: str, model_folder: Folders) -> None:
        recipe = ModelRecipe(name=str(model_folder(family)))
        on_cpu = load_model(recipe, ALL_SITES)
        on_cuda = load_model(recipe, ALL_SITES, device="cuda")
        assert on_cuda.facts == on_cpu.facts
        batch = [SEQUENCE, "MKT"], [*EVERYTHING, np.array([1], dtype=np.int32)]
        for site, values in on_cuda.activations(*batch).items():
            np.testing.assert_allclose(values, on_cpu.activations(*batch)[site], rtol=1e-3, atol=1e-3)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    @pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.__name__)
    def test_the_shipped_model_conforms_on_cuda(
        self, check: Callable[[ActivationModel], None], esm2_tiny: Path
    ) -> None:
        check(load_model(ModelRecipe(name=str(esm2_tiny)), ALL_SITES, device="cuda"))


def test_loading_prints_nothing_and_leaves_logging_as_it_was(
    esm2_tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    transformers_logging.set_verbosity(logging.INFO)
    transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        load(esm2_tiny, "embed").activations([SEQUENCE], EVERYTHING)
        assert transformers_logging.get_verbosity() == logging.INFO
        assert transformers_logging.is_progress_bar_enabled()
    finally:
        transformers_logging.set_verbosity(logging.ERROR)
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    assert capfd.readouterr() == ("", "")
