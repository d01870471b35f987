// The transform of Muon and NorMuon (rules/muon.hpp): orthogonalise, equalise rows, scale by the shape.
#pragma once
#include "matrix/each_matrix.hpp"

namespace fastopt::matrix {

template <bool normalize>
struct Muon {
  static double flops(const MatrixTask& task);
  static std::size_t scratch(const MatrixTask& task);
  static bool wide(const MatrixTask& task);
  template <class T>
  static void run(const MatrixTask& task, std::int64_t index, const Members& members, Scratch scratch) noexcept;
};

}  // namespace fastopt::matrix
