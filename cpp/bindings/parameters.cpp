// The arrays of a plan before it takes them: may they be used?
#include <algorithm>

#include "bindings/bound_plan.hpp"
#include "bindings/plan_values.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

bool aligned(const View& view, std::size_t item) { return reinterpret_cast<std::uintptr_t>(lowest(view, item)) % item == 0; }

bool same_axes(const std::vector<Axis>& a, const std::vector<Axis>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Axis& x, const Axis& y) {
    return x.axis == y.axis && x.length == y.length && x.reversed == y.reversed;
  });
}

// In items.
std::string strides_text(const View& view) {
  const std::int64_t item = py::reinterpret_borrow<py::dtype>(view.descr()).itemsize();
  std::string text = "(";
  for (int axis = 0; axis < view.axes(); ++axis) text += (axis ? ", " : "") + std::to_string(view.stride(axis) / item);
  return text + (view.axes() == 1 ? ",)" : ")");
}

}  // namespace

engine::Dtype BoundPlan::check_parameter(PyObject* array, const std::string& label) const {
  const std::string expected = label + ": expected a writeable float32, float64, float16 or bfloat16 array";
  if (!py::isinstance<py::array>(array)) throw py::type_error(expected + ", got " + describe(array));
  if (!is_plain_array(array))
    throw py::type_error(expected + " (exactly numpy.ndarray or numpy.memmap), got " + describe(array));
  engine::Dtype dtype;
  if (!storage_type_of(array, uint16_is_bf16_, dtype)) throw py::type_error(expected + ", got " + describe(array));
  const View view(array);
  const std::size_t item = engine::item_size(dtype);
  if (!view.writeable()) throw py::value_error(label + ": expected a writeable array, got a read-only one");
  std::vector<Axis> axes;
  if (!dense_axes(view, item, axes))
    throw py::value_error(label + ": expected an array without gaps or repeated elements in memory, got a view of " +
                          describe(array) + " with other strides; pass a copy and write it back, or the array it views");
  if (!aligned(view, item))
    throw py::value_error(label + ": expected an array aligned to its items of " + std::to_string(item) +
                          " bytes, got a misaligned one");
  return dtype;
}

// A state or an average: writeable, aligned, of the parameter's shape and in its order of memory.
void BoundPlan::check_buffer(PyObject* array, const Parameter& like, const std::string& what, engine::Dtype& dtype) const {
  if (!is_plain_array(array) || !storage_type_of(array, true, dtype))
    throw py::type_error(what + ": expected an array of a floating-point dtype, got " + describe(array));
  check_layout(array, like, what, engine::item_size(dtype));
}

void BoundPlan::check_layout(PyObject* array, const Parameter& like, const std::string& what, std::size_t item) const {
  const View view(array), theta(like.owner.ptr());
  const std::string expected = what + ": expected a writeable array laid out as its parameter, got ";
  if (!same_shape(view, theta))
    throw py::value_error(expected + describe(array) + " for a parameter of shape " + shape_text(theta));
  std::vector<Axis> axes;
  if (!dense_axes(view, item, axes) || (view.size() > 0 && !same_axes(axes, like.axes)))
    throw py::value_error(expected + describe(array) + " with strides of " + strides_text(view) +
                          " items, where the parameter has " + strides_text(theta));
  if (!view.writeable()) throw py::value_error(expected + "a read-only one");
  if (!aligned(view, item))
    throw py::value_error(expected + "one misaligned to its items of " + std::to_string(item) + " bytes");
}

void BoundPlan::check_parameters(const py::list& given_arrays, const py::list& given_labels) {
  const auto lock = in_use_.within();
  const py::tuple arrays = as_tuple(given_arrays), labels = as_tuple(given_labels);
  check_length("labels", labels.size(), arrays.size());
  MemoryMap memory = memory_;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const auto label = labels[i].cast<std::string>();
    const py::object array = arrays[i];
    const engine::Dtype dtype = check_parameter(array.ptr(), label);
    const int other =
        memory.add(extent(View(array.ptr()), engine::item_size(dtype)), static_cast<int>(parameters_.size() + i));
    if (other < 0) continue;
    const auto o = static_cast<std::size_t>(other);
    throw py::value_error(
        label + ": shares memory with " +
        (o < parameters_.size() ? parameters_[o]->label : labels[o - parameters_.size()].cast<std::string>()) +
        "; every parameter must be given once and overlap no other");
  }
}

// A gradient may lie neither in a parameter nor in the shadow of one.
void BoundPlan::refuse_overlap(const std::string& label, const View& view, const engine::Gradient& gradient) {
  const Extent given = extent(view, engine::item_size(gradient.dtype));
  const int other = memory_.overlapped(gradient, given, view.size());
  if (other < 0) return;
  const Parameter& there = *parameters_[static_cast<std::size_t>(other)];
  const Extent theta = extent(View(there.owner.ptr()), engine::item_size(plan_.tensor(other).dtype()));
  if (given.first < theta.last && theta.first < given.last)
    throw py::value_error(label + ": shares memory with " + there.label + "; a gradient must not overlap a parameter");
  throw py::value_error(label + ": shares memory with the shadow of " + there.label +
                        "; a gradient must not overlap what a step writes");
}

FASTOPT_BINDINGS_END
