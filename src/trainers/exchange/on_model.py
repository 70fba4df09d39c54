"""A trained dictionary on the sites of a model in memory: codes read, reconstructions spliced, latents edited."""

from __future__ import annotations

import inspect
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from actstore import errors
from trainers.exchange.edits import Edits, Positions, token_mask
from trainers.exchange.facts import DictionaryFacts
from trainers.exchange.model_sites import ModelSites
from trainers.exchange.module_output import activations_in, with_activations

__all__ = ["OnModel", "RowsDictionary", "Splice"]


class RowsDictionary(Protocol):
    """What `OnModel` needs of a dictionary: `TrainedDictionary`, which imports it."""

    facts: DictionaryFacts

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites S."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the sites R whose rows are encoded."""

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the sites W whose rows are reconstructed."""

    def encode(self, values: Tensor) -> Tensor:
        """Return the code [N, F] of raw rows [N, R, D]."""

    def decode(self, code: Tensor, *, rows: Tensor | None = None) -> Tensor:
        """Return raw rows, [N, W, D] or [N, D]; `rows` are those that were encoded."""


@dataclass(frozen=True, slots=True)
class Splice:
    """What a dictionary does to the activations of a model."""

    replace: bool = False
    """Whether anything is put in their place; without, codes are only read."""
    keep_error: bool = True
    """Whether what the dictionary does not reconstruct is added again."""
    edits: Edits = field(default_factory=Edits)
    positions: Positions | None = None
    """Tokens; None for those that are attended to."""


class _AllRead(Exception):  # noqa: N818 - not an error: it ends a forward pass after the last site
    """Raised in the first of two passes."""


class OnModel:
    """A dictionary on the sites of a model, from `with` to the end of its block. Made by `TrainedDictionary.on`.

    Every forward pass in the block counts, in whichever thread, one at a time. The hooks are gone after the block, also
    if it raised; codes stay.

    Other dictionaries may be on the model at the same time. Codes are read of the activations that the model goes on
    with. What is put in their place, other hooks of the module see, so that it is also in `hidden_states`; of several
    dictionaries that replace the same site, the one that was put on last comes first.

    A dictionary of several sites needs the activations of all of them for its code. To replace any, it runs the model
    twice: up to its last site to read them, and again to put each site's part in place. Each site then has its
    activations of the first pass plus its own change: what the change at an earlier site did to a later one is
    replaced, since the decoder of the later site describes the whole effect there. A transcoder is put on in the same
    way: codes are of the sites that it reads, and only those that it writes are replaced.
    """

    def __init__(self, dictionary: RowsDictionary, where: ModelSites, splice: Splice) -> None:
        self._dictionary = dictionary
        self._where = where
        self._splice = splice
        self._hooks: ExitStack | None = None
        self._entered: list[tuple[nn.Module, Tensor | None]] = []
        """Modules around the sites that are running, and the attention mask that each was given."""
        self._reads_first = False
        self._rows: dict[int, Tensor] = {}
        """Activations [N, D] of the tokens of the mask, by number of site."""
        self._new: dict[int, Tensor] | None = None
        """What replaces them [N, D], by number of written site."""
        self._read_sites, self._written_sites = (
            [dictionary.sites.index(name) for name in names] for names in (dictionary.reads, dictionary.writes)
        )
        self._mask_BT: Tensor | None = None
        """Tokens of the pass that runs."""
        self._last: tuple[Tensor, Tensor] | None = None
        """Codes [batch, tokens, F] and mask of the last pass."""

    @property
    def codes(self) -> Tensor:
        """Code of the last forward pass [batch, tokens, F], in the number format and on the device of the dictionary.

        With edits, the edited one. It is 0 at tokens that are not in `mask`. It is the tensor that was decoded, so
        gradients with respect to it are those of the latents.

        Raises
        ------
        UsageError
            If no forward pass has reached all sites yet.
        """
        return self._of_last_pass[0]

    @property
    def mask(self) -> Tensor:
        """Tokens of the last forward pass that the dictionary was put onto: bool [batch, tokens]; raises as `codes`."""
        return self._of_last_pass[1]

    @property
    def _of_last_pass(self) -> tuple[Tensor, Tensor]:
        if self._last is None:
            raise errors.UsageError(f"no forward pass of the model has reached {', '.join(self._dictionary.sites)} yet")
        return self._last

    def __enter__(self) -> Self:
        if self._hooks is not None:
            raise errors.UsageError("this dictionary is on the model already; call 'on' once for each 'with'")
        with ExitStack() as hooks:
            for module in self._where.around:
                hooks.callback(module.register_forward_pre_hook(self._enter_module, with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(self._leave_module, always_call=True).remove)
            for site, module in enumerate(self._where.modules):
                hook = partial(self._at_site, site)
                hooks.callback(module.register_forward_hook(hook, prepend=self._splice.replace).remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._hooks is not None:
            self._hooks.close()
        self._hooks = None
        self._entered.clear()
        self._forget_pass()

    @property
    def _needs_two_passes(self) -> bool:
        return self._splice.replace and len(self._where.modules) > 1

    def _enter_module(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        mask = _argument("attention_mask", module, args, kwargs)
        if module is self._where.around[0]:
            self._entered.clear()  # whatever an interrupt left
        begins = not self._entered
        self._entered.append((module, mask if isinstance(mask, Tensor) and mask.ndim == 2 else None))
        if begins:
            self._forget_pass()
            if self._needs_two_passes:
                self._read_first(module, args, kwargs)

    def _leave_module(self, module: nn.Module, _args: object, _output: object) -> None:
        if self._entered and self._entered[-1][0] is module:
            self._entered.pop()
            if not self._entered:
                self._forget_pass()

    def _read_first(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the model up to the last site, to know the code before any site is replaced."""
        several = f"{', '.join(self._dictionary.sites)} are replaced in a second forward pass"
        if module.training:
            raise errors.UsageError(f"{several}, which in training mode is another one; call model.eval()")
        if _argument("past_key_values", module, args, kwargs) is not None:
            raise errors.UsageError(f"{several}, and the first would fill the cache of keys; use_cache=False")
        self._reads_first = True
        try:
            with suppress(_AllRead):
                module.forward(*args, **kwargs)
        finally:
            self._reads_first = False
        if self._new is None:
            raise errors.SiteError(
                f"a forward pass of {type(module).__name__} does not reach all of {', '.join(self._dictionary.sites)}; "
                "run a part of the model that does"
            )

    def _at_site(self, site: int, _module: nn.Module, _args: object, output: object) -> Any:  # noqa: ANN401 - as it was
        facts = self._dictionary.facts
        values_BTD = activations_in(output, site=facts.sites[site].name, width=facts.width)
        if not self._entered and not self._rows:
            self._forget_pass()  # the module was called on its own
        if self._reads_first or not self._needs_two_passes:
            self._read(site, values_BTD)
            if self._reads_first and self._new is not None:
                raise _AllRead
        if not self._splice.replace or self._reads_first or site not in self._written_sites:
            return None
        if self._new is None:
            raise errors.UsageError(
                f"{facts.sites[site].name} runs on its own, and its code depends on all of "
                f"{', '.join(self._dictionary.sites)}; run the model"
            )
        mask_BT, new_ND = self._mask(values_BTD), self._new[site]
        new_ND = new_ND.to(device=values_BTD.device, dtype=values_BTD.dtype)
        return with_activations(output, values_BTD.index_put((mask_BT,), new_ND))

    def _read(self, site: int, values_BTD: Tensor) -> None:
        """Take the activations of a site; after the last site, compute the code and what replaces the activations."""
        if site in self._rows:
            self._forget_pass()
        self._rows[site] = values_BTD[self._mask(values_BTD)]
        if len(self._rows) < len(self._where.modules):
            return
        home = self._rows[0].device
        rows_NSD = torch.stack([self._rows[s].to(home) for s in self._read_sites], dim=1)
        targets_NSD = torch.stack([self._rows[s].to(home) for s in self._written_sites], dim=1)
        self._rows.clear()
        before_NF = self._dictionary.encode(rows_NSD)
        mask_BT = self._mask(values_BTD).to(before_NF.device)
        after_NF = self._splice.edits.of(before_NF, mask_BT)
        codes_BTF = before_NF.new_zeros(*mask_BT.shape, before_NF.shape[1]).index_put((mask_BT,), after_NF)
        self._last = codes_BTF, mask_BT
        if self._splice.replace:
            new_NSD = self._replacement(rows_NSD, targets_NSD, before_NF, codes_BTF[mask_BT])
            self._new = dict(zip(self._written_sites, new_NSD.unbind(dim=1), strict=True))

    def _replacement(self, rows_NSD: Tensor, targets_NSD: Tensor, before_NF: Tensor, after_NF: Tensor) -> Tensor:
        """Return the reconstruction of the edited code [N, W, D], with the error of the code before edits if kept."""
        shape = targets_NSD.shape
        after_NSD = self._dictionary.decode(after_NF, rows=rows_NSD).reshape(shape)
        if not self._splice.keep_error:
            return after_NSD
        change_NSD = after_NSD - self._dictionary.decode(before_NF, rows=rows_NSD).reshape(shape)
        return targets_NSD + change_NSD.to(targets_NSD.device)

    def _mask(self, values_BTD: Tensor) -> Tensor:
        """Return the tokens of this pass that are meant, on the device of the activations."""
        if self._mask_BT is None:
            attended_BT = next((mask for _, mask in reversed(self._entered) if mask is not None), None)
            self._mask_BT = token_mask(self._splice.positions, attended_BT, values_BTD)
        if self._mask_BT.shape != values_BTD.shape[:2]:
            raise errors.SiteError(
                f"sites of {list(self._mask_BT.shape)} and {list(values_BTD.shape[:2])} tokens have no common code"
            )
        return self._mask_BT.to(values_BTD.device)

    def _forget_pass(self) -> None:
        """Forget what belongs to one forward pass, but for its codes and mask."""
        self._rows.clear()
        self._new = None
        self._mask_BT = None


def _argument(name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """Return an argument of a call of a module, by its name; None if it has none."""
    if name in kwargs or not args:
        return kwargs.get(name)
    with suppress(TypeError, ValueError):
        return inspect.signature(module.forward).bind_partial(*args).arguments.get(name)
    return None
