// Roots inside brackets, one per vector lane.
#pragma once
#include <bit>
#include <cstdint>

#include "linalg/determinant.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

template <class T>
inline IVec<T> load_int(const typename Bits<T>::Int* p) {
  IVec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store_int(typename Bits<T>::Int* p, const IVec<T>& v) {
  std::memcpy(p, &v, sizeof v);
}
// 2^k for k <= 0, 2^(1 - bias) at the least.
template <class T>
inline Vec<T> power(IVec<T> k) {
  const IVec<T> least = IVec<T>{} + typename Bits<T>::Int(1 - Bits<T>::bias);
  k = k > least ? k : least;
  return std::bit_cast<Vec<T>>((k + Bits<T>::bias) << Bits<T>::mantissa);
}
template <class T>
inline Vec<T> magnitude(const Vec<T>& v) {
  return v < Vec<T>{} ? -v : v;
}

// Chandrupatla's method (Advances in Engineering Software 28, 1997): inverse quadratic interpolation where its own test says
// that it is safe, bisection elsewhere. [a, b] brackets the root, c is the point before; f is kept with its exponent.
template <class T>
struct Brackets {
  using Int = typename Bits<T>::Int;
  explicit Brackets(std::int64_t n) : count(0), memory(7 * n), integers(4 * n) {
    T* p = memory.get();
    for (T** q : {&a, &b, &c, &fa, &fb, &fc, &checked}) *q = p, p += n;
    Int* i = integers.get();
    for (Int** q : {&ea, &eb, &ec, &index}) *q = i, i += n;
  }
  void move(std::int64_t from, std::int64_t to) {
    for (T* q : {a, b, c, fa, fb, fc, checked}) q[to] = q[from];
    for (Int* q : {ea, eb, ec, index}) q[to] = q[from];
  }

  // Where each lane looks next: a + t (b - a).
  void propose(std::int64_t i, bool check, T* x, T tolerance) const {
    const Vec<T> a = load(this->a + i), b = load(this->b + i), c = load(this->c + i), one = splat(T(1)),
                 half = splat(T(0.5));
    const IVec<T> ea = load_int<T>(this->ea + i), eb = load_int<T>(this->eb + i), ec = load_int<T>(this->ec + i);
    const IVec<T> ab = ea > eb ? ea : eb, most = ab > ec ? ab : ec;
    const Vec<T> fa = load(this->fa + i) * power<T>(ea - most), fb = load(this->fb + i) * power<T>(eb - most),
                 fc = load(this->fc + i) * power<T>(ec - most);
    // A division costs as much as eight steps of the recurrence: each denominator is inverted once.
    const Vec<T> width = magnitude<T>(b - a), ba = one / (b - a), cb = one / (c - b), fab = one / (fa - fb),
                 fcb = one / (fc - fb), fca = one / (fc - fa);
    const Vec<T> least = tolerance * magnitude<T>(ba);
    const Vec<T> xi = (a - b) * cb, phi = (fa - fb) * fcb, secant = fa * fab;
    const Vec<T> quadratic = secant * fc * fcb + (c - a) * ba * (fa * fca) * (fb * fcb);
    Vec<T> t = ((phi * phi < xi) & ((one - phi) * (one - phi) < one - xi)) ? quadratic : half;
    t = c == a ? secant : t;
    if (check) {  // the bracket must at least halve in every four steps
      const Vec<T> checked = load(this->checked + i);
      t = width > half * checked ? half : t;
      store(this->checked + i, width);
    }
    t = ((t > least) & (t < one)) ? t : least;
    t = t < one - least ? t : one - least;
    store(x, a + t * (b - a));
  }

  void update(std::int64_t i, const T* x, const T* f, const Int* e) {
    const Vec<T> fx = load(f), fa = load(this->fa + i), fb = load(this->fb + i), a = load(this->a + i),
                 b = load(this->b + i);
    const IVec<T> ea = load_int<T>(this->ea + i), eb = load_int<T>(this->eb + i);
    const IVec<T> same = (bits<T>(fx) ^ bits<T>(fa)) >= 0;
    store(this->c + i, same ? a : b), store(this->fc + i, same ? fa : fb), store_int<T>(this->ec + i, same ? ea : eb);
    store(this->b + i, same ? b : a), store(this->fb + i, same ? fb : fa), store_int<T>(this->eb + i, same ? eb : ea);
    store(this->a + i, load(x)), store(this->fa + i, fx), store_int<T>(this->ea + i, load_int<T>(e));
  }

  std::int64_t count;
  Buffer<T> memory;
  Buffer<Int> integers;
  T *a, *b, *c, *fa, *fb, *fc, *checked;
  Int *ea, *eb, *ec, *index;
};

}  // namespace fastopt::linalg
