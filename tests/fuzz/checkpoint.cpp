// The reader of checkpoints, with damaged and arbitrary files. It fills all arrays, or throws
// user_error and changes none.
#include "checkpoint.hpp"

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/edits.hpp"
#include "fuzz/target.hpp"
#include "user_error.hpp"

namespace {

struct named_bytes {
  std::string name;
  std::string bytes;
  friend bool operator==(const named_bytes&, const named_bytes&) = default;
};

std::vector<trainer::array_view> views(std::vector<named_bytes>& arrays) {
  std::vector<trainer::array_view> all;
  all.reserve(arrays.size());
  for (named_bytes& one : arrays)
    all.push_back({.name = one.name, .data = one.bytes.data(), .bytes = one.bytes.size()});
  return all;
}

std::vector<named_bytes> chosen_arrays(fuzz::choices& choose) {
  std::vector<named_bytes> all;
  for (std::int64_t left = choose.between(0, 3); left > 0; --left) {
    std::string name = choose.one_of<const char*>({"weights", "bias", "queue", ""});
    all.push_back({.name = std::move(name), .bytes = choose.bytes(20)});
  }
  return all;
}

/// The settings are compared, everything else is the caller's.
nlohmann::json chosen_header(fuzz::choices& choose, const nlohmann::json& settings) {
  switch (choose.between(0, 3)) {
    case 0:
      return {{"settings", settings}, {"losses", {1.5, 2.5}}};
    case 1:
      return {{"settings", choose.between(0, 9)}};
    case 2:
      return nlohmann::json::parse(choose.bytes(40), nullptr, false);
    default:
      return {{"losses", {1.5}}};
  }
}

/// Gives bytes that were changed the checksum of a good file.
void repair_checksum(std::string& bytes) {
  std::uint64_t sum = 0;
  if (bytes.size() < sizeof(sum)) return;
  const std::size_t content = bytes.size() - sizeof(sum);
  sum = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), content);
  std::memcpy(bytes.data() + content, &sum, sizeof(sum));
}

}  // namespace

void fuzz::try_one(choices& choose) {
  const nlohmann::json settings = {{"method", "nnclr"}, {"queue", choose.between(0, 3)}};
  std::vector<named_bytes> saved = chosen_arrays(choose);
  std::vector<named_bytes> restored = choose.one_in(3) ? chosen_arrays(choose) : saved;
  if (restored == saved) {
    for (named_bytes& one : restored) one.bytes.assign(one.bytes.size(), '?');
  }
  const nlohmann::json header = chosen_header(choose, settings);
  const bool is_header_good =
      header.is_object() && header.contains("settings") && header["settings"] == settings;
  std::string bytes;
  if (header.is_discarded()) {
    bytes = choose.rest();
  } else {
    bytes = trainer::checkpoint_bytes(header, views(saved));
  }
  const std::string whole = bytes;
  if (!choose.one_in(2)) bytes = edited(bytes, choose);
  const bool is_repaired = choose.one_in(2);
  if (is_repaired) repair_checksum(bytes);

  const std::string path = scratch_folder() + "/checkpoint";
  std::ofstream(path, std::ios::binary) << bytes;
  const std::vector<named_bytes> before = restored;
  bool is_read = true;
  try {
    const nlohmann::json got = trainer::restore_checkpoint(path, settings, views(restored));
    require(got.is_object() && got.contains("settings"), "a header that is none");
  } catch (const trainer::user_error&) {
    is_read = false;
    require(restored == before, "arrays were changed, and then the file was refused");
  }
  bool is_same = saved.size() == restored.size();
  for (std::size_t i = 0; is_same && i < saved.size(); ++i) {
    is_same =
        saved[i].name == restored[i].name && saved[i].bytes.size() == restored[i].bytes.size();
  }
  if (bytes != whole && !is_repaired) require(!is_read, "a damaged file is read");
  if (bytes != whole || header.is_discarded()) return;
  require(is_read == (is_same && is_header_good), "a good file is refused, or another one read");
  if (is_read) require(restored == saved, "other bytes than were saved");
}
