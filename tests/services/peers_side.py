"""Runs in the environment of the peers: loads what we wrote, and writes what we load, with the libraries themselves.

``python peers_side.py WORK``, where `WORK/rows.safetensors` has rows [N, D] as `rows`, and `WORK/ours/NAME/FORMAT/` are
folders of ours in the format of a library. Writes `WORK/ours/NAME/FORMAT.safetensors` with `code` and `back`, what the
library makes of the rows (`importer-of-saelens`: what SAELens makes of a folder of dictionary_learning); and folders of
the libraries, `WORK/theirs/NAME/`, with `WORK/theirs/NAME.safetensors`.
"""

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from dictionary_learning.utils import load_dictionary
from sae_lens import (
    SAE,
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    GatedSAE,
    GatedSAEConfig,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
)
from sae_lens.loading import pretrained_sae_loaders
from safetensors.torch import load_file, save_file
from sparsify import SparseCoder, SparseCoderConfig

LATENTS, K = 512, 24
Results = dict[str, torch.Tensor]


def results(code: torch.Tensor, back: torch.Tensor) -> Results:
    return {"code": code.detach().contiguous(), "back": back.detach().contiguous()}


def of_saelens(folder: Path, rows: torch.Tensor) -> Results:
    sae = SAE.load_from_disk(folder)
    return results(sae.encode(rows), sae(rows))


def of_dictionary_learning(folder: Path, rows: torch.Tensor) -> Results:
    inside = folder / "trainer_0"
    ae, _ = load_dictionary(str(inside if inside.is_dir() else folder), device="cpu")
    return results(ae.encode(rows), ae(rows))


def of_the_importer_of_saelens(folder: Path, rows: torch.Tensor) -> Results:
    """SAELens reads folders of dictionary_learning from the Hub; here from a disk."""
    with patch.object(
        pretrained_sae_loaders, "hf_hub_download", lambda repo_id, filename, **_: f"{repo_id}/{filename}"
    ):
        config, state, _ = pretrained_sae_loaders.dictionary_learning_sae_huggingface_loader_1(str(folder), "trainer_0")
    sae = SAE.from_dict(pretrained_sae_loaders.handle_config_defaulting(config))
    sae.load_state_dict(state)
    return results(sae.encode(rows), sae(rows))


def of_sparsify(folder: Path, rows: torch.Tensor) -> Results:
    coder = SparseCoder.load_from_disk(folder)
    found = coder.encode(rows)
    code = torch.zeros(len(rows), coder.num_latents).scatter(1, found.top_indices, found.top_acts)
    return results(code, coder(rows).sae_out)


LOADERS = {"saelens": of_saelens, "dictionary-learning": of_dictionary_learning, "sparsify": of_sparsify}


@torch.no_grad()
def shake(module: torch.nn.Module) -> Any:
    """Give every parameter of a fresh module other numbers, so that none is zero, or a transpose."""
    for parameter in module.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def saelens_folders(root: Path, width: int) -> None:
    common: dict[str, Any] = {"d_in": width, "d_sae": LATENTS}
    shake(StandardSAE(StandardSAEConfig(**common))).save_model(root / "saelens-standard")
    no_bias = StandardSAEConfig(**common, apply_b_dec_to_input=False)
    shake(StandardSAE(no_bias)).save_model(root / "saelens-without-b_dec")
    shake(TopKSAE(TopKSAEConfig(**common, k=K))).save_model(root / "saelens-topk")
    rescaled = TopKSAEConfig(**common, k=K, rescale_acts_by_decoder_norm=True)
    shake(TopKSAE(rescaled)).save_model(root / "saelens-topk-rescaled")
    zscored = TopKSAEConfig(**common, k=K, normalize_activations="layer_norm")
    shake(TopKSAE(zscored)).save_model(root / "saelens-topk-layer_norm")
    sqrt_d = StandardSAEConfig(**common, normalize_activations="constant_norm_rescale")
    shake(StandardSAE(sqrt_d)).save_model(root / "saelens-constant_norm")
    jump = shake(JumpReLUSAE(JumpReLUSAEConfig(**common)))
    jump.threshold.data.abs_()
    jump.save_model(root / "saelens-jumprelu")
    shake(GatedSAE(GatedSAEConfig(**common))).save_model(root / "saelens-gated")
    for rescale in (False, True):
        batch = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**common, k=K, rescale_acts_by_decoder_norm=rescale))
        shake(batch).topk_threshold.fill_(0.5)
        batch.save_inference_model(root / f"saelens-batchtopk-{rescale}")


def dictionary_learning_folders(root: Path, width: int) -> None:
    groups = [32, 96, LATENTS - 128]
    made = {
        "AutoEncoder": AutoEncoder(width, LATENTS),
        "AutoEncoderNew": AutoEncoderNew(width, LATENTS),
        "AutoEncoderTopK": AutoEncoderTopK(width, LATENTS, K),
        "BatchTopKSAE": BatchTopKSAE(width, LATENTS, K),
        "MatryoshkaBatchTopKSAE": MatryoshkaBatchTopKSAE(width, LATENTS, K, groups),
        "JumpReluAutoEncoder": JumpReluAutoEncoder(width, LATENTS),
        "GatedAutoEncoder": GatedAutoEncoder(width, LATENTS),
    }
    for name, ae in made.items():
        shake(ae)
        if name in {"BatchTopKSAE", "MatryoshkaBatchTopKSAE"}:
            ae.threshold.fill_(0.5)
        folder = root / f"dictionary_learning-{name}"
        folder.mkdir()
        torch.save({key: tensor.cpu() for key, tensor in ae.state_dict().items()}, folder / "ae.pt")
        trainer = {"dict_class": name, "k": K, "activation_dim": width, "dict_size": LATENTS, "lm_name": "peer/model"}
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128}}))


def sparsify_folders(root: Path, width: int) -> None:
    config = SparseCoderConfig(num_latents=LATENTS, k=K)
    shake(SparseCoder(width, config)).save_to_disk(root / "sparsify-topk")


@torch.no_grad()
def main(work: Path) -> None:
    torch.manual_seed(0)
    rows = load_file(work / "rows.safetensors")["rows"]
    for folder in sorted((work / "ours").glob("*/*/")):
        save_file(LOADERS[folder.name](folder, rows), folder.with_suffix(".safetensors"))
        if folder.name == "dictionary-learning":
            found = of_the_importer_of_saelens(folder, rows)
            save_file(found, folder.with_name("importer-of-saelens.safetensors"))
    theirs = work / "theirs"
    theirs.mkdir()
    for make in (saelens_folders, dictionary_learning_folders, sparsify_folders):
        make(theirs, rows.shape[1])
    for folder in sorted(theirs.iterdir()):
        name = next(one for one in LOADERS if folder.name.replace("_", "-", 1).startswith(one))
        save_file(LOADERS[name](folder, rows), folder.with_suffix(".safetensors"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
