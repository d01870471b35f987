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

// What an array was when it was looked at; equal as long as nobody has resized, reshaped or retyped it since.
class Fingerprint {
 public:
  void take(const View& view);
  bool matches(const View& view) const {
    if (view.data() != data_ || view.descr() != descr_.ptr() || view.axes() != axes_) return false;
    for (int axis = 0; axis < axes_; ++axis)
      if (view.shape(axis) != extents_[2 * static_cast<std::size_t>(axis)] ||
          view.stride(axis) != extents_[2 * static_cast<std::size_t>(axis) + 1])
        return false;
    return true;
  }
  void forget() { axes_ = -1; }

 private:
  const char* data_ = nullptr;
  py::object descr_;  // held: another dtype must not take its address
  int axes_ = -1;
  std::vector<std::int64_t> extents_;  // shape and stride of each axis
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

// The memory that the elements occupy: [first, last); empty for no elements.
struct Extent {
  const char* first;
  const char* last;
};
Extent extent(const View& view, std::size_t item);

// Axes in memory order if the array is dense (axes of length 1 left out); false if there are gaps or repeats.
bool dense_axes(const View& view, std::size_t item, std::vector<Axis>& out);

std::string shape_text(const View& view);
std::string describe(PyObject* object);  // "float64 of shape (64, 10)" or "list"

FASTOPT_BINDINGS_END
