"""The table of dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trainers.dictionaries.dictionary import Dictionary
from trainers.dictionaries.kinds.clt_topk import CltTopK
from trainers.dictionaries.kinds.crosscoder_l1 import CrosscoderL1
from trainers.dictionaries.kinds.crosscoder_l2 import CrosscoderL2
from trainers.dictionaries.kinds.crosscoder_topk import CrosscoderTopK
from trainers.dictionaries.kinds.relu_sae import ReluSae
from trainers.dictionaries.kinds.topk_sae import TopKSae
from trainers.dictionaries.kinds.transcoder_topk import TranscoderTopK

__all__ = ["DICTIONARIES"]

DICTIONARIES: Final[Mapping[str, type[Dictionary]]] = {
    "topk-sae": TopKSae,
    "relu-sae": ReluSae,
    "crosscoder-topk": CrosscoderTopK,
    "crosscoder-l1": CrosscoderL1,
    "crosscoder-l2": CrosscoderL2,
    "transcoder-topk": TranscoderTopK,
    "clt-topk": CltTopK,
}
