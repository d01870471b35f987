// Storage types, and the type each is computed in. Storage and computation are separate: kernels exist for float and
// double only, and blocks are converted on their way in and out (convert.hpp).
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastopt::engine {

enum class Dtype : std::uint8_t { f32, f64, bf16, f16 };

constexpr std::size_t item_size(Dtype dtype) { return dtype == Dtype::f64 ? 8 : dtype == Dtype::f32 ? 4 : 2; }
constexpr const char* dtype_name(Dtype dtype) {
  constexpr const char* names[] = {"float32", "float64", "bfloat16", "float16"};
  return names[static_cast<int>(dtype)];
}

struct Bf16 {
  std::uint16_t bits;
};
struct F16 {
  std::uint16_t bits;
};

template <class T>
inline constexpr Dtype dtype_of = Dtype::f32;
template <>
inline constexpr Dtype dtype_of<double> = Dtype::f64;
template <>
inline constexpr Dtype dtype_of<Bf16> = Dtype::bf16;
template <>
inline constexpr Dtype dtype_of<F16> = Dtype::f16;

// Calls f with a value of the storage type: dispatch(dtype, [](auto tag) { using S = decltype(tag); ... }).
template <class F>
inline auto dispatch(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::f64: return f(double{});
    case Dtype::bf16: return f(Bf16{});
    case Dtype::f16: return f(F16{});
    default: return f(float{});
  }
}

// Which gradients a parameter takes. Anything else would be rounded or widened unasked.
constexpr bool accepts_gradient(Dtype parameter, Dtype gradient) {
  switch (parameter) {
    case Dtype::f64: return gradient == Dtype::f64 || gradient == Dtype::f32;
    case Dtype::f32: return gradient != Dtype::f64;
    default: return gradient == parameter || gradient == Dtype::f32;
  }
}

// Half types are computed in float.
constexpr bool computes_in_double(Dtype parameter) { return parameter == Dtype::f64; }
template <class F>
inline auto computed_in(Dtype parameter, F&& f) {
  return computes_in_double(parameter) ? f(double{}) : f(float{});
}

}  // namespace fastopt::engine
