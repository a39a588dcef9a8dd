// The requirements on the predictor, which is the caller's network.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A network h from N × D to N × D.
///
///     void forward(matrix_view<const T> input, matrix_view<T> output);
///     void backward(matrix_view<const T> input, matrix_view<const T> output_gradient,
///                   matrix_view<T> input_gradient);
///
/// backward is called after the forward it belongs to, with no other forward between them. It
/// accumulates the network's own parameter gradients and overwrites `input_gradient`. A step calls
/// the pair once for each direction; with pre_predictor once for each sample. On a GPU the views
/// are in device memory, and the network must run on the context's stream.
template <class P, class T, memory_space Space = memory_space::host>
concept predictor = element<T> &&
    requires(P& h, matrix_view<const T, Space> input, matrix_view<T, Space> output) {
  h.forward(input, output);
  h.backward(input, input, output);
};

/// For architecture::basic, which has no predictor; an error with any other architecture.
struct no_predictor {
  template <class T, memory_space S>
  void forward(matrix_view<const T, S> /*input*/, matrix_view<T, S> /*output*/) const {}
  template <class T, memory_space S>
  void backward(matrix_view<const T, S> /*input*/, matrix_view<const T, S> /*output_gradient*/,
                matrix_view<T, S> /*input_gradient*/) const {}
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
