#include "features.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "files.hpp"
#include "model.hpp"

namespace trainer {
namespace {

static_assert(std::endian::native == std::endian::little, "the types below are little-endian");

/// The bytes of an .npy file, version 1.0. `type` is NumPy's name, `shape` a Python tuple.
std::string npy_bytes(const std::string& type, const std::string& shape, const void* data,
                      std::size_t bytes) {
  const std::string magic("\x93NUMPY\x01\x00", 8);
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  // The format aligns data to 64 bytes; the header's length takes two bytes, its end is a newline.
  header.append(63 - (magic.size() + 2 + header.size()) % 64, ' ');
  header += '\n';
  std::string all = magic;
  all += static_cast<char>(header.size() % 256);
  all += static_cast<char>(header.size() / 256);
  return all.append(header).append(static_cast<const char*>(data), bytes);
}

void write_one(feaug::cpu_context& ctx, const std::string& prefix, network::encoder<float>& encoder,
               const dataset& data) {
  const network::matrix<float> features = features_of(ctx, encoder, data.images);
  const std::string rows = std::to_string(features.rows());
  write_atomically(
      prefix + "_features.npy",
      npy_bytes("<f4", "(" + rows + ", " + std::to_string(features.cols()) + ")", features.data(),
                static_cast<std::size_t>(features.size()) * sizeof(float)));
  write_atomically(prefix + "_labels.npy", npy_bytes("<i8", "(" + rows + ",)", data.labels.data(),
                                                     data.labels.size() * sizeof(std::int64_t)));
}

}  // namespace

void require_features(const std::string& folder) {
  require_writable_folder(folder);
  for (const char* name :
       {"train_features", "train_labels", "held_out_features", "held_out_labels"})
    require_writable(folder + "/" + name + ".npy");
}

void write_features(feaug::cpu_context& ctx, const std::string& folder,
                    network::encoder<float>& encoder, const fashion_mnist& data) {
  write_one(ctx, folder + "/train", encoder, data.train);
  write_one(ctx, folder + "/held_out", encoder, data.held_out);
}

}  // namespace trainer
