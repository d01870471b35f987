// Stacks of symmetric matrices to the eigensolver: into arrays that fastopt.linalg has made, or, for arrays as they usually
// come, into new ones, without a Python call in between.
#include <optional>

#include "bindings/matrices.hpp"
#include "bindings/register.hpp"
#include "linalg/stack.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

using Numpy = py::detail::npy_api;

// One matrix up to this order takes microseconds: giving the GIL away would cost more than it lets others do.
constexpr std::int64_t brief = 16;

template <class T>
void solve(const linalg::Stack<T>& stack, bool stacked) {
  linalg::Failure failure;
  bool interrupted = false;
  {
    std::optional<Unlocked> unlocked;
    if (stack.count > 1 || stack.n > brief) unlocked.emplace();
    try {
      failure = linalg::solve_stack(stack, &signals_pending);
    } catch (const linalg::Interrupted&) {
      interrupted = true;
    }
  }
  if (interrupted) throw py::error_already_set();  // set by PyErr_CheckSignals
  if (failure) raise_linalg_error(failure.index, stacked, failure.what);
}

// The matrices of an array, whose last two axes are square. Leading axes that lie one inside the other become one.
template <class T>
linalg::Stack<T> stack_of(const View& a, bool lower) {
  const auto item = static_cast<std::int64_t>(sizeof(T));
  const int axes = a.axes();
  linalg::Stack<T> stack{reinterpret_cast<const T*>(a.data()),
                         a.shape(axes - 1),
                         1,
                         {},
                         {},
                         element_stride(a, axes - 2, item),
                         element_stride(a, axes - 1, item),
                         lower,
                         nullptr,
                         nullptr};
  for (int axis = 0; axis + 2 < axes; ++axis) {
    const std::int64_t extent = a.shape(axis), stride = a.stride(axis) / item;
    stack.count *= extent;
    if (extent == 1) continue;
    if (!stack.shape.empty() && stack.strides.back() == extent * stride) {
      stack.shape.back() *= extent;
      stack.strides.back() = stride;
    } else {
      stack.shape.push_back(extent);
      stack.strides.push_back(stride);
    }
  }
  return stack;
}

template <class T>
void run(const py::array& a, bool lower, const py::object& w, const py::object& v, bool rows, bool jacobi) {
  linalg::Stack<T> stack = stack_of<T>(View(a.ptr()), lower);
  stack.rows = rows;
  stack.jacobi = jacobi;
  stack.w = writeable<T>(w, stack.count * stack.n);
  if (!v.is_none()) stack.v = writeable<T>(v, stack.count * stack.n * stack.n);
  solve(stack, a.ndim() > 2);
}

void eigh(const py::object& matrices, bool lower, const py::object& values, const py::object& vectors, bool rows,
          bool jacobi) {
  const py::array a = square_matrices(matrices);
  if (is_of<double>(a)) return run<double>(a, lower, values, vectors, rows, jacobi);
  if (is_of<float>(a)) return run<float>(a, lower, values, vectors, rows, jacobi);
  throw py::type_error("a: expected float64 or float32");
}

py::array fresh(const View& like, int axes, bool fortran) {
  const auto& numpy = Numpy::get();
  Py_INCREF(like.descr());
  PyObject* made = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, like.descr(), axes, like.fields.dimensions, nullptr,
                                               nullptr, fortran ? Numpy::NPY_ARRAY_F_CONTIGUOUS_ : 0, nullptr);
  if (!made) throw py::error_already_set();
  return py::reinterpret_steal<py::array>(made);
}

template <class T>
py::object solve_new(const View& a, bool lower, const py::object& result) {
  linalg::Stack<T> stack = stack_of<T>(a, lower);
  const int axes = a.axes();
  const py::array w = fresh(a, axes - 1, false);
  stack.w = static_cast<T*>(const_cast<void*>(w.data()));
  if (result.is_none()) {
    solve(stack, axes > 2);
    return w;
  }
  py::object v = fresh(a, axes, axes == 2);
  stack.v = reinterpret_cast<T*>(View(v.ptr()).data());
  solve(stack, axes > 2);
  if (axes > 2) v = v.attr("swapaxes")(-1, -2);
  const py::tuple fields = py::make_tuple(py::make_tuple(w, v));
  PyObject* named = PyTuple_Type.tp_new(reinterpret_cast<PyTypeObject*>(result.ptr()), fields.ptr(), nullptr);
  if (!named) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(named);
}

py::object eigh_new(const py::object& matrices, const py::object& uplo, const py::object& result) {
  if (Py_TYPE(matrices.ptr()) != Numpy::get().PyArray_Type_ || !PyUnicode_Check(uplo.ptr())) return py::none();
  // its memory is filled as a tuple's
  if (!result.is_none() &&
      !(PyType_Check(result.ptr()) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(result.ptr()), &PyTuple_Type)))
    throw py::type_error("result: expected None or a subclass of tuple");
  const bool lower = PyUnicode_CompareWithASCIIString(uplo.ptr(), "L") == 0;
  if (!lower && PyUnicode_CompareWithASCIIString(uplo.ptr(), "U") != 0) return py::none();
  const View a(matrices.ptr());
  const int axes = a.axes();
  if (axes < 2 || a.shape(axes - 1) != a.shape(axes - 2)) return py::none();
  if (!(a.fields.flags & Numpy::NPY_ARRAY_ALIGNED_)) return py::none();
  const auto array = py::reinterpret_borrow<py::array>(matrices);
  if (is_of<double>(array)) return solve_new<double>(a, lower, result);
  if (is_of<float>(array)) return solve_new<float>(a, lower, result);
  return py::none();
}

}  // namespace

void register_linalg(py::module_& m) {
  m.def("eigh", &eigh, py::arg("a"), py::arg("lower"), py::arg("w"), py::arg("v"), py::arg("rows") = true,
        py::arg("jacobi") = false,
        "Eigenvalues into w (..., n); with v (..., n, n), vector j of each matrix into its row j, or into its column j "
        "if not rows.");
  m.def("eigh_new", &eigh_new, py::arg("a"), py::arg("uplo"), py::arg("result"),
        "New arrays: the values, or result((values, vectors)) unless that is None. None if a is not a plain aligned array "
        "of square float64 or float32 matrices or uplo is neither 'L' nor 'U'.");
}

FASTOPT_BINDINGS_END
