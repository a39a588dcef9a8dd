// A run's whole state in one file: a header of JSON, then arrays by name, then a checksum over
// both.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace trainer {

/// Memory whose contents a checkpoint keeps.
struct array_view {
  std::string name;
  char* data;
  std::size_t bytes;
};

/// The file's contents.
std::string checkpoint_bytes(const nlohmann::json& header, const std::vector<array_view>& arrays);

/// Reads a file that checkpoint_bytes made. `settings` is compared with header["settings"] first,
/// name by name; then the arrays must be those at hand. Only when all is right are the arrays
/// filled. Returns the header. Throws user_error.
nlohmann::json restore_checkpoint(const std::string& path, const nlohmann::json& settings,
                                  const std::vector<array_view>& arrays);

}  // namespace trainer
