#include "matrix/factors.hpp"

#include <algorithm>

namespace fastopt::matrix {
namespace {

// Number of the side that is diagonal for its length beside the others', -1: none.
int longest_side(const std::vector<std::int64_t>& sides, Diagonals diagonals) {
  if (sides.empty() || (diagonals != Diagonals::longest && diagonals != Diagonals::one_longest)) return -1;
  int at = 0, equals = 0;
  for (int i = 0; i < int(sides.size()); ++i) {
    if (sides[std::size_t(i)] < sides[std::size_t(at)]) continue;
    equals = sides[std::size_t(i)] == sides[std::size_t(at)] ? equals + 1 : 1;
    at = i;
  }
  const bool taken = diagonals == Diagonals::longest || (sides.size() > 1 && equals == 1);
  return taken ? at : -1;
}

}  // namespace

Factors::Factors(const engine::MatrixView& view, const double* hypers) {
  const KronHypers& h = kron_hypers(hypers);
  const auto diagonals = static_cast<Diagonals>(h.memory_save_mode);
  for (const std::int64_t length : view.sides) size *= length;
  if (size == 0) return;
  const int axes = int(view.sides.size()), one = longest_side(view.sides, diagonals);
  Side side;
  side.after = size;
  for (int i = 0; i < std::max(axes, 1); ++i) {
    side.whole = side.length = axes == 0 ? 1 : view.sides[std::size_t(i)];
    side.after /= side.length;
    side.square = numbers;
    const bool diagonal = side.length == 1 || double(side.length) > h.max_size_triangular || axes < h.min_ndim_triangular ||
                          i == one || diagonals == Diagonals::all;
    factor[count++] = {side, diagonal};
    numbers += factor[i].size();
    longest = std::max(longest, side.length);
    if (!diagonal) widest = std::max(widest, side.length);
    side.before *= side.length;
  }
}

}  // namespace fastopt::matrix
