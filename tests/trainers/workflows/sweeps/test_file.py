"""What a file of members says, and what is wrong with one that says nothing useful."""

from pathlib import Path

import pytest

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.workflows.sweeps.file import read_sweep


def read(folder: Path, text: str) -> dict[str, TrainConfig]:
    file = folder / "sweep.toml"
    file.write_text(text)
    return read_sweep(file)


def test_grids_are_combined_and_members_added(tmp_path: Path) -> None:
    members = read(
        tmp_path,
        """
sites = "resid_post.3"
latents = 512

[[grid]]
dictionary = ["topk-sae"]
k = [16, 32]
lr = [0.001, 0.002]

[[grid]]
dictionary = ["relu-sae"]
sparsity = [0.03, 0.06]

[[member]]
name = "wide"
latents = 1024

[[member]]
k = 8
""",
    )
    assert list(members) == [
        *("topk-sae-k16-lr0.001", "topk-sae-k16-lr0.002", "topk-sae-k32-lr0.001", "topk-sae-k32-lr0.002"),
        *("relu-sae-sparsity0.03", "relu-sae-sparsity0.06", "wide", "k8"),
    ]
    assert {config.sites for config in members.values()} == {("resid_post.3",)}
    assert (members["wide"].latents, members["k8"].latents, members["k8"].k) == (1024, 512, 8)
    assert members["topk-sae-k32-lr0.001"].lr == 0.001


def test_members_share_the_order_of_rows_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    members = read(tmp_path, "grid = {seed = [1, 2]}")
    assert [(config.seed, config.order_seed) for config in members.values()] == [(1, 0), (2, 0)]
    members = read(tmp_path, "seed = 5\ngrid = {k = [1, 2]}")
    assert [(config.seed, config.order_seed) for config in members.values()] == [(5, 5), (5, 5)]
    members = read(tmp_path, "order_seed = 7\n[[member]]\nname = 'a'\n[[member]]\nname = 'b'\norder_seed = 8\n")
    assert [config.order_seed for config in members.values()] == [7, 8]


def test_sites_may_be_in_a_grid(tmp_path: Path) -> None:
    members = read(tmp_path, "grid = {sites = ['embed', ['resid_post.0', 'resid_post.*']]}")
    assert list(members) == ["embed", "resid_post.0+resid_post._"]
    assert [config.sites for config in members.values()] == [("embed",), ("resid_post.0", "resid_post.*")]


def test_an_expansion_in_a_grid_replaces_the_latents_of_all(tmp_path: Path) -> None:
    members = read(tmp_path, "latents = 128\ngrid = {expansion = [2, 4]}")
    assert [(config.latents, config.expansion) for config in members.values()] == [(None, 2), (None, 4)]


def test_labels_mean_the_same_file_in_another_folder(tmp_path: Path) -> None:
    [config] = read(tmp_path, "labels = 'labels.parquet'\nmember = [{probe_weight = 0.1}]").values()
    assert config.labels == str(Path("labels.parquet").absolute())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"no members; list values in a table, such as \[grid\] with k = \[16, 32\]"),
        ("k = 3", "no members"),
        ("[grid]", "grid 1: is empty; list values"),
        ("grid = {k = []}", r"grid 1: k needs a list of values, such as \[1, 2\], not \[\]"),
        ("grid = {k = 3}", "k needs a list of values, .* not 3; a value that all members have stands outside"),
        ("grid = {kk = [3]}", "grid 1: no setting 'kk'; did you mean 'k'"),
        ("batch_row = 3\ngrid = {k = [3]}", "no setting 'batch_row'; did you mean 'batch_rows'"),
        ("[[member]]\nlatent = 3", "member 1: no setting 'latent'; did you mean 'latents'"),
        ("[[members]]\nk = 3", "no setting 'members'; did you mean 'member'"),
        ("grid = 3", r"grid is 3; write it as a table, \[grid\] or \[\[grid\]\]"),
        ("member = ['a']", "member is .*; write it as a table"),
        ("[[member]]\nname = '../a'", r"name = '../a'; the name of a folder has letters"),
        ("[[member]]\nname = '.a'", "does not begin with a dot"),
        ("[[member]]\nname = 3", "name = 3; the name"),
        ("[[member]]\nname = 'a'\n[[member]]\nname = 'a'\nk = 4", "two members would share the folder 'a'"),
        ("[[member]]\nname = 'a'\n[[member]]\nname = 'A'\nk = 4", "two members would share the folder 'a'"),
        ("grid = {k = [4, 4]}", "two members would share the folder 'k4'"),
        ("grid = {k = ['many']}", "grid 1: k = 'many': Input should be a valid integer"),
        ("grid = {dictionary = ['topk']}", "grid 1: dictionary = 'topk': Input should be 'topk-sae'"),
        ("[[member]]\nname = 'result.json'", "member 1: a sweep has a file result.json of its own"),
        ("grid = {seed = ['7']}", "grid 1: seed = '7': Input should be a valid integer"),
        ("grid = {k = [true]}", "grid 1: k = True: Input should be a valid integer"),
        ("k = ", "not TOML"),
        ("k = " + "9" * 5000, "not TOML"),
        (f"grid = {{k = {list(range(1, 40))}, seed = {list(range(40))}}}", "1,560 combinations; a sweep has at most"),
    ],
)
def test_what_is_no_sweep_is_refused_with_the_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=f"sweep.toml.*{said}"):
        read(tmp_path, text)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="cannot be read: No such file"):
        read_sweep(tmp_path / "sweep.toml")
    with pytest.raises(errors.UsageError, match="cannot be read: Is a directory"):
        read_sweep(tmp_path)
    with pytest.raises(errors.UsageError, match="too large for a sweep"):
        read(tmp_path, "#" * (2 << 20))
