"""`python -m trainers`: the command `trainer`, as `torchrun -m trainers` starts it."""

from __future__ import annotations

from trainers.cli import main

if __name__ == "__main__":
    main()
