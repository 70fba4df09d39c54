"""What training makes small: unexplained share, sparsity penalty and AuxK loss, none of which depends on scale.

::

    loss = error / V + sparsity * penalty / (g * sqrt(V)) + auxk_weight * AuxK

`error` is the squared error summed over sites and features, mean over the batch; V is the variance of the rows of the
store, also summed over sites and features. The penalty grows with the norm of the rows and, for some dictionaries, with
the number of sites (g, `Dictionary.penalty_growth`). AuxK is itself a share. So each term keeps its weight whatever the
scale of the rows, the normalisation, or the number of sites. Further reconstructions of a dictionary
(`DictionaryOutput.also_BSD`) are terms of their own, each ``error / V``. Where they are reconstructions by more or
fewer latents, the terms of all have weights that sum to 1 (`DictionaryOutput.weight`): the gradient keeps its size
beside AuxK and the limit of clipping. Further terms are in `fit.terms`, each a
share as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from trainers.dictionaries.dictionary import DictionaryOutput
from trainers.fit.auxk import auxk_loss, auxk_sums
from trainers.fit.plan import TrainPlan
from trainers.fit.reconstruction import squared_error_S
from trainers.fit.rows.places import RowPlaces
from trainers.fit.schedule import sparsity_factor
from trainers.fit.state import TrainState
from trainers.fit.terms.decorrelation import decorrelation
from trainers.fit.terms.smoothness import smoothness

__all__ = ["Objective", "Whole", "auxk_sums_of", "objective"]

Found = TypeVar("Found")


class Whole(NamedTuple):
    """The batch of which the rows of a pass are a part: on this rank, and of the passes on it."""

    rows: int
    """Of all ranks and passes."""
    auxk_sums: Tensor | None = None
    """`fit.auxk.auxk_sums` over all of them; None if every rank makes one pass."""


class Objective(NamedTuple):
    """The terms of the loss on a batch."""

    terms: Mapping[str, Tensor]
    """By name, with their weights. ``reconstruction`` is the squared error over the variance of the store's rows,
    ``sparsity`` the penalty, ``auxk`` the AuxK loss, which is 0 without dead latents; ``decorrelation``, ``smoothness``
    and ``probe`` if they have a weight."""
    error_S: Tensor
    """Squared error of each written site, summed over the batch."""
    counts: Mapping[str, int] = MappingProxyType({})
    """What terms were computed from, by name: ``neighbour_pairs``, ``labelled_rows``."""

    @property
    def loss(self) -> Tensor:
        """The sum of the terms."""
        return torch.stack([*self.terms.values()]).sum()


def objective(
    state: TrainState,
    scaled_BSD: Tensor,
    output: DictionaryOutput,
    dead_F: Tensor,
    plan: TrainPlan,
    whole: Whole | None = None,
    *,
    places: RowPlaces | None = None,
) -> Objective:
    """Return the objective of a batch of rows as the dictionary sees them, or of a part of it.

    The terms of parts, each times its share of the rows, add up to those of the batch; `smoothness` and `probe` do not,
    and need the whole batch.

    Parameters
    ----------
    output
        The dictionary's pass over these rows.
    dead_F
        Indices of dead latents, int64.
    whole
        The batch; None if these rows are all of it.
    places
        Which residues the rows are of; only terms that are about residues need it.
    """
    whole = whole or Whole(len(scaled_BSD))
    target_BSD = state.dictionary.targets(scaled_BSD)
    error_S = squared_error_S(output.reconstruction_BSD, target_BSD)
    total = len(scaled_BSD) * state.variance
    terms = {"reconstruction": output.weight * error_S.sum() / total}
    for name, also_BSD in output.also_BSD.items():
        terms[name] = output.weight * squared_error_S(also_BSD, target_BSD).sum() / total
    if plan.sparsity is not None and output.penalty is not None:
        unit = state.dictionary.penalty_unit(len(plan.sites), spread=math.sqrt(state.variance))
        terms["sparsity"] = plan.sparsity * sparsity_factor(plan, state.rows) / unit * output.penalty
    if plan.auxk_weight:
        terms["auxk"] = plan.auxk_weight * _auxk(state, scaled_BSD, output, dead_F, plan, whole)
    if plan.decorrelation_weight:
        layers = [decorrelation(one.decoder_FX, width=plan.width) for one in state.dictionary.weights().layers()]
        terms["decorrelation"] = plan.decorrelation_weight * torch.stack(layers).mean()
    counts: dict[str, int] = {}
    if plan.smoothness_weight:
        pair_2P = torch.from_numpy(_needed(places).neighbours()).to(scaled_BSD.device)
        terms["smoothness"] = plan.smoothness_weight * smoothness(_needed(output.code_BF), pair_2P)
        counts["neighbour_pairs"] = pair_2P.shape[1]
    if plan.probe_weight:
        found = _needed(state.probe).loss(_needed(output.code_BF), _needed(places))
        terms["probe"], counts["labelled_rows"] = plan.probe_weight * found.share, found.labelled_rows
    return Objective(terms, error_S, counts)


@torch.no_grad()
def auxk_sums_of(state: TrainState, scaled_BSD: Tensor, dead_F: Tensor, plan: TrainPlan) -> Tensor | None:
    """Return `fit.auxk.auxk_sums` of a part of a batch, for `Whole`; None without dead latents or AuxK term."""
    if not (plan.auxk_weight and len(dead_F)):
        return None
    dictionary = state.dictionary
    residual_BSD = dictionary.targets(scaled_BSD) - dictionary(scaled_BSD).reconstruction_BSD
    return auxk_sums(dictionary, scaled_BSD, residual_BSD, dead_F, most_latents=plan.auxk_latents)


def _needed(what: Found | None) -> Found:
    """Return what a term needs; the plan of a run promises it."""
    if what is None:
        raise RuntimeError("a term of the objective needs codes, labels or the places of rows, which are not there")
    return what


def _auxk(
    state: TrainState, scaled_BSD: Tensor, output: DictionaryOutput, dead_F: Tensor, plan: TrainPlan, whole: Whole
) -> Tensor:
    if not len(dead_F):
        return scaled_BSD.new_zeros(())
    residual_BSD = state.dictionary.targets(scaled_BSD) - output.reconstruction_BSD.detach()
    least = whole.rows * state.variance * torch.finfo(scaled_BSD.dtype).eps
    loss = auxk_loss(
        state.dictionary,
        scaled_BSD,
        residual_BSD,
        dead_F,
        most_latents=plan.auxk_latents,
        least=least,
        sums=whole.auxk_sums,
    )
    return loss if len(scaled_BSD) == whole.rows else loss * (whole.rows / len(scaled_BSD))
