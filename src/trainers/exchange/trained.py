"""A trained dictionary: raw rows in, codes and raw rows out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from actstore import errors
from trainers.exchange.codes import SparseCode, own_code
from trainers.exchange.edits import Positions, Value, checked_edits
from trainers.exchange.facts import DictionaryFacts
from trainers.exchange.model_sites import find_sites
from trainers.exchange.on_model import OnModel, Splice
from trainers.exchange.rows import RawRows, RowStatistics, Values, like, raw_rows, row_statistics
from trainers.exchange.same_model import check_weights

__all__ = ["OPTIONAL_WEIGHTS", "TrainedDictionary", "weight_shapes"]

OPTIONAL_WEIGHTS: Final = ("rank", "threshold", "latent_scale")


def weight_shapes(facts: DictionaryFacts) -> dict[str, tuple[int, ...]]:
    """Return the weights that every dictionary has, and the shape of each."""
    sites, width, latents = len(facts.sites), facts.width, facts.latents
    return {
        "W_enc": (sites, width, latents),
        "b_enc": (latents,),
        "W_dec": (latents, sites, width),
        "b_dec": (sites, width),
    }


class TrainedDictionary(nn.Module):
    """A trained dictionary in the units of its model: nothing has to be scaled before or after.

    Rows are ``[B, S, D]``, or ``[B, D]`` for one site: tensors or NumPy arrays of any floating-point type, as the store
    and the model give them. Results are of the same kind, in the number format of the dictionary. Gradients flow to
    the rows; the weights are fixed. `to` moves it to a device or another number format.

    ``code = act(x W_enc + b_enc)`` (with `subtracts_b_dec`: of ``x - b_dec``), ``x^ = code W_dec + b_dec``.

    Parameters
    ----------
    facts
        What is known about it.
    weights
        ``W_enc`` [S, D, F], ``b_enc`` [F], ``W_dec`` [F, S, D] and ``b_dec`` [S, D] in raw units. Where the activation
        uses them: ``rank`` [F], ``threshold`` [F]. ``latent_scale`` [F]: what codes are divided by.

    Examples
    --------
    ::

        dictionary = trainers.load("runs/sae")
        with actstore.open_store("store") as store:
            protein = store.rows(sequence="P62258", sites=dictionary.sites)
        code_BF = dictionary.encode(protein.values_ND)
        index_BK, value_BK = dictionary.encode(protein.values_ND, sparse=True)
    """

    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    rank: Tensor | None
    threshold: Tensor | None
    latent_scale: Tensor | None

    def __init__(self, facts: DictionaryFacts, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.facts = facts
        """Kind, sites, model, manifests, training, metrics."""
        for name in (*weight_shapes(facts), *OPTIONAL_WEIGHTS):
            self.register_buffer(name, weights.get(name))

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites S."""
        return tuple(site.name for site in self.facts.sites)

    @property
    def latents(self) -> int:
        """Dictionary size F."""
        return self.facts.latents

    @property
    def width(self) -> int:
        """Features D of each site."""
        return self.facts.width

    @property
    def decoder_FSD(self) -> Tensor:
        """Decoder in raw units [F, S, D]: what one unit of each latent adds to the rows."""
        return self.W_dec if self.latent_scale is None else self.W_dec * self.latent_scale[:, None, None]

    @property
    def norm_FS(self) -> Tensor:
        """Norm of each latent's decoder at each site [F, S], in the units of training, in which sites compare."""
        scale_S = torch.tensor(self.facts.input_scale, dtype=self.W_dec.dtype, device=self.W_dec.device)
        norm_FS: Tensor = torch.linalg.vector_norm(self.decoder_FSD, dim=2) * scale_S
        return norm_FS

    @overload
    def encode(self, values: Values, *, sparse: Literal[False] = ...) -> Values: ...

    @overload
    def encode(self, values: Values, *, sparse: Literal[True]) -> SparseCode: ...

    def encode(self, values: Values, *, sparse: bool = False) -> Values | SparseCode:
        """Return the code of raw rows: dense [B, F], or its active latents.

        Raises
        ------
        UsageError
            If the rows have another shape than the sites, or are not floating-point numbers.
        NumericsError
            If they are not finite.
        """
        rows = self._raw(values)
        values_BSD, _ = self._transformed(rows.values_BSD)
        if not sparse:
            return like(self._dense(values_BSD), values)
        found = self._sparse(values_BSD)
        return SparseCode(like(found.index_BK, values), like(found.value_BK, values))

    def decode(self, code: Values | SparseCode, *, rows: Tensor | NDArray[np.floating] | None = None) -> Values:
        """Return the raw rows of a code: [B, S, D], or [B, D] for one site. `reconstruct` keeps the shape of the rows.

        Parameters
        ----------
        code
            Dense [B, F], or sparse.
        rows
            The rows that were encoded: only a dictionary with a transform of each row needs them, to undo it.

        Raises
        ------
        UsageError
            If it is no code, or has another shape, or `rows` are needed, or they are not as many.
        NumericsError
            If the code or the rows hold NaN or Inf.
        """
        own = own_code(code, self.latents, like=self.W_dec)
        given: Any = code.value_BK if isinstance(code, SparseCode) else code
        statistics: RowStatistics | None = None
        if self.facts.row_transform != "none":
            if rows is None:
                raise errors.UsageError(
                    f"this dictionary transforms each row ({self.facts.row_transform}), which only the rows can undo: "
                    "decode(code, rows=values), or reconstruct(values)"
                )
            values_BSD = self._raw(rows).values_BSD
            if len(values_BSD) != len(given):
                raise errors.UsageError(
                    f"a code of {len(given)} rows, and {len(values_BSD)} rows to undo their transform"
                )
            statistics = self._transformed(values_BSD)[1]
        values_BSD = self._decode(own, statistics)
        return like(values_BSD[:, 0] if len(self.sites) == 1 else values_BSD, given)  # type: ignore[no-any-return]

    def reconstruct(self, values: Values) -> Values:
        """Return the reconstruction of raw rows, of their shape; raises as `encode`."""
        rows = self._raw(values)
        return like(self._reconstructed(rows.values_BSD).reshape(rows.shape), values)

    def error(self, values: Values) -> Values:
        """Return ``rows - reconstruction``, of the shape of the rows; raises as `encode`."""
        rows = self._raw(values)
        return like((rows.values_BSD - self._reconstructed(rows.values_BSD)).reshape(rows.shape), values)

    def forward(self, values: Values) -> Values:
        """Return the reconstruction of raw rows; see `reconstruct`."""
        return self.reconstruct(values)

    def on(
        self,
        model: nn.Module,
        *,
        replace: bool = False,
        keep_error: bool = True,
        set: Mapping[int, Value] | None = None,  # noqa: A002 - the word of the field
        add: Mapping[int, Value] | None = None,
        scale: Mapping[int, Value] | None = None,
        ablate: Iterable[int] = (),
        positions: Positions | None = None,
        modules: Mapping[str, str] | None = None,
        allow_other_model: bool = False,
    ) -> OnModel:
        """Put it onto its sites in a model in memory, for a `with` block: see `OnModel`, docs/how-to/steer-a-model.md.

        Without `replace` and edits, codes are only read. Otherwise the reconstruction of the edited code takes the
        place of the activations, in their number format. Gradients flow through it.

        Parameters
        ----------
        model
            A model of `transformers`, with or without a head, or any module that contains the modules of the sites.
        replace
            Whether the reconstruction takes the place of the activations.
        keep_error
            Whether the error of the reconstruction, as it is before edits, is added to it: then only edits change the
            model.
        set, add, scale, ablate
            Edits by latent: its value, what is added to it, a factor, or 0. It may become negative.
        positions
            Tokens that are read and replaced: a mask [batch, tokens] or [tokens], or their numbers. None for those of
            the attention mask that the model is given, special tokens included, and for all if it is given none.
        modules
            Paths in the model of sites whose module is not known, or is another one.
        allow_other_model
            Whether the weights may differ from those that the rows came from, or be unknown.

        Raises
        ------
        ModelError
            If the weights of the model are others, or it is not known.
        SiteError
            If a module is not found.
        UsageError
            If an edit names no latent or has no finite value, the model is none in memory, or hooks have no effect on
            it: it may be compiled or replicated.
        """
        edits = checked_edits(self.latents, set_to=set, add=add, scale=scale, ablate=ablate)
        if not (keep_error or replace or edits):
            raise errors.UsageError("keep_error=False has no effect without replace=True or edits")
        where = find_sites(model, self.facts.sites, modules)
        if not allow_other_model:
            check_weights(self.facts, where.network)
        return OnModel(self, where, Splice(replace or bool(edits), keep_error, edits, positions))

    def extra_repr(self) -> str:
        """Return what matters most, for `repr`."""
        facts = self.facts
        k = f", k {facts.activation.k}" if facts.activation.k else ""
        model = f", {facts.model.name}" if facts.model else ""
        return f"{facts.dictionary}, {facts.latents:,} latents{k}, {', '.join(self.sites)} x {facts.width}{model}"

    def _raw(self, values: Tensor | NDArray[np.floating]) -> RawRows:
        return raw_rows(values, self.sites, self.width, like=self.W_enc)

    def _transformed(self, values_BSD: Tensor) -> tuple[Tensor, RowStatistics | None]:
        statistics = row_statistics(values_BSD, self.facts.row_transform)
        if statistics is None:
            return values_BSD, None
        return (values_BSD - statistics.shift_BS1) / statistics.scale_BS1, statistics

    def _pre_BF(self, values_BSD: Tensor) -> Tensor:
        inputs_BSD = values_BSD - self.b_dec if self.facts.subtracts_b_dec else values_BSD
        return torch.addmm(self.b_enc, inputs_BSD.flatten(1), self.W_enc.flatten(0, 1))

    def _ranked(self, active_BF: Tensor) -> Tensor:
        return active_BF.detach() if self.rank is None else active_BF.detach() * self.rank

    def _scaled(self, code: Tensor, index: Tensor | None = None) -> Tensor:
        if self.latent_scale is None:
            return code
        return code / (self.latent_scale if index is None else self.latent_scale[index])

    def _dense(self, values_BSD: Tensor) -> Tensor:
        pre_BF = self._pre_BF(values_BSD)
        active_BF = torch.relu(pre_BF)
        if self.facts.activation.k is not None:
            index_BK = torch.topk(self._ranked(active_BF), self.facts.activation.k, dim=1, sorted=False).indices
            active_BF = torch.zeros_like(active_BF).scatter(1, index_BK, active_BF.gather(1, index_BK))
        elif self.threshold is not None:
            active_BF = torch.where(self._ranked(pre_BF) > self.threshold, active_BF, 0)
        return self._scaled(active_BF)

    def _sparse(self, values_BSD: Tensor) -> SparseCode:
        if self.facts.activation.k is not None:
            active_BF = torch.relu(self._pre_BF(values_BSD))
            index_BK = torch.topk(self._ranked(active_BF), self.facts.activation.k, dim=1, sorted=False).indices
            value_BK = self._scaled(active_BF.gather(1, index_BK), index_BK)
            order_BK = torch.argsort(value_BK.detach(), dim=1, descending=True, stable=True)
            return SparseCode(index_BK.gather(1, order_BK), value_BK.gather(1, order_BK))
        code_BF = self._dense(values_BSD)
        most = int((code_BF.detach() > 0).sum(dim=1).max()) if len(code_BF) else 0
        index_BK = torch.topk(code_BF.detach(), most, dim=1).indices
        return SparseCode(index_BK, code_BF.gather(1, index_BK))

    def _decode(self, code: Tensor | SparseCode, statistics: RowStatistics | None) -> Tensor:
        decoder_FX, bias_X = self.W_dec.flatten(1), self.b_dec.flatten()
        if isinstance(code, SparseCode):
            index_BK, value_BK = torch.as_tensor(code.index_BK), torch.as_tensor(code.value_BK)
            if self.latent_scale is not None:
                value_BK = value_BK * self.latent_scale[index_BK]
            if index_BK.shape[1]:
                sum_BX = embedding_bag(index_BK, decoder_FX, per_sample_weights=value_BK, mode="sum") + bias_X
            else:
                sum_BX = bias_X.expand(len(index_BK), -1)
        else:
            scaled_BF = code if self.latent_scale is None else code * self.latent_scale
            sum_BX = torch.addmm(bias_X, scaled_BF, decoder_FX)
        values_BSD = sum_BX.reshape(-1, len(self.sites), self.width)
        return values_BSD if statistics is None else statistics.shift_BS1 + statistics.scale_BS1 * values_BSD

    def _reconstructed(self, values_BSD: Tensor) -> Tensor:
        inputs_BSD, statistics = self._transformed(values_BSD)
        keeps_k = self.facts.activation.k is not None
        return self._decode(self._sparse(inputs_BSD) if keeps_k else self._dense(inputs_BSD), statistics)
