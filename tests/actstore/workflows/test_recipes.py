from pathlib import Path
from typing import Any

import pytest

from actstore.errors import RecipeError
from actstore.workflows.extraction.plan import require_sequences
from actstore.workflows.recipes import merge_options, parse_recipe, read_recipe

SMALLEST = '[model]\nname = "esm"\n[corpus]\nsequences = "a.fasta"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, **options: Any) -> str:
    path = write(folder, text)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, options=options)
    assert str(caught.value).startswith(str(path))
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_model_and_sequences_are_enough(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, SMALLEST))
    assert (recipe.model.name, recipe.corpus.sequences) == ("esm", ("a.fasta",))
    assert (recipe.sites, recipe.store.encoding, recipe.seed) == (("resid_post.*",), "int8", 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "model: Field required"),
        ('[model]\nname = "esm"\n', "corpus: Field required"),
        (
            SMALLEST + "[store]\nencodign = 'int8'\n",
            "store.encodign: Extra inputs are not permitted; did you mean 'encoding'?",
        ),
        ("sede = 1\n" + SMALLEST, "sede: Extra inputs are not permitted; did you mean 'seed'?"),
        (SMALLEST + "[store]\nencoding = 'int7'\n", "store.encoding: Input should be 'float16'"),
        (SMALLEST + "[store]\ntask_rows = 'many'\n", "store.task_rows: Input should be a valid integer"),
        (SMALLEST + "[store]\ntask_rows = 1000\nchunk_rows = 256\n", "store: task_rows (1000) must be a multiple"),
        (SMALLEST + "[rows]\nfraction = 0.0\n", "rows.fraction: Input should be greater than 0"),
        (SMALLEST + "[rows]\nfraction = nan\n", "rows.fraction: Input should be"),
        (SMALLEST + "[splits]\nfractions = {train = 0.5, test = 0.4}\n", "splits.fractions: fractions must be"),
        (SMALLEST + "[splits]\nfractions = {train = 'x'}\n", "splits.fractions.train: Input should be a valid number"),
        ("model = 3\ncorpus = []\n", "model: Input should be a valid dictionary"),
        ("seed = -1\n" + SMALLEST, "seed: Input should be greater than or equal to 0"),
        ("sites = []\n" + SMALLEST, "sites: Value should have at least 1 item"),
        ("sites = [1]\n" + SMALLEST, "sites.0: Input should be a valid string"),
    ],
)
def test_a_wrong_field_is_named_with_the_file(text: str, problem: str, tmp_path: Path) -> None:
    assert problem in refusal(tmp_path, text)


def test_every_wrong_field_is_named_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, SMALLEST + "[store]\nencoding = 1\ntask_rows = 0\n[rows]\nfraction = 2\n")
    assert [line.strip().split(":")[0] for line in said.splitlines()[1:]] == [
        "rows.fraction",
        "store.encoding",
        "store.task_rows",
    ]


@pytest.mark.parametrize(
    "text",
    ["model = ", "[model\n", "a = 1\na = 2\n", "x = " + "[" * 20_000, "[model]\n[model]\n", "not toml at all"],
)
def test_what_is_not_toml_is_refused(text: str, tmp_path: Path) -> None:
    assert "not TOML" in refusal(tmp_path, text)


def test_keys_nested_a_thousand_deep_are_just_unknown(tmp_path: Path) -> None:
    assert "deep: Extra inputs are not permitted" in refusal(tmp_path, "deep" + ".a" * 1000 + " = 1\n" + SMALLEST)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\x1f\x8b\xff\x00")
    with pytest.raises(RecipeError, match=r"recipe\.toml: not TOML"):
        read_recipe(path)


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RecipeError, match="is this the right file"):
        read_recipe(path)


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(RecipeError, match=f"{path}: cannot be read"):
            read_recipe(path)


class TestOptions:
    def test_they_take_precedence_over_the_file(self, tmp_path: Path) -> None:
        path = write(tmp_path, SMALLEST + "[store]\nencoding = 'float16'\ntask_rows = 512\n")
        options = {"store.encoding": "bfloat16", "sites": ["embed"], "seed": 3, "model.revision": None}
        recipe = read_recipe(path, options=options)
        assert (recipe.store.encoding, recipe.store.task_rows) == ("bfloat16", 512)
        assert (recipe.sites, recipe.seed, recipe.model.revision) == (("embed",), 3, None)

    def test_they_reach_into_tables_of_tables(self) -> None:
        document = {"splits": {"fractions": {"train": 0.9, "test": 0.1}}}
        options = {"splits.fractions.train": 0.8, "splits.fractions.test": 0.2}
        assert merge_options(document, options) == {"splits": {"fractions": {"train": 0.8, "test": 0.2}}}
        assert document == {"splits": {"fractions": {"train": 0.9, "test": 0.1}}}

    def test_a_wrong_one_is_named(self, tmp_path: Path) -> None:
        assert "store.encoding: Input should be" in refusal(tmp_path, SMALLEST, **{"store.encoding": "float8"})
        assert "store.colour: Extra inputs" in refusal(tmp_path, SMALLEST, **{"store.colour": 1})

    def test_one_below_what_is_no_table_is_refused(self, tmp_path: Path) -> None:
        said = refusal(tmp_path, "model = 'esm'\n", **{"model.name": "other"})
        assert "model.name cannot be set: 'model' is 'esm', not a table" in said

    def test_without_a_file_the_message_says_where_they_came_from(self) -> None:
        with pytest.raises(RecipeError, match=r"^the options: not a valid recipe:\n  corpus: Field required"):
            parse_recipe({"model": {"name": "esm"}}, name="the options")


class TestRelativePaths:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "recipes [old]"
        (folder / "model").mkdir(parents=True)
        for name in ("a.fasta", "b.fasta", "clusters.tsv"):
            (folder / name).touch()
        monkeypatch.chdir(tmp_path)
        return folder

    def test_they_are_relative_to_the_file(self, folder: Path) -> None:
        text = (
            '[model]\nname = "model"\n[corpus]\nsequences = ["a.fasta", "*.fasta"]\n[splits]\nclusters = "clusters.tsv"'
        )
        recipe = read_recipe(write(folder, text))
        assert recipe.model.name == str(folder / "model")
        assert recipe.corpus.sequences == (str(folder / "a.fasta"), str(folder / "*.fasta"))
        assert recipe.splits.clusters == str(folder / "clusters.tsv")

    @pytest.mark.parametrize(
        "name", ["facebook/esm2_t6_8M_UR50D", "s3://bucket/a.fasta", "/data/a.fasta", "elsewhere/*.fasta", "x" * 5000]
    )
    def test_what_is_not_beside_the_file_stays_as_it_is(self, name: str, folder: Path) -> None:
        text = f'[model]\nname = "{name}"\n[corpus]\nsequences = "{name}"\n'
        recipe = read_recipe(write(folder, text))
        assert (recipe.model.name, recipe.corpus.sequences) == (name, (name,))

    def test_those_of_options_are_relative_to_where_one_stands(self, folder: Path) -> None:
        recipe = read_recipe(write(folder, SMALLEST), options={"corpus.sequences": ["a.fasta"]})
        assert recipe.corpus.sequences == ("a.fasta",)


class TestExpectedSequences:
    EXPECTED = '[model]\nname = "esm"\n[corpus]\nexpected_sequences = 1000\nexpected_lengths = [50, 900]\n'

    def test_are_enough_to_plan_and_not_to_extract(self, tmp_path: Path) -> None:
        recipe = read_recipe(write(tmp_path, self.EXPECTED))
        assert recipe.corpus.is_expected
        with pytest.raises(RecipeError, match=r"expected_sequences \(1,000\) is only for 'actstore plan'.*--sequences"):
            require_sequences(recipe)

    def test_make_way_for_files_that_an_option_names(self, tmp_path: Path) -> None:
        recipe = read_recipe(write(tmp_path, self.EXPECTED), options={"corpus.sequences": ["b.fasta"]})
        assert recipe.corpus.sequences == ("b.fasta",)
        require_sequences(recipe)

    def test_take_the_place_of_files_where_options_say_so(self, tmp_path: Path) -> None:
        options = {"corpus.expected_sequences": 5, "corpus.expected_lengths": 100}
        assert read_recipe(write(tmp_path, SMALLEST), options=options).corpus.expected_lengths == (100,)
        changed = read_recipe(write(tmp_path, self.EXPECTED), options={"corpus.expected_sequences": 5}).corpus
        assert (changed.expected_sequences, changed.expected_lengths) == (5, (50, 900))

    def test_are_not_mixed_with_files(self, tmp_path: Path) -> None:
        assert "corpus: give sequences (files), or else" in refusal(tmp_path, self.EXPECTED + 'sequences = "a"\n')
        options = {"corpus.sequences": "b", "corpus.expected_sequences": 5, "corpus.expected_lengths": 100}
        assert "corpus: give sequences (files), or else" in refusal(tmp_path, SMALLEST, **options)


MARKER = "swordfish-4711"


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        ("model.name", f"https://me:{MARKER}@host"),
        ("model.revision", f"https://{MARKER}@host"),
        ("model.blocks", f"https://host?token={MARKER}"),
        ("corpus.sequences", ["a.fasta", f"https://{MARKER}@host/b.fasta"]),
        ("splits.clusters", f"https://{MARKER}@host/clusters.tsv"),
        ("sites", [f"s3://{MARKER}@bucket"]),
    ],
)
def test_an_address_with_credentials_is_refused_without_showing_it(dotted: str, value: object, tmp_path: Path) -> None:
    path = write(tmp_path, SMALLEST)
    with pytest.raises(RecipeError, match=dotted.replace(".", r"\.")) as caught:
        read_recipe(path, options={dotted: value})
    assert MARKER not in f"{caught.value!r}{caught.value.__cause__}"
    assert "would end up in the store" in str(caught.value)


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        ("store.encoding", f"https://{MARKER}@host"),
        ("seed", f"https://{MARKER}@host"),
        ("splits.fractions", {f"https://{MARKER}@host": 1.0}),
        ("model", f"https://{MARKER}@host"),
        (f"https://{MARKER}@host", 3),
        ("model.name.below", "x"),
    ],
)
def test_what_is_wrong_is_said_without_its_secrets(dotted: str, value: object, tmp_path: Path) -> None:
    path = write(tmp_path, SMALLEST.replace("esm", f"https://{'long' * 20}{MARKER}@host"))
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, options={dotted: value})
    assert MARKER not in f"{caught.value!r}{caught.value.__cause__}"
    assert "longlong" not in str(caught.value)


def test_a_recipe_that_python_makes_is_checked_before_anything_is_read() -> None:
    recipe = parse_recipe({"model": {"name": "esm"}, "corpus": {"sequences": "a.fasta"}}, name="a")
    unsafe = recipe.model_copy(update={"sites": (f"https://{MARKER}@host",)})
    with pytest.raises(RecipeError, match=r"^recipe: sites\.0: an address with credentials"):
        unsafe.refuse_credentials()
