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
  m.def("set_num_threads", &threads::set_size, py::arg("threads"));
  m.def("set_eager", &threads::set_eager, py::arg("eager"));
  m.def("pretend_wake", &threads::pretend_wake, py::arg("ns"), py::call_guard<Unlocked>());
  m.def(
      "choose_width",
      [](double work_ns, std::int64_t chunks, int most, int awake, int streak, double wake_ns, bool paused) {
        return threads::policy::width({work_ns, chunks, most, awake, streak, wake_ns, paused});
      },
      py::kw_only(), py::arg("work_ns"), py::arg("chunks"), py::arg("most"), py::arg("awake") = 0, py::arg("streak") = 0,
      py::arg("wake_ns") = 50e3, py::arg("paused") = false, "How many participants the policy gives a region.");
  m.def("pool_statistics", [] {
    const threads::Statistics s = threads::statistics();
    py::dict d;
    d["parallel"] = s.parallel;
    d["serial"] = s.serial;
    d["stragglers"] = s.stragglers;
    d["wake_ns"] = s.wake_ns;
    d["workers"] = s.workers;
    d["width"] = s.width;
    return d;
  });
}

FASTOPT_BINDINGS_END
