"""`transcoder-batch-topk`: a transcoder that keeps K latents a row on average."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from trainers.dictionaries.codes.batch_topk import BatchTopKDictionary
from trainers.dictionaries.shapes.transcoder import Transcoder

__all__ = ["TranscoderBatchTopK"]


class TranscoderBatchTopK(Transcoder, BatchTopKDictionary):
    """BatchTopK transcoder: the code of Bussmann et al. 2024."""

    options: ClassVar[Mapping[str, Any]] = MappingProxyType({**Transcoder.options, **BatchTopKDictionary.options})
