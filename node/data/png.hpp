// SPDX-License-Identifier: Apache-2.0
// PNG images in and out of memory; the only place that sees libpng.
#pragma once

#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/dataset.hpp"

namespace trainyard::node::data {

/// Grey images have one channel, all others three; alpha is laid over black. The error is libpng's
/// text, or says that the image is larger than `side_max` on a side: nothing is decoded then.
[[nodiscard]] Result<training::Image, std::string> read_png(BytesView file, uint32_t side_max);
/// One or three channels. Precondition: the pixels fit the sizes.
[[nodiscard]] Result<Bytes, std::string> write_png(const training::Image& image);

/// The images side by side with a border of one pixel, each pixel drawn `scale` times.
[[nodiscard]] training::Image grid_of(const std::vector<training::Image>& images, uint32_t columns,
                                      uint32_t scale);

}  // namespace trainyard::node::data
