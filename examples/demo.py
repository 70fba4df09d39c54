"""The main job from end to end, offline: proteins, activations, a store, dictionaries, and what they find.

Every step is a command that works the same on real data; this script only runs them and sums up.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from actstore.testing.proteins import synthetic_proteins, write_synthetic_corpus

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent / "demo"
STORE = DEMO / "store"
BIN = Path(sys.executable).parent
STRONGEST = HERE / "strongest_latents.py"
SWEEP = HERE / "sweep.toml"
PAGE = DEMO / "report.html"
DICTIONARIES = {"topk-sae": ("--site", "resid_post.3"), "crosscoder-topk": ()}
console = Console(highlight=False)


def run(*command: str) -> dict[str, Any]:
    """Run a command of the project with --json and return its report."""
    console.print(f"\n[bold]$ {' '.join(command)}[/bold]", soft_wrap=True)
    finished = subprocess.run(
        [BIN / command[0], *command[1:], "--json"], check=False, stdout=subprocess.PIPE, text=True, cwd=HERE.parent
    )
    if finished.returncode:
        sys.exit(finished.returncode)
    report: dict[str, Any] = json.loads(finished.stdout)
    return report


def relative(path: Path) -> str:
    """Return a path as it is typed from the project's folder."""
    return str(path.relative_to(HERE.parent))


def train(dictionary: str, *options: str) -> dict[str, Any]:
    """Train one dictionary from the store."""
    out = DEMO / dictionary
    return run(
        "trainer", "read-from-store", relative(STORE), "--dictionary", dictionary, *options, "--out", relative(out)
    )


def compare() -> None:
    """Train three dictionaries on one reading of the store, and write the page that compares them."""
    swept = DEMO / "sweep"
    run("trainer", "sweep", relative(STORE), relative(SWEEP), "--eval-every", "10", "--out", relative(swept))
    report = run("trainer", "report", relative(swept), "--html", relative(PAGE))
    table = Table(title="Three dictionaries on one stream", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("", "EV", "L0", "dead"):
        table.add_column(heading, justify="left" if not heading else "right")
    for one in report["runs"]:
        result = one["result"]
        dead = "-" if result["dead_fraction"] is None else f"{result['dead_fraction']:.1%}"
        table.add_row(one["name"], f"{result['explained_variance']:.3f}", f"{result['l0']:.1f}", dead)
    console.print()
    console.print(table)


def main() -> None:
    """Run the demo in ./demo, from the beginning."""
    started = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    files = write_synthetic_corpus(DEMO / "proteins", synthetic_proteins(families=100, members=20, seed=0))
    console.print(f"2,000 synthetic proteins in 100 families: {relative(files.fasta)}")

    extracted = run(
        "actstore",
        "extract",
        *("--model", relative(HERE / "esm2-tiny")),
        *("--sequences", relative(files.fasta)),
        *("--clusters", relative(files.clusters)),
        *("--site", "resid_post.*"),
        *("--fraction", "0.25"),
        *("--store", relative(STORE)),
    )
    store = run("actstore", "inspect", relative(STORE))
    title = "What came out (EV: explained variance on held-out rows)"
    summary = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("", "rows", "bytes", "against fp16", "rows/s", "EV", "L0"):
        summary.add_column(heading, justify="left" if not heading else "right")
    size, ratio = f"{store['bytes_total'] / 1e6:,.0f} MB", f"{store['ratio_to_fp16']:.2f}x less"
    summary.add_row("store", f"{store['rows']:,}", size, ratio, f"{extracted['rows_per_s']:,.0f}", "", "")
    for name, options in DICTIONARIES.items():
        report = train(name, *options)
        variance, l0 = f"{report['explained_variance']:.3f}", f"{report['l0']:.1f}"
        summary.add_row(name, f"{report['rows']:,}", "", "", f"{report['rows_per_s']:,.0f}", variance, l0)
    console.print()
    console.print(summary)
    console.print("The strongest latents of one protein:\n")
    console.print(STRONGEST.read_text("utf-8"), markup=False, soft_wrap=True)
    subprocess.run([sys.executable, STRONGEST], check=True, cwd=HERE.parent)
    compare()
    console.print(f"\nDone in {time.monotonic() - started:.0f} s. The files:")
    console.print(f"  {relative(STORE)}: the store; try 'actstore verify {relative(STORE)}'")
    for name in DICTIONARIES:
        console.print(f"  {relative(DEMO / name)}: weights, configuration, metrics")
    console.print(f"  {relative(DEMO / 'sweep')}: three dictionaries on one stream, a run each")
    console.print(f"  {relative(PAGE)}: the page that compares them")


if __name__ == "__main__":
    main()
