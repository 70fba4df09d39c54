"""A model is what its files hold: all of it, nothing beside it, or an error that names the difference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from actstore.contracts.recipe import ModelRecipe
from actstore.errors import ModelError
from actstore.extract.model import TransformersModel, load_model
from tests.actstore.cli.command import actstore
from tests.actstore.extract.conftest import save_random_model

Folders = Callable[[str], Path]
Tensors = dict[str, torch.Tensor]
FAMILIES = ("esm", "t5", "bert", "gpt2", "gpt_neox", "llama")
BLOCKS = {
    "esm": ("esm.encoder.layer", "num_hidden_layers"),
    "t5": ("encoder.block", "num_layers"),
    "bert": ("bert.encoder.layer", "num_hidden_layers"),
    "gpt2": ("transformer.h", "n_layer"),
    "gpt_neox": ("gpt_neox.layers", "num_hidden_layers"),
    "llama": ("model.layers", "num_hidden_layers"),
}
"""Path of the blocks in the files, and the field of `config.json` with their number, of four."""


def load(folder: Path, *sites: str, **settings: object) -> TransformersModel:
    return load_model(ModelRecipe.model_validate({"name": str(folder), **settings}), sites or ["resid_post.*"])


def digest(folder: Path, **settings: object) -> str:
    return load(folder, "embed", **settings).facts.weights_sha256


def change_weights(folder: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refusal(folder: Path, **settings: object) -> str:
    with pytest.raises(ModelError) as refused:
        load(folder, **settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


class TestUnused:
    """Weights of the file that the model does not use."""

    def test_adapters_that_were_never_merged_are_named(self, own_folder: Folders) -> None:
        def adapt(tensors: Tensors) -> None:
            for name in [name for name in tensors if name.endswith(("query.weight", "value.weight"))]:
                rows, columns = tensors[name].shape
                stem = name.removesuffix("weight")
                tensors[f"{stem}lora_A"] = torch.randn(4, columns)
                tensors[f"{stem}lora_B"] = torch.randn(rows, 4)

        folder = own_folder("esm")
        change_weights(folder, adapt)
        said = refusal(folder)
        assert said.startswith(f"weights of {folder}: the files hold esm.encoder.layer.0.attention.self.query.lora_A, ")
        assert "and 11 more, which EsmModel would leave out" in said
        assert "merge the adapter into the model first" in said

    def test_wrapped_layers_are_adapters_too(self, own_folder: Folders) -> None:
        def wrap(tensors: Tensors) -> None:
            for name in [name for name in tensors if name.endswith("query.weight")]:
                tensors[name.replace("query.", "query.base_layer.")] = tensors.pop(name)

        folder = own_folder("esm")
        change_weights(folder, wrap)
        said = refusal(folder)
        assert "encoder.layer.0.attention.self.query.weight, " in said
        assert "merge the adapter into the model first" in said

    @pytest.mark.parametrize("name", ["esm.encoder.layer.1.gate.weight", "trunk.weight", "esm.lm_head2.weight"])
    def test_anything_else_is_named_with_a_way_out(self, name: str, own_folder: Folders) -> None:
        folder = own_folder("esm")
        change_weights(folder, lambda tensors: tensors.update({name: torch.zeros(3)}))
        said = refusal(folder)
        assert f"the files hold {name}, which EsmModel would leave out" in said
        assert "list what does no harm in 'model.unused_weights'" in said

    def test_the_recipe_may_name_what_does_no_harm(self, own_folder: Folders, model_folder: Folders) -> None:
        folder = own_folder("esm")
        change_weights(folder, lambda tensors: tensors.update({"trunk.0.weight": torch.zeros(3)}))
        assert digest(folder, unused_weights="trunk.*") == digest(model_folder("esm"))
        assert "trunk.0.weight" in refusal(folder, unused_weights=["other.*"])

    @pytest.mark.parametrize(
        ("family", "saved_class"),
        [
            ("esm", "EsmForMaskedLM"),
            ("esm", "EsmForSequenceClassification"),
            ("esm", "EsmForTokenClassification"),
            ("esm", "EsmModel"),
            ("t5", "T5ForConditionalGeneration"),
            ("t5", "T5EncoderModel"),
            ("t5", "T5Model"),
            ("t5", "T5ForSequenceClassification"),
            ("t5", "T5ForTokenClassification"),
            ("bert", "BertForPreTraining"),
            ("bert", "BertModel"),
            ("bert", "BertForQuestionAnswering"),
            ("bert", "BertForNextSentencePrediction"),
            ("gpt2", "GPT2LMHeadModel"),
            ("gpt2", "GPT2DoubleHeadsModel"),
            ("gpt2", "GPT2ForSequenceClassification"),
            ("gpt2", "GPT2Model"),
            ("gpt_neox", "GPTNeoXForCausalLM"),
            ("gpt_neox", "GPTNeoXForSequenceClassification"),
            ("gpt_neox", "GPTNeoXForQuestionAnswering"),
            ("llama", "LlamaForCausalLM"),
            ("llama", "LlamaForSequenceClassification"),
            ("llama", "LlamaModel"),
        ],
    )
    def test_heads_and_decoders_of_encoders_are_harmless(self, family: str, saved_class: str, tmp_path: Path) -> None:
        folder = save_random_model(family, tmp_path, saved_class=saved_class)
        stored = load_file(folder / "model.safetensors")
        network = load(folder).network
        for name, parameter in network.named_parameters():
            named = [name, f"{network.base_model_prefix}.{name}", f"transformer.{name}"]
            there = next((stored[each] for each in named if each in stored), None)
            if there is not None:
                torch.testing.assert_close(parameter.detach(), there, rtol=0, atol=0)

    @pytest.mark.parametrize(
        ("family", "names"),
        [
            ("esm", ["esm.embeddings.position_ids", "esm.embeddings.position_embeddings.weight"]),
            ("esm", ["esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq", "lm_head.decoder.weight"]),
            ("bert", ["bert.embeddings.position_ids", "bert.pooler.dense.weight", "cls.seq_relationship.weight"]),
            ("t5", ["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", "lm_head.weight"]),
            ("gpt2", ["transformer.h.0.attn.bias", "transformer.h.0.attn.masked_bias"]),
            ("gpt_neox", ["gpt_neox.layers.0.attention.bias", "gpt_neox.layers.0.attention.masked_bias"]),
            ("gpt_neox", ["gpt_neox.layers.0.attention.rotary_emb.inv_freq"]),
            (
                "llama",
                ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.0.self_attn.rotary_emb.cos_cached"],
            ),
        ],
    )
    def test_what_old_checkpoints_hold_besides_is_harmless(
        self, family: str, names: list[str], own_folder: Folders, model_folder: Folders
    ) -> None:
        folder = own_folder(family)
        change_weights(folder, lambda tensors: tensors.update({name: torch.zeros(4) for name in names}))
        assert digest(folder) == digest(model_folder(family))


class TestAdapterBesideTheWeights:
    @pytest.mark.parametrize("installed", [False, True])
    def test_it_is_refused_with_and_without_peft(
        self, installed: bool, own_folder: Folders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (transformers.integrations.peft, transformers.models.auto.auto_factory):
            monkeypatch.setattr(module, "is_peft_available", lambda: installed)
        folder = own_folder("esm")
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "lab/tiny"}')
        said = refusal(folder)
        assert "holds an adapter (adapter_config.json)" in said
        assert "merge the adapter into the model first" in said
        assert "or give the folder of the base model" in said

    def test_a_model_that_comes_with_one_all_the_same_is_refused(
        self, model_folder: Folders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transformers.EsmModel, "_hf_peft_config_loaded", True)
        assert "was loaded with an adapter; merge" in refusal(model_folder("esm"))


class TestBlocks:
    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("claimed", [3, 6])
    def test_a_wrong_number_in_the_configuration_is_named_with_the_right_one(
        self, family: str, claimed: int, own_folder: Folders
    ) -> None:
        folder, (path, field) = own_folder(family), BLOCKS[family]
        change_config(folder, **{field: claimed})
        said = refusal(folder)
        blocks = path if family == "t5" else path.partition(".")[2]
        assert (
            f"weights of {folder}: config.json says {claimed} blocks ({field}), and the files have 4 "
            f"({blocks}.0 to {blocks}.3); get both from the same source"
        ) == said

    def test_weights_of_a_single_block_missing_are_no_wrong_number(self, own_folder: Folders) -> None:
        folder = own_folder("esm")
        change_weights(folder, lambda tensors: tensors.pop("esm.encoder.layer.3.output.dense.weight"))
        assert "encoder.layer.3.output.dense.weight missing from the files" in refusal(folder)


class TestShards:
    @pytest.fixture
    def in_shards(self, esm2_tiny: Path, tmp_path: Path) -> Path:
        """The shipped model, saved in several files."""
        network = transformers.EsmForMaskedLM.from_pretrained(esm2_tiny)
        network.save_pretrained(tmp_path / "shards", max_shard_size="1MB")
        for name in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy(esm2_tiny / name, tmp_path / "shards")
        return tmp_path / "shards"

    def test_all_of_them_give_the_model(self, in_shards: Path, esm2_tiny: Path) -> None:
        assert len(list(in_shards.glob("*.safetensors"))) > 2
        assert digest(in_shards) == digest(esm2_tiny)

    def test_a_missing_one_is_named(self, in_shards: Path) -> None:
        lost = sorted(in_shards.glob("*.safetensors"))[1]
        lost.unlink()
        said = refusal(in_shards)
        assert f"weights of {in_shards}: model.safetensors.index.json names" in said
        assert f"of which {lost.name} (with esm." in said
        assert "pickle" not in said


class TestTheCommand:
    """Nothing but the one line: no report of `transformers`, and no store."""

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda folder: change_config(folder, num_hidden_layers=7), "config.json says 7 blocks"),
            (lambda folder: change_config(folder, intermediate_size=40), "by config.json"),
            (lambda folder: (folder / "vocab.txt").unlink(), "no vocabulary there"),
            (lambda folder: (folder / "model.safetensors").unlink(), "the folder has no weights"),
            (lambda folder: (folder / "adapter_config.json").write_text("{}"), "holds an adapter"),
        ],
        ids=["blocks", "shapes", "vocabulary", "weights", "adapter"],
    )
    def test_what_is_wrong_is_said_in_one_line(
        self,
        spoil: Callable[[Path], object],
        said: str,
        own_folder: Folders,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        folder, fasta = own_folder("esm"), tmp_path / "one.fasta"
        fasta.write_text(">P1\nMKTAYIAKQR\n")
        spoil(folder)
        done = actstore("extract", f"--model={folder}", f"--sequences={fasta}", f"--store={tmp_path / 'store'}")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert said in done.err
        assert done.err.count("\n") == 1
        assert capfd.readouterr() == ("", "")
        assert not (tmp_path / "store").exists()


class TestFiles:
    def test_buffers_that_follow_from_the_configuration_may_be_missing(
        self, own_folder: Folders, model_folder: Folders
    ) -> None:
        def forget_frequencies(tensors: dict[str, torch.Tensor]) -> None:
            for name in [name for name in tensors if name.endswith("inv_freq")]:
                del tensors[name]

        folder = own_folder("esm")
        change_weights(folder, forget_frequencies)
        assert load(folder, "embed").facts.weights_sha256 == load(model_folder("esm"), "embed").facts.weights_sha256

    def test_a_missing_weight_is_never_a_random_one(self, own_folder: Folders) -> None:
        folder = own_folder("esm")
        change_weights(folder, lambda tensors: tensors.__delitem__("esm.encoder.layer.2.output.dense.weight"))
        with pytest.raises(ModelError, match=r"encoder\.layer\.2\.output\.dense\.weight missing .* random numbers"):
            load(folder, "embed")

    def test_weights_of_another_size_are_refused(self, own_folder: Folders) -> None:
        def shorten(tensors: dict[str, torch.Tensor]) -> None:
            name = "esm.encoder.layer.2.output.dense.bias"
            tensors[name] = tensors[name][:-1].clone()

        folder = own_folder("esm")
        change_weights(folder, shorten)
        with pytest.raises(ModelError, match="weights of"):
            load(folder, "embed")

    def test_pickled_weights_need_consent(self, own_folder: Folders) -> None:
        folder = own_folder("esm")
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        wanted = load(folder, "embed").facts.weights_sha256
        (folder / "model.safetensors").unlink()
        with pytest.raises(ModelError, match=r"model\.safetensors.*'pickle_weights = true' \(--pickle-weights\)"):
            load(folder, "embed")
        assert load(folder, "embed", pickle_weights=True).facts.weights_sha256 == wanted

    @pytest.mark.parametrize("length", [4, 1000, -100])
    def test_a_truncated_file_is_refused(self, own_folder: Folders, length: int) -> None:
        folder = own_folder("esm")
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:length])
        with pytest.raises(ModelError, match="damaged or truncated: fetch the file again"):
            load(folder, "embed")

    def test_a_folder_without_weights_is_refused(self, own_folder: Folders) -> None:
        folder = own_folder("esm")
        (folder / "model.safetensors").unlink()
        with pytest.raises(ModelError, match=f"weights of {folder}"):
            load(folder, "embed")

    def test_messages_are_one_line(self, own_folder: Folders) -> None:
        folder = own_folder("esm")
        (folder / "model.safetensors").unlink()
        with pytest.raises(ModelError) as refused:
            load(folder, "embed")
        assert "\n" not in str(refused.value)
