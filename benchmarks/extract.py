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
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from transformers import AutoTokenizer, EsmConfig, EsmModel

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.corpus.batches import padding_share, plan_batches, plan_packed_batches
from actstore.extract.forward import run_inputs
from actstore.extract.inputs import Inputs, packed, padded
from actstore.extract.model import TransformersModel, load_model
from actstore.extract.task import plan_passes
from actstore.extract.threads import LoneThreads
from actstore.store.write.frozen import load_frozen
from actstore.store.write.sequences import StoredSequences
from actstore.workflows.extraction.extract import extract_with
from actstore.workflows.extraction.prepare import reopen
from benchmarks.contestants.fair_esm import (
    TOKENS_PER_BATCH,
    as_fair_esm,
    representations,
    run_extract_loop,
)
from benchmarks.data.proteins import Proteins, read_proteins
from benchmarks.report import write_results

__all__ = ["Shape", "main", "measure"]

FIXED_BATCH: Final = 8
PACKED_TOKENS: Final = 1024
LARGER_TOKENS: Final = 8192
SITES: Final = ("embed", "resid_post.*", "final_norm")
TINY: Final = "examples/esm2-tiny"


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
        "seconds": {name: _spread(times) for name, times in seconds.items()},
        "ratios": {
            "wall_over_forward": _ratio(seconds, "actstore", "forward"),
            "wall_over_forward_lone": _ratio(seconds, "actstore", "forward_lone"),
            "wall_over_forward_fused": _ratio(seconds, "actstore", "forward_fused"),
            "over_naive_loop": _ratio(seconds, "naive_loop", "actstore"),
            "over_fair_esm_loop": _ratio(seconds, "fair_esm_loop", "actstore"),
            "over_fair_esm": _ratio(seconds, "fair_esm", "actstore"),
            "tokens_1024_over_8192": _ratio(seconds, "forward_lone", "forward_8192"),
            "fused_over_stock": _ratio(seconds, "forward_fused", "forward_lone"),
            "compiled_over_fused": _ratio(seconds, "forward_compiled", "forward_fused"),
            "packed_over_padded": _ratio(seconds, "forward_packed", "forward_fused"),
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
            "naive_loop": self._naive_loop,
            "fair_esm_loop": self._fair_esm_loop,
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
        by_length = [[len(residues) + 2 for _, residues in batch] for batch in self._by_length()]
        in_order = [[len(residues) + 2 for _, residues in batch] for batch in self._in_order()]
        ours, larger = (
            [[len(residues) + 2 for residues in batch] for batch in batches]
            for batches in (self._batches, self._larger_batches)
        )
        return {
            "actstore": _padding(ours),
            "passes_of_8192": _padding(larger),
            "naive_loop": _padding(in_order),
            "fair_esm_loop": _padding(by_length),
            "fair_esm": _padding(by_length),
            "packed": self._packed_padding(),
        }

    def _packed_padding(self) -> float:
        rows = [inputs.present_RT for inputs in self._packed()]
        return round(1.0 - sum(int(each.sum()) for each in rows) / sum(each.size for each in rows), 4)

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
        store = LocalObjects(self._folder / "planned")
        _extract_once(self._model, store, self._recipe)
        ours: list[list[str]] = []
        larger: list[list[str]] = []
        plan = reopen(store, load_frozen(store), self._model).plan
        with StoredSequences(store) as sequences:
            for task in map(plan.task, range(plan.tasks)):
                texts = [sequences.residues(piece.sequence)[piece.start : piece.stop] for piece in task.pieces]
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
            _pass(self._stock, each)
        return time.perf_counter() - began

    def _forward_lone(self) -> float:
        return _in_lone_threads(partial(_pass, self._stock), self._passes())

    def _forward_8192(self) -> float:
        return _in_lone_threads(partial(_pass, self._stock), self._passes(self._larger_batches))

    def _forward_compiled(self) -> float:
        network = self._compiled.network

        def one_at_a_time(each: tuple[torch.Tensor, torch.Tensor]) -> None:
            with self._compiled.passes:
                _pass(network, each)

        return _in_lone_threads(one_at_a_time, self._passes())

    def _forward_fused(self) -> float:
        return _in_lone_threads(partial(_pass, self._model.network), self._passes())

    def _forward_packed(self) -> float:
        return _in_lone_threads(torch.inference_mode()(partial(run_inputs, self._model.network)), self._packed())

    def _extract(self) -> float:
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            return _extract_once(self._model, LocalObjects(Path(place) / "store"), self._recipe)

    def _naive_loop(self) -> float:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            for number, batch in enumerate(self._in_order()):
                torch.save(self._states(batch), Path(place) / f"{number}.pt")
            return time.perf_counter() - began

    def _fair_esm_loop(self) -> float:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            for batch in self._by_length():
                states = self._states(batch)
                for row, (name, residues) in enumerate(batch):
                    kept = {layer: state[row, 1 : len(residues) + 1].clone() for layer, state in enumerate(states)}
                    torch.save({"label": name, "representations": kept}, Path(place) / f"{name}.pt")
            return time.perf_counter() - began

    def _fair_esm(self) -> float:
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            return run_extract_loop(self._fair_esm_network, self._proteins, Path(place))

    def _states(self, batch: Sequence[tuple[str, str]]) -> tuple[torch.Tensor, ...]:
        inputs = self._tokenizer([residues for _, residues in batch], return_tensors="pt", padding=True)
        with torch.inference_mode():
            states: tuple[torch.Tensor, ...] = self._stock(**inputs, output_hidden_states=True).hidden_states
        return states

    def _in_order(self) -> Iterator[Sequence[tuple[str, str]]]:
        for start in range(0, len(self._proteins), FIXED_BATCH):
            yield self._proteins[start : start + FIXED_BATCH]

    def _by_length(self) -> Iterator[Sequence[tuple[str, str]]]:
        batch: Proteins = []
        for protein in sorted(self._proteins, key=lambda each: len(each[1])):
            if batch and (len(batch) + 1) * (len(protein[1]) + 2) > TOKENS_PER_BATCH:
                yield batch
                batch = []
            batch.append(protein)
        yield batch


def _pass(network: nn.Module, tokens_and_mask: tuple[torch.Tensor, torch.Tensor]) -> None:
    with torch.inference_mode():
        network(input_ids=tokens_and_mask[0], attention_mask=tokens_and_mask[1])


def _in_lone_threads(function: Callable[[Any], object], items: Sequence[Any]) -> float:
    with LoneThreads() as threads:
        began = time.perf_counter()
        for _ in threads.map(function, items):
            pass
        return time.perf_counter() - began


def _extract_once(model: TransformersModel, store: LocalObjects, recipe: Recipe) -> float:
    """Extract, and return the seconds from the first task to the last commit."""
    return extract_with(model, store, recipe).seconds


def _padding(lengths: Sequence[Sequence[int]]) -> float:
    flat = list(itertools.chain.from_iterable(lengths))
    ends = list(itertools.accumulate(map(len, lengths), initial=0))
    batches = [torch.arange(start, stop).numpy() for start, stop in itertools.pairwise(ends)]
    return round(padding_share(flat, batches), 4)


def _spread(times: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(times), "least": min(times), "most": max(times)}


def _ratio(seconds: dict[str, list[float]], of: str, to: str) -> dict[str, float]:
    return _spread([one / other for one, other in zip(seconds[of], seconds[to], strict=True)])


def make_model(shape: Shape, folder: Path) -> Path:
    """Return the folder of a model: ours, or one of random weights with the tokenizer of ours."""
    if not shape.layers:
        return Path(TINY)
    shutil.copytree(TINY, folder)
    tiny = EsmConfig.from_pretrained(TINY)
    config = EsmConfig(
        **{
            **tiny.to_dict(),
            "num_hidden_layers": shape.layers,
            "hidden_size": shape.width,
            "num_attention_heads": shape.heads,
            "intermediate_size": 4 * shape.width,
        }
    )
    torch.manual_seed(0)
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def main() -> None:
    """Run the benchmark and write `benchmarks/results/extract.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", help="FASTA of natural proteins")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    models: dict[str, Any] = {}
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            proteins = read_proteins(options.sequences, shape.proteins)
            models[shape.name] = measure(proteins, make_model(shape, folder / "model"), folder, rounds=options.rounds)
        print(shape.name, json.dumps(models[shape.name], indent=2), flush=True)
    # The smallest model leaves the least time to hide everything else behind.
    ratios = {name: each["median"] for name, each in models[SHAPES[0].name]["ratios"].items()}
    write_results("extract", {"threads": torch.get_num_threads(), "ratios": ratios, "models": models})


if __name__ == "__main__":
    main()
