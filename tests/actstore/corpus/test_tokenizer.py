from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer, BertTokenizer, GPT2Tokenizer, T5Tokenizer
from transformers.utils import logging as transformers_logging

from actstore.contracts.models import ResidueTokenizer
from actstore.contracts.recipe import ModelRecipe
from actstore.corpus.tokenizer import known_alphabet, load_tokenizer, residue_tokenizer
from actstore.errors import ModelError, TokenizerError

ESM2_TINY = Path(__file__).parents[3] / "examples" / "esm2-tiny"
STANDARD = "ACDEFGHIKLMNPQRSTVWY"
ALL_BUT_J = frozenset("ABCDEFGHIKLMNOPQRSTUVWXYZ")


def prott5_like(letters: str) -> Any:
    """Return a tokenizer with ProtT5's conventions: '▁A' for residues, '</s>' at the end."""
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return T5Tokenizer(vocab=specials + [(f"▁{letter}", -2.0) for letter in letters], extra_ids=0)


def gpt2_like(*merges: tuple[str, str]) -> Any:
    """Return a byte-level BPE tokenizer, as GPT-2 has."""
    vocabulary = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(pair) for pair in merges] + ["<|endoftext|>"]
    pairs: Any = list(merges)
    return GPT2Tokenizer(vocab={token: index for index, token in enumerate(vocabulary)}, merges=pairs)


def with_special_tokens(table: ResidueTokenizer, residues: str) -> list[int]:
    return [*table.prefix, *table.tokens(residues).tolist(), *table.suffix]


class TestEsm2:
    def test_every_letter_but_J_is_a_residue(self) -> None:
        assert load_tokenizer(ModelRecipe(name=str(ESM2_TINY))).alphabet == ALL_BUT_J

    def test_residues_stand_between_cls_and_eos(self) -> None:
        table = load_tokenizer(ModelRecipe(name=str(ESM2_TINY)))
        assert (table.prefix, table.suffix, table.pad) == ((0,), (2,), 1)
        assert table.special_tokens == 2

    def test_the_table_gives_the_ids_of_the_tokenizer(self) -> None:
        table = load_tokenizer(ModelRecipe(name=str(ESM2_TINY)))
        reference = AutoTokenizer.from_pretrained(ESM2_TINY)
        residues = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQXBUZO"
        assert table.tokens(residues).dtype == np.int32
        assert with_special_tokens(table, residues) == reference(residues).input_ids


class TestProtT5:
    def test_ambiguous_residues_become_X(self) -> None:
        table = residue_tokenizer(prott5_like(STANDARD + "XBOUZ"))
        x = table.tokens("X")[0]
        assert table.tokens("UZOB").tolist() == [x, x, x, x]
        assert table.alphabet == ALL_BUT_J

    def test_ambiguous_residues_need_no_token_of_their_own(self) -> None:
        assert residue_tokenizer(prott5_like(STANDARD + "X")).alphabet == ALL_BUT_J

    def test_without_X_they_are_foreign(self) -> None:
        assert residue_tokenizer(prott5_like(STANDARD)).alphabet == frozenset(STANDARD)

    def test_only_an_end_token_is_added(self) -> None:
        table = residue_tokenizer(prott5_like(STANDARD + "X"))
        assert (table.prefix, table.suffix, table.pad) == ((), (1,), 0)

    def test_the_table_gives_the_ids_of_the_preprocessing_that_the_authors_publish(self) -> None:
        tokenizer = prott5_like(STANDARD + "XBOUZ")
        table = residue_tokenizer(tokenizer)
        assert with_special_tokens(table, "PROTEINUZ") == tokenizer("P R X T E I N X X").input_ids


def test_protbert_puts_spaced_residues_between_cls_and_sep() -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *STANDARD, "X", "B", "O", "U", "Z"]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)}, do_lower_case=False)
    table = residue_tokenizer(tokenizer)
    assert with_special_tokens(table, "MKTU") == tokenizer("M K T X").input_ids
    assert (table.prefix, table.suffix, table.pad) == ((2,), (3,), 0)


class TestByteLevelBpe:
    def test_merges_of_other_text_do_no_harm(self) -> None:
        tokenizer = gpt2_like(("t", "h"), ("e", "r"))
        table = residue_tokenizer(tokenizer)
        assert table.alphabet == frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        assert with_special_tokens(table, "MKTAYIAK") == tokenizer("MKTAYIAK").input_ids

    def test_without_a_pad_token_some_token_of_the_vocabulary_pads(self) -> None:
        tokenizer = gpt2_like()
        assert tokenizer.pad_token_id is None
        assert 0 <= residue_tokenizer(tokenizer).pad < len(tokenizer)

    def test_a_single_merge_of_two_residues_is_refused_and_named(self) -> None:
        with pytest.raises(TokenizerError, match=r"'LL' \(in '\w+'\) becomes \[256, "):
            residue_tokenizer(gpt2_like(("L", "L")))

    def test_a_merge_of_rare_residues_is_found_too(self) -> None:
        with pytest.raises(TokenizerError, match="'WC'"):
            residue_tokenizer(gpt2_like(("W", "C")))


def test_a_token_for_a_longer_run_of_residues_is_found() -> None:
    # No pair has a token here, so only a probe of this very run can show the merge.
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -0.1)]
    vocabulary += [(letter, -3.0) for letter in STANDARD] + [("KDEL", -1.0)]
    with pytest.raises(TokenizerError, match="KDEL"):
        residue_tokenizer(T5Tokenizer(vocab=vocabulary, extra_ids=0))


def test_a_tokenizer_that_lacks_amino_acids_is_refused_and_they_are_named() -> None:
    with pytest.raises(TokenizerError, match="W, Y have no token of their own"):
        residue_tokenizer(prott5_like(STANDARD.removesuffix("WY") + "X"))


class TestKnownAlphabets:
    @pytest.mark.parametrize("name", ["facebook/esm2_t6_8M_UR50D", "Rostlab/prot_t5_xl_half_uniref50-enc"])
    def test_the_name_tells(self, name: str) -> None:
        assert known_alphabet(name) == ALL_BUT_J

    def test_other_names_tell_nothing(self) -> None:
        assert known_alphabet("someone/esm2_t6_8M_UR50D") is None

    def test_they_agree_with_the_tokenizers(self) -> None:
        assert load_tokenizer(ModelRecipe(name=str(ESM2_TINY))).alphabet == known_alphabet("facebook/esm2_t6_8M_UR50D")
        assert residue_tokenizer(prott5_like(STANDARD + "XBOUZ")).alphabet == known_alphabet("Rostlab/prot_t5_xl")


class TestLoading:
    @pytest.mark.parametrize("model_type", ["esm", "t5", "bert", "gpt2", "gpt_neox", "llama"])
    def test_a_folder_without_vocabulary_says_what_is_missing_and_where(self, model_type: str, tmp_path: Path) -> None:
        # Some tokenizers cannot do without their file, others make up a vocabulary of their own.
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        with pytest.raises(ModelError, match=rf"tokenizer of {tmp_path}: no vocabulary there .*vocab\.txt.*; copy"):
            load_tokenizer(ModelRecipe(name=str(tmp_path)))

    def test_a_tokenizer_that_needs_no_vocabulary_is_not_asked_for_one(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "t5"}')
        (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
        assert load_tokenizer(ModelRecipe(name=str(tmp_path))).alphabet >= frozenset(STANDARD)

    def test_a_sentencepiece_file_that_cannot_be_read_says_what_to_install(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "t5"}')
        (tmp_path / "spiece.model").write_bytes(b"no SentencePiece model")
        with pytest.raises(ModelError, match=r"pip install 'actstore\[t5\]'"):
            load_tokenizer(ModelRecipe(name=str(tmp_path)))

    def test_nothing_is_printed_and_logging_is_left_as_it_was(self, capfd: pytest.CaptureFixture[str]) -> None:
        before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
        load_tokenizer(ModelRecipe(name=str(ESM2_TINY)))
        assert (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()) == before
        assert capfd.readouterr() == ("", "")
