"""Dictionaries as other libraries train them, and as we do: one step at a time, on the same rows.

Each has the defaults of its library, but for the sizes, the length of its schedule, and AuxK, which sparsify leaves off
by default. sparsify's own loop is bound to a language model, so its step is written here as that loop has it
(`sparsify/trainer.py` of 1.3.3); the others are called as their users call them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from actstore.testing.memory_stream import moments_of
from trainers.dictionaries.codes.matryoshka import DEFAULT_GROUPS, ends_of
from trainers.fit.config import TrainConfig
from trainers.fit.initialise import start
from trainers.fit.normalise import describe_inputs
from trainers.fit.plan import StreamFacts, plan_training
from trainers.fit.step import train_step

__all__ = ["KINDS", "LEARNERS", "Kind", "Learner", "Sizes", "learners_of"]

Kind = Literal["topk", "batch-topk", "jumprelu", "matryoshka"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
GROUPS: Final = DEFAULT_GROUPS
"""Groups of Matryoshka, the same for all."""


class Sizes(NamedTuple):
    """What to train."""

    sites: int
    width: int
    latents: int
    k: int
    """Latents of a row; for JumpReLU the target of the penalty."""
    batch_rows: int
    steps: int

    @property
    def inputs(self) -> int:
        """Features of all sites together."""
        return self.sites * self.width


class Learner(Protocol):
    """A dictionary that learns."""

    def step(self, values_BX: Tensor) -> None:
        """Update the weights from a batch of raw rows, float32 [B, S * D]."""
        ...

    def forward(self, values_BX: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction of raw rows [B, S * D], and which latents are active, bool [B, F]."""
        ...

    def decoder_FX(self) -> Tensor:
        """Return the decoder, any scale [F, S * D]."""
        ...


class Ours:
    """Our step, without a stream."""

    def __init__(self, sizes: Sizes, rows_NX: Tensor, seed: int, *, kind: Kind = "topk", **changes: object) -> None:
        sites = tuple(f"site{s}" for s in range(sizes.sites))
        config = TrainConfig.model_validate(
            {
                "dictionary": f"{kind}-sae" if sizes.sites == 1 else f"crosscoder-{kind}",
                "sites": sites,
                "latents": sizes.latents,
                ("l0_target" if kind == "jumprelu" else "k"): sizes.k,
                "steps": sizes.steps,
                "batch_rows": sizes.batch_rows,
                "seed": seed,
            }
            | changes
        )
        facts = StreamFacts(
            sites=sites,
            width=sizes.width,
            rows=sizes.steps * sizes.batch_rows,
            batch_rows=sizes.batch_rows,
            batches_per_epoch=sizes.steps,
        )
        self._plan = plan_training(config, facts)
        moments = moments_of(rows_NX.view(-1, sizes.sites, sizes.width).numpy(), sites)
        inputs = describe_inputs(sites, moments, normalisation=self._plan.normalisation)
        self._state = start(self._plan, inputs, device=torch.device("cpu"))
        self._shape = (-1, sizes.sites, sizes.width)

    @property
    def dead_after_rows(self) -> int:
        """Rows after which a latent counts as dead."""
        return self._plan.dead_after_rows

    @property
    def scale_S(self) -> Tensor:
        """Factor of each site."""
        return self._state.scale_S

    def step(self, values_BX: Tensor) -> None:
        """Update the weights."""
        train_step(self._state, values_BX.view(self._shape), self._plan)

    @torch.no_grad()
    def forward(self, values_BX: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode, as after training."""
        scale_S1 = self._state.scale_S[:, None]
        scaled_BSD = values_BX.view(self._shape) * scale_S1
        dictionary = self._state.dictionary.eval()
        code_BF = dictionary.encode(scaled_BSD)
        dictionary.train()
        return (dictionary.decode(code_BF) / scale_S1).flatten(1), code_BF > 0

    def decoder_FX(self) -> Tensor:
        """Return the decoder."""
        return self._state.dictionary.flat().decoder_FX.detach()


class _Scaled:
    """What the others are given: rows of mean square norm D, as SAELens and Gao et al. scale them."""

    def __init__(self, rows_NX: Tensor) -> None:
        self.scale = float((rows_NX.shape[1] / rows_NX.double().square().sum(dim=1).mean()).sqrt())


class DictionaryLearning(_Scaled):
    """A trainer of dictionary_learning; its rows have mean square norm 1, as `normalize_activations` makes them."""

    def __init__(
        self, sizes: Sizes, rows_NX: Tensor, seed: int, *, kind: Kind = "topk", dead_after_rows: int = 10_000_000
    ) -> None:
        super().__init__(rows_NX)
        self.scale /= rows_NX.shape[1] ** 0.5
        warmup = min(1000, sizes.steps // 20)
        common: dict[str, Any] = {
            "steps": sizes.steps,
            "activation_dim": sizes.inputs,
            "dict_size": sizes.latents,
            "layer": 0,
            "lm_name": "rows",
            "warmup_steps": warmup,
            "decay_start": int(0.8 * sizes.steps),
            "seed": seed,
            "device": "cpu",
        }
        self._trainer: Any = self._made(kind, sizes, common, warmup)
        self._trainer.dead_feature_threshold = dead_after_rows
        self._by_threshold = kind != "topk"
        self._steps = 0

    @staticmethod
    def _made(kind: Kind, sizes: Sizes, common: dict[str, Any], warmup: int) -> Any:  # noqa: ANN401 - untyped library
        from dictionary_learning.trainers import batch_top_k, jumprelu, matryoshka_batch_top_k, top_k  # noqa: PLC0415

        if kind == "jumprelu":
            torch.manual_seed(common["seed"])
            return jumprelu.JumpReluTrainer(**common, target_l0=sizes.k, sparsity_warmup_steps=2 * warmup)
        keeps = {"k": sizes.k, "threshold_start_step": warmup}
        if kind == "matryoshka":
            return matryoshka_batch_top_k.MatryoshkaBatchTopKTrainer(**common, **keeps, group_fractions=[*GROUPS])
        if kind == "batch-topk":
            return batch_top_k.BatchTopKTrainer(**common, **keeps)
        return top_k.TopKTrainer(**common, **keeps)

    def step(self, values_BX: Tensor) -> None:
        """Update the weights."""
        self._trainer.update(self._steps, values_BX * self.scale)
        self._steps += 1

    @torch.no_grad()
    def forward(self, values_BX: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode, as after training."""
        ae = self._trainer.ae
        thresholds = {} if self._by_threshold else {"use_threshold": False}
        code_BF = ae.encode(values_BX * self.scale, **thresholds)
        return ae.decode(code_BF) / self.scale, code_BF > 0

    def decoder_FX(self) -> Tensor:
        """Return the decoder."""
        ae = self._trainer.ae
        decoder_FX: Tensor = (ae.W_dec if hasattr(ae, "W_dec") else ae.decoder.weight.t()).detach()
        return decoder_FX


class SaeLens(_Scaled):
    """`SAETrainer` with a training SAE of SAELens."""

    def __init__(
        self, sizes: Sizes, rows_NX: Tensor, seed: int, *, kind: Kind = "topk", dead_after_rows: int | None = None
    ) -> None:
        from sae_lens import LoggingConfig  # noqa: PLC0415 - of the group peers
        from sae_lens.config import SAETrainerConfig  # noqa: PLC0415
        from sae_lens.training.sae_trainer import SAETrainer  # noqa: PLC0415

        super().__init__(rows_NX)
        torch.manual_seed(seed)
        window = 1000 if dead_after_rows is None else max(1, dead_after_rows // sizes.batch_rows)
        config = SAETrainerConfig(
            total_training_samples=sizes.steps * sizes.batch_rows,
            train_batch_size_samples=sizes.batch_rows,
            lr_end=3e-5,
            lr_decay_steps=sizes.steps // 5,
            dead_feature_window=window,
            logger=LoggingConfig(log_to_wandb=False),
        )

        def no_rows() -> Iterator[Tensor]:
            yield from ()

        self._trainer: Any = SAETrainer(cfg=config, sae=self._made(kind, sizes), data_provider=no_rows())
        self._by_threshold = kind in {"batch-topk", "matryoshka"}

    @staticmethod
    def _made(kind: Kind, sizes: Sizes) -> Any:  # noqa: ANN401 - of a library without types
        import sae_lens  # noqa: PLC0415

        common: dict[str, Any] = {"d_in": sizes.inputs, "d_sae": sizes.latents}
        if kind == "jumprelu":
            config = sae_lens.JumpReLUTrainingSAEConfig(
                **common,
                jumprelu_sparsity_loss_mode="quadratic",
                target_l0=sizes.k,
                l0_warm_up_steps=sizes.steps // 10,
            )
            return sae_lens.JumpReLUTrainingSAE(config)
        if kind == "matryoshka":
            widths = [*ends_of(GROUPS, sizes.latents)]
            groups = sae_lens.MatryoshkaBatchTopKTrainingSAEConfig(**common, k=sizes.k, matryoshka_widths=widths)
            return sae_lens.MatryoshkaBatchTopKTrainingSAE(groups)
        if kind == "batch-topk":
            return sae_lens.BatchTopKTrainingSAE(sae_lens.BatchTopKTrainingSAEConfig(**common, k=sizes.k))
        return sae_lens.TopKTrainingSAE(sae_lens.TopKTrainingSAEConfig(**common, k=sizes.k))

    def step(self, values_BX: Tensor) -> None:
        """Update the weights."""
        self._trainer.step(values_BX * self.scale)
        self._trainer.n_training_steps += 1

    @torch.no_grad()
    def forward(self, values_BX: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode, as after training: BatchTopK by the threshold that `save_inference_model` writes."""
        sae = self._trainer.sae
        if self._by_threshold:
            _, pre_BF = sae.encode_with_hidden_pre(values_BX * self.scale)
            code_BF = torch.where(pre_BF > sae.topk_threshold, pre_BF.relu(), 0)
        else:
            code_BF = sae.encode(values_BX * self.scale)
        return sae.decode(code_BF) / self.scale, code_BF > 0

    def decoder_FX(self) -> Tensor:
        """Return the decoder."""
        decoder_FX: Tensor = self._trainer.sae.W_dec.detach()
        return decoder_FX


class Sparsify(_Scaled):
    """`SparseCoder` of sparsify, with its optimiser, and AuxK as its documentation recommends."""

    AUXK_ALPHA: Final = 1 / 32

    def __init__(self, sizes: Sizes, rows_NX: Tensor, seed: int, *, dead_after_rows: int = 10_000_000) -> None:
        from schedulefree import ScheduleFreeWrapper  # noqa: PLC0415
        from sparsify import SparseCoder, SparseCoderConfig  # noqa: PLC0415
        from sparsify.sign_sgd import SignSGD  # noqa: PLC0415

        super().__init__(rows_NX)
        torch.manual_seed(seed)
        self._coder = SparseCoder(sizes.inputs, SparseCoderConfig(num_latents=sizes.latents, k=sizes.k))
        self._coder.b_dec.data = rows_NX.mean(dim=0) * self.scale
        lr = 5e-3 / (sizes.latents / 2**14) ** 0.5
        self._optimizer = ScheduleFreeWrapper(SignSGD(self._coder.parameters(), lr=lr), momentum=0.95)
        self._optimizer.train()
        self._idle_rows_F = torch.zeros(sizes.latents, dtype=torch.long)
        self._dead_after_rows = dead_after_rows

    def step(self, values_BX: Tensor) -> None:
        """Update the weights."""
        self._optimizer.train()
        self._coder.set_decoder_norm_to_unit_norm()
        output = self._coder(values_BX * self.scale, dead_mask=self._idle_rows_F > self._dead_after_rows)
        (output.fvu + self.AUXK_ALPHA * output.auxk_loss).backward()
        self._coder.remove_gradient_parallel_to_decoder_directions()
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._idle_rows_F += len(values_BX)
        self._idle_rows_F[output.latent_indices.flatten()] = 0

    @torch.no_grad()
    def forward(self, values_BX: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode, with the averaged weights."""
        self._optimizer.eval()
        found = self._coder.encode(values_BX * self.scale)
        active_BF = torch.zeros(len(values_BX), len(self._idle_rows_F), dtype=torch.bool)
        active_BF.scatter_(1, found.top_indices, found.top_acts > 0)
        return self._coder.decode(found.top_acts, found.top_indices) / self.scale, active_BF

    def decoder_FX(self) -> Tensor:
        """Return the decoder, with the averaged weights."""
        self._optimizer.eval()
        decoder_FX: Tensor = self._coder.W_dec.detach()
        return decoder_FX


LEARNERS: Final[Mapping[str, Callable[..., Learner]]] = {
    "actstore": Ours,
    "dictionary_learning": DictionaryLearning,
    "SAELens": SaeLens,
    "sparsify": Sparsify,
}


def learners_of(kind: Kind) -> Mapping[str, Callable[..., Learner]]:
    """Return the learners that have a kind of dictionary, each called as in `LEARNERS`; sparsify has TopK only."""
    return {
        name: functools.partial(make, kind=kind) if kind != "topk" else make
        for name, make in LEARNERS.items()
        if kind == "topk" or make is not Sparsify
    }
