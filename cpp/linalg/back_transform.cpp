#include "linalg/back_transform.hpp"

#include <algorithm>

namespace fastopt::linalg {
namespace {

// Wider groups waste flops in the triangles of V and in T, narrower ones pack Z more often (measured at n = 128 .. 2048).
std::int64_t group_width(std::int64_t n) { return n <= 700 ? 32 : 48; }

// Columns of Z that meet all reflections before the next ones do: they stay in the outer cache.
constexpr std::int64_t stripe = 256;

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

template <class T>
struct Groups {
  T* a;
  Shape<T> shape;
  const T* tau;
  std::int64_t width, count;
  Buffer<T> triangles;

  Groups(T* matrix, Shape<T> s, const T* t)
      : a(matrix),
        shape(s),
        tau(t),
        width(group_width(s.n)),
        count((s.n - 1 + width - 1) / width),
        triangles(count * width * width + 1) {}

  std::int64_t first(std::int64_t g) const { return g * width; }
  std::int64_t size(std::int64_t g) const { return std::min(width, shape.n - 1 - first(g)); }
  std::int64_t rows(std::int64_t g) const { return shape.n - 1 - first(g); }
  T* v(std::int64_t g) const { return a + first(g) * shape.ld + first(g) + 1; }

  // T of a group. What the reduction left above the vectors becomes zero, so that V is a plain matrix where it lies.
  // (scratch: width^2 entries)
  void form(std::int64_t g, Packs<T>& packs) const {
    const std::int64_t w = size(g), ld = shape.ld;
    for (std::int64_t j = 1; j < w; ++j) std::fill_n(v(g) + j * ld, j, T(0));
    T* gram = packs.scratch.get();
    product<T>(w, w, rows(g), T(1), View<T>{v(g), ld, 1}, View<T>{v(g), 1, ld}, gram, w, true, Part::all, packs);
    triangle(gram, tau + first(g), w, triangles.get() + g * width * width);
  }

  // z (n x columns) <- (I - V T V') z for every group, the last first. x: 2 width columns entries.
  void apply(T* z, std::int64_t ldz, std::int64_t columns, T* x, Packs<T>& packs) const {
    T* y = x + width * columns;
    for (std::int64_t g = count; g-- > 0;) {
      const std::int64_t w = size(g), m = rows(g), ld = shape.ld;
      T* block = z + first(g) + 1;
      product<T>(w, columns, m, T(1), View<T>{v(g), ld, 1}, View<T>{block, 1, ldz}, x, w, true, Part::all, packs);
      product<T>(w, columns, w, T(1), View<T>{triangles.get() + g * width * width, 1, w}, View<T>{x, 1, w}, y, w, true,
                 Part::all, packs);
      product<T>(m, columns, w, T(-1), View<T>{v(g), 1, ld}, View<T>{y, 1, w}, block, ldz, false, Part::all, packs);
    }
  }
};

}  // namespace

template <class T>
void back_transform(T* a, Shape<T> shape, const T* tau, T* z, std::int64_t ldz, const Team<T>& team, Interrupt interrupt) {
  const std::int64_t n = shape.n;
  if (n < 2) return;
  const Groups<T> groups(a, shape, tau);
  const double width = double(groups.width), order = double(n);
  team.reserve_scratch(groups.width * groups.width);
  team.each(groups.count, 0.03 * order * order * width, [&](std::int64_t g, Packs<T>& packs) { groups.form(g, packs); });
  const std::int64_t columns = std::min(stripe, round_up(n / (2 * team.size()) + 1, 8)),
                     stripes = (n + columns - 1) / columns;
  team.reserve_products(n, columns, Part::all);
  Buffer<T> memory(2 * groups.width * columns * stripes);
  for (std::int64_t done = 0; done < stripes; done += 2 * team.size()) {
    poll(interrupt);
    const std::int64_t now = std::min(2 * team.size(), stripes - done);
    team.each(now, 0.045 * order * order * double(columns * now), [&](std::int64_t i, Packs<T>& packs) {
      const std::int64_t s = done + i, from = s * columns;
      groups.apply(z + from * ldz, ldz, std::min(columns, n - from), memory.get() + 2 * groups.width * from, packs);
    });
  }
}

template void back_transform(double*, Shape<double>, const double*, double*, std::int64_t, const Team<double>&, Interrupt);
template void back_transform(float*, Shape<float>, const float*, float*, std::int64_t, const Team<float>&, Interrupt);

}  // namespace fastopt::linalg
