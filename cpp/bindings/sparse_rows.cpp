// Gradients of some rows of a parameter: fastopt.SparseRows, looked at anew in every step, since each is mostly another.
#include "bindings/sparse_rows.hpp"

#include <algorithm>

#include "bindings/bound_plan.hpp"
#include "bindings/imported.hpp"

FASTOPT_BINDINGS_BEGIN

bool is_sparse_rows(PyObject* object) {
  if (py::isinstance<py::array>(object)) return false;
  static constinit Imported type("fastopt._rows", "SparseRows");
  return reinterpret_cast<PyObject*>(Py_TYPE(object)) == type.get();
}

namespace {

// Rows are whole and in order where the array lies in C's order.
bool in_c_order(const std::vector<Axis>& axes) {
  return std::is_sorted(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.axis < b.axis; }) &&
         std::none_of(axes.begin(), axes.end(), [](const Axis& a) { return a.reversed; });
}

// int32 or int64 of this machine's byte order; false also if looking gave the array another dtype.
bool index_type(PyObject* array, bool& wide) {
  const auto descr = py::reinterpret_borrow<py::object>(View(array).descr());
  const auto dtype = py::reinterpret_borrow<py::dtype>(descr);
  const bool native = dtype.byteorder() == '=' || dtype.attr("isnative").cast<bool>();
  wide = dtype.itemsize() == 8;
  return dtype.kind() == 'i' && (wide || dtype.itemsize() == 4) && native && View(array).descr() == descr.ptr();
}

std::vector<Axis> all_axes(const View& view) {
  std::vector<Axis> axes;
  for (int axis = 0; axis < view.axes(); ++axis)
    if (view.shape(axis) != 1) axes.push_back({axis, view.shape(axis), false});
  return axes;
}

bool rows_of_shape(const View& values, std::int64_t count, const View& theta) {
  bool same = values.axes() == theta.axes() && values.shape(0) == count;
  for (int axis = 1; same && axis < theta.axes(); ++axis) same = values.shape(axis) == theta.shape(axis);
  return same;
}

std::string shape_of_rows(std::int64_t count, const View& theta) {
  std::string text = "(" + std::to_string(count);
  for (int axis = 1; axis < theta.axes(); ++axis) text += ", " + std::to_string(theta.shape(axis));
  return text + (theta.axes() == 1 ? ",)" : ")");
}

}  // namespace

void BoundPlan::take_rows(std::size_t i, PyObject* gradient, bool zero_gradients, Held& held) {
  Parameter& parameter = *parameters_[i];
  watched_[i].gradient.forget();
  gradients_[i] = {};
  if (zero_gradients)
    throw py::type_error(gradient_label(i) + ": expected an array (zero_grads=True), got " + rows_word() +
                         ", which is made anew");
  if (View(parameter.owner.ptr()).axes() == 0 || !in_c_order(parameter.axes))
    throw py::value_error(gradient_label(i) + ": " + rows_word() +
                          " need a parameter with rows that lie in C's order of memory, " + parameter.label + " is " +
                          describe(parameter.owner.ptr()) +
                          (View(parameter.owner.ptr()).axes() == 0 ? "" : " in another order"));
  const View theta(parameter.owner.ptr());
  std::int64_t width = 1;
  for (int axis = 1; axis < theta.axes(); ++axis) width *= theta.shape(axis);
  if (const std::string why = plan_.refuses_rows(static_cast<int>(i), width); !why.empty())
    throw py::type_error(gradient_label(i) + ": expected a gradient of all of " + parameter.label + ", got " + rows_word() +
                         ": " + why);
  if (!parameter.sparse) parameter.sparse = std::make_unique<SparseGradient>();
  SparseGradient& sparse = *parameter.sparse;
  const auto part = [&](const char* name) {
    auto object = py::reinterpret_steal<py::object>(PyObject_GetAttrString(gradient, name));
    if (!object) throw py::error_already_set();
    PyObject* const array = object.ptr();
    held.also(std::move(object));
    if (!is_plain_array(array))
      throw py::type_error(gradient_label(i) + "." + name + ": expected an array, got " + describe(array));
    return array;
  };
  sparse.indices_array = part("indices");
  sparse.values_array = part("values");
  read_rows(i, sparse, width);
  gradients_[i].data = sparse.rows.given.values.data;
  static char none;  // of no rows; a gradient all the same
  if (gradients_[i].data == nullptr) gradients_[i].data = &none;
  gradients_[i].rows = &sparse.rows;
  given_elements_ += sparse.rows.given.count * (1 + sparse.rows.given.width);
}

void BoundPlan::read_rows(std::size_t i, SparseGradient& sparse, std::int64_t width) {
  const Parameter& parameter = *parameters_[i];
  const View theta(parameter.owner.ptr()), indices(sparse.indices_array), values(sparse.values_array);
  engine::GivenRows& given = sparse.rows.given;
  const std::string label = gradient_label(i);
  if (!index_type(sparse.indices_array, given.wide))
    throw py::type_error(label + ".indices: expected int64 or int32, got " + describe(sparse.indices_array));
  if (indices.axes() != 1)
    throw py::value_error(label + ".indices: expected one axis, got " + describe(sparse.indices_array));
  const engine::Dtype dtype = plan_.tensor(static_cast<int>(i)).dtype();
  engine::Dtype found;
  if (!storage_type_of(sparse.values_array, uint16_is_bf16_, found) || !engine::accepts_gradient(dtype, found))
    throw py::type_error(label + ".values: expected " + accepted_gradients(dtype) + ", got " +
                         describe(sparse.values_array));
  recheck_parameter(i);
  given.count = indices.shape(0);
  if (!rows_of_shape(values, given.count, theta))
    throw py::value_error(label + ".values: expected shape " + shape_of_rows(given.count, theta) +
                          ", a row for each index, got " + describe(sparse.values_array));
  given.indices = indices.data();
  given.stride = indices.stride(0);
  given.rows = theta.shape(0);
  given.width = width;
  lay_out(values, all_axes(values), sparse.values);
  given.values = sparse.values.as(found);
  refuse_overlap(label + ".values", values, given.values);
  sparse.indices_seen.take(sparse.indices_array);
  sparse.values_seen.take(sparse.values_array);
}

void BoundPlan::raise_no_row(int tensor) const {
  const auto i = static_cast<std::size_t>(tensor);
  const engine::Rows& rows = parameters_[i]->sparse->rows;
  const std::int64_t count = rows.given.rows;
  const std::string expected =
      count == 0 ? "none, as there are no rows in " : "0 to " + std::to_string(count - 1) + ", the rows of ";
  throw py::value_error(gradient_label(i) + ".indices: expected " + expected + parameters_[i]->label + ", got " +
                        std::to_string(rows.index()) + " at position " + std::to_string(rows.at()));
}

FASTOPT_BINDINGS_END
