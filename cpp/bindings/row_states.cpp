// What a rule that keeps numbers of rows asks of a parameter: where its rows, which are its first axis, lie.
#include "bindings/bound_plan.hpp"

FASTOPT_BINDINGS_BEGIN

void BoundPlan::read_table(Parameter& parameter, engine::Tensor& t) const {
  const View view(parameter.owner.ptr());
  engine::Table& table = t.table;
  table.count = view.axes() == 0 ? 1 : view.shape(0);
  bool inside = table.count == 1;
  for (const Axis& a : parameter.axes) {
    if (a.axis == 0) {
      inside = true;
      table.reversed = a.reversed;
    } else {
      (inside ? table.run : table.outer) *= a.length;
    }
  }
  parameter.matrix = std::make_unique<engine::MatrixView>();
  parameter.matrix->rows = table.count;
  parameter.matrix->columns = table.width();
  t.matrix = parameter.matrix.get();
}

void BoundPlan::check_codes_of_rows(const Parameter& parameter, const engine::Tensor& t) const {
  if (t.table.run % engine::code_group == 0) return;
  for (const engine::Stored& state : t.states)
    if (state && engine::is_code(state.encoding))
      throw py::type_error(parameter.label + ": states in eight bits have a scale for " +
                           std::to_string(engine::code_group) +
                           " elements, and here no row may share one with another: a row has " +
                           std::to_string(t.table.run) + " elements one behind the other");
}

FASTOPT_BINDINGS_END
