// Adam. Kingma & Ba 2015 (arXiv:1412.6980), Algorithm 1; AMSGrad: Reddi, Kale & Kumar 2018 (arXiv:1904.09237), Algorithm 2.
// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) is this rule after the engine's decoupled decay.
// `row_steps`: rows of a table count their own steps, and their averages are corrected for those.
// As in torch.optim.Adam: epsilon is added to the corrected root, and AMSGrad takes the maximum of the uncorrected v. With
// `eps_hat` to the uncorrected one, whose correction is then the step's (the paper's remark at the end of its section 2).
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Adam {
  static constexpr std::string_view name = "adam";
  static constexpr Names<3> flags = {"amsgrad", "eps_inside_root", "row_steps"};
  static constexpr bool amsgrad = Flags & 1, eps_inside_root = Flags & 2;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true},
                                        State{"max_exp_avg_sq", amsgrad, true, Codes::none, true}};
  static constexpr std::array shaped = {Shaped{"row_steps", Shape::rows, (Flags & 4) != 0}};
  using Loops = Adam<Flags & 3>;
  static constexpr Reach reach = {.squared = true};
  static constexpr bool scales_in_loop = !amsgrad && !eps_inside_root, codes_in_loop = scales_in_loop;
  struct Hypers {
    double lr, beta1, beta2, eps, eps_hat;
  };
  static constexpr Names<5> hypers = {"lr", "beta1", "beta2", "eps", "eps_hat"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> beta1, beta2;
    T correct2, eps, flush;
  };

  template <class C, class Use>
  static auto averages(C& c, const Use& use) {
    return use(c.beta1, c.beta2);
  }

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double c1 = bias_correction(h.beta1, t), c2 = bias_correction(h.beta2, t);
    const bool corrected = h.eps_hat == 0;
    return {corrected ? h.lr / c1 : h.lr * std::sqrt(c2) / c1,
            average(h.beta1),
            average(h.beta2),
            corrected ? (eps_inside_root ? 1 / c2 : 1 / std::sqrt(c2)) : 1,
            h.eps,
            may_flush(h.eps, eps_inside_root)};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, T& v_max, const Coefs<T>& c) {
    m = flushed(ema(m, g, c.beta1));
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    if constexpr (amsgrad) v_max = max(v_max, v);
    theta -= c.step * m / corrected_root<eps_inside_root>(amsgrad ? v_max : v, c.correct2, c.eps);
  }
};

}  // namespace fastopt::rules
