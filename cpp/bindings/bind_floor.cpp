#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "engine/floor.hpp"

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
      "floor_step",
      [](const py::list& changed, const py::object& read) {
        if (changed.empty() || changed.size() > 5) throw py::value_error("expected 1 to 5 arrays to change");
        const std::int64_t n = py::cast<std::int64_t>(read.attr("size"));
        std::vector<float*> pointers;
        for (const auto& array : changed) pointers.push_back(floats(array, n));
        const float* const source = floats(read, n);
        const Unlocked unlocked;
        engine::floor_step(pointers, source, n);
      },
      py::arg("changed"), py::arg("read"), "Moves the bytes of a step and does one addition per element (bench/).");
}

FASTOPT_BINDINGS_END
