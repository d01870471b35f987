#include "bindings/arrays.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "bindings/imported.hpp"

FASTOPT_BINDINGS_BEGIN

void Fingerprint::take(PyObject* array) {
  const View view(array);
  // Dropped last: the end of a dtype may run Python, and so change what is being looked at.
  const py::object old = std::exchange(descr_, py::reinterpret_borrow<py::object>(view.descr()));
  type_ = Py_TYPE(array);
  data_ = view.data();
  axes_ = view.axes();
  far_.resize(axes_ > near_axes ? static_cast<std::size_t>(axes_) : 0);
  AxisLayout* extents = axes_ <= near_axes ? near_ : far_.data();
  for (int axis = 0; axis < axes_; ++axis) extents[axis] = {view.shape(axis), view.stride(axis)};
}

bool is_plain_array(PyObject* object) {
  static constinit Imported ndarray("numpy", "ndarray"), memmap("numpy", "memmap");
  const auto* type = reinterpret_cast<PyObject*>(Py_TYPE(object));
  return type == ndarray.get() || type == memmap.get();
}

bool storage_type(PyObject* descr, bool uint16_is_bf16, engine::Dtype& out) {
  const auto dtype = py::reinterpret_borrow<py::dtype>(descr);
  if (dtype.byteorder() != '=' && dtype.byteorder() != '|' && !dtype.attr("isnative").cast<bool>()) return false;
  using py::detail::npy_api;
  switch (dtype.num()) {
    case npy_api::NPY_FLOAT_: out = engine::Dtype::f32; return true;
    case npy_api::NPY_DOUBLE_: out = engine::Dtype::f64; return true;
    case 23: out = engine::Dtype::f16; return true;  // NPY_HALF, part of NumPy's binary interface
    case npy_api::NPY_USHORT_: out = engine::Dtype::bf16; return uint16_is_bf16;
    default: break;
  }
  // NumPy knows bfloat16 only through extensions such as ml_dtypes, which agree on the name.
  out = engine::Dtype::bf16;
  if (dtype.itemsize() != 2) return false;
  const py::object name = dtype.attr("name");
  return py::isinstance<py::str>(name) && name.cast<std::string>() == "bfloat16";
}

bool storage_type_of(PyObject* array, bool uint16_is_bf16, engine::Dtype& out) {
  const auto descr = py::reinterpret_borrow<py::object>(View(array).descr());
  return storage_type(descr.ptr(), uint16_is_bf16, out) && View(array).descr() == descr.ptr();
}

Extent extent(const View& view, std::size_t item) {
  const char* first = view.data();
  const char* last = view.data() + item;
  for (int axis = 0; axis < view.axes(); ++axis) {
    if (view.shape(axis) == 0) return {first, first};
    const std::int64_t reach = (view.shape(axis) - 1) * view.stride(axis);
    (reach < 0 ? first : last) += reach;
  }
  return {first, last};
}

bool dense_axes(const View& view, std::size_t item, std::vector<Axis>& out) {
  out.clear();
  for (int axis = 0; axis < view.axes(); ++axis)
    if (view.shape(axis) != 1) out.push_back({axis, view.shape(axis), view.stride(axis) < 0});
  if (view.size() == 0) return true;
  const auto stride = [&](const Axis& a) { return std::abs(view.stride(a.axis)); };
  std::stable_sort(out.begin(), out.end(), [&](const Axis& a, const Axis& b) { return stride(a) > stride(b); });
  auto expected = static_cast<std::int64_t>(item);
  for (auto a = out.rbegin(); a != out.rend(); ++a) {
    if (stride(*a) != expected) return false;
    expected *= a->length;
  }
  return true;
}

void lay_out(const View& view, const std::vector<Axis>& axes, Layout& out) {
  out.data = view.data();
  out.shape.clear();
  out.strides.clear();
  for (const Axis& axis : axes) {
    std::int64_t stride = view.stride(axis.axis);
    if (axis.reversed) {
      out.data += (axis.length - 1) * stride;
      stride = -stride;
    }
    if (!out.shape.empty() && out.strides.back() == stride * axis.length) {
      out.shape.back() *= axis.length;
      out.strides.back() = stride;
    } else {
      out.shape.push_back(axis.length);
      out.strides.push_back(stride);
    }
  }
}

engine::Gradient Layout::as(engine::Dtype dtype) const {
  const auto item = static_cast<std::int64_t>(engine::item_size(dtype));
  engine::Gradient g;
  g.data = data;
  g.dtype = dtype;
  g.axes = static_cast<int>(shape.size());
  g.shape = shape.data();
  g.strides = strides.data();
  const bool contiguous = g.axes == 0 || (g.axes == 1 && g.strides[0] == item);
  g.dense = contiguous && reinterpret_cast<std::uintptr_t>(g.data) % static_cast<std::uintptr_t>(item) == 0;
  return g;
}

bool same_shape(const View& a, const View& b) {
  bool same = a.axes() == b.axes();
  for (int axis = 0; same && axis < a.axes(); ++axis) same = a.shape(axis) == b.shape(axis);
  return same;
}

std::string shape_text(const View& view) {
  std::string text = "(";
  for (int axis = 0; axis < view.axes(); ++axis) text += (axis ? ", " : "") + std::to_string(view.shape(axis));
  return text + (view.axes() == 1 ? ",)" : ")");
}

std::string describe(PyObject* object) {
  if (!py::isinstance<py::array>(object)) return Py_TYPE(object)->tp_name;
  const View view(object);
  const auto dtype = py::reinterpret_borrow<py::dtype>(view.descr());
  // of 8 bytes NumPy calls it float64, which is not what came
  const bool long_double = dtype.num() == py::detail::npy_api::NPY_LONGDOUBLE_ && dtype.itemsize() == 8;
  const std::string name = long_double ? "longdouble" : py::str(dtype).cast<std::string>();
  std::string text = name + " of shape " + shape_text(view);
  if (!is_plain_array(object)) text = std::string(Py_TYPE(object)->tp_name) + " of " + text;
  return text;
}

FASTOPT_BINDINGS_END
