"""Blocks are shared by threads, each done once; torch's own setting is left to everybody else."""

import gc
import threading
import weakref

import pytest
import torch

from actstore.stream.tensors.workers import BlockWorkers


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("blocks", [0, 1, 2, 97])
def test_every_block_is_done_once(threads: int, blocks: int) -> None:
    done: list[tuple[int, int]] = []
    workers = BlockWorkers(threads)
    for _ in range(3):
        done.clear()
        workers.run(blocks, lambda block, thread: done.append((block, thread)))
        assert sorted(block for block, _ in done) == list(range(blocks))
        assert {thread for _, thread in done} <= set(range(threads))
    workers.close()


def test_the_threads_keep_torch_to_one_thread_and_nobody_else() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen: list[int] = []
        workers = BlockWorkers(2)
        workers.run(8, lambda block, thread: seen.append(torch.get_num_threads()))
        workers.close()
        assert set(seen) == {1}
        assert torch.get_num_threads() == 3
        newcomer: list[int] = []
        thread = threading.Thread(target=lambda: newcomer.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert newcomer == [3]
    finally:
        torch.set_num_threads(before)


def test_as_many_threads_as_torch_would_use() -> None:
    assert BlockWorkers().count == torch.get_num_threads()


def test_all_threads_work_at_the_same_time() -> None:
    meeting = threading.Barrier(3)
    workers = BlockWorkers(3)
    workers.run(3, lambda block, thread: (meeting.wait(timeout=60), None)[1])
    workers.close()


def test_an_error_reaches_the_caller_and_the_threads_go_on() -> None:
    def fail(block: int, thread: int) -> None:
        if block == 4:
            raise ArithmeticError("block 4")

    workers = BlockWorkers(2)
    with pytest.raises(ArithmeticError, match="block 4"):
        workers.run(50, fail)
    done: list[int] = []
    workers.run(5, lambda block, thread: done.append(block))
    assert sorted(done) == [0, 1, 2, 3, 4]
    workers.close()


def test_after_an_error_few_blocks_are_begun() -> None:
    begun: list[int] = []

    def fail(block: int, thread: int) -> None:
        begun.append(block)
        raise ArithmeticError

    workers = BlockWorkers(2)
    with pytest.raises(ArithmeticError):
        workers.run(500, fail)
    workers.close()
    assert len(begun) <= 2


def test_threads_that_cannot_all_be_started_leave_none_and_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def refuse_the_third(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    before = torch.get_num_threads()
    workers = BlockWorkers(3)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_the_third)
        for _ in range(2):
            started.clear()
            with pytest.raises(RuntimeError, match="can't start new thread"):
                workers.run(9, lambda block, thread: None)
    assert not any(thread.is_alive() for thread in started)
    assert torch.get_num_threads() == before
    done: list[int] = []
    workers.run(9, lambda block, thread: done.append(block))
    workers.close()
    assert sorted(done) == list(range(9))


def test_workers_that_are_dropped_end_and_let_go_of_the_last_batch() -> None:
    class Rows:
        """What a batch was gathered from."""

        def touch(self, block: int, thread: int) -> None:
            del block, thread

    rows = Rows()
    workers = BlockWorkers(2)
    workers.run(9, rows.touch)
    threads, last = workers._threads, weakref.ref(rows)
    del rows, workers
    gc.collect()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert last() is None


def test_closing_leaves_no_threads() -> None:
    workers = BlockWorkers(3)
    workers.run(9, lambda block, thread: None)
    assert any(thread.name == "actstore-gather" for thread in threading.enumerate())
    workers.close()
    workers.close()
    assert not any(thread.name == "actstore-gather" for thread in threading.enumerate())
