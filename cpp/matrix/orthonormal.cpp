#include "matrix/orthonormal.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/simd.hpp"
#include "matrix/products.hpp"

namespace fastopt::matrix {
namespace {

// Wider panels give the products more to do and the reflections within a panel, which are memory's speed, more as well.
constexpr std::int64_t panel = 32;

// Every column's largest magnitude becomes one of [1/2, 1): no square of what matters over- or underflows.
template <class T>
void scale_columns(T* a, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) {
    T* column = a + j * n;
    T most = 0;
    for (std::int64_t i = 0; i < n; ++i) most = std::max(most, std::abs(column[i]));
    if (!(most > T(0))) continue;
    int exponent = 0;
    std::frexp(most, &exponent);
    const T first = std::ldexp(T(1), -exponent / 2), second = std::ldexp(T(1), -exponent - (-exponent / 2));
    for (std::int64_t i = 0; i < n; ++i) column[i] = column[i] * first * second;
  }
}

template <class T>
T dot(const T* x, const T* y, std::int64_t n) {
  linalg::Vec<T> sums = {};
  std::int64_t i = 0;
  for (; i + linalg::lanes<T> <= n; i += linalg::lanes<T>) sums += linalg::load(x + i) * linalg::load(y + i);
  T sum = linalg::sum<T>(sums);
  for (; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

// H x = (R_kk, 0, ..., 0) with H = I - tau v v', v[0] = 1: x keeps v. Returns tau; `flip` if R_kk is negative.
template <class T>
T reflect(T* x, std::int64_t n, bool& flip) {
  constexpr T nothing = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();  // beside columns of size 1
  const T alpha = x[0], rest = n > 1 ? dot(x + 1, x + 1, n - 1) : T(0);
  x[0] = T(1);
  if (!(rest > nothing)) {
    flip = alpha < T(0);
    std::fill(x + 1, x + n, T(0));
    return linalg::zero_if_finite(alpha) + linalg::zero_if_finite(rest);
  }
  const T beta = -std::copysign(std::sqrt(alpha * alpha + rest), alpha);
  flip = beta < T(0);
  const T by = T(1) / (alpha - beta);
  for (std::int64_t i = 1; i < n; ++i) x[i] *= by;
  return (beta - alpha) / beta;
}

template <class T>
struct Factor {
  T* a;
  std::int64_t n;
  T *triangle, *x, *y;  // panel^2; 2 x (panel x n)
  const Team<T>& team;

  // Reflections of columns [k, k + w), each applied to the panel's later columns.
  void factor_panel(std::int64_t k, std::int64_t w, T* tau, T* sign) {
    for (std::int64_t j = k; j < k + w; ++j) {
      bool flip;
      T* v = a + j * n + j;
      tau[j] = reflect(v, n - j, flip);
      sign[j] = flip ? T(-1) : T(1);
      for (std::int64_t c = j + 1; c < k + w; ++c) {
        T* column = a + c * n + j;
        const T by = tau[j] * dot(v, column, n - j);
        for (std::int64_t i = 0; i < n - j; ++i) column[i] -= by * v[i];
      }
    }
    for (std::int64_t j = k; j < k + w; ++j) std::fill(a + j * n + k, a + j * n + j, T(0));  // R is not wanted
  }

  // T of H_k ... H_{k+w-1} = I - V T V', upper triangular: column i is -tau_i T (V' v_i).
  void form_triangle(std::int64_t k, std::int64_t w, const T* tau) {
    std::fill_n(triangle, w * w, T(0));
    for (std::int64_t i = 0; i < w; ++i) {
      triangle[i * w + i] = tau[k + i];
      for (std::int64_t j = 0; j < i; ++j) {
        const std::int64_t row = k + i;  // v_i is 0 above
        const T s = -tau[row] * dot(a + (k + j) * n + row, a + row * n + row, n - row);
        for (std::int64_t r = 0; r <= j; ++r) triangle[i * w + r] += triangle[j * w + r] * s;
      }
    }
  }

  // c (rows [k, n), `columns` columns n apart) <- (I - V T V') c, or its transpose.
  void apply(std::int64_t k, std::int64_t w, bool transposed, T* c, std::int64_t columns) {
    const std::int64_t m = n - k;
    const T* v = a + k * n + k;
    multiply(team, w, columns, m, T(1), View<T>{v, n, 1}, View<T>{c, 1, n}, x, w);
    multiply(team, w, columns, w, T(1), transposed ? View<T>{triangle, w, 1} : View<T>{triangle, 1, w}, View<T>{x, 1, w}, y,
             w);
    multiply(team, m, columns, w, T(-1), View<T>{v, 1, n}, View<T>{y, 1, w}, c, n, false);
  }
};

}  // namespace

std::int64_t orthonormal_work(std::int64_t n) { return 2 * n + panel * panel + 2 * panel * n; }

template <class T>
void orthonormal_columns(T* a, std::int64_t n, T* q, T* work, const linalg::Team<T>& team) {
  T *tau = work, *sign = tau + n, *triangle = sign + n, *x = triangle + panel * panel;
  Factor<T> factor{a, n, triangle, x, x + panel * n, team};
  scale_columns(a, n);
  for (std::int64_t k = 0; k < n; k += panel) {
    const std::int64_t w = std::min(panel, n - k), left = n - k - w;
    factor.factor_panel(k, w, tau, sign);
    if (left == 0) break;
    factor.form_triangle(k, w, tau);
    factor.apply(k, w, true, a + (k + w) * n + k, left);
  }
  std::fill_n(q, n * n, T(0));
  for (std::int64_t j = 0; j < n; ++j) q[j * n + j] = sign[j];
  for (std::int64_t k = (n - 1) / panel * panel; k >= 0; k -= panel) {
    const std::int64_t w = std::min(panel, n - k);
    factor.form_triangle(k, w, tau);
    factor.apply(k, w, false, q + k * n + k, n - k);
  }
}

template void orthonormal_columns(float*, std::int64_t, float*, float*, const linalg::Team<float>&);
template void orthonormal_columns(double*, std::int64_t, double*, double*, const linalg::Team<double>&);

}  // namespace fastopt::matrix
