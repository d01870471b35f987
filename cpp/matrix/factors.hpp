// The factors of Kron's preconditioner: one for each side of a tensor, triangular or diagonal. A tensor without axes has one
// number.
#pragma once
#include <cstdint>

#include "engine/transform.hpp"
#include "matrix/tensor_sides.hpp"
#include "rules/kron.hpp"

namespace fastopt::matrix {

using KronHypers = rules::Kron<0>::Hypers;

inline const KronHypers& kron_hypers(const double* hypers) { return *reinterpret_cast<const KronHypers*>(hypers); }

// Which sides are diagonal whatever their length: none, the longest (the last of equals), that if there is one that is
// longer than all others, all.
enum class Diagonals : std::uint8_t { none, longest, one_longest, all };

struct Factors {
  static constexpr int most = 64;
  struct Factor {
    Side side;  // `square` is where the factor begins
    bool diagonal = false;
    std::int64_t size() const { return diagonal ? side.length : side.length * side.length; }
  };

  std::int64_t size = 1, numbers = 0, longest = 0, widest = 0;  // of the tensor, the factors, a side, a triangular one
  int count = 0;
  Factor factor[most];

  Factors(const engine::MatrixView& view, const double* hypers);
  const Factor* begin() const { return factor; }
  const Factor* end() const { return factor + count; }
};

}  // namespace fastopt::matrix
