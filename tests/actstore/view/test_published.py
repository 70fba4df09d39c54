import io

from rich.console import Console

from actstore.view.published import PublishReport, published_view

REPORT = PublishReport(
    repository="my-lab/esm2-8m",
    revision="int4",
    url="https://huggingface.co/datasets/my-lab/esm2-8m",
    uri="hf://datasets/my-lab/esm2-8m@int4",
    commit="c0ffee",
    manifest_sha256="ab" * 32,
    site="resid_post.3",
    dry_run=False,
    files=120,
    bytes=5_000_000,
    files_sent=100,
    bytes_sent=4_000_000,
    card_kept=False,
    to_send=(),
)


def shown(report: PublishReport, *, width: int = 200) -> str:
    text = io.StringIO()
    Console(file=text, width=width, markup=False, emoji=False).print(published_view(report))
    return text.getvalue()


def test_what_was_sent_and_how_somebody_else_opens_it() -> None:
    text = shown(REPORT)
    assert "100 files, 4.0 MB; 20 files are there already" in text
    assert "trainer read-from-store hf://datasets/my-lab/esm2-8m@int4 --dictionary topk-sae --site resid_post.3" in text
    assert "ab" * 32 in text
    assert "README.md" not in text
    assert "--new-card replaces it" in shown(REPORT._replace(card_kept=True))


def test_a_dry_run_lists_files_and_gives_no_address_to_open() -> None:
    text = shown(REPORT._replace(dry_run=True, commit=None, to_send=tuple((f"file-{n}", n) for n in range(25))))
    assert "would send" in text
    assert "file-19" in text
    assert "file-20" not in text
    assert "and 5 more: --json" in text
    assert "open_store" not in text


def test_too_many_files_for_the_hub_are_told() -> None:
    assert "recommends at most 100,000" in shown(REPORT._replace(files=100_001))
    assert "recommends" not in shown(REPORT)


def test_the_report_fits_the_width() -> None:
    assert max(map(len, shown(REPORT, width=60).splitlines())) <= 60
