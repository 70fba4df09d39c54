import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore import open_manifest, open_stream
from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import IncompleteStoreError, ManifestError, StoreNotFoundError, UsageError
from actstore.store.read.manifest_files import read_manifest_file
from actstore.testing.fake_model import FakeModel
from actstore.workflows.diff_manifests import diff_manifests
from actstore.workflows.export_manifest import export_manifest
from actstore.workflows.extract import extract_with
from actstore.workflows.inspect import inspect_store
from actstore.workflows.relocate_manifest import relocate_manifest
from tests.actstore.cli.command import actstore

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]


@pytest.fixture
def shared(own_store: StoreOf, tmp_path: Path) -> tuple[Path, Path]:
    """A store, and the manifest that was exported from it."""
    store, file = own_store(), tmp_path / "shared.json"
    export_manifest(store, file)
    return store, file


def stream_rows(source: Path | str) -> int:
    with open_stream(source, batch_rows=512) as stream:
        return sum(len(batch.row_B) for batch in stream)


class TestExporting:
    def test_a_store_may_lie_where_urls_are_chained(self, own_store: StoreOf, tmp_path: Path) -> None:
        store = shutil.move(own_store(), tmp_path / "run::2")
        export_manifest(store, tmp_path / "shared.json")
        assert stream_rows(tmp_path / "shared.json") == stream_rows(store) > 0

    def test_the_file_is_enough_from_anywhere(
        self, shared: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, _file = shared
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        with (
            open_stream("../shared.json", batch_rows=512) as mine,
            open_stream(store, batch_rows=512) as own,
        ):
            for one, other in zip(mine, own, strict=True):
                np.testing.assert_array_equal(one.row_B, other.row_B)
                np.testing.assert_array_equal(one.values_BSD, other.values_BSD)

    def test_a_relative_store_is_found_from_anywhere(
        self, own_store: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own_store()
        monkeypatch.chdir(tmp_path)
        export_manifest("own", "shared.json")
        monkeypatch.chdir("/")
        assert stream_rows(tmp_path / "shared.json") > 1000

    @pytest.mark.parametrize("lies", ["data/own", "own", "."])
    def test_a_store_below_it_may_move_with_it(
        self, lies: str, own_store: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project = tmp_path / "project"
        project.mkdir()
        store = project / lies
        if lies != ".":
            store.parent.mkdir(exist_ok=True)
        else:
            project.rmdir()
        own_store().rename(store)
        monkeypatch.chdir(project)
        exported = export_manifest(store, "shared.json")
        assert exported.uri == str(store)
        monkeypatch.chdir("/")
        moved = project.rename(tmp_path / "moved")
        assert open_manifest(moved / "shared.json").uri == str(moved / lies)
        assert stream_rows(moved / "shared.json") > 1000
        valid = actstore("manifest", "validate", moved / "shared.json", "--json")
        assert valid.document["uri"] == str(moved / lies)

    def test_a_store_elsewhere_keeps_its_place_when_the_file_moves(self, own_store: StoreOf, tmp_path: Path) -> None:
        store, folder = own_store(), tmp_path / "manifests"
        folder.mkdir()
        export_manifest(store, folder / "shared.json")
        assert json.loads((folder / "shared.json").read_bytes())["uri"] == str(store)
        shutil.move(folder / "shared.json", tmp_path / "shared.json")
        assert stream_rows(tmp_path / "shared.json") > 1000

    def test_a_store_behind_a_link_keeps_its_place(self, own_store: StoreOf, tmp_path: Path) -> None:
        store, folder = own_store(), tmp_path / "project"
        folder.mkdir()
        (folder / "link").symlink_to(store)
        export_manifest(folder / "link", folder / "shared.json")
        assert json.loads((folder / "shared.json").read_bytes())["uri"] == str(folder / "link")

    def test_it_may_name_a_place_from_its_own_folder(
        self, own_store: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own_store()
        export_manifest(tmp_path / "own", tmp_path / "shared.json", uri="later/own")
        monkeypatch.chdir("/")
        (tmp_path / "later").mkdir()
        (tmp_path / "own").rename(tmp_path / "later" / "own")
        assert stream_rows(tmp_path / "shared.json") > 1000

    def test_it_may_name_another_place(self, store_of: StoreOf, tmp_path: Path) -> None:
        manifest = export_manifest(store_of(), tmp_path / "shared.json", uri="s3://lab/store")
        assert read_manifest_file(tmp_path / "shared.json").uri == manifest.uri == "s3://lab/store"

    def test_the_digest_is_that_of_the_store_wherever_it_lies(self, shared: tuple[Path, Path]) -> None:
        store, file = shared
        assert read_manifest_file(file).digest == inspect_store(store).manifest_sha256
        assert inspect_store(file) == inspect_store(store)

    def test_an_unfinished_store_is_refused(self, own_store: StoreOf, tmp_path: Path) -> None:
        store = own_store()
        for lost in ("manifest.json", "commits/1.json"):
            (store / lost).unlink()
        with pytest.raises(IncompleteStoreError, match=r"11 of 12 tasks .* before sharing"):
            export_manifest(store, tmp_path / "shared.json")
        assert not (tmp_path / "shared.json").exists()

    def test_a_file_that_exists_is_kept(self, store_of: StoreOf, tmp_path: Path) -> None:
        (tmp_path / "shared.json").write_text("precious")
        with pytest.raises(ManifestError, match="exists; choose another name"):
            export_manifest(store_of(), tmp_path / "shared.json")
        assert (tmp_path / "shared.json").read_text() == "precious"

    def test_a_place_that_cannot_be_written_is_named(self, store_of: StoreOf, tmp_path: Path) -> None:
        with pytest.raises(ManifestError, match=r"none/shared\.json: cannot be written"):
            export_manifest(store_of(), tmp_path / "none" / "shared.json")


class TestReadersRefuse:
    def test_a_store_extracted_again_with_another_seed(
        self, shared: tuple[Path, Path], recipe_of: RecipeOf, fake_model: FakeModel
    ) -> None:
        store, file = shared
        shutil.rmtree(store)
        extract_with(fake_model, LocalObjects(store), recipe_of(seed=1))
        with pytest.raises(ManifestError, match=r"other content .*differs in the recipe"):
            stream_rows(file)

    def test_a_store_with_an_altered_commit(self, shared: tuple[Path, Path]) -> None:
        store, file = shared
        commit = store / "commits/0.json"
        commit.write_bytes(commit.read_bytes().replace(b'"size":', b'"size":1', 1))
        with pytest.raises(Exception, match=r"commits/0\.json|commit of task 0"):
            stream_rows(file)

    def test_a_store_with_other_rows_under_the_same_recipe(
        self, shared: tuple[Path, Path], recipe_of: RecipeOf
    ) -> None:
        class Louder(FakeModel):
            def activations(self, residues, kept):  # type: ignore[no-untyped-def]
                return {site: 2 * rows for site, rows in super().activations(residues, kept).items()}

        store, file = shared
        for path in (*store.glob("commits/*"), store / "manifest.json"):
            path.unlink()
        extract_with(Louder(), LocalObjects(store), recipe_of())
        with pytest.raises(ManifestError, match=r"other content .*the commit of task 0"):
            stream_rows(file)

    def test_a_place_without_the_store(self, shared: tuple[Path, Path]) -> None:
        store, file = shared
        shutil.rmtree(store)
        with pytest.raises(StoreNotFoundError, match=r"describes a store at .*own, but there is none"):
            stream_rows(file)

    def test_a_manifest_that_does_not_say_where(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy = shutil.copy(store_of() / "manifest.json", tmp_path / "copy.json")
        with pytest.raises(ManifestError, match="does not say where its store is"):
            stream_rows(copy)


def change(path: tuple[str | int, ...], value: object) -> Callable[[dict[str, Any]], None]:
    def changed(document: Any) -> None:
        *parents, last = path
        for parent in parents:
            document = document[parent]
        document[last] = value

    return changed


MALFORMED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "another format": (
        change(("format",), "actstore/1"),
        "its format is 'actstore/1', and this version reads 'actstore/2' alone; extract again, to another place",
    ),
    "no recipe": (lambda document: document.pop("frozen"), "frozen: Field required"),
    "unknown key": (change(("colour",), 1), "colour: Extra inputs"),
    "unknown encoding": (change(("frozen", "recipe", "store", "encoding"), "int3"), "frozen.recipe.store.encoding"),
    "other recipe": (change(("frozen", "rows"), 5), "the rows of the splits do not add up"),
    "edited recipe": (change(("frozen", "recipe", "seed"), 5), "recipe_sha256 is not the digest"),
    "short commits": (lambda document: document["commits"].pop(), "commits for 12 tasks"),
    "no digest": (change(("commits", 0), "abc"), "commits.0"),
    "huge tasks": (change(("frozen", "tasks"), 10**30), "frozen"),
    "negative rows": (change(("frozen", "rows"), -1), "frozen.rows"),
    "no statistics": (lambda document: document["statistics"].pop("embed"), "statistics"),
    "statistics that are text": (change(("statistics", "embed", "mean_norm"), "x"), "statistics.embed.mean_norm"),
    "mean that is no base64": (change(("statistics", "embed", "mean_D"), "?"), "statistics.embed.mean_D"),
    "mean of another width": (change(("statistics", "embed", "mean_D"), "AAAAAAAA8D8="), "1 means and 16 variances"),
    "NaN in the calibration": (
        change(("frozen", "calibration", "embed", "center"), "AADAfw=="),
        "frozen.calibration.embed.center",
    ),
    "no calibration": (change(("frozen", "calibration"), None), ""),
    "sites that are numbers": (change(("frozen", "sites"), [1, 2]), "frozen.sites.0"),
}

NOT_JSON = [b"", b"{", b"null", b"[]", b'"actstore/2"', b"\xff\xfe", b"[" * 100_000, b"1" * 10_000]


@pytest.fixture
def spoilt(store_of: StoreOf, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """Return a manifest file with one thing changed."""

    def write(spoil: Callable[[dict[str, Any]], None]) -> Path:
        document = json.loads((store_of() / "manifest.json").read_bytes())
        spoil(document)
        path = tmp_path / "spoilt.json"
        path.write_text(json.dumps(document))
        return path

    return write


class TestValidating:
    @pytest.mark.parametrize(("spoil", "problem"), MALFORMED.values(), ids=MALFORMED)
    def test_what_is_wrong_is_said_in_one_line(
        self,
        spoil: Callable[[dict[str, Any]], None],
        problem: str,
        spoilt: Callable[[Callable[[dict[str, Any]], None]], Path],
    ) -> None:
        file = spoilt(spoil)
        for command in ("validate", "show"):
            done = actstore("manifest", command, file)
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith(f"error: {file}: ")
            assert problem in done.err
            assert "Traceback" not in done.err

    @pytest.mark.parametrize("content", NOT_JSON, ids=lambda content: repr(content[:12]))
    def test_what_is_no_manifest_at_all_is_refused(self, content: bytes, tmp_path: Path) -> None:
        file = tmp_path / "file.json"
        file.write_bytes(content)
        with pytest.raises(ManifestError, match=r"file\.json: not a manifest"):
            read_manifest_file(file)

    def test_a_huge_file_is_refused_without_being_read(self, tmp_path: Path) -> None:
        file = tmp_path / "huge.json"
        with file.open("wb") as stream:
            stream.truncate(1 << 40)
        with pytest.raises(ManifestError, match="more than any manifest has"):
            read_manifest_file(file)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.json", tmp_path):
            with pytest.raises(ManifestError, match=f"{path}: cannot be read"):
                read_manifest_file(path)

    def test_a_good_one_is_shown_and_valid(self, shared: tuple[Path, Path]) -> None:
        store, file = shared
        shutil.rmtree(store)
        valid = actstore("manifest", "validate", file, "--json")
        assert (valid.code, valid.document["valid"], valid.document["uri"]) == (0, True, str(store))
        shown = actstore("manifest", "show", file, "--json")
        assert shown.document["manifest_sha256"] == valid.document["manifest_sha256"]
        assert shown.document["rows"] > 0


class TestSeveralPlaces:
    def test_are_tried_in_turn(self, own_store: StoreOf, tmp_path: Path) -> None:
        store, file = own_store(), tmp_path / "shared.json"
        manifest = export_manifest(store, file, places=[str(tmp_path / "mirror"), "copies/own"])
        assert manifest.digest == open_manifest(store).digest
        (tmp_path / "copies").mkdir()
        store.rename(tmp_path / "copies" / "own")
        assert stream_rows(file) > 1000
        assert open_manifest(file).uri == str(tmp_path / "copies" / "own")

    def test_a_place_with_another_store_is_passed_over(
        self, own_store: StoreOf, store_of: StoreOf, tmp_path: Path
    ) -> None:
        store, file = own_store(), tmp_path / "shared.json"
        other = shutil.copytree(store_of(seed=1), tmp_path / "other")
        export_manifest(store, file, uri=str(other), places=[str(store)])
        assert open_manifest(file).uri == str(store)

    def test_if_none_has_the_store_each_is_said_with_its_reason(
        self, own_store: StoreOf, store_of: StoreOf, tmp_path: Path
    ) -> None:
        store, file = own_store(), tmp_path / "shared.json"
        export_manifest(store, file, uri=str(store_of(seed=1)), places=[str(tmp_path / "gone")])
        with pytest.raises(
            StoreNotFoundError, match=r"(?s)none of its 2 places has the store:.*other content.*gone, but"
        ):
            stream_rows(file)

    def test_credentials_are_refused_in_each(self, store_of: StoreOf, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="credentials"):
            export_manifest(store_of(), tmp_path / "shared.json", places=["s3://TOKEN@bucket/store"])
        assert list(tmp_path.iterdir()) == []


class TestRelocating:
    def test_a_store_that_was_moved_is_found_again(self, shared: tuple[Path, Path], tmp_path: Path) -> None:
        store, file = shared
        digest = read_manifest_file(file).digest
        moved = store.rename(tmp_path / "elsewhere")
        assert relocate_manifest(file, str(moved)).uri == str(moved)
        assert json.loads(file.read_bytes())["uri"] == "./elsewhere"
        assert read_manifest_file(file).digest == digest
        assert stream_rows(file) > 1000
        assert {path.name for path in tmp_path.iterdir()} == {"shared.json", "elsewhere"}

    def test_into_a_new_file_with_mirrors(self, shared: tuple[Path, Path], tmp_path: Path) -> None:
        store, file = shared
        before = file.read_bytes()
        relocate_manifest(file, str(store), places=["s3://lab/store"], out=tmp_path / "new.json")
        assert read_manifest_file(tmp_path / "new.json").places == ("s3://lab/store",)
        assert file.read_bytes() == before
        with pytest.raises(ManifestError, match=r"new\.json exists"):
            relocate_manifest(file, str(store), out=tmp_path / "new.json")

    def test_only_to_the_same_store(self, shared: tuple[Path, Path], store_of: StoreOf, tmp_path: Path) -> None:
        _store, file = shared
        before = file.read_bytes()
        for uri, error in ((store_of(seed=1), ManifestError), (tmp_path / "none", StoreNotFoundError)):
            with pytest.raises(error):
                relocate_manifest(file, str(uri))
        with pytest.raises(UsageError, match="credentials"):
            relocate_manifest(file, "https://me:TOKEN@host/store")
        assert file.read_bytes() == before


class TestComparing:
    def test_a_store_and_its_manifest_are_the_same(self, shared: tuple[Path, Path]) -> None:
        store, file = shared
        found = diff_manifests(store, file)
        assert (found.same, found.fields, found.tasks_differing) == (True, (), 0)

    def test_what_differs_is_named(self, store_of: StoreOf, shared: tuple[Path, Path]) -> None:
        _store, file = shared
        found = diff_manifests(file, store_of(**{"store.encoding": "float16"}))
        assert not found.same
        assert ("frozen.recipe.store.encoding", "int8", "float16") in found.fields
        assert (found.tasks_differing, found.tasks[:3]) == (12, (0, 1, 2))

    def test_stores_need_not_be_there(self, shared: tuple[Path, Path]) -> None:
        store, file = shared
        shutil.rmtree(store)
        assert diff_manifests(file, file).same
