// What the engine knows of memory: addresses, sizes, dtypes. NumPy is one way to get them; owners are kept elsewhere.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>

#include "engine/kernels.hpp"
#include "engine/stored.hpp"

namespace fastopt::engine {

inline constexpr int max_axes = 64;  // NumPy 2's limit

// A tensor's rows, which are its first axis, where they lie in its order of memory: `outer` runs of `run` elements, one for
// each time that the memory walks along the axis. In C's order there is one run.
struct Table {
  std::int64_t count = 0, outer = 1, run = 1;
  bool reversed = false;  // the first row lies last

  std::int64_t width() const { return outer * run; }
  // Of a row by its place in memory.
  std::int64_t number_of(std::int64_t place) const { return reversed ? count - 1 - place : place; }
  template <class F>
  void for_each_run(std::int64_t place, F&& f) const {
    for (std::int64_t o = 0; o < outer; ++o) f((o * count + place) * run, (o * count + place + 1) * run);
  }
};

// A parameter and what belongs to it: dense memory, in any order of axes. Elements are numbered in memory order, states and
// averages lie in the parameter's.
struct Tensor {
  Stored theta;
  std::int64_t size = 0;
  Stored states[max_states];           // none where the rule has none
  Table table;                         // for rules that keep something of each row
  void* shaped[max_shaped] = {};       // of a rule of matrices, in the type of computation
  const MatrixView* matrix = nullptr;  // what such a rule sees; kept by who made the tensor
  Stored ema;                          // float, or double for f64 parameters; none without EMA
  Stored shadow;                       // a copy of theta in half precision, written with it; mostly none
  std::int64_t rows = 0;               // length of the first axis, if there are others; element i is of row i / run % rows
  std::int64_t run = 1;                // elements of one row that lie side by side
  std::uint64_t number = 0;            // tells tensors apart where random bits are drawn
  bool begun = false;                  // its states hold values from elsewhere: also a first step goes on from them
  bool in_place = false;         // the rule's loop reads and writes theta and states where they lie, and there is no more
  std::int64_t before_line = 0;  // elements before a line of the cache begins in theta and all states, if it does

  Dtype dtype() const { return theta.dtype(); }
};

// In the type of computation, theta and states.
inline bool is_plain(const Tensor& t) {
  if (t.theta.encoding != encoding_of(t.dtype()) || (t.dtype() != Dtype::f32 && t.dtype() != Dtype::f64)) return false;
  return std::all_of(std::begin(t.states), std::end(t.states),
                     [&](const Stored& s) { return !s || s.encoding == t.theta.encoding; });
}

inline bool is_in_place(const Tensor& t) { return !t.ema && !t.shadow && is_plain(t); }

// NumPy's large arrays begin 16 bytes into a line, and every vector of 64 bytes would lie in two.
inline std::int64_t before_line(const Tensor& t) {
  constexpr std::uintptr_t line = 64;
  const auto into = [](const Stored& s) { return reinterpret_cast<std::uintptr_t>(s.data) % line; };
  const std::uintptr_t first = into(t.theta);
  if (first == 0 || !is_plain(t)) return 0;
  for (const Stored& state : t.states)
    if (state && into(state) != first) return 0;
  return std::min(t.size, static_cast<std::int64_t>((line - first) / item_size(t.dtype())));
}

// All states that may be coded are, and no other is in another type than float: the rule's loop over codes takes them.
inline bool is_coded(const Tensor& t, const Kernel& kernel) {
  if (kernel.update_coded == nullptr) return false;
  for (std::size_t s = 0; s < kernel.states.size(); ++s) {
    const Stored& stored = t.states[s];
    if (stored && is_code(stored.encoding) != (kernel.states[s].codes != rules::Codes::none)) return false;
    if (stored && !is_code(stored.encoding) && !stored.is<float>()) return false;
  }
  return true;
}

// A gradient as the parameter's elements meet it. Dense: element i is data[i]. Otherwise the axes, outermost first in the
// parameter's memory order, and byte strides, which may be zero, negative or not a multiple of the item.
class Rows;
struct Gradient {
  char* data = nullptr;  // null: leave this tensor alone
  Dtype dtype = Dtype::f32;
  bool dense = true;
  int axes = 0;
  const std::int64_t* shape = nullptr;
  const std::int64_t* strides = nullptr;
  Rows* rows = nullptr;  // of some rows of the tensor only (rows.hpp); nothing else is said of them here
};

// Calls f(address, count, stride) for the runs of the innermost axis that hold elements [begin, begin + n).
template <class F>
inline void for_each_run(const Gradient& g, std::int64_t begin, std::int64_t n, F&& f) {
  if (n <= 0) return;  // an axis of length 0 has no index
  if (g.axes == 0) {
    f(g.data, std::int64_t{1}, std::int64_t{0});
    return;
  }
  std::int64_t index[max_axes];
  char* address = g.data;
  for (int axis = g.axes - 1; axis >= 0; --axis) {
    index[axis] = begin % g.shape[axis];
    begin /= g.shape[axis];
    address += index[axis] * g.strides[axis];
  }
  const int inner = g.axes - 1;
  while (n > 0) {
    const std::int64_t count = n < g.shape[inner] - index[inner] ? n : g.shape[inner] - index[inner];
    f(address, count, g.strides[inner]);
    n -= count;
    address += count * g.strides[inner];
    index[inner] += count;
    for (int axis = inner; axis > 0 && index[axis] == g.shape[axis]; --axis) {
      address += g.strides[axis - 1] - index[axis] * g.strides[axis];
      index[axis] = 0;
      ++index[axis - 1];
    }
  }
}

// Calls f(row, offset, count, one) for the parts of the elements [begin, begin + n): of one row, or of as many rows one
// after the other.
template <class F>
inline void for_each_row_part(const Tensor& t, std::int64_t begin, std::int64_t n, F&& f) {
  for (std::int64_t from = 0; from < n;) {
    const std::int64_t at = begin + from, row = at / t.run % t.rows;
    const std::int64_t left = t.run == 1 ? t.rows - row : t.run - at % t.run, count = std::min(left, n - from);
    f(row, from, count, t.run != 1);
    from += count;
  }
}

// Elements [begin, begin + n) of the gradient in the type of computation.
template <class T>
inline void load_gradient(const Gradient& g, std::int64_t begin, std::int64_t n, T* to) {
  dispatch(g.dtype, [&](auto tag) {
    using S = decltype(tag);
    if (g.dense) return load(reinterpret_cast<const S*>(g.data) + begin, to, n);
    for_each_run(g, begin, n, [&](const char* from, std::int64_t count, std::int64_t stride) {
      for (std::int64_t i = 0; i < count; ++i, from += stride) {
        S item;  // copied by bytes: a view may start anywhere
        std::memcpy(&item, from, sizeof item);
        to[i] = load_one<T>(item);
      }
      to += count;
    });
  });
}

// Elements [begin, begin + n) of what lies as a gradient does, in the type of computation.
template <class T>
inline void store_strided(const Gradient& g, std::int64_t begin, std::int64_t n, const T* from) {
  for_each_run(g, begin, n, [&](char* to, std::int64_t count, std::int64_t stride) {
    for (std::int64_t i = 0; i < count; ++i, to += stride) std::memcpy(to, from + i, sizeof(T));
    from += count;
  });
}

// All bits of zero are +0 in every dtype.
inline void zero_gradient(const Gradient& g, std::int64_t begin, std::int64_t n) {
  const auto item = static_cast<std::int64_t>(item_size(g.dtype));
  if (g.dense) {
    std::memset(g.data + begin * item, 0, static_cast<std::size_t>(n * item));
    return;
  }
  for_each_run(g, begin, n, [&](char* to, std::int64_t count, std::int64_t stride) {
    for (std::int64_t i = 0; i < count; ++i, to += stride) std::memset(to, 0, static_cast<std::size_t>(item));
  });
}

}  // namespace fastopt::engine
