#include "image_augmentation.hpp"

#include <algorithm>
#include <cmath>

#include "network/parallel.hpp"

namespace trainer {
namespace {

constexpr int side = 28;

/// Bilinear interpolation of an image; 0 (black) outside.
float bilinear(const float* image, float y, float x) {
  const float y0 = std::floor(y);
  const float x0 = std::floor(x);
  const float dy = y - y0;
  const float dx = x - x0;
  const auto at = [&](float row, float col) {
    const int r = static_cast<int>(row);
    const int c = static_cast<int>(col);
    return r < 0 || r >= side || c < 0 || c >= side ? 0.0F : image[r * side + c];
  };
  const float top = at(y0, x0) * (1 - dx) + at(y0, x0 + 1) * dx;
  const float bottom = at(y0 + 1, x0) * (1 - dx) + at(y0 + 1, x0 + 1) * dx;
  return top * (1 - dy) + bottom * dy;
}

}  // namespace

view_pair strengths_of(const std::string& data_augmentation) {
  constexpr auto crops_and_flips = [](float least_area, float brightness) {
    return view_strength{.least_area = least_area,
                         .largest_ratio = 4.0F / 3.0F,
                         .flip_probability = 0.5F,
                         .brightness = brightness};
  };
  constexpr view_strength none = {
      .least_area = 1.0F, .largest_ratio = 1.0F, .flip_probability = 0.0F, .brightness = 0.0F};
  constexpr view_strength weak = crops_and_flips(0.8F, 0.0F);
  constexpr view_strength mild = crops_and_flips(0.6F, 0.0F);
  constexpr view_strength usual = crops_and_flips(0.3F, 0.5F);
  constexpr view_strength strong = crops_and_flips(0.2F, 0.7F);
  if (data_augmentation == "none") return {{none, none}};
  if (data_augmentation == "weak") return {{weak, weak}};
  if (data_augmentation == "mild") return {{mild, mild}};
  if (data_augmentation == "asymmetric") return {{strong, weak}};
  return {{usual, usual}};
}

network::matrix<float> make_view(feaug::cpu_context& ctx, const network::matrix<float>& images,
                                 const view_strength& strength, std::uint64_t seed,
                                 std::uint64_t step, int view, std::int64_t row_offset) {
  auto crop = key_for(seed, step, stream::crop, view);
  auto flip = key_for(seed, step, stream::flip, view);
  auto light = key_for(seed, step, stream::light, view);
  crop.row_offset = flip.row_offset = light.row_offset = row_offset;
  const float largest = std::log(strength.largest_ratio);
  network::matrix<float> out(images.rows(), images.cols());
  network::for_each_block(
      ctx, images.rows(), 64, [&](network::index first, network::index count, network::index) {
        for (network::index i = first; i < first + count; ++i) {
          const float area =
              strength.least_area + (1.0F - strength.least_area) * feaug::draw_uniform(crop, i, 0);
          const float ratio = std::exp((2.0F * feaug::draw_uniform(crop, i, 1) - 1.0F) * largest);
          const float height = std::min(1.0F, std::sqrt(area * ratio)) * side;
          const float width = std::min(1.0F, std::sqrt(area / ratio)) * side;
          const float top = (side - height) * feaug::draw_uniform(crop, i, 2);
          const float left = (side - width) * feaug::draw_uniform(crop, i, 3);
          const bool mirrored = feaug::draw_uniform(flip, i, 0) < strength.flip_probability;
          const float factor =
              1.0F + strength.brightness * (2.0F * feaug::draw_uniform(light, i, 0) - 1.0F);
          const float* image = images.data() + i * side * side;
          float* pixels = out.data() + i * side * side;
          for (int y = 0; y < side; ++y) {
            for (int x = 0; x < side; ++x) {
              const int column = mirrored ? side - 1 - x : x;
              const float from_y = top + (static_cast<float>(y) + 0.5F) * height / side - 0.5F;
              const float from_x = left + (static_cast<float>(column) + 0.5F) * width / side - 0.5F;
              pixels[y * side + x] = std::min(1.0F, factor * bilinear(image, from_y, from_x));
            }
          }
        }
      });
  return out;
}

}  // namespace trainer
