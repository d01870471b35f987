#include "linalg/back_transform.hpp"

#include <algorithm>

namespace fastopt::linalg {
namespace {

// Wider groups waste flops in the triangles of V and in T, narrower ones pass over Z more often (measured at n = 128 ..
// 2048).
std::int64_t group_width(std::int64_t n) { return n <= 600 ? 32 : n <= 1500 ? 48 : 72; }

// T of H_0 .. H_{w-1} = I - V T V', upper triangular, from the Gram matrix V'V (w x w).
template <class T>
void triangle(const T* gram, const T* tau, std::int64_t w, T* t) {
  std::fill(t, t + w * w, T(0));
  for (std::int64_t i = 0; i < w; ++i) {
    t[i * w + i] = tau[i];
    for (std::int64_t j = 0; j < i; ++j) {
      const T s = -tau[i] * gram[i * w + j];
      for (std::int64_t r = 0; r <= j; ++r) t[i * w + r] += t[j * w + r] * s;
    }
  }
}

}  // namespace

template <class T>
void back_transform(const T* a, Shape<T> shape, const T* tau, T* z, std::int64_t ldz, const Team<T>& team,
                    Interrupt interrupt) {
  const std::int64_t n = shape.n, ld = shape.ld, reflections = n - 1,
                     width = std::min(group_width(n), std::max<std::int64_t>(reflections, 1));
  Buffer<T> memory(n * width + 2 * width * width), inner(2 * width * n);
  T *v = memory.get(), *gram = v + n * width, *t = gram + width * width;
  for (std::int64_t last = reflections; last > 0;) {
    poll(interrupt);
    const std::int64_t first = std::max<std::int64_t>(0, last - width), w = last - first, rows = n - first - 1;
    for (std::int64_t j = 0; j < w; ++j) {
      std::fill(v + j * rows, v + j * rows + j, T(0));
      std::copy_n(a + (first + j) * ld + first + 1 + j, rows - j, v + j * rows + j);
    }
    product<T>(w, w, rows, T(1), View<T>{v, rows, 1}, View<T>{v, 1, rows}, gram, w, true, Part::all, team.packs());
    triangle(gram, tau + first, w, t);
    team.split(n, 8, 0.09 * double(rows) * double(w) * double(n), [&](std::int64_t from, std::int64_t to, Packs<T>& packs) {
      T *block = z + from * ldz + first + 1, *x = inner.get() + 2 * width * from, *y = x + w * (to - from);
      product<T>(w, to - from, rows, T(1), View<T>{v, rows, 1}, View<T>{block, 1, ldz}, x, w, true, Part::all, packs);
      product<T>(w, to - from, w, T(1), View<T>{t, 1, w}, View<T>{x, 1, w}, y, w, true, Part::all, packs);
      product<T>(rows, to - from, w, T(-1), View<T>{v, 1, rows}, View<T>{y, 1, w}, block, ldz, false, Part::all, packs);
    });
    last = first;
  }
}

template void back_transform(const double*, Shape<double>, const double*, double*, std::int64_t, const Team<double>&,
                             Interrupt);
template void back_transform(const float*, Shape<float>, const float*, float*, std::int64_t, const Team<float>&, Interrupt);

}  // namespace fastopt::linalg
