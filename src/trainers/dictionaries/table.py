"""The table of dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trainers.dictionaries.dictionary import Dictionary
from trainers.dictionaries.kinds.crosscoder_l1 import CrosscoderL1
from trainers.dictionaries.kinds.crosscoder_l2 import CrosscoderL2
from trainers.dictionaries.kinds.crosscoder_topk import CrosscoderTopK
from trainers.dictionaries.kinds.gated_sae import GatedSae
from trainers.dictionaries.kinds.p_annealing_sae import PAnnealingSae
from trainers.dictionaries.kinds.relu_sae import ReluSae
from trainers.dictionaries.kinds.relu_sae_weighted import WeightedReluSae
from trainers.dictionaries.kinds.topk_sae import TopKSae

__all__ = ["DICTIONARIES"]

DICTIONARIES: Final[Mapping[str, type[Dictionary]]] = {
    "topk-sae": TopKSae,
    "relu-sae": ReluSae,
    "relu-sae-weighted": WeightedReluSae,
    "gated-sae": GatedSae,
    "p-annealing-sae": PAnnealingSae,
    "crosscoder-topk": CrosscoderTopK,
    "crosscoder-l1": CrosscoderL1,
    "crosscoder-l2": CrosscoderL2,
}
