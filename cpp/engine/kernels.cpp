// The table of all kernels, in the order of the registry. Each rule is compiled in a unit of its own; the table calls them
// when it is first asked for, so that no order of static objects matters.
#include "engine/kernels.hpp"

#include <vector>

#include "rules/all.hpp"

namespace fastopt::engine {

// Defined by the unit of the rule.
template <template <unsigned> class Rule>
void append_kernels(std::vector<Kernel>& table);

namespace {

template <template <unsigned> class... Rule>
std::vector<Kernel> make_table(rules::List<Rule...>) {
  std::vector<Kernel> table;
  (append_kernels<Rule>(table), ...);
  return table;
}

}  // namespace

std::span<const Kernel> kernels() {
  static const std::vector<Kernel>& table = *new std::vector<Kernel>(make_table(rules::All{}));
  return table;
}

const Kernel* find_kernel(std::string_view rule, unsigned flags) {
  for (const Kernel& kernel : kernels())
    if (kernel.name == rule && kernel.flags == flags) return &kernel;
  return nullptr;
}

}  // namespace fastopt::engine
