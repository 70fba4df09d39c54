"""`transcoder-jumprelu`: a transcoder with a learned threshold for each latent."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from trainers.dictionaries.codes.jumprelu import JumpReluDictionary
from trainers.dictionaries.shapes.transcoder import Transcoder

__all__ = ["TranscoderJumpRelu"]


class TranscoderJumpRelu(Transcoder, JumpReluDictionary):
    """JumpReLU transcoder, the form of the transcoders of Gemma Scope (Lieberum et al. 2024)."""

    options: ClassVar[Mapping[str, Any]] = MappingProxyType({**Transcoder.options, **JumpReluDictionary.options})
