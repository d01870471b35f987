#include "linalg/product.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <new>

#include "linalg/symmetric_kernels.hpp"

namespace fastopt::linalg {
namespace {

// A register tile is `vectors` vectors high and `columns` wide: 24 x 8 doubles fill 24 of AVX-512's 32 registers.
template <class T>
struct Tile {
  static constexpr int vectors = vector_bytes > 16 ? 3 : 32 / vector_bytes, columns = vector_bytes == 64 ? 8 : 4;
  static constexpr int rows = vectors * lanes<T>;
  static_assert(rows % tile<T> == 0, "Part::lower must not cut the diagonal tiles of the tridiagonalisation");
};

template <class T>
void pack_a(View<T> a, std::int64_t m, std::int64_t k, T* out) {
  constexpr int R = Tile<T>::rows;
  for (std::int64_t i0 = 0; i0 < m; i0 += R, out += R * k) {
    const std::int64_t height = std::min<std::int64_t>(R, m - i0);
    const T* from = a.data + i0 * a.row;
    if (height == R && a.row == 1) {
      for (std::int64_t p = 0; p < k; ++p)
        for (int i = 0; i < R; ++i) out[p * R + i] = from[p * a.col + i];
    } else if (height == R && a.col == 1) {
      std::int64_t p = 0;
      for (; p + 8 <= k; p += 8)  // 8 deep: whole cache lines of the rows are used while they are in L1
        for (int i = 0; i < R; ++i)
          for (int q = 0; q < 8; ++q) out[(p + q) * R + i] = from[i * a.row + p + q];
      for (; p < k; ++p)
        for (int i = 0; i < R; ++i) out[p * R + i] = from[i * a.row + p];
    } else {
      if (height < R) std::fill_n(out, R * k, T(0));
      for (std::int64_t p = 0; p < k; ++p)
        for (std::int64_t i = 0; i < height; ++i) out[p * R + i] = from[i * a.row + p * a.col];
    }
  }
}

template <class T>
void pack_b(View<T> b, std::int64_t k, std::int64_t n, T alpha, T* out) {
  constexpr int C = Tile<T>::columns;
  for (std::int64_t j0 = 0; j0 < n; j0 += C, out += C * k) {
    const std::int64_t width = std::min<std::int64_t>(C, n - j0);
    const T* from = b.data + j0 * b.col;
    if (width == C && b.row == 1) {
      for (std::int64_t p = 0; p < k; ++p)
        for (int j = 0; j < C; ++j) out[p * C + j] = alpha * from[p + j * b.col];
    } else if (width == C && b.col == 1) {
      for (std::int64_t p = 0; p < k; ++p)
        for (int j = 0; j < C; ++j) out[p * C + j] = alpha * from[p * b.row + j];
    } else {
      for (std::int64_t p = 0; p < k; ++p) {
        for (std::int64_t j = 0; j < width; ++j) out[p * C + j] = alpha * from[p * b.row + j * b.col];
        for (std::int64_t j = width; j < C; ++j) out[p * C + j] = T(0);
      }
    }
  }
}

// One register tile, or its first M vectors: c (rows x columns) += or = packed a (k deep) times packed b; only `height` x
// `width` of it exists.
template <class T, int M>
void micro_of(std::int64_t k, const T* a, const T* b, T* c, std::int64_t ldc, std::int64_t height, std::int64_t width,
              bool set) {
  constexpr int N = Tile<T>::columns;
  constexpr std::int64_t L = lanes<T>;
  Vec<T> sum[N][M] = {};
  for (std::int64_t p = 0; p < k; ++p, a += Tile<T>::rows, b += N) {
    Vec<T> av[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) av[i] = load(a + i * L);
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) {
      const Vec<T> bj = splat(b[j]);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) sum[j][i] += av[i] * bj;
    }
  }
  if (height == M * L && width == N) {
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j)
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        T* p = c + j * ldc + i * L;
        store(p, set ? sum[j][i] : load(p) + sum[j][i]);
      }
    return;
  }
  T whole[L * M * N];
#pragma GCC unroll 8
  for (int j = 0; j < N; ++j)
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) store(whole + (j * M + i) * L, sum[j][i]);
  for (std::int64_t j = 0; j < width; ++j)
    for (std::int64_t i = 0; i < height; ++i) c[j * ldc + i] = whole[j * M * L + i] + (set ? T(0) : c[j * ldc + i]);
}

template <class T>
void micro(std::int64_t k, const T* a, const T* b, T* c, std::int64_t ldc, std::int64_t height, std::int64_t width,
           bool set) {
  constexpr int M = Tile<T>::vectors;
  constexpr std::int64_t L = lanes<T>;
  if constexpr (M == 3) {
    if (height <= L) return micro_of<T, 1>(k, a, b, c, ldc, height, width, set);
    if (height <= 2 * L) return micro_of<T, 2>(k, a, b, c, ldc, height, width, set);
  }
  micro_of<T, M>(k, a, b, c, ldc, height, width, set);
}

// As Eigen sees a View, if one of its strides is 1.
template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
template <class T>
using Map = Eigen::Map<const Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

template <class T, class A, class B>
void small_product(T alpha, const A& a, const B& b, T* c, std::int64_t ldc, bool set) {
  Eigen::Map<Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>> to(c, a.rows(), b.cols(), Eigen::OuterStride<>(ldc));
  if (set)
    to.noalias() = alpha * (a * b);
  else
    to.noalias() += alpha * (a * b);
}

template <class T>
bool eigen_product(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, View<T> a, View<T> b, T* c, std::int64_t ldc,
                   bool set) {
  const bool plain_a = a.row == 1, plain_b = b.row == 1;
  if ((!plain_a && a.col != 1) || (!plain_b && b.col != 1)) return false;
  const Map<T> ma(a.data, plain_a ? m : k, plain_a ? k : m, Eigen::OuterStride<>(plain_a ? a.col : a.row));
  const Map<T> mb(b.data, plain_b ? k : n, plain_b ? n : k, Eigen::OuterStride<>(plain_b ? b.col : b.row));
  if (plain_a && plain_b) return small_product(alpha, ma, mb, c, ldc, set), true;
  if (plain_a) return small_product(alpha, ma, mb.transpose(), c, ldc, set), true;
  if (plain_b) return small_product(alpha, ma.transpose(), mb, c, ldc, set), true;
  return small_product(alpha, ma.transpose(), mb.transpose(), c, ldc, set), true;
}

}  // namespace

template <class T>
void product(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, View<T> a, View<T> b, T* c, std::int64_t ldc, bool set,
             Part part, Packs<T>& packs) {
  if (m == 0 || n == 0) return;
  if (!is_packed(m, n, part)) try {
      if (eigen_product(m, n, k, alpha, a, b, c, ldc, set)) return;
    } catch (const std::bad_alloc&) {
      // Eigen had no memory for its own packing, which it asks for before it touches C, or when C is zeros that `set` will
      // overwrite: the kernel here does it too, and mostly has what it needs.
    }
  packs.reserve();
  constexpr std::int64_t R = Tile<T>::rows, C = Tile<T>::columns;
  constexpr std::int64_t block_m = Packs<T>::rows / R * R, block_n = Packs<T>::columns / C * C;
  for (std::int64_t j0 = 0; j0 < n; j0 += block_n) {
    const std::int64_t nb = std::min(block_n, n - j0), top = part == Part::lower ? j0 / R * R : 0;
    for (std::int64_t p0 = 0; p0 < k; p0 += Packs<T>::depth) {
      const std::int64_t kb = std::min(Packs<T>::depth, k - p0);
      pack_b(View<T>{b.data + p0 * b.row + j0 * b.col, b.row, b.col}, kb, nb, alpha, packs.b.get());
      for (std::int64_t i0 = top; i0 < m; i0 += block_m) {
        const std::int64_t mb = std::min(block_m, m - i0);
        pack_a(View<T>{a.data + i0 * a.row + p0 * a.col, a.row, a.col}, mb, kb, packs.a.get());
        for (std::int64_t j = 0; j < nb; j += C)
          for (std::int64_t i = 0; i < mb; i += R) {
            if (part == Part::lower && i0 + i + R <= j0 + j) continue;
            micro(kb, packs.a.get() + i * kb, packs.b.get() + j * kb, c + (j0 + j) * ldc + i0 + i, ldc, std::min(R, mb - i),
                  std::min(C, nb - j), set && p0 == 0);
          }
      }
    }
  }
}

template void product(std::int64_t, std::int64_t, std::int64_t, double, View<double>, View<double>, double*, std::int64_t,
                      bool, Part, Packs<double>&);
template void product(std::int64_t, std::int64_t, std::int64_t, float, View<float>, View<float>, float*, std::int64_t, bool,
                      Part, Packs<float>&);

}  // namespace fastopt::linalg
