"""Peers with files of their own: LitData, Hugging Face datasets and plain torch files.

All hold the same float16 rows, with the stored row of each as a column of its own. What is read block by block was
written in random order of its blocks, as LitData's documentation asks for; a shuffle buffer then mixes the rows.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.contestants.contract import Contestant, Delivered, Setting, Variant
from benchmarks.contestants.fills import FillLoader, Span, deal_spans, fill_rows

__all__ = [
    "BlockFiller",
    "LitDataRows",
    "open_datasets",
    "open_litdata_blocks",
    "open_litdata_blocks_plain",
    "open_litdata_rows",
    "open_torch_files",
    "prepare_datasets",
    "prepare_litdata_blocks",
    "prepare_litdata_rows",
    "prepare_torch_files",
]

_BLOCKS_PER_FILL: Final = 64
"""A fill then draws on every task, though its blocks are drawn at random: batches as well mixed as ours."""
_FILE_BLOCKS: Final = 4
_PART_TASKS: Final = 4
_CHUNK_BYTES: Final = "64MB"
_RING: Final = 3
_LITDATA_WAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "windows of 256 items": {},
    "item by item": {"batch_decode": 0, "item_shuffle_window": 0},
}
"""Items are decoded, and shuffled inside their chunk file, in windows by default."""


def part_rows(setting: Setting, *, one_site: int | None = None) -> int:
    """Return the rows that a contestant is measured on: of one site all, or `one_site` tasks; of six sites four tasks.

    Copies of all rows with all sites for every peer would not fit into the page cache of a machine of 24 GB.
    """
    workload = setting.workload
    tasks = one_site if workload.sites == 1 else min(_PART_TASKS, one_site or _PART_TASKS)
    return workload.rows if tasks is None else min(workload.rows, tasks * setting.scale.task_rows)


def prepare_litdata_blocks(setting: Setting, folder: Path) -> None:
    """Write blocks of rows, a 64th of a fill each, in random order, into chunk files of 64 MB."""
    spans = _blocks(setting, rows=setting.workload.rows)
    _optimize(folder, partial(_litdata_item, setting, spans), len(spans))


def open_litdata_blocks(setting: Setting, folder: Path) -> Contestant:
    """Stream blocks into a shuffle buffer."""
    return FillLoader(setting, _litdata_filler(setting, folder))


def open_litdata_blocks_plain(setting: Setting, folder: Path) -> Contestant:
    """Stream the same as one does at first: gathered into new memory."""
    return FillLoader(setting, _litdata_filler(setting, folder), plain=True)


def _litdata_filler(setting: Setting, folder: Path) -> BlockFiller:
    def blocks(options: Mapping[str, Any], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for item in _streaming_dataset(setting, folder, epoch, options):
            yield item["x"], item["row"]

    ways = {name: partial(blocks, options) for name, options in _LITDATA_WAYS.items()}
    return BlockFiller(setting.workload.rows, ways)


def prepare_litdata_rows(setting: Setting, folder: Path) -> None:
    """Write every row as an item, in random order, into chunk files of 64 MB."""
    rows = part_rows(setting, one_site=2)
    order_N = np.random.default_rng([setting.seed, *b"rows"]).permutation(rows)
    spans = [Span(row, row + 1) for row in order_N.tolist()]
    _optimize(folder, partial(_litdata_item, setting, spans), len(spans))


def open_litdata_rows(setting: Setting, folder: Path) -> Contestant:
    """Stream rows through a `StreamingDataLoader`."""
    return LitDataRows(setting, folder)


class LitDataRows:
    """Shuffled and collated by LitData; widened into a ring of batches."""

    variants: Sequence[Variant] = tuple(
        {"way": way, "workers": workers} for way, workers in itertools.product(_LITDATA_WAYS, (0, 2))
    )

    def __init__(self, setting: Setting, folder: Path) -> None:
        workload = setting.workload
        self._setting, self._folder = setting, folder
        self._ring = [torch.empty(workload.batch_rows, workload.columns) for _ in range(_RING)]
        self._variant = self.variants[0]
        self.rows = part_rows(setting, one_site=2)

    def use(self, variant: Variant) -> None:
        """Decode in one of the ways, with so many worker processes."""
        self._variant = variant

    def epoch(self, number: int) -> Generator[Delivered]:
        """Yield every row once."""
        dataset = _streaming_dataset(self._setting, self._folder, number, _LITDATA_WAYS[self._variant["way"]])
        loader = import_module("litdata").StreamingDataLoader(
            dataset,
            batch_size=self._setting.workload.batch_rows,
            num_workers=self._variant["workers"],
            drop_last=False,
        )
        for turn, batch in enumerate(loader):
            values_BX = self._ring[turn % _RING][: len(batch["x"])]
            values_BX.copy_(batch["x"][:, 0])
            yield Delivered(values_BX, batch["row"][:, 0].numpy())

    @property
    def holds_buffer(self) -> bool:
        """Whether encoded rows are held in a buffer of the workload's size."""
        return False

    def close(self) -> None:
        """Nothing to release."""


def prepare_datasets(setting: Setting, folder: Path) -> None:
    """Write an Arrow file of fixed-size lists of float16, rows in stored order."""
    pyarrow, datasets = import_module("pyarrow"), import_module("datasets")
    flat_NX, columns = setting.flat(), setting.workload.columns
    features = datasets.Features(
        {"row": datasets.Value("int64"), "x": datasets.List(datasets.Value("float16"), length=columns)}
    )
    folder.mkdir(parents=True)
    writer = import_module("datasets.arrow_writer").ArrowWriter(path=str(folder / "rows.arrow"), features=features)
    rows = part_rows(setting)
    chunk_rows = setting.scale.chunk_rows
    for start in range(0, rows, chunk_rows):
        block_RX = np.array(flat_NX[start : min(start + chunk_rows, rows)])
        lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(block_RX.reshape(-1)), columns)
        writer.write_table(pyarrow.table({"row": np.arange(start, start + len(block_RX)), "x": lists}))
    writer.finalize()


def open_datasets(setting: Setting, folder: Path) -> Contestant:
    """Map the Arrow file and slice it into a shuffle buffer, in Arrow's own format: three times faster than `torch`."""
    dataset = import_module("datasets").Dataset.from_file(str(folder / "rows.arrow")).with_format("arrow")
    scale, rows = setting.scale, part_rows(setting)

    def slices(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        spans = deal_spans(
            rows,
            task_rows=scale.task_rows,
            chunk_rows=scale.chunk_rows,
            fill=fill_rows(setting.workload),
            seed=[setting.seed, epoch],
        )
        for span in spans:
            table = dataset[span.start : span.stop]
            row = 0
            for chunk in table["x"].chunks:
                values_RX = np.asarray(chunk.flatten()).reshape(len(chunk), -1)
                row_R = np.asarray(table["row"][row : row + len(chunk)])
                row += len(chunk)
                yield _tensor(values_RX), _tensor(row_R)

    return FillLoader(setting, BlockFiller(rows, {"slices": slices}))


def prepare_torch_files(setting: Setting, folder: Path) -> None:
    """Write files of four random blocks each: 1,024 rows of one site, 256 of six."""
    folder.mkdir(parents=True)
    spans = _blocks(setting, rows=part_rows(setting))
    flat_NX = setting.flat()
    for index, start in enumerate(range(0, len(spans), _FILE_BLOCKS)):
        members = spans[start : start + _FILE_BLOCKS]
        x_RX = np.concatenate([flat_NX[span.start : span.stop] for span in members])
        row_R = np.concatenate([np.arange(span.start, span.stop) for span in members])
        torch.save({"x": torch.from_numpy(x_RX), "row": torch.from_numpy(row_R)}, folder / f"{index:05}.pt")


def open_torch_files(setting: Setting, folder: Path) -> Contestant:
    """Load the files in random order into a shuffle buffer, read or mapped."""
    paths = sorted(folder.glob("*.pt"))

    def files(epoch: int, *, mmap: bool) -> Iterator[tuple[Tensor, Tensor]]:
        for index in np.random.default_rng([setting.seed, epoch]).permutation(len(paths)):
            item = torch.load(paths[index], mmap=mmap, weights_only=True)
            yield item["x"], item["row"]

    ways = {"mapped": partial(files, mmap=True), "read": partial(files, mmap=False)}
    return FillLoader(setting, BlockFiller(part_rows(setting), ways))


class BlockFiller:
    """Copies blocks of rows, as an iterator gives them, into fills; a block across a border goes to both.

    Parameters
    ----------
    rows
        Rows of an epoch.
    ways
        Functions from an epoch to its blocks, values [R, X] and stored rows [R], by name.
    """

    groups = 1

    def __init__(self, rows: int, ways: Mapping[str, Callable[[int], Iterator[tuple[Tensor, Tensor]]]]) -> None:
        self.rows = rows
        self._ways = ways
        self.variants: Sequence[Variant] = [{"way": name} for name in ways]
        self._way = next(iter(ways))
        self._blocks: Iterator[tuple[Tensor, Tensor]] = iter(())
        self._rest: tuple[Tensor, Tensor] | None = None

    def use(self, variant: Variant) -> None:
        """Take one of the ways."""
        self._way = variant["way"]

    def begin(self, epoch: int) -> None:
        """Start the blocks of an epoch."""
        self._rest = None
        self._blocks = self._ways[self._way](epoch)

    def fill(self, values_GRX: NDArray[np.float16], row_R: NDArray[np.int64]) -> int:
        """Copy the next blocks."""
        values_RX, rows_R = torch.from_numpy(values_GRX[0]), torch.from_numpy(row_R)
        filled = 0
        while filled < len(row_R):
            block = self._rest or next(self._blocks, None)
            if block is None:
                break
            x_RX, block_R = block
            room = len(row_R) - filled
            part_R = block_R[:room]
            values_RX[filled : filled + len(part_R)].copy_(x_RX[:room])
            rows_R[filled : filled + len(part_R)].copy_(part_R)
            filled += len(part_R)
            self._rest = (x_RX[room:], block_R[room:]) if len(block_R) > room else None
        return filled

    def close(self) -> None:
        """Drop the blocks."""
        self._blocks, self._rest = iter(()), None


def _blocks(setting: Setting, *, rows: int) -> list[Span]:
    """Return blocks that cover the rows once, in random order: 256 rows of one site, 64 of six."""
    block_rows = max(1, fill_rows(setting.workload) // _BLOCKS_PER_FILL)
    starts = np.random.default_rng([setting.seed, *b"blocks"]).permutation(np.arange(0, rows, block_rows))
    return [Span(start, min(start + block_rows, rows)) for start in starts.tolist()]


def _litdata_item(setting: Setting, spans: Sequence[Span], index: int) -> dict[str, Tensor]:
    span = spans[index]
    x_RX = torch.from_numpy(np.array(setting.flat()[span.start : span.stop]))
    return {"x": x_RX, "row": torch.arange(span.start, span.stop)}


def _optimize(folder: Path, item: Callable[[int], Any], count: int) -> None:
    import_module("litdata").optimize(
        fn=item,
        inputs=list(range(count)),
        output_dir=str(folder),
        chunk_bytes=_CHUNK_BYTES,
        num_workers=1,
        verbose=False,
    )


def _streaming_dataset(setting: Setting, folder: Path, epoch: int, options: Mapping[str, Any]) -> Iterable[Any]:
    # An epoch is a seed of its own, since a loader counts the epochs of its dataset itself.
    seed = int(np.random.default_rng([setting.seed, epoch]).integers(1 << 31))
    dataset: Iterable[Any] = import_module("litdata").StreamingDataset(
        str(folder), shuffle=True, drop_last=False, seed=seed, **options
    )
    return dataset


def _tensor(array: NDArray[Any]) -> Tensor:
    """Return a tensor over memory that cannot be written to, of which torch would warn; nobody writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(array)
