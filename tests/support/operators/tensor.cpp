#include "support/operators/tensor.hpp"

#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace conformance {

std::size_t element_count(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    // The limit keeps the product in range; no case is near it.
    constexpr std::int64_t most = std::int64_t{1} << 31;
    if (extent < 0 || extent > most || count * extent > most) {
      throw std::runtime_error("shape " + shape_text(shape) + " is out of range");
    }
    count *= extent;
  }
  return static_cast<std::size_t>(count);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::ostringstream text;
  text << "(";
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    text << (axis == 0 ? "" : ", ") << shape[axis];
  }
  text << ")";
  return text.str();
}

tensor read_tensor(const std::string& name, const nlohmann::json& json) {
  tensor result;
  try {
    for (const auto& extent : json.at("shape")) {
      if (!extent.is_number_integer()) throw std::runtime_error("an extent is no integer");
      result.shape.push_back(extent.get<std::int64_t>());
    }
    for (const auto& value : json.at("data")) {
      if (!value.is_number()) throw std::runtime_error("an element is no number");
      result.data.push_back(value.get<double>());
    }
    if (element_count(result.shape) != result.data.size()) {
      throw std::runtime_error("shape " + shape_text(result.shape) + " but " +
                               std::to_string(result.data.size()) + " elements");
    }
  } catch (const std::exception& problem) {
    throw std::runtime_error(name + ": not a tensor: " + problem.what());
  }
  return result;
}

}  // namespace conformance
