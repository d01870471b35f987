"""What a group's models answered on their test rows; of cross-validation, on every row once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train.data import Dataset
from fastopt.train.problem import Problem
from fastopt.train.report.groups import Group
from fastopt.train.runs import Result
from fastopt.train.session import Session

Array = NDArray[Any]


@dataclass(frozen=True)
class Tested:
    """Row numbers of the data set with the actual and predicted targets; `certainty` only for classes.

    That is the probability the model gave to its answer.
    """

    dataset: Dataset
    rows: Array
    actual: Array
    predicted: Array
    certainty: Array

    @classmethod
    def of(cls, session: Session, group: Group) -> Tested:
        parts = [_answers(session.problem_of(result["fold"]), result) for result in group.results]
        return cls(session.problem.dataset, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _answers(problem: Problem, result: Result) -> tuple[Array, Array, Array, Array]:
    z = result["test_values"]
    predicted = problem.predictions(z)
    return problem.rows.test, problem.y["test"], predicted, _certainty(problem, z, predicted)


def _certainty(problem: Problem, z: Array, predicted: Array) -> Array:
    if problem.task != "classes":
        return np.ones(len(z))
    p = problem.encoding.probabilities(z)
    return np.clip(p[np.arange(len(p)), predicted], 0.0, 1.0)
