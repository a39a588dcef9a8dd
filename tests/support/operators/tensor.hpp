// A tensor of a case file. Always float64; a backend rounds it to the type under test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace conformance {

struct tensor {
  std::vector<std::int64_t> shape;
  std::vector<double> data;
};

/// The number of elements of `shape`; throws std::runtime_error for negative or absurdly large
/// extents.
std::size_t element_count(const std::vector<std::int64_t>& shape);

/// "(2, 3)".
std::string shape_text(const std::vector<std::int64_t>& shape);

/// From `{"shape": […], "data": […]}`. Throws std::runtime_error with `name` in its message.
tensor read_tensor(const std::string& name, const nlohmann::json& json);

}  // namespace conformance
