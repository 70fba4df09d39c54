"""The code of docs/how-to/steer-a-model.md runs, on a model at hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import trainers
from tests.trainers.exchange.spliced import dictionary_for, loaded
from trainers.exchange.folder import write_folder

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "steer-a-model.md"


def test_the_code_of_the_page(esm2_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = loaded("EsmForMaskedLM", esm2_tiny)
    write_folder(dictionary_for(model, {"resid_post.3": "encoder.layer.3"}, 128), tmp_path / "runs" / "sae")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
    place = '"facebook/esm2_t6_8M_UR50D"'
    assert code.count(place) == 2
    names: dict[str, Any] = {}
    exec(code.replace(place, f"{str(esm2_tiny)!r}"), names)  # noqa: S102 - it is our own page
    plain, mask = names["plain"], names["spliced"].mask
    for changed in ("fixed", "edited", "at_one_residue", "on_residues", "through_the_dictionary"):
        assert (names[changed] - plain).abs().max() > 1e-2
    assert names["attribution"].shape == (*mask.shape, 48)
    assert names["attribution"].abs().max() > 0
    assert names["residues"].sum() == 32
    assert isinstance(names["dictionary"], trainers.TrainedDictionary)
    assert isinstance(names["spliced"], trainers.OnModel)
    assert transformers.__name__ in names
    assert torch.equal(mask, names["inputs"]["attention_mask"].bool())
