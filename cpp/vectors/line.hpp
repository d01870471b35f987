// The vector work of line-search methods: an iterate with its gradient, a direction, a trial point, and the passes over
// memory that all of them need.
//
// Vectors are cut into blocks of 4096 elements. A pass does all it has to do with a block while the block is in the cache,
// so each vector crosses the memory bus once; dot products are summed as block_sums.hpp says.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "vectors/block_sums.hpp"
#include "engine/lanes.hpp"

namespace fastopt::vectors {

using engine::dot;

// The caller's memory, n doubles each.
struct Vectors {
  double *x, *g;            // the iterate and its gradient
  double *trial, *trial_g;  // x + alpha d and the gradient there
  double *kept, *kept_g;    // another trial point, put aside
  double* d;                // the direction
};

struct Direction {
  double slope, square;  // d'g, d'd
};

struct Taken {
  double slope, largest;  // trial_g'd, which is not finite if an element of trial_g is not; max |trial_g|
};

// What the formulas of conjugate gradients are made of, with t = trial_g and y = t - g.
struct Products {
  double tt, tg, yy, yt, yd, gg;
};

class LineVectors {
 public:
  LineVectors(std::int64_t n, const Vectors& vectors) : n_(n), v_(vectors) {}
  std::int64_t size() const { return n_; }
  const Vectors& vectors() const { return v_; }

  Direction steepest(double scale);  // d = -scale g
  void step(double alpha);           // trial = x + alpha d
  Taken take(const double* g);       // trial_g = g
  Taken take(const double* g, Products& products);
  Direction conjugate(double beta);  // d = -g + beta d
  void keep() {                      // trial <-> kept
    std::swap(v_.trial, v_.kept);
    std::swap(v_.trial_g, v_.kept_g);
  }
  void accept() {  // trial <-> iterate
    std::swap(v_.trial, v_.x);
    std::swap(v_.trial_g, v_.g);
  }

  // d is what `write` makes of it, block by block.
  template <class F>
  Direction redirect(double streams, F&& write) {
    const double* sums = sums_.run(n_, 2, streams, [&](std::int64_t begin, std::int64_t end, double* out) {
      double* d = v_.d + begin;
      write(d, begin, end - begin);
      out[0] = dot(d, v_.g + begin, end - begin);
      out[1] = dot(d, d, end - begin);
    });
    return {sums[0], sums[1]};
  }

 private:
  std::int64_t n_;
  Vectors v_;
  BlockSums sums_;
  template <class F>
  double take_blocks(const double* g, int count, double streams, F&& more);
  std::vector<double> largest_;  // of each block
};

}  // namespace fastopt::vectors
