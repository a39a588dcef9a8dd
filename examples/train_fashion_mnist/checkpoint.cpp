#include "checkpoint.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "files.hpp"
#include "user_error.hpp"

namespace trainer {
namespace {

constexpr char magic[] = "feaug train_fashion_mnist checkpoint 1\n";
constexpr std::size_t magic_size = sizeof(magic) - 1;

std::uint64_t checksum(const char* data, std::size_t bytes) {
  return crc32_z(0, reinterpret_cast<const Bytef*>(data), bytes);
}

void append_number(std::string& bytes, std::uint64_t number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

/// Reads a file's contents from front to back. A file with a correct checksum cannot end too early;
/// a wrong checksum is detected before reading.
class reader {
 public:
  reader(const std::string& path, const std::string& bytes) : path_(path), bytes_(bytes) {}

  const char* take(std::size_t count) {
    if (count > bytes_.size() - at_) throw user_error(path_ + ": a damaged checkpoint");
    const char* part = bytes_.data() + at_;
    at_ += count;
    return part;
  }
  std::uint64_t take_number() {
    std::uint64_t number = 0;
    std::memcpy(&number, take(sizeof(number)), sizeof(number));
    return number;
  }

 private:
  const std::string& path_;
  const std::string& bytes_;
  std::size_t at_ = 0;
};

void compare_settings(const std::string& path, const nlohmann::json& theirs,
                      const nlohmann::json& ours) {
  for (const auto& [name, value] : ours.items()) {
    if (theirs.contains(name) && theirs[name] == value) continue;
    const std::string was = theirs.contains(name) ? theirs[name].dump() : "nothing";
    throw user_error(path + ": a checkpoint of a run with --" + name + " " + was +
                     ", this one has " + value.dump());
  }
}

}  // namespace

std::string checkpoint_bytes(const nlohmann::json& header, const std::vector<array_view>& arrays) {
  std::string bytes(magic, magic_size);
  const std::string text = header.dump();
  append_number(bytes, text.size());
  bytes += text;
  append_number(bytes, arrays.size());
  for (const array_view& array : arrays) {
    append_number(bytes, array.name.size());
    bytes += array.name;
    append_number(bytes, array.bytes);
    bytes.append(array.data, array.bytes);
  }
  append_number(bytes, checksum(bytes.data(), bytes.size()));
  return bytes;
}

nlohmann::json restore_checkpoint(const std::string& path, const nlohmann::json& settings,
                                  const std::vector<array_view>& arrays) {
  const std::string bytes = read_file(path);
  if (bytes.compare(0, magic_size, magic) != 0)
    throw user_error(path + ": not a checkpoint of this program");
  std::uint64_t stored = 0;
  const std::size_t content = bytes.size() - std::min(bytes.size(), sizeof(stored));
  if (content < magic_size) throw user_error(path + ": a damaged checkpoint");
  std::memcpy(&stored, bytes.data() + content, sizeof(stored));
  if (stored != checksum(bytes.data(), content))
    throw user_error(path + ": a damaged checkpoint (its checksum is wrong)");

  reader file(path, bytes);
  file.take(magic_size);
  const std::size_t header_size = file.take_number();
  const char* text = file.take(header_size);
  const nlohmann::json header = nlohmann::json::parse(text, text + header_size, nullptr, false);
  if (!header.is_object() || !header.contains("settings"))
    throw user_error(path + ": a damaged checkpoint");
  compare_settings(path, header["settings"], settings);
  std::vector<const char*> contents;
  if (file.take_number() != arrays.size())
    throw user_error(path + ": a checkpoint of another architecture");
  for (const array_view& array : arrays) {
    const std::size_t name_size = file.take_number();
    const std::string name(file.take(name_size), name_size);
    if (name != array.name || file.take_number() != array.bytes) {
      throw user_error(path + ": a checkpoint of another architecture (it has " + name + " where " +
                       array.name + " belongs)");
    }
    contents.push_back(file.take(array.bytes));
  }
  for (std::size_t i = 0; i < arrays.size(); ++i)
    std::memcpy(arrays[i].data, contents[i], arrays[i].bytes);
  return header;
}

}  // namespace trainer
