"""The files of a model: the folder or the commit on the hub that holds them, and what is missing or wrong there."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    StrictDataclassError,
)
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from actstore.access.filesystems import describe_error
from actstore.access.retrying import Retries
from actstore.contracts.recipe import ModelRecipe
from actstore.contracts.suggest import did_you_mean
from actstore.corpus.model_claims import check_model_files
from actstore.errors import ModelError, StorageUnavailableError

__all__ = [
    "MERGE",
    "local_folder",
    "pin_revision",
    "reading_model_files",
    "refuse_adapter",
    "vocabulary_problem",
    "weights_problem",
]

MERGE: Final = "merge the adapter into the model first (peft: merge_and_unload), or give the folder of the base model"
_CONFIG: Final = "config.json"
_ADAPTERS: Final = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
_WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json")
_PICKLED: Final = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_VOCABULARIES: Final = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken", "tekken.json")
_MOST_NAMED: Final = 3
_ATTEMPTS: Final = 3
_ANSWER_S: Final = 5.0
_ABOVE: Final = re.compile(r"[^.!]*\b(?:the|look at the) above report\b[^.!]*[.!]?")
"""Sentences of `transformers` about a report that is not shown."""


def local_folder(name: str) -> Path | None:
    """Return the absolute path of the folder that a model's name means here; None if it means no folder.

    Links are kept: on a cluster the place that a link leads to may have another path on each machine.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return None
    return folder.resolve() if ".." in folder.parts else folder.absolute()


def pin_revision(recipe: ModelRecipe, *, offered: Iterable[str] = ()) -> ModelRecipe:
    """Return the recipe with the revision resolved to a commit, so that all files come from one snapshot.

    A local folder keeps revision None and gets its absolute path. Pinning twice is harmless. With a commit,
    `transformers` also never replaces pickled weights with a conversion from a pull request.

    Parameters
    ----------
    recipe
        Names the model.
    offered
        Names that an error may suggest.

    Raises
    ------
    ModelError
        If there is no such folder, its files are not those of a model, or the hub has no such model or revision, or
        cannot be reached.
    """
    folder = local_folder(recipe.name)
    if folder is not None:
        if recipe.revision is not None:
            raise ModelError(
                f"{recipe.name} is a folder, and folders have no revision {recipe.revision!r}; leave 'revision' out"
            )
        if not (folder / _CONFIG).is_file():
            _refuse_adapter_in(folder, recipe.name)
            raise ModelError(f"{recipe.name} is not a model: it has no {_CONFIG}; name the folder that has one")
        check_model_files(folder, name=recipe.name)
        return recipe.model_copy(update={"name": str(folder)})
    if recipe.name.startswith(("/", ".", "~")):
        raise ModelError(f"{recipe.name}: no such folder; check the path, or use a Hugging Face name")
    config_path = _hub_config(recipe, did_you_mean(recipe.name, offered))
    check_model_files(config_path.parent, name=recipe.name, is_complete=False)
    return recipe.model_copy(update={"revision": config_path.parent.name})


def refuse_adapter(pinned: ModelRecipe) -> None:
    """Refuse a model with an adapter beside its weights.

    `transformers` adds the adapter to the model if `peft` is installed, and ignores it otherwise.

    Raises
    ------
    ModelError
        If there is an adapter.
    """
    folder = _folder_of(pinned)
    if folder is not None:
        _refuse_adapter_in(folder, pinned.name)
    if pinned.revision is None:
        return
    found = try_to_load_from_cache(pinned.name, _ADAPTERS[0], revision=pinned.revision)
    if found is not None:  # the cache has it, which was refused above, or it is known not to be there
        return
    try:
        hf_hub_download(pinned.name, _ADAPTERS[0], revision=pinned.revision)
    except (EntryNotFoundError, HfHubHTTPError, OSError):
        return  # not there, or not to be had; `peft` then does not get it either
    raise ModelError(_adapter_problem(pinned.name, _ADAPTERS[0]))


def weights_problem(pinned: ModelRecipe) -> str | None:
    """Return what is missing among the files of weights of a local folder; None if none is, or it is no folder."""
    folder = local_folder(pinned.name)
    if folder is None:
        return None
    names = _WEIGHTS + (_PICKLED if pinned.pickle_weights else ())
    found = next((name for name in names if (folder / name).is_file()), None)
    if found is not None:
        return _index_problem(folder, found) if found.endswith(".json") else None
    pickled = next((name for name in _PICKLED if (folder / name).is_file()), None)
    if pickled is not None:
        return (
            f"the folder has {pickled} and no {_WEIGHTS[0]}, and to unpickle runs code that the author of the file "
            "chose; set 'pickle_weights = true' (--pickle-weights) if you trust the source"
        )
    return f"the folder has no weights, neither {_WEIGHTS[0]} nor {_WEIGHTS[1]}; fetch them"


def vocabulary_problem(pinned: ModelRecipe) -> str | None:
    """Return that the files of a model hold no vocabulary; None if there is a file that may be one."""
    folder = _folder_of(pinned)
    if folder is None or any(True for pattern in _VOCABULARIES for _ in folder.glob(pattern)):
        return None
    return (
        f"tokenizer of {pinned.name}: no vocabulary there (such as tokenizer.json, vocab.txt, vocab.json or "
        "spiece.model); copy the tokenizer's files of the original model into that folder"
    )


@contextmanager
def reading_model_files(recipe: ModelRecipe, what: str) -> Iterator[None]:
    """Silence `transformers` while it reads files, and report an error in one line.

    Raises
    ------
    ModelError
        Replaces any exception of `transformers`; names a remedy.
    """
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        RuntimeError,
        ImportError,
        ArithmeticError,
        AttributeError,
        RecursionError,
        SafetensorError,
        StrictDataclassError,
    ) as error:
        said = _ABOVE.sub("", str(error)).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{what} of {recipe.name}: {said} - {_way_out(error)}") from None
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _folder_of(pinned: ModelRecipe) -> Path | None:
    """Return the folder with the files of a pinned model; for a model of the hub, its snapshot in the cache."""
    if pinned.revision is None:
        return local_folder(pinned.name)
    config = try_to_load_from_cache(pinned.name, _CONFIG, revision=pinned.revision)
    return Path(config).parent if isinstance(config, str) else None


def _refuse_adapter_in(folder: Path, name: str) -> None:
    for file in _ADAPTERS:
        if (folder / file).exists():
            raise ModelError(_adapter_problem(name, file))


def _adapter_problem(name: str, file: str) -> str:
    return f"{name} holds an adapter ({file}), and rows of the base model alone would not be those you want; {MERGE}"


def _index_problem(folder: Path, index: str) -> str | None:
    """Return which files an index of weights names that are not there."""
    try:
        weights = json.loads((folder / index).read_bytes())["weight_map"]
        files = sorted(set(weights.values()))
        missing = [file for file in files if not (folder / file).is_file()]
    except (OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return f"{index} is damaged: fetch it again"
    if not missing:
        return None
    first = min((name for name, file in weights.items() if file == missing[0]), key=len)
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    return (
        f"{index} names {len(files)} files, of which {', '.join(missing[:_MOST_NAMED])}{more} (with {first}, ...) "
        "are missing; fetch them into the folder"
    )


def _hub_config(recipe: ModelRecipe, hint: str) -> Path:
    """Return the path of the cached `config.json`, whose folder has the name of the commit."""
    at = f"{recipe.name} at {recipe.revision or 'main'}"
    try:
        if not isinstance(try_to_load_from_cache(recipe.name, _CONFIG, revision=recipe.revision), str):
            _ask_hub(recipe)
        return Path(hf_hub_download(recipe.name, _CONFIG, revision=recipe.revision))
    except HFValidationError:
        raise ModelError(
            f"{recipe.name} is neither a folder here nor a Hugging Face name (owner/model); check the spelling{hint}"
        ) from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, StorageUnavailableError):
        raise ModelError(
            f"{at} is neither a folder here nor in the local cache, and the hub cannot be reached; "
            f"connect once to download it, or name a local folder{hint}"
        ) from None
    except (HfHubHTTPError, EntryNotFoundError) as error:
        said = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{at}: the hub answered: {said}. Check name and revision; for a gated model run 'hf auth login'{hint}"
        ) from None


def _ask_hub(recipe: ModelRecipe) -> None:
    """Ask for a file that is not in the cache: `hf_hub_download` tries for half a minute if the hub is away."""
    ask = partial(get_hf_file_metadata, hf_hub_url(recipe.name, _CONFIG, revision=recipe.revision), timeout=_ANSWER_S)
    Retries(attempts=_ATTEMPTS).run(ask, name=recipe.name, describe=describe_error)


def _way_out(error: Exception) -> str:
    """Return the remedy for a known error."""
    text = str(error)
    if isinstance(error, SafetensorError) or "SafetensorError" in text or "safetensors header" in text.lower():
        return "the weights are damaged or truncated: fetch the file again"
    if "trust_remote_code" in text:
        return "set 'remote_code = true' (--remote-code) if you trust the code of that repository"
    if "model.safetensors" in text and "file named" in text:
        return "set 'pickle_weights = true' (--pickle-weights) if it has pickled weights from a source you trust"
    if isinstance(error, ImportError) or "sentencepiece" in text or "tiktoken" in text:
        return "install the package that reads it (for ProtT5: pip install 'actstore[t5]')"
    return "check that the folder or repository holds a complete transformers model"
