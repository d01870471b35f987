#include "engine/by_row.hpp"

#include <algorithm>
#include <cmath>

#include "engine/lanes.hpp"
#include "engine/update.hpp"

namespace fastopt::engine {

template <class T>
void ByRow<T>::update(const Gradient& gradient, std::int64_t place, bool zero_gradients) {
  const std::int64_t row = table_.table.number_of(place);
  if (constants_.first) start_rows(table_, constants_, row, row + 1);
  take_coefs(row);
  if (const auto of_row = kernel_.template row<T>())
    of_row(mean_square(gradient, place), static_cast<T*>(table_.shaped[0]) + row, own_.coefs);
  table_.table.for_each_run(place, [&](std::int64_t begin, std::int64_t end) {
    for_each_run_of_dither(begin, end, [&](std::int64_t from, std::int64_t to) {
      engine::update<T>(table_, gradient, own_, from, to, zero_gradients);
    });
  });
}

// Of the gradient as the rule meets it, in double and in lanes: the bits depend on the row alone.
template <class T>
T ByRow<T>::mean_square(const Gradient& gradient, std::int64_t place) const {
  Lanes lanes;
  if (gradient.dense && gradient.dtype == dtype_of<T> && !constants_.changes_gradient()) {  // as it lies
    const T* const g = reinterpret_cast<const T*>(gradient.data);
    table_.table.for_each_run(place,
                              [&](std::int64_t begin, std::int64_t end) { lanes.add_squares(g + begin, end - begin); });
  } else {
    Walk<T> walk(table_, gradient, constants_, false);
    table_.table.for_each_run(place, [&](std::int64_t begin, std::int64_t end) { walk.add_squares(begin, end, lanes); });
  }
  const double total = lanes.total();
  if (sizeof(T) == 8 && !std::isfinite(total)) return large_mean_square(gradient, place);
  return static_cast<T>(total / static_cast<double>(table_.table.width()));
}

// Where the squares are finite, which the policies look at, and their sum is not.
template <class T>
T ByRow<T>::large_mean_square(const Gradient& gradient, std::int64_t place) const {
  constexpr double down = 0x1p-512, up = 0x1p512;
  Lanes lanes;
  Walk<T> walk(table_, gradient, constants_, false);
  alignas(64) T scaled[block_size<T>];
  table_.table.for_each_run(place, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; at += block_size<T>) {
      const std::int64_t n = std::min(block_size<T>, end - at);
      lanes.add_squares(block::multiply(walk.gradient(at, n), scaled, n, static_cast<T>(down)), n);
    }
  });
  return static_cast<T>(lanes.total() / static_cast<double>(table_.table.width()) * up * up);
}

// The row's own coefficients, if it counts its steps. Copied only where they differ from those of the row before, as a loop
// that reads what has just been copied waits for it. Counts stay where float's unit becomes 2, at 2^24: no correction is
// left by then.
template <class T>
void ByRow<T>::take_coefs(std::int64_t row) {
  if (kernel_.row_steps < 0) return;
  T& count = static_cast<T*>(table_.shaped[kernel_.row_steps])[row];
  const auto t = static_cast<std::int64_t>(count += 1);
  if (t == t_) return;
  t_ = t;
  Known& here = known_[static_cast<std::size_t>(t) % known];
  if (here.t != t) {
    double coefs[max_coefs];
    kernel_.prepare(constants_.hypers, t, nullptr, coefs);
    std::transform(coefs, coefs + kernel_.coefs, here.coefs, [](double c) { return static_cast<T>(c); });
    here.t = t;
  }
  std::copy_n(here.coefs, kernel_.coefs, own_.coefs);
}

template <class T>
void start_rows(const Tensor& table, const Constants<T>& constants, std::int64_t begin, std::int64_t end) {
  for (int s = 0; s < max_shaped; ++s) {
    T* const kept = static_cast<T*>(table.shaped[s]);
    const double first = s == constants.kernel->row_steps ? 0 : constants.row_start;
    if (kept != nullptr) std::fill(kept + begin, kept + end, static_cast<T>(first));
  }
}

template <class T>
void update_by_row(const Tensor& table, const Gradient& gradient, const Constants<T>& constants, std::int64_t begin,
                   std::int64_t end, bool zero_gradients) {
  ByRow<T> by_row(table, constants);
  const Table& rows = table.table;
  const bool divided = rows.outer == 1;  // else the piece is all of it
  const std::int64_t first = divided ? begin / rows.run : 0, last = divided ? end / rows.run : rows.count;
  for (std::int64_t place = first; place < last; ++place) by_row.update(gradient, place, zero_gradients);
}

template class ByRow<float>;
template class ByRow<double>;
template void start_rows(const Tensor&, const Constants<float>&, std::int64_t, std::int64_t);
template void start_rows(const Tensor&, const Constants<double>&, std::int64_t, std::int64_t);
template void update_by_row(const Tensor&, const Gradient&, const Constants<float>&, std::int64_t, std::int64_t, bool);
template void update_by_row(const Tensor&, const Gradient&, const Constants<double>&, std::int64_t, std::int64_t, bool);

}  // namespace fastopt::engine
