#include "dataset.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "user_error.hpp"

namespace trainer {
namespace {

constexpr std::int64_t pixels = 28 * 28;

/// Reads a file with zlib, which also reads uncompressed files.
class idx_reader {
 public:
  explicit idx_reader(const std::string& path)
      : path_(path), file_(gzopen(path.c_str(), "rb"), gzclose) {
    if (file_ == nullptr) throw user_error(path + ": cannot be opened");
  }

  void read(unsigned char* to, std::size_t bytes) {
    const int got = gzread(file_.get(), to, static_cast<unsigned>(bytes));
    if (got < 0) throw user_error(path_ + ": damaged or truncated");
    if (static_cast<std::size_t>(got) != bytes) throw user_error(path_ + ": truncated");
  }

  /// Checks that nothing follows. zlib compares the checksum only at the end of a file.
  void end() {
    unsigned char more = 0;
    const int got = gzread(file_.get(), &more, 1);
    if (got < 0) throw user_error(path_ + ": damaged or truncated");
    if (got > 0) throw user_error(path_ + ": longer than it says");
  }

  std::uint32_t read_number() {
    std::array<unsigned char, 4> bytes{};
    read(bytes.data(), bytes.size());
    return static_cast<std::uint32_t>(bytes[0]) << 24U |
           static_cast<std::uint32_t>(bytes[1]) << 16U |
           static_cast<std::uint32_t>(bytes[2]) << 8U | static_cast<std::uint32_t>(bytes[3]);
  }

  [[noreturn]] void fail(const std::string& why) const { throw user_error(path_ + ": " + why); }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

std::string find(const std::string& folder, const std::string& name) {
  for (const std::string& path : {folder + "/" + name + ".gz", folder + "/" + name}) {
    if (std::filesystem::exists(path)) return path;
  }
  throw user_error(folder + "/" + name +
                   ".gz: not found (Debian: apt-get install dataset-fashion-mnist; or see --data)");
}

/// Reads all items, of `item` bytes each; at least `wanted`. The whole file is read, so that damage
/// is detected even in parts that are not used.
std::vector<unsigned char> read_items(const std::string& path, std::uint32_t magic,
                                      std::int64_t item, std::int64_t wanted) {
  idx_reader file(path);
  if (file.read_number() != magic) file.fail("not the idx file that was expected");
  const auto count = static_cast<std::int64_t>(file.read_number());
  if (item > 1 && (file.read_number() != 28 || file.read_number() != 28))
    file.fail("images are not 28 × 28");
  if (wanted > count)
    file.fail("holds " + std::to_string(count) + " items, --train-size asks for " +
              std::to_string(wanted));
  if (count < 1 || count > (1 << 20))
    file.fail("says that it holds " + std::to_string(count) + " items");
  // In parts, because the file may be shorter than it says.
  constexpr std::size_t most = 1 << 20;
  std::vector<unsigned char> bytes;
  for (auto left = static_cast<std::size_t>(count * item); left > 0;) {
    const std::size_t part = std::min(left, most);
    bytes.resize(bytes.size() + part);
    file.read(&bytes[bytes.size() - part], part);
    left -= part;
  }
  file.end();
  return bytes;
}

/// The images and labels in the range kept(number of images), which returns first and count.
template <class Kept>
dataset load(const std::string& folder, const std::string& name, std::int64_t wanted,
             const Kept& kept) {
  const std::vector<unsigned char> images =
      read_items(find(folder, name + "-images-idx3-ubyte"), 0x803, pixels, wanted);
  const std::vector<unsigned char> labels =
      read_items(find(folder, name + "-labels-idx1-ubyte"), 0x801, 1, wanted);
  if (images.size() != labels.size() * pixels) {
    throw user_error(folder + "/" + name + ": images and labels differ in number");
  }
  const auto [first, count] = kept(static_cast<std::int64_t>(labels.size()));
  dataset all;
  all.images.resize(count, pixels);
  for (std::int64_t i = 0; i < count * pixels; ++i) {
    all.images.data()[i] =
        static_cast<float>(images[static_cast<std::size_t>(first * pixels + i)]) / 255.0F;
  }
  for (std::int64_t i = first; i < first + count; ++i) {
    const unsigned char label = labels[static_cast<std::size_t>(i)];
    if (label > 9)
      throw user_error(folder + "/" + name + "-labels-idx1-ubyte: a label is " +
                       std::to_string(label) + ", not 0 to 9");
    all.labels.push_back(label);
  }
  return all;
}

struct range {
  std::int64_t first;
  std::int64_t count;
};

}  // namespace

fashion_mnist load_fashion_mnist(const std::string& folder, std::int64_t train_size,
                                 evaluation_split held_out) {
  const auto leading = [&](std::int64_t /*images*/) { return range{0, train_size}; };
  const auto everything = [](std::int64_t images) { return range{0, images}; };
  const auto last_sixth = [&](std::int64_t images) {
    const std::int64_t count = images / 6;
    if (count < 1 || train_size > images - count) {
      throw user_error("--evaluation validation with --train-size " + std::to_string(train_size) +
                       ": the last " + std::to_string(count) + " of " + std::to_string(images) +
                       " training images are for validation");
    }
    return range{images - count, count};
  };
  return {.train = load(folder, "train", train_size, leading),
          .held_out = held_out == evaluation_split::test
                          ? load(folder, "t10k", 0, everything)
                          : load(folder, "train", train_size, last_sixth)};
}

}  // namespace trainer
