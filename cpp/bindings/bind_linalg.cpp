// Stacks of symmetric matrices to the eigensolver. fastopt.linalg allocates the results; here they are checked, not made.
#include <stdexcept>
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "linalg/eigh.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

// Between phases of a long call, on the calling thread, with no lock held: has Ctrl-C been pressed?
bool signals_pending() {
  const py::gil_scoped_acquire locked;
  return PyErr_CheckSignals() != 0;
}

// Below this order a call is over before anybody could press a key, and taking the GIL would only be felt by others.
constexpr std::int64_t interruptible = 256;

template <class T>
struct Stack {
  const char* a;
  std::int64_t n, count;
  std::vector<std::int64_t> shape, strides;  // of the leading axes, in bytes
  std::int64_t row, column;                  // in elements
  bool lower;
  T *w, *v;  // v may be null

  // The first byte of matrix `index`, counted in C order.
  const T* matrix(std::int64_t index) const {
    const char* p = a;
    for (std::size_t axis = shape.size(); axis-- > 0; index /= shape[axis]) p += index % shape[axis] * strides[axis];
    return reinterpret_cast<const T*>(p);
  }

  void solve(std::int64_t i) const {
    const linalg::Source<T> source{matrix(i), row, column, lower};
    const linalg::Interrupt ask = n >= interruptible ? &signals_pending : nullptr;
    if (v)
      linalg::eigh(source, n, w + i * n, v + i * n * n, ask);
    else
      linalg::eigvalsh(source, n, w + i * n, ask);
  }
};

[[noreturn]] void raise_linalg_error(std::int64_t index, bool stacked, const std::string& what) {
  const py::object error = py::module_::import("numpy.linalg").attr("LinAlgError");
  const std::string where = stacked ? " (matrix " + std::to_string(index) + " of the stack)" : "";
  PyErr_SetString(error.ptr(), (what + where).c_str());
  throw py::error_already_set();
}

template <class T>
void solve_all(const Stack<T>& stack) {
  std::int64_t done = 0;
  std::string failure;
  bool interrupted = false;
  try {
    const Unlocked unlocked;
    // about a tenth of a second of small matrices between two looks at the signals
    const std::int64_t often = 1 + 100'000'000 / (10 * stack.n * stack.n * stack.n + 1000);
    for (; done < stack.count; ++done) {
      if (done % often == often - 1 && signals_pending()) throw linalg::Interrupted{};
      stack.solve(done);
    }
  } catch (const linalg::Interrupted&) {
    interrupted = true;
  } catch (const std::domain_error& e) {
    failure = e.what();
  } catch (const std::runtime_error& e) {
    failure = e.what();
  }
  if (interrupted) throw py::error_already_set();  // set by PyErr_CheckSignals
  if (!failure.empty()) raise_linalg_error(done, stack.shape.size() > 0, failure);
}

// By number and byte order: equal dtypes need not be one object.
template <class T>
bool is_of(const py::array& a) {
  return a.dtype().num() == py::dtype::of<T>().num() && a.dtype().byteorder() == '=';
}

template <class T>
void run(const py::array& a, bool lower, const py::array& w, const py::object& v) {
  const auto axes = static_cast<std::size_t>(a.ndim());
  const auto item = static_cast<std::int64_t>(sizeof(T));
  Stack<T> stack{static_cast<const char*>(a.data()), a.shape(a.ndim() - 1), 1, {}, {}, 0, 0, lower, nullptr, nullptr};
  for (std::size_t i = 0; i + 2 < axes; ++i) {
    stack.shape.push_back(a.shape(static_cast<py::ssize_t>(i)));
    stack.strides.push_back(a.strides(static_cast<py::ssize_t>(i)));
    stack.count *= stack.shape.back();
  }
  stack.row = a.strides(a.ndim() - 2) / item;
  stack.column = a.strides(a.ndim() - 1) / item;
  const auto writeable = [&](const py::array& out, std::int64_t size) {
    if (!is_of<T>(out) || out.size() != size || !out.writeable() || !(out.flags() & py::array::c_style))
      throw py::value_error("expected writeable C-contiguous results of the matrices' dtype and size");
    return static_cast<T*>(const_cast<void*>(out.data()));
  };
  stack.w = writeable(w, stack.count * stack.n);
  if (!v.is_none()) stack.v = writeable(py::cast<py::array>(v), stack.count * stack.n * stack.n);
  if (stack.count * stack.n > 0) solve_all(stack);
}

void eigh(const py::object& matrices, bool lower, const py::object& values, const py::object& vectors) {
  for (const py::object* o : {&matrices, &values})
    if (!py::isinstance<py::array>(*o)) throw py::type_error("expected NumPy arrays");
  if (!vectors.is_none() && !py::isinstance<py::array>(vectors)) throw py::type_error("expected NumPy arrays");
  const auto a = py::reinterpret_borrow<py::array>(matrices), w = py::reinterpret_borrow<py::array>(values);
  const py::ssize_t axes = a.ndim();
  if (axes < 2 || a.shape(axes - 1) != a.shape(axes - 2)) throw py::value_error("a: expected square matrices");
  if (!(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_)) throw py::value_error("a: expected aligned memory");
  for (py::ssize_t axis = axes - 2; axis < axes; ++axis)
    if (a.strides(axis) % a.itemsize() != 0) throw py::value_error("a: expected strides in whole elements");
  if (is_of<double>(a)) return run<double>(a, lower, w, vectors);
  if (is_of<float>(a)) return run<float>(a, lower, w, vectors);
  throw py::type_error("a: expected float64 or float32");
}

}  // namespace

void register_linalg(py::module_& m) {
  m.def("eigh", &eigh, py::arg("a"), py::arg("lower"), py::arg("w"), py::arg("v"),
        "Eigenvalues into w (..., n); with v (..., n, n), vector j of each matrix into its row j.");
}

FASTOPT_BINDINGS_END
