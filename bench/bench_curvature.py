"""fastopt.curvature beside PyHessian, hessian-eigenthings and curvlinops, and beside one eigendecomposition.

    python bench/bench_curvature.py [--json curvature.json]

Needs bench/requirements.txt; peers that are missing are left out: torch, PyHessian, hessian-eigenthings,
curvlinops-for-pytorch, scipy. Four tables:

- verdicts: critical_point of a 1,000-parameter Hessian against our own eigvalsh and eigh of it;
- top ten eigenvalues of one network's Hessian: how many products each needs until all ten are right to 1e-4,
  each with the loosest tolerance of its own that reaches that;
- spectral density at an equal number of products: distance of the distribution from the exact one;
- our own time beside the products, for a million parameters.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import QUICK, machine, side_by_side

import fastopt
from fastopt.curvature import critical_point, spectral_density
from fastopt.linalg import eigh, eigsh, eigvalsh
from fastopt.train import MLP, Objective, digits

Array = np.ndarray[Any, np.dtype[Any]]
WANTED = 1e-4
TOLERANCES = np.geomspace(1e-2, 1e-8, 3) if QUICK else np.geomspace(1, 1e-8, 33)
ORDER = 100 if QUICK else 1000


class Counted:
    """A Hessian-vector product that counts, and measures its own time."""

    def __init__(self, product: Callable[[Array], Array], n: int) -> None:
        self.product, self.shape, self.dtype = product, (n, n), np.dtype(float)
        self.products, self.seconds = 0, 0.0

    def matvec(self, v: Array) -> Array:
        start = time.perf_counter()
        result = self.product(np.asarray(v, dtype=float).reshape(-1))
        self.seconds += time.perf_counter() - start
        self.products += 1
        return result


def network() -> Objective:
    """A perceptron of 2,410 parameters, half trained on 512 digits: large, small and negative eigenvalues."""
    d = digits()
    x = ((d.x - d.x.mean(0)) / (d.x.std(0) + 1e-3))[:512].astype(np.float32)
    t = np.eye(10, dtype=np.float32)[np.asarray(d.y, dtype=int).reshape(-1)][:512]
    model = MLP([64, 8 if QUICK else 32, 10], activation="tanh", rng=np.random.default_rng(0))
    optimizer = fastopt.Adam(model.parameters, lr=3e-3)
    for xb, tb in fastopt.batches(x, t, batch_size=64, epochs=5, seed=0):
        optimizer.step(model.loss_and_gradients(xb, tb)[1])
    return Objective(model, x.astype(float), t.astype(float))


def verdicts() -> list[dict[str, Any]]:
    """The analysis of a Hessian that is at hand, against what it cannot do without."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((ORDER, ORDER))
    saddle = (a + a.T) / 2
    minimum = a @ a.T / ORDER + 0.1 * np.eye(ORDER)
    rows = []
    for name, h, ours, one in (
        ("minimum: no direction needed", minimum, lambda h: critical_point(None, None, hessian=h), eigvalsh),
        ("saddle: with the escape direction", saddle, lambda h: critical_point(None, None, hessian=h), eigh),
        (
            "saddle: counts alone",
            saddle,
            lambda h: critical_point(None, None, hessian=h, counts_only=True),
            eigvalsh,
        ),
    ):
        result = side_by_side({"one": lambda h=h, f=one: f(h), "ours": lambda h=h, f=ours: f(h)}, turns=9)
        row = {
            "case": name,
            "against": one.__name__,
            "ours_ms": 1e3 * result["seconds"]["ours"],
            "one_ms": 1e3 * result["seconds"]["one"],
            "ratio": result["ratio"]["ours"],
        }
        print(f"{name:36} {row['ours_ms']:8.1f} ms, {row['ratio']:5.2f} of one {one.__name__}")
        rows.append(row)
    return rows


def right(values: Any, exact: Array) -> bool:
    found = np.sort(np.real(np.asarray(values, dtype=complex)))[::-1]
    found = found[np.argsort(-np.abs(found), kind="stable")][: len(exact)]
    return len(found) == len(exact) and bool(np.all(np.abs(found - exact) <= WANTED * np.abs(exact)))


def torch_operator(op: Counted) -> Any:
    import torch

    return lambda v: torch.from_numpy(op.matvec(v.detach().numpy()))


def ours_top(op: Counted, k: int, tol: float) -> Any:
    return eigsh(op, k, which="LM", tol=min(tol, 0.99), copies=False).eigenvalues


def ours_with_copies(op: Counted, k: int, tol: float) -> Any:
    return eigsh(op, k, which="LM", tol=min(tol, 0.99)).eigenvalues


def scipy_top(op: Counted, k: int, tol: float) -> Any:
    from scipy.sparse.linalg import LinearOperator
    from scipy.sparse.linalg import eigsh as arpack

    return arpack(LinearOperator(op.shape, matvec=op.matvec, dtype=float), k, which="LM", tol=tol)[0]


def eigenthings_lanczos(op: Counted, k: int, tol: float) -> Any:
    import torch
    from hessian_eigenthings import LambdaOperator, lanczos

    operator = LambdaOperator(torch_operator(op), op.shape[0], dtype=torch.float64)
    steps = max(
        k + 1, round(2 * k * -np.log10(tol))
    )  # its tolerance stops nothing: the steps are what one sets
    return lanczos(operator, k=k, max_iter=steps, tol=tol, reorthogonalize=True, seed=0).eigenvalues.numpy()


def eigenthings_power(op: Counted, k: int, tol: float) -> Any:
    import torch
    from hessian_eigenthings import LambdaOperator, deflated_power_iteration

    operator = LambdaOperator(torch_operator(op), op.shape[0], dtype=torch.float64)
    return deflated_power_iteration(operator, k=k, max_iter=3000, tol=tol, seed=0).eigenvalues.numpy()


def pyhessian_top(op: Counted, k: int, tol: float) -> Any:
    return pyhessian(op).eigenvalues(maxIter=3000, tol=tol, top_n=k)[0]


def pyhessian(op: Counted) -> Any:
    """PyHessian with our product in the place of its own: the loops around it are what is compared."""
    import sys
    from types import SimpleNamespace

    import torch
    from pyhessian import hessian as package

    torch.set_default_dtype(torch.float64)
    computer = package.__new__(package)
    computer.device, computer.full_dataset = "cpu", False
    computer.model = SimpleNamespace(zero_grad=lambda: None)
    computer.params = computer.gradsH = [torch.zeros(op.shape[0])]
    product = torch_operator(op)
    module: Any = sys.modules["pyhessian.hessian"]
    module.hessian_vector_product = lambda gradients, params, v: [product(v[0])]
    return computer


def top_ten(objective: Objective, exact: Array) -> list[dict[str, Any]]:
    order = np.argsort(-np.abs(exact))
    best = exact[order[:10]]
    methods = {
        "fastopt eigsh, copies=False": ours_top,
        "fastopt eigsh": ours_with_copies,
        "SciPy eigsh (as curvlinops to_scipy)": scipy_top,
        "hessian-eigenthings lanczos": eigenthings_lanczos,
        "hessian-eigenthings power": eigenthings_power,
        "PyHessian eigenvalues": pyhessian_top,
    }
    rows = []
    for name, method in methods.items():
        row: dict[str, Any] = {"method": name, "products": None}
        for tol in TOLERANCES:
            op = Counted(lambda v: objective.hvp(objective.theta, v), objective.n)
            try:
                values = method(op, 10, tol)
            except ImportError as e:
                row["missing"] = f"{e.name}: not installed"
                break
            if right(values, best):
                row |= {"products": op.products, "tol": tol}
                break
        reached = f"{row['products']} products" if row["products"] else f"never within {WANTED}"
        print(f"{name:38} {row.get('missing', reached)}")
        rows.append(row)
    op = Counted(lambda v: objective.hvp(objective.theta, v), objective.n)
    smallest = eigsh(op, 1, which="SA", tol=1e-4)
    error = abs(smallest.eigenvalues[0] - exact[0]) / abs(exact[0])
    print(f"smallest eigenvalue {exact[0]:.4f}: {op.products} products, relative error {error:.1e}")
    rows.append({"method": "fastopt eigsh, smallest", "products": op.products, "error": error})
    return rows


def distance(nodes: Array, weights: Array, exact: Array) -> float:
    """Wasserstein-1 distance of a discrete distribution from the spectrum, over the spectrum's width."""
    points = np.concatenate([nodes, exact])
    order = np.argsort(points)
    mass = np.concatenate([weights / weights.sum(), np.full(len(exact), -1 / len(exact))])[order]
    gaps = np.diff(points[order])
    return float(np.abs(np.cumsum(mass)[:-1]) @ gaps / (exact[-1] - exact[0]))


def densities(objective: Objective, exact: Array, probes: int = 10, steps: int = 40) -> list[dict[str, Any]]:
    def operator() -> Counted:
        return Counted(lambda v: objective.hvp(objective.theta, v), objective.n)

    def ours(op: Counted, seed: int) -> tuple[Array, Array]:
        found = spectral_density(op, objective.n, probes=probes, steps=steps, seed=seed)
        return np.ravel(found.nodes), np.ravel(found.weights)

    def theirs(op: Counted, seed: int) -> tuple[Array, Array]:
        import torch

        torch.manual_seed(seed)
        nodes, weights = pyhessian(op).density(iter=steps, n_v=probes)
        return np.real(np.ravel(nodes)), np.real(np.ravel(weights))

    def eigenthings(op: Counted, seed: int) -> tuple[Array, Array]:
        import torch
        from hessian_eigenthings import LambdaOperator
        from hessian_eigenthings import spectral_density as density

        wrapped = LambdaOperator(torch_operator(op), op.shape[0], dtype=torch.float64)
        found = density(wrapped, num_runs=probes, lanczos_steps=steps, seed=seed)
        return np.asarray(found.grid), np.asarray(found.density)

    rows = []
    for name, method in (("fastopt", ours), ("PyHessian", theirs), ("hessian-eigenthings", eigenthings)):
        try:
            found = []
            for seed in range(2 if QUICK else 8):
                op = operator()
                found.append(distance(*method(op, seed), exact))
        except (ImportError, RuntimeError) as e:  # PyHessian 0.1 calls torch.eig, which is no more
            gone = f"{e.name}: not installed" if isinstance(e, ImportError) else str(e).splitlines()[0]
            print(f"{name:24} {gone}")
            rows.append({"method": name, "missing": gone})
            continue
        row = {
            "method": name,
            "products": op.products,
            "distance": float(np.median(found)),
            "worst": max(found),
        }
        print(
            f"{name:24} {op.products} products, distance from the exact spectrum "
            f"{row['distance']:.5f} (worst of 8: {row['worst']:.5f})"
        )
        rows.append(row)
    return rows


def own_time(small: Objective) -> list[dict[str, Any]]:
    """The share of time that is not the product's: the network above, and a million parameters."""
    rng = np.random.default_rng(0)
    count, widths = (256, [784, 30, 10]) if QUICK else (8192, [784, 900, 300, 10])
    x = rng.standard_normal((count, 784), dtype=np.float32)
    t = np.eye(10, dtype=np.float32)[rng.integers(0, 10, count)]
    model = MLP(widths, activation="tanh", rng=rng)
    large = Objective(model, x, t, dtype=np.float32)
    rows = []
    for objective in (small, large):
        for name, run in (
            ("eigsh, 6 largest", lambda op: eigsh(op, 6, which="LA", tol=1e-3)),
            ("spectral density", lambda op: spectral_density(op, op.shape[0], probes=2, steps=20)),
        ):
            op = Counted(lambda v, o=objective: o.hvp(o.theta, v.astype(o.theta.dtype)), objective.n)
            op.dtype = objective.theta.dtype
            start = time.perf_counter()
            run(op)
            total = time.perf_counter() - start
            share = 1 - op.seconds / total
            print(
                f"{name:20} n = {objective.n:,}: {op.products} products, {total:.2f} s, "
                f"{100 * share:.1f} % our own"
            )
            row = {"case": name, "n": objective.n, "products": op.products}
            rows.append(row | {"seconds": total, "own_share": share})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    where = machine()
    for key, value in where.items():
        print(f"{key:9} {value}")
    print(f"\nVerdicts, n = {ORDER}")
    results: dict[str, Any] = {"machine": where, "verdicts": verdicts()}
    objective = network()
    exact = eigvalsh(objective.hessian(objective.theta))
    print(f"\nTop ten of n = {objective.n}: products until all are within {WANTED:g}")
    results["top_ten"] = top_ten(objective, exact)
    print("\nSpectral density")
    results["density"] = densities(objective, exact)
    print("\nOur own time")
    results["own_time"] = own_time(objective)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
