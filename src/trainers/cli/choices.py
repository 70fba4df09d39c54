"""The values that options of the commands choose from."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "BiasStartChoice",
    "DictionaryChoice",
    "GroupDrawChoice",
    "L0PenaltyChoice",
    "MissingChoice",
    "NormalisationChoice",
    "OrderChoice",
    "PrecisionChoice",
]


class DictionaryChoice(StrEnum):
    """Choices of --dictionary."""

    TOPK_SAE = "topk-sae"
    BATCH_TOPK_SAE = "batch-topk-sae"
    JUMPRELU_SAE = "jumprelu-sae"
    MATRYOSHKA_SAE = "matryoshka-sae"
    RELU_SAE = "relu-sae"
    RELU_SAE_WEIGHTED = "relu-sae-weighted"
    GATED_SAE = "gated-sae"
    P_ANNEALING_SAE = "p-annealing-sae"
    CROSSCODER_TOPK = "crosscoder-topk"
    CROSSCODER_BATCH_TOPK = "crosscoder-batch-topk"
    CROSSCODER_JUMPRELU = "crosscoder-jumprelu"
    CROSSCODER_MATRYOSHKA = "crosscoder-matryoshka"
    CROSSCODER_L1 = "crosscoder-l1"
    CROSSCODER_L2 = "crosscoder-l2"
    TRANSCODER_TOPK = "transcoder-topk"
    TRANSCODER_BATCH_TOPK = "transcoder-batch-topk"
    TRANSCODER_JUMPRELU = "transcoder-jumprelu"
    CLT_TOPK = "clt-topk"
    CLT_BATCH_TOPK = "clt-batch-topk"
    CLT_JUMPRELU = "clt-jumprelu"
    NONE = "none"


class NormalisationChoice(StrEnum):
    """Choices of --normalisation."""

    UNIT = "unit"
    SQRT_D = "sqrt_d"
    NONE = "none"
    ROW_ZSCORE = "row-zscore"
    ROW_NORM = "row-norm"


class BiasStartChoice(StrEnum):
    """Choices of --b-dec-start."""

    MEAN = "mean"
    GEOMETRIC_MEDIAN = "geometric-median"


class GroupDrawChoice(StrEnum):
    """Choices of --group-draw."""

    FIXED = "fixed"
    RANDOM = "random"


class L0PenaltyChoice(StrEnum):
    """Choices of --l0-penalty."""

    TARGET = "target"
    LINEAR = "linear"
    TANH = "tanh"


class PrecisionChoice(StrEnum):
    """Choices of --precision."""

    FLOAT32 = "float32"
    BF16 = "bf16"


class OrderChoice(StrEnum):
    """Choices of --order."""

    WINDOWS = "windows"
    UNIFORM = "uniform"


class MissingChoice(StrEnum):
    """Choices of --on-missing: how to treat rows that the store does not have yet."""

    ERROR = "error"
    COMPUTE = "compute"
    STORE = "store"
