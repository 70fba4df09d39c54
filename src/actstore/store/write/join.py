"""The common recipe of several stores that are read as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from actstore.contracts.models import Site
from actstore.errors import UsageError
from actstore.store.format.canonical import sha256_hex
from actstore.store.write.facts import CorpusFacts
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.members import MemberFacts, number_tasks

__all__ = ["join_recipes"]


def join_recipes(recipes: Sequence[FrozenRecipe], names: Sequence[str]) -> FrozenRecipe:
    """Return the recipe of several stores as one.

    Parameters
    ----------
    recipes, names
        Of the stores, and what messages call them.

    Raises
    ------
    UsageError
        If rows of the stores cannot be read together; names the difference.
    """
    first = recipes[0]
    for recipe, name in zip(recipes, names, strict=True):
        if recipe.imported is not None and "model" in recipe.imported.unknown:
            raise UsageError(f"{name} was imported, and nobody knows of which model: import it with --model NAME")
    for other, name in zip(recipes[1:], names[1:], strict=True):
        for what, one, two in _must_agree(first, other):
            if one != two:
                raise UsageError(f"{name} has {what} {two}, {names[0]} {one}: their rows cannot be read together")
        if first.calibration != other.calibration:
            raise UsageError(
                f"{name} and {names[0]} have different calibrations: equal codes mean other values; extract one with "
                "that of the other (--calibration-of STORE), or both as float16 or bfloat16"
            )
    members = tuple(
        MemberFacts(recipe_sha256=one.digest, sequences=one.corpus.sequences, splits=one.splits_here) for one in recipes
    )
    table = number_tasks(members, first.layout.task_rows)
    corpus = CorpusFacts(
        digest=_digest([one.corpus.digest for one in recipes]),
        sequences=sum(one.corpus.sequences for one in recipes),
        residues=sum(one.corpus.residues for one in recipes),
        skipped=dict(sum((Counter(one.corpus.skipped) for one in recipes), Counter())),
    )
    asked = first.recipe.corpus.model_copy(
        update={"sequences": tuple(path for one in recipes for path in one.recipe.corpus.sequences)}
    )
    return first.model_copy(
        update={
            "recipe": first.recipe.model_copy(update={"corpus": asked}),
            "corpus": corpus,
            "splits": table.splits,
            "rows": int(table.rows_T.sum()),
            "tasks": len(table.rows_T),
            "array_rows": (len(table.rows_T) - 1) * first.layout.task_rows + int(table.rows_T[-1]),
            "plan_sha256": _digest([one.plan_sha256 for one in recipes]),
            "sequences_sha256": _digest([one.sequences_sha256 for one in recipes]),
            "compression": None,
            "part": None if first.part is None else first.part.model_copy(update={"tasks": None}).or_none,
            "members": members,
        }
    )


def _must_agree(one: FrozenRecipe, other: FrozenRecipe) -> Iterator[tuple[str, object, object]]:
    """Yield facts that must be the same for rows to mean the same, and to be stored alike."""
    yield "rows", _rows_from(one), _rows_from(other)
    if one.imported is not None:  # nobody knows the weights
        yield "model", one.model.name, other.model.name
    yield "weights", one.model.weights_sha256, other.model.weights_sha256
    yield "dtype", one.model.dtype, other.model.dtype
    yield "sites here", _listed(one.sites_here), _listed(other.sites_here)
    yield "sites in the whole store", _listed(one.sites), _listed(other.sites)
    yield "modules", one.modules, other.modules
    yield "encoding", one.quantizer.name, other.quantizer.name
    yield "compressor", one.layout.compressor, other.layout.compressor
    yield "task_rows", one.layout.task_rows, other.layout.task_rows
    yield "chunk_rows", one.layout.chunk_rows, other.layout.chunk_rows


def _rows_from(recipe: FrozenRecipe) -> str:
    return "extracted rows" if recipe.imported is None else "imported rows"


def _listed(sites: Sequence[Site]) -> str:
    return ", ".join(f"{site.name} [{site.width}]" for site in sites)


def _digest(digests: Sequence[str]) -> str:
    """Return the SHA-256 of digests, one a line."""
    return sha256_hex("".join(f"{digest}\n" for digest in digests).encode())
