"""The probe learns labels from codes, and codes learn to show them."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from actstore import errors
from tests.trainers.fit.terms.labelled import labels_of, placed_stream
from tests.trainers.in_memory import plan_of, train_on
from tests.trainers.planted import plant
from trainers.fit.rows.places import RowPlaces
from trainers.fit.terms.labels import LabelFacts, Labels, column_facts
from trainers.fit.terms.probe import Probe, probe_parameters


def made() -> tuple[Probe, RowPlaces]:
    """A probe of a bool, a category of three classes, and a number; four of seven rows have labels."""
    value_NC = np.array([[1, 0, 0.5], [0, 2, np.nan], [np.nan, 1, -2.0], [1, 2, 1.0]])
    columns = (
        column_facts("b", "bool", value_NC[:, 0]),
        column_facts("c", "category", value_NC[:, 1], ("x", "y", "z")),
        column_facts("f", "float", value_NC[:, 2]),
    )
    facts = LabelFacts(sha256="0" * 64, residues=4, columns=tuple(one for one in columns if one is not None))
    places = RowPlaces(np.array([0, 0, 1, 5]), np.array([3, 4, 0, 0], dtype=np.int32))
    probe = Probe(6, Labels(facts, places, value_NC), variance=4.0)
    with torch.no_grad():
        for parameter in probe.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    batch = RowPlaces(np.array([9, 5, 0, 0, 1, 1, 2]), np.array([0, 0, 4, 3, 0, 1, 0], dtype=np.int32))
    return probe, batch


def test_its_loss_is_the_mean_over_labels_of_each_loss_over_that_of_the_base_rate() -> None:
    probe, batch = made()
    code_BF = torch.rand(7, 6, generator=torch.Generator().manual_seed(2))
    output_BL = ((code_BF / 2.0) @ probe.weight + probe.bias).detach()
    b, c, f = probe.labels.facts.columns
    row_of = {0: 3, 1: 2, 2: 4, 3: 1}
    terms = []
    for label, value in ((0, 1.0), (1, 0.0), (3, 1.0)):
        p = 1 / (1 + math.exp(-float(output_BL[row_of[label], 0])))
        terms.append(-math.log(p if value else 1 - p) / b.unit)
    for label, number in ((0, 0), (1, 2), (2, 1), (3, 2)):
        logits = output_BL[row_of[label], 1:4].tolist()
        terms.append((math.log(sum(map(math.exp, logits))) - logits[number]) / c.unit)
    for label, value in ((0, 0.5), (2, -2.0), (3, 1.0)):
        terms.append((float(output_BL[row_of[label], 4]) - value) ** 2 / f.unit)
    found = probe.loss(code_BF, batch)
    assert found.labelled_rows == 4
    assert found.share.item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_its_gradients_are_those_of_finite_differences() -> None:
    probe, batch = made()
    probe.double()
    code_BF = torch.rand(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()

    def loss(code_BF: torch.Tensor, *_weights: torch.Tensor) -> torch.Tensor:
        return probe.loss(code_BF, batch).share

    assert torch.autograd.gradcheck(loss, (code_BF, probe.weight, probe.bias))


def test_rows_without_labels_do_not_count() -> None:
    probe, batch = made()
    code_BF = torch.rand(7, 6, generator=torch.Generator().manual_seed(2))
    one = probe.loss(code_BF, batch).share
    code_BF[[0, 5, 6]] = 100.0
    torch.testing.assert_close(probe.loss(code_BF, batch).share, one)
    nothing = probe.loss(code_BF, batch.at(np.array([0, 5])))
    assert (nothing.share.item(), nothing.labelled_rows) == (0.0, 0)
    nothing.share.backward()  # type: ignore[no-untyped-call]
    assert probe.weight.grad is not None
    assert not probe.weight.grad.any()


def test_before_it_has_learned_it_is_as_good_as_the_base_rate() -> None:
    rng = np.random.default_rng(0)
    labels = labels_of((rng.random(500) < 0.1).astype(np.float64), rng.standard_normal(500))
    probe = Probe(8, labels, variance=1.0)
    number_N = np.arange(500)
    places = RowPlaces(number_N // 50, (number_N % 50).astype(np.int32))
    assert probe.loss(torch.rand(500, 8), places).share.item() == pytest.approx(1.0, rel=1e-5)
    assert probe_parameters(labels.facts, latents=8) == sum(one.numel() for one in probe.parameters())


def test_codes_of_a_guided_dictionary_tell_the_label_better() -> None:
    """The label says whether a weak direction is there, for which a small dictionary has no latent to spare."""
    rng = np.random.default_rng(3)
    label_N, hidden_D = rng.random(6000) < 0.5, rng.standard_normal(32)
    weak_NSD = 80.0 * label_N[:, None, None] * hidden_D / np.linalg.norm(hidden_D)
    values_NSD = plant(rows=6000).values_NSD + weak_NSD.astype(np.float32)
    labels = labels_of(label_N.astype(np.float64))
    options: dict[str, Any] = {"k": 4, "latents": 24, "steps": 230, "batch_rows": 256, "lr": 0.01}
    losses, explained = {}, {}
    for weight in (1e-6, 0.5):
        _, steps = train_on(placed_stream(values_NSD, batch_rows=256), labels, probe_weight=weight, **options)
        losses[weight] = np.mean([one.report.terms["probe"] / weight for one in steps[-20:]])
        explained[weight] = steps[-1].report.batch_explained_variance or 0.0
        assert steps[-1].report.counts["labelled_rows"] == steps[-1].batch_rows
    assert losses[0.5] < 0.6 * losses[1e-6]
    assert explained[0.5] > explained[1e-6] - 0.15


@pytest.mark.parametrize("options", [{"probe_weight": 1.0}, {}])
def test_labels_and_their_weight_belong_together(options: dict[str, float]) -> None:
    stream = placed_stream(plant(rows=100).values_NSD)
    labels = None if options else labels_of(np.arange(100) % 2.0)
    with pytest.raises(errors.UsageError, match="give --labels FILE and --probe-weight, or neither"):
        plan_of(stream, labels, **options)
