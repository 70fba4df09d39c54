"""The recipe: all choices that determine the content of a store, and no others.

Read from TOML, frozen into the store as JSON. Device, executor and storage options do not belong here: they do not
change the content.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

from actstore.access.credentials import fields_with_credentials
from actstore.access.printable import printable
from actstore.contracts.rules import CalibrationRules, RowRules
from actstore.errors import RecipeError

__all__ = [
    "MOST_INTEGER",
    "MOST_SPLITS",
    "CorpusRecipe",
    "EncodingName",
    "ModelRecipe",
    "Recipe",
    "RowsRecipe",
    "SplitsRecipe",
    "StoreRecipe",
]

EncodingName = Literal["float16", "bfloat16", "int8", "int4"]
Dtype = Literal["float32", "float16", "bfloat16"]

MOST_INTEGER: Final = 2**53 - 1
"""Largest integer in the documents of a store: the largest that all JSON libraries read exactly."""
MOST_SPLITS: Final = 100
"""A split is a small integer in tables of sequences."""
_MOST_RESIDUES: Final = 2**31 - 1
_MOST_TASK_ROWS: Final = 1 << 24


def _as_tuple(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


OneOrMore = Annotated[
    tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str]), Field(min_length=1)
]


def _as_lengths(value: object) -> object:
    return (value,) if isinstance(value, int) else value


Lengths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=10_000_000)], ...],
    BeforeValidator(_as_lengths, json_schema_input_type=int | list[int]),
    Field(min_length=1, max_length=10_000),
]


License = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\r\n]*$")]
Citation = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class ModelRecipe(_Section):
    """Which model, pinned."""

    name: str
    """A Hugging Face name (`facebook/esm2_t6_8M_UR50D`, `Rostlab/prot_t5_xl_uniref50`) or a local folder, which takes
    precedence. A store keeps the absolute path of a folder."""

    revision: str | None = None
    """Branch, tag or commit on the hub; the commit it resolves to is recorded in the store."""

    dtype: Dtype = "float32"
    """Number format of weights and forward pass. Inner layers of ProtT5 overflow float16: use bfloat16 or float32."""

    blocks: str | None = None
    """Module path of the list of transformer blocks; needed only for architectures without a table row."""

    embed: str | None = None
    """Module path whose output is the site `embed`; needed only for architectures without a table row."""

    final_norm: str | None = None
    """Module path whose output is the site `final_norm`; needed only for architectures without a table row."""

    pickle_weights: bool = False
    """Accept weights that are not safetensors. Unpickling runs code that the author of the file chose."""

    remote_code: bool = False
    """Run Python code that the model's repository ships."""

    unused_weights: Annotated[
        tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str]), Field(max_length=1000)
    ] = ()
    """Names or globs of weights in the model's files that it may leave unused, besides its heads. Any others are an
    error: the rows would not be those of the model in the files (adapters that were never merged, surplus blocks)."""

    tokens_per_batch: int = Field(default=8192, ge=64, le=_MOST_RESIDUES)
    """Most tokens of one forward pass, padding included. Part of the recipe because it can change the last bit. On a
    CPU a pass has at most 1,024 tokens, which is faster there. On a large GPU 32,768 are faster than the default, if
    tasks have at least as many rows."""

    compile: bool = False
    """Run the blocks through torch.compile, which first takes a minute or two. Meant for GPUs: on a CPU it is slower.
    Part of the recipe because it changes the last bits."""

    license: License | None = None
    """Licence of the model, as an SPDX identifier (`MIT`) or in words; shown by `inspect` and on a published card."""

    citation: Citation | None = None
    """How to cite the model: BibTeX or text."""


class CorpusRecipe(_Section):
    """Which sequences, and how they are cleaned and cut."""

    sequences: OneOrMore = ()
    """Paths or fsspec URLs of FASTA (plain, gzip, bzip2, xz, zstd) or Parquet (`id`, `sequence`) files, read in this
    order. `-` is standard input; a store records the SHA-256 of what comes through a pipe."""

    expected_sequences: int | None = Field(default=None, ge=1, le=100_000_000_000)
    """Expected number of sequences, instead of `sequences`; for `actstore plan` only."""

    expected_lengths: Lengths | None = None
    """With `expected_sequences`: residues of each sequence, or quantiles of the lengths at even steps from the shortest
    to the longest (`[30, 250, 2000]`: half have at most 250). Between quantiles, lengths are spread evenly."""

    format: Literal["auto", "fasta", "parquet"] = "auto"
    """File format; `auto` looks at the first bytes."""

    min_residues: int = Field(default=1, ge=1, le=_MOST_RESIDUES)
    """Shorter sequences are left out and counted."""

    max_residues: int | None = Field(default=None, ge=1, le=_MOST_RESIDUES)
    """Longer sequences are left out and counted."""

    on_bad_record: Literal["error", "skip"] = "error"
    """`skip` leaves out records that are empty, duplicate or have foreign letters, and counts them by reason."""

    long_sequences: Literal["window", "truncate", "skip"] = "window"
    """Treatment of sequences longer than `window_residues`: cut into overlapping windows, keep the first residues, or
    leave out."""

    window_residues: int = Field(default=1022, ge=2, le=_MOST_RESIDUES)
    """Most residues in one forward pass; ESM-2 was trained to 1,022."""

    window_overlap: int = Field(default=256, ge=0, le=_MOST_RESIDUES)
    """Least overlap of neighbouring windows; each residue is kept once, in the window where it has most context."""

    license: License | None = None
    """Licence of the sequences, as an SPDX identifier (`CC-BY-4.0`) or in words."""

    citation: Citation | None = None
    """How to cite the sequences: BibTeX or text."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.window_overlap >= self.window_residues:
            raise ValueError("window_overlap must be smaller than window_residues")
        if self.max_residues is not None and self.max_residues < self.min_residues:
            raise ValueError("max_residues must be at least min_residues")
        if self.expected_lengths is not None and tuple(sorted(self.expected_lengths)) != self.expected_lengths:
            raise ValueError("expected_lengths are quantiles: they must not fall, from the shortest to the longest")
        if (self.expected_sequences is None) != (self.expected_lengths is None):
            raise ValueError("expected_sequences and expected_lengths belong together: give both or neither")
        if bool(self.sequences) == self.is_expected:
            raise ValueError(
                "give sequences (files), or else expected_sequences and expected_lengths, which are enough to plan"
            )
        return self

    @property
    def is_expected(self) -> bool:
        """Whether the recipe has an expected number and length of sequences instead of files: enough to plan."""
        return self.expected_sequences is not None

    @model_serializer(mode="wrap")
    def _without_what_is_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what the corpus does not have: files, or expectations."""
        document: dict[str, Any] = dump(self)
        for key in ("expected_sequences", "expected_lengths") if self.sequences else ("sequences",):
            document.pop(key, None)
        return document


class SplitsRecipe(_Section):
    """How sequences are divided into splits, each as a whole and independently of the others."""

    fractions: dict[str, float] = {"train": 0.9, "test": 0.05, "valid": 0.05}
    """Share of each split, by seeded hash of the sequence id (or of its cluster); adds up to 1."""

    clusters: str | None = None
    """MMseqs2 cluster TSV (`representative<TAB>member`): whole clusters go to one split."""

    @field_validator("fractions")
    @classmethod
    def _sums_to_one(cls, fractions: dict[str, float]) -> dict[str, float]:
        shares = fractions.values()
        # Written so that NaN, for which every comparison is false, is refused.
        if not (fractions and min(shares) >= 0 and abs(sum(shares) - 1.0) <= 1e-9):
            raise ValueError(
                f"fractions must be non-negative and add up to 1, not {printable(str(fractions), most=200)}"
            )
        if len(fractions) > MOST_SPLITS:
            raise ValueError(f"{len(fractions)} splits; at most {MOST_SPLITS} are kept apart")
        bad = [name for name in fractions if not name.isidentifier()]
        if bad:
            raise ValueError(f"split names must be identifiers, not {printable(str(bad), most=200)}")
        # One order, independent of the order in the recipe: `train` first, the others by name.
        return dict(sorted(fractions.items(), key=lambda item: (item[0] != "train", item[0])))


class RowsRecipe(_Section):
    """Which residues become rows, drawn independently for each sequence."""

    fraction: float = Field(default=1.0, gt=0.0, le=1.0, allow_inf_nan=False)
    """Share of the residues of each sequence; a smaller fraction is a subset of a larger one."""

    max_per_sequence: int | None = Field(default=None, ge=1, le=_MOST_RESIDUES)
    """At most this many rows from one sequence."""


class StoreRecipe(_Section):
    """How rows are written."""

    encoding: EncodingName = "int8"
    """`int8` takes half of 16 bit at about 40 dB, `int4` a quarter at about 20; `float16` and `bfloat16` need no
    calibration."""

    on_overflow: Literal["error", "saturate"] = "error"
    """Treatment of values beyond float16: stop, or clamp to +-65,504 and count."""

    compressor: Literal["none", "zstd", "blosc", "auto"] = "none"
    """Zarr codec of the values. Activations compress little, and uncompressed values are read several times faster.
    `auto` tries the first task and compresses only if that saves a quarter. `inspect` shows the measured ratios."""

    task_rows: int = Field(default=16384, ge=1, le=_MOST_TASK_ROWS)
    """Rows extracted, written and committed together: one shard object for each site."""

    chunk_rows: int = Field(default=256, ge=1, le=_MOST_TASK_ROWS)
    """Rows of one inner Zarr chunk, the smallest range that is read."""

    calibration_sequences: int = Field(default=256, ge=1, le=_MOST_RESIDUES)
    """Number of sequences from which centre and scale of every channel are computed for int8 and int4."""

    calibration_of: str | None = None
    """A store whose centre and scale of every channel are taken, so that both stores can be merged. Path or URL of the
    store, or a manifest file."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.task_rows % self.chunk_rows:
            raise ValueError(f"task_rows ({self.task_rows}) must be a multiple of chunk_rows ({self.chunk_rows})")
        return self


class Recipe(_Section):
    """What to extract. `actstore extract RECIPE.toml` reads this from TOML."""

    model: ModelRecipe
    corpus: CorpusRecipe
    sites: OneOrMore = ("resid_post.*",)
    """Sites or globs: `embed`, `resid_post.7`, `resid_post.*`, `final_norm`, or a module path of the model."""

    rows: RowsRecipe = RowsRecipe()
    splits: SplitsRecipe = SplitsRecipe()
    store: StoreRecipe = StoreRecipe()
    seed: int = Field(default=0, ge=0, le=MOST_INTEGER)
    """Seeds splits, sampling and order."""

    def refuse_credentials(self, *, name: str = "recipe") -> None:
        """Refuse addresses with credentials: recipes are kept in stores, and shared with them.

        Raises
        ------
        RecipeError
            Names the fields.
        """
        if fields := list(fields_with_credentials(self.model_dump())):
            raise RecipeError(
                f"{name}: {', '.join(fields)}: an address with credentials would end up in the store and its manifest; "
                "give them with --storage-option, in the environment or in a profile"
            )

    @property
    def row_rules(self) -> RowRules:
        """What the plan of the rows follows from."""
        return RowRules(
            seed=self.seed,
            fraction=self.rows.fraction,
            max_per_sequence=self.rows.max_per_sequence,
            window_residues=self.corpus.window_residues,
            window_overlap=self.corpus.window_overlap,
            task_rows=self.store.task_rows,
        )

    @property
    def calibration_rules(self) -> CalibrationRules:
        """What centre and scale of each channel follow from."""
        return CalibrationRules(
            seed=self.seed,
            sequences=self.store.calibration_sequences,
            window_residues=self.corpus.window_residues,
            encoding=self.store.encoding,
        )
