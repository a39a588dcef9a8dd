// The names of the Python functions and arguments in feaug's error messages: for feaug_torch those of
// all functions, for feaug_jax those of the losses.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace feaug_python {

struct renamed {
  std::string_view function;  // of Python; empty: any
  std::string_view from;
  std::string_view to;
};

inline constexpr renamed renamed_arguments[] = {
    {"", "a", "z0"},
    {"", "b", "z1"},
    {"", "z", "features"},
    {"", "prediction", "predictions"},
    {"", "target", "targets"},
    {"", "lambda", "lambda_param"},
    {"", "invariance", "lambda_param"},
    {"", "variance", "mu_param"},
    {"", "covariance", "nu_param"},
    {"", "keep_probability", "keep"},
    {"", "learnable_temperature", "temperature"},
    {"", "learnable_scale", "scale"},
    {"", "learnable_bias", "bias"},
    {"", "random_key.stream", "stream"},
    {"", "random_key.step", "step"},
    {"", "random_key.row_offset", "row_offset"},
    {"", "low", "weight[0]"},
    {"", "high", "weight[1]"},
    {"interpolate", "alpha", "weight[1]"},
    {"extrapolate", "alpha", "weight[1]"},
    {"slerp", "alpha", "weight[1]"},
    {"", "beta", "weight[2]"},
    {"", "support", "rows"},
    {"", "queue", "rows"},
    {"", "queue.storage", "rows"},
    {"", "queue.labels", "labels"},
    {"", "queue.cursor", "cursor"},
    {"", "queue.size", "filled"},
    {"momentum_update", "momentum", "m"},
};

inline std::string pythons_name(std::string_view function, std::string_view argument) {
  for (const renamed& one : renamed_arguments) {
    if (one.from == argument && (one.function.empty() || one.function == function))
      return std::string(one.to);
  }
  return std::string(argument);
}

/// Replaces momentum_update's pairs[3].target and pairs[3].online by target_params and
/// online_params. The number counts the tensors of one type only.
inline std::string without_pairs(std::string message) {
  constexpr std::string_view pairs = "pairs[";
  for (auto at = message.find(pairs); at != message.npos; at = message.find(pairs)) {
    const auto bracket = message.find(']', at);
    const bool is_target = message.compare(bracket + 1, 7, ".target") == 0;
    message.replace(at, bracket + 8 - at, is_target ? "target_params" : "online_params");
  }
  return message;
}

/// "OPERATOR: ARGUMENT: got …, wanted …" with the names of the Python function. The end may be
/// " as OTHER_ARGUMENT".
inline std::string in_pythons_names(std::string_view function, std::string_view message) {
  const auto first = message.find(": ");
  if (first == message.npos) return std::string(message);
  const auto second = message.find(": ", first + 2);
  if (second == message.npos) return std::string(message);
  std::string rest(message.substr(second));
  constexpr std::string_view as = " as ";
  if (const auto at = rest.rfind(as); at != rest.npos) {
    const std::string other = rest.substr(at + as.size());
    rest.replace(at + as.size(), other.size(), pythons_name(function, other));
  }
  const std::string argument =
      pythons_name(function, message.substr(first + 2, second - first - 2));
  return without_pairs(std::string(function) + ": " + argument + rest);
}

/// Runs body; argument errors of feaug get the names of the Python function.
template <class Body>
void with_pythons_names(std::string_view function, const Body& body) {
  try {
    body();
  } catch (const std::invalid_argument& refused) {
    throw std::invalid_argument(in_pythons_names(function, refused.what()));
  }
}

}  // namespace feaug_python
