// A rule of matrices (Muon) looks at a whole tensor between two passes over its elements. Beside what rule.hpp lists it has
//
//     static constexpr std::array shaped;                  // Shaped{name, shape, used}: states of other shapes
//     template <class T> static T gather(T theta, T g, T& state..., const Coefs<T>&);  // the matrix's element
//
// and its `update` is given the transformed matrix's element as g. What happens between is cpp/matrix/'s, found by the
// rule's name (engine/transform.hpp); neither pass sees the shaped states.
#pragma once
#include <cstdint>
#include <string_view>

namespace fastopt::rules {

// What a state of a rule of matrices holds for each of a tensor's matrices (rows x columns): a number for each row, for each
// column, a square matrix of either side, or as many numbers as the matrix; or what only the transform knows. In the type of
// computation, in C order, behind the axes that count matrices; 0 before the first step.
enum class Shape : std::uint8_t { rows, columns, square_of_rows, square_of_columns, matrix, own };

struct Shaped {
  std::string_view name;
  Shape shape;
  bool used = true;
};

}  // namespace fastopt::rules
