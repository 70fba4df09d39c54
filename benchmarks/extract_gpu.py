"""What extraction costs on a GPU beside the bare forward passes, and beside the loops that people write.

As `benchmarks.extract`, for models as large as they are used; weights are random, since speed does not depend on what
they are. In alternating rounds, residues a second of

- `forward`: the forward passes of our batches and nothing else, one after the other without waiting for any;
- `forward_x2`, `forward_x4`, `forward_x8`: likewise, in batches of so many times as many tokens;
- `without_mask`: passes of the shapes of `forward` with no mask at all, which mix up what shares a row: the limit;
- `padded`: the passes of `transformers`, a row for each protein, batches by length of at most as many tokens as ours;
- `padded_without_cudnn`: likewise, with attention that is not cuDNN's, which prepares itself for every shape it meets;
- `compiled`: our passes, with `model.compile`;
- `actstore`: extraction of the named sites to an int8 store on disk, from the first task to the last commit;
- `naive_loop`: batches of eight proteins in file order, `output_hidden_states=True`, `torch.save` of all states of each
  batch;
- `fair_esm_loop`: the loop of fair-esm's `extract.py`: batches of at most 4,096 tokens, sorted by length, all states,
  a file for each protein without its padding.

In a corpus of millions of proteins hardly any padded batch has the shape of another, so what they cost the first time
is what they cost; it is reported beside the median of the rounds after. The loops write so much that they are measured
on the first proteins alone.

Besides, GB of float32 a second: rows encoded to int8 and measured by one thread of the host, by a thread for each of
its cores, and by the device; and what pinned memory takes off the device.

    python -m benchmarks.extract_gpu proteins.fasta.gz --folder /dev/shm
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from torch import Tensor
from transformers import EsmModel, T5EncoderModel

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.corpus.batches import plan_batches
from actstore.extract.forward import run_inputs
from actstore.extract.inputs import Inputs, packed, padded
from actstore.extract.model import load_model
from actstore.extract.task import plan_passes
from actstore.workflows.extract import extract_with
from benchmarks.contestants.loops import run_fair_esm_loop, run_naive_loop
from benchmarks.data.models import save_esm, save_t5
from benchmarks.data.proteins import Proteins, read_proteins
from benchmarks.limits.encoding import measure_encoding
from benchmarks.limits.passes import Clock, padding_of, planned_tasks
from benchmarks.recording.report import Recording, add_look_only
from benchmarks.recording.spread import ratios_of_rounds, spread

__all__ = ["CASES", "Case", "main", "make_model", "measure"]

LOOP_PROTEINS: Final = 64
LARGER: Final = (2, 4, 8)


@dataclass(frozen=True)
class Case:
    """A model, and what is kept of it."""

    title: str
    family: str
    """`esm` or `t5`."""
    layers: int
    width: int
    heads: int
    dtype: str
    sites: tuple[str, ...]
    fraction: float
    proteins: int
    """How many are run through it, at most."""


CASES: Final = (
    Case(
        "ESM-2 650M, 3 blocks",
        "esm",
        33,
        1280,
        20,
        dtype="bfloat16",
        sites=("resid_post.9", "resid_post.18", "resid_post.32"),
        fraction=1.0,
        proteins=1000,
    ),
    Case(
        "ESM-2 650M, all 33 blocks, a tenth of the residues",
        "esm",
        33,
        1280,
        20,
        dtype="bfloat16",
        sites=("resid_post.*",),
        fraction=0.1,
        proteins=1000,
    ),
    Case(
        "ProtT5-XL, all 24 blocks, a tenth of the residues",
        "t5",
        24,
        1024,
        32,
        dtype="bfloat16",
        sites=("resid_post.*",),
        fraction=0.1,
        proteins=400,
    ),
    Case(
        "ESM-2 8M, all 6 blocks",
        "esm",
        6,
        320,
        20,
        dtype="bfloat16",
        sites=("resid_post.*",),
        fraction=1.0,
        proteins=1000,
    ),
)


class _Bench:
    """One case, and whoever runs its proteins through its model."""

    def __init__(self, case: Case, proteins: Proteins, model: Path, folder: Path, *, device: str, tokens: int) -> None:
        self._case, self._proteins, self._folder = case, proteins, folder
        fasta = folder / "proteins.fasta"
        fasta.write_text("".join(f">{name}\n{residues}\n" for name, residues in proteins))
        self._recipe = Recipe.model_validate(
            {
                "model": {"name": str(model), "dtype": case.dtype, "tokens_per_batch": tokens},
                "corpus": {"sequences": str(fasta)},
                "rows": {"fraction": case.fraction},
                "sites": case.sites,
                "store": {"calibration_sequences": 64, "encoding": "int8"},
            }
        )
        self._model = load_model(self._recipe.model, self._recipe.sites, device=device)
        options: dict[str, Any] = {"add_pooling_layer": False} if case.family == "esm" else {}
        kind: Any = EsmModel if case.family == "esm" else T5EncoderModel
        self._stock = kind.from_pretrained(model, dtype=getattr(torch, case.dtype), **options)
        self._stock.requires_grad_(requires_grad=False).to(device)
        self._tokens = tokens
        self._device = torch.device(device)
        self.residues = sum(len(residues) for _, residues in proteins)
        self._few = proteins[:LOOP_PROTEINS]
        self._tasks = planned_tasks(self._model, self._recipe, folder / "planned")
        prefix = len(self._model.tokenizer.prefix)
        self.contestants: dict[str, Callable[[], float]] = {
            "forward": partial(self._forward_of, tokens),
            **{f"forward_x{times}": partial(self._forward_of, times * tokens) for times in LARGER},
            "without_mask": self._without_mask,
            "padded": lambda: self._forward(self._stock, self._padded()),
            "padded_without_cudnn": self._without_cudnn,
            "actstore": self._extract,
            "naive_loop": partial(self._loop, run_naive_loop),
            "fair_esm_loop": partial(self._loop, partial(run_fair_esm_loop, prefix=prefix)),
        }

    def compiled(self) -> Callable[[], float]:
        """Return the passes of a network that is compiled by now."""
        recipe = self._recipe.model.model_copy(update={"compile": True})
        network = load_model(recipe, self._recipe.sites, device=str(self._device)).network
        self._forward(network, self._inputs(self._tokens))
        return lambda: self._forward(network, self._inputs(self._tokens))

    def padding(self) -> dict[str, float]:
        """Return the share of padding in our passes, and in those of a row for each protein."""
        return {"forward": padding_of(self._inputs(self._tokens)), "padded": padding_of(self._padded())}

    def _inputs(self, tokens: int) -> list[Inputs]:
        """Return the inputs of our passes of at most so many tokens."""
        tokenizer, row_tokens = self._model.tokenizer, self._model.pack_tokens
        made: list[Inputs] = []
        for task, texts in self._tasks:
            for chosen in plan_passes(task, self._model, tokens_per_batch=tokens):
                here = [texts[index] for index in chosen]
                made.append(
                    padded(here, tokenizer) if row_tokens is None else packed(here, tokenizer, row_tokens=row_tokens)
                )
        return made

    def _padded(self) -> list[Inputs]:
        special = self._model.tokenizer.special_tokens
        return [
            padded([texts[index] for index in chosen], self._model.tokenizer)
            for _, texts in self._tasks
            for chosen in plan_batches([len(text) + special for text in texts], tokens_per_batch=self._tokens)
        ]

    def _forward(self, network: Any, inputs: Sequence[Inputs]) -> float:  # noqa: ANN401 - its classes are not typed
        with Clock(self._device) as clock, torch.inference_mode():
            for each in inputs:
                run_inputs(network, each)
        return self.residues / clock.seconds

    def _forward_of(self, tokens: int) -> float:
        return self._forward(self._model.network, self._inputs(tokens))

    def _without_mask(self) -> float:
        inputs = self._inputs(self._tokens)
        with Clock(self._device) as clock, torch.inference_mode():
            for each in inputs:
                self._stock(input_ids=torch.from_numpy(each.tokens_RT).to(self._device))
        return self.residues / clock.seconds

    def _without_cudnn(self) -> float:
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)
        try:
            return self._forward(self._stock, self._padded())
        finally:
            torch.backends.cuda.enable_cudnn_sdp(enabled=True)

    def _extract(self) -> float:
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            report = extract_with(self._model, LocalObjects(Path(place) / "store"), self._recipe)
            return self.residues / report.seconds

    def _loop(self, run: Callable[[Callable[[Proteins], Sequence[Tensor]], Proteins, Path], None]) -> float:
        with tempfile.TemporaryDirectory(dir=self._folder) as place, Clock(self._device) as clock:
            run(self._states, self._few, Path(place))
        return sum(len(residues) for _, residues in self._few) / clock.seconds

    def _states(self, batch: Proteins) -> list[Tensor]:
        inputs = padded([residues for _, residues in batch], self._model.tokenizer)
        with torch.inference_mode():
            states: Sequence[Tensor] = self._stock(
                input_ids=torch.from_numpy(inputs.tokens_RT).to(self._device),
                attention_mask=torch.from_numpy(inputs.present_RT).to(self._device),
                output_hidden_states=True,
            ).hidden_states
        return [state.cpu() for state in states]


def measure(
    case: Case, proteins: Proteins, model: Path, folder: Path, *, device: str, tokens: int, rounds: int, compiled: bool
) -> dict[str, Any]:
    """Run every contestant once, then `rounds` times, in alternation; return residues a second, ratios and padding."""
    bench = _Bench(case, proteins, model, folder, device=device, tokens=tokens)
    if compiled:
        bench.contestants["compiled"] = bench.compiled()
    rates: dict[str, list[float]] = {name: [] for name in bench.contestants}
    for name in itertools.chain.from_iterable(itertools.repeat(tuple(bench.contestants), 1 + rounds)):
        rates[name].append(bench.contestants[name]())
    return {
        "dtype": case.dtype,
        "fraction": case.fraction,
        "proteins": len(proteins),
        "residues": bench.residues,
        "tokens_per_batch": tokens,
        "residues_per_s": {name: {"first": each[0], **spread(each[1:])} for name, each in rates.items()},
        "ratios": {
            "wall_over_forward": _ratio(rates, "forward", "actstore"),
            "over_padded": _ratio(rates, "actstore", "padded"),
            "over_naive_loop": _ratio(rates, "actstore", "naive_loop"),
            "over_fair_esm_loop": _ratio(rates, "actstore", "fair_esm_loop"),
        },
        "padding": bench.padding(),
    }


def _ratio(rates: dict[str, list[float]], of: str, to: str) -> dict[str, float]:
    """Return the ratios of the rounds, without the first."""
    return ratios_of_rounds({name: rates[name][1:] for name in (of, to)}, of, to)


def make_model(case: Case, folder: Path) -> Path:
    """Save a model of random weights that loads as the real one does."""
    save = save_t5 if case.family == "t5" else save_esm
    return save(folder, layers=case.layers, width=case.width, heads=case.heads, dtype=case.dtype)


def main() -> None:
    """Run the benchmark and write `benchmarks/results/extract_gpu.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", help="FASTA of natural proteins")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--folder", help="where stores and files are written")
    parser.add_argument("--tokens", type=int, default=8192, help="of a forward pass")
    parser.add_argument("--rounds", type=int, default=3, help="after the first")
    parser.add_argument("--only", type=int, action="append", help="number of a case")
    parser.add_argument("--shrink", type=int, default=1, help="try the script with models that much smaller")
    parser.add_argument("--compile", action="store_true", help="measure model.compile, which takes minutes to begin")
    add_look_only(parser)
    options = parser.parse_args()
    part = options.shrink > 1 or options.only is not None
    recording = Recording("extract_gpu", look_only=options.no_write or part)
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    models: dict[str, Any] = {}
    encoding = measure_encoding(options.device, rows=65_536 // options.shrink)
    for case in CASES if options.only is None else [CASES[index] for index in options.only]:
        tried = case
        if options.shrink > 1:
            width, layers = case.width // options.shrink, max(case.layers // options.shrink, 2)
            tried = replace(case, width=width, layers=layers, proteins=case.proteins // options.shrink)
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            proteins = read_proteins(options.sequences, tried.proteins)
            models[case.title] = measure(
                tried,
                proteins,
                make_model(tried, folder / "model"),
                folder,
                device=options.device,
                tokens=options.tokens,
                rounds=options.rounds,
                compiled=options.compile,
            )
        print(case.title, json.dumps(models[case.title]), flush=True)
    gpu = torch.cuda.get_device_name() if options.device.startswith("cuda") else None
    recording.finish({"gpu": gpu, "gb_per_s": encoding, "models": models}, long=("models",))


if __name__ == "__main__":
    main()
