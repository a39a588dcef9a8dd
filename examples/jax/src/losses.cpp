// The handler of all losses of the table.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "buffers.hpp"
#include "handler.hpp"
#include "loss_signature.hpp"
#include "names.hpp"
#include "resources.hpp"

namespace feaug_jax {
namespace {

using feaug_python::loss_signature;

const loss_signature& loss_named(std::string_view name) {
  for (const loss_signature& loss : feaug_python::losses())
    if (loss.name() == name) return loss;
  refuse("feaug_jax", "loss", std::string(name), "a loss of the table");
}

template <class T>
T attribute(const ffi::Dictionary& attributes, std::string_view name) {
  const auto found = attributes.get<T>(name);
  if (!found) throw std::invalid_argument(found.error().message());
  return *found;
}

feaug_python::option option_of(const loss_signature::plain& wants,
                               const ffi::Dictionary& attributes) {
  feaug_python::option given;
  if (wants.type == 'd') given.number = attribute<double>(attributes, wants.name);
  if (wants.type == 'i') given.whole = attribute<std::int64_t>(attributes, wants.name);
  if (wants.type == 'b') given.flag = attribute<bool>(attributes, wants.name);
  if (wants.type == 's') given.choice = attribute<std::string_view>(attributes, wants.name);
  return given;
}

/// The arguments: matrices, numbers, labels, by_loss; absent ones are arrays of shape (0,). The
/// results: the loss, and a gradient for each matrix and number; those that are not requested have
/// the shape (0,). The attributes: the name of the loss, and its options. A number has no attribute.
ffi::Error loss(resources from, ffi::RemainingArgs arguments, ffi::RemainingRets results,
                ffi::Dictionary attributes) {
  return answer([&] {
    const loss_signature& wants = loss_named(attribute<std::string_view>(attributes, "loss"));
    const std::size_t count = wants.names().size();
    if (arguments.size() != count + 2 || results.size() != count + 1)
      refuse(wants.name(), "the custom call",
             std::to_string(arguments.size()) + " arguments and " + std::to_string(results.size()) +
                 " results",
             std::to_string(count + 2) + " and " + std::to_string(count + 1));
    const auto is_absent = [](const input& x) {
      return x.dimensions().size() == 1 && x.element_count() == 0;
    };
    std::vector<feaug_python::side> sides(count);
    for (std::size_t i = 0; i < count; ++i) {
      const input value = arguments.get<input>(i).value();
      if (is_absent(value)) continue;
      const std::string& name = wants.names()[i];
      const bool is_matrix = i < wants.matrices();
      if (!is_matrix && value.element_count() != 1)
        refuse(wants.name(), name, std::to_string(value.element_count()) + " elements", "1");
      const auto view = [&](const input& x) {
        return is_matrix ? matrix(wants.name(), name, x) : vector(wants.name(), name, x);
      };
      sides[i].value = view(value);
      output gradient = results.get<input>(i + 1).value();
      if (!is_absent(*gradient)) sides[i].gradient = view(*gradient);
    }
    std::vector<feaug_python::option> options;
    options.reserve(wants.options().size());
    for (const loss_signature::plain& option : wants.options()) {
      // The numbers are operands; their plain values are not read.
      const bool is_number = std::ranges::find(wants.names(), option.name) != wants.names().end();
      options.push_back(is_number ? feaug_python::option() : option_of(option, attributes));
    }
    const input labels = arguments.get<input>(count).value();
    const input by_loss = arguments.get<input>(count + 1).value();
    const std::span<const feaug_python::side> all(sides);
    const feaug_python::loss_call call = {
        .op = wants.name(),
        .names = wants.names(),
        .matrices = all.first(wants.matrices()),
        .numbers = all.last(wants.numbers()),
        .options = options,
        .labels = is_absent(labels) ? buffer() : whole_numbers(wants.name(), "labels", labels),
        .by_loss = is_absent(by_loss) ? buffer() : vector(wants.name(), "by_loss", by_loss),
        .loss = vector(wants.name(), "loss", *results.get<input>(0).value())};
    feaug_python::with_pythons_names(wants.name(), [&] { wants.row().run(from.caller(), call); });
  });
}

}  // namespace
}  // namespace feaug_jax

FEAUG_JAX_HANDLER(
    feaug_loss, feaug_jax::loss,
    xla::ffi::Ffi::Bind().Ctx<feaug_jax::resources>().RemainingArgs().RemainingRets().Attrs());
