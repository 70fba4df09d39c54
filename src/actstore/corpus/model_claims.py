"""Check the files of a model folder before they are loaded: their sizes, and the sizes that they claim.

`transformers` builds what `config.json` says before it looks at the weights. So the claims are compared with limits,
and with the number of weights in the files, which are their sizes on disk or the shapes in their headers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from actstore.access.printable import printable
from actstore.errors import ModelError

__all__ = ["check_model_files", "check_model_folder"]

_CONFIG: Final = "config.json"
_MOST_TEXT_BYTES: Final[Mapping[str, int]] = {
    "*.json": 1 << 22,
    "*.txt": 1 << 22,
    "*.vocab": 1 << 22,
    "*.model": 1 << 24,
    "tokenizer.json": 1 << 24,
}
"""Limits by the names of files, the last that matches; the largest vocabulary of a public protein model has 0.4 MB."""
_MOST_HEADER_BYTES: Final = 1 << 24
_DEEPEST: Final = 32
_LARGEST_NUMBER: Final = 1e30
_LARGEST_INTEGER: Final = 1 << 53

_WIDTHS: Final = ("hidden_size", "d_model", "n_embd")
_LAYERS: Final = ("num_hidden_layers", "num_layers", "n_layer")
_BESIDE_WIDTH: Final = ("vocab_size", "intermediate_size", "d_ff", "n_inner")
"""Sizes of matrices whose other side is the width."""
_LIMITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(_WIDTHS, 1 << 20),
    **dict.fromkeys(_LAYERS, 4096),
    **dict.fromkeys(_BESIDE_WIDTH, 1 << 24),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "num_key_value_heads"), 1 << 16),
    **dict.fromkeys(("d_kv", "head_dim"), 1 << 16),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx"), 1 << 24),
    **dict.fromkeys(("num_labels", "type_vocab_size", "relative_attention_num_buckets"), 1 << 20),
}
_MAY_BE_ZERO: Final = frozenset({"type_vocab_size", "num_labels"})


def check_model_folder(name: str) -> None:
    """Check the files of a model if its name is that of a local folder; `check_model_files` says what is refused."""
    folder = Path(name).expanduser()
    if (folder / _CONFIG).is_file():
        check_model_files(folder, name=name)


def check_model_files(folder: Path, *, name: str, is_complete: bool = True) -> None:
    """Refuse a folder whose files are too large for a model, or whose configuration claims what its weights cannot be.

    Nothing is loaded: a few megabytes are read.

    Parameters
    ----------
    folder
        Has a `config.json`.
    name
        Name of the model, for messages.
    is_complete
        Whether it has all weights of the model; those of a cache may still be on their way.

    Raises
    ------
    ModelError
        Names the file and the field.
    """
    limits = {path: most for pattern, most in _MOST_TEXT_BYTES.items() for path in folder.glob(pattern)}
    for path, most in limits.items():
        size = _size(path, name)
        if size > most:
            raise ModelError(
                f"{name}: {printable(path.name)} has {size:,} bytes, more than the {most:,} that such a file of a "
                "model has; name a folder with the files of the model alone"
            )
    document = _document(folder / _CONFIG, name)
    problems = [*_problems(document, "", depth=0)]
    if not problems and is_complete:
        problems += _claims(document, _weights(folder))
    if problems:
        raise ModelError(f"{name}: {_CONFIG}: {problems[0]}; get the complete files of the model again")


def _size(path: Path, name: str) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelError(f"{name}: {printable(path.name)} cannot be read: {error.strerror}") from error


def _document(path: Path, name: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{name}: {_CONFIG} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else printable(str(error))
        raise ModelError(f"{name}: {_CONFIG} is not JSON: {said}; get the file again") from error
    if not isinstance(document, dict):
        raise ModelError(f"{name}: {_CONFIG} is not a JSON object; get the file again")
    return document


def _problems(part: Any, where: str, *, depth: int) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield numbers that are not finite or too large, sizes out of range, and what is nested too deeply."""
    if depth > _DEEPEST:
        yield f"{where[:80]} is nested more than {_DEEPEST} levels deep"
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _problems(value, f"{where}.{printable(key, most=40)}".lstrip("."), depth=depth + 1)
            if key in _LIMITS and value is not None:
                yield from _size_problem(key, value, where)
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _problems(value, f"{where}[{index}]", depth=depth + 1)
    elif isinstance(part, int) and abs(part) > _LARGEST_INTEGER:
        yield f"{where} is beyond {_LARGEST_INTEGER:,}"
    elif isinstance(part, float) and not (math.isfinite(part) and abs(part) <= _LARGEST_NUMBER):
        yield f"{where} is {part}, no finite number that a model has"


def _size_problem(key: str, value: object, where: str) -> Iterator[str]:
    least = 0 if key in _MAY_BE_ZERO else 1
    name = f"{where}.{key}".lstrip(".")
    if isinstance(value, list):
        return  # a size for each layer, of architectures that have no row in the table
    if isinstance(value, bool) or not isinstance(value, int):
        yield f"{name} is {printable(repr(value), most=80)}, and a whole number was expected"
    elif not least <= value <= _LIMITS[key]:
        shown = f"{value:,}" if abs(value) <= _LARGEST_INTEGER else "beyond all bounds"
        yield f"{name} is {shown}; {least:,} to {_LIMITS[key]:,} can be used"


def _claims(config: Mapping[str, Any], weights: int | None) -> Iterator[str]:
    """Yield claims that so many weights cannot fulfil: every layer has a weight for each feature, and so on."""
    width_key = next((key for key in _WIDTHS if isinstance(config.get(key), int)), None)
    if width_key is None or weights is None:
        return
    width = config[width_key]
    for key in (width_key, *_LAYERS, *_BESIDE_WIDTH):
        other = config.get(key)
        if isinstance(other, int) and width * other > weights:
            what = f"{width_key} = {width:,}" + ("" if key == width_key else f" and {key} = {other:,}")
            yield f"{what} need more than {width * other:,} weights, and its files have at most {weights:,}"


def _weights(folder: Path) -> int | None:
    """Return an upper bound of the number of weights in the files of a folder; None if it is not known."""
    files = [path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern)]
    counts = [_weights_of(path) for path in files]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _weights_of(path: Path) -> int | None:
    """Return the number of weights by the header of safetensors; by the size for others, a byte for each.

    None for a file that is damaged: the loader says what is wrong with it.
    """
    try:
        size = path.stat().st_size
        if path.suffix != ".safetensors":
            return size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size, _MOST_HEADER_BYTES):
                return None
            header = json.loads(file.read(length))
        shapes = [entry["shape"] for key, entry in header.items() if key != "__metadata__"]
        return int(min(sum(math.prod(shape) for shape in shapes), size))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
