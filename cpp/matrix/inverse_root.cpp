#include "matrix/inverse_root.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <stdexcept>

#include "linalg/eigh.hpp"
#include "matrix/products.hpp"

namespace fastopt::matrix {

std::int64_t inverse_root_work(std::int64_t n) { return n * n + n; }

// V diag(w)^(-1/p) V' = B B' with B = V diag(w)^(-1/2p): one symmetric product.
template <class T>
bool inverse_root(const T* a, std::int64_t n, double p, double least, T* root, T* work, const linalg::Team<T>& team) {
  T *vectors = work, *values = vectors + n * n;
  try {
    // a team of one size gives the same bits whatever the threads; sharing pays from this order on (linalg/eigh.cpp)
    const linalg::Team<T> fixed(n < 512 ? 1 : 8);
    linalg::eigh(linalg::Source<T>{a, 1, n, true}, n, values, vectors, fixed, nullptr);
  } catch (const std::domain_error&) {
    std::fill_n(root, n * n, std::numeric_limits<T>::quiet_NaN());
    return true;
  } catch (const std::exception&) {
    return false;
  }
  const double noise = double(n) * double(std::numeric_limits<T>::epsilon()) * std::max(double(values[n - 1]), 0.0);
  const double floor = std::max({least, noise, double(std::numeric_limits<T>::min())});
  for (std::int64_t j = 0; j < n; ++j) {
    const T by = static_cast<T>(std::pow(std::max(double(values[j]), floor), -0.5 / p));
    for (std::int64_t i = 0; i < n; ++i) vectors[j * n + i] *= by;
  }
  multiply_symmetric(team, n, n, T(1), View<T>{vectors, 1, n}, View<T>{vectors, n, 1}, root, n);
  return true;
}

template bool inverse_root(const float*, std::int64_t, double, double, float*, float*, const linalg::Team<float>&);
template bool inverse_root(const double*, std::int64_t, double, double, double*, double*, const linalg::Team<double>&);

}  // namespace fastopt::matrix
