"""Files of every format, written with the libraries that write them, and what is in them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import torch
from numpy.typing import NDArray

__all__ = ["SOURCES", "Made", "proteins", "write_fasta_of"]

WIDTH = 24
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


class Made(NamedTuple):
    """A source, and the rows in it."""

    place: Path
    format: str
    """As it is to be recognised."""
    rows: Mapping[str, NDArray[np.float32]]
    """By id of sequence, at the only site."""
    known: tuple[str, ...]
    tokens: Mapping[str, NDArray[np.int64]] | None = None


def proteins(count: int = 30, seed: int = 0, shortest: int = 20, longest: int = 80) -> dict[str, NDArray[np.float32]]:
    """Return rows of proteins of several lengths; one channel is much larger than the others."""
    rng = np.random.default_rng(seed)
    sizes = np.ones(WIDTH)
    sizes[3] = 50
    return {
        f"P{number:05d}": (rng.normal(size=(rng.integers(shortest, longest), WIDTH)) * sizes).astype(np.float32)
        for number in range(count)
    }


def contexts(count: int = 12, length: int = 50) -> NDArray[np.float32]:
    """Return rows of sequences of one length, [B, T, D], that float16 holds."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, length, WIDTH)).astype(np.float16).astype(np.float32)


def write_fasta_of(path: Path, rows: Mapping[str, NDArray[np.float32]]) -> dict[str, str]:
    """Write a FASTA file of made-up residues for these rows; return them."""
    rng = np.random.default_rng(2)
    texts = {name: "".join(rng.choice(list(LETTERS), len(values))) for name, values in rows.items()}
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return texts


def blocks(name: str, values_ND: NDArray[np.float32], rows: int = 256) -> dict[str, NDArray[np.float32]]:
    """Return rows without boundaries as they are taken."""
    return {
        f"{name}[{start}:{min(start + rows, len(values_ND))}]": values_ND[start : start + rows]
        for start in range(0, len(values_ND), rows)
    }


def npy(folder: Path) -> Made:
    one, two = (np.concatenate(list(proteins(seed=seed).values())).astype(np.float16) for seed in (1, 2))
    np.save(folder / "shard_2.npy", one)
    np.save(folder / "shard_10.npy", two)
    rows = blocks("shard_2.npy", one.astype(np.float32)) | blocks("shard_10.npy", two.astype(np.float32))
    return Made(folder, "npy", rows, ())


def pt_dictionary(folder: Path) -> Made:
    values, tokens = contexts(), np.arange(12 * 50).reshape(12, 50) % 33
    content = {"acts": torch.tensor(values).half(), "input_ids": torch.tensor(tokens)}
    torch.save(content, folder / "a.pt")
    names = [f"a.pt[{index}]" for index in range(12)]
    return Made(
        folder,
        "pt",
        dict(zip(names, values, strict=True)),
        ("positions", "tokens"),
        dict(zip(names, tokens, strict=True)),
    )


def pt_esm(folder: Path) -> Made:
    """Write what `esm-extract` writes: a file for each protein."""
    rows = proteins()
    for name, values in rows.items():
        content = {
            "label": name,
            "representations": {6: torch.tensor(values)},
            "mean_representations": {6: torch.ones(3)},
        }
        torch.save(content, folder / f"{name}.pt")
    return Made(folder, "pt", rows, ("ids", "positions"))


def safetensors_ids(folder: Path) -> Made:
    rows = proteins()
    safetensors.numpy.save_file(dict(rows), folder / "all.safetensors")
    return Made(folder, "safetensors", rows, ("ids", "positions"))


def h5_keys(folder: Path) -> Made:
    rows = {name: values.astype(np.float16).astype(np.float32) for name, values in proteins().items()}
    with h5py.File(folder / "per-residue.h5", "w") as file:
        for name, values in rows.items():
            file.create_dataset(name, data=values.astype(np.float16), compression="gzip")
    return Made(folder / "per-residue.h5", "h5", rows, ("ids", "positions"))


def h5_original_ids(folder: Path) -> Made:
    """Write what bio_embeddings writes: keys are numbers, and ids are attributes."""
    rows = proteins()
    with h5py.File(folder / "embeddings_file.h5", "w") as file:
        for number, (name, values) in enumerate(rows.items()):
            file.create_dataset(str(number), data=values).attrs["original_id"] = name
    return Made(folder, "h5", rows, ("ids", "positions"))


def interplm_shuffled(folder: Path) -> Made:
    layer = folder / "layer_3"
    rows: dict[str, NDArray[np.float32]] = {}
    for shard in (0, 1):
        values = np.concatenate(list(proteins(seed=shard).values()))
        (layer / f"shard_{shard}").mkdir(parents=True)
        torch.save(torch.tensor(values), layer / f"shard_{shard}/activations.pt")
        described = {"model": "esm2_t6_8M_UR50D", "total_tokens": len(values), "d_model": WIDTH, "layer": 3}
        (layer / f"shard_{shard}/metadata.json").write_text(json.dumps(described))
        rows |= blocks(f"shard_{shard}/activations.pt", values)
    return Made(layer, "interplm", rows, ("model",))


def interplm_boundaries(folder: Path) -> Made:
    layer = folder / "layer_3"
    rows: dict[str, NDArray[np.float32]] = {}
    for shard in (0, 1):
        here = {f"{name}-{shard}": values for name, values in proteins(seed=shard).items()}
        ends = np.cumsum([len(values) for values in here.values()]).tolist()
        content = {
            "embeddings": torch.tensor(np.concatenate(list(here.values()))),
            "boundaries": list(zip([0, *ends[:-1]], ends, strict=True)),
            "protein_ids": list(here),
        }
        (layer / f"shard_{shard}").mkdir(parents=True)
        torch.save(content, layer / f"shard_{shard}/embeddings.pt")
        rows |= here
    return Made(layer, "interplm", rows, ("ids", "positions"))


def bionemo(folder: Path) -> Made:
    rows: dict[str, NDArray[np.float32]] = {}
    for index in range(2):
        values = np.concatenate(list(proteins(seed=index).values()))[:700]
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), WIDTH)
        pq.write_table(pa.table({"act": column}), folder / f"shard_{index:05d}.parquet", compression="snappy")
        rows |= blocks(f"shard_{index:05d}.parquet", values)
    described = {
        "n_samples": 1400,
        "hidden_dim": WIDTH,
        "n_shards": 2,
        "shard_size": 700,
        "model_name": "evo2",
        "layer": 26,
    }
    (folder / "metadata.json").write_text(json.dumps(described))
    return Made(folder, "bionemo", rows, ("model",))


def activault(folder: Path) -> Made:
    hook, values, tokens = folder / "models.layers.3.mlp.post", contexts(), np.arange(12 * 50).reshape(12, 50)
    hook.mkdir()
    content = {"states": torch.tensor(values), "input_ids": torch.tensor(tokens), "tensor_bytes": 7}
    torch.save(content, hook / "0f3a--1_0.saved.pt")
    described = {"d_in": WIDTH, "sequence_length": 50, "dtype": "torch.float32", "shape": [12, 50, WIDTH]}
    (hook / "metadata.json").write_text(json.dumps(described))
    names = [f"0f3a--1_0.saved.pt[{index}]" for index in range(12)]
    return Made(
        hook,
        "activault",
        dict(zip(names, values, strict=True)),
        ("positions", "tokens"),
        dict(zip(names, tokens, strict=True)),
    )


SOURCES: dict[str, Callable[[Path], Made]] = {
    made.__name__: made
    for made in (
        npy,
        pt_dictionary,
        pt_esm,
        safetensors_ids,
        h5_keys,
        h5_original_ids,
        interplm_shuffled,
        interplm_boundaries,
        bionemo,
        activault,
    )
}
