// Tensors of another library, read through DLPack's exchange table (version 1.2 of the standard, dmlc/dlpack): a function
// of that library fills in where a tensor's elements lie. No copy, no reference, some tens of nanoseconds, and nothing of
// that library is needed to build this.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

#include "bindings/arrays.hpp"

FASTOPT_BINDINGS_BEGIN

// The standard's structs, as far as they are needed. Layout is its binary interface.
namespace dlpack {
struct DataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct Tensor {
  char* data;
  std::int32_t device_type, device_id;
  std::int32_t axes;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements
  std::uint64_t byte_offset;
};
struct Table {
  std::uint32_t major, minor;
  void* older;
  void *allocate, *owned, *to_object;
  int (*borrow)(void* object, Tensor* out);  // 0, or -1 with an exception set; may be null
  void* stream;
};
inline constexpr std::int32_t cpu = 1, pinned = 3;  // pinned: memory of the CPU that a GPU reads
}  // namespace dlpack

// What a tensor of the CPU is: floating-point elements at an address, with shape and strides. Equal as long as nobody has
// given the tensor other memory or another shape. The usual ranks lie in the object itself, as in Fingerprint.
class TensorFacts {
 public:
  // False, and no exception, if it is no tensor of a supported dtype with its memory here. `any_number`: integers as well.
  bool read(const dlpack::Table& table, PyObject* tensor, bool any_number = false);
  bool same(const dlpack::Table& table, PyObject* tensor) const;  // as when it was read
  void forget() { axes_ = -1; }

  char* data() const { return data_; }
  engine::Dtype dtype() const { return dtype_; }  // of floating-point numbers
  std::size_t item_size() const { return type_.bits / 8u; }
  int axes() const { return axes_; }
  std::int64_t shape(int axis) const { return extents()[axis].size; }
  // As the arrays of NumPy are described, with strides in bytes; `lent` is the memory for them.
  py::detail::PyArray_Proxy as_array(std::vector<std::int64_t>& lent) const;

 private:
  static constexpr int near_axes = 4;
  const AxisLayout* extents() const { return axes_ <= near_axes ? near_ : far_.data(); }
  char* data_ = nullptr;
  dlpack::DataType type_{};
  engine::Dtype dtype_ = engine::Dtype::f32;
  int axes_ = -1;
  AxisLayout near_[near_axes] = {};  // strides in elements
  std::vector<AxisLayout> far_;
};

// The table in a capsule of that name, or an exception.
const dlpack::Table& exchange_table(const py::object& capsule);

FASTOPT_BINDINGS_END
