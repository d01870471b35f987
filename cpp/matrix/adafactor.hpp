// The transform of Adafactor (rules/adafactor.hpp): second moments of rows and columns, the update they scale, its clipping
// and its rate by the size of theta.
#pragma once
#include "matrix/each_matrix.hpp"

namespace fastopt::matrix {

template <bool averages>
struct Adafactor {
  static constexpr bool whole = true;  // clipping looks at all matrices of a tensor
  static constexpr bool streams = true;
  static std::int64_t state_size(std::size_t state, const MatrixView& view, const double* hypers);
  static double flops(const MatrixTask& task);
  static std::size_t scratch(const MatrixTask& task);
  static bool wide(const MatrixTask&) { return false; }
  template <class T>
  static void run(const MatrixTask& task, std::int64_t, const Members& members, Scratch scratch) noexcept;
};

}  // namespace fastopt::matrix
