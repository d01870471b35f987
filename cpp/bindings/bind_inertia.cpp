// Stacks of symmetric matrices to the inertia.
#include "bindings/matrices.hpp"
#include "bindings/register.hpp"
#include "linalg/inertia.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

template <class T>
void run(const py::array& a, bool lower, double tol, const py::object& counts, const py::object& bounds,
         const py::object& factorisations) {
  const Matrices<T> stack(a, lower);
  auto* count = writeable<std::int64_t>(counts, 3 * stack.count);
  auto* bound = writeable<double>(bounds, stack.count);
  auto* work = writeable<std::int64_t>(factorisations, stack.count);
  each_matrix(stack, [&](std::int64_t i) {
    const linalg::Inertia found = linalg::inertia(stack[i], stack.n, tol, stack.interrupt());
    count[3 * i] = found.negative;
    count[3 * i + 1] = found.zero;
    count[3 * i + 2] = found.positive;
    bound[i] = found.bound;
    work[i] = found.factorisations;
  });
}

void inertia(const py::object& matrices, bool lower, double tol, const py::object& counts, const py::object& bounds,
             const py::object& factorisations) {
  const py::array a = square_matrices(matrices);
  if (is_of<double>(a)) return run<double>(a, lower, tol, counts, bounds, factorisations);
  if (is_of<float>(a)) return run<float>(a, lower, tol, counts, bounds, factorisations);
  throw py::type_error("a: expected float64 or float32");
}

}  // namespace

void register_inertia(py::module_& m) {
  m.def("inertia", &inertia, py::arg("a"), py::arg("lower"), py::arg("tol"), py::arg("counts"), py::arg("bounds"),
        py::arg("factorisations"),
        "Counts of negative, zero and positive eigenvalues into counts (..., 3), what they are certain beyond into bounds "
        "(...), and how many factorisations that took into factorisations (...).");
}

FASTOPT_BINDINGS_END
