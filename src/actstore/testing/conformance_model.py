"""Checks that every `ActivationModel` must pass; a test runs them on an implementation.

Use them with pytest::

    @pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.__name__)
    def test_my_model_conforms(check):
        check(MyModel())
"""

# ruff: noqa: S101 - these functions are assertions, for test runners
from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import ActivationModel
from actstore.contracts.planes import Float32s
from actstore.errors import TokenizerError

__all__ = [
    "MODEL_CHECKS",
    "check_alphabet",
    "check_batch_independence",
    "check_determinism",
    "check_device_rows",
    "check_empty_requests",
    "check_facts",
    "check_foreign_letters_are_refused",
    "check_passes",
    "check_row_order",
    "check_rows_differ",
    "check_shapes",
    "check_some_sites",
]

TOLERANCE: Final = 1e-5
"""Largest difference that other sequences in a batch may make, relative to the largest value of the site."""
SEQUENCES: Final = (
    "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ",
    "M",
    "GSHMACDEFGHIKLMNPQRSTVWYGSHMACDEFGHIKLMNPQRSTVWY",
    "PROTEIN",
    "WWWWWWWWWW",
)


def check_facts(model: ActivationModel) -> None:
    """Check that facts identify the model, and that site names are unique and safe as folders."""
    assert re.fullmatch(r"[0-9a-f]{64}", model.facts.weights_sha256)
    assert model.facts.dtype in {"float32", "float16", "bfloat16"}
    names = [site.name for site in model.sites]
    assert names
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) for name in names), names
    assert all(site.width > 0 for site in model.sites)


def check_alphabet(model: ActivationModel) -> None:
    """Check that the twenty amino acids are accepted, each with its own token, which is no special token."""
    standard = "ACDEFGHIKLMNPQRSTVWY"
    assert model.tokenizer.alphabet.issuperset(standard)
    tokens = model.tokenizer.tokens(standard).tolist()
    assert len(set(tokens)) == len(standard)
    assert set(tokens).isdisjoint((*model.tokenizer.prefix, *model.tokenizer.suffix))


def check_foreign_letters_are_refused(model: ActivationModel) -> None:
    """Check that a letter outside the alphabet raises and never becomes some other token."""
    for letter in sorted(set(string.ascii_letters) - model.tokenizer.alphabet):
        try:
            model.activations([f"MK{letter}"], [np.array([0], dtype=np.int32)])
        except TokenizerError:
            continue
        raise AssertionError(f"{letter!r} is outside the alphabet and was accepted")


def check_shapes(model: ActivationModel) -> None:
    """Check that every site gives finite float32 [kept residues, width], in the order of `sites`."""
    rows = model.activations(SEQUENCES, _everything(SEQUENCES))
    assert list(rows) == [site.name for site in model.sites]
    for site in model.sites:
        values_ND = rows[site.name]
        assert values_ND.dtype == np.float32
        assert values_ND.shape == (sum(map(len, SEQUENCES)), site.width)
        assert np.isfinite(values_ND).all()


def check_row_order(model: ActivationModel) -> None:
    """Check that rows follow the sequences, and within a sequence the positions as they were given."""
    complete = model.activations(SEQUENCES, _everything(SEQUENCES))
    starts = np.cumsum([0, *map(len, SEQUENCES)])[:-1]
    wanted = [np.arange(0, len(sequence), 3, dtype=np.int32) for sequence in SEQUENCES]
    chosen = model.activations(SEQUENCES, wanted)
    rows = np.concatenate([start + each for start, each in zip(starts, wanted, strict=True)])
    for site in model.sites:
        _assert_close(chosen[site.name], complete[site.name][rows], site.name)


def check_batch_independence(model: ActivationModel) -> None:
    """Check that a sequence gives the same rows alone as in a batch with longer and shorter ones."""
    together = model.activations(SEQUENCES, _everything(SEQUENCES))
    alone = [model.activations([sequence], _everything([sequence])) for sequence in SEQUENCES]
    for site in model.sites:
        _assert_close(np.concatenate([rows[site.name] for rows in alone]), together[site.name], site.name)


def check_determinism(model: ActivationModel) -> None:
    """Check that the same request gives the same bits."""
    first, second = (model.activations(SEQUENCES, _everything(SEQUENCES)) for _ in range(2))
    for site in model.sites:
        assert first[site.name].tobytes() == second[site.name].tobytes()


def check_rows_differ(model: ActivationModel) -> None:
    """Check that different residues have different rows, so that no output is constant by mistake."""
    standard = "ACDEFGHIKLMNPQRSTVWY"
    for site, values_ND in model.activations([standard], _everything([standard])).items():
        assert len(np.unique(values_ND, axis=0)) == len(standard), site


def check_empty_requests(model: ActivationModel) -> None:
    """Check that sequences without kept residues give no rows, and an empty batch gives none."""
    nothing = np.empty(0, dtype=np.int32)
    some = model.activations(["MKT", "PROTEIN", "ACD"], [nothing, np.array([2], dtype=np.int32), nothing])
    alone = model.activations(["PROTEIN"], [np.array([2], dtype=np.int32)])
    for site in model.sites:
        assert some[site.name].shape == (1, site.width)
        _assert_close(some[site.name], alone[site.name], site.name)
    for residues in ([], ["MKT"]):
        rows = model.activations(residues, [nothing for _ in residues])
        assert {name: values_ND.shape for name, values_ND in rows.items()} == {
            site.name: (0, site.width) for site in model.sites
        }


def check_some_sites(model: ActivationModel) -> None:
    """Check that a model limited to some of its sites gives the same bits there, and no other sites."""
    complete = model.activations(SEQUENCES, _everything(SEQUENCES))
    for site in (model.sites[0], model.sites[-1]):
        narrow = model.only([site.name])
        assert narrow.sites == (site,)
        assert narrow.facts == model.facts
        rows = narrow.activations(SEQUENCES, _everything(SEQUENCES))
        assert list(rows) == [site.name]
        assert rows[site.name].tobytes() == complete[site.name].tobytes(), site.name


def check_passes(model: ActivationModel) -> None:
    """Check that the limits of a model's forward passes are numbers of tokens, or None."""
    for tokens in (model.most_tokens, model.pack_tokens):
        assert tokens is None or tokens > 0


def check_device_rows(model: ActivationModel) -> None:
    """Check that rows kept on a device equal the rows on the host, each in its place, and no other place is written."""
    if model.device_rows is None:
        return
    wanted = model.activations(SEQUENCES, _everything(SEQUENCES))
    count = len(wanted[model.sites[0].name])
    into = model.device_rows.allocate(count + 2)
    for values in into.values():
        values[:] = -1.0
    place_n = np.arange(count, 0, -1)
    model.device_rows.fill(SEQUENCES, _everything(SEQUENCES), into, place_n)
    assert into.keys() == wanted.keys()
    for site, rows in wanted.items():
        found = np.asarray(into[site].cpu())
        assert found.dtype == np.float32
        assert found[place_n].tobytes() == rows.tobytes(), site
        assert (found[[0, -1]] == -1.0).all(), site


MODEL_CHECKS: Final[tuple[Callable[[ActivationModel], None], ...]] = (
    check_facts,
    check_alphabet,
    check_foreign_letters_are_refused,
    check_shapes,
    check_row_order,
    check_batch_independence,
    check_determinism,
    check_rows_differ,
    check_empty_requests,
    check_some_sites,
    check_passes,
    check_device_rows,
)
"""Every check, to be parametrised over."""


def _everything(sequences: Sequence[str]) -> list[NDArray[np.int32]]:
    return [np.arange(len(sequence), dtype=np.int32) for sequence in sequences]


def _assert_close(got_ND: Float32s, want_ND: Float32s, site: str) -> None:
    scale = float(np.abs(want_ND).max(initial=1e-12))
    difference = float(np.abs(got_ND - want_ND).max(initial=0.0))
    assert difference <= TOLERANCE * scale, f"{site}: rows differ by {difference:.2e} at a scale of {scale:.2e}"
