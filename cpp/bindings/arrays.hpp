// NumPy arrays as plain structs: what each is, whether it may be used, where its elements lie. Nothing here converts.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/level.hpp"
#include "engine/tensor.hpp"

FASTOPT_BINDINGS_BEGIN

namespace py = pybind11;

// The fields of an ndarray, read without a Python call (pybind11 declares them for NumPy 1 and 2).
struct View {
  explicit View(PyObject* array) : fields(*py::detail::array_proxy(array)) {}
  explicit View(const py::detail::PyArray_Proxy& like) : fields(like) {}  // of memory that no ndarray describes
  const py::detail::PyArray_Proxy& fields;

  char* data() const { return fields.data; }
  int axes() const { return fields.nd; }
  std::int64_t shape(int axis) const { return fields.dimensions[axis]; }
  std::int64_t stride(int axis) const { return fields.strides[axis]; }
  PyObject* descr() const { return fields.descr; }
  bool writeable() const { return fields.flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_; }
  std::int64_t size() const {
    std::int64_t n = 1;
    for (int axis = 0; axis < axes(); ++axis) n *= shape(axis);
    return n;
  }
};

struct AxisLayout {
  std::int64_t size, stride;
};

// What an array was when it was looked at; equal as long as nobody has resized, reshaped or retyped it since. Compared for
// every array at every step, so shape and strides of the usual ranks lie in the object itself.
class Fingerprint {
 public:
  void take(PyObject* array);
  bool matches(PyObject* array) const {
    if (Py_TYPE(array) != type_) return false;  // and so it is a NumPy array if it does
    const View view(array);
    if (view.data() != data_ || view.descr() != descr_.ptr() || view.axes() != axes_) return false;
    const AxisLayout* extents = axes_ <= near_axes ? near_ : far_.data();
    for (int axis = 0; axis < axes_; ++axis)
      if (view.shape(axis) != extents[axis].size || view.stride(axis) != extents[axis].stride) return false;
    return true;
  }
  void forget() { type_ = nullptr; }

 private:
  static constexpr int near_axes = 4;
  const PyTypeObject* type_ = nullptr;
  const char* data_ = nullptr;
  py::object descr_;  // held: another dtype must not take its address
  int axes_ = -1;
  AxisLayout near_[near_axes] = {};
  std::vector<AxisLayout> far_;  // of arrays with more axes
};

// An axis of a dense array, outermost in memory first.
struct Axis {
  int axis;  // NumPy's number of it
  std::int64_t length;
  bool reversed;  // the array's index runs against the addresses
};

// An exact ndarray or memmap: other subclasses (masked arrays, matrices) mean more than their memory shows.
bool is_plain_array(PyObject* object);

// The storage type, or false. `uint16_is_bf16` is set where the user said dtype="bfloat16".
bool storage_type(PyObject* descr, bool uint16_is_bf16, engine::Dtype& out);

// The same of an array. Naming a dtype may run Python (a dtype of an extension): false too if that gave the array another.
bool storage_type_of(PyObject* array, bool uint16_is_bf16, engine::Dtype& out);

// The memory that the elements occupy: [first, last); empty for no elements.
struct Extent {
  const char* first;
  const char* last;
};
Extent extent(const View& view, std::size_t item);
// The address of the first element in memory order; an axis may be walked backwards by the array.
inline char* lowest(const View& view, std::size_t item) { return const_cast<char*>(extent(view, item).first); }

// Axes in memory order if the array is dense (axes of length 1 left out); false if there are gaps or repeats.
bool dense_axes(const View& view, std::size_t item, std::vector<Axis>& out);

// An array's elements as a dense array with these axes meets them: in that one's memory order, axes that lie one behind the
// other joined.
struct Layout {
  char* data = nullptr;
  std::vector<std::int64_t> shape, strides;
  engine::Gradient as(engine::Dtype dtype) const;  // points into this
};
void lay_out(const View& view, const std::vector<Axis>& axes, Layout& out);

bool same_shape(const View& a, const View& b);
std::string shape_text(const View& view);
std::string describe(PyObject* object);  // "float64 of shape (64, 10)" or "list"

FASTOPT_BINDINGS_END
