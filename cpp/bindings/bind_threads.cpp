#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "threads/pool.hpp"

#if defined(_WIN32)
#define FASTOPT_EXPORT extern "C" __declspec(dllexport)
#else
#define FASTOPT_EXPORT extern "C" __attribute__((visibility("default")))
#endif

// What threadpoolctl calls, through ctypes (python/fastopt/_threads.py).
FASTOPT_EXPORT int fastopt_get_num_threads() { return fastopt::threads::size(); }
FASTOPT_EXPORT void fastopt_set_num_threads(int threads) { fastopt::threads::set_size(threads); }

FASTOPT_BINDINGS_BEGIN

namespace py = pybind11;

void register_threads(py::module_& m) {
  m.def("get_num_threads", &threads::size);
  // Waits for a running step, which must not need the GIL to end.
  m.def("set_num_threads", &threads::set_size, py::arg("threads"), py::call_guard<Unlocked>());
  m.def("set_eager", &threads::set_eager, py::arg("eager"));
  m.def("pool_statistics", [] {
    const threads::Statistics s = threads::statistics();
    py::dict d;
    d["parallel"] = s.parallel;
    d["serial"] = s.serial;
    d["stragglers"] = s.stragglers;
    d["wake_ns"] = s.wake_ns;
    return d;
  });
}

FASTOPT_BINDINGS_END
