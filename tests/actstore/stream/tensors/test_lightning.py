"""A stream as the training data of a `Trainer` of Lightning."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from actstore.stream.open import open_stream
from actstore.stream.tensors.dataset import StreamDataset, TensorBatch
from tests.actstore.stream.batches import SMALL, split_rows

lightning = pytest.importorskip("lightning", reason="needs the extra dev")


class Regression(lightning.LightningModule):  # type: ignore[name-defined, misc]
    """Predicts the first feature from the others, and keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(15, 1)
        self.rows: list[int] = []

    def training_step(self, batch: TensorBatch) -> torch.Tensor:
        self.rows += batch.row_B.tolist()
        predicted: torch.Tensor = self.layer(batch.values_BSD[:, 0, 1:])
        return ((predicted - batch.values_BSD[:, 0, :1]) ** 2).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


@pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("loaded", [True, False])
def test_it_sees_every_row_of_every_epoch(store_of: Callable[..., Path], tmp_path: Path, *, loaded: bool) -> None:
    store = store_of()
    module = Regression()
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        dataset = StreamDataset(stream)
        trainer.fit(module, DataLoader(dataset, batch_size=None) if loaded else dataset)
        assert stream.cursor.epoch == 2
    epoch = stream.rows
    assert sorted(module.rows[:epoch]) == sorted(module.rows[epoch:]) == split_rows(store, "train")
    assert module.rows[:epoch] != module.rows[epoch:]
