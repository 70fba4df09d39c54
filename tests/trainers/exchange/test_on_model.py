"""A dictionary on a model reads and changes what a hook written by hand reads and changes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from actstore import errors, open_store
from tests.trainers.exchange.made import draw
from tests.trainers.exchange.spliced import FEATURES, dictionary_for, first, hooked, hooks_of, loaded, rowwise, watched
from trainers.exchange.facts import Activation, ModelFacts
from trainers.exchange.trained import TrainedDictionary

SITE = {"resid_post.3": "encoder.layer.3"}
SITES = {"resid_post.0": "encoder.layer.0", "resid_post.3": "encoder.layer.3"}
EDITS: Any = {"set": {3: 5.0, 4: 0.0}, "add": {7: -2.5}, "scale": {11: 3.0}, "ablate": [20, 21]}
PROTEINS = ["MKTAYIAKQRQISFVKSHFSRQ", "GSHMLEDPVQ"]


@pytest.fixture(autouse=True, scope="module")
def quiet() -> None:
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def shared_model(esm2_tiny: Path) -> Any:
    return loaded("EsmForMaskedLM", esm2_tiny)


@pytest.fixture
def model(shared_model: Any) -> Iterator[Any]:
    """The shipped ESM-2 with its head; every test leaves it without hooks."""
    yield shared_model
    assert hooks_of(shared_model) == 0


@pytest.fixture(scope="module")
def inputs(esm2_tiny: Path) -> Any:
    """Two proteins of different length: the second is padded."""
    return transformers.AutoTokenizer.from_pretrained(esm2_tiny)(PROTEINS, return_tensors="pt", padding=True)


@pytest.fixture
def dictionary(model: Any) -> TrainedDictionary:
    return dictionary_for(model, SITE, 128)


@pytest.fixture
def crosscoder(model: Any) -> TrainedDictionary:
    return dictionary_for(model, SITES, 128)


def logits_of(model: Any, inputs: Any) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(**inputs).logits
    return logits


def block(model: Any, number: int = 3) -> nn.Module:
    module: nn.Module = model.esm.encoder.layer[number]
    return module


def put_where(mask_BT: Tensor, new_BTD: Tensor, old_BTD: Tensor) -> Tensor:
    return torch.where(mask_BT.bool()[..., None], new_BTD, old_BTD)


class TestReading:
    def test_codes_are_those_of_the_rows_that_extraction_stored(self, model: Any, esm2_tiny: Path, store: Path) -> None:
        with open_store(store) as opened:
            protein = opened.rows(sequence=3, sites=["resid_post.0", "resid_post.3"])
            facts = opened.manifest.model
        crosscoder = dictionary_for(
            model,
            SITES,
            128,
            activation=Activation(name="relu"),
            model=ModelFacts(name=facts.name, dtype=facts.dtype, weights_sha256=facts.weights_sha256),
        )
        tokens = transformers.AutoTokenizer.from_pretrained(esm2_tiny)(protein.residues, return_tensors="pt")
        with torch.no_grad(), crosscoder.on(model) as spliced:
            model(**tokens)
        wanted_NF = torch.as_tensor(crosscoder.encode(protein.values_NSD))
        found_NF = spliced.codes[0, 1 + torch.as_tensor(protein.position_N).long()]
        assert len(found_NF) == len(protein.residues)
        lost_N = torch.as_tensor(protein.values_NSD).float().flatten(1).norm(dim=1) * 2**-11  # by float16
        weight_F = crosscoder.W_enc.flatten(0, 1).norm(dim=0)
        assert ((found_NF - wanted_NF).abs() <= lost_N[:, None] * weight_F + 1e-4).all()
        assert wanted_NF.max() > 1

    def test_the_output_of_the_model_is_unchanged(self, model: Any, inputs: Any, dictionary: TrainedDictionary) -> None:
        plain = logits_of(model, inputs)
        with dictionary.on(model):
            assert torch.equal(logits_of(model, inputs), plain)

    def test_padding_is_not_read_if_the_model_is_given_a_mask(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        with dictionary.on(model) as spliced, watched(block(model)) as seen:
            logits_of(model, inputs)
            read, rows_BTD = (spliced.mask, spliced.codes), seen[block(model)]
            model(inputs["input_ids"], inputs["attention_mask"])
            by_place = spliced.mask
            model(inputs["input_ids"])
            without = spliced.mask
        assert torch.equal(read[0], inputs["attention_mask"].bool())
        assert torch.equal(by_place, read[0])
        assert without.all()
        assert not read[1][~read[0]].any()
        torch.testing.assert_close(read[1][read[0]], dictionary.encode(rows_BTD[read[0]]))

    @pytest.mark.parametrize("positions", [[1, -1], range(2, 5), torch.arange(24) < 4, "mask"])
    def test_tokens_can_be_chosen(self, positions: Any, model: Any, inputs: Any, dictionary: TrainedDictionary) -> None:
        wanted_BT = torch.zeros(2, 24, dtype=torch.bool)
        if isinstance(positions, str):
            positions = wanted_BT
            wanted_BT[1, 3] = True
        else:
            wanted_BT[:, positions] = True
        with dictionary.on(model, positions=positions) as spliced:
            logits_of(model, inputs)
        assert torch.equal(spliced.mask, wanted_BT)
        assert torch.equal(spliced.codes.any(dim=2), wanted_BT)

    def test_codes_are_of_the_last_pass_and_stay(self, model: Any, inputs: Any, dictionary: TrainedDictionary) -> None:
        with dictionary.on(model) as spliced:
            with pytest.raises(errors.UsageError, match=r"no forward pass of the model has reached resid_post\.3"):
                _ = spliced.codes
            logits_of(model, inputs)
            model(input_ids=inputs["input_ids"][:1, :7])
        model(**inputs)
        assert spliced.codes.shape == (1, 7, FEATURES)
        assert spliced.codes.dtype == torch.float32

    def test_a_part_of_the_model_may_run_alone(self) -> None:
        gpt = tiny_gpt2()
        with torch.no_grad(), dictionary_for(gpt, {"resid_post.1": "h.1"}, 16).on(gpt) as spliced:
            for tokens in (9, 5):
                gpt.transformer.h[1](draw(2, tokens, 16))
                assert spliced.codes.shape == (2, tokens, FEATURES)
            present = torch.tensor([[1, 1, 0]])
            gpt.transformer(torch.arange(3)[None], attention_mask=present)
            assert torch.equal(spliced.mask, present.bool())


class TestReplacing:
    def test_with_its_error_the_logits_are_unchanged(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        plain = logits_of(model, inputs)
        with dictionary.on(model, replace=True):
            torch.testing.assert_close(logits_of(model, inputs), plain, rtol=0, atol=1e-5)

    def test_without_it_they_are_those_of_a_hook_that_puts_the_reconstruction_in(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        mask_BT = inputs["attention_mask"]
        with hooked({block(model): lambda old: put_where(mask_BT, rowwise(dictionary.reconstruct)(old), old)}):
            wanted = logits_of(model, inputs)
        with dictionary.on(model, replace=True, keep_error=False):
            found = logits_of(model, inputs)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
        assert (found - logits_of(model, inputs)).abs().max() > 0.1

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_a_model_in_half_precision_keeps_its_format(self, dtype: torch.dtype, esm2_tiny: Path, inputs: Any) -> None:
        half = loaded("EsmForMaskedLM", esm2_tiny, dtype)
        dictionary = dictionary_for(half, SITE, 128)
        plain = logits_of(half, inputs)
        with dictionary.on(half, replace=True) as spliced:
            assert torch.equal(logits_of(half, inputs), plain)
        assert plain.dtype == dtype
        assert spliced.codes.dtype == torch.float32
        with dictionary.on(half, replace=True, keep_error=False):
            assert logits_of(half, inputs).dtype == dtype

    def test_error_without_anything_in_place_makes_no_sense(self, model: Any, dictionary: TrainedDictionary) -> None:
        with pytest.raises(errors.UsageError, match="no effect without replace=True or edits"):
            dictionary.on(model, keep_error=False)


class TestEdits:
    @staticmethod
    def edited(code_NF: Tensor) -> Tensor:
        new_NF = code_NF.clone()
        new_NF[:, [3, 4]] = torch.tensor([5.0, 0.0], dtype=code_NF.dtype)
        new_NF[:, 7] += -2.5
        new_NF[:, 11] *= 3
        new_NF[:, [20, 21]] = 0
        return new_NF

    @pytest.mark.parametrize("keep_error", [True, False])
    def test_they_change_the_output_as_a_hook_does(
        self, keep_error: bool, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        def change(rows_ND: Tensor) -> Tensor:
            new_NF = self.edited(dictionary.encode(rows_ND))
            error_ND = dictionary.error(rows_ND) if keep_error else 0
            return new_NF @ dictionary.decoder_FSD[:, 0] + dictionary.b_dec + error_ND

        mask_BT = inputs["attention_mask"]
        with hooked({block(model): lambda old: put_where(mask_BT, rowwise(change)(old), old)}):
            wanted = logits_of(model, inputs)
        with dictionary.on(model, keep_error=keep_error, **EDITS) as spliced:
            found = logits_of(model, inputs)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
        assert (found - logits_of(model, inputs)).abs().max() > 0.1
        assert (spliced.codes[mask_BT.bool()][:, 3] == 5).all()

    def test_with_the_error_the_change_is_that_of_the_decoder(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        with watched(block(model)) as seen:
            logits_of(model, inputs)
            before_BTD = seen[block(model)]
        with dictionary.on(model, add={7: 2.5}, positions=[4]), watched(block(model)) as seen:
            logits_of(model, inputs)
        change_BTD = seen[block(model)] - before_BTD
        wanted_BTD = torch.zeros_like(change_BTD)
        wanted_BTD[:, 4] = 2.5 * dictionary.decoder_FSD[7, 0]
        torch.testing.assert_close(change_BTD, wanted_BTD, rtol=0, atol=1e-5)

    def test_a_value_may_differ_from_token_to_token(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        value_BT = draw(2, 24)
        with dictionary.on(model, set={5: value_BT}) as spliced:
            logits_of(model, inputs)
        assert torch.equal(spliced.codes[..., 5], value_BT * inputs["attention_mask"])

    @pytest.mark.parametrize("transform", ["row-zscore", "row-sqrt-d"])
    def test_a_transform_of_rows_is_undone(self, transform: Any, model: Any, inputs: Any) -> None:
        dictionary = dictionary_for(model, SITE, 128, row_transform=transform)
        mask_BT, plain = inputs["attention_mask"], logits_of(model, inputs)
        with dictionary.on(model, replace=True):
            torch.testing.assert_close(logits_of(model, inputs), plain, rtol=0, atol=1e-5)
        with hooked({block(model): lambda old: put_where(mask_BT, rowwise(dictionary.reconstruct)(old), old)}):
            wanted = logits_of(model, inputs)
        with dictionary.on(model, replace=True, keep_error=False):
            torch.testing.assert_close(logits_of(model, inputs), wanted, rtol=0, atol=1e-5)
        scale_BT1 = torch.ones(())

        def add(old_BTD: Tensor) -> Tensor:
            nonlocal scale_BT1
            scale_BT1 = old_BTD.norm(dim=2, keepdim=True) / 128**0.5
            if transform == "row-zscore":
                scale_BT1 = old_BTD.std(dim=2, keepdim=True) + 1e-5
            return put_where(mask_BT, old_BTD + 2 * scale_BT1 * dictionary.decoder_FSD[9, 0], old_BTD)

        with hooked({block(model): add}):
            wanted = logits_of(model, inputs)
        with dictionary.on(model, add={9: 2.0}):
            torch.testing.assert_close(logits_of(model, inputs), wanted, rtol=0, atol=1e-4)

    def test_codes_that_are_divided_by_a_scale_are_multiplied_again(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        scale_F = draw(FEATURES).abs() + 0.5
        scaled = TrainedDictionary(dictionary.facts, dict(dictionary.named_buffers()) | {"latent_scale": scale_F})
        with dictionary.on(model, set={7: 2.0 * float(scale_F[7])}):
            wanted = logits_of(model, inputs)
        with scaled.on(model, set={7: 2.0}):
            torch.testing.assert_close(logits_of(model, inputs), wanted, rtol=0, atol=1e-5)


class TestGradients:
    """Directional derivatives in float64, through the head of the model."""

    STEP = 1e-5

    @pytest.fixture
    def exact(self) -> Any:
        return tiny_gpt2().double()  # ESM-2 has steps in float32 whatever its format

    @staticmethod
    def loss(model: Any, embedded_BTD: Tensor) -> Tensor:
        logits: Tensor = model(inputs_embeds=embedded_BTD).logits
        return (logits * draw(*logits.shape, seed=9).double()).sum()

    @pytest.mark.parametrize(
        "options",
        [{}, {"replace": True}, {"replace": True, "keep_error": False}, {"scale": {2: 3.0}, "add": {5: 1.0}}],
        ids=str,
    )
    @pytest.mark.parametrize("sites", [{"a": "h.0"}, {"a": "h.0", "b": "h.1"}], ids=["one site", "two sites"])
    def test_of_the_input(self, sites: dict[str, str], options: Any, exact: Any) -> None:
        dictionary = dictionary_for(exact, sites, 16).double()
        embedded_BTD, direction_BTD = draw(1, 6, 16, seed=1).double(), draw(1, 6, 16, seed=2).double()

        def loss(step: float) -> float:
            with torch.no_grad(), dictionary.on(exact, **options):
                return float(self.loss(exact, embedded_BTD + step * direction_BTD))

        embedded_BTD.requires_grad_()
        with dictionary.on(exact, **options):
            (grad_BTD,) = torch.autograd.grad(self.loss(exact, embedded_BTD), embedded_BTD)
        wanted = (loss(self.STEP) - loss(-self.STEP)) / (2 * self.STEP)
        assert float((grad_BTD * direction_BTD).sum()) == pytest.approx(wanted, rel=1e-5)

    def test_of_an_edit_and_of_the_codes(self, exact: Any) -> None:
        dictionary = dictionary_for(exact, {"a": "h.0"}, 16).double()
        embedded_BTD = draw(1, 6, 16, seed=1).double()

        def loss(value: float) -> float:
            with torch.no_grad(), dictionary.on(exact, set={8: value}, positions=[2]):
                return float(self.loss(exact, embedded_BTD))

        value = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
        with dictionary.on(exact, set={8: value}, positions=[2]) as spliced:
            of_value, of_codes_BTF = torch.autograd.grad(self.loss(exact, embedded_BTD), (value, spliced.codes))
        wanted = (loss(1.5 + self.STEP) - loss(1.5 - self.STEP)) / (2 * self.STEP)
        assert float(of_value) == pytest.approx(wanted, rel=1e-5)
        assert float(of_codes_BTF[0, 2, 8]) == pytest.approx(wanted, rel=1e-5)

    def test_with_the_error_the_model_keeps_its_own(self, exact: Any) -> None:
        dictionary, embedded_BTD = (
            dictionary_for(exact, {"a": "h.0"}, 16).double(),
            draw(1, 6, 16).double().requires_grad_(),
        )
        (plain_BTD,) = torch.autograd.grad(self.loss(exact, embedded_BTD), embedded_BTD)
        with dictionary.on(exact, replace=True) as spliced:
            grad_BTD, of_codes_BTF = torch.autograd.grad(self.loss(exact, embedded_BTD), (embedded_BTD, spliced.codes))
        torch.testing.assert_close(grad_BTD, plain_BTD)
        assert of_codes_BTF.abs().max() > 0


class TestSeveralSites:
    def test_codes_are_read_in_one_pass(self, model: Any, inputs: Any, crosscoder: TrainedDictionary) -> None:
        mask_BT = inputs["attention_mask"].bool()
        with crosscoder.on(model) as spliced, watched(block(model, 0), block(model, 3)) as seen:
            logits_of(model, inputs)
        rows_NSD = torch.stack([values[mask_BT] for values in seen.values()], dim=1)
        torch.testing.assert_close(spliced.codes[mask_BT], crosscoder.encode(rows_NSD))

    @pytest.mark.parametrize("keep_error", [True, False])
    @pytest.mark.parametrize("edits", [{}, EDITS], ids=["no edits", "edits"])
    def test_each_site_gets_its_part_of_one_code(
        self, edits: Any, keep_error: bool, model: Any, inputs: Any, crosscoder: TrainedDictionary
    ) -> None:
        mask_BT, places = inputs["attention_mask"].bool(), (block(model, 0), block(model, 3))
        with watched(*places) as seen:
            logits_of(model, inputs)
        rows_NSD = torch.stack([seen[place][mask_BT] for place in places], dim=1)
        code_NF = crosscoder.encode(rows_NSD)
        new_NSD = crosscoder.decode(TestEdits.edited(code_NF) if edits else code_NF)
        if keep_error:
            new_NSD = new_NSD + crosscoder.error(rows_NSD)
        puts = {place: lambda old, s=s: old.index_put((mask_BT,), new_NSD[:, s]) for s, place in enumerate(places)}
        with hooked(puts):
            wanted = logits_of(model, inputs)
        with crosscoder.on(model, replace=True, keep_error=keep_error, **edits) as spliced, watched(*places) as seen:
            found = logits_of(model, inputs)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
        for s, place in enumerate(places):
            torch.testing.assert_close(seen[place][mask_BT], new_NSD[:, s])
        assert torch.equal(spliced.mask, mask_BT)
        if keep_error and not edits:
            torch.testing.assert_close(found, logits_of(model, inputs), rtol=0, atol=1e-5)

    def test_one_pass_after_the_other(self, model: Any, inputs: Any, crosscoder: TrainedDictionary) -> None:
        single = {name: value[1:, :12] for name, value in inputs.items()}
        with crosscoder.on(model, ablate=[1]):
            wanted = logits_of(model, single)
        with crosscoder.on(model, ablate=[1]) as spliced:
            logits_of(model, inputs)
            torch.testing.assert_close(logits_of(model, single), wanted)
        assert spliced.codes.shape == (1, 12, FEATURES)

    def test_where_two_passes_would_differ_it_is_refused(
        self, model: Any, inputs: Any, crosscoder: TrainedDictionary
    ) -> None:
        with crosscoder.on(model, replace=True):
            model.train()
            try:
                with pytest.raises(errors.UsageError, match=r"resid_post\.0, resid_post\.3 .* call model\.eval\(\)"):
                    model(**inputs)
            finally:
                model.eval()
            logits_of(model, inputs)

    def test_a_site_that_runs_alone_has_no_code(self) -> None:
        gpt = tiny_gpt2()
        two = dictionary_for(gpt, {"resid_post.0": "h.0", "resid_post.1": "h.1"}, 16)
        with two.on(gpt, replace=True), pytest.raises(errors.UsageError, match=r"resid_post\.1 runs on its own"):
            gpt.transformer.h[1](draw(1, 4, 16))

    def test_a_pass_that_does_not_reach_all_sites_is_refused(self) -> None:
        t5 = tiny_t5("T5ForConditionalGeneration")
        sites = {"resid_post.1": "encoder.block.1", "decoder.0": "decoder.block.0"}
        with (
            dictionary_for(t5, sites, 16).on(t5, replace=True),
            pytest.raises(errors.SiteError, match="does not reach"),
        ):
            t5.encoder(input_ids=torch.arange(7)[None])

    def test_a_cache_of_keys_would_be_filled_twice(self) -> None:
        gpt = tiny_gpt2()
        two = dictionary_for(gpt, {"resid_post.0": "h.0", "resid_post.1": "h.1"}, 16)
        tokens, cache = torch.arange(5)[None], transformers.DynamicCache(config=gpt.config)
        with torch.no_grad(), two.on(gpt, replace=True):
            torch.testing.assert_close(gpt(tokens).logits.shape, (1, 5, 30))
            with pytest.raises(errors.UsageError, match="use_cache=False"):
                gpt(tokens, past_key_values=cache)


class TestSeveralDictionaries:
    def test_on_two_sites(self, model: Any, inputs: Any, dictionary: TrainedDictionary) -> None:
        other = dictionary_for(model, {"resid_post.1": "encoder.layer.1"}, 128)
        mask_BT = inputs["attention_mask"]
        with hooked(
            {
                block(model, 1): lambda old: put_where(mask_BT, rowwise(other.reconstruct)(old), old),
                block(model, 3): lambda old: put_where(mask_BT, rowwise(dictionary.reconstruct)(old), old),
            }
        ):
            wanted = logits_of(model, inputs)
        options: Any = {"replace": True, "keep_error": False}
        with dictionary.on(model, **options), other.on(model, **options):
            torch.testing.assert_close(logits_of(model, inputs), wanted, rtol=0, atol=1e-5)

    def test_beside_one_that_needs_two_passes(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary, crosscoder: TrainedDictionary
    ) -> None:
        plain = logits_of(model, inputs)
        for one, other in ((dictionary, crosscoder), (crosscoder, dictionary)):
            with one.on(model, replace=True) as first_on, other.on(model, replace=True) as second_on:
                torch.testing.assert_close(logits_of(model, inputs), plain, rtol=0, atol=1e-5)
            assert first_on.codes.shape == second_on.codes.shape

    def test_of_two_that_replace_one_site_the_last_comes_first(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        mask_BT = inputs["attention_mask"].bool()
        with watched(block(model)) as seen:
            logits_of(model, inputs)
        back_ND = dictionary.reconstruct(seen[block(model)][mask_BT])
        with (
            dictionary.on(model) as reads,
            dictionary.on(model, ablate=[2, 3], keep_error=False) as second,
            dictionary.on(model, replace=True, keep_error=False) as first_on,
            watched(block(model)) as seen,
        ):
            logits_of(model, inputs)
        edited_NF = dictionary.encode(back_ND)
        edited_NF[:, [2, 3]] = 0
        torch.testing.assert_close(second.codes[mask_BT], edited_NF)
        torch.testing.assert_close(seen[block(model)][mask_BT], dictionary.decode(edited_NF))
        torch.testing.assert_close(dictionary.decode(first_on.codes[mask_BT]), back_ND)
        torch.testing.assert_close(reads.codes[mask_BT], dictionary.encode(dictionary.decode(edited_NF)))


@pytest.mark.parametrize("recorded_before", [True, False])
@pytest.mark.parametrize("sites", [SITE, SITES], ids=["one site", "two sites"])
def test_hidden_states_are_those_that_were_put_in(
    sites: dict[str, str], recorded_before: bool, esm2_tiny: Path, inputs: Any
) -> None:
    """`transformers` records them by hooks that it leaves on the model."""
    own = loaded("EsmForMaskedLM", esm2_tiny)
    dictionary = dictionary_for(own, sites, 128)
    with torch.no_grad():
        if recorded_before:
            own(**inputs, output_hidden_states=True)
        with dictionary.on(own, set={3: 9.0}), watched(block(own)) as seen:
            states = own(**inputs, output_hidden_states=True).hidden_states
    assert len(states) == 7
    assert torch.equal(states[4], seen[block(own)])


class TestHooks:
    @pytest.mark.parametrize("fails_in", ["block", "model", "dictionary"])
    def test_they_are_gone_after_an_error(
        self, fails_in: str, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        plain = logits_of(model, inputs)

        def fail() -> None:
            with dictionary.on(model, ablate=[0]):
                if fails_in == "block":
                    raise ZeroDivisionError
                if fails_in == "model":
                    model(input_ids=torch.full((1, 3), 99))
                model(inputs_embeds=torch.full((1, 3, 128), torch.nan))

        with pytest.raises((ZeroDivisionError, IndexError, errors.NumericsError)):
            fail()
        assert hooks_of(model) == 0
        assert torch.equal(logits_of(model, inputs), plain)

    def test_a_failed_pass_leaves_nothing_to_the_next(
        self, model: Any, inputs: Any, dictionary: TrainedDictionary
    ) -> None:
        with dictionary.on(model, ablate=[0]) as spliced:
            wanted = logits_of(model, inputs)
            with pytest.raises(errors.NumericsError):
                model(inputs_embeds=torch.full((1, 3, 128), torch.nan))
            assert torch.equal(logits_of(model, inputs), wanted)
            assert torch.equal(spliced.mask, inputs["attention_mask"].bool())

    def test_one_with_for_each_on(self, model: Any, dictionary: TrainedDictionary) -> None:
        with dictionary.on(model) as spliced, pytest.raises(errors.UsageError, match="on the model already"):
            spliced.__enter__()


def tiny_gpt2() -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=30, n_embd=16, n_layer=2, n_head=2, n_positions=32, eos_token_id=None)
    model: Any = transformers.GPT2LMHeadModel(config)
    return model.eval()


def tiny_t5(model_class: str) -> Any:
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=30, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    return getattr(transformers, model_class)(config).eval()


class TestOtherModels:
    @pytest.mark.parametrize("model_class", ["T5EncoderModel", "T5ForConditionalGeneration"])
    def test_a_t5_encoder(self, model_class: str) -> None:
        t5 = tiny_t5(model_class)
        dictionary, place = dictionary_for(t5, {"resid_post.1": "encoder.block.1"}, 16), t5.encoder.block[1]
        tokens = torch.arange(14).reshape(2, 7)
        present = torch.ones(2, 7, dtype=torch.int64)
        present[1, 5:] = 0

        def states() -> Tensor:
            with torch.no_grad():
                return first(t5.encoder(input_ids=tokens, attention_mask=present))

        plain = states()
        with dictionary.on(t5, replace=True) as spliced:
            torch.testing.assert_close(states(), plain, rtol=0, atol=1e-5)
        assert torch.equal(spliced.mask, present.bool())
        with hooked({place: lambda old: put_where(present, rowwise(dictionary.reconstruct)(old), old)}):
            wanted = states()
        with dictionary.on(t5, replace=True, keep_error=False):
            torch.testing.assert_close(states(), wanted, rtol=0, atol=1e-5)

    def test_a_gpt2_that_generates(self) -> None:
        gpt = tiny_gpt2()
        dictionary, place = dictionary_for(gpt, {"resid_post.0": "h.0"}, 16), gpt.transformer.h[0]
        prompt = torch.arange(6).reshape(2, 3)
        options: Any = {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones_like(prompt)}

        def generated() -> Tensor:
            tokens: Tensor = gpt.generate(prompt, **options)
            return tokens

        plain, steer_D = generated(), 40.0 * dictionary.decoder_FSD[4, 0]
        with hooked({place: lambda old: old + steer_D}):
            wanted = generated()
        with dictionary.on(gpt, add={4: 40.0}) as spliced:
            assert torch.equal(generated(), wanted)
        assert spliced.codes.shape == (2, 1, FEATURES)
        assert not torch.equal(plain, wanted)
        with dictionary.on(gpt, replace=True):
            assert torch.equal(generated(), plain)

    def test_the_final_norm_of_a_base_model(self, esm2_tiny: Path, inputs: Any) -> None:
        base = loaded("EsmModel", esm2_tiny)
        dictionary = dictionary_for(base, {"final_norm": "encoder.emb_layer_norm_after"}, 128)
        with torch.no_grad(), dictionary.on(base, replace=True, keep_error=False):
            found_BTD = base(**inputs).last_hidden_state
        with torch.no_grad():
            plain_BTD = base(**inputs).last_hidden_state
        torch.testing.assert_close(
            found_BTD, put_where(inputs["attention_mask"], rowwise(dictionary.reconstruct)(plain_BTD), plain_BTD)
        )

    def test_a_dictionary_of_another_width_is_refused(self) -> None:
        gpt = tiny_gpt2()
        dictionary = dictionary_for(gpt, {"resid_post.0": "h.0"}, 12)
        with dictionary.on(gpt), pytest.raises(errors.SiteError, match=r"\[1, 5, 16\].*reads \[batch, tokens, 12\]"):
            gpt(torch.arange(5)[None])
