// The transform of Kron (rules/kron.hpp): from a gradient to the direction, with the factors of the preconditioner.
#pragma once
#include "matrix/each_matrix.hpp"

namespace fastopt::matrix {

struct Kron {
  static constexpr bool whole = true;  // a tensor is one matter, whatever its axes
  static std::int64_t state_size(std::size_t state, const MatrixView& view, const double* hypers);
  static double flops(const MatrixTask& task);
  static std::size_t scratch(const MatrixTask& task);
  static bool wide(const MatrixTask&) { return false; }
  template <class T>
  static void run(const MatrixTask& task, std::int64_t, const Members& members, Scratch scratch) noexcept;
};

}  // namespace fastopt::matrix
