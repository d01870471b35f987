// The extension module of one CPU level. It only registers.
#include "bindings/register.hpp"

#define FASTOPT_JOIN2(a, b) a##b
#define FASTOPT_JOIN(a, b) FASTOPT_JOIN2(a, b)
#define FASTOPT_TEXT2(a) #a
#define FASTOPT_TEXT(a) FASTOPT_TEXT2(a)

// On a free-threaded interpreter it asks for the GIL, as long as no such interpreter has run the tests
// (docs/design/bindings.md).
PYBIND11_MODULE(FASTOPT_MODULE, m) {
  m.doc() = "The engine of fastopt, compiled for one CPU level. Private: use the package fastopt.";
  m.attr("level") = FASTOPT_TEXT(FASTOPT_LEVEL);
  m.attr("compiler") = FASTOPT_COMPILER;
  m.attr("flags") = FASTOPT_FLAGS;
  m.attr("eigen") = FASTOPT_EIGEN;
  fastopt::bindings::register_plan(m);
  fastopt::bindings::register_threads(m);
  fastopt::bindings::register_floor(m);
  fastopt::bindings::register_linalg(m);
  fastopt::bindings::register_lanczos(m);
  fastopt::bindings::register_vectors(m);
  fastopt::bindings::register_inertia(m);
}
