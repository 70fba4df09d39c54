"""The lines that the demo runs at its end are those that the README prints."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "strongest_latents.py"


def test_the_readme_has_the_lines_of_the_demo() -> None:
    assert f"```python\n{EXAMPLE.read_text('utf-8')}```" in (REPOSITORY / "README.md").read_text("utf-8")


def test_they_are_five_beside_the_imports() -> None:
    lines = [line for line in EXAMPLE.read_text("utf-8").splitlines() if line and not line.startswith("import ")]
    assert len(lines) == 5
