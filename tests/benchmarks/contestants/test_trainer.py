from benchmarks.contestants.contract import Setting
from benchmarks.contestants.trainer import trainer_wait


def test_a_trainer_reports_shares_of_its_time(setting: Setting) -> None:
    found = trainer_wait(setting)
    assert found["steps"] == 24
    assert 0 <= found["wait_share"] <= found["data_share"] < 1
