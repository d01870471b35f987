"""FBGEMM's tables as a witness of row-wise Adagrad: its numbers are ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("duplicates", [False, True])
def test_fbgemm_steps_row_wise_adagrad_alike(duplicates: bool) -> None:
    torch = pytest.importorskip("torch")
    embeddings = pytest.importorskip(
        "fbgemm_gpu.split_table_batched_embeddings_ops_training", exc_type=(ImportError, OSError)
    )
    from fbgemm_gpu.split_embedding_configs import EmbOptimType

    rows, width, rng = 60, 24, np.random.default_rng(1)
    place = (rows, width, embeddings.EmbeddingLocation.HOST, embeddings.ComputeDevice.CPU)
    theirs: Any = embeddings.SplitTableBatchedEmbeddingBagsCodegen(
        [place], optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD, learning_rate=0.1, eps=1e-8
    )
    (weights,) = theirs.split_embedding_weights()
    weights.copy_(torch.from_numpy(rng.normal(size=(rows, width)).astype(np.float32)))
    table = weights.numpy().copy()
    opt = fastopt.RowWiseAdagrad([table], lr=0.1, eps=1e-8)
    for _ in range(10):
        index = rng.integers(0, rows, 40) if duplicates else rng.permutation(rows)[:40]
        values = rng.normal(size=(40, width)).astype(np.float32)
        theirs(torch.from_numpy(index), torch.arange(41)).backward(torch.from_numpy(values))
        opt.step([fastopt.SparseRows(index, values)])
    np.testing.assert_allclose(table, theirs.split_embedding_weights()[0].numpy(), rtol=2e-5, atol=2e-6)
    ((sums,),) = theirs.split_optimizer_states()
    np.testing.assert_allclose(opt.state[0]["sum"], sums.numpy(), rtol=2e-6)
