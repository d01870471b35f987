// C += alpha A B, the product that every blocked phase of the eigensolver stands on.
//
// Small products are Eigen's. Large ones, where Eigen 3.4.1 falls to two thirds of the peak with AVX-512, and the rank-2k
// update that skips one triangle, have a kernel here: it packs A and B into panels (Goto and van de Geijn, ACM TOMS 34(3),
// 2008) and keeps a tile of C in registers.
#pragma once
#include <cstdint>

#include "linalg/simd.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

// Entry (i, j) is data[i * row + j * col].
template <class T>
struct View {
  const T* data;
  std::int64_t row, col;
};

// Private to one thread: the packed blocks of A and B, allocated when the first large product comes or, so that no product
// fails in the middle of a phase, before; and memory for whatever else a phase needs of its own (Team::reserve_scratch).
template <class T>
struct Packs {
  static constexpr std::int64_t rows = 192, depth = 256, columns = 768;
  void reserve() {
    a.grow(rows * depth);
    b.grow(depth * columns);
  }
  Buffer<T> a, b, scratch;
};

// `packed`: all, by the kernel here whatever the size; its bits do not depend on how C is divided among calls.
enum class Part { all, lower, packed };

// Does a product of this size use the packing buffers? (Eigen's own, for the others, are Eigen's concern.)
inline bool is_packed(std::int64_t m, std::int64_t n, Part part) {
  // where Eigen's kernel was the faster one (x86-64-v4 and v3, measured side by side), or the only one that vectorises
  constexpr std::int64_t small_area = vector_bytes == 8 ? INT64_MAX : std::int64_t(300) * 300;
  return part != Part::all || m * n > small_area;
}

// C (m x n, columns ldc apart) += alpha A (m x k) B (k x n). With Part::lower only tiles that meet the lower triangle
// (row >= column) are computed; entries above the diagonal inside such a tile are changed too.
// `set` writes C = alpha A B instead, without reading C.
template <class T>
void product(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, View<T> a, View<T> b, T* c, std::int64_t ldc, bool set,
             Part part, Packs<T>& packs);

}  // namespace fastopt::linalg
