#include "bindings/dlpack.hpp"

#include <string>

FASTOPT_BINDINGS_BEGIN

namespace {

bool dtype_of(dlpack::DataType type, engine::Dtype& out) {
  constexpr std::uint8_t ieee = 2, brain = 4;
  if (type.lanes != 1) return false;
  if (type.code == brain && type.bits == 16) return out = engine::Dtype::bf16, true;
  if (type.code != ieee) return false;
  switch (type.bits) {
    case 16: out = engine::Dtype::f16; return true;
    case 32: out = engine::Dtype::f32; return true;
    case 64: out = engine::Dtype::f64; return true;
    default: return false;
  }
}

// What the other library refuses to describe is for Python to look at: there the reason is told.
bool borrow(const dlpack::Table& table, PyObject* tensor, dlpack::Tensor& t) {
  if (table.borrow(tensor, &t) != 0) {
    PyErr_Clear();
    return false;
  }
  return (t.device_type == dlpack::cpu || t.device_type == dlpack::pinned) && t.axes <= engine::max_axes;
}

}  // namespace

const dlpack::Table& exchange_table(const py::object& capsule) {
  const auto* table = static_cast<dlpack::Table*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  if (table == nullptr) throw py::error_already_set();
  if (table->major != 1 || table->borrow == nullptr)
    throw py::value_error("exchange: expected version 1 of DLPack's table with tensors to borrow, got version " +
                          std::to_string(table->major));
  return *table;
}

bool TensorFacts::read(const dlpack::Table& table, PyObject* tensor, bool any_number) {
  forget();
  dlpack::Tensor t;
  if (!borrow(table, tensor, t)) return false;
  constexpr std::uint8_t signed_integer = 0, unsigned_integer = 1;
  const bool integer = t.dtype.lanes == 1 && (t.dtype.code == signed_integer || t.dtype.code == unsigned_integer);
  if (!dtype_of(t.dtype, dtype_) && !(any_number && integer)) return false;
  type_ = t.dtype;
  std::int64_t size = 1;
  for (int axis = 0; axis < t.axes; ++axis) size *= t.shape[axis];
  if (t.data == nullptr && size > 0) return false;  // its memory was taken from it
  far_.resize(t.axes > near_axes ? static_cast<std::size_t>(t.axes) : 0);
  AxisLayout* extents = t.axes <= near_axes ? near_ : far_.data();
  for (int axis = 0; axis < t.axes; ++axis) extents[axis] = {t.shape[axis], t.strides[axis]};
  data_ = t.data + t.byte_offset;
  axes_ = t.axes;
  return true;
}

bool TensorFacts::same(const dlpack::Table& table, PyObject* tensor) const {
  dlpack::Tensor t;
  if (!borrow(table, tensor, t) || t.axes != axes_ || t.data + t.byte_offset != data_) return false;
  if (t.dtype.code != type_.code || t.dtype.bits != type_.bits || t.dtype.lanes != type_.lanes) return false;
  const AxisLayout* known = extents();
  for (int axis = 0; axis < axes_; ++axis)
    if (t.shape[axis] != known[axis].size || t.strides[axis] != known[axis].stride) return false;
  return true;
}

py::detail::PyArray_Proxy TensorFacts::as_array(std::vector<std::int64_t>& lent) const {
  const auto n = static_cast<std::size_t>(axes_), item = item_size();
  lent.resize(2 * n);
  for (std::size_t axis = 0; axis < n; ++axis) {
    lent[axis] = extents()[axis].size;
    lent[n + axis] = extents()[axis].stride * static_cast<std::int64_t>(item);
  }
  py::detail::PyArray_Proxy proxy{};
  proxy.data = data_;
  proxy.nd = axes_;
  static_assert(sizeof(py::ssize_t) == sizeof(std::int64_t));
  proxy.dimensions = reinterpret_cast<py::ssize_t*>(lent.data());
  proxy.strides = reinterpret_cast<py::ssize_t*>(lent.data() + n);
  return proxy;
}

FASTOPT_BINDINGS_END
