"""The table of dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trainers.dictionaries.dictionary import Dictionary
from trainers.dictionaries.kinds.batch_topk_sae import BatchTopKSae
from trainers.dictionaries.kinds.clt_batch_topk import CltBatchTopK
from trainers.dictionaries.kinds.clt_jumprelu import CltJumpRelu
from trainers.dictionaries.kinds.clt_topk import CltTopK
from trainers.dictionaries.kinds.crosscoder_batch_topk import CrosscoderBatchTopK
from trainers.dictionaries.kinds.crosscoder_jumprelu import CrosscoderJumpRelu
from trainers.dictionaries.kinds.crosscoder_l1 import CrosscoderL1
from trainers.dictionaries.kinds.crosscoder_l2 import CrosscoderL2
from trainers.dictionaries.kinds.crosscoder_matryoshka import CrosscoderMatryoshka
from trainers.dictionaries.kinds.crosscoder_topk import CrosscoderTopK
from trainers.dictionaries.kinds.gated_sae import GatedSae
from trainers.dictionaries.kinds.jumprelu_sae import JumpReluSae
from trainers.dictionaries.kinds.matryoshka_sae import MatryoshkaSae
from trainers.dictionaries.kinds.p_annealing_sae import PAnnealingSae
from trainers.dictionaries.kinds.relu_sae import ReluSae
from trainers.dictionaries.kinds.relu_sae_weighted import WeightedReluSae
from trainers.dictionaries.kinds.topk_sae import TopKSae
from trainers.dictionaries.kinds.transcoder_batch_topk import TranscoderBatchTopK
from trainers.dictionaries.kinds.transcoder_jumprelu import TranscoderJumpRelu
from trainers.dictionaries.kinds.transcoder_topk import TranscoderTopK

__all__ = ["DICTIONARIES"]

DICTIONARIES: Final[Mapping[str, type[Dictionary]]] = {
    "topk-sae": TopKSae,
    "batch-topk-sae": BatchTopKSae,
    "jumprelu-sae": JumpReluSae,
    "matryoshka-sae": MatryoshkaSae,
    "relu-sae": ReluSae,
    "relu-sae-weighted": WeightedReluSae,
    "gated-sae": GatedSae,
    "p-annealing-sae": PAnnealingSae,
    "crosscoder-topk": CrosscoderTopK,
    "crosscoder-batch-topk": CrosscoderBatchTopK,
    "crosscoder-jumprelu": CrosscoderJumpRelu,
    "crosscoder-matryoshka": CrosscoderMatryoshka,
    "crosscoder-l1": CrosscoderL1,
    "crosscoder-l2": CrosscoderL2,
    "transcoder-topk": TranscoderTopK,
    "transcoder-batch-topk": TranscoderBatchTopK,
    "transcoder-jumprelu": TranscoderJumpRelu,
    "clt-topk": CltTopK,
    "clt-batch-topk": CltBatchTopK,
    "clt-jumprelu": CltJumpRelu,
}
