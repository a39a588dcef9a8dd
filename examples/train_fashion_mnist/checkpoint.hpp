// A run's whole state in one file: a JSON header, then named arrays, then a checksum over both.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace trainer {

/// Memory whose contents a checkpoint stores.
struct array_view {
  std::string name;
  char* data;
  std::size_t bytes;
};

/// Returns the file's contents.
std::string checkpoint_bytes(const nlohmann::json& header, const std::vector<array_view>& arrays);

/// Reads a file written by checkpoint_bytes. `settings` is first compared with header["settings"],
/// name by name; then the names and sizes of the arrays are compared. The arrays are filled only if
/// all checks pass. Returns the header. Throws user_error.
nlohmann::json restore_checkpoint(const std::string& path, const nlohmann::json& settings,
                                  const std::vector<array_view>& arrays);

}  // namespace trainer
