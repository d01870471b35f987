// The rules as data: one Kernel for every rule and every valid set of its flags.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/dither.hpp"
#include "engine/lanes.hpp"
#include "engine/prefetch.hpp"
#include "engine/transform.hpp"
#include "rules/rule.hpp"

namespace fastopt::engine {

inline constexpr int max_states = 4, max_hypers = 12, max_scalars = 4, max_coefs = 16, max_sums = 2;

// What a rule's loop does to its operands before the rule: theta -= decay theta, g = clip (unscale g). Read by the loops
// that do it only.
template <class T>
struct Operands {
  T decay = 0, unscale = 1, clip = 1;
};

// Updates n elements in place; `states` holds a pointer for each state of the rule, null where the flags do not use it.
template <class T>
using Update = void (*)(T* theta, const T* g, T* const* states, std::int64_t n, const T* coefs, const Operands<T>& operands,
                        Prefetch& prefetch);

// The first phase of a rule that needs sums over the whole tensor: adds what it wants summed, or the squares, to `lanes`.
template <class T>
using Reduce = void (*)(T* theta, const T* g, T* const* states, std::int64_t n, const T* coefs, Lanes* lanes);

// The first pass of a rule of matrices: writes the matrix's elements to `to`.
template <class T>
using Gather = void (*)(const T* theta, const T* g, T* const* states, std::int64_t n, const T* coefs, T* to);

// A state as the loops over codes meet it, from the first of their elements on: codes or, where a state has none, numbers.
struct StateAt {
  float* values;
  std::uint8_t* codes;
  float* scales;
  Dither::Bits random;
};

// Update in which every state that may be coded is: a group at a time is decoded, updated and encoded while it is in
// registers, so that the codes' arithmetic runs beside the roots and divisions of the rule.
using UpdateCoded = void (*)(float* theta, const float* g, const StateAt* states, std::int64_t n, const float* coefs,
                             float decay, Prefetch& prefetch);

// From the mean of a row's squared gradients to what is kept of it, and to its own coefficients.
template <class T>
using OfRow = void (*)(T mean_square, T* kept, T* coefs);

struct Kernel {
  std::string_view name;
  unsigned flags;
  std::span<const std::string_view> flag_names, hypers, scalars;
  std::span<const std::string_view>
      shared;  // hyper-parameters that all groups must agree in, if the sums are over all tensors
  std::span<const rules::State> states;
  std::span<const rules::Shaped> shaped;
  const double* first_scalars;
  rules::Reach reach;
  int coefs, sums;
  bool rows;                  // may be applied to some rows of a table only
  bool reads_gradient;        // in `update`, if there are sums
  bool reduce_writes_states;  // or `gather`: then a state gets its first value before that, else before `update`
  unsigned reduce_reads;      // a bit for each state that `reduce` looks at
  bool fills_first;           // the first step only fills states
  bool reads_theta;           // else an update of zeros leaves the step there, but for `own_decay`
  void (*prepare)(const double* hypers, std::int64_t t, double* scalars, double* coefs);
  rules::Start (*start)(std::size_t state, const double* hypers);
  double (*look_ahead)(const double* hypers);  // null: the rule has no momentum to look ahead along
  double (*own_decay)(const double* coefs);    // null: the rule takes nothing of theta by itself
  void (*finish)(double* coefs, const double* sums, std::int64_t n);
  double (*average_at)(const double* hypers);  // null: the parameters themselves are what training is for
  void (*settle)(const double* hypers, const double* sums, double* scalars);  // null: each tensor has sums of its own
  void (*conclude)(double* coefs, const double* sums, const double* scalars);
  Update<float> update_f32;
  Update<double> update_f64;
  Update<float> decayed_f32;  // after theta -= decay theta; null where the rule has a weight decay of its own
  Update<double> decayed_f64;
  Update<float> scaled_f32, scaled_decayed_f32;  // which scale the gradient; null where it is scaled block by block
  UpdateCoded update_coded, decayed_coded;       // null where the rule does not ask for them
  Reduce<float> reduce_f32;
  Reduce<double> reduce_f64;
  OfRow<float> row_f32;  // null but for rules that keep a number of each row
  OfRow<double> row_f64;
  int row_steps = -1;        // the shaped state that counts the steps of each row; none
  Gather<float> gather_f32;  // null but for rules of matrices
  Gather<double> gather_f64;
  Transform transform;

  // Numbers in a shaped state of a tensor, < 0 where it has none.
  std::int64_t shaped_size(std::size_t state, const MatrixView* view, const double* hypers_of_group) const {
    if (!shaped[state].used) return -1;
    if (shaped[state].shape == rules::Shape::own) return transform.state_size(state, *view, hypers_of_group);
    return view->size_of(shaped[state].shape);
  }
  // Rows are walked one by one.
  bool by_row() const { return row_f32 != nullptr || row_steps >= 0; }
  template <class T>
  OfRow<T> row() const {
    if constexpr (sizeof(T) == 4)
      return row_f32;
    else
      return row_f64;
  }
  template <class T>
  Update<T> update(bool decays, bool scales) const {
    if constexpr (sizeof(T) == 4) {
      if (scales) return decays ? scaled_decayed_f32 : scaled_f32;
      return decays ? decayed_f32 : update_f32;
    } else {
      return decays ? decayed_f64 : update_f64;
    }
  }
  template <class T>
  bool scales() const {
    return sizeof(T) == 4 && scaled_f32 != nullptr;
  }
  template <class T>
  auto reduce() const {
    if constexpr (sizeof(T) == 4)
      return reduce_f32;
    else
      return reduce_f64;
  }
  template <class T>
  auto gather() const {
    if constexpr (sizeof(T) == 4)
      return gather_f32;
    else
      return gather_f64;
  }
};

std::span<const Kernel> kernels();

// Null if there is no such rule or the flags do not go together.
const Kernel* find_kernel(std::string_view rule, unsigned flags);

}  // namespace fastopt::engine
