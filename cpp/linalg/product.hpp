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

// Private to one thread: the packed blocks of A and B, allocated when the first large product comes.
template <class T>
struct Packs {
  static constexpr std::int64_t rows = 192, depth = 256, columns = 768;
  void prepare() {
    if (a.get()) return;
    a = Buffer<T>(rows * depth);
    b = Buffer<T>(depth * columns);
  }
  Buffer<T> a, b;
};

enum class Part { all, lower };

// C (m x n, columns ldc apart) += alpha A (m x k) B (k x n). With Part::lower only tiles that meet the lower triangle
// (row >= column) are computed; entries above the diagonal inside such a tile are changed too.
// `set` writes C = alpha A B instead, without reading C.
template <class T>
void product(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, View<T> a, View<T> b, T* c, std::int64_t ldc, bool set,
             Part part, Packs<T>& packs);

}  // namespace fastopt::linalg
