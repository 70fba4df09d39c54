"""The short table of the README: one line for each claim, with where its number comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.pages import markdown
from benchmarks.recording.spread import ratios_of_rounds, spread

__all__ = ["NEEDED", "summary_table"]

NEEDED: Final = ("stream", "s3_stream", "extract", "fidelity", "training_parity")
"""Results that it is made from."""
S3_CASE: Final = "float16"
"""Two sites, direct: the case with the sizes of requests that a store has by default."""

Record = Mapping[str, Any]


def summary_table(stream: Record, s3_stream: Record, extract: Record, fidelity: Record, parity: Record) -> str:
    """Return what was measured, the median with least and most, and how it was taken."""
    title, model = next(iter(extract["models"].items()))
    int8 = fidelity["int8_outliers"]
    differences = [run["difference"] for run in parity["runs"] if run["encoding"] == "int8"]
    lines = [
        *_stream_lines(stream),
        _s3_line(s3_stream),
        [
            "Time of an extraction over the bare forward passes",
            markdown.spread_cell(model["ratios"]["wall_over_forward"]),
            f"{title}, {model['residues']:,} residues, the same batches; {_where(extract)}",
        ],
        [
            "Time of the usual loop over that of an extraction",
            markdown.spread_cell(model["ratios"]["over_naive_loop"]),
            f"the same proteins in file order, padded, all hidden states saved; {_where(extract)}",
        ],
        [
            "int8: signal to quantisation noise, median / worst channel",
            f"{int8['median_db']:.1f} / {int8['worst_db']:.1f} dB",
            f"synthetic, 50x outlier channels, {int8['bits_per_value']:.2f} bits per value; {_where(fidelity)}",
        ],
        [
            "Explained variance after training on int8 rows, less that on float32 rows",
            markdown.spread_cell(spread(differences), digits=4, sign="+"),
            f"{len(differences)} runs of two dictionaries, scored on float32 rows; {_where(parity)}",
        ],
    ]
    return "\n".join([markdown.table(("what", "measured", "how it was taken"), lines), "", _NOTE])


_NOTE: Final = (
    "Medians, least to most in brackets. Ratios are those of the same round of one run, so the speed of the machine "
    "cancels out."
)


def _stream_lines(stream: Record) -> list[Sequence[str]]:
    contestants = stream["workloads"]["one_site"]["contestants"]
    rates = {
        name: [each["rows_per_s"] for each in record["rounds"]]
        for name, record in contestants.items()
        if "rounds" in record
    }
    batch_rows = stream["workloads"]["one_site"]["batch_rows"]
    rounds = f"{stream['rounds']} rounds; {_where(stream)}"
    wanted = (
        ("a gather from RAM", "ram_gather", None, f"float16, local, batches of {batch_rows:,} rows"),
        ("zarr-python with the zarrs pipeline", "zarrs_plain", "zarrs", "zarrs as it comes"),
        ("annbatch", "annbatch", "annbatch_float16", "annbatch as it comes"),
    )
    lines: list[Sequence[str]] = []
    for title, peer, assisted, how in wanted:
        told = how
        if assisted is not None and assisted in rates:
            best = ratios_of_rounds(rates, "actstore", assisted)
            told += f"; {best['median']:.2f} over {_ASSISTED[assisted]}"
        measured = markdown.spread_cell(ratios_of_rounds(rates, "actstore", peer)) if peer in rates else "not measured"
        lines.append([f"Stream of one site, order `windows`, over {title}", measured, f"{told}; {rounds}"])
    return lines


_ASSISTED: Final = {"zarrs": "it with our buffer and gather", "annbatch_float16": "it when left in float16"}


def _s3_line(s3_stream: Record) -> Sequence[str]:
    case = s3_stream["cases"][S3_CASE]
    found = {"median": case["ratio"], "least": case["least_ratio"], "most": case["most_ratio"]}
    how = f"RADOS Gateway on the same cores, float16, {case['sites']} sites; {s3_stream['rounds']} rounds"
    return [
        "Stream from an S3 server over plain GETs of the same ranges",
        markdown.spread_cell(found),
        f"{how}; {_where(s3_stream)}",
    ]


def _where(results: Record) -> str:
    return f"{results['machine']['cores']} cores, commit {results['commit']}{markdown.load_note(results)}"
