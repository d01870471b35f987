"""Why a target is missed, keyed by the case: the first pattern that fits (`fnmatch`). Every miss has one."""

from __future__ import annotations

from fnmatch import fnmatchcase

REASONS: dict[str, str] = {
    "torch: AdamW, 200 tensors of 64, *": (
        "0.37 to 0.75 us a tensor: five looks through DLPack's table, p.grad, is_neg() and telling autograd "
        "go through PyTorch's own functions; reading its C++ objects would be faster, and wrong with the "
        "next version (docs/design/torch.md)"
    ),
    "torch: AdamW, a perceptron of 200 layers *": "as for 200 tensors of 64, and 0.5 us of kernel a tensor",
    "torch: AdamW, GPT-2 small's shapes, *": (
        "1.01x (0.96x to 0.98x before pieces were larger): as Adam at 2^24 on arrays, bound by the memory on "
        "both sides"
    ),
    "torch: clip + AdamW + EMA, 20 M, *": (
        "met: 1.30x and 1.37x (0.91x and 1.20x before the rule's loop took the two products): at the floor, "
        "40 bytes an element in one pass and 4 in the norm's; PyTorch's passes are as fast on this Zen 5"
    ),
    "torch: AdamW, ResNet-50's shapes, *": (
        "25.6 million elements are bound by the memory: both sides move 28 bytes of each, and what PyTorch "
        "spends on 161 tensors is 3 % of its step"
    ),
    "torch: Adamax, 20 M, *": "met: 5.5x (4.8x before pieces were larger)",
    "torch: a training step, *": (
        "0.996x to 1.01x: of 85 to 160 ms the optimizer has 2 %; the spread of the rest is larger"
    ),
    "torch: AdamW, bfloat16, *": (
        "1.46x on one thread (met), 0.91x on two: our states are float32, 22 bytes an element, PyTorch's "
        "bfloat16, 14"
    ),
    "bytes: *, 4 M, *": (
        "35x to 58x (of 40x) from run to run; 20x to 25x on Sapphire Rapids before four groups went together"
    ),
    "bytes: float32 with bfloat16 shadow *": (
        "1.52x on one thread, 2.05x on two (of 2x; on Sapphire Rapids 1.77x and 2.08x): conversions of three "
        "arrays between the loops"
    ),
    "bytes: *": (
        "bound by arithmetic on one thread, not by bytes: this Zen 5 gives a thread 59 GB/s, with which "
        "PyTorch's 28 bytes take 0.47 ns an element. Eight bits take 0.46 ns in the caches, 0.54 in memory "
        "(0.55 and 0.62 before four groups went together), of which root, division and the update are 0.17 "
        "and the codes 0.22 to 0.26 by themselves; bfloat16 takes 0.42 and 0.53, conversions 0.15. On two "
        "threads, which share 90 to 110 GB/s, both come nearer (docs/design/bytes.md); not measured where "
        "many threads share the memory"
    ),
    "Adam 2^??, 16 threads, 1 ms between": (
        "passes of the reference model between the steps push the arrays out of the caches: 29 MB at 2^20 "
        "take 165 us at 175 GB/s, all this memory gives, and 16 threads of BLAS spin; PyTorch: 6.9 ms"
    ),
    "Adam 2^1?, back to back, more threads over fewer": (
        "up to 8 threads every size gets faster. With 16 one of the two processes, or both, were slow: 9 "
        "and 67 us at 2^14, with 4 threads in use, 30 and 46 at 2^16, 70 and 73 at 2^17, 29 and 95 at 2^18. "
        "Why is not known: PyTorch's 16 threads, measured in turns, may spin on after their step, but they "
        "were there in the fast processes too, and beside AdamW, which takes 32 us on 8 threads and 31 on "
        "16 at 2^18. Measured at 40f5749, before a worker left its caller's processor, and not since"
    ),
    "Adam 2^2[46], ? thread*": (
        "1.05x to 1.09x elsewhere, at 100 to 103 % of the floor (28 bytes an element on both sides). The row "
        "of two threads at v4 spread from 0.41x to 1.34x, of 67 % of the floor: the machine; in five "
        "processes the same is 1.03x. On Sapphire Rapids 1.13x to 1.33x"
    ),
    "Adam 2^1?, 1 thread": (
        "bound by the divider on this Zen 5: nothing but one root and one division takes 0.225 ns per "
        "element at v3 and 0.114 at v4, ours 0.26 to 0.28 and 0.16 (with what lies beyond L1). PyTorch uses "
        "AVX-512 in both columns: 0.33 ns and a fixed 18 us. At 2^10 a call of Python's takes most of both. "
        "Fewer cycles would need reciprocal approximations, which x86-64-v2 does not have; the bits would "
        "differ between levels"
    ),
    "Adam 2^17, 2 threads": ("met at v4 (3.2x); 2.2x at v3: the divider, as on one thread"),
    "AdamW, 1000 tensors of 64": (
        "ours 38 us at v4 and 40 at v3, PyTorch 2.7 to 3.0 ms on Zen 5 (4.9 to 10.7 ms on Zen 4, where 100x "
        "was met in six runs of nine)"
    ),
    "Rprop, 20 M": "ours runs at 98 % of the floor; PyTorch varies: 20x to 28x",
    "NAdam, 20 M": "7.9x on Sapphire Rapids, 10x on Zen 4: ours runs at the floor on both, see its share",
    "Adadelta, 20 M": "8.5x to 9.9x on Sapphire Rapids: ours runs at 89 % of the floor at v3, 99 % at v4",
    "sparse: Adam, *": (
        "18x on one thread (of 20x), 46x on two: 108 ns a row, of which the three arrays' rows and the "
        "gradient's are 20 lines from anywhere in 10 GB; 68 ns where the table has a tenth of the rows"
    ),
    "sparse: RowWiseAdagrad, *": (
        "1.3x on one thread (of 2x), 2.6x on two: 75 ns a row. From a row's gradient to its rate there is "
        "one chain, sum, division and root, before its update: 37 ns where all lies in the caches, 17 for "
        "SGD"
    ),
    "rules: Prodigy, 20 M, *": (
        "6.1x and 5.3x on this Zen 5 (of 5x; on Sapphire Rapids 4.1x, 4.8x): two passes of 52 bytes an "
        "element; what the step sums decides how long it is, so there is no single pass"
    ),
    "rules: Muon, 12 x *": (
        "float32 beside PyTorch's bfloat16, which this Zen 5 multiplies twice as fast (AVX512-BF16), and "
        "Sapphire Rapids sixteen times (AMX: 0.36x and 0.70x there): 0.99x and 0.93x with half of the "
        "operations, as products are symmetric (docs/design/matrix-rules.md)"
    ),
    "rules: Muon, 64 x *": (
        "1.5x and 2.7x to 3.4x (of 5x; on Sapphire Rapids 1.4x, 2.9x): 17 ms of one thread are 235 GFLOP/s, "
        "when products count as five plain steps; 5x would be 780 GFLOP/s in float32"
    ),
    "rules: Muon, exact, 512 *, 2 threads": (
        "1.6 (of 1.5; on one thread 1.3): the reduction to tridiagonal form is bound by memory and gains "
        "less from a second thread than products do"
    ),
    "rules: SOAP *": (
        "2.5x to 3.5x on Zen 5, where MKL's products are slower than ours; 1.2x to 1.6x (of 2x) on Sapphire "
        "Rapids: four products and two symmetric ones of 768 x 768 are 4.5 GFLOP, 35 of our 43 ms at the "
        "130 GFLOP/s that our products reach there (142 for MKL's); the peers compute all six in full"
    ),
    "rules: Shampoo *": (
        "2.6x to 2.8x on Zen 5; 1.1x and 1.2x (of 2x) on Sapphire Rapids, as SOAP: two products of 768 x "
        "768 and two symmetric ones are 2.7 GFLOP, 21 of 25 ms there"
    ),
    "Adam[W,]*20 M": (
        "met since arrays are walked by whole lines of the cache (0.98x to 1.03x before): see Adam at 2^24"
    ),
    "clip + AdamW + EMA *": (
        "1.42x and 1.34x at v4 with 89 and 93 % of the floor, 1.41x and 1.29x at v3. With zeroing the "
        "gradient is 0 from the second step on, so that there is nothing to scale; with set_to_none the "
        "rule's loop scales it. PyTorch's passes are as fast on this Zen 5; 1.4x to 1.7x on Sapphire Rapids"
    ),
    "LAMB, 20 M": (
        "83 % of a floor that got lower with larger pieces (86 before): the pass that sums is at fault, not "
        "the one that moves"
    ),
    "LARS, 20 M": (
        "81 % of the floor: the first pass adds squares in float64 in one order for every number of "
        "threads, and takes longer than its bytes"
    ),
    "StableAdamW, 20 M": (
        "75 % of the floor at v4: a root and a quotient in the pass that sums, and again in the other"
    ),
    "Prodigy, 20 M": "72 % of the floor at v4: three sums in float64 beside three states in the first pass",
    "FTRL, 20 M": "met at v4. At v3 two roots and a quotient an element on a divider of half the width",
    "RMSprop centered, momentum, 20 M": "met at v4; at v3 the divider, as above",
    "*, 20 M": "met at v4; at v3 85 to 90 %",
    "import fastopt beyond numpy": (
        "3.8 to 5.0 ms from minute to minute, 2.7 when the module was two thirds as large; loading it and "
        "filling its registry of rules, not taken apart further"
    ),
    "Adam 2^14, 2 threads": (
        "4.7x at v3, 9.5x at v4: as on one thread, the divider; such a step is serial with both"
    ),
    "AdamW, GPT-2 small's shapes, 1 thread": (
        "1.07x at v3, 1.03x at v4: 124 million elements bound by the memory, as Adam at 2^24; 1.10x and "
        "1.13x on Sapphire Rapids"
    ),
    "AdamW over Adam, 2^2?, *": (
        "memory-bound sizes: the spread of the machine, 0.84x to 1.10x within one run"
    ),
    "AdamW over Adam, *": (
        "met at v3; 0.93x to 0.97x at v4: a product and a difference more per vector. In a loop outside the "
        "library they cost 2 % (0.122 to 0.125 ns an element at v4, 0.245 to 0.247 at v3), where root and "
        "division alone take nine tenths of the time"
    ),
    "Adam* 2^2?, ? thread*, 5 processes": (
        "1.06x to 1.19x at 2^22, 1.00x to 1.06x beyond on one thread, 0.99x to 1.03x on two at v4 (v3: up to "
        "1.10x), at 96 to 105 % of the floor: both sides move 28 bytes per element at what this Zen 5 gives "
        "(53 GB/s to one thread), so that nobody can be far ahead; 0.95x to 1.06x before arrays were walked "
        "by whole lines; 1.06x to 1.33x on Sapphire Rapids"
    ),
    "2 threads, back to back, *": (
        "1.67x to 2.05x while both vCPUs run (all of v3; v4 from 2^19 on); 1.49x and 1.58x below, where the "
        "second gives less, 1.0x where it was taken away and the pool stayed serial"
    ),
    "2 threads, ? ms between, Adam 2^2[123]": (
        "a second thread brings hardly more memory there; on this machine its bandwidth is 53 GB/s to one "
        "thread and 65 or 105 to two, by the process"
    ),
    "2 threads, ? ms between, *": (
        "these steps run serially on both sides of the ratio (`pool_statistics` says so): the spread of the "
        "machine"
    ),
    "* f32 : own f64, *": (
        "a column of so small a reduction is latency, 130 to 200 ns of sums across vectors, a root and two "
        "divisions, the same in both types"
    ),
    "eigvalsh 4096 stacked, n = [34], 1 thread": (
        "61 ns a matrix are roots and divisions of Jacobi rotations; 20x would need 50"
    ),
    "own time, *, n = 2,410": (
        "a product takes 0.4 ms, ours beside each 0.07 to 0.13 ms; not taken apart further"
    ),
    "own time, cg, n = 1000000": "1.9x to 2.6x from run to run",
}


def why(case: str) -> str | None:
    """The reason of a miss, if one is known."""
    return next((text for pattern, text in REASONS.items() if fnmatchcase(case, pattern)), None)
