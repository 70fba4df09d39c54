import numpy as np
import pytest

from actstore.testing.residues import BACKGROUND_A, RESIDUES, SUBSTITUTION_AA, draw_residues, residue_text


def test_residues_are_as_common_as_in_swiss_prot() -> None:
    assert BACKGROUND_A.sum() == pytest.approx(1.0)
    assert RESIDUES[BACKGROUND_A.argmax()] == "L"
    assert RESIDUES[BACKGROUND_A.argmin()] == "W"


def test_substitutions_prefer_similar_residues() -> None:
    def replacements(residue: str) -> str:
        return "".join(RESIDUES[index] for index in np.argsort(-SUBSTITUTION_AA[RESIDUES.index(residue)]))

    assert replacements("I")[0] == "V"
    assert replacements("D")[0] == "E"
    assert replacements("K")[0] == "R"
    assert set(replacements("F")[:2]) == {"L", "Y"}


def test_a_substitution_always_changes_the_residue() -> None:
    np.testing.assert_array_equal(np.diag(SUBSTITUTION_AA), 0.0)
    np.testing.assert_allclose(SUBSTITUTION_AA.sum(axis=1), 1.0)


def test_draws_follow_their_weights_and_never_leave_them() -> None:
    weights_RA = np.zeros((20_000, 20))
    weights_RA[:, [0, 7, 19]] = [1.0, 2.0, 1.0]
    drawn_R = draw_residues(np.random.default_rng(0), weights_RA)
    share_A = np.bincount(drawn_R, minlength=20) / len(drawn_R)
    assert share_A[[0, 7, 19]] == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
    assert share_A[[0, 7, 19]].sum() == 1.0


def test_text_and_indices_agree() -> None:
    assert residue_text(np.arange(20)) == RESIDUES
