// The basis of a Lanczos iteration, for fastopt.linalg: which vector comes next is decided there, long vectors stay here.
#include <memory>
#include <stdexcept>
#include <variant>

#include "bindings/arrays.hpp"
#include "bindings/construct.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "linalg/lanczos.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

// The memory of a C-contiguous array of T with `size` elements; any number of them if it is negative.
template <class T>
T* elements(const py::array& a, const char* name, std::int64_t size, bool writeable) {
  const bool plain = a.dtype().num() == py::dtype::of<T>().num() && a.dtype().byteorder() == '=' &&
                     (a.flags() & py::array::c_style) && (a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_);
  if (!plain || (size >= 0 && a.size() != size) || (writeable && !a.writeable()))
    throw py::value_error(std::string(name) + ": expected a contiguous array of the basis' dtype and order");
  return static_cast<T*>(const_cast<void*>(a.data()));
}

// float32 or float64, as the operator is.
class BoundBasis {
  // f(basis, zero of its type)
  template <class F>
  auto visit(F&& f) const {
    if (const auto* b = std::get_if<linalg::Basis<float>>(&basis_)) return f(*b, 0.0F);
    return f(std::get<linalg::Basis<double>>(basis_), 0.0);
  }
  template <class F>
  auto visit(F&& f) {
    if (auto* b = std::get_if<linalg::Basis<float>>(&basis_)) return f(*b, 0.0F);
    return f(std::get<linalg::Basis<double>>(basis_), 0.0);
  }

 public:
  BoundBasis(std::int64_t n, std::int64_t capacity, bool single) {
    if (n < 1 || capacity < 1) throw py::value_error("n, capacity: expected at least 1");
    if (single)
      basis_.emplace<linalg::Basis<float>>(n, capacity);
    else
      basis_.emplace<linalg::Basis<double>>(n, capacity);
  }

  std::int64_t columns() const {
    return visit([](const auto& b, auto) { return b.columns(); });
  }

  py::tuple orthogonalise(const py::array& w, double scale) const {
    return visit([&](const auto& b, auto zero) {
      auto* data = elements<decltype(zero)>(w, "w", b.n(), true);
      py::array_t<double> h(b.columns());
      double* coefficients = h.mutable_data();
      double norm = 0;
      {
        const Unlocked unlocked;
        norm = b.orthogonalise(data, scale, coefficients);
      }
      return py::make_tuple(h, norm);
    });
  }

  void append(const py::array& w, double scale) {
    visit([&](auto& b, auto zero) {
      if (b.columns() == b.capacity()) throw py::value_error("append: the basis is full");
      b.append(elements<decltype(zero)>(w, "w", b.n(), false), scale);
    });
  }

  py::array column(std::int64_t j) const {
    return visit([&](const auto& b, auto zero) -> py::array {
      check(j, b.columns());
      return py::array_t<decltype(zero)>(b.n(), b.column(j));  // copies
    });
  }

  void swap_columns(std::int64_t i, std::int64_t j) {
    visit([&](auto& b, auto) {
      check(i, b.columns());
      check(j, b.columns());
      b.swap(i, j);
    });
  }

  void truncate(std::int64_t columns) {
    visit([&](auto& b, auto) {
      check(columns, b.columns() + 1);
      b.truncate(columns);
    });
  }

  void rotate(const py::array& q) {
    visit([&](auto& b, auto) {
      const Factor f(q, b.columns());
      if (f.count > f.rows) throw py::value_error("q: expected no more columns than rows");
      const Unlocked unlocked;
      b.rotate(f.data, f.rows, f.count);
    });
  }

  // (count, n): vector j in row j.
  py::array combine(const py::array& q) const {
    return visit([&](const auto& b, auto zero) -> py::array {
      const Factor f(q, b.columns());
      py::array_t<decltype(zero)> out({f.count, b.n()});
      auto* data = out.mutable_data();
      {
        const Unlocked unlocked;
        b.combine(f.data, f.rows, f.count, data);
      }
      return out;
    });
  }

 private:
  // Coordinates of `count` vectors in the first `rows` columns.
  struct Factor {
    Factor(const py::array& q, std::int64_t columns) : data(elements<double>(q, "q", -1, false)) {
      if (q.ndim() != 2 || q.shape(0) > columns)
        throw py::value_error("q: expected two axes, at most one row for each column");
      rows = q.shape(0);
      count = q.shape(1);
    }
    const double* data;
    std::int64_t rows, count;
  };

  static void check(std::int64_t j, std::int64_t columns) {
    if (j < 0 || j >= columns) throw py::index_error("expected the index of a column");
  }

  std::variant<std::monostate, linalg::Basis<float>, linalg::Basis<double>> basis_;
};

}  // namespace

void register_lanczos(py::module_& m) {
  py::class_<BoundBasis> c(m, "Basis", py::module_local(), "Orthonormal columns of length n, at most `capacity` of them.");
  def_init<BoundBasis, std::int64_t, std::int64_t, bool>(c, py::arg("n"), py::arg("capacity"), py::arg("single"));
  c.def("orthogonalise", &BoundBasis::orthogonalise, py::arg("w"), py::arg("scale") = 1.0,
        "w becomes scale w without its components in the basis; returns these, and the norm of what is left.")
      .def("append", &BoundBasis::append, py::arg("w"), py::arg("scale"))
      .def("column", &BoundBasis::column, py::arg("j"), "A copy.")
      .def("swap", &BoundBasis::swap_columns, py::arg("i"), py::arg("j"))
      .def("truncate", &BoundBasis::truncate, py::arg("columns"))
      .def("rotate", &BoundBasis::rotate, py::arg("q"), "The first len(q) columns V become V q; those behind them follow.")
      .def("combine", &BoundBasis::combine, py::arg("q"), "V q with the first len(q) columns, vector j in row j.")
      .def_property_readonly("columns", &BoundBasis::columns);
}

FASTOPT_BINDINGS_END
