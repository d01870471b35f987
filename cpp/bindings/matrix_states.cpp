// What a rule of matrices keeps of a parameter: how it forms matrices, and states of other shapes than its own.
#include <algorithm>

#include "bindings/bound_plan.hpp"
#include "bindings/plan_values.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

// Where the elements of an array with these axes lie in one of the same shape in C order.
void lay_out_in_c_order(const View& view, const std::vector<Axis>& axes, std::int64_t item, engine::MatrixView& out) {
  std::vector<std::int64_t> shape, strides;
  for (int axis = 0; axis < view.axes(); ++axis) shape.push_back(view.shape(axis));
  strides.assign(shape.size(), item);
  for (std::size_t axis = shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  for (const Axis& a : axes)
    if (a.reversed) out.offset += (a.length - 1) * strides[static_cast<std::size_t>(a.axis)];
  static_assert(sizeof(py::ssize_t) == sizeof(std::int64_t));
  py::detail::PyArray_Proxy proxy{};
  proxy.nd = view.axes();
  proxy.dimensions = reinterpret_cast<py::ssize_t*>(shape.data());
  proxy.strides = reinterpret_cast<py::ssize_t*>(strides.data());
  Layout layout;
  std::vector<Axis> forward = axes;  // the offset is known
  for (Axis& a : forward) {
    if (!a.reversed) continue;
    a.reversed = false;
    strides[static_cast<std::size_t>(a.axis)] *= -1;
  }
  lay_out(View(proxy), forward, layout);
  out.shape = layout.shape;
  out.strides = layout.strides;
  out.dense = out.shape.empty() || (out.shape.size() == 1 && out.strides[0] == item);
}

bool in_c_order(const View& view, std::int64_t item) {
  if (view.size() == 0) return true;  // strides mean nothing
  std::int64_t expected = item;
  for (int axis = view.axes(); axis-- > 0; expected *= view.shape(axis))
    if (view.shape(axis) != 1 && view.stride(axis) != expected) return false;
  return true;
}

}  // namespace

void BoundPlan::read_matrix(Parameter& parameter, engine::Tensor& t, int batch_axes) const {
  const View view(parameter.owner.ptr());
  if (batch_axes < 0 || (batch_axes > 0 && batch_axes > view.axes() - 2))
    throw py::value_error(parameter.label + ": expected an array of two axes behind " + std::to_string(batch_axes) +
                          ", got " + describe(parameter.owner.ptr()));
  parameter.matrix = std::make_unique<engine::MatrixView>();
  engine::MatrixView& m = *parameter.matrix;
  m.rows = m.columns = 1;
  if (view.axes() > 1) m.rows = view.shape(batch_axes);
  for (int axis = 0; axis < batch_axes; ++axis) m.count *= view.shape(axis);
  for (int axis = view.axes() > 1 ? batch_axes + 1 : 0; axis < view.axes(); ++axis) m.columns *= view.shape(axis);
  for (int axis = 0; axis < view.axes(); ++axis) m.sides.push_back(view.shape(axis));
  lay_out_in_c_order(view, parameter.axes, engine::computes_in_double(t.dtype()) ? 8 : 4, m);
  t.matrix = &m;
}

void* BoundPlan::read_shaped(const py::object& state, const engine::Tensor& t, std::int64_t size, const std::string& what,
                             const See& see) const {
  if (state.is_none() != (size < 0)) throw py::type_error(what + ": expected one where the rule has one");
  if (size < 0) return nullptr;
  PyObject* const array = state.ptr();
  const engine::Dtype wanted = engine::computes_in_double(t.dtype()) ? engine::Dtype::f64 : engine::Dtype::f32;
  engine::Dtype dtype;
  if (!is_plain_array(array) || !storage_type_of(array, false, dtype) || dtype != wanted)
    throw py::type_error(what + ": expected " + engine::dtype_name(wanted) + ", got " + describe(array));
  const View view(array);
  const auto item = static_cast<std::int64_t>(engine::item_size(dtype));
  const bool aligned = reinterpret_cast<std::uintptr_t>(view.data()) % static_cast<std::uintptr_t>(item) == 0;
  if (view.size() != size || !in_c_order(view, item) || !view.writeable() || !aligned)
    throw py::value_error(what + ": expected a writeable array of " + std::to_string(size) + " items in C order, got " +
                          describe(array));
  see(array);
  return view.data();
}

FASTOPT_BINDINGS_END
