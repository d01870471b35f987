#include "matrix/tensor_sides.hpp"

namespace fastopt::matrix {

// In columns: after a side in the middle, Y' = X' Q of each matrix; after the last, Y' = Q' X' of all rows at once.
template <class T>
void rotate(const T* x, const Side& side, const T* q, bool back, T* y, const Team<T>& team) {
  const std::int64_t n = side.length, after = side.after;
  const std::int64_t over = back ? 1 : n, along = back ? n : 1;  // strides of q's index that is summed, and of the other
  if (after == 1) {
    multiply(team, n, side.before, n, T(1), View<T>{q, along, over}, View<T>{x + side.first, 1, side.whole}, y + side.first,
             side.whole);
    return;
  }
  for_stack(side.before, 2 * double(after) * double(n) * double(n), team, [&](std::int64_t i, const Team<T>& members) {
    const std::int64_t at = (i * side.whole + side.first) * after;
    multiply(members, after, n, n, T(1), View<T>{x + at, 1, after}, View<T>{q, over, along}, y + at, after);
  });
}

template <class T>
void add_gram(const T* x, const Side& side, T forget, T take, T* gram, const Team<T>& team) {
  const std::int64_t n = side.length, after = side.after;
  for (std::int64_t i = 0; i < n * n; ++i) gram[i] -= forget * gram[i];
  if (after == 1) {
    const T* of = x + side.first;
    multiply_symmetric(team, n, side.before, take, View<T>{of, 1, side.whole}, View<T>{of, side.whole, 1}, gram, n, false);
  } else {
    for (std::int64_t i = 0; i < side.before; ++i) {
      const T* of = x + (i * side.whole + side.first) * after;
      multiply_symmetric(team, n, after, take, View<T>{of, after, 1}, View<T>{of, 1, after}, gram, n, false);
    }
  }
}

template void rotate(const float*, const Side&, const float*, bool, float*, const Team<float>&);
template void rotate(const double*, const Side&, const double*, bool, double*, const Team<double>&);
template void add_gram(const float*, const Side&, float, float, float*, const Team<float>&);
template void add_gram(const double*, const Side&, double, double, double*, const Team<double>&);

}  // namespace fastopt::matrix
