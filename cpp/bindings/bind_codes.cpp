// Eight-bit codes outside of a step: what a saved state becomes in another precision.
#include <pybind11/numpy.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "bindings/register.hpp"
#include "engine/codes.hpp"

FASTOPT_BINDINGS_BEGIN

namespace py = pybind11;

namespace {

template <class T>
using OneAxis = py::array_t<T, py::array::c_style | py::array::forcecast>;

void check_axis(const py::array& array, const char* name) {
  if (array.ndim() != 1) throw py::value_error(std::string(name) + ": expected an array of one axis");
}

template <bool with_sign>
OneAxis<float> decoded(const OneAxis<std::uint8_t>& codes, const OneAxis<float>& scales) {
  OneAxis<float> values(codes.size());
  engine::decode<with_sign>(reinterpret_cast<const char*>(codes.data()), reinterpret_cast<const char*>(scales.data()), 0,
                            values.mutable_data(), codes.size());
  return values;
}

OneAxis<float> decode(const py::array& given, const OneAxis<float>& scales, bool positive) {
  check_axis(given, "codes");
  if (given.dtype().kind() != 'u' || given.itemsize() != 1) throw py::type_error("codes: expected uint8");
  if (scales.ndim() != 1 || scales.size() != engine::groups_of(given.size()))
    throw py::value_error("scales: expected one for each group of codes");
  const auto codes = OneAxis<std::uint8_t>::ensure(given);
  return positive ? decoded<false>(codes, scales) : decoded<true>(codes, scales);
}

// Rounded to nearest: the random bits are half of what is cut off.
template <bool with_sign>
std::pair<py::array, py::array> encoded(const OneAxis<float>& values) {
  static const std::array<std::uint32_t, engine::code_group> half = [] {
    std::array<std::uint32_t, engine::code_group> bits{};
    bits.fill(1u << (engine::Dither::bits - 1));
    return bits;
  }();
  OneAxis<std::uint8_t> codes(values.size());
  OneAxis<float> scales(engine::groups_of(values.size()));
  for (std::int64_t at = 0; at < values.size(); at += engine::code_group)
    engine::encode<with_sign>(values.data() + at, reinterpret_cast<char*>(codes.mutable_data()),
                              reinterpret_cast<char*>(scales.mutable_data()), at,
                              std::min(engine::code_group, values.size() - at), {half.data(), 0});
  return {std::move(codes), std::move(scales)};
}

std::pair<py::array, py::array> encode(const OneAxis<float>& values, bool positive) {
  check_axis(values, "values");
  return positive ? encoded<false>(values) : encoded<true>(values);
}

}  // namespace

void register_codes(py::module_& m) {
  m.def("decode", &decode, py::arg("codes"), py::arg("scales"), py::arg("positive"),
        "Eight-bit codes as float32, all of one axis.");
  m.def("encode", &encode, py::arg("values"), py::arg("positive"), "The nearest codes, and their scales.");
}

FASTOPT_BINDINGS_END
