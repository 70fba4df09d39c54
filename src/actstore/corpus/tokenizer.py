"""Residues -> tokens: any Hugging Face tokenizer that maps residues one to one, as a lookup table.

The table is built from the output of the tokenizer, then checked against it on every pair of residues. The two
conventions of the field are tried in turn: residues as plain text (ESM-2), and residues separated by spaces with the
ambiguous U, Z, O and B read as X (ProtT5, ProtBERT: their authors prepared the training data like this).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import transformers

from actstore.contracts.models import ResidueTokenizer
from actstore.contracts.recipe import ModelRecipe
from actstore.corpus.model_files import pin_revision, reading_model_files, vocabulary_problem
from actstore.errors import ModelError, TokenizerError

__all__ = ["known_alphabet", "load_tokenizer", "residue_tokenizer"]

STANDARD: Final = "ACDEFGHIKLMNPQRSTVWY"
AMBIGUOUS_TO_X: Final = str.maketrans("UZOB", "XXXX")
_ALL_BUT_J: Final = frozenset(string.ascii_uppercase) - {"J"}

KNOWN_ALPHABETS: Final[dict[str, frozenset[str]]] = {
    "facebook/esm2_": _ALL_BUT_J,
    "Rostlab/prot_t5_": _ALL_BUT_J,
}
"""Alphabets by the start of a model's name, so that a plan needs no tokenizer and no network."""


def known_alphabet(model_name: str) -> frozenset[str] | None:
    """Return the letters that a model accepts, if its name is in the table, else None.

    Examples
    --------
    >>> sorted(known_alphabet("facebook/esm2_t33_650M_UR50D") ^ set("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    ['J']
    >>> known_alphabet("gpt2") is None
    True
    """
    for start, alphabet in KNOWN_ALPHABETS.items():
        if model_name.startswith(start):
            return alphabet
    return None


def residue_tokenizer(hf_tokenizer: transformers.PreTrainedTokenizerBase) -> ResidueTokenizer:
    """Build the residue table of a Hugging Face tokenizer and check it.

    Letters that become the unknown token, or not exactly one token, are outside the alphabet.

    Parameters
    ----------
    hf_tokenizer
        From `AutoTokenizer.from_pretrained`.

    Raises
    ------
    TokenizerError
        If a standard amino acid has no token of its own, if residues merge, or if the table does not reproduce
        the tokenizer on a probe.
    """
    plain = _learn(hf_tokenizer, _plain)
    if isinstance(plain, ResidueTokenizer):
        return plain
    spaced = _learn(hf_tokenizer, _spaced)
    if isinstance(spaced, ResidueTokenizer):
        return spaced
    raise TokenizerError(
        f"{type(hf_tokenizer).__name__} of {hf_tokenizer.name_or_path or 'an unnamed model'} does not map residues to "
        f"tokens one to one. As plain text, {plain}; separated by spaces, {spaced}. "
        "Rows are residues, so choose a model with one token for each"
    )


def load_tokenizer(recipe: ModelRecipe) -> ResidueTokenizer:
    """Load the tokenizer of a model from its folder, the cache or the hub.

    Raises
    ------
    ModelError
        If it cannot be loaded, or its vocabulary is missing.
    TokenizerError
        If it does not map residues to tokens one to one.
    """
    pinned = pin_revision(recipe)
    try:
        with reading_model_files(recipe, "tokenizer"):
            hf_tokenizer = transformers.AutoTokenizer.from_pretrained(
                pinned.name, revision=pinned.revision or "main", trust_remote_code=recipe.remote_code
            )
        return residue_tokenizer(hf_tokenizer)
    except ModelError:
        # Asked only now: some tokenizers need no vocabulary, and others make up one if their file is missing.
        if problem := vocabulary_problem(pinned):
            raise ModelError(problem) from None
        raise


def _plain(residues: str) -> str:
    return residues


def _spaced(residues: str) -> str:
    return " ".join(residues.translate(AMBIGUOUS_TO_X))


def _learn(
    hf_tokenizer: transformers.PreTrainedTokenizerBase, convention: Callable[[str], str]
) -> ResidueTokenizer | str:
    """Return the table under one convention, or the reason why there is none."""

    def encode(residues: str) -> tuple[int, ...]:
        return tuple(int(token) for token in hf_tokenizer(convention(residues))["input_ids"])

    ids_of = {letter: encode(letter) for letter in string.ascii_uppercase}
    unknowns = {letter: ids_of[letter].count(hf_tokenizer.unk_token_id) for letter in STANDARD}
    foreign = [letter for letter, count in unknowns.items() if count > min(unknowns.values())]
    if foreign:
        return f"{', '.join(foreign)} have no token of their own"
    frame = _special_tokens([ids_of[letter] for letter in STANDARD])
    if frame is None:
        return "the twenty amino acids do not become one token each"
    prefix, suffix = frame

    token_of = np.full(256, -1, dtype=np.int32)
    for letter, ids in ids_of.items():
        middle = ids[len(prefix) : len(ids) - len(suffix)]
        framed = ids[: len(prefix)] == prefix and ids[len(ids) - len(suffix) :] == suffix
        if framed and len(middle) == 1 and middle[0] != hf_tokenizer.unk_token_id:
            token_of[ord(letter)] = middle[0]
    if token_of.max() > np.iinfo(np.int16).max:
        return f"token {token_of.max()} does not fit the 16 bits in which tokens are stored"

    pad = hf_tokenizer.pad_token_id
    # Without a pad token, any token of the vocabulary can be used: the mask hides the padding from the model.
    table = ResidueTokenizer(token_of, prefix, suffix, int(token_of[ord("A")]) if pad is None else int(pad))
    for probe in _probes(table.alphabet, hf_tokenizer.get_vocab()):
        got = encode(probe)
        want = (*prefix, *table.tokens(probe).tolist(), *suffix)
        if got != want:
            return _mismatch(probe, got, want, len(prefix))
    return table


def _special_tokens(ids: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Split encodings of single residues into their common prefix, one token, and their common suffix."""
    if len(set(ids)) < len(ids) or len({len(each) for each in ids}) > 1:
        return None
    columns = [len(set(column)) == 1 for column in zip(*ids, strict=True)]
    if columns.count(False) != 1:
        return None
    residue = columns.index(False)
    return ids[0][:residue], ids[0][residue + 1 :]


def _probes(alphabet: frozenset[str], vocabulary: dict[str, int]) -> Iterator[str]:
    """Yield strings that hold every pair of residues, then every longer run of residues that has a token."""
    letters = sorted(alphabet)
    for first in letters:
        yield "".join(first + second for second in letters)
    for token in sorted(vocabulary):
        word = token.lstrip("Ġ▁").removeprefix("##")
        if len(word) > 2 and alphabet.issuperset(word):
            yield f"A{word}"


def _mismatch(probe: str, got: tuple[int, ...], want: tuple[int, ...], offset: int) -> str:
    """Describe the first difference between table and tokenizer."""
    pairs = enumerate(zip(got, want, strict=False))
    first = next((index for index, (a, b) in pairs if a != b), min(len(got), len(want)))
    residue = max(first - offset, 0)
    return (
        f"{probe[residue : residue + 2]!r} (in {probe!r}) becomes {list(got[first : first + 2])}, "
        f"not {list(want[first : first + 2])}"
    )
