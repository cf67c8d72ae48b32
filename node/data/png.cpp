// SPDX-License-Identifier: Apache-2.0
// libpng's simplified interface, which reports errors by value.
#include "node/data/png.hpp"

#include <algorithm>

#include <png.h>

namespace trainyard::node::data {

Result<training::Image, std::string> read_png(BytesView file, uint32_t side_max) {
    png_image png = {};
    png.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&png, file.data(), file.size()) == 0)
        return unexpected("not a PNG image: " + std::string(png.message));
    if (png.width > side_max || png.height > side_max) {
        const std::string size = std::to_string(png.height) + " x " + std::to_string(png.width);
        png_image_free(&png);
        return unexpected("the image has " + size + " pixels; at most " + std::to_string(side_max) +
                          " on a side are allowed");
    }
    const bool grey = (png.format & PNG_FORMAT_FLAG_COLOR) == 0;
    png.format = grey ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    training::Image out{png.height, png.width, grey ? 1U : 3U, 0, {}};
    out.pixels.resize(PNG_IMAGE_SIZE(png));
    const png_color black = {0, 0, 0};
    if (png_image_finish_read(&png, &black, out.pixels.data(), 0, nullptr) == 0)
        return unexpected("the PNG image is damaged: " + std::string(png.message));
    return out;
}

Result<Bytes, std::string> write_png(const training::Image& image) {
    if (image.channels != 1 && image.channels != 3)
        return unexpected("a PNG image has one or three channels, not " +
                          std::to_string(image.channels));
    png_image png = {};
    png.version = PNG_IMAGE_VERSION;
    png.width = image.width;
    png.height = image.height;
    png.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
    Bytes out(size);
    if (png_image_write_to_memory(&png, out.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0)
        return unexpected("the PNG image cannot be written: " + std::string(png.message));
    out.resize(size);
    return out;
}

training::Image grid_of(const std::vector<training::Image>& images, uint32_t columns,
                        uint32_t scale) {
    const training::Image& first = images.front();
    const auto count = static_cast<uint32_t>(images.size());
    const uint32_t rows = (count + columns - 1) / columns;
    const uint32_t cell_h = first.height * scale + 1, cell_w = first.width * scale + 1;
    training::Image out{rows * cell_h + 1, columns * cell_w + 1, first.channels, 0, {}};
    out.pixels.assign(size_t{out.height} * out.width * out.channels, 255);
    for (uint32_t k = 0; k < count; ++k)
        for (uint32_t y = 0; y < first.height * scale; ++y)
            for (uint32_t x = 0; x < first.width * scale; ++x) {
                const size_t from = (size_t{y / scale} * first.width + x / scale) * first.channels;
                const size_t to = (size_t{k / columns * cell_h + 1 + y} * out.width +
                                   k % columns * cell_w + 1 + x) *
                                  out.channels;
                std::copy_n(images[k].pixels.begin() + static_cast<ptrdiff_t>(from), first.channels,
                            out.pixels.begin() + static_cast<ptrdiff_t>(to));
            }
    return out;
}

}  // namespace trainyard::node::data
