// Products by a team. However C is divided, its entries are summed in the same order (linalg::Part::packed), so that the
// bits do not depend on the number of threads. Matrices are stored by columns; a row-major one is its transpose.
#pragma once
#include <algorithm>
#include <cstdint>

#include "linalg/product.hpp"
#include "linalg/team.hpp"
#include "matrix/each_matrix.hpp"

namespace fastopt::matrix {

using linalg::Part;
using linalg::Team;
using linalg::View;

template <class T>
View<T> transposed(View<T> a) {
  return {a.data, a.col, a.row};
}

// f(begin, end, packs) for two ranges per member that cover [0, count): each packs an operand anew.
template <class T, class F>
void in_ranges(const Team<T>& team, std::int64_t count, std::int64_t grain, double flops, F&& f) {
  const std::int64_t pieces = team.size() == 1 ? 1 : 2 * team.size();
  const std::int64_t share = linalg::round_up((count + pieces - 1) / pieces, grain);
  team.each((count + share - 1) / share, ns_per_flop * flops,
            [&](std::int64_t i, linalg::Packs<T>& packs) { f(i * share, std::min(count, (i + 1) * share), packs); });
}

// C (m x n, columns ldc apart) = alpha A (m x k) B (k x n)
template <class T>
void multiply(const Team<T>& team, std::int64_t m, std::int64_t n, std::int64_t k, T alpha, View<T> a, View<T> b, T* c,
              std::int64_t ldc) {
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  if (m >= n)
    in_ranges(team, m, 48, flops, [&](std::int64_t i, std::int64_t end, linalg::Packs<T>& packs) {
      product(end - i, n, k, alpha, View<T>{a.data + i * a.row, a.row, a.col}, b, c + i, ldc, true, Part::packed, packs);
    });
  else
    in_ranges(team, n, 8, flops, [&](std::int64_t j, std::int64_t end, linalg::Packs<T>& packs) {
      product(m, end - j, k, alpha, a, View<T>{b.data + j * b.col, b.row, b.col}, c + j * ldc, ldc, true, Part::packed,
              packs);
    });
}

// The upper triangle of C (n x n) from the lower.
template <class T>
void mirror(const Team<T>& team, std::int64_t n, T* c, std::int64_t ldc) {
  constexpr std::int64_t block = 32;
  const std::int64_t blocks = (n + block - 1) / block;
  team.each(blocks, static_cast<double>(n) * static_cast<double>(n), [&](std::int64_t i, linalg::Packs<T>&) {
    const std::int64_t j0 = i * block, j1 = std::min(n, j0 + block);
    for (std::int64_t i0 = j0; i0 < n; i0 += block)
      for (std::int64_t j = j0; j < j1; ++j)
        for (std::int64_t row = std::max(i0, j + 1); row < std::min(n, i0 + block); ++row)
          c[row * ldc + j] = c[j * ldc + row];
  });
}

// C (n x n) = alpha A B where that is symmetric: half of the work.
template <class T>
void multiply_symmetric(const Team<T>& team, std::int64_t n, std::int64_t k, T alpha, View<T> a, View<T> b, T* c,
                        std::int64_t ldc) {
  const double flops = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(k);
  in_ranges(team, n, 8, flops, [&](std::int64_t j, std::int64_t end, linalg::Packs<T>& packs) {
    product(n - j, end - j, k, alpha, View<T>{a.data + j * a.row, a.row, a.col}, View<T>{b.data + j * b.col, b.row, b.col},
            c + j * ldc + j, ldc, true, Part::lower, packs);
  });
  mirror(team, n, c, ldc);
}

}  // namespace fastopt::matrix
