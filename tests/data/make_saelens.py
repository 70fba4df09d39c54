"""Make `saelens/`: activations that SAELens cached, and `saelens.npz`: the same as the model gave them.

Made once with sae-lens 6.54.12, which is no dependency: ``python tests/data/make_saelens.py``. The model is two random
blocks, so nothing is downloaded.
"""

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import sae_lens.cache_activations_runner as runner_module
import torch
from datasets import Dataset
from sae_lens import CacheActivationsRunner, CacheActivationsRunnerConfig
from transformer_lens import HookedTransformer, HookedTransformerConfig

HERE = Path(__file__).resolve().parent
HOOK = "blocks.1.hook_resid_post"
CONTEXT, WIDTH, SEQUENCES = 16, 8, 32


def main() -> None:
    """Write both."""
    torch.manual_seed(0)
    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=2, d_model=WIDTH, n_ctx=CONTEXT, d_head=4, n_heads=2, d_vocab=50, act_fn="gelu", device="cpu"
        )
    )
    tokens = torch.randint(0, 50, (SEQUENCES, CONTEXT))
    with tempfile.TemporaryDirectory() as temporary, mock.patch.object(runner_module, "load_model", return_value=model):
        given = Path(temporary) / "tokens"
        Dataset.from_dict({"tokens": tokens.tolist()}).save_to_disk(str(given))
        config = CacheActivationsRunnerConfig(
            dataset_path=str(given),
            model_name="random",
            model_batch_size=8,
            hook_name=HOOK,
            d_in=WIDTH,
            training_tokens=SEQUENCES * CONTEXT,
            context_size=CONTEXT,
            new_cached_activations_path=str(HERE / "saelens"),
            shuffle=False,
            device="cpu",
            prepend_bos=False,
            streaming=False,
            buffer_size_gb=8 * CONTEXT * WIDTH * 4 / 1e9,
        )
        runner = CacheActivationsRunner(config, override_dataset=Dataset.load_from_disk(str(given)))
        cached = runner.run().with_format("torch")
    seen = cached["token_ids"][:]
    _, cache = model.run_with_cache(seen, names_filter=HOOK)
    np.savez(HERE / "saelens.npz", values=cache[HOOK].detach().numpy(), tokens=seen.numpy())


if __name__ == "__main__":
    main()
