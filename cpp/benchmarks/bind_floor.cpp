#include "bindings/arrays.hpp"
#include "bindings/held.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "benchmarks/floor.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

float* floats(const py::handle& array, std::int64_t size) {
  engine::Dtype dtype;
  std::vector<Axis> axes;
  if (!is_plain_array(array.ptr())) throw py::type_error("expected a NumPy array");
  const View view(array.ptr());
  if (!storage_type(view.descr(), false, dtype) || dtype != engine::Dtype::f32 || view.size() != size ||
      !dense_axes(view, 4, axes) || !view.writeable())
    throw py::value_error("expected writeable contiguous float32 arrays of one size");
  return reinterpret_cast<float*>(view.data());
}

}  // namespace

void register_floor(py::module_& m) {
  m.def(
      "floor_pass",
      [](const py::list& changed, const py::list& read) {
        const py::tuple to = as_tuple(changed), from = as_tuple(read);  // nobody changes these
        if (to.size() > benchmarks::max_floor_changed || from.empty() || from.size() > benchmarks::max_floor_read)
          throw py::value_error("expected at most 5 arrays to change and 1 to 3 to read");
        if (!is_plain_array(from[0].ptr())) throw py::type_error("expected a NumPy array");
        const std::int64_t n = View(from[0].ptr()).size();
        std::vector<float*> pointers;
        std::vector<const float*> sources;
        // Naming the dtype of an extension may run Python, but such an array is then refused.
        for (const auto& array : to) pointers.push_back(floats(array, n));
        for (const auto& array : from) sources.push_back(floats(array, n));
        const Unlocked unlocked;
        return benchmarks::floor_pass(pointers, sources, n);
      },
      py::arg("changed"), py::arg("read"), "Moves the bytes of one pass and does one addition per element (bench/).");
}

FASTOPT_BINDINGS_END
