import subprocess
import sys

SHOW_HELP = """
import sys
from trainers.cli import main
sys.argv[1:] = ["--help"]
try:
    main()
finally:
    print("torch" in sys.modules)
"""


def test_help_teaches_by_example_and_does_not_wait_for_torch() -> None:
    done = subprocess.run([sys.executable, "-c", SHOW_HELP], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "trainer read-from-store STORE --dictionary none" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
