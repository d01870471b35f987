// The transforms by the names of their rules: what the engine asks for when it makes its table of kernels.
#include "engine/transform.hpp"

#include "matrix/each_matrix.hpp"
#include "matrix/muon.hpp"

namespace fastopt::engine {

Transform find_transform(std::string_view rule, unsigned flags) {
  if (rule == "muon")
    return flags & 1 ? matrix::each_matrix<matrix::Muon<true>>() : matrix::each_matrix<matrix::Muon<false>>();
  return {};
}

}  // namespace fastopt::engine
