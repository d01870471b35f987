"""What the defaults promise on the digits, over ten seeds, each with its own split."""

from __future__ import annotations

import numpy as np

from fastopt.train import Problem, Session, Settings, digits


def test_ten_seeds_reach_97_per_cent_on_average_and_96_at_worst() -> None:
    data = digits()
    accuracies = []
    for seed in range(10):
        settings = Settings(seed=seed)
        session = Session(settings, Problem(data, settings))
        assert session.run()
        accuracies.append(session.results[0]["metrics"]["test"]["accuracy"])
    assert np.mean(accuracies) >= 0.97
    assert min(accuracies) >= 0.96
