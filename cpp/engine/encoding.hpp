// Where numbers lie and how: one type for parameters, states, averages and shadows.
#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/dtype.hpp"

namespace fastopt::engine {

enum class Encoding : std::uint8_t {
  f32,
  f64,
  bf16,
  f16,
  // In half precision with what rounding left, in a second array: of the same type (Kahan's compensation), or the lower
  // part of a float32, as the difference of bit patterns, in 16 bits (every float32 exactly) or 8.
  bf16_kahan,
  f16_kahan,
  bf16_split16,
  bf16_split8,
  // In eight bits; the second array holds a scale for each group (codes.hpp).
  signed8,
  positive8,
};

constexpr Encoding encoding_of(Dtype dtype) { return static_cast<Encoding>(dtype); }

// Of the first array. Codes have no floating-point type.
constexpr Dtype dtype_of_values(Encoding e) {
  switch (e) {
    case Encoding::f64: return Dtype::f64;
    case Encoding::bf16:
    case Encoding::bf16_kahan:
    case Encoding::bf16_split16:
    case Encoding::bf16_split8: return Dtype::bf16;
    case Encoding::f16:
    case Encoding::f16_kahan: return Dtype::f16;
    default: return Dtype::f32;
  }
}
constexpr bool is_code(Encoding e) { return e == Encoding::signed8 || e == Encoding::positive8; }

// Bytes of one element in the first array, and of an element's share in the second.
constexpr std::size_t item_size(Encoding e) { return is_code(e) ? 1 : item_size(dtype_of_values(e)); }
constexpr std::size_t second_size(Encoding e) {
  switch (e) {
    case Encoding::bf16_kahan:
    case Encoding::f16_kahan:
    case Encoding::bf16_split16: return 2;
    case Encoding::bf16_split8: return 1;
    default: return 0;  // a scale is four bytes for 64 elements
  }
}

struct Stored {
  char* data = nullptr;  // null: there is none
  char* second = nullptr;
  Encoding encoding = Encoding::f32;
  bool stochastic = false;    // else to nearest, ties to even
  bool stays_finite = false;  // states: float16 holds 65504 for what is larger, and infinity for infinity alone

  explicit operator bool() const { return data != nullptr; }
  Dtype dtype() const { return dtype_of_values(encoding); }
  // The arithmetic needs no copy.
  template <class T>
  bool is() const {
    return encoding == encoding_of(dtype_of<T>);
  }
  template <class T>
  T* at(std::int64_t i) const {
    return reinterpret_cast<T*>(data) + i;
  }
};

}  // namespace fastopt::engine
