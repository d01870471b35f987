"""Right and wrong calls, as users write them. A line that ends in ``# error`` must be refused by mypy and
pyright, every other accepted (`test_typing`). Nobody runs this file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastopt
from fastopt import train
from fastopt.optim import Adam

w = np.ones(3)
v = np.ones((2, 3), np.float32)
named: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {"v": v}
matrix = np.eye(3)
rng = np.random.default_rng(0)


def f(x: Any) -> float:
    return float(x @ x)


def grad(x: Any) -> Any:
    return 2 * x


# parameters: an array, several, by name, in groups
fastopt.SGD(w)
fastopt.SGD([w, v], 0.1, momentum=0.9, nesterov=True)
fastopt.SGD((p for p in (w, v)), lr=fastopt.schedules.cosine(0.1, total=100))
fastopt.SGD(named, lr=lambda k: 0.1 / (k + 1))
fastopt.SGD([{"params": [w], "lr": 0.1}, {"params": v, "momentum": 0.5}])
fastopt.SGD("not arrays")  # error
fastopt.SGD(["not", "arrays"])  # error
fastopt.SGD({"w": "not an array"})  # error
fastopt.SGD(3)  # error
fastopt.SGD()  # error
fastopt.SGD([w], lr="0.1")  # error
fastopt.SGD([w], 0.1, 0.9)  # error

# choices
fastopt.SGD([w], momentum=0.9, momentum_form="step")
fastopt.SGD([w], momentum=0.9, momentum_form="steps")  # error
fastopt.SGD([w], weight_decay=0.1, decoupled_weight_decay=True)
fastopt.Adam([w], nonfinite="skip")
fastopt.Adam([w], nonfinite="skipp")  # error
fastopt.Adam([w], clip_norm=1.0, clip_norm_type="inf", clip_norm_per="tensor")
fastopt.Adam([w], clip_norm=1.0, clip_norm_type=np.inf, clip_norm_per="all")
fastopt.Adam([w], clip_norm=1.0, clip_norm_type="infinity")  # error
fastopt.Adam([w], clip_norm=1.0, clip_norm_per="tensors")  # error
fastopt.Adagrad([w], initial_accumulator_value="gradient")
fastopt.Adagrad([w], initial_accumulator_value=0.1)
fastopt.Adagrad([w], initial_accumulator_value="gradients")  # error
fastopt.Adam([np.zeros(3, np.uint16)], dtype="bfloat16")
fastopt.Adam([np.zeros(3, np.uint16)], dtype="float32")  # error
fastopt.eigh(matrix, "U", method="jacobi")
fastopt.eigh(matrix, "X")  # error
fastopt.eigvalsh(matrix, method="qr")  # error
fastopt.inertia(matrix, UPLO="U")
fastopt.inertia(matrix, UPLO="B")  # error
fastopt.eigsh(matrix, 1, which="BE")
fastopt.eigsh(matrix, 1, which="SM")  # error
fastopt.minimize(f, grad, w, "trust-region", subproblem="lanczos")
fastopt.minimize(f, grad, w, "trust-region", subproblem="krylov")  # error
fastopt.minimize(f, grad, w, "cg", beta="dai-yuan", maxiter=10)
fastopt.minimize(f, grad, w, "cg", beta="dai yuan")  # error
fastopt.minimize(f, grad, w, method="adam", lr=0.1, betas=(0.9, 0.99), clip_norm=1.0)
fastopt.minimize(f, grad, w, method="sgd", lr=0.1, momentum_form="steps")  # error
fastopt.minimize(f, grad, w, method="adam", learning_rate=0.1)  # error
fastopt.minimize(f, grad, w, "L-BFGS-B")
fastopt.minimize(f, grad, w, "trust region")  # error
fastopt.minimize(f, grad, w, method="Newton-CG")  # error
fastopt.methods.cg(f, w, jac=grad, beta="dai-yuan", maxiter=10)
fastopt.methods.l_bfgs(f, [1.0, 2.0], (), jac=True, history=5)
fastopt.methods.adam(f, w, jac=grad, lr=0.1)
fastopt.methods.minimize(f, grad, w, fastopt.methods.names()[0])
fastopt.methods.cg(1, 2, nonsense=3)  # error
fastopt.methods.cg(f, w, jac=grad, nonsense=3)  # error
fastopt.methods.cg(1, w)  # error
fastopt.methods.cg(f, w, jac=grad, maxiter="10")  # error
fastopt.methods.trust_region(f, w, jac=grad, subproblem="krylov")  # error
fastopt.schedules.one_cycle(0.1, total=10, anneal="linear")
fastopt.schedules.one_cycle(0.1, total=10, anneal="line")  # error
fastopt.schedules.reduce_on_plateau(0.1, mode="max", threshold_mode="abs")
fastopt.schedules.reduce_on_plateau(0.1, mode="maximum")  # error
fastopt.schedules.reduce_on_plateau(0.1, threshold_mode="absolute")  # error
fastopt.schedules.by_name("cosine", 0.1, 100)
fastopt.schedules.by_name("cosin", 0.1, 100)  # error
train.MLP([2, 3], rng=rng, activation="tanh", output="linear", init="he")
train.MLP([2, 3], rng=rng, activation="gelu")  # error
train.MLP([2, 3], rng=rng, output="logits")  # error
train.MLP([2, 3], rng=rng, init="kaiming")  # error
train.read_data("data.csv", task="regression")
train.read_data("data.csv", task="classification")  # error
train.Settings(activation="relu", bn_test="running", clip_norm_per="tensor")
train.Settings(bn_test="mean")  # error
fastopt.curvature.trace(matrix, method="hutch++")
fastopt.curvature.trace(matrix, method="hutchinson")  # error

# keywords
Adam([w], betas=(0.9, 0.99), l1=0.1, clip_norm=1.0, ema_decay=None, state_dtype=np.float32)
Adam([w], beta=0.9)  # error
Adam([w], maximize=1.5)  # error
Adam([w], clip_norm="1")  # error

# classes by name
fastopt.optimizers()["adamw"]([w], lr=0.1)
fastopt.optimizers()["sgd"]([w], 0.1, momentum=0.9)
fastopt.optimizers()["sgd"]("not arrays", lr=0.1)  # error
fastopt.optimizers()["sgd"]([w], lr="0.1")  # error
fastopt.optimizers()[0]  # error

# an optimizer
opt = fastopt.AdamW([w, v])
opt.step([2 * w, None], grad_scale=2.0)
opt.step()
opt.step("gradients")  # error
opt.bind_grads([w, v])
opt.param_groups[0]["lr"] = 0.1
opt.step_count = 3  # error
kind: str = opt.rule.weight_decay
opt.rule.torch = False  # error
count: int = opt.skipped
norm: float = opt.grad_norm  # error

# names
print(fastopt.nothing)  # error
print(fastopt.optim.Nothing)  # error
print(fastopt.curvature.nothing)  # error
print(fastopt.linalg.nothing)  # error
print(fastopt.methods.nothing)  # error
fastopt.get_num_threads(1)  # error
