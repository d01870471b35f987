// Stacks of symmetric matrices to the eigensolver. fastopt.linalg allocates the results; here they are checked, not made.
#include "bindings/matrices.hpp"
#include "bindings/register.hpp"
#include "linalg/eigh.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

template <class T>
void run(const py::array& a, bool lower, const py::object& values, const py::object& vectors) {
  const Matrices<T> stack(a, lower);
  const std::int64_t n = stack.n;
  T* w = writeable<T>(values, stack.count * n);
  T* v = vectors.is_none() ? nullptr : writeable<T>(vectors, stack.count * n * n);
  if (stack.count * n == 0) return;
  each_matrix(stack, [&](std::int64_t i) {
    if (v)
      linalg::eigh(stack[i], n, w + i * n, v + i * n * n, stack.interrupt());
    else
      linalg::eigvalsh(stack[i], n, w + i * n, stack.interrupt());
  });
}

void eigh(const py::object& matrices, bool lower, const py::object& values, const py::object& vectors) {
  const py::array a = square_matrices(matrices);
  if (is_of<double>(a)) return run<double>(a, lower, values, vectors);
  if (is_of<float>(a)) return run<float>(a, lower, values, vectors);
  throw py::type_error("a: expected float64 or float32");
}

}  // namespace

void register_linalg(py::module_& m) {
  m.def("eigh", &eigh, py::arg("a"), py::arg("lower"), py::arg("w"), py::arg("v"),
        "Eigenvalues into w (..., n); with v (..., n, n), vector j of each matrix into its row j.");
}

FASTOPT_BINDINGS_END
