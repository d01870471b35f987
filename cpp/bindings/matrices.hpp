// Stacks of square matrices (..., n, n) as the numerics read them where they lie, and the walk over a stack: without the
// GIL, looking at the signals, with what goes wrong raised as NumPy raises it.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/unlocked.hpp"
#include "linalg/load.hpp"

FASTOPT_BINDINGS_BEGIN

// Between phases of a long call, on the calling thread, with no lock held: has Ctrl-C been pressed?
inline bool signals_pending() {
  const py::gil_scoped_acquire locked;
  return PyErr_CheckSignals() != 0;
}

// By number and byte order: equal dtypes need not be one object.
template <class T>
bool is_of(const py::array& a) {
  return a.dtype().num() == py::dtype::of<T>().num() && a.dtype().byteorder() == '=';
}

// The stride of an axis in elements. An axis of one entry is never stepped along, and NumPy promises nothing of its stride;
// nor does it where there is no entry at all.
inline std::int64_t element_stride(const View& a, int axis, std::int64_t item) {
  return a.shape(axis) > 1 ? a.stride(axis) / item : 0;
}

// The object as an array of aligned square matrices whose strides are whole elements.
inline py::array square_matrices(const py::object& matrices) {
  if (!py::isinstance<py::array>(matrices)) throw py::type_error("a: expected a NumPy array");
  auto a = py::reinterpret_borrow<py::array>(matrices);
  const py::ssize_t axes = a.ndim();
  if (axes < 2 || a.shape(axes - 1) != a.shape(axes - 2))
    throw py::value_error("a: expected square matrices, got " + describe(a.ptr()));
  if (a.size() == 0) return a;
  if (!(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_)) throw py::value_error("a: expected aligned memory");
  for (py::ssize_t axis = 0; axis < axes; ++axis)
    if (a.shape(axis) > 1 && a.strides(axis) % a.itemsize() != 0)
      throw py::value_error("a: expected strides in whole elements, got " + std::to_string(a.strides(axis)) +
                            " bytes along axis " + std::to_string(axis));
  return a;
}

// A result that was allocated by the caller.
template <class T>
T* writeable(const py::object& result, std::int64_t size) {
  if (!py::isinstance<py::array>(result)) throw py::type_error("expected NumPy arrays for the results");
  const auto out = py::reinterpret_borrow<py::array>(result);
  constexpr int wanted = int(py::array::c_style) | int(py::detail::npy_api::NPY_ARRAY_ALIGNED_);
  if (!is_of<T>(out) || out.size() != size || !out.writeable() || (out.flags() & wanted) != wanted)
    throw py::value_error("expected writeable, aligned and C-contiguous results of the right dtype and size, got " +
                          describe(out.ptr()));
  return static_cast<T*>(const_cast<void*>(out.data()));
}

template <class T>
struct Matrices {
  const char* a;
  std::int64_t n, count = 1;
  std::vector<std::int64_t> shape, strides;  // of the leading axes, in bytes
  std::int64_t row, column;                  // in elements
  bool lower;

  Matrices(const py::array& from, bool of_lower)
      : a(static_cast<const char*>(from.data())), n(from.shape(from.ndim() - 1)), lower(of_lower) {
    const auto item = static_cast<std::int64_t>(sizeof(T));
    for (py::ssize_t axis = 0; axis + 2 < from.ndim(); ++axis) {
      shape.push_back(from.shape(axis));
      strides.push_back(from.strides(axis));
      count *= shape.back();
    }
    const View view(from.ptr());
    row = element_stride(view, view.axes() - 2, item);
    column = element_stride(view, view.axes() - 1, item);
  }

  // Matrix `index`, counted in C order.
  linalg::Source<T> operator[](std::int64_t index) const {
    const char* p = a;
    for (std::size_t axis = shape.size(); axis-- > 0; index /= shape[axis]) p += index % shape[axis] * strides[axis];
    return {reinterpret_cast<const T*>(p), row, column, lower};
  }

  // Below this order a call is over before anybody could press a key, and taking the GIL would only be felt by others.
  linalg::Interrupt interrupt() const { return n >= 256 ? &signals_pending : nullptr; }
};

[[noreturn]] inline void raise_linalg_error(std::int64_t index, bool stacked, const std::string& what) {
  const py::object error = py::module_::import("numpy.linalg").attr("LinAlgError");
  const std::string where = stacked ? " (matrix " + std::to_string(index) + " of the stack)" : "";
  PyErr_SetString(error.ptr(), (what + where).c_str());
  throw py::error_already_set();
}

// f(i) for every matrix of the stack, one after the other.
template <class T, class F>
void each_matrix(const Matrices<T>& stack, F&& f) {
  std::int64_t done = 0;
  std::string failure;
  bool interrupted = false;
  try {
    const Unlocked unlocked;
    // about a tenth of a second of small matrices between two looks at the signals
    const std::int64_t often = 1 + 100'000'000 / (10 * stack.n * stack.n * stack.n + 1000);
    for (; done < stack.count; ++done) {
      if (done % often == often - 1 && signals_pending()) throw linalg::Interrupted{};
      f(done);
    }
  } catch (const linalg::Interrupted&) {
    interrupted = true;
  } catch (const std::domain_error& e) {
    failure = e.what();
  } catch (const std::runtime_error& e) {
    failure = e.what();
  }
  if (interrupted) throw py::error_already_set();  // set by PyErr_CheckSignals
  if (!failure.empty()) raise_linalg_error(done, !stack.shape.empty(), failure);
}

FASTOPT_BINDINGS_END
