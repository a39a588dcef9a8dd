#include "plots.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <vector>

#include "files.hpp"
#include "gnuplot.hpp"
#include "model.hpp"
#include "neighbours.hpp"
#include "principal_axes.hpp"

namespace trainer {
namespace {

using network::index;
using network::matrix;

// Ten colours that most people can tell apart (after Okabe and Ito).
struct garment {
  const char* name;
  const char* colour;
};
constexpr std::array<garment, 10> garments = {{{"T-shirt", "#E69F00"},
                                               {"trousers", "#000000"},
                                               {"pullover", "#56B4E9"},
                                               {"dress", "#009E73"},
                                               {"coat", "#0072B2"},
                                               {"sandal", "#D55E00"},
                                               {"shirt", "#CC79A7"},
                                               {"sneaker", "#B8A800"},
                                               {"bag", "#8C8C8C"},
                                               {"ankle boot", "#7B3F00"}}};

std::string quoted(const std::string& path) {
  std::string text = "'";
  for (const char c : path) text += c == '\'' ? "''" : std::string(1, c);
  return text + "'";
}

std::string to_file(const std::string& folder, const std::string& name, int width, int height) {
  return "set encoding utf8\nset terminal pngcairo size " + std::to_string(width) + "," +
         std::to_string(height) + " font 'sans,11'\nset output " +
         quoted(folder + "/" + name + ".png") + "\n";
}

/// Mean over the values within `half` positions.
double smoothed(const std::vector<float>& values, std::size_t at, std::size_t half) {
  const std::size_t first = at > half ? at - half : 0;
  const std::size_t last = std::min(values.size(), at + half + 1);
  double sum = 0;
  for (std::size_t i = first; i < last; ++i) sum += static_cast<double>(values[i]);
  return sum / static_cast<double>(last - first);
}

void plot_training(const std::string& folder, const training& run) {
  const std::vector<float>& losses = run.losses();
  // −1 marks updates with an empty queue, which have no accuracy; it is drawn as 0.
  const bool has_queue =
      std::any_of(run.neighbour_accuracies().begin(), run.neighbour_accuracies().end(),
                  [](float accuracy) { return accuracy >= 0; });
  std::vector<float> accuracies = run.neighbour_accuracies();
  for (float& accuracy : accuracies) accuracy = std::max(accuracy, 0.0F);
  const std::size_t half = std::max<std::size_t>(1, losses.size() / 100);
  std::ostringstream table;
  table << "# update loss smoothed accuracy/% smoothed\n";
  for (std::size_t i = 0; i < losses.size(); ++i) {
    table << i + 1 << ' ' << losses[i] << ' ' << smoothed(losses, i, half) << ' '
          << 100 * accuracies[i] << ' ' << 100 * smoothed(accuracies, i, half) << '\n';
  }
  const std::string data = folder + "/training.txt";
  write_atomically(data, table.str());
  std::string script = to_file(folder, "training", 900, has_queue ? 640 : 360);
  script += "set multiplot layout " + std::string(has_queue ? "2" : "1") +
            ",1\nset grid lc rgb '#DDDDDD'\nset border 3\nset tics nomirror\nset key off\n"
            "set lmargin 9\nset rmargin 3\n";
  const auto panel = [&](const std::string& title, int column, const std::string& colour) {
    script += "set title '" + title + "'\nplot " + quoted(data) +
              " using 1:" + std::to_string(column) +
              " with lines lc rgb '#CCCCCC', '' using 1:" + std::to_string(column + 1) +
              " with lines lw 2 lc rgb '" + colour + "'\n";
  };
  if (!has_queue) script += "set xlabel 'update'\n";
  panel("loss (grey: every update)", 2, garments[4].colour);
  script += "set xlabel 'update'\nset yrange [0:100]\n";
  if (has_queue) panel("nearest queue rows of the query''s class, per cent", 4, garments[5].colour);
  run_gnuplot(script + "unset multiplot\n");
}

void plot_projection(const std::string& folder, matrix<float> features,
                     const std::vector<std::int64_t>& labels) {
  // The training uses directions only, so features are normalised.
  for (index i = 0; i < features.rows(); ++i)
    features.row(i) /= std::max(features.row(i).norm(), 1e-12F);
  const principal_axes axes = principal_axes_of(features);
  const matrix<float> points = projected(axes, features);
  std::ostringstream table;
  table << "# first axis, second axis: a block a class\n";
  for (std::size_t label = 0; label < garments.size(); ++label) {
    for (index i = 0; i < points.rows(); ++i) {
      if (labels[static_cast<std::size_t>(i)] == static_cast<std::int64_t>(label))
        table << points(i, 0) << ' ' << points(i, 1) << '\n';
    }
    table << "nan nan\n\n\n";  // an empty class still needs its data block
  }
  const std::string data = folder + "/projection.txt";
  write_atomically(data, table.str());
  const auto percent = [&](std::size_t axis) {
    return std::to_string(std::lround(100 * axes.shares[axis]));
  };
  std::string script = to_file(folder, "projection", 900, 720);
  script += "set title 'held-out features on their two main axes'\nset xlabel 'first axis (" +
            percent(0) + " % of the variance)'\nset ylabel 'second axis (" + percent(1) +
            " %)'\nset key outside right center reverse Left\nset border 3\nset tics nomirror\n"
            "set size ratio -1\nplot ";
  for (std::size_t label = 0; label < garments.size(); ++label) {
    // The markers in the key are larger than the points.
    script += quoted(data) + " index " + std::to_string(label) +
              " using 1:2 with points pt 7 ps 0.45 lc rgb '" + garments[label].colour +
              "' notitle, NaN with points pt 7 ps 1.6 lc rgb '" + garments[label].colour +
              "' title '" + garments[label].name + "'" +
              (label + 1 < garments.size() ? ", " : "\n");
  }
  run_gnuplot(script);
}

/// The first held-out image of each class that occurs, in the order of classes.
std::vector<index> first_of_each(const std::vector<std::int64_t>& labels) {
  std::vector<index> queries;
  for (std::int64_t label = 0; label < static_cast<std::int64_t>(garments.size()); ++label) {
    const auto found = std::find(labels.begin(), labels.end(), label);
    if (found != labels.end()) queries.push_back(static_cast<index>(found - labels.begin()));
  }
  return queries;
}

/// A contact sheet: images in coloured frames, in rows and columns.
class contact_sheet {
 public:
  static constexpr index side = 28;
  static constexpr index frame = 2;
  static constexpr index tile = side + 2 * frame + 2;
  using colour = std::array<int, 3>;

  contact_sheet(index rows, index columns)
      : width_(columns * tile),
        height_(rows * tile),
        pixels_(static_cast<std::size_t>(width_ * height_), colour{255, 255, 255}) {}

  [[nodiscard]] index width() const { return width_; }
  [[nodiscard]] index height() const { return height_; }

  void put(index row, index column, const dataset& from, index which, const colour& around) {
    for (index y = 0; y < side + 2 * frame; ++y) {
      for (index x = 0; x < side + 2 * frame; ++x) {
        const index in_y = y - frame;
        const index in_x = x - frame;
        const bool inside = in_x >= 0 && in_x < side && in_y >= 0 && in_y < side;
        colour& pixel = at(row * tile + y, column * tile + x);
        if (inside) {
          // Inverted: dark garments on white.
          pixel.fill(static_cast<int>(255 - 255 * from.images(which, in_y * side + in_x)));
        } else {
          pixel = around;
        }
      }
    }
  }

  /// "x y red green blue" of every pixel, y upwards.
  [[nodiscard]] std::string text() const {
    std::ostringstream lines;
    for (index y = 0; y < height_; ++y) {
      for (index x = 0; x < width_; ++x) {
        const auto& [red, green, blue] = pixels_[static_cast<std::size_t>(y * width_ + x)];
        lines << x << ' ' << height_ - 1 - y << ' ' << red << ' ' << green << ' ' << blue << '\n';
      }
    }
    return lines.str();
  }

 private:
  colour& at(index y, index x) { return pixels_[static_cast<std::size_t>(y * width_ + x)]; }

  index width_;
  index height_;
  std::vector<colour> pixels_;
};

void plot_neighbours(feaug::cpu_context& ctx, const std::string& folder,
                     const matrix<float>& train_features, const matrix<float>& held_out_features,
                     const fashion_mnist& data) {
  const std::vector<index> queries = first_of_each(data.held_out.labels);
  const auto rows = static_cast<index>(queries.size());
  const index k = std::min<index>(8, train_features.rows());
  matrix<float> asked(rows, held_out_features.cols());
  for (index q = 0; q < rows; ++q)
    asked.row(q) = held_out_features.row(queries[static_cast<std::size_t>(q)]);
  const neighbours found = neighbours_of(ctx, train_features, asked, k);
  // Columns: the query, a gap, its neighbours.
  contact_sheet sheet(rows, k + 2);
  std::string names;
  for (index q = 0; q < rows; ++q) {
    const index query = queries[static_cast<std::size_t>(q)];
    const std::int64_t label = data.held_out.labels[static_cast<std::size_t>(query)];
    sheet.put(q, 0, data.held_out, query, {255, 255, 255});
    names += "set label '" + std::string(garments[static_cast<std::size_t>(label)].name) +
             "' at -4," +
             std::to_string(sheet.height() - q * contact_sheet::tile - contact_sheet::tile / 2) +
             " right\n";
    for (index rank = 0; rank < k; ++rank) {
      const auto neighbour = static_cast<index>(found.rows[static_cast<std::size_t>(q * k + rank)]);
      const bool same = data.train.labels[static_cast<std::size_t>(neighbour)] == label;
      sheet.put(q, rank + 2, data.train, neighbour,
                same ? contact_sheet::colour{0, 158, 115} : contact_sheet::colour{213, 94, 0});
    }
  }
  const std::string text = folder + "/neighbours.txt";
  write_atomically(text, sheet.text());
  // Twice the size, with space for names on the left and for the title above.
  const index width = 2 * sheet.width() + 120;
  const index height = 2 * sheet.height() + 50;
  std::string script =
      to_file(folder, "neighbours", static_cast<int>(width), static_cast<int>(height));
  script +=
      "set title 'held-out images and the training images nearest to them (orange: of "
      "another class)'\nunset border\nunset tics\nunset key\nset lmargin at screen " +
      std::to_string(110.0 / static_cast<double>(width)) +
      "\nset rmargin 1\nset bmargin 1\nset size ratio -1\nset xrange [-1:" +
      std::to_string(sheet.width()) + "]\nset yrange [-1:" + std::to_string(sheet.height()) +
      "]\n" + names + "plot " + quoted(text) + " using 1:2:3:4:5 with rgbimage\n";
  run_gnuplot(script);
}

}  // namespace

void require_plots(const std::string& folder) {
  require_writable_folder(folder);
  require_gnuplot();
}

void write_plots(feaug::cpu_context& ctx, const std::string& folder, training& run,
                 const fashion_mnist& data) {
  const matrix<float> train = features_of(ctx, run.encoder(), data.train.images);
  const matrix<float> held_out = features_of(ctx, run.encoder(), data.held_out.images);
  plot_training(folder, run);
  const index shown = std::min<index>(2000, held_out.rows());
  plot_projection(folder, held_out.topRows(shown), data.held_out.labels);
  plot_neighbours(ctx, folder, train, held_out, data);
}

}  // namespace trainer
