// The transforms by the names of their rules: what the engine asks for when it makes its table of kernels.
#include "engine/transform.hpp"

#include "matrix/adafactor.hpp"
#include "matrix/each_matrix.hpp"
#include "matrix/kron.hpp"
#include "matrix/muon.hpp"
#include "matrix/shampoo.hpp"
#include "matrix/soap.hpp"

namespace fastopt::engine {

Transform find_transform(std::string_view rule, unsigned flags) {
  if (rule == "muon")
    return flags & 1 ? matrix::each_matrix<matrix::Muon<true>>() : matrix::each_matrix<matrix::Muon<false>>();
  if (rule == "soap") return matrix::each_matrix<matrix::Soap>();
  if (rule == "shampoo") return matrix::each_matrix<matrix::Shampoo>();
  if (rule == "kron") return matrix::each_matrix<matrix::Kron>();
  if (rule == "adafactor")
    return flags & 1 ? matrix::each_matrix<matrix::Adafactor<true>>() : matrix::each_matrix<matrix::Adafactor<false>>();
  return {};
}

}  // namespace fastopt::engine
