// A gradient on its way to the rule, as far as nothing but itself is looked at.
#pragma once
#include "engine/block.hpp"
#include "engine/constants.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

// Elements of a gradient in the type of computation: where they lie until something is done to them, then in `own`. Each
// action reads the one and writes the other: a copy alone is a call of memcpy, which took as long as the rest of a step of
// SGD in the caches.
template <class T>
class Underway {
 public:
  Underway(const Gradient& g, std::int64_t begin, std::int64_t n, T* own) : own_(own), n_(n) {
    if (g.dense && g.dtype == dtype_of<T>) {
      x_ = reinterpret_cast<const T*>(g.data) + begin;
    } else {
      load_gradient(g, begin, n, own);
      x_ = own;
    }
  }

  const T* get() const { return x_; }
  T* owned() {
    if (x_ != own_) std::copy_n(x_, n_, own_);
    x_ = own_;
    return own_;
  }
  void times(const Factor<T>& factor) {
    for (int k = 0; k < factor.count; ++k) x_ = block::multiply(x_, own_, n_, factor.by[k]);
  }
  void clip(T limit) { x_ = block::clip(x_, own_, n_, limit); }
  void negate() { x_ = block::negate(x_, own_, n_); }
  void add_scaled(const T* y, T by) { x_ = block::add_scaled(x_, y, own_, n_, by); }
  void add_sign(const T* y, T by) { x_ = block::add_sign(x_, y, own_, n_, by); }

 private:
  const T* x_;
  T* own_;
  std::int64_t n_;
};

// Unscaled: where the read pass and the step begin alike.
template <class T>
inline Underway<T> raw_gradient(const Gradient& g, const Constants<T>& constants, std::int64_t begin, std::int64_t n,
                                T* own) {
  Underway<T> x(g, begin, n, own);
  x.times(constants.unscale);
  return x;
}

// And clipped: as it is centralised.
template <class T>
inline Underway<T> clipped_gradient(const Gradient& g, const Constants<T>& constants, std::int64_t begin, std::int64_t n,
                                    T* own) {
  Underway<T> x = raw_gradient(g, constants, begin, n, own);
  if (constants.clip_value) x.clip(constants.limit);
  x.times(constants.clip_norm);
  return x;
}

// Less the means of their rows: elements [at, at + n).
template <class T>
inline void take_means(const Tensor& tensor, const Constants<T>& constants, std::int64_t at, std::int64_t n, T* g) {
  for_each_row_part(tensor, at, n, [&](std::int64_t row, std::int64_t from, std::int64_t count, bool one) {
    const double* const means = constants.means + (row - constants.first_row);
    if (one)
      block::subtract(g + from, static_cast<T>(*means), count);
    else
      for (std::int64_t i = 0; i < count; ++i) g[from + i] -= static_cast<T>(means[i]);
  });
}

}  // namespace fastopt::engine
