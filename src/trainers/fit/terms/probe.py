"""A linear probe that reads labels from codes, and guides them to be readable."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from trainers.dictionaries.dictionary import Role
from trainers.fit.rows.places import RowPlaces
from trainers.fit.terms.labels import LabelColumn, LabelFacts, Labels

__all__ = ["Probe", "ProbeLoss", "probe_parameters"]


class ProbeLoss(NamedTuple):
    """Loss of a probe on a batch."""

    share: Tensor
    """Its loss beside that of a probe that reads no code; 0 without labelled rows."""
    labelled_rows: int


class Probe(nn.Module):
    """``logit = code / sqrt(V) @ weight + bias``, learned with the dictionary and used in training only.

    V is the variance of the scaled rows of the store, so codes count the same whatever the scale of the rows. Weights
    start at 0 and biases at the base rates.

    Parameters
    ----------
    latents
        F.
    labels
        What it reads.
    variance
        V.
    """

    def __init__(self, latents: int, labels: Labels, *, variance: float) -> None:
        super().__init__()
        self.labels = labels
        self._code_scale = 1.0 / math.sqrt(variance)
        self.weight = nn.Parameter(torch.zeros(latents, labels.facts.outputs))
        """[F, L]."""
        starts = [value for column in labels.facts.columns for value in column.start]
        self.bias = nn.Parameter(torch.tensor(starts, dtype=torch.float32))

    def roles(self) -> dict[str, Role]:
        """Return the role of each parameter, by its name."""
        return {"weight": Role.PROBE, "bias": Role.PROBE}

    def loss(self, code_BF: Tensor, places: RowPlaces) -> ProbeLoss:
        """Return the mean over all labels of the rows of ``loss / loss of the base rate``: 1 if codes tell nothing.

        The loss is binary cross-entropy for a bool, cross-entropy for a category, and the squared error for a number.
        Rows without labels do not count.
        """
        found = self.labels.of(places)
        if not len(found.index_R):
            return ProbeLoss(0.0 * (self.weight.sum() + self.bias.sum()), 0)  # a gradient of zero, not none
        index_R = torch.from_numpy(found.index_R).to(code_BF.device)
        value_RC = torch.from_numpy(found.value_RC).to(code_BF.device)
        code_RF = code_BF[index_R].to(self.weight.dtype) * self._code_scale
        output_RL = torch.addmm(self.bias, code_RF, self.weight).to(self.weight.dtype)
        total, count, first = output_RL.new_zeros(()), 0, 0
        for number, column in enumerate(self.labels.facts.columns):
            known_R = ~torch.isnan(value_RC[:, number])
            outputs_RL = output_RL[known_R, first : first + column.outputs]
            first += column.outputs
            if len(outputs_RL):
                total = total + _summed(column, outputs_RL, value_RC[known_R, number]) / column.unit
                count += len(outputs_RL)
        return ProbeLoss(total / max(count, 1), len(found.index_R))


def probe_parameters(facts: LabelFacts | None, *, latents: int) -> int:
    """Return the number of parameters of the probe of some labels; 0 without labels."""
    return 0 if facts is None else (latents + 1) * facts.outputs


def _summed(column: LabelColumn, output_RL: Tensor, value_R: Tensor) -> Tensor:
    """Return the loss of a column, summed over rows."""
    if column.kind == "category":
        return cross_entropy(output_RL, value_R.long(), reduction="sum")
    value_R = value_R.to(output_RL.dtype)
    if column.kind == "bool":
        return binary_cross_entropy_with_logits(output_RL[:, 0], value_R, reduction="sum")
    return (output_RL[:, 0] - value_R).square().sum()
