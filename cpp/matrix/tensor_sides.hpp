// A tensor as its sides see it: what is done along one of its axes, all others being columns.
//
// Arrays are in C order. Along a side the tensor is a stack of `before` matrices of `whole` rows and `after` columns, of
// which a matrix may concern a part only: rows [first, first + length).
#pragma once
#include <cstdint>

#include "matrix/products.hpp"

namespace fastopt::matrix {

struct Side {
  std::int64_t before = 1, whole = 1, after = 1, first = 0, length = 1;
  std::int64_t square = 0;  // where its matrix begins in an array that holds those of all
};

// Those parts of a tensor's sides that have a matrix, one after the other.
struct TensorSides {
  static constexpr int most = 64;
  std::int64_t size = 1, squares = 0, longest = 0;  // of the tensor, of all matrices; the length of a part
  int count = 0;
  Side side[most];

  void add(Side part) {
    part.square = squares;
    squares += part.length * part.length;
    longest = std::max(longest, part.length);
    side[count++] = part;
  }
  const Side* begin() const { return side; }
  const Side* end() const { return side + count; }
};

// A stack of products: shared out as a whole if there are many, each for itself if there is one.
template <class T, class F>
void for_stack(std::int64_t count, double flops, const Team<T>& team, F&& f) {
  if (count == 1) return f(0, team);
  team.split(count, 1, ns_per_flop * flops * double(count),
             [&](std::int64_t first, std::int64_t last, linalg::Packs<T>& packs) {
               const Team<T> alone(packs);
               for (std::int64_t i = first; i < last; ++i) f(i, alone);
             });
}

// y = x with index i of the side's part replaced by sum_i x[i] q[i][j], or q[j][i] if `back`: into the basis of q's columns,
// or out of it. Other parts of y are left alone.
template <class T>
void rotate(const T* x, const Side& side, const T* q, bool back, T* y, const Team<T>& team);

// gram += take X X' - forget gram, with the side's index as row of X: both triangles.
template <class T>
void add_gram(const T* x, const Side& side, T forget, T take, T* gram, const Team<T>& team);

}  // namespace fastopt::matrix
