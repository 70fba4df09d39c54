"""The tables of measurements in the documents, generated from `results/*.json`.

What stands between `<!-- benchmarks:NAME -->` and `<!-- /benchmarks:NAME -->` is replaced. `TABLES` says in which
document each table belongs.

    python -m benchmarks.tables [--check]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from benchmarks.auxk import table as auxk_table
from benchmarks.pages import markdown
from benchmarks.pages.stream_tables import s3_stream_table, stream_table
from benchmarks.pages.summary import NEEDED, summary_table
from benchmarks.peers import table as peers_table
from benchmarks.peers_thresholds import table as peers_thresholds_table
from benchmarks.proteins import table as proteins_table
from benchmarks.recording.report import RESULTS
from benchmarks.scale import table as cost_table
from benchmarks.train import table as train_table

__all__ = [
    "DOCUMENTS",
    "MEASUREMENTS",
    "README",
    "TABLES",
    "Table",
    "extract_table",
    "fidelity_table",
    "main",
    "render",
    "scale_table",
    "training_parity_table",
]

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
MEASUREMENTS: Final = ROOT / "docs" / "explanation" / "measurements.md"

Record = Mapping[str, Any]


class Table(NamedTuple):
    """A table and the document that it stands in."""

    document: Path
    make: Callable[..., str]
    """Makes it from the results that it needs, in their order."""
    needs: tuple[str, ...]
    """Names of results."""

    def body(self, results: Path) -> str:
        """Return the table, or which results there are not yet.

        Raises
        ------
        ValueError
            If results were measured with uncommitted changes: nobody could repeat them.
        """
        paths = [results / f"{name}.json" for name in self.needs]
        if missing := [path.stem for path in paths if not path.exists()]:
            return f"Not measured yet: {', '.join(missing)}."
        records = [json.loads(path.read_text()) for path in paths]
        for path, record in zip(paths, records, strict=True):
            if record["commit"].endswith("-dirty"):
                raise ValueError(f"{path}: measured at {record['commit']}; measure again from a clean commit")
        return self.make(*records)


def render(text: str, results: Path) -> str:
    """Return a document with the tables of a folder of results in place.

    Raises
    ------
    ValueError
        If the document asks for a table that nobody makes.
    """
    return markdown.fill_in(text, "benchmarks", {name: partial(table.body, results) for name, table in TABLES.items()})


def fidelity_table(results: Record) -> str:
    """Return encodings as rows: bits, signal to noise with outlier channels and of a real model, loss in training."""
    heads = (
        "encoding",
        "bits per value",
        "50x outlier channels: median channel, dB",
        "worst",
        "`esm2-tiny`, least of its sites: median channel, dB",
        "worst",
        "explained variance lost",
    )
    losses = {
        record["encoding"]: record["loss"] for record in results["explained_variance"] if record["data"] == "natural"
    }
    lines = []
    for record in results["noise"]:
        if record["data"] != "outliers":
            continue
        name = record["encoding"]
        natural = [other for other in results["noise"] if other["data"] == "natural" and other["encoding"] == name]
        lines.append(
            [
                name,
                f"{record['bits_per_value']:.2f}",
                *_decibels([record]),
                *_decibels(natural),
                f"{losses[name]:+.4f}" if name in losses else markdown.MISSING,
            ]
        )
    return "\n".join([markdown.table(heads, lines), "", markdown.machine_line(results)])


_EXTRACT_TITLES: Final = {
    "actstore": "**actstore extract**: all sites to int8, hashed, on disk",
    "forward": "`transformers`' forward passes of the same batches, nothing else",
    "forward_lone": "the same, one thread a pass, several at a time",
    "forward_8192": "the same, in passes of 8,192 tokens",
    "forward_fused": "our passes again, GELU in one step, as we run them",
    "forward_compiled": "the same, with `model.compile`",
    "forward_packed": "the same, several proteins in a row",
    "naive_loop": "`transformers`, batches of 8 in file order, all hidden states, `.pt` a batch",
    "fair_esm_loop": "`transformers` in the loop of fair-esm's `extract.py`: by length, `.pt` a protein",
    "fair_esm": "fair-esm's `extract.py` with its own network",
}
_EXTRACT_PADDING: Final = {
    "forward": "actstore",
    "forward_lone": "actstore",
    "forward_8192": "passes_of_8192",
    "forward_fused": "actstore",
    "forward_compiled": "actstore",
    "forward_packed": "packed",
}

_EXTRACT_RATIOS: Final = {
    "wall_over_forward": "",
    "wall_over_forward_lone": "over one thread a pass ",
    "wall_over_forward_fused": "over the network as we run it ",
}


def extract_table(results: Record) -> str:
    """Return loops as rows: seconds of each model, as a multiple of ours, and the padding of their batches."""
    models = results["models"]
    heads = ["", *(f"{name}, {models[name]['residues']:,} residues: s" for name in models)]
    heads += [*(f"{name}: of ours" for name in models), "padding"]
    first = next(iter(models.values()))
    lines = []
    for name, title in _EXTRACT_TITLES.items():
        if name not in first["seconds"]:  # measured before this contestant came
            continue
        seconds = [model["seconds"][name] for model in models.values()]
        ours = [model["seconds"]["actstore"]["median"] for model in models.values()]
        lines.append(
            [
                title,
                *(markdown.spread_cell(each, digits=1) for each in seconds),
                *(f"{each['median'] / own:.2f}" for each, own in zip(seconds, ours, strict=True)),
                f"{first['padding'][_EXTRACT_PADDING.get(name, name)]:.0%}",
            ]
        )
    walls = "; ".join(
        f"{name} "
        + ", ".join(
            f"{title}{markdown.spread_cell(model['ratios'][ratio])}"
            for ratio, title in _EXTRACT_RATIOS.items()
            if ratio in model["ratios"]
        )
        for name, model in models.items()
    )
    notes = (
        f"Wall time over the bare forward passes, medians of rounds in turns: {walls}. {markdown.machine_line(results)}"
    )
    return "\n".join([markdown.table(heads, lines), "", notes])


def scale_table(results: Record) -> str:
    """Return what is done to a store as rows, its sizes as columns; below, what a second worker brings."""
    costs = {int(size): steps for size, steps in results["costs"].items()}
    workers = results["workers"]
    brought = ", ".join(
        f"{title} {markdown.spread_cell(workers['ratios'][name])}"
        for title, name in (
            ("two processes with `--shard-of` over one process", "shares_2_over_serial"),
            ("two Dask workers over one", "dask_2_over_dask_1"),
        )
    )
    notes = (
        f"Rows a second of {workers['model']} on two cores, one for each worker: {brought}. "
        f"{markdown.machine_line(results)} "
        "`flat` is the time at the largest size over that at the smallest, divided by the tasks where a step has "
        "work for every task; about 1 or less is flat."
    )
    return "\n".join([cost_table(costs), "", notes])


_DICTIONARY_TITLES: Final = {
    "topk-sae": "TopK sparse autoencoder, `resid_post.3`",
    "crosscoder-topk": "TopK crosscoder, all sites",
}


def training_parity_table(results: Record) -> str:
    """Return dictionaries as rows: explained variance after training from memory and from stores, means of seeds."""
    runs = results["runs"]
    seeds = len({run["seed"] for run in runs})
    heads = (
        f"dictionary (8x, k = 32), mean of {seeds} seeds",
        "rows in memory",
        "int8 store",
        "float16 store",
    )

    def mean(dictionary: str, encoding: str, source: str) -> str:
        values = [
            run[f"explained_variance_{source}"]
            for run in runs
            if (run["dictionary"], run["encoding"]) == (dictionary, encoding)
        ]
        return f"{statistics.fmean(values):.4f}" if values else markdown.MISSING

    lines = [
        [title, mean(name, "int8", "memory"), mean(name, "int8", "store"), mean(name, "float16", "store")]
        for name, title in _DICTIONARY_TITLES.items()
    ]
    notes = (
        f"The largest difference between a run from a store and its run in memory is "
        f"{results['largest_difference']:.5f}. "
        f"{markdown.machine_line(results)}"
    )
    return "\n".join([markdown.table(heads, lines), "", notes])


def _decibels(records: Sequence[Record]) -> list[str]:
    """Return the least median and the worst channel of some sites."""
    both = [[record[field] for record in records] for field in ("median_db", "worst_db")]
    return [markdown.MISSING if not values or None in values else f"{min(values):.1f}" for values in both]


_ONE_EACH: Final[Mapping[str, Callable[[Record], str]]] = {
    "proteins": proteins_table,
    "stream": stream_table,
    "fidelity": fidelity_table,
    "s3_stream": s3_stream_table,
    "extract": extract_table,
    "scale": scale_table,
    "training_parity": training_parity_table,
    "train": train_table,
    "auxk": auxk_table,
    "peers": peers_table,
    "peers_thresholds": peers_thresholds_table,
}
TABLES: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "summary": Table(README, summary_table, NEEDED),
        **{name: Table(MEASUREMENTS, make, (name,)) for name, make in _ONE_EACH.items()},
    }
)
DOCUMENTS: Final = tuple(dict.fromkeys(table.document for table in TABLES.values()))


def main() -> None:
    """Write the tables into their documents; with `--check`, only say whether they are in step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        rendered = render(text, RESULTS)
        if options.check and rendered != text:
            name = document.relative_to(ROOT)
            sys.exit(f"{name} is out of step with benchmarks/results: run 'python -m benchmarks.tables'")
        if rendered != text:
            document.write_text(rendered, encoding="utf-8")


if __name__ == "__main__":
    main()
