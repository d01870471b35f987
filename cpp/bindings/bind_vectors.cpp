// The vectors of one minimisation, for fastopt.methods: owned here, shown to Python as arrays, read and written without
// checks but for the gradient that comes from outside.
#include <array>

#include "bindings/arrays.hpp"
#include "bindings/construct.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "vectors/lbfgs.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

// Shorter passes are over before another thread could take the GIL.
constexpr std::int64_t unlock_from = 1 << 15;

class BoundVectors {
  template <class F>
  auto unlocked(F&& f) {
    if (n_ < unlock_from) return f();
    const Unlocked gil;
    return f();
  }

 public:
  BoundVectors(const py::object& x, const py::object& g, int pairs)
      : n_(static_cast<std::int64_t>(py::len(x))), history_(checked(pairs)), vectors_(n_, allocate()) {
    std::copy_n(doubles(x, "x"), n_, vectors_.vectors().x);
    std::copy_n(doubles(g, "g"), n_, vectors_.vectors().g);
  }

  py::object array(const double* role) const {
    for (const py::array_t<double>& a : owned_)
      if (a.data() == role) return a;
    throw std::logic_error("no such vector");
  }
  const vectors::Vectors& roles() const { return vectors_.vectors(); }

  py::tuple steepest(double scale) {
    history_.forget();
    return told(unlocked([&] { return vectors_.steepest(scale); }));
  }
  py::object step(double alpha) {
    unlocked([&] {
      vectors_.step(alpha);
      return 0;
    });
    return array(roles().trial);
  }
  py::tuple take(const py::object& gradient) {
    const double* g = doubles(gradient, "gradient");
    const vectors::Taken taken =
        unlocked([&] { return history_.slots() > 1 ? vectors_.take(g) : vectors_.take(g, products_); });
    return py::make_tuple(taken.slope, taken.largest);
  }
  void keep() { vectors_.keep(); }
  void accept() { vectors_.accept(); }
  py::tuple products() const {
    return py::make_tuple(products_.tt, products_.tg, products_.yy, products_.yt, products_.yd, products_.gg, square_);
  }
  py::tuple conjugate(double beta) {
    return told(unlocked([&] { return vectors_.conjugate(beta); }));
  }
  // None if there is no pair: then the direction is the caller's to choose.
  py::object quasi_newton() {
    if (history_.wants_memory()) {
      memory_.reserve(memory_.size() + 2);  // both or, on an exception, none
      double* s = vector();
      try {
        history_.give_memory(s, vector());
      } catch (...) {
        memory_.pop_back();
        throw;
      }
    }
    bool any = false;
    const vectors::Direction direction = unlocked([&] {
      history_.push(vectors_);
      any = history_.size() > 0;
      return any ? history_.direction(vectors_) : vectors::Direction{};
    });
    return any ? py::object(told(direction)) : py::none();
  }

 private:
  static int checked(int pairs) {
    if (pairs < 0 || pairs > 255) throw py::value_error("pairs: expected 0 to 255, got " + std::to_string(pairs));
    return pairs;
  }
  vectors::Vectors allocate() {
    std::array<double*, 7> p;
    for (std::size_t i = 0; i < owned_.size(); ++i) {
      p[i] = vector();
      owned_[i] = py::array_t<double>(n_, p[i], memory_.back());
    }
    return {p[0], p[1], p[2], p[3], p[4], p[5], p[6]};
  }
  // NumPy asks for huge pages. Large allocations all start at the same offset in a page, and a store 4096 bytes from a load
  // delays it, so each vector is shifted by another odd number of cache lines.
  double* vector() {
    constexpr std::size_t line = 8, page = 512;  // in doubles
    const std::size_t shift = (5 * memory_.size() + 3) * line % page;
    memory_.emplace_back(n_ + static_cast<std::int64_t>(page + line));
    auto* raw = memory_.back().mutable_data() + shift;
    const auto off = reinterpret_cast<std::uintptr_t>(raw) / sizeof(double) % line;
    return raw + (off ? line - off : 0);
  }
  const double* doubles(const py::object& array, const char* name) const {
    if (is_plain_array(array.ptr())) {
      const View view(array.ptr());
      const bool aligned = view.fields.flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_;
      const bool flat = aligned && view.axes() == 1 && view.shape(0) == n_ && (view.stride(0) == 8 || n_ <= 1);
      if (flat && py::reinterpret_borrow<py::dtype>(view.descr()).is(py::dtype::of<double>()))
        return reinterpret_cast<const double*>(view.data());
    }
    throw py::value_error(std::string(name) + ": expected contiguous float64 of shape (" + std::to_string(n_) +
                          ",) in aligned memory, got " + describe(array.ptr()));
  }
  py::tuple told(const vectors::Direction& d) {
    square_ = d.square;
    return py::make_tuple(d.slope, d.square);
  }

  std::int64_t n_;
  std::vector<py::array_t<double>> memory_;
  std::array<py::array_t<double>, 7> owned_;
  vectors::History history_;
  vectors::LineVectors vectors_;
  vectors::Products products_{};
  double square_ = 0;  // d'd
};

}  // namespace

void register_vectors(py::module_& m) {
  using B = BoundVectors;
  py::class_<B> c(m, "LineVectors", py::module_local());
  def_init<B, const py::object&, const py::object&, int>(c, py::arg("x"), py::arg("g"), py::arg("pairs"));
  c.def("steepest", &B::steepest, py::arg("scale"))
      .def("step", &B::step, py::arg("alpha"))
      .def("take", &B::take, py::arg("gradient"))
      .def("keep", &B::keep)
      .def("accept", &B::accept)
      .def("products", &B::products)
      .def("conjugate", &B::conjugate, py::arg("beta"))
      .def("quasi_newton", &B::quasi_newton)
      .def_property_readonly("x", [](const B& b) { return b.array(b.roles().x); })
      .def_property_readonly("g", [](const B& b) { return b.array(b.roles().g); })
      .def_property_readonly("trial", [](const B& b) { return b.array(b.roles().trial); })
      .def_property_readonly("trial_g", [](const B& b) { return b.array(b.roles().trial_g); })
      .def_property_readonly("d", [](const B& b) { return b.array(b.roles().d); });
}

FASTOPT_BINDINGS_END
