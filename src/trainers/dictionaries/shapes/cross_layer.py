"""Shapes of a cross-layer transcoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainers.dictionaries.dictionary import Dictionary, DictionaryOutput, FlatWeights, Role, Shape

__all__ = ["CrossLayer", "LayeredWeights"]


class LayeredWeights(NamedTuple):
    """The weights of L layers, each with some latents that write to their layer and all later ones."""

    of_layers: tuple[FlatWeights, ...]
    """Encoder [D, F_l] and decoder [F_l, (L - l) * D] of each; their decoder biases are not used."""
    decoder_bias_X: Tensor
    """X = L * D."""

    def pre(self, values_BX: Tensor) -> Tensor:
        """Return pre-activations [B, F], those of layer 0 first."""
        rows = values_BX.chunk(len(self.of_layers), dim=1)
        return torch.cat([layer.pre(rows_BD) for layer, rows_BD in zip(self.of_layers, rows, strict=True)], dim=1)

    def decode(self, code_BF: Tensor) -> Tensor:
        """Return the reconstruction [B, X]: at each layer the sum of what it and earlier ones write there."""
        codes = torch.split(code_BF, [len(layer.encoder_bias_F) for layer in self.of_layers], dim=1)
        sum_BX = self.decoder_bias_X.expand(len(code_BF), -1).clone()
        for code, layer in zip(codes, self.of_layers, strict=True):
            sum_BX[:, -layer.decoder_FX.shape[1] :] += code @ layer.decoder_FX
        return sum_BX

    def only(self, latents: Tensor) -> LayeredWeights:
        """Return the weights of some latents; see `Weights.only`."""
        first, chosen = 0, []
        for layer in self.of_layers:
            size = len(layer.encoder_bias_F)
            chosen.append(layer.only(latents[(latents >= first) & (latents < first + size)] - first))
            first += size
        return LayeredWeights(tuple(chosen), torch.zeros_like(self.decoder_bias_X))

    def layers(self) -> tuple[FlatWeights, ...]:
        """Return the weights of each layer; see `Weights.layers`."""
        return self.of_layers


class CrossLayer(Dictionary):
    """``code_l = act((x_l - b_pre_l) W_enc_l + b_enc_l)``, ``y^_m = sum_(l <= m) code_l W_dec_l[:, m - l] + b_dec_m``.

    A layer is a read site and the written site at the same place. W_enc [L, D, F / L], b_enc [L, F / L], W_dec.l
    [F / L, L - l, D], b_dec [L, D] (Ameisen et al. 2025, "Circuit Tracing: Revealing Computational Graphs in Language
    Models"). Latents of layer l write to the layers l to L - 1. The decoders are L parameters: one tensor with a place
    for every pair of layers would be half zeros. Norms are free, as in a crosscoder. It precedes the code among the
    base classes of a dictionary, which then sees only the rows that are encoded.

    b_pre [L, D] is the mean of the rows that are read, as that of a `Transcoder`.
    """

    one_site = False
    unit_norm_decoder = False
    takes_targets = True
    each_site_has_latents = True

    b_pre: Tensor
    W_dec: nn.ParameterList  # type: ignore[assignment]

    def __init__(self, shape: Shape, **of_code: Any) -> None:  # noqa: ANN401 - any option
        super().__init__(shape, **of_code)
        layers = len(shape.read)
        if len(shape.written) != layers:
            raise ValueError(f"a cross-layer transcoder of {layers} layers writes {len(shape.written)} sites")
        if shape.latents % layers:
            raise ValueError(f"{shape.latents} latents cannot be shared out over {layers} layers")
        each, width = shape.latents // layers, shape.width
        self.W_enc = nn.Parameter(torch.zeros(layers, each, width).transpose(1, 2))  # see `Dictionary.W_enc`
        self.b_enc = nn.Parameter(torch.zeros(layers, each))
        self.W_dec = nn.ParameterList(torch.zeros(each, layers - layer, width) for layer in range(layers))
        self.b_dec = nn.Parameter(torch.zeros(layers, width))
        self.register_buffer("b_pre", torch.zeros(layers, width))

    def roles(self) -> dict[str, Role]:
        """Return the role of each parameter; see `Dictionary.roles`."""
        roles = super().roles()
        del roles["W_dec"]
        return roles | {f"W_dec.{layer}": Role.DECODER for layer in range(len(self.W_dec))}

    def spans(self) -> dict[str, int]:
        """Return 1 for the encoder, and the layers that each decoder writes to; see `Dictionary.spans`."""
        layers = len(self.W_dec)
        decoders = {f"W_dec.{layer}": layers - layer for layer in range(layers)}
        return dict.fromkeys(self.roles(), 1) | decoders | {"b_dec": layers}

    def first_weights(self, generator: torch.Generator, mean_SD: Tensor, *, encoder_scale: float) -> None:
        """Fill the weights: decoders of norm 1 over the layers they write to, encoders along those at their layer.

        See `Dictionary.first_weights`.
        """
        for encoder_DF, decoder in zip(self.W_enc, self.W_dec, strict=True):
            drawn_FLD = torch.randn(decoder.shape, generator=generator)
            decoder.copy_(drawn_FLD / torch.linalg.vector_norm(drawn_FLD, dim=(1, 2), keepdim=True))
            own_FD = drawn_FLD[:, 0] / torch.linalg.vector_norm(drawn_FLD[:, 0], dim=1, keepdim=True)
            encoder_DF.copy_(encoder_scale * own_FD.t())
        self.b_dec.copy_(self.targets(mean_SD[None])[0])
        self.b_pre.copy_(self.inputs(mean_SD[None])[0])

    def weights(self) -> LayeredWeights:
        """Return the weights layer by layer."""
        layers = zip(self.W_enc, self.b_enc, self.W_dec, self.b_pre, strict=True)
        return LayeredWeights(
            tuple(
                FlatWeights(encoder, bias, decoder.flatten(1), self.b_dec[layer:].flatten(), pre_bias)
                for layer, (encoder, bias, decoder, pre_bias) in enumerate(layers)
            ),
            self.b_dec.flatten(),
        )

    def flat(self) -> FlatWeights:
        """Return the weights as matrices, with zeros where a latent does not read or write: for small dictionaries."""
        decoders = [
            torch.nn.functional.pad(one.flatten(1), (layer * self.shape.width, 0))
            for layer, one in enumerate(self.W_dec)
        ]
        return FlatWeights(
            encoder_XF=torch.block_diag(*self.W_enc),  # type: ignore[no-untyped-call]
            encoder_bias_F=self.b_enc.flatten(),
            decoder_FX=torch.cat(decoders),
            decoder_bias_X=self.b_dec.flatten(),
            pre_bias_X=self.b_pre.flatten(),
        )

    def decoder_norm_FS(self) -> Tensor:
        """Return the norm of each latent's decoder at each layer [F, L], 0 at those before its own."""
        norms = [torch.linalg.vector_norm(one, dim=2) for one in self.W_dec]
        return torch.cat([torch.nn.functional.pad(one, (layer, 0)) for layer, one in enumerate(norms)])

    def whole_norm_F(self) -> Tensor:
        """Return the norm of each latent's decoder over all layers that it writes to, [F]."""
        return torch.cat([torch.linalg.vector_norm(one, dim=(1, 2)) for one in self.W_dec])

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F], that of layer 0 first."""
        return super().encode(self.inputs(values_BSD))  # type: ignore[safe-super] # the code is the next base class

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode rows of all sites [B, S, D] and reconstruct the written ones."""
        return super().forward(self.inputs(values_BSD))  # type: ignore[safe-super]
