"""What extraction costs beside the bare forward passes, and beside the loops that people write.

The same proteins through the same model, in alternating rounds:

- `forward`: the forward passes of our batches by `transformers` and nothing else, as torch runs them (all its threads
  for each);
- `forward_lone`: the same passes, one thread each and as many at a time as there are cores;
- `forward_8192`: likewise, in batches of up to 8,192 tokens;
- `forward_fused`: likewise in our batches, by the network as we run it (`extract/fused.py`);
- `forward_compiled`: likewise, with `model.compile`, which lets one pass run at a time;
- `forward_packed`: likewise, with several proteins in a row of at most 1,024 tokens, kept apart by a mask;
- `actstore`: extraction of every site to an int8 store on disk, from the first task to the last commit;
- `naive_loop`: batches of a fixed number of proteins in file order, `output_hidden_states=True`, `torch.save` of all
  states of each batch;
- `fair_esm_loop`: the loop of fair-esm's `extract.py` around `transformers`: batches of at most 4,096 tokens, sorted by
  length, all states, a file for each protein without its padding;
- `fair_esm`: the same loop around fair-esm's own network, with the same weights.

    python -m benchmarks.extract proteins.fasta.gz
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoTokenizer, EsmModel

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.corpus.batches import padding_share, plan_batches, plan_packed_batches
from actstore.extract.forward import run_inputs
from actstore.extract.inputs import Inputs, packed, padded
from actstore.extract.model import load_model
from actstore.extract.task import plan_passes
from actstore.workflows.extract import extract_with
from benchmarks.contestants.fair_esm import as_fair_esm, representations, run_extract_loop
from benchmarks.contestants.loops import by_length, in_file_order, run_fair_esm_loop, run_naive_loop
from benchmarks.data.models import TINY, save_esm
from benchmarks.data.proteins import Proteins, read_proteins
from benchmarks.limits.passes import in_lone_threads, padding_of, planned_tasks, run_pass
from benchmarks.recording.report import Recording, add_look_only
from benchmarks.recording.spread import ratios_of_rounds, spread

__all__ = ["Shape", "main", "measure"]

PACKED_TOKENS: Final = 1024
LARGER_TOKENS: Final = 8192
SITES: Final = ("embed", "resid_post.*", "final_norm")


@dataclass(frozen=True)
class Shape:
    """A model of random weights: speed does not depend on what they are."""

    name: str
    layers: int
    width: int
    heads: int
    proteins: int
    """How many are run through it."""


SHAPES: Final = (
    Shape("esm2-tiny", 0, 128, 0, proteins=600),
    Shape("ESM-2 8M", 6, 320, 20, proteins=300),
)


def measure(proteins: Proteins, model: Path, folder: Path, *, rounds: int) -> dict[str, Any]:
    """Run every contestant `rounds` times, in alternation; return seconds, ratios and padding."""
    bench = _Bench(proteins, model, folder)
    bench.contestants["forward_compiled"]()  # compiles what is new about the shapes of these batches
    seconds: dict[str, list[float]] = {name: [] for name in bench.contestants}
    for name in itertools.chain.from_iterable(itertools.repeat(tuple(bench.contestants), rounds)):
        seconds[name].append(bench.contestants[name]())
    return {
        "proteins": len(proteins),
        "residues": sum(len(residues) for _, residues in proteins),
        "seconds": {name: spread(times) for name, times in seconds.items()},
        "ratios": {
            "wall_over_forward": ratios_of_rounds(seconds, "actstore", "forward"),
            "wall_over_forward_lone": ratios_of_rounds(seconds, "actstore", "forward_lone"),
            "wall_over_forward_fused": ratios_of_rounds(seconds, "actstore", "forward_fused"),
            "over_naive_loop": ratios_of_rounds(seconds, "naive_loop", "actstore"),
            "over_fair_esm_loop": ratios_of_rounds(seconds, "fair_esm_loop", "actstore"),
            "over_fair_esm": ratios_of_rounds(seconds, "fair_esm", "actstore"),
            "tokens_1024_over_8192": ratios_of_rounds(seconds, "forward_lone", "forward_8192"),
            "fused_over_stock": ratios_of_rounds(seconds, "forward_fused", "forward_lone"),
            "compiled_over_fused": ratios_of_rounds(seconds, "forward_compiled", "forward_fused"),
            "packed_over_padded": ratios_of_rounds(seconds, "forward_packed", "forward_fused"),
        },
        "padding": bench.padding(),
    }


class _Bench:
    """One model, one set of proteins, and whoever runs the one over the other."""

    def __init__(self, proteins: Proteins, model: Path, folder: Path) -> None:
        self._folder = folder
        self._proteins = proteins
        fasta = folder / "proteins.fasta"
        fasta.write_text("".join(f">{name}\n{residues}\n" for name, residues in proteins))
        self._recipe = Recipe.model_validate(
            {
                "model": {"name": str(model)},
                "corpus": {"sequences": str(fasta)},
                "sites": SITES,
                "store": {"calibration_sequences": 32},
            }
        )
        self._model = load_model(self._recipe.model, self._recipe.sites)
        compiled = self._recipe.model.model_copy(update={"compile": True})
        self._compiled = load_model(compiled, self._recipe.sites)
        self._stock: EsmModel = EsmModel.from_pretrained(model, add_pooling_layer=False, dtype=torch.float32)
        self._stock.requires_grad_(requires_grad=False)
        self._fair_esm_network = as_fair_esm(self._stock)
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        self._check_same_model()
        self._batches, self._larger_batches = self._planned_batches()
        self.contestants: dict[str, Callable[[], float]] = {
            "forward": self._forward,
            "forward_lone": self._forward_lone,
            "forward_8192": self._forward_8192,
            "forward_fused": self._forward_fused,
            "forward_compiled": self._forward_compiled,
            "forward_packed": self._forward_packed,
            "actstore": self._extract,
            "naive_loop": partial(self._loop, run_naive_loop),
            "fair_esm_loop": partial(self._loop, run_fair_esm_loop),
            "fair_esm": self._fair_esm,
        }

    def _check_same_model(self) -> None:
        """Raise `RuntimeError` if fair-esm's network does not compute what that of `transformers` does."""
        batch = self._proteins[:2]
        theirs = representations(self._fair_esm_network, batch)
        for layer, state in enumerate(self._states(batch)):
            for row, (name, residues) in enumerate(batch):
                kept = slice(1, len(residues) + 1)
                if not torch.allclose(theirs[layer][row, kept], state[row, kept], rtol=1e-3, atol=1e-4):
                    raise RuntimeError(f"{name}, layer {layer}: fair-esm and transformers differ")

    def padding(self) -> dict[str, float]:
        """Return the share of each one's token area that is padding."""
        sorted_up, in_order = (
            [[len(residues) + 2 for _, residues in batch] for batch in batches(self._proteins)]
            for batches in (by_length, in_file_order)
        )
        ours, larger = (
            [[len(residues) + 2 for residues in batch] for batch in batches]
            for batches in (self._batches, self._larger_batches)
        )
        return {
            "actstore": _padding(ours),
            "passes_of_8192": _padding(larger),
            "naive_loop": _padding(in_order),
            "fair_esm_loop": _padding(sorted_up),
            "fair_esm": _padding(sorted_up),
            "packed": padding_of(self._packed()),
        }

    def _packed(self) -> list[Inputs]:
        """Return batches of as many tokens as our passes have, in rows that several proteins share."""
        texts = [text for batch in self._batches for text in batch]
        lengths = [len(text) + self._model.tokenizer.special_tokens for text in texts]
        batches = plan_packed_batches(lengths, row_tokens=PACKED_TOKENS, tokens_per_batch=PACKED_TOKENS)
        return [
            packed([texts[index] for index in batch], self._model.tokenizer, row_tokens=PACKED_TOKENS)
            for batch in batches
        ]

    def _planned_batches(self) -> tuple[list[list[str]], list[list[str]]]:
        """Return the windows of every forward pass that an extraction makes, and those of larger passes."""
        ours: list[list[str]] = []
        larger: list[list[str]] = []
        for task, texts in planned_tasks(self._model, self._recipe, self._folder / "planned"):
            lengths = [len(text) + self._model.tokenizer.special_tokens for text in texts]
            passes = plan_passes(task, self._model, tokens_per_batch=self._recipe.model.tokens_per_batch)
            ours += [[texts[index] for index in each] for each in passes]
            passes = plan_batches(lengths, tokens_per_batch=LARGER_TOKENS)
            larger += [[texts[index] for index in each] for each in passes]
        return ours, larger

    def _passes(self, batches: Sequence[Sequence[str]] | None = None) -> list[tuple[torch.Tensor, torch.Tensor]]:
        inputs = (padded(batch, self._model.tokenizer) for batch in batches or self._batches)
        return [(torch.from_numpy(each.tokens_RT), torch.from_numpy(each.present_RT)) for each in inputs]

    def _forward(self) -> float:
        passes = self._passes()
        began = time.perf_counter()
        for each in passes:
            run_pass(self._stock, each)
        return time.perf_counter() - began

    def _forward_lone(self) -> float:
        return in_lone_threads(partial(run_pass, self._stock), self._passes())

    def _forward_8192(self) -> float:
        return in_lone_threads(partial(run_pass, self._stock), self._passes(self._larger_batches))

    def _forward_compiled(self) -> float:
        network = self._compiled.network

        def one_at_a_time(each: tuple[torch.Tensor, torch.Tensor]) -> None:
            with self._compiled.passes:
                run_pass(network, each)

        return in_lone_threads(one_at_a_time, self._passes())

    def _forward_fused(self) -> float:
        return in_lone_threads(partial(run_pass, self._model.network), self._passes())

    def _forward_packed(self) -> float:
        return in_lone_threads(torch.inference_mode()(partial(run_inputs, self._model.network)), self._packed())

    def _extract(self) -> float:
        """Return the seconds from the first task to the last commit."""
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            return extract_with(self._model, LocalObjects(Path(place) / "store"), self._recipe).seconds

    def _loop(self, run: Callable[[Callable[[Proteins], Sequence[torch.Tensor]], Proteins, Path], None]) -> float:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            run(self._states, self._proteins, Path(place))
            return time.perf_counter() - began

    def _fair_esm(self) -> float:
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            return run_extract_loop(self._fair_esm_network, self._proteins, Path(place))

    def _states(self, batch: Sequence[tuple[str, str]]) -> tuple[torch.Tensor, ...]:
        inputs = self._tokenizer([residues for _, residues in batch], return_tensors="pt", padding=True)
        with torch.inference_mode():
            states: tuple[torch.Tensor, ...] = self._stock(**inputs, output_hidden_states=True).hidden_states
        return states


def _padding(lengths: Sequence[Sequence[int]]) -> float:
    flat = list(itertools.chain.from_iterable(lengths))
    ends = list(itertools.accumulate(map(len, lengths), initial=0))
    batches = [torch.arange(start, stop).numpy() for start, stop in itertools.pairwise(ends)]
    return round(padding_share(flat, batches), 4)


def make_model(shape: Shape, folder: Path) -> Path:
    """Return the folder of a model: ours, or one of random weights with the tokenizer of ours."""
    if not shape.layers:
        return TINY
    return save_esm(folder, layers=shape.layers, width=shape.width, heads=shape.heads)


def main() -> None:
    """Run the benchmark and write `benchmarks/results/extract.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", help="FASTA of natural proteins")
    parser.add_argument("--rounds", type=int, default=3)
    add_look_only(parser)
    options = parser.parse_args()
    recording = Recording("extract", look_only=options.no_write)
    models: dict[str, Any] = {}
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            proteins = read_proteins(options.sequences, shape.proteins)
            models[shape.name] = measure(proteins, make_model(shape, folder / "model"), folder, rounds=options.rounds)
        print(shape.name, json.dumps(models[shape.name], indent=2), flush=True)
    # The smallest model leaves the least time to hide everything else behind.
    ratios = {name: each["median"] for name, each in models[SHAPES[0].name]["ratios"].items()}
    recording.finish({"threads": torch.get_num_threads(), "ratios": ratios, "models": models}, long=("models",))


if __name__ == "__main__":
    main()
