// The extension module of one CPU level. It only registers.
#include <exception>
#include <new>

#include "bindings/register.hpp"
#include "linalg/workspace.hpp"

#define FASTOPT_JOIN2(a, b) a##b
#define FASTOPT_JOIN(a, b) FASTOPT_JOIN2(a, b)
#define FASTOPT_TEXT2(a) #a
#define FASTOPT_TEXT(a) FASTOPT_TEXT2(a)

namespace {

// MemoryError with a text that says more than "std::bad_alloc". By value, as pybind11 wants it.
void translate_out_of_memory(std::exception_ptr exception) {  // NOLINT(performance-unnecessary-value-param)
  try {
    if (exception) std::rethrow_exception(exception);
  } catch (const fastopt::linalg::OutOfMemory& e) {
    PyErr_SetString(PyExc_MemoryError, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, "not enough memory for this call");
  }
}

}  // namespace

// It declares that it runs without the GIL: docs/design/threads.md says what that rests on.
PYBIND11_MODULE(FASTOPT_MODULE, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The engine of fastopt, compiled for one CPU level. Private: use the package fastopt.";
  m.attr("level") = FASTOPT_TEXT(FASTOPT_LEVEL);
  m.attr("compiler") = FASTOPT_COMPILER;
  m.attr("flags") = FASTOPT_FLAGS;
  m.attr("eigen") = FASTOPT_EIGEN;
  pybind11::register_local_exception_translator(&translate_out_of_memory);
  fastopt::bindings::register_rules(m);
  fastopt::bindings::register_plan(m);
  fastopt::bindings::register_tensors(m);
  fastopt::bindings::register_codes(m);
  fastopt::bindings::register_threads(m);
  fastopt::bindings::register_linalg(m);
  fastopt::bindings::register_lanczos(m);
  fastopt::bindings::register_vectors(m);
  fastopt::bindings::register_inertia(m);
#ifdef FASTOPT_BENCHMARKS
  fastopt::bindings::register_floor(m);
#endif
}
